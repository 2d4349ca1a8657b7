//! Which URLs may be asked at all, and where a redirect may lead.

use std::collections::BTreeSet;

use url::Url;

use crate::{Error, ErrorKind};

/// Which HTTP(S) URLs may be asked. Every policy refuses other schemes and URLs with user information; check a manifest's URLs
/// with it before the first request, the HTTP backend checks each request and each redirect again.
///
/// ```
/// use downloader::HostPolicy;
/// use url::Url;
///
/// let hosts = HostPolicy::only(["hq.example"]);
/// assert!(hosts.check(&Url::parse("https://hq.example:8443/model.bin")?).is_ok());
/// assert!(hosts.check(&Url::parse("https://elsewhere.example/model.bin")?).is_err());
/// assert!(hosts.check(&Url::parse("https://me@hq.example/model.bin")?).is_err());
/// # Ok::<(), url::ParseError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostPolicy {
    hosts: Option<BTreeSet<String>>,
}

impl HostPolicy {
    /// Any host.
    #[must_use]
    pub fn any() -> Self {
        Self { hosts: None }
    }

    /// Only these hosts, named as in a URL, without port.
    #[must_use]
    pub fn only<H: AsRef<str>>(hosts: impl IntoIterator<Item = H>) -> Self {
        Self {
            hosts: Some(
                hosts
                    .into_iter()
                    .map(|host| host.as_ref().to_ascii_lowercase())
                    .collect(),
            ),
        }
    }

    /// Whether every host may be asked.
    #[must_use]
    pub fn allows_any(&self) -> bool {
        self.hosts.is_none()
    }

    /// Passes when the URL may be asked.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`] for another scheme than `http` or `https`, for user information, and for a host that is not listed.
    pub fn check(&self, url: &Url) -> Result<(), Error> {
        let refuse = |why: &str| Err(Error::new(ErrorKind::Policy, why).with_url(url));
        if !matches!(url.scheme(), "http" | "https") {
            return refuse("only http and https URLs are allowed");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse(
                "a URL must not carry user information; give credentials to the client instead",
            );
        }
        match (&self.hosts, url.host_str()) {
            (_, None) => refuse("the URL names no host"),
            (Some(hosts), Some(host)) if !hosts.contains(host) => {
                refuse("the host is not on the list of allowed hosts")
            }
            _ => Ok(()),
        }
    }
}

/// Where a redirect may lead. Whatever is chosen: never from https to http, never to another scheme, never to a host that the
/// [`HostPolicy`] refuses, and credentials go to no other origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedirectPolicy {
    /// Nowhere: a redirect is an error.
    Refuse,
    /// To the host that was asked first, on any port.
    #[default]
    SameHost,
    /// To the host that was asked first, and to these.
    Hosts(BTreeSet<String>),
    /// To any host.
    AnyHost,
}

impl RedirectPolicy {
    /// Passes when `from`, reached from `first`, may send us on to `next`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`] when it may not.
    pub fn check(&self, first: &Url, from: &Url, next: &Url) -> Result<(), Error> {
        let refuse = |why: &str| {
            Err(Error::new(
                ErrorKind::Policy,
                format!("redirects to {}: {why}", crate::error::shown(next)),
            )
            .with_url(from))
        };
        if !matches!(next.scheme(), "http" | "https") {
            return refuse("only http and https are allowed");
        }
        if from.scheme() == "https" && next.scheme() != "https" {
            return refuse("a redirect must not leave https");
        }
        let same_host = next.host_str().is_some() && next.host_str() == first.host_str();
        let allowed = match self {
            Self::Refuse => return refuse("redirects are refused"),
            Self::SameHost => same_host,
            Self::Hosts(hosts) => {
                same_host || next.host_str().is_some_and(|host| hosts.contains(host))
            }
            Self::AnyHost => true,
        };
        if allowed {
            Ok(())
        } else {
            refuse("the redirect policy does not allow this host")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a16_foreign_schemes_user_information_and_unlisted_hosts_are_refused() {
        let any = HostPolicy::any();
        assert!(any.check(&url("https://a/x")).is_ok());
        for bad in [
            "file:///etc/passwd",
            "ftp://a/x",
            "data:text/plain,x",
            "http://user@a/x",
            "http://:word@a/x",
        ] {
            let error = any.check(&url(bad)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Policy, "{bad}");
            assert!(!error.to_string().contains("word"), "{error}");
        }
        let listed = HostPolicy::only(["HQ.example"]);
        assert!(listed.check(&url("https://hq.example:8443/x")).is_ok());
        for bad in [
            "https://evil.example/",
            "https://hq.example.evil/",
            "https://a.hq.example/",
        ] {
            assert_eq!(
                listed.check(&url(bad)).unwrap_err().kind(),
                ErrorKind::Policy,
                "{bad}"
            );
        }
    }

    #[test]
    fn c42_a_redirect_never_leaves_https_nor_http() {
        let first = url("https://a/x");
        for policy in [RedirectPolicy::SameHost, RedirectPolicy::AnyHost] {
            assert!(
                policy
                    .check(&first, &first, &url("https://a:444/y"))
                    .is_ok()
            );
            for bad in ["http://a/x", "file:///x", "ftp://a/x"] {
                assert_eq!(
                    policy.check(&first, &first, &url(bad)).unwrap_err().kind(),
                    ErrorKind::Policy,
                    "{bad}"
                );
            }
        }
    }

    #[test]
    fn c42_another_host_only_by_policy() {
        let first = url("http://a/x");
        let other = url("http://b/x");
        assert!(
            RedirectPolicy::SameHost
                .check(&first, &first, &other)
                .is_err()
        );
        assert!(
            RedirectPolicy::AnyHost
                .check(&first, &first, &other)
                .is_ok()
        );
        let hosts = RedirectPolicy::Hosts(["b".to_owned()].into());
        assert!(hosts.check(&first, &first, &other).is_ok());
        assert!(hosts.check(&first, &other, &first).is_ok());
        assert!(hosts.check(&first, &other, &url("http://c/x")).is_err());
        assert!(
            RedirectPolicy::Refuse
                .check(&first, &first, &first)
                .is_err()
        );
    }
}
