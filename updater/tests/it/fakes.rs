//! Observers, and things that go wrong on demand.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use downloader::{Downloader, MemoryDownloader, Request, Response};
use durable_fs::{Disk, Effect, Operation, Verdict};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::sync::Semaphore;
use updater::Event;

/// Everything that an updater says.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<Event>>>);

impl Heard {
    pub(crate) fn listener(&self) -> impl Fn(&Event) + Send + Sync + 'static {
        let events = self.0.clone();
        move |event: &Event| events.lock().unwrap().push(event.clone())
    }

    pub(crate) fn all(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn bytes_verified(&self) -> u64 {
        let bytes = |event: &Event| match event {
            Event::BytesVerified(bytes) => *bytes,
            _ => 0,
        };
        self.all().iter().map(bytes).sum()
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        let warning = |event| match event {
            Event::Warning(text) => Some(text),
            _ => None,
        };
        self.all().into_iter().filter_map(warning).collect()
    }
}

/// Gives the first bytes of every body, says so, and the rest only when it is let go.
#[derive(Clone, Debug)]
pub(crate) struct Gated {
    inner: MemoryDownloader,
    first: usize,
    reached: Arc<Semaphore>,
    go: Arc<Semaphore>,
}

impl Gated {
    pub(crate) fn new(inner: &MemoryDownloader, first: usize) -> Self {
        Self {
            inner: inner.clone(),
            first,
            reached: Arc::new(Semaphore::new(0)),
            go: Arc::new(Semaphore::new(0)),
        }
    }

    /// Waits until so many bodies stand at the gate.
    pub(crate) async fn reached(&self, bodies: u32) {
        let wait = self.reached.acquire_many(bodies);
        let wait = tokio::time::timeout(Duration::from_secs(30), wait).await;
        wait.expect("nobody came to the gate").unwrap().forget();
    }

    pub(crate) fn open_gate(&self) {
        self.go.add_permits(1000);
    }
}

#[async_trait]
impl Downloader for Gated {
    async fn open(&self, request: &Request) -> Result<Response, downloader::Error> {
        let response = self.inner.open(request).await?;
        let (start, total) = (response.start(), response.total());
        let validator = response.validator().cloned();
        let whole: Vec<Bytes> = response.into_body().try_collect().await?;
        let mut first = Bytes::from(whole.concat());
        let rest = first.split_off(self.first.min(first.len()));
        let (reached, go) = (self.reached.clone(), self.go.clone());
        let first = stream::iter([Ok(first)]);
        let rest = stream::once(async move {
            reached.add_permits(1);
            go.acquire().await.unwrap().forget();
            Ok(rest)
        });
        Ok(Response::new(start, first.chain(rest).boxed())
            .with_total(total)
            .with_validator(validator))
    }
}

/// When a [`FaultyDisk`] fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Never,
    /// This step alone.
    Once(usize),
    /// This step and all that follow, as if the machine had stopped.
    From(usize),
}

/// A disk whose effects are counted and fail as told.
#[derive(Debug)]
pub(crate) struct FaultyDisk {
    when: When,
    kind: io::ErrorKind,
    /// Which effects are counted and can fail.
    concerns: fn(&Effect<'_>) -> bool,
    steps: AtomicUsize,
    failed: Mutex<Option<(Operation, PathBuf)>>,
}

impl FaultyDisk {
    pub(crate) fn new(
        when: When,
        kind: io::ErrorKind,
        concerns: fn(&Effect<'_>) -> bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            when,
            kind,
            concerns,
            steps: AtomicUsize::new(0),
            failed: Mutex::default(),
        })
    }

    pub(crate) fn disk(self: &Arc<Self>) -> Disk {
        Disk::observed(self.clone())
    }

    pub(crate) fn steps(&self) -> usize {
        self.steps.load(Ordering::SeqCst)
    }

    /// What failed first.
    pub(crate) fn failed(&self) -> Option<(Operation, PathBuf)> {
        self.failed.lock().unwrap().clone()
    }
}

impl durable_fs::Observer for FaultyDisk {
    fn before(&self, effect: &Effect<'_>) -> Verdict {
        if !(self.concerns)(effect) {
            return Verdict::Proceed;
        }
        let step = self.steps.fetch_add(1, Ordering::SeqCst);
        let fails = match self.when {
            When::Never => false,
            When::Once(wanted) => step == wanted,
            When::From(first) => step >= first,
        };
        if !fails {
            return Verdict::Proceed;
        }
        let mut failed = self.failed.lock().unwrap();
        failed.get_or_insert_with(|| (effect.operation, effect.path.clone()));
        Verdict::Fail(io::Error::from(self.kind))
    }

    fn after(&self, _: &Effect<'_>) {}
}
