//! The store of models: what it is, and what a look at it tells.

use std::sync::Arc;

use async_trait::async_trait;
use downloader::{Downloader, Fetcher, FileDownloader, Request, Response, RetryPolicy};
use durable_fs::Disk;
use manifest_core::Sha256Digest;
use tokio::sync::Semaphore;
use url::Url;

use super::endpoints::Endpoints;
use super::layout::{Layout, Locking, check_target};
use super::records::{Known, key_of_checksum, key_of_source};
use super::target::AtTarget;
use super::tokens::Tokens;
use super::wanted::{Presence, WantedModel};
use crate::{CancellationToken, Checksum, Error, ErrorKind, ModelsDir};

/// More at once is not faster.
const DOWNLOADS: usize = 8;
/// How often a lock that another process holds is tried again.
const WAIT: std::time::Duration = std::time::Duration::from_millis(50);

/// `MODELS_DIR`: all models of all versions, each content once.
///
/// ```text
/// <MODELS_DIR>/
///   loras/x.safetensors        a model at its target: a hard link to its content, else a symbolic link, else a copy
///   .store/
///     sha256/ab/<64 digits>    a content, under its SHA-256; "ab" are the first two
///     incoming/<key>/          a download under way; it survives an interruption
///     known/<key>.json         what a source, or an MD5, turned out to be
///     placed/<key>.json        what was put at a target, and the size, time and number of the file then
///     locks/<key>.lock         locked while a content is fetched
///     trash/                   what is being deleted
/// ```
///
/// A content that nobody knows the SHA-256 of is fetched under the digest of its address, until it is known. What an address gave first
/// is remembered and used for all versions, unless a lock or checksum says otherwise.
///
/// A file that the user put at a target is taken if it is the right content, and never changed; if it is not, it is refused, and
/// [`repair`](Self::repair) moves it aside. Two versions that want different contents at one target each get theirs when they are
/// realized, for the cost of a link.
///
/// Any number of processes may use the folder, as far as its file system has locks between them; without, a content may be fetched more
/// than once, and is still stored once. Cloning is cheap; clones share the limit of 8 downloads at a time.
#[derive(Clone, Debug)]
pub struct ModelStore {
    disk: Disk,
    models: ModelsDir,
    fetcher: Fetcher,
    /// Asks only once: for a second look at what is wrong.
    once: Fetcher,
    tokens: Tokens,
    endpoints: Endpoints,
    mirrors: Vec<Url>,
    network: Network,
    downloads: Arc<Semaphore>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network {
    Allowed,
    Forbidden,
}

/// What is known about the content of an entry.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) sha256: Sha256Digest,
    pub(super) size: Option<u64>,
    pub(super) url: Option<Url>,
    pub(super) etag: Option<String>,
    /// Whether it has yet to be shown that it has the MD5 of the entry.
    pub(super) md5: Md5State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Md5State {
    Settled,
    Open,
}

impl Content {
    pub(super) fn new(sha256: Sha256Digest) -> Self {
        Self {
            sha256,
            size: None,
            url: None,
            etag: None,
            md5: Md5State::Settled,
        }
    }
}

impl ModelStore {
    /// The models in this folder, which need not exist yet, fetched by `downloader`; local files are read without it.
    ///
    /// The tokens here only tell what a refusal means. What sends them is the downloader: `Tokens::configure` sets up the HTTP one.
    #[must_use]
    pub fn new(
        disk: Disk,
        models: ModelsDir,
        downloader: Arc<dyn Downloader>,
        tokens: Tokens,
    ) -> Self {
        let downloader: Arc<dyn Downloader> = Arc::new(Anywhere {
            files: FileDownloader::new(),
            others: downloader,
        });
        Self {
            disk,
            models,
            fetcher: Fetcher::new(Arc::clone(&downloader)),
            once: Fetcher::new(downloader).with_retry(RetryPolicy::never()),
            tokens,
            endpoints: Endpoints::new(),
            mirrors: Vec::new(),
            network: Network::Allowed,
            downloads: Arc::new(Semaphore::new(DOWNLOADS)),
        }
    }

