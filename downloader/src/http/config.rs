//! What a program may choose about HTTP.

use std::fmt;
use std::time::Duration;

use url::{Origin, Url};

use crate::{HostPolicy, RedirectPolicy};

/// How the HTTP backend behaves. Nothing is read from the environment.
///
/// ```
/// use downloader::{HttpConfig, HttpDownloader, RedirectPolicy};
/// use url::Url;
///
/// let config = HttpConfig::new()
///     .with_bearer(&Url::parse("https://hq.example/")?, "token") // to this origin only
///     .with_redirects(RedirectPolicy::AnyHost);
/// let downloader = HttpDownloader::new(config)?;
/// # let _ = downloader;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct HttpConfig {
    pub(super) hosts: HostPolicy,
    pub(super) redirects: RedirectPolicy,
    pub(super) max_redirects: usize,
    pub(super) connect_timeout: Duration,
    pub(super) user_agent: String,
    pub(super) bearers: Vec<Bearer>,
    pub(super) roots: Vec<Vec<u8>>,
    pub(super) proxy: Option<Proxy>,
}

/// May hold a password, which is not shown.
#[derive(Clone)]
pub(super) struct Proxy(pub(super) Url);

impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&crate::error::shown(&self.0))
    }
}

#[derive(Clone)]
pub(super) struct Bearer {
    origin: Origin,
    token: String,
}

impl fmt::Debug for Bearer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Bearer")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            hosts: HostPolicy::any(),
            redirects: RedirectPolicy::default(),
            max_redirects: 10,
            connect_timeout: Duration::from_secs(10),
            user_agent: concat!("lockstep/", env!("CARGO_PKG_VERSION")).to_owned(),
            bearers: Vec::new(),
            roots: Vec::new(),
            proxy: None,
        }
    }
}

impl HttpConfig {
    /// Any host, redirects within a host only (10 at most), 10 s to connect, no credentials, no proxy, the system's roots.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Which URLs may be asked, redirects included.
    #[must_use]
    pub fn with_hosts(mut self, hosts: HostPolicy) -> Self {
        self.hosts = hosts;
        self
    }

    /// Where redirects may lead.
    #[must_use]
    pub fn with_redirects(mut self, redirects: RedirectPolicy) -> Self {
        self.redirects = redirects;
        self
    }

    /// How many redirects may follow each other.
    #[must_use]
    pub fn with_max_redirects(mut self, most: usize) -> Self {
        self.max_redirects = most;
        self
    }

    /// How long making a connection may take. There is no limit on a whole transfer; see [`StallPolicy`](crate::StallPolicy).
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// What to send as `User-Agent`.
    #[must_use]
    pub fn with_user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// Sends `Authorization: Bearer <token>` to the origin (scheme, host and port) of this URL, and to no other.
    #[must_use]
    pub fn with_bearer(mut self, origin: &Url, token: impl Into<String>) -> Self {
        self.bearers.push(Bearer {
            origin: origin.origin(),
            token: token.into(),
        });
        self
    }

    /// Trusts this root certificate (DER) beside the system's.
    #[must_use]
    pub fn with_root_certificate(mut self, der: impl Into<Vec<u8>>) -> Self {
        self.roots.push(der.into());
        self
    }

    /// Sends every request through this proxy.
    #[must_use]
    pub fn with_proxy(mut self, proxy: Url) -> Self {
        self.proxy = Some(Proxy(proxy));
        self
    }

    pub(super) fn bearer_for(&self, url: &Url) -> Option<&str> {
        let origin = url.origin();
        self.bearers
            .iter()
            .rev()
            .find(|bearer| bearer.origin == origin)
            .map(|bearer| bearer.token.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_belongs_to_one_origin_and_is_not_shown() {
        let url = |text| Url::parse(text).unwrap();
        let config = HttpConfig::new().with_bearer(&url("https://hq/x"), "s3cret");
        assert_eq!(config.bearer_for(&url("https://hq:443/y")), Some("s3cret"));
        for other in [
            "http://hq/x",
            "https://hq:8443/x",
            "https://a.hq/x",
            "https://hq.evil/x",
        ] {
            assert_eq!(config.bearer_for(&url(other)), None, "{other}");
        }
        let config = config.with_proxy(url("http://me:s3cret@proxy/"));
        assert!(!format!("{config:?}").contains("s3cret"));
    }
}
