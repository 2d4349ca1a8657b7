//! An archive is a backend like all others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use downloader::testing::{
    Breaking, Claims, Fault, Faulty, Fixture, Plan, Ranges, Rule, conformance,
};
use downloader::{
    Downloader, Error, ErrorKind, MemoryDownloader, Request, Response, ZipDownloader,
};
use testkit::{ZipEntry, zip};
use url::Url;

use crate::common::url;
use crate::zip_reads::at;

const NAME: &str = "folder/a file";

type Pack = fn(&str, &[u8]) -> ZipEntry;

/// Each name is a file in an archive of its own.
#[derive(Clone, Debug)]
struct Archives {
    memory: MemoryDownloader,
    transport: Arc<Faulty<MemoryDownloader>>,
    zips: Arc<Mutex<HashMap<String, ZipDownloader>>>,
    pack: Pack,
}

impl Archives {
    fn new(pack: Pack) -> Self {
        let memory = MemoryDownloader::new();
        Self {
            transport: Arc::new(Faulty::new(memory.clone())),
            memory,
            zips: Arc::default(),
            pack,
        }
    }

    fn archive(name: &str) -> Url {
        url(&format!("memory://host/{name}.zip"))
    }
}

#[async_trait]
impl Downloader for Archives {
    async fn open(&self, request: &Request) -> Result<Response, Error> {
        let zips = self.zips.lock().unwrap().clone();
        let is_asked = |zip: &&ZipDownloader| {
            let ours = zip.manifest_url();
            ours.path().rsplit_once('/').map(|(base, _)| base)
                == request
                    .url()
                    .path()
                    .split_once("!/")
                    .map(|(zip, _)| zip)
                    .map(|zip| format!("{zip}!"))
                    .as_deref()
        };
        let mut known = zips.values();
        let first = known.clone().next().expect("the suite publishes first");
        known.find(is_asked).unwrap_or(first).open(request).await
    }
}

#[async_trait]
impl Fixture for Archives {
    fn downloader(&self) -> Arc<dyn Downloader> {
        Arc::new(self.clone())
    }

    fn claims(&self) -> Claims {
        let is_stored = self.pack as usize == stored as Pack as usize;
        Claims::all().with_ranges(if is_stored {
            Ranges::Honoured
        } else {
            Ranges::Ignored
        })
    }

    async fn publish(&self, name: &str, content: Bytes) -> Url {
        let before = ZipEntry::stored("before", "it");
        let archive = Self::archive(name);
        self.memory
            .insert(archive.clone(), zip(&[before, (self.pack)(NAME, &content)]));
        let mut zips = self.zips.lock().unwrap();
        let zip = zips
            .entry(name.to_owned())
            .or_insert_with(|| ZipDownloader::new(archive, self.transport.clone()).unwrap());
        at(zip, NAME)
    }

    async fn remove(&self, name: &str) {
        self.memory.remove(&Self::archive(name));
    }

    async fn open_breaking(&self, name: &str, content: Bytes, after: u64) -> Breaking {
        let url = self.publish(name, content).await;
        // The start, the directory, and then the entry.
        let third = Fault::error_at(after, ErrorKind::Network);
        let plan = Plan::first([Fault::none(), Fault::none(), third]);
        self.transport.set_plan(&Self::archive(name), plan);
        Breaking::Opened(self.open(&Request::new(url)).await)
    }
}

fn stored(name: &str, content: &[u8]) -> ZipEntry {
    ZipEntry::stored(name, content)
}

fn deflated(name: &str, content: &[u8]) -> ZipEntry {
    ZipEntry::deflated(name, content)
}

#[tokio::test]
async fn stored_entries_conform() {
    let report = conformance(&Archives::new(stored)).await;
    assert_eq!(report.kept(), Rule::ALL);
}

#[tokio::test]
async fn deflated_entries_conform() {
    let report = conformance(&Archives::new(deflated)).await;
    assert_eq!(report.kept(), Rule::ALL, "{:?}", report.unchecked());
}