    /// Asks these HQ mirrors first, in this order, for contents that are known by their SHA-256. A content is at
    /// `<base>/api/v1/contents/sha256/<hex>`.
    #[must_use]
    pub fn with_mirrors(mut self, bases: Vec<Url>) -> Self {
        self.mirrors = bases;
        self
    }

    /// With other services than the public ones.
    #[must_use]
    pub fn with_endpoints(mut self, endpoints: Endpoints) -> Self {
        self.endpoints = endpoints;
        self
    }

    /// How often and how patiently to try again.
    #[must_use]
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.fetcher = self.fetcher.with_retry(retry);
        self
    }

    /// Uses no network: what is not here is refused with `Offline`. Local files and what is in the store are still used.
    #[must_use]
    pub fn offline(mut self) -> Self {
        self.network = Network::Forbidden;
        self
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &ModelsDir {
        &self.models
    }

    /// What there is of a model. Blocks for a few looks and the reading of a note or two; no model is read.
    ///
    /// What cannot be looked at is missing: [`ensure`](Self::ensure) says why.
    #[must_use]
    pub fn presence(&self, wanted: &WantedModel<'_>) -> Presence {
        let missing = |bytes| Presence::Missing { bytes };
        let pinned_size = wanted.locked.map(|locked| locked.size);
        let Ok(Some(layout)) = Layout::open(&self.disk, &self.models) else {
            return missing(pinned_size);
        };
        let content = content_of(&layout, wanted);
        let sha256 = content.as_ref().map(|content| content.sha256);
        let is_settled = content
            .as_ref()
            .is_some_and(|content| content.md5 == Md5State::Settled);
        let found = layout.look(&wanted.entry.target, sha256);
        match found {
            Ok(AtTarget::Right) if is_settled => return Presence::Placed,
            Ok(AtTarget::Foreign(file)) if !file.is_stored => {
                return Presence::Unknown {
                    bytes: file.metadata.len,
                };
            }
            _ => {}
        }
        let Some(content) = content else {
            return missing(None);
        };
        if is_stored(&layout, &content) {
            return Presence::Stored;
        }
        missing(
            content
                .size
                .map(|size| size.saturating_sub(come_already(&layout, content.sha256))),
        )
    }

    pub(super) fn fetcher(&self) -> &Fetcher {
        &self.fetcher
    }

    pub(super) fn once(&self) -> &Fetcher {
        &self.once
    }

    pub(super) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    pub(super) fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    pub(super) fn mirrors(&self) -> &[Url] {
        &self.mirrors
    }

    pub(super) fn downloads(&self) -> &Semaphore {
        &self.downloads
    }

    pub(super) fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(super) fn may_ask(&self, url: &Url) -> bool {
        self.network == Network::Allowed || url.scheme() == "file"
    }

    pub(super) fn is_offline(&self) -> bool {
        self.network == Network::Forbidden
    }

    /// Waits until nobody else works on this. `None` where the file system has no locks.
    pub(super) async fn lock(
        &self,
        key: Sha256Digest,
        cancel: &CancellationToken,
    ) -> Result<Option<durable_fs::Lock>, Error> {
        let mut is_first = true;
        loop {
            if cancel.is_cancelled() {
                return Err(Error::cancelled());
            }
            match self.blocking(move |layout| layout.try_lock(key)).await? {
                Locking::Locked(lock) => return Ok(Some(lock)),
                Locking::Unsupported => return Ok(None),
                Locking::Held if is_first => {
                    tracing::info!(%key, "another process is fetching this model");
                }
                Locking::Held => {}
            }
            is_first = false;
            tokio::select! {
                () = cancel.cancelled() => {}
                () = tokio::time::sleep(WAIT) => {}
            }
        }
    }

    /// Works on the folder, which is created, where blocking is allowed.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Layout) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (disk, models) = (self.disk.clone(), self.models.clone());
        let task = tokio::task::spawn_blocking(move || work(&Layout::create(&disk, &models)?));
        task.await.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Io, "the work on a model was broken off").with_source(error))
        })
    }

    pub(super) fn check(wanted: &WantedModel<'_>) -> Result<(), Error> {
        check_target(&wanted.entry.target).map_err(|error| error.at(wanted.pointer("target_path")))
    }
}

