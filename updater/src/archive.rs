//! A release ZIP as a source.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use downloader::{Downloader, HostPolicy, Request, Response, StallPolicy, ZipDownloader};
use manifest_core::{FileEntry, Manifest, Sha256Digest};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::error::During as _;
use crate::sources::shown;
use crate::{Error, ErrorKind, TrustPolicy, TrustedManifest, Updater, UpdaterBuilder};

/// When a release ZIP is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ArchiveOrder {
    /// Before the mirrors and the manifest's own URLs.
    First,
    /// When all of these have failed.
    #[default]
    Last,
}

impl UpdaterBuilder {
    /// A release ZIP, `tool_<tool_id>_<version>.zip`, local or at a server that knows Range requests: an `http:`, `https:` or
    /// `file:` URL. Of its bytes, only the directory and the files that are wanted are read.
    ///
    /// Nothing in it is trusted: each file is judged by its digest, like those of all other sources. It may therefore be of
    /// another release: what the two have in common is taken from it. Nothing is read before it is needed.
    pub fn with_archive(mut self, archive: Url, order: ArchiveOrder) -> Self {
        self.archive = Archive::Named(archive, order);
        self
    }
}

impl Updater {
    /// The manifest in the release ZIP that was [given](UpdaterBuilder::with_archive).
    ///
    /// # Errors
    /// [`ErrorKind::Archive`] if the ZIP is refused, its server serves no parts of files, or it has no manifest;
    /// `Configuration` if none was given; `Manifest` if the manifest is not valid, `Trust` if the policy does not let it in;
    /// `NotFound`, `Network`, `Unauthorized`, `Policy`, `Cancelled`.
    ///
    /// # Cancel safety
    /// Nothing is changed, so nothing is left behind when the future is dropped.
    pub async fn fetch_archive_manifest(
        &self,
        trust: &TrustPolicy,
        cancel: &CancellationToken,
    ) -> Result<TrustedManifest, Error> {
        self.settings().archive.check_host(&self.settings().hosts)?;
        let archive =
            self.settings().archive.opened().ok_or_else(|| {
                Error::new(ErrorKind::Configuration, "the updater was given no ZIP")
            })?;
        let manifest = cancel
            .run_until_cancelled(self.manifest_in(archive))
            .await
            .ok_or_else(Error::cancelled)??;
        trust.trust(manifest)
    }

    async fn manifest_in(&self, archive: &Opened) -> Result<Manifest, Error> {
        let limits = &self.settings().limits;
        let url = archive.zip.manifest_url();
        let fetched = self.fetcher().fetch_small(&url, limits.max_bytes).await;
        let bytes = fetched.map_err(|error| {
            let (kind, what) = match error.kind() {
                // The ZIP is there: the error names what is in it.
                downloader::ErrorKind::NotFound if archive.zip.bytes_read() > 0 => (
                    ErrorKind::Archive,
                    "has no manifest.json; is it a release ZIP?",
                ),
                downloader::ErrorKind::Limit => (ErrorKind::Archive, "is refused"),
                kind => (crate::error::kind_of_download(kind), "cannot be read"),
            };
            Error::new(kind, format!("the ZIP {archive} {what}")).with_source(error)
        })?;
        let manifest = Manifest::parse(&bytes, limits)
            .during(|| format!("the manifest in the ZIP {archive} is refused"))?;
        archive.remember(&manifest);
        Ok(manifest)
    }

    /// What is to be said of the ZIP, if it was used and holds another release than this one.
    pub(crate) async fn archive_mismatch(
        &self,
        wanted: &Manifest,
        cancel: &CancellationToken,
    ) -> Option<String> {
        let archive = self.settings().archive.opened()?;
        if archive.zip.bytes_read() == 0 {
            return None;
        }
        if archive.inside().is_none() {
            match cancel
                .run_until_cancelled(self.manifest_in(archive))
                .await?
            {
                Err(error) if error.kind() == ErrorKind::Manifest => {
                    return Some(format!("{error:#}"));
                }
                // Where nothing can be read, the errors of the files have said so.
                read => drop(read.ok()?),
            }
        }
        let (hash, inside) = archive.inside()?;
        (hash != wanted.manifest_hash()).then(|| {
            format!(
                "the ZIP {archive} holds {inside} (manifest hash {hash}), not {} (manifest hash {}): only what both have can \
                 come from it",
                wanted.tool_version(),
                wanted.manifest_hash(),
            )
        })
    }
}

