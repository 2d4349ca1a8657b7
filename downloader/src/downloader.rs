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
///
/// # The rules
///
/// Callers rely on these. The conformance suite (module `testing`, behind the feature of that name) checks them one by one, under
/// the same numbers and names.
///
/// 1. **whole**: Without an offset, the answer starts at zero; its body is the whole content, byte for byte, and then ends.
/// 2. **start**: With an offset, the answer starts at that byte, or at zero where the source can do no better, never elsewhere;
///    `Response::start` says which, and the body goes on to the content's end.
/// 3. **if-range-same**: With an offset and an `if_range` that is still the content's validator, the answer starts as without
///    `if_range`: what came before may be joined to it.
/// 4. **if-range-changed**: With an `if_range` that is not the validator of what the URL names now, the answer is the whole of what it
///    names now, even if that is shorter than the offset.
/// 5. **validator**: A validator is the same in each answer, whole or part, while the content is the same, and another one as soon as the
///    content is another, even of the same size. A source that cannot promise this gives none.
/// 6. **total**: A stated total is the size of the whole content, in a part as well.
/// 7. **expected-size**: A backend that knows the size refuses a request whose `expected_size` is another with `Protocol`, before any
///    byte.
/// 8. **not-found**: What the source does not have, or has no longer, is refused with `NotFound`.
/// 9. **range-not-satisfiable**: A non-zero offset at or behind the end is refused with `RangeNotSatisfiable`; a source that knows no
///    ranges starts at zero instead. So may an empty content.
/// 10. **foreign-scheme**: A URL of a scheme that the backend does not serve is refused with `Unsupported` or `Policy`.
/// 11. **user-information**: A URL with a user name or password is refused with `Policy`: credentials belong to the backend's
///     configuration, not into a manifest.
/// 12. **secrets**: No error shows a URL's user information or query, in its text, its causes or its `Debug` form.
/// 13. **broken-body**: A body that breaks off yields an error and then ends; it never just ends. The bytes before the error were good.
/// 14. **empty**: An empty content is an answer without bytes, not an error.
/// 15. **chunks**: A large content comes in pieces of 4 MiB at most, so that memory stays flat.
/// 16. **dropped-open**: The future of `open` may be dropped at any time. Nothing stays taken, and the next request is served.
/// 17. **dropped-body**: A body may be dropped at any time, read to its end or not. Nothing stays taken, and the next request is served.
/// 18. **concurrent**: Many requests and bodies may be under way at once. None waits for another to be read to its end, and none gets
///     another's bytes.
/// 19. **length**: With a length, the body may end as soon as it has given that many bytes, counted from the request's offset, and not
///     before that unless the content ends; a backend may as well ignore the length. Whoever asks stops reading, and compares the
///     validator, since the answer may come from another content and start at the offset all the same, if that is zero. All else
///     holds as without a length: `total` is the size of the whole. An empty content may be refused with `RangeNotSatisfiable`.
///
/// Refusals by rules 7 to 11 are permanent: [`Error::is_temporary`] tells the caller whether to try again, and here that is useless.
#[async_trait]
pub trait Downloader: Send + Sync + fmt::Debug {
    /// Opens the URL at the request's offset, as the rules above say.
    ///
    /// # Errors
    ///
    /// What rules 7 to 11 name; otherwise whatever fits of [`ErrorKind`](crate::ErrorKind), temporary where the same request may succeed
    /// later.
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
    length: Option<u64>,
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
            length: None,
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

    /// Only this many bytes from the offset on are wanted; zero counts as one. A hint that saves transfers: see the rule **length**.
    #[must_use]
    pub fn with_length(mut self, length: Option<u64>) -> Self {
        self.length = length.map(|length| length.max(1));
        self
    }

    /// Only if the validator is still this one; otherwise the whole. Belongs to an offset or a length: without
    /// one it says nothing, and a strict backend refuses it.
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

    /// How many bytes are wanted, if not all to the end.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.length
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