/// What an entry's content is, as far as it is known: by its pin, its checksum, or what its source gave before.
pub(super) fn content_of(layout: &Layout, wanted: &WantedModel<'_>) -> Option<Content> {
    let entry = wanted.entry;
    let by_source = layout.known(key_of_source(&entry.source));
    let with = |sha256: Sha256Digest, size, md5| {
        let same = by_source.as_ref().filter(|known| known.sha256 == sha256);
        let locked = wanted.locked.filter(|locked| locked.sha256 == sha256);
        Content {
            sha256,
            size: locked
                .map(|locked| locked.size)
                .or(same.map(|known| known.size))
                .or(size),
            url: locked
                .map(|locked| locked.url.clone())
                .or_else(|| same.map(|known| known.url.clone())),
            etag: locked
                .and_then(|locked| locked.etag.clone())
                .or_else(|| same.and_then(|known| known.etag.clone())),
            md5,
        }
    };
    let first_seen = || {
        let pinned = wanted.locked.map(|locked| locked.sha256);
        pinned.or(by_source.as_ref().map(|known| known.sha256))
    };
    match &entry.checksum {
        Some(Checksum::Sha256(digest)) => Some(with(*digest, None, Md5State::Settled)),
        Some(checksum @ Checksum::Md5(_)) => {
            if let Some(known) = layout.known(key_of_checksum(checksum)) {
                return Some(with(known.sha256, Some(known.size), Md5State::Settled));
            }
            first_seen().map(|sha256| with(sha256, None, Md5State::Open))
        }
        None => first_seen().map(|sha256| with(sha256, None, Md5State::Settled)),
    }
}

/// Whether the store has a content, with the size that it must have.
pub(super) fn is_stored(layout: &Layout, content: &Content) -> bool {
    layout
        .stored(content.sha256)
        .is_some_and(|length| content.size.is_none_or(|size| size == length))
}

/// How many bytes of a content an interrupted run left.
fn come_already(layout: &Layout, key: Sha256Digest) -> u64 {
    let name = format!(".store/incoming/{key}/{key}.part");
    layout
        .root()
        .metadata(name)
        .ok()
        .flatten()
        .map_or(0, |metadata| metadata.len)
}

/// What content a source gave, for who asks next.
pub(super) fn remember(
    layout: &Layout,
    wanted: &WantedModelOwned,
    known: &Known,
) -> Result<(), Error> {
    layout.remember(key_of_source(&wanted.entry.source), known)?;
    match &wanted.entry.checksum {
        Some(checksum @ Checksum::Md5(_)) => layout.remember(key_of_checksum(checksum), known),
        _ => Ok(()),
    }
}

/// A wanted model for work on another thread.
#[derive(Clone, Debug)]
pub(super) struct WantedModelOwned {
    index: usize,
    pub(super) entry: crate::ModelEntry,
    locked: Option<crate::LockedModel>,
}

impl WantedModelOwned {
    pub(super) fn of(wanted: &WantedModel<'_>) -> Self {
        Self {
            index: wanted.index,
            entry: wanted.entry.clone(),
            locked: wanted.locked.cloned(),
        }
    }

    pub(super) fn borrowed(&self) -> WantedModel<'_> {
        WantedModel {
            index: self.index,
            entry: &self.entry,
            locked: self.locked.as_ref(),
        }
    }
}

/// Local files by ourselves, all else by the caller's downloader.
#[derive(Debug)]
struct Anywhere {
    files: FileDownloader,
    others: Arc<dyn Downloader>,
}

#[async_trait]
impl Downloader for Anywhere {
    async fn open(&self, request: &Request) -> Result<Response, downloader::Error> {
        if request.url().scheme() == "file" {
            self.files.open(request).await
        } else {
            self.others.open(request).await
        }
    }
}
