//! A store in a temporary folder, and fetches that check what always holds.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use downloader::{
    Downloader, Error, Fetched, Fetcher, Jitter, PartialStore, ProgressSink, RetryPolicy, Target,
};
use durable_fs::Disk;
use manifest_core::Sha256Digest;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use url::Url;

pub(crate) fn target(content: &[u8]) -> Target {
    Target::new(Sha256Digest::of(content), content.len() as u64)
}

pub(crate) fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

/// Bytes without a short period, so that a shifted or repeated piece is noticed.
pub(crate) fn content(size: usize) -> Vec<u8> {
    (0_u32..)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .take(size)
        .collect()
}

/// Waits take no time.
#[derive(Debug)]
pub(crate) struct NoJitter;

impl Jitter for NoJitter {
    fn pick(&self, _upper: Duration) -> Duration {
        Duration::ZERO
    }
}

/// Three attempts, no waits.
pub(crate) fn fetcher(downloader: impl Downloader + 'static) -> Fetcher {
    Fetcher::new(Arc::new(downloader))
        .with_retry(
            RetryPolicy::new()
                .with_attempts(3)
                .with_longest_retry_after(Duration::ZERO),
        )
        .with_random(Arc::new(NoJitter))
}

#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) position: AtomicU64,
}

impl ProgressSink for Counted {
    fn resumed(&self, bytes: u64) {
        self.position.fetch_add(bytes, Ordering::Relaxed);
    }
    fn received(&self, bytes: u64) {
        self.position.fetch_add(bytes, Ordering::Relaxed);
    }
    fn discarded(&self, bytes: u64) {
        self.position.fetch_sub(bytes, Ordering::Relaxed);
    }
    fn waiting(&self, _error: &Error, _wait: Duration) {}
}

/// Calls once, when the file has reached a position.
pub(crate) struct At<F: Fn() + Send + Sync> {
    pub(crate) position: u64,
    pub(crate) seen: AtomicU64,
    pub(crate) call: F,
}

impl<F: Fn() + Send + Sync> At<F> {
    pub(crate) fn new(position: usize, call: F) -> Self {
        Self {
            position: position as u64,
            seen: AtomicU64::new(0),
            call,
        }
    }
}

impl<F: Fn() + Send + Sync> std::fmt::Debug for At<F> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("At")
    }
}

impl<F: Fn() + Send + Sync> ProgressSink for At<F> {
    fn resumed(&self, _bytes: u64) {}
    fn received(&self, bytes: u64) {
        let before = self.seen.fetch_add(bytes, Ordering::Relaxed);
        if before < self.position && before + bytes >= self.position {
            (self.call)();
        }
    }
    fn discarded(&self, _bytes: u64) {}
    fn waiting(&self, _error: &Error, _wait: Duration) {}
}

/// A store in a folder of its own.
pub(crate) struct Desk {
    folder: TempDir,
    pub(crate) store: PartialStore,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self::on(&Disk::real())
    }

    pub(crate) fn on(disk: &Disk) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = PartialStore::open(disk.open_dir(folder.path()).unwrap()).unwrap();
        Self { folder, store }
    }

    /// What a new process would do.
    pub(crate) fn reopen(&mut self) {
        self.store =
            PartialStore::open(Disk::real().open_dir(self.folder.path()).unwrap()).unwrap();
    }

    pub(crate) fn path(&self, target: Target, ending: &str) -> PathBuf {
        self.folder
            .path()
            .join(format!("{}.{ending}", target.digest()))
    }

    pub(crate) fn part(&self, target: Target) -> Option<Vec<u8>> {
        std::fs::read(self.path(target, "part")).ok()
    }

    /// Everything in the folder.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Fetches; on success checks the file, the progress and that nothing else is left.
    pub(crate) async fn fetch(
        &self,
        fetcher: &Fetcher,
        content: &[u8],
        sources: &[Url],
    ) -> Result<Fetched, Error> {
        let target = target(content);
        let progress = Counted::default();
        let result = fetcher
            .fetch(
                &target,
                sources,
                &self.store,
                &progress,
                &CancellationToken::new(),
            )
            .await;
        if result.is_ok() {
            let name = self
                .store
                .completed(target.digest())
                .expect("a fetched file is complete");
            assert_eq!(name, PartialStore::file_name(target.digest()));
            assert!(
                std::fs::read(self.folder.path().join(&name)).unwrap() == content,
                "other bytes than asked for"
            );
            assert_eq!(
                progress.position.load(Ordering::Relaxed),
                target.size(),
                "progress adds up"
            );
            assert_eq!(self.names(), [name], "nothing but the file is left");
        } else {
            assert!(
                !self.path(target, "done").exists(),
                "nothing unverified has the final name"
            );
            assert_eq!(self.store.completed(target.digest()), None);
        }
        result
    }
}
