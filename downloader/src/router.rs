//! One downloader out of several, by the URL's scheme.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Downloader, Error, ErrorKind, Request, Response};

/// Hands each request to the downloader that was named for its URL's scheme.
///
/// ```
/// use std::sync::Arc;
/// use downloader::{FileDownloader, SchemeRouter};
///
/// let router = SchemeRouter::new().with_scheme("file", Arc::new(FileDownloader::new()));
/// # let _ = router;
/// ```
#[derive(Clone, Debug, Default)]
pub struct SchemeRouter {
    schemes: BTreeMap<String, Arc<dyn Downloader>>,
}

impl SchemeRouter {
    /// A router that knows no scheme yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses `downloader` for URLs of this scheme.
    #[must_use]
    pub fn with_scheme(mut self, scheme: &str, downloader: Arc<dyn Downloader>) -> Self {
        self.schemes.insert(scheme.to_ascii_lowercase(), downloader);
        self
    }
}

#[async_trait]
impl Downloader for SchemeRouter {
    async fn open(&self, request: &Request) -> Result<Response, Error> {
        let scheme = request.url().scheme();
        let Some(downloader) = self.schemes.get(scheme) else {
            let message = format!("nothing here can fetch {scheme}: URLs");
            return Err(Error::new(ErrorKind::Unsupported, message).with_url(request.url()));
        };
        downloader.open(request).await
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::MemoryDownloader;

    #[tokio::test]
    async fn each_scheme_goes_its_way_and_an_unknown_one_is_refused() {
        let one = MemoryDownloader::new();
        let url = Url::parse("one://host/x").unwrap();
        one.insert(url.clone(), "bytes");
        let router = SchemeRouter::new().with_scheme("one", Arc::new(one.clone()));
        assert_eq!(
            router.open(&Request::new(url)).await.unwrap().total(),
            Some(5)
        );
        assert_eq!(one.requests().len(), 1);
        let other = Request::new(Url::parse("two://host/x").unwrap());
        assert_eq!(
            router.open(&other).await.unwrap_err().kind(),
            ErrorKind::Unsupported
        );
    }
}
