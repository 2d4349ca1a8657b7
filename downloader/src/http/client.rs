//! The client: one request per hop, redirects decided by us.

use std::fmt;

use async_trait::async_trait;
use reqwest::header::{ACCEPT_ENCODING, HeaderValue, IF_RANGE, LOCATION, RANGE};
use reqwest::{Client, StatusCode, redirect};
use url::Url;

use super::config::HttpConfig;
use super::{answer, body, failure, tls};
use crate::{Downloader, Error, ErrorKind, Request, Response};

/// Fetches over HTTP/1.1 and HTTP/2, with TLS by rustls. Connections are kept and reused; clones share them.
///
/// It asks for plain bytes and decodes nothing. It follows redirects as its [`RedirectPolicy`](crate::RedirectPolicy) allows, and
/// decides anew at each hop whether a credential belongs there. It has no limit on the time of a whole transfer.
#[derive(Clone)]
pub struct HttpDownloader {
    client: Client,
    config: HttpConfig,
}

impl fmt::Debug for HttpDownloader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client's own form might show a proxy's password.
        formatter
            .debug_struct("HttpDownloader")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl HttpDownloader {
    /// A client that behaves as `config` says.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`] when a root certificate, the proxy or the user agent is not usable.
    pub fn new(config: HttpConfig) -> Result<Self, Error> {
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls::client_config(&config.roots)?)
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(config.connect_timeout)
            .user_agent(config.user_agent.as_str())
            .no_proxy()
            // Another crate of the program may have switched these features on.
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd();
        if let Some(proxy) = &config.proxy {
            let proxy = reqwest::Proxy::all(proxy.0.clone()).map_err(|error| {
                Error::new(ErrorKind::Policy, "the proxy is not usable")
                    .with_source(error.without_url())
            })?;
            builder = builder.proxy(proxy);
        }
        let client = builder.build().map_err(|error| {
            Error::new(ErrorKind::Policy, "the HTTP client cannot be built")
                .with_source(error.without_url())
        })?;
        Ok(Self { client, config })
    }

    async fn send(&self, url: &Url, request: &Request) -> Result<reqwest::Response, Error> {
        let mut builder = self
            .client
            .get(url.clone())
            .header(ACCEPT_ENCODING, "identity");
        if let Some(range) = answer::asked(request) {
            builder = builder.header(RANGE, range);
            if let Some(validator) = request.if_range() {
                builder = builder.header(IF_RANGE, validator.as_str());
            }
        }
        if let Some(token) = self.config.bearer_for(url) {
            builder = builder.bearer_auth(token);
        }
        builder
            .send()
            .await
            .map_err(|error| failure::from_transport(error, url))
    }

    /// Where the answer sends us, if it does.
    fn next_hop(
        &self,
        first: &Url,
        from: &Url,
        answer: &reqwest::Response,
    ) -> Result<Option<Url>, Error> {
        let redirects = [
            StatusCode::MOVED_PERMANENTLY,
            StatusCode::FOUND,
            StatusCode::SEE_OTHER,
            StatusCode::TEMPORARY_REDIRECT,
            StatusCode::PERMANENT_REDIRECT,
        ];
        if !redirects.contains(&answer.status()) {
            return Ok(None);
        }
        let protocol = |why: &str| Error::new(ErrorKind::Protocol, why).with_url(from);
        let mut locations = answer.headers().get_all(LOCATION).iter();
        let (Some(location), None) = (locations.next(), locations.next()) else {
            return Err(protocol("a redirect must name exactly one Location"));
        };
        let next = HeaderValue::to_str(location)
            .ok()
            .and_then(|location| from.join(location).ok())
            .ok_or_else(|| protocol("the redirect's Location is not a URL"))?;
        self.config.redirects.check(first, from, &next)?;
        self.config.hosts.check(&next)?;
        Ok(Some(next))
    }
}

#[async_trait]
impl Downloader for HttpDownloader {
    async fn open(&self, request: &Request) -> Result<Response, Error> {
        let first = request.url();
        self.config.hosts.check(first)?;
        let mut url = first.clone();
        for _ in 0..=self.config.max_redirects {
            let received = self.send(&url, request).await?;
            if let Some(next) = self.next_hop(first, &url, &received)? {
                tracing::debug!(from = %crate::error::shown(&url), to = %crate::error::shown(&next), "redirected");
                url = next;
                continue;
            }
            let answer = answer::check(
                received.status(),
                received.version(),
                received.headers(),
                request,
            )?;
            let body = body::checked(received.bytes_stream(), &answer, url);
            return Ok(Response::new(answer.start, body)
                .with_total(answer.total)
                .with_validator(answer.validator));
        }
        let message = format!("more than {} redirects", self.config.max_redirects);
        Err(Error::new(ErrorKind::Policy, message).with_url(first))
    }
}
