//! The archive as bytes at a transport: parts of it, all of the same archive.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use url::Url;

use super::fields::refused;
use crate::error::shown;
use crate::stall::Watch;
use crate::{Body, Downloader, Error, ErrorKind, Request, StallPolicy, Validator};

/// Enough of the start to see what it is, little enough to cost nothing.
const START: u64 = 256;

/// Which archive it is: parts are read only from one that is still this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) size: u64,
    pub(super) validator: Option<Validator>,
}

/// Why a part could not be had.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is another archive at the URL by now.
    Changed,
    Failed(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// An archive at its URL, and how many bytes were read of it.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) url: Url,
    pub(super) stall: StallPolicy,
    transport: Arc<dyn Downloader>,
    bytes_read: Arc<AtomicU64>,
}

impl Source {
    pub(super) fn new(url: Url, transport: Arc<dyn Downloader>) -> Self {
        Self {
            url,
            stall: StallPolicy::default(),
            transport,
            bytes_read: Arc::default(),
        }
    }

    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// The first bytes, and which archive they are of.
    pub(super) async fn start(&self) -> Result<(Identity, Bytes), Error> {
        let mut watch = Watch::new(self.stall);
        let request = Request::new(self.url.clone()).with_length(Some(START));
        let opened = watch.wait(self.transport.open(&request)).await;
        let response = match opened.map_err(|error| error.with_url(&self.url))? {
            // Of nothing, a server may have no part.
            Err(error) if error.kind() == ErrorKind::RangeNotSatisfiable => {
                let validator = None;
                return Ok((Identity { size: 0, validator }, Bytes::new()));
            }
            opened => opened?,
        };
        if response.start() != 0 {
            let text = "the answer does not start where the archive does";
            return Err(Error::new(ErrorKind::Protocol, text).with_url(&self.url));
        }
        let Some(size) = response.total() else {
            let text = "the server does not say how large the ZIP is, so that no part of it can be asked for; \
                        download it first, and use the local file";
            return Err(refused(text).with_url(&self.url));
        };
        let identity = Identity {
            size,
            validator: response.validator().cloned(),
        };
        let body = self.counted(response.into_body());
        let bytes = self.collect(body, size.min(START), &mut watch).await?;
        Ok((identity, bytes))
    }

    /// These bytes of the archive.
    pub(super) async fn read(
        &self,
        identity: &Identity,
        range: Range<u64>,
    ) -> Result<Bytes, Failure> {
        let mut watch = Watch::new(self.stall);
        let length = range.end - range.start;
        let body = watch
            .wait(self.open(identity, range.start, length))
            .await
            .map_err(|error| error.with_url(&self.url))??;
        Ok(self.collect(body, length, &mut watch).await?)
    }

    /// The archive from this byte on, at least `length` bytes.
    pub(super) async fn open(
        &self,
        identity: &Identity,
        start: u64,
        length: u64,
    ) -> Result<Body, Failure> {
        let request = Request::new(self.url.clone())
            .with_offset(start)
            .with_length(Some(length))
            .with_if_range(identity.validator.clone());
        let response = match self.transport.open(&request).await {
            // It was longer when it was looked at.
            Err(error) if error.kind() == ErrorKind::RangeNotSatisfiable => {
                return Err(Failure::Changed);
            }
            opened => opened?,
        };
        let size = response.total().unwrap_or(identity.size);
        let is_other = identity.validator.is_some()
            && response.validator() != identity.validator.as_ref()
            || size != identity.size;
        if is_other {
            return Err(Failure::Changed);
        }
        if response.start() != start {
            let text = "the server ignores Range requests, so that single files of the ZIP cannot be had from it; \
                        download it first, and use the local file";
            return Err(refused(text).with_url(&self.url).into());
        }
        Ok(self.counted(response.into_body()))
    }

    async fn collect(
        &self,
        mut body: Body,
        length: u64,
        watch: &mut Watch,
    ) -> Result<Bytes, Error> {
        let mut bytes = Vec::with_capacity(length as usize);
        while (bytes.len() as u64) < length {
            let piece = watch
                .wait(body.next())
                .await
                .map_err(|error| error.with_url(&self.url))?;
            let piece = piece.ok_or_else(|| ended_early().with_url(&self.url))??;
            watch.received(piece.len() as u64);
            let wanted = (length as usize - bytes.len()).min(piece.len());
            bytes.extend_from_slice(&piece[..wanted]);
        }
        Ok(bytes.into())
    }

    fn counted(&self, body: Body) -> Body {
        let bytes_read = self.bytes_read.clone();
        body.inspect_ok(move |piece| {
            bytes_read.fetch_add(piece.len() as u64, Ordering::Relaxed);
        })
        .boxed()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL's query may hold a secret.
        formatter
            .debug_struct("Source")
            .field("url", &shown(&self.url))
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

/// A body that breaks off without saying so.
pub(super) fn ended_early() -> Error {
    Error::new(ErrorKind::Network, "the ZIP's bytes ended too early")
}