/// The ZIP that an updater was given, if it was.
#[derive(Clone, Debug, Default)]
pub(crate) enum Archive {
    #[default]
    None,
    /// The updater is not built yet.
    Named(Url, ArchiveOrder),
    Opened(Opened),
}

#[derive(Clone, Debug)]
pub(crate) struct Opened {
    zip: ZipDownloader,
    order: ArchiveOrder,
    counted: Arc<AtomicU64>,
    inside: Arc<Mutex<Option<(Sha256Digest, String)>>>,
}

impl Opened {
    fn remember(&self, manifest: &Manifest) {
        let name = format!(
            "release {} of {}",
            manifest.tool_version(),
            manifest.tool_id()
        );
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        *inside = Some((manifest.manifest_hash(), name));
    }

    /// The hash of the manifest in the ZIP, and which release that is, if it was read.
    fn inside(&self) -> Option<(Sha256Digest, String)> {
        let inside = self.inside.lock();
        inside.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Archive {
    /// A downloader that has the ZIP's files beside what `others` has. Nothing is read yet.
    pub(crate) fn open(
        &mut self,
        others: Arc<dyn Downloader>,
        stall: StallPolicy,
    ) -> Result<Arc<dyn Downloader>, Error> {
        let Self::Named(url, order) = self else {
            return Ok(others);
        };
        let zip = ZipDownloader::new(url.clone(), others.clone())
            .during(|| format!("{} cannot be a ZIP", shown(url)))?
            .with_stall(stall);
        let both = Beside {
            zip: zip.clone(),
            others,
        };
        *self = Self::Opened(Opened {
            zip,
            order: *order,
            counted: Arc::default(),
            inside: Arc::default(),
        });
        Ok(Arc::new(both))
    }

    fn opened(&self) -> Option<&Opened> {
        match self {
            Self::Opened(opened) => Some(opened),
            _ => None,
        }
    }

    /// The sources of a content, with the ZIP in its place among them.
    pub(crate) fn among(&self, mut sources: Vec<Url>, targets: &[&FileEntry]) -> Vec<Url> {
        if let Self::Opened(Opened { zip, order, .. }) = self {
            let at = match order {
                ArchiveOrder::First => 0,
                ArchiveOrder::Last => sources.len(),
            };
            let ours = targets.iter().map(|target| zip.url_of(target.path()));
            sources.splice(at..at, ours);
        }
        sources
    }

    /// A local file may be any: whoever built the updater named it, and a manifest cannot.
    pub(crate) fn check_host(&self, hosts: &HostPolicy) -> Result<(), Error> {
        match self.opened() {
            Some(opened) if opened.zip.archive().scheme() != "file" => hosts
                .check(opened.zip.archive())
                .during(|| format!("the ZIP {opened} is refused")),
            _ => Ok(()),
        }
    }

    /// How many bytes of the ZIP were read since this was asked last.
    pub(crate) fn count(&self) -> u64 {
        self.opened().map_or(0, |opened| {
            let read = opened.zip.bytes_read();
            read.saturating_sub(opened.counted.swap(read, Ordering::Relaxed))
        })
    }
}

impl fmt::Display for Opened {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(self.zip.archive()).fmt(formatter)
    }
}

/// The files of a ZIP beside those of another downloader.
#[derive(Debug)]
struct Beside {
    zip: ZipDownloader,
    others: Arc<dyn Downloader>,
}

#[async_trait]
impl Downloader for Beside {
    async fn open(&self, request: &Request) -> Result<Response, downloader::Error> {
        if request.url().scheme() == ZipDownloader::SCHEME {
            self.zip.open(request).await
        } else {
            self.others.open(request).await
        }
    }
}
