//! What a failed exchange means for the caller.

use std::error::Error as StdError;
use std::time::SystemTime;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use url::Url;

use super::retry_after;
use crate::{Error, ErrorKind};

/// A status that is neither the expected success nor a redirect.
pub(super) fn from_status(status: StatusCode, headers: &HeaderMap, url: &Url) -> Error {
    let kind = match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => ErrorKind::NotFound,
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::PROXY_AUTHENTICATION_REQUIRED => ErrorKind::Unauthorized,
        StatusCode::RANGE_NOT_SATISFIABLE => ErrorKind::RangeNotSatisfiable,
        _ if status.is_success() || status.is_redirection() => ErrorKind::Protocol,
        _ => ErrorKind::Status,
    };
    let error = Error::new(kind, format!("the server answered {status}")).with_url(url);
    let passing = matches!(
        status,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
    );
    if passing || status.is_server_error() {
        error
            .temporary()
            .with_retry_after(retry_after::parse(headers, SystemTime::now()))
    } else {
        error
    }
}

/// A request that got no answer, or a body that broke off.
pub(super) fn from_transport(error: reqwest::Error, url: &Url) -> Error {
    // The URL is named by our own error, without its secrets.
    let error = error.without_url();
    let chain = Chain::of(&error);
    if chain.malformed {
        return Error::new(ErrorKind::Protocol, "the server's answer is not valid HTTP")
            .with_url(url)
            .with_source(error);
    }
    if chain.bad_certificate {
        let failed = Error::new(
            ErrorKind::Network,
            "the server's certificate is not trusted",
        )
        .permanent();
        return failed.with_url(url).with_source(error);
    }
    if error.is_dns() {
        return Error::new(
            ErrorKind::UnknownHost,
            "the name of the host cannot be resolved",
        )
        .with_url(url)
        .with_source(error);
    }
    let what = if error.is_connect() {
        "the server cannot be reached"
    } else if error.is_timeout() {
        "the server did not answer in time"
    } else {
        "the connection broke"
    };
    Error::new(ErrorKind::Network, what)
        .with_url(url)
        .with_source(error)
}

/// What is found along the chain of causes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Chain {
    malformed: bool,
    bad_certificate: bool,
}

impl Chain {
    fn of(error: &(dyn StdError + 'static)) -> Self {
        let mut found = Self::default();
        let mut next = Some(error);
        while let Some(error) = next {
            found.malformed |= error
                .downcast_ref::<hyper::Error>()
                .is_some_and(hyper::Error::is_parse);
            found.bad_certificate |= is_bad_certificate(error);
            next = error.source();
        }
        found
    }
}

fn is_bad_certificate(error: &(dyn StdError + 'static)) -> bool {
    if let Some(inner) = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
    {
        // `source()` of an I/O error skips the error that it carries.
        return is_bad_certificate(inner);
    }
    matches!(
        error.downcast_ref(),
        Some(rustls::Error::InvalidCertificate(_))
    )
}

#[cfg(test)]
mod tests {
    use std::io;

    use reqwest::header::RETRY_AFTER;

    use super::*;

    #[test]
    fn statuses_fall_into_kinds() {
        let url = Url::parse("http://a/x").unwrap();
        let of = |status: u16| {
            from_status(
                StatusCode::from_u16(status).unwrap(),
                &HeaderMap::new(),
                &url,
            )
        };
        for (status, kind) in [
            (204, ErrorKind::Protocol),
            (203, ErrorKind::Protocol),
            (304, ErrorKind::Protocol),
            (400, ErrorKind::Status),
            (401, ErrorKind::Unauthorized),
            (403, ErrorKind::Unauthorized),
            (404, ErrorKind::NotFound),
            (410, ErrorKind::NotFound),
            (416, ErrorKind::RangeNotSatisfiable),
            (418, ErrorKind::Status),
        ] {
            assert_eq!(of(status).kind(), kind, "{status}");
            assert!(!of(status).is_temporary(), "{status}");
        }
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert_eq!(of(status).kind(), ErrorKind::Status, "{status}");
            assert!(of(status).is_temporary(), "{status}");
        }
    }

    #[test]
    fn only_a_temporary_status_carries_retry_after() {
        let url = Url::parse("http://a/x").unwrap();
        let headers = HeaderMap::from_iter([(RETRY_AFTER, "7".parse().unwrap())]);
        assert_eq!(
            from_status(StatusCode::SERVICE_UNAVAILABLE, &headers, &url)
                .retry_after()
                .unwrap()
                .as_secs(),
            7
        );
        assert_eq!(
            from_status(StatusCode::NOT_FOUND, &headers, &url).retry_after(),
            None
        );
    }

    #[test]
    fn an_untrusted_certificate_is_found_inside_io_errors() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let nested = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls));
        assert!(Chain::of(&nested).bad_certificate);
        assert!(!Chain::of(&io::Error::other("x")).bad_certificate);
    }
}
