//! The core trait, and what goes in and out of it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use url::Url;

use crate::{Error, Validator};

/// The bytes of an answer, in order.
pub type Body = BoxStream<'static, Result<Bytes, Error>>;

/// A way to get bytes. Implement this one method for a new transport or a fake; resuming, verifying, limits, retries and writing
/// are built on top of it by [`Fetcher`](crate::Fetcher).
#[async_trait]
pub trait Downloader: Send + Sync + fmt::Debug {
    /// Opens the URL at the request's offset.
    ///
    /// The answer starts either at that offset or at zero, never elsewhere. It must start at zero when the request carries an
    /// `if_range` that is no longer the validator of what the URL names. A body that breaks off yields an error; the chunks
    /// before it were good.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RangeNotSatisfiable`](crate::ErrorKind::RangeNotSatisfiable) when there is no byte at a non-zero offset.
    /// [`Error::is_temporary`] tells the caller whether to try again.
    async fn open(&self, request: &Request) -> Result<Response, Error>;
}

#[async_trait]
impl<D: Downloader + ?Sized> Downloader for Arc<D> {
    async fn open(&self, request: &Request) -> Result<Response, Error> {
        (**self).open(request).await
    }
}

/// What to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    url: Url,
    offset: u64,
    if_range: Option<Validator>,
    expected_size: Option<u64>,
}

impl Request {
    /// The whole of what this URL names.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self {
            url,
            offset: 0,
            if_range: None,
            expected_size: None,
        }
    }

    /// From this byte to the end. Zero means the whole.
    #[must_use]
    pub fn with_offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// Only if the validator is still this one; otherwise the whole.
    #[must_use]
    pub fn with_if_range(mut self, validator: Option<Validator>) -> Self {
        self.if_range = validator;
        self
    }

    /// The size that the whole must have, in bytes; a backend that learns of another one fails early.
    #[must_use]
    pub fn with_expected_size(mut self, size: Option<u64>) -> Self {
        self.expected_size = size;
        self
    }

    /// What to open.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The first byte that is wanted.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The validator of what the caller has already.
    #[must_use]
    pub fn if_range(&self) -> Option<&Validator> {
        self.if_range.as_ref()
    }

    /// The size that the whole must have, in bytes.
    #[must_use]
    pub fn expected_size(&self) -> Option<u64> {
        self.expected_size
    }
}

/// What a source answered.
pub struct Response {
    start: u64,
    total: Option<u64>,
    validator: Option<Validator>,
    body: Body,
}

impl Response {
    /// A body whose first byte is byte `start` of the whole.
    #[must_use]
    pub fn new(start: u64, body: Body) -> Self {
        Self {
            start,
            total: None,
            validator: None,
            body,
        }
    }

    /// The size of the whole in bytes, where the source said it.
    #[must_use]
    pub fn with_total(mut self, total: Option<u64>) -> Self {
        self.total = total;
        self
    }

    /// The strong validator, where the source gave one.
    #[must_use]
    pub fn with_validator(mut self, validator: Option<Validator>) -> Self {
        self.validator = validator;
        self
    }

    /// Which byte of the whole the body begins with.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The size of the whole in bytes, where the source said it.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// The strong validator, where the source gave one.
    #[must_use]
    pub fn validator(&self) -> Option<&Validator> {
        self.validator.as_ref()
    }

    /// The bytes.
    #[must_use]
    pub fn into_body(self) -> Body {
        self.body
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Response")
            .field("start", &self.start)
            .field("total", &self.total)
            .field("validator", &self.validator)
            .finish_non_exhaustive()
    }
}
