//! Whether an answer's head agrees with itself and with the request (RFC 9110 sections 14 and 15, RFC 9112 section 6).

use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    TRANSFER_ENCODING,
};
use reqwest::{StatusCode, Version};

use super::failure;
use crate::{Error, ErrorKind, Request, Validator};

/// What the head says about the body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) start: u64,
    pub(super) total: Option<u64>,
    pub(super) validator: Option<Validator>,
    pub(super) framing: Framing,
    /// How many bytes the body must have, where it is known.
    pub(super) length: Option<u64>,
}

/// How the end of the body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// By a stated length, which the HTTP library enforces.
    Length,
    /// By an end mark: chunks, or HTTP/2.
    Marked,
    /// By the closed connection, which may as well have broken.
    UntilClose,
}

/// The `Range` header, if only a part is wanted.
pub(super) fn asked(request: &Request) -> Option<String> {
    let first = request.offset();
    match request.length() {
        Some(length) => {
            let last = first.saturating_add(length - 1);
            Some(format!("bytes={first}-{last}"))
        }
        None => (first > 0).then(|| format!("bytes={first}-")),
    }
}

pub(super) fn check(
    status: StatusCode,
    version: Version,
    headers: &HeaderMap,
    request: &Request,
) -> Result<Answer, Error> {
    let url = request.url();
    let answer = match status {
        StatusCode::OK => whole(headers, request),
        StatusCode::PARTIAL_CONTENT => part(headers, request),
        _ => return Err(failure::from_status(status, headers, url)),
    };
    let (start, total, length) =
        answer.map_err(|why| Error::new(ErrorKind::Protocol, why).with_url(url))?;
    let framing = if headers.contains_key(CONTENT_LENGTH) {
        Framing::Length
    } else if headers.contains_key(TRANSFER_ENCODING) || version >= Version::HTTP_2 {
        Framing::Marked
    } else {
        Framing::UntilClose
    };
    Ok(Answer {
        start,
        total,
        validator: validator(headers),
        framing,
        length,
    })
}

type Shape = (u64, Option<u64>, Option<u64>);

fn whole(headers: &HeaderMap, request: &Request) -> Result<Shape, String> {
    let length = plain_length(headers)?;
    agree("the file", length, request.expected_size())?;
    Ok((0, length, length.or(request.expected_size())))
}

fn part(headers: &HeaderMap, request: &Request) -> Result<Shape, String> {
    let asked = request.offset();
    if asked == 0 && request.length().is_none() {
        return Err("the server sent a part although the whole was asked for".to_owned());
    }
    let kind = one(headers, &CONTENT_TYPE)?.unwrap_or_default();
    if kind
        .trim_start()
        .to_ascii_lowercase()
        .starts_with("multipart/")
    {
        return Err("the server sent several parts although one was asked for".to_owned());
    }
    let range =
        one(headers, &CONTENT_RANGE)?.ok_or("the server sent a part without Content-Range")?;
    let range = ContentRange::parse(range)
        .ok_or_else(|| format!("Content-Range {range:?} is not a range of bytes"))?;
    if range.first != asked {
        return Err(format!(
            "the part starts at byte {} instead of {asked}",
            range.first
        ));
    }
    agree("the file", range.total, request.expected_size())?;
    let total = range.total.or(request.expected_size());
    let wanted = request
        .length()
        .map(|length| asked.saturating_add(length - 1));
    let is_enough = wanted.is_some_and(|wanted| range.last >= wanted);
    if !is_enough && total.is_some_and(|total| range.last != total - 1) {
        return Err(format!(
            "the part ends at byte {}, which is not the last one",
            range.last
        ));
    }
    let covered = range.last - range.first + 1;
    agree("the part", plain_length(headers)?, Some(covered))?;
    Ok((asked, range.total, Some(covered)))
}

/// The one stated length. Twice, unreadable, or beside chunks is an error; so is a coding of the content.
fn plain_length(headers: &HeaderMap) -> Result<Option<u64>, String> {
    for coding in headers.get_all(CONTENT_ENCODING) {
        if !coding.as_bytes().eq_ignore_ascii_case(b"identity") {
            return Err(format!(
                "the body is encoded as {coding:?} although plain bytes were asked for"
            ));
        }
    }
    let length = one(headers, &CONTENT_LENGTH)?;
    if let Some(coding) = one(headers, &TRANSFER_ENCODING)? {
        if length.is_some() {
            return Err("the server sent Content-Length beside Transfer-Encoding".to_owned());
        }
        if !coding.eq_ignore_ascii_case("chunked") {
            return Err(format!(
                "the server sent Transfer-Encoding {coding:?}, which was not asked for"
            ));
        }
    }
    let Some(length) = length else {
        return Ok(None);
    };
    number(length)
        .map(Some)
        .ok_or_else(|| format!("Content-Length {length:?} is not a number"))
}

fn agree(what: &str, said: Option<u64>, expected: Option<u64>) -> Result<(), String> {
    match (said, expected) {
        (Some(said), Some(expected)) if said != expected => Err(format!(
            "the server says that {what} has {said} bytes instead of {expected}"
        )),
        _ => Ok(()),
    }
}

fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, String> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(format!("the server sent {name} twice"));
    }
    first
        .map(|value| {
            value
                .to_str()
                .map(str::trim)
                .map_err(|_| format!("{name} is unreadable"))
        })
        .transpose()
}

