//! Every backend of this crate runs the conformance suite.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use downloader::testing::{
    Breaking, Claims, Fault, Faulty, Fixture, Rule, Schemes, conformance, rules,
};
use downloader::{
    Downloader, Error, ErrorKind, FileDownloader, MemoryDownloader, Request, Response, SchemeRouter,
};
use tempfile::TempDir;
use url::Url;

use crate::common::url;

/// Memory behind something, or not.
struct Memory {
    source: MemoryDownloader,
    backend: Arc<dyn Downloader>,
    schemes: Schemes,
}

impl Memory {
    fn url(name: &str) -> Url {
        url(&format!("memory://host/{name}"))
    }
}

#[async_trait]
impl Fixture for Memory {
    fn downloader(&self) -> Arc<dyn Downloader> {
        Arc::clone(&self.backend)
    }

    fn claims(&self) -> Claims {
        Claims::all().with_schemes(self.schemes)
    }

    async fn publish(&self, name: &str, content: Bytes) -> Url {
        self.source.insert(Self::url(name), content);
        Self::url(name)
    }

    async fn remove(&self, name: &str) {
        self.source.remove(&Self::url(name));
    }

    async fn open_breaking(&self, _: &str, _: Bytes, _: u64) -> Breaking {
        Breaking::Impossible("memory does not break")
    }
}

#[tokio::test]
async fn memory_conforms() {
    let memory = MemoryDownloader::new();
    let fixture = Memory {
        backend: Arc::new(memory.clone()),
        source: memory,
        schemes: Schemes::Any,
    };
    let report = conformance(&fixture).await;
    assert_eq!(report.unchecked(), [Rule::BrokenBody]);
    assert_eq!(report.kept().len(), Rule::ALL.len() - 1);
}

#[tokio::test]
async fn a_router_conforms_when_what_it_routes_to_does() {
    let memory = MemoryDownloader::new();
    let fixture = Memory {
        backend: Arc::new(SchemeRouter::new().with_scheme("memory", Arc::new(memory.clone()))),
        source: memory,
        schemes: Schemes::Own,
    };
    let report = conformance(&fixture).await;
    assert_eq!(report.unchecked(), [Rule::BrokenBody]);
}

/// Also shows a backend whose breaks are planned.
struct Planned {
    memory: MemoryDownloader,
    faulty: Faulty<MemoryDownloader>,
}

#[async_trait]
impl Fixture for Planned {
    fn downloader(&self) -> Arc<dyn Downloader> {
        Arc::new(self.faulty.clone())
    }

    fn claims(&self) -> Claims {
        Claims::all().with_schemes(Schemes::Any)
    }

    async fn publish(&self, name: &str, content: Bytes) -> Url {
        self.memory.insert(Memory::url(name), content);
        Memory::url(name)
    }

    async fn remove(&self, name: &str) {
        self.memory.remove(&Memory::url(name));
    }

    async fn open_breaking(&self, name: &str, content: Bytes, after: u64) -> Breaking {
        let url = self.publish(name, content).await;
        self.faulty
            .set_plan(&url, Fault::error_at(after, ErrorKind::Network));
        Breaking::Opened(self.faulty.open(&Request::new(url)).await)
    }
}

#[tokio::test]
async fn faulty_conforms_without_faults_and_breaks_as_it_must() {
    let memory = MemoryDownloader::new();
    let fixture = Planned {
        faulty: Faulty::new(memory.clone()),
        memory,
    };
    let report = conformance(&fixture).await;
    assert_eq!(report.kept(), Rule::ALL);
    fixture.faulty.assert_played();
}

/// Files in a temporary folder, by any downloader of `file:` URLs.
struct Files {
    folder: TempDir,
    backend: Arc<dyn Downloader>,
    written: AtomicU64,
}

impl Files {
    fn new(backend: impl Downloader + 'static) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            backend: Arc::new(backend),
            written: AtomicU64::new(0),
        }
    }

    async fn open(&self, url: &Url) -> Result<Response, Error> {
        self.backend.open(&Request::new(url.clone())).await
    }
}

#[async_trait]
impl Fixture for Files {
    fn downloader(&self) -> Arc<dyn Downloader> {
        Arc::clone(&self.backend)
    }

    fn claims(&self) -> Claims {
        Claims::all()
    }

    async fn publish(&self, name: &str, content: Bytes) -> Url {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        // A file system's clock ticks too slowly for a test.
        let second = self.written.fetch_add(1, Ordering::Relaxed);
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(second))
            .unwrap();
        Url::from_file_path(path).unwrap()
    }

    async fn remove(&self, name: &str) {
        std::fs::remove_file(self.folder.path().join(name)).unwrap();
    }

    async fn open_breaking(&self, name: &str, content: Bytes, after: u64) -> Breaking {
        let url = self.publish(name, content).await;
        let opened = self.open(&url).await;
        let path = self.folder.path().join(name);
        let file = File::options().write(true).open(path).unwrap();
        file.set_len(after).unwrap();
        Breaking::Opened(opened)
    }
}

#[tokio::test]
async fn files_conform() {
    let report = conformance(&Files::new(FileDownloader::new())).await;
    assert_eq!(
        report.unchecked(),
        [Rule::UserInformation],
        "a file: URL has no place for it"
    );
}

#[tokio::test]
async fn files_behind_a_router_and_a_decorator_conform() {
    let files: Arc<dyn Downloader> = Arc::new(FileDownloader::new());
    let router = SchemeRouter::new().with_scheme("file", files);
    let report = conformance(&Files::new(Faulty::new(router))).await;
    assert_eq!(report.kept().len(), Rule::ALL.len() - 1);
}

#[tokio::test]
async fn one_rule_can_be_run_alone() {
    let fixture = Files::new(FileDownloader::new());
    rules::start(&fixture).await.unwrap();
    Rule::IfRangeChanged.check(&fixture).await.unwrap();
}

#[tokio::test]
async fn the_suite_can_be_spawned() {
    let memory = MemoryDownloader::new();
    let fixture = Memory {
        backend: Arc::new(memory.clone()),
        source: memory,
        schemes: Schemes::Any,
    };
    let suite = tokio::spawn(async move { conformance(&fixture).await });
    assert_eq!(suite.await.unwrap().verdicts().len(), Rule::ALL.len());
}
