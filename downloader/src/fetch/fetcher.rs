//! What a caller asks for and gets.

use std::sync::Arc;

use manifest_core::Sha256Digest;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::attempt::Fetch;
use super::hosts::Hosts;
use super::partial::{Found, Partial};
use super::pipeline::Pipeline;
use super::store::PartialStore;
use crate::blocking::blocking;
use crate::{Downloader, Error, Jitter, ProgressSink, RandomJitter, RetryPolicy, StallPolicy};

/// The content that is wanted: its identity and its size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    digest: Sha256Digest,
    size: u64,
}

impl Target {
    /// A content with this digest and size.
    #[must_use]
    pub fn new(digest: Sha256Digest, size: u64) -> Self {
        Self { digest, size }
    }

    /// The digest that decides.
    #[must_use]
    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// The size in bytes; no source may send more.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// What a fetch cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fetched {
    pub(super) bytes_transferred: u64,
    pub(super) bytes_resumed: u64,
    pub(super) source: Option<Url>,
    pub(super) retries: u32,
}

impl Fetched {
    /// Bytes of bodies that came from sources, useless ones included.
    #[must_use]
    pub fn bytes_transferred(&self) -> u64 {
        self.bytes_transferred
    }

    /// Bytes of the file that were there from an earlier run.
    #[must_use]
    pub fn bytes_resumed(&self) -> u64 {
        self.bytes_resumed
    }

    /// Where the last byte came from; `None` when nothing had to be fetched.
    #[must_use]
    pub fn source(&self) -> Option<&Url> {
        self.source.as_ref()
    }

    /// How many times something had to be tried again.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.retries
    }
}

/// Fetches whole, verified files through any [`Downloader`]. Cheap to clone; one serves any number of files at once.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use downloader::{Fetcher, MemoryDownloader, RetryPolicy, StallPolicy};
///
/// let fetcher = Fetcher::new(Arc::new(MemoryDownloader::new())) // or any other downloader
///     .with_retry(RetryPolicy::new().with_attempts(3))
///     .with_stall(StallPolicy::new(50_000, Duration::from_secs(10))); // bytes per second, over 10 s
/// # let _ = fetcher;
/// ```
///
/// [The front page](crate) shows a whole transfer.
#[derive(Clone, Debug)]
pub struct Fetcher {
    pub(super) downloader: Arc<dyn Downloader>,
    pub(super) retry: RetryPolicy,
    pub(super) stall: StallPolicy,
    pub(super) jitter: Arc<dyn Jitter>,
    pub(super) hosts: Hosts,
}

impl Fetcher {
    /// Fetches through `downloader`, with the default policies.
    #[must_use]
    pub fn new(downloader: Arc<dyn Downloader>) -> Self {
        Self {
            downloader,
            retry: RetryPolicy::default(),
            stall: StallPolicy::default(),
            jitter: Arc::new(RandomJitter),
            hosts: Hosts::default(),
        }
    }

    /// How often and how patiently to try again.
    #[must_use]
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// How slow a source may be.
    #[must_use]
    pub fn with_stall(mut self, stall: StallPolicy) -> Self {
        self.stall = stall;
        self
    }

    /// Where the randomness of waits comes from.
    #[must_use]
    pub fn with_random(mut self, jitter: Arc<dyn Jitter>) -> Self {
        self.jitter = jitter;
        self
    }

    /// Brings the content into the store as [`PartialStore::file_name`]. When this returns, the file has the right size and digest.
    ///
    /// The sources are tried in order, also in the middle of the file. What an earlier run left in the store is used, if the digest
    /// of the whole comes out right with it; a finished file of an earlier run is hashed again. A content of size zero and one
    /// that is here already ask no source.
    ///
    /// Nothing is synced: sync the file or the tree before you depend on it.
    ///
    /// # Errors
    ///
    /// When every source has failed, one error that says what each of them answered, of the first one's kind or, if one sent wrong
    /// bytes, `Integrity`; `Cancelled`; `NoSpace` and `Io` when the store cannot be written. What had arrived stays in the store.
    ///
    /// A host that gave this fetcher no answer is asked behind all others for the next 30 seconds, also for other files.
    ///
    /// A host whose name cannot be resolved is given up after a second attempt, unless it has answered this fetcher before.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any time: up to 4 MiB that had arrived may then be fetched again. A write that is under way goes
    /// on to its end; the next fetch of the same content through this store waits for it.
    pub async fn fetch(
        &self,
        target: &Target,
        sources: &[Url],
        partials: &PartialStore,
        progress: &dyn ProgressSink,
        cancel: &CancellationToken,
    ) -> Result<Fetched, Error> {
        let target = *target;
        let turn = cancel
            .run_until_cancelled(partials.turn(target.digest()))
            .await
            .ok_or_else(Error::cancelled)?;
        let found = if partials.may_have_any(target.digest()) {
            let (store, cancel) = (partials.clone(), cancel.clone());
            blocking(move || Partial::find(store, target, turn, &cancel)).await?
        } else {
            Found::Partial(Box::new(Partial::fresh(partials.clone(), target, turn)))
        };
        match found {
            Found::Done => {
                progress.resumed(target.size());
                Ok(Fetched {
                    bytes_resumed: target.size(),
                    ..Fetched::default()
                })
            }
            Found::Partial(partial) => {
                progress.resumed(partial.length());
                let journal = partial.journal().cloned();
                let length = partial.length();
                Fetch::new(
                    self,
                    target,
                    sources,
                    Pipeline::new(partial),
                    progress,
                    cancel,
                )
                .with_found(length, journal)
                .run()
                .await
            }
        }
    }
}
