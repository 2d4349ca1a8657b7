//! Requests for entries.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use manifest_core::{MANIFEST_FILE_NAME, ReleasePath};
use percent_encoding::percent_decode_str;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use url::{Position, Url};

use super::index::Index;
use super::limits::ZipLimits;
use super::parked::Parked;
use super::serve;
use super::source::{Failure, Source};
use crate::blocking::stopped;
use crate::{Downloader, Error, ErrorKind, Request, Response, StallPolicy};

/// Serves the files in a ZIP archive one by one: a local archive, or a remote one of which only the directory and the wanted entries
/// are transferred.
///
/// It reads parts of the archive through another [`Downloader`] (see [`Request::with_length`]); over HTTP that takes a server that
/// knows Range requests. Its files have URLs of the scheme `zip:`, which [`url_of`](Self::url_of) makes. Clones share everything.
///
/// ```
/// # use std::sync::Arc;
/// # use downloader::{FileDownloader, SchemeRouter, ZipDownloader, ZipLimits};
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let archive = "file:///srv/releases/tool_sketcher_1.1.0.zip".parse()?;
/// let zip = ZipDownloader::open(archive, Arc::new(FileDownloader::new()), ZipLimits::default()).await?;
/// let url = zip.url_of(&"models/unet.safetensors".parse()?);
/// assert_eq!(url.as_str(), "zip:///srv/releases/tool_sketcher_1.1.0.zip!/models/unet.safetensors");
/// let router = SchemeRouter::new().with_scheme(ZipDownloader::SCHEME, Arc::new(zip));
/// # let _ = router;
/// # Ok(())
/// # }
/// ```
///
/// # What is read
///
/// Entries that are stored or deflated, with ZIP64 records and data descriptors where the archive has them. Folders are left out.
/// Names are UTF-8, whether they are marked as that or not. Refused as a whole, with [`ErrorKind::Archive`] and the reason, are
/// archives whose directory another program could read in another way, that have an entry which is encrypted, compressed otherwise, a
/// link, or not safely named (see [`ReleasePath`]), or two entries of one name or with shared bytes; with [`ErrorKind::Limit`] those
/// beyond the [`ZipLimits`]. What stands at an entry itself is seen when it is asked for: then it is refused if its header says
/// something else than the directory, or bytes that belong to no entry follow it.
///
/// # What can be relied on
///
/// - Nothing in an archive is trusted: a [`Fetcher`](crate::Fetcher) judges its files by digest like all others. The CRC-32 of an
///   entry that is read from its start is checked, too, and no entry yields more bytes than the directory states.
/// - Parts of two archives are never mixed. If the archive has a strong validator, and is replaced, the directory is read again, once
///   for each request. Without one, only a changed size is noticed at once; what else differs is found by header, checksum or digest.
/// - Memory stays flat: the directory, and less than 1 MiB for each body.
///
/// A stored entry is read from any offset. A deflated one can be read from its start only: an answer starts at zero, unless this very
/// downloader was left there by a body that broke off or was dropped.
#[derive(Clone)]
pub struct ZipDownloader {
    source: Source,
    base: Url,
    limits: ZipLimits,
    directory: Arc<Mutex<Directory>>,
    parked: Parked,
}

impl ZipDownloader {
    /// The scheme of the URLs of entries.
    pub const SCHEME: &'static str = "zip";

