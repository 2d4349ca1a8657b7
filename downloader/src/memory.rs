//! Bytes that are there already: for tests, stricter than a real server.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use manifest_core::Sha256Digest;
use url::Url;

use crate::{Downloader, Error, ErrorKind, Request, Response, Validator};

const CHUNK: usize = 64 * 1024;

/// Serves bytes from memory, and counts. Clones share everything.
///
/// It is stricter than a server has to be: an unknown URL is refused, user information is refused, and so are requests that make no sense
/// (`if_range` with neither offset nor length, an expected size that is not the real one). Every content has a validator, its digest.
///
/// ```
/// use downloader::{Downloader, MemoryDownloader, Request};
/// use url::Url;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let memory = MemoryDownloader::new();
/// let url = Url::parse("https://hq.example/model.bin")?;
/// memory.insert(url.clone(), "0123456789");
///
/// let response = memory.open(&Request::new(url.clone()).with_offset(4)).await?;
/// assert_eq!((response.start(), response.total()), (4, Some(10)));
/// assert_eq!(memory.offsets(&url), [4]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryDownloader {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    contents: Mutex<HashMap<Url, Content>>,
    requests: Mutex<Vec<Request>>,
    bytes_served: AtomicU64,
}

#[derive(Clone, Debug)]
struct Content {
    bytes: Bytes,
    validator: Option<Validator>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryDownloader {
    /// Knows no URL yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves `bytes` at `url` from now on.
    pub fn insert(&self, url: Url, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        let validator = Validator::from_etag(&format!("\"{}\"", Sha256Digest::of(&bytes)));
        lock(&self.shared.contents).insert(url, Content { bytes, validator });
    }

    /// Serves nothing at `url` any more.
    pub fn remove(&self, url: &Url) {
        lock(&self.shared.contents).remove(url);
    }

    /// All requests so far, refused ones included.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared.requests).clone()
    }

    /// The offsets that were asked of one URL, in order.
    #[must_use]
    pub fn offsets(&self, url: &Url) -> Vec<u64> {
        lock(&self.shared.requests)
            .iter()
            .filter(|request| request.url() == url)
            .map(Request::offset)
            .collect()
    }

    /// How many bytes were handed out.
    #[must_use]
    pub fn bytes_served(&self) -> u64 {
        self.shared.bytes_served.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Downloader for MemoryDownloader {
    async fn open(&self, request: &Request) -> Result<Response, Error> {
        lock(&self.shared.requests).push(request.clone());
        let url = request.url();
        let refuse = |kind, why: &str| Err(Error::new(kind, why).with_url(url));
        if !url.username().is_empty() || url.password().is_some() {
            return refuse(ErrorKind::Policy, "a URL must not carry user information");
        }
        let Some(Content { bytes, validator }) = lock(&self.shared.contents).get(url).cloned()
        else {
            return refuse(
                ErrorKind::NotFound,
                "nothing is stored in memory for this URL",
            );
        };
        let total = bytes.len() as u64;
        if request.if_range().is_some() && request.offset() == 0 && request.length().is_none() {
            return refuse(
                ErrorKind::Protocol,
                "a request with neither offset nor length must not carry if_range",
            );
        }
        if request
            .expected_size()
            .is_some_and(|expected| expected != total)
        {
            return refuse(
                ErrorKind::Protocol,
                &format!("the content has {total} bytes, not the expected number"),
            );
        }
        let unchanged = request
            .if_range()
            .is_none_or(|wanted| Some(wanted) == validator.as_ref());
        let start = if unchanged { request.offset() } else { 0 };
        if start > 0 && start >= total {
            return refuse(
                ErrorKind::RangeNotSatisfiable,
                &format!("there is no byte {start} in {total}"),
            );
        }
        let shared = Arc::clone(&self.shared);
        let wanted = request.length().filter(|_| unchanged).unwrap_or(total);
        let end = start + wanted.min(total - start);
        let rest = bytes.slice(start as usize..end as usize);
        let body = stream::iter((0..rest.len()).step_by(CHUNK)).map(move |at| {
            let chunk = rest.slice(at..rest.len().min(at + CHUNK));
            shared
                .bytes_served
                .fetch_add(chunk.len() as u64, Ordering::Relaxed);
            Ok(chunk)
        });
        Ok(Response::new(start, body.boxed())
            .with_total(Some(total))
            .with_validator(validator))
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt as _;

    use super::*;

    fn stored() -> (MemoryDownloader, Url) {
        let downloader = MemoryDownloader::new();
        let url = Url::parse("memory://a/b").unwrap();
        downloader.insert(url.clone(), "0123456789");
        (downloader, url)
    }

    #[tokio::test]
    async fn serves_from_the_offset_and_counts() {
        let (downloader, url) = stored();
        let response = downloader
            .open(&Request::new(url.clone()).with_offset(7))
            .await
            .unwrap();
        assert_eq!((response.start(), response.total()), (7, Some(10)));
        let body: Vec<Bytes> = response.into_body().try_collect().await.unwrap();
        assert_eq!(body.concat(), b"789");
        assert_eq!(downloader.bytes_served(), 3);
        assert_eq!(downloader.offsets(&url), [7]);
    }

    #[tokio::test]
    async fn a_changed_content_is_served_whole() {
        let (downloader, url) = stored();
        let validator = downloader
            .open(&Request::new(url.clone()))
            .await
            .unwrap()
            .validator()
            .cloned();
        let again = Request::new(url.clone())
            .with_offset(4)
            .with_if_range(validator);
        assert_eq!(downloader.open(&again).await.unwrap().start(), 4);
        downloader.insert(url, "abcdefghij");
        assert_eq!(downloader.open(&again).await.unwrap().start(), 0);
    }

    #[tokio::test]
    async fn refuses_what_makes_no_sense() {
        let (downloader, url) = stored();
        let kind = async |request: Request| downloader.open(&request).await.unwrap_err().kind();
        assert_eq!(
            kind(Request::new(Url::parse("memory://a/c").unwrap())).await,
            ErrorKind::NotFound
        );
        assert_eq!(
            kind(Request::new(Url::parse("memory://me@a/b").unwrap())).await,
            ErrorKind::Policy
        );
        assert_eq!(
            kind(Request::new(url.clone()).with_offset(10)).await,
            ErrorKind::RangeNotSatisfiable
        );
        assert_eq!(
            kind(Request::new(url.clone()).with_expected_size(Some(9))).await,
            ErrorKind::Protocol
        );
        let tag = Validator::from_etag("\"x\"");
        assert_eq!(
            kind(Request::new(url).with_if_range(tag)).await,
            ErrorKind::Protocol
        );
    }
}