fn validator(headers: &HeaderMap) -> Option<Validator> {
    // Two tags are as good as none.
    one(headers, &ETAG)
        .ok()
        .flatten()
        .and_then(Validator::from_etag)
}

struct ContentRange {
    first: u64,
    last: u64,
    total: Option<u64>,
}

impl ContentRange {
    fn parse(value: &str) -> Option<Self> {
        let (unit, range) = value.split_once(' ')?;
        let (range, total) = range.trim().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let total = if total == "*" {
            None
        } else {
            Some(number(total)?)
        };
        let (first, last) = (number(first)?, number(last)?);
        let sound =
            unit.eq_ignore_ascii_case("bytes") && first <= last && last < total.unwrap_or(u64::MAX);
        sound.then_some(Self { first, last, total })
    }
}

/// Digits only: `FromStr` would also take a sign.
fn number(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn judge(status: u16, offset: u64, headers: &[(&str, &str)]) -> Result<Answer, Error> {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_bytes(name.as_bytes()).unwrap(),
                    value.parse().unwrap(),
                )
            })
            .fold(HeaderMap::new(), |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            });
        let request = Request::new(Url::parse("http://a/x").unwrap())
            .with_offset(offset)
            .with_expected_size(Some(10));
        check(
            StatusCode::from_u16(status).unwrap(),
            Version::HTTP_11,
            &headers,
            &request,
        )
    }

    #[test]
    fn a_whole_answer_starts_at_zero_whatever_was_asked() {
        for offset in [0, 4] {
            let answer =
                judge(200, offset, &[("content-length", "10"), ("etag", "\"a\"")]).unwrap();
            assert_eq!(
                (answer.start, answer.total, answer.framing),
                (0, Some(10), Framing::Length)
            );
            assert_eq!(answer.validator, Validator::from_etag("\"a\""));
        }
        assert_eq!(
            judge(200, 0, &[("transfer-encoding", "Chunked")])
                .unwrap()
                .framing,
            Framing::Marked
        );
        assert_eq!(judge(200, 0, &[]).unwrap().framing, Framing::UntilClose);
        assert!(judge(200, 0, &[("content-encoding", "Identity")]).is_ok());
    }

    #[test]
    fn a_part_must_be_the_rest() {
        let answer = judge(
            206,
            4,
            &[("content-range", "bytes 4-9/10"), ("content-length", "6")],
        )
        .unwrap();
        assert_eq!(
            (answer.start, answer.total, answer.length),
            (4, Some(10), Some(6))
        );
        assert_eq!(
            judge(206, 4, &[("content-range", "Bytes 4-9/*")])
                .unwrap()
                .total,
            None
        );
    }

    type Case<'a> = (u16, u64, &'a [(&'a str, &'a str)]);

    #[test]
    fn a_contradiction_is_a_protocol_error() {
        let range = ("content-range", "bytes 4-9/10");
        let cases: &[Case<'_>] = &[
            (200, 0, &[("content-length", "9")]),
            (
                200,
                0,
                &[("content-length", "10"), ("content-length", "10")],
            ),
            (200, 0, &[("content-length", "10, 10")]),
            (200, 0, &[("content-length", "+10")]),
            (
                200,
                0,
                &[("content-length", "10"), ("transfer-encoding", "chunked")],
            ),
            (200, 0, &[("transfer-encoding", "gzip, chunked")]),
            (200, 0, &[("content-encoding", "gzip")]),
            (206, 0, &[range]),
            (206, 4, &[]),
            (206, 4, &[range, range]),
            (206, 4, &[range, ("content-length", "5")]),
            (
                206,
                4,
                &[range, ("content-type", "Multipart/byteranges; boundary=x")],
            ),
            (206, 4, &[("content-range", "bytes 3-9/10")]),
            (206, 4, &[("content-range", "bytes 4-8/10")]),
            (206, 4, &[("content-range", "bytes 4-8/*")]),
            (206, 4, &[("content-range", "bytes 4-9/11")]),
            (206, 4, &[("content-range", "bytes 4-10/11")]),
            (206, 4, &[("content-range", "bytes 4-9/9")]),
            (206, 4, &[("content-range", "bytes 9-4/10")]),
            (206, 4, &[("content-range", "bytes */10")]),
            (206, 4, &[("content-range", "items 4-9/10")]),
            (206, 4, &[("content-range", "bytes=4-9/10")]),
            (
                206,
                4,
                &[("content-range", "bytes 4-18446744073709551615/*")],
            ),
            (
                206,
                4,
                &[("content-range", "bytes 4-99999999999999999999/10")],
            ),
        ];
        for (status, offset, headers) in cases {
            let error = judge(*status, *offset, headers).expect_err(&format!("{headers:?}"));
            assert_eq!(error.kind(), ErrorKind::Protocol, "{headers:?}");
            assert!(!error.is_temporary());
        }
    }

    #[test]
    fn a_weak_or_doubled_tag_is_none() {
        assert_eq!(
            judge(200, 0, &[("etag", "W/\"a\"")]).unwrap().validator,
            None
        );
        assert_eq!(
            judge(200, 0, &[("etag", "\"a\""), ("etag", "\"a\"")])
                .unwrap()
                .validator,
            None
        );
    }
}