    /// The archive at this URL, which `transport` reads. Nothing is read before the first request.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] for a URL without a path, such as `data:,x`.
    pub fn new(archive: Url, transport: Arc<dyn Downloader>) -> Result<Self, Error> {
        let place = &archive[Position::BeforeHost..Position::AfterPath];
        let base = Url::parse(&format!("{}://{place}!", Self::SCHEME));
        let base = base.ok().filter(|_| !archive.cannot_be_a_base());
        let base = base.ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "this URL cannot be one of a ZIP").with_url(&archive)
        })?;
        Ok(Self {
            source: Source::new(archive, transport),
            base,
            limits: ZipLimits::default(),
            directory: Arc::default(),
            parked: Parked::default(),
        })
    }

    /// The archive at this URL, whose directory is read now.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); `Archive` and `Limit` for an archive that is refused or a server that serves no parts of it; and
    /// whatever the transport fails with.
    ///
    /// # Cancel safety
    ///
    /// Nothing is left behind when the future is dropped.
    pub async fn open(
        archive: Url,
        transport: Arc<dyn Downloader>,
        limits: ZipLimits,
    ) -> Result<Self, Error> {
        let zip = Self::new(archive, transport)?.with_limits(limits);
        zip.load().await?;
        Ok(zip)
    }

    /// How much of the archive is believed.
    #[must_use]
    pub fn with_limits(mut self, limits: ZipLimits) -> Self {
        self.limits = limits;
        self
    }

    /// How slow the transport may be while the directory is read. Bodies are watched by whoever reads them.
    #[must_use]
    pub fn with_stall(mut self, stall: StallPolicy) -> Self {
        self.source.stall = stall;
        self
    }

    /// The archive.
    #[must_use]
    pub fn archive(&self) -> &Url {
        &self.source.url
    }

    /// Where this downloader serves a file, whether the archive has it or not. The archive's query is not part of it.
    #[must_use]
    pub fn url_of(&self, path: &ReleasePath) -> Url {
        self.url_of_name(path.as_str())
    }

    /// Where this downloader serves the release's own manifest.
    #[must_use]
    pub fn manifest_url(&self) -> Url {
        self.url_of_name(MANIFEST_FILE_NAME)
    }

    /// The paths of all files but the manifest, in order. Reads the directory if it was not read yet.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any time: the directory is read on, for who asks next.
    pub async fn paths(&self) -> Result<Vec<ReleasePath>, Error> {
        let index = self.index().await?;
        // The directory's check let only the manifest's name pass beside these.
        let mut paths: Vec<_> = index.names().flat_map(str::parse::<ReleasePath>).collect();
        paths.sort_unstable();
        Ok(paths)
    }

    /// Reads the directory if it was not read yet.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any time: the directory is read on, for who asks next.
    pub async fn load(&self) -> Result<(), Error> {
        self.index().await.map(drop)
    }

    /// How many bytes of the archive were read so far, by all clones: the directory, and entries in their compressed form. Over HTTP that
    /// is what was transferred, but for headers and what was in flight when a body was dropped.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.source.bytes_read()
    }

    fn url_of_name(&self, name: &str) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .expect("the base has an authority, and therefore segments")
            .extend(name.split('/'));
        url
    }

    fn name_in(&self, url: &Url) -> Result<String, Error> {
        let refuse = |kind, why: &str| Err(Error::new(kind, why).with_url(url));
        if url.scheme() != Self::SCHEME {
            return refuse(ErrorKind::Unsupported, "only zip: URLs are read from a ZIP");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse(ErrorKind::Policy, "a URL must not carry user information");
        }
        let path = url
            .as_str()
            .strip_prefix(self.base.as_str())
            .and_then(|rest| rest.strip_prefix('/'));
        match path.map(|path| percent_decode_str(path).decode_utf8()) {
            Some(Ok(name)) => Ok(name.into_owned()),
            _ => refuse(ErrorKind::NotFound, "this URL names nothing in the ZIP"),
        }
    }

    /// The directory, read for whoever comes first. The reading is a task of its own: it goes on if that one is not patient enough.
    async fn index(&self) -> Result<Arc<Index>, Error> {
        let mut directory = self.directory.lock().await;
        if let Directory::Known(index) = &*directory {
            return Ok(index.clone());
        }
        if let Directory::Unknown = &*directory {
            let (source, limits) = (self.source.clone(), self.limits.clone());
            let mut reading = JoinSet::new();
            reading.spawn(async move { Index::read(&source, &limits).await });
            *directory = Directory::Reading(reading);
        }
        let read = match &mut *directory {
            Directory::Reading(reading) => reading.join_next().await,
            _ => None,
        };
        *directory = Directory::Unknown;
        let read = read.expect("there is a task as long as the directory is being read");
        let index = Arc::new(read.map_err(stopped)??);
        *directory = Directory::Known(index.clone());
        Ok(index)
    }

    async fn forget(&self, index: &Arc<Index>) {
        let mut directory = self.directory.lock().await;
        if matches!(&*directory, Directory::Known(known) if Arc::ptr_eq(known, index)) {
            *directory = Directory::Unknown;
        }
    }
}

impl fmt::Debug for ZipDownloader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ZipDownloader")
            .field("source", &self.source)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What is known of the directory. Dropping it ends the reading.
#[derive(Debug, Default)]
enum Directory {
    #[default]
    Unknown,
    Reading(JoinSet<Result<Index, Error>>),
    Known(Arc<Index>),
}

#[async_trait]
impl Downloader for ZipDownloader {
    async fn open(&self, request: &Request) -> Result<Response, Error> {
        let url = request.url();
        let name = self.name_in(url)?;
        for _ in 0..2 {
            let index = self.index().await?;
            match serve::answer(&self.source, &index, &self.parked, &name, request).await {
                Ok(response) => return Ok(response),
                Err(Failure::Failed(error)) => return Err(error.or_url(url)),
                Err(Failure::Changed) => self.forget(&index).await,
            }
        }
        let text = "the ZIP was replaced again and again while it was read";
        Err(Error::new(ErrorKind::Protocol, text)
            .temporary()
            .with_url(self.archive()))
    }
}
