//! A document in memory, whose digest nobody knows yet.

use futures::StreamExt as _;
use tokio::time::sleep;
use url::Url;

use super::fetcher::Fetcher;
use crate::stall::Watch;
use crate::{Error, ErrorKind, Request};

/// A person waits for such a document; one that does not come is better said soon.
const ATTEMPTS: u32 = 3;

impl Fetcher {
    /// Reads a small document, such as a manifest, into memory. Its bytes are not verified: whoever reads
    /// them must.
    ///
    /// A failure that may pass is retried, from the start, at most twice.
    ///
    /// # Errors
    ///
    /// `Limit` beyond `limit` bytes, and whatever the source fails with.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any time; nothing is kept.
    pub async fn fetch_small(&self, url: &Url, limit: u64) -> Result<Vec<u8>, Error> {
        let mut failures = 0;
        loop {
            let error = match self.read(url, limit).await {
                Ok(bytes) => {
                    self.hosts.found(url);
                    return Ok(bytes);
                }
                Err(error) => error,
            };
            failures += 1;
            if !error.is_temporary() || failures >= self.retry.attempts().min(ATTEMPTS) {
                return Err(error);
            }
            sleep(
                self.retry
                    .wait(failures, error.retry_after(), &*self.jitter),
            )
            .await;
        }
    }

    async fn read(&self, url: &Url, limit: u64) -> Result<Vec<u8>, Error> {
        let mut watch = Watch::new(self.stall);
        let request = Request::new(url.clone());
        let at_url = |error: Error| error.with_url(url);
        let response = watch
            .wait(self.downloader.open(&request))
            .await
            .map_err(at_url)??;
        let total = response.total();
        let mut body = response.into_body();
        let mut bytes = Vec::new();
        while let Some(piece) = watch.wait(body.next()).await.map_err(at_url)? {
            let piece = piece?;
            watch.received(piece.len() as u64);
            if bytes.len() as u64 + piece.len() as u64 > limit {
                let message = format!("the document has more than the {limit} bytes allowed");
                return Err(Error::new(ErrorKind::Limit, message).with_url(url));
            }
            bytes.extend_from_slice(&piece);
        }
        if total.is_some_and(|total| total != bytes.len() as u64) {
            let message = format!("the document ended after {} bytes", bytes.len());
            return Err(Error::new(ErrorKind::Network, message).with_url(url));
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::MemoryDownloader;

    #[tokio::test(start_paused = true)]
    async fn a_document_is_read_whole_and_within_its_limit() {
        let memory = MemoryDownloader::new();
        let url = Url::parse("memory://hq/manifest.json").unwrap();
        memory.insert(url.clone(), &b"0123456789"[..]);
        let fetcher = Fetcher::new(Arc::new(memory));
        assert_eq!(fetcher.fetch_small(&url, 10).await.unwrap(), b"0123456789");
        assert_eq!(
            fetcher.fetch_small(&url, 9).await.unwrap_err().kind(),
            ErrorKind::Limit
        );
        let missing = Url::parse("memory://hq/other").unwrap();
        assert_eq!(
            fetcher.fetch_small(&missing, 9).await.unwrap_err().kind(),
            ErrorKind::NotFound
        );
    }
}
