//! `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// How long the server asks to wait. A date is read against the server's own `Date`, so that a wrong local clock does no harm;
/// `now` stands in where there is none. A date in the past is no wait.
pub(super) fn parse(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let reference = date(headers, &DATE).unwrap_or(now);
    Some(until.duration_since(reference).unwrap_or(Duration::ZERO))
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(retry_after: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:00 GMT").unwrap();
        parse(&headers, now)
    }

    #[test]
    fn seconds_dates_and_nonsense() {
        assert_eq!(wait("125", None), Some(Duration::from_secs(125)));
        assert_eq!(wait(" 0 ", None), Some(Duration::ZERO));
        assert_eq!(
            wait("99999999999999999999999", None),
            Some(Duration::from_secs(u64::MAX))
        );
        assert_eq!(
            wait("Sun, 06 Nov 1994 08:49:37 GMT", None),
            Some(Duration::from_secs(37))
        );
        assert_eq!(
            wait(
                "Sun, 06 Nov 1994 08:49:37 GMT",
                Some("Sun, 06 Nov 1994 08:49:30 GMT")
            ),
            Some(Duration::from_secs(7))
        );
        assert_eq!(
            wait("Sun, 06 Nov 1994 08:00:00 GMT", None),
            Some(Duration::ZERO)
        );
        for nonsense in ["", "-5", "1.5", "soon", "+3"] {
            assert_eq!(wait(nonsense, None), None, "{nonsense:?}");
        }
        assert_eq!(parse(&HeaderMap::new(), SystemTime::UNIX_EPOCH), None);
    }
}
