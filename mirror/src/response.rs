use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, RANGE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use manifest_core::ReleasePath;

use crate::body::file_body;
use crate::conditional::{Precondition, evaluate, range_is_allowed};
use crate::content_type::content_type;
use crate::range::{RangeAnswer, select_range};
use crate::{Error, StoredFile, StoredManifest};

/// The digest of the whole file, also when the answer is a part of it.
const X_FILE_SHA256: HeaderName = HeaderName::from_static("x-file-sha256");
/// What a version holds never changes.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// A manifest may get another signature, so caches ask each time. The answer is nearly always 304.
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The part of a request that decides about the answer, besides its path.
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
}

/// Answers with a file, or a part of it. Blocks.
pub(crate) fn file_response(
    asked: &Asked,
    path: &ReleasePath,
    stored: StoredFile,
) -> Result<Response, Error> {
    let digest = stored.sha256.to_string();
    let tag = format!("\"{digest}\"");
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(ETAG, text(tag.clone()));
    headers.insert(CACHE_CONTROL, FOR_EVER);
    headers.insert(X_FILE_SHA256, text(digest));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let part = match evaluate(&asked.headers, &tag) {
        Precondition::Met => asked_range(asked, &tag, stored.size),
        Precondition::NotModified => return Ok(not_modified(response, stored.size)),
        Precondition::Failed => return Ok(precondition_failed(path.as_str())),
    };
    let (first, length) = match part {
        RangeAnswer::Whole => (0, stored.size),
        RangeAnswer::Part { first, last } => {
            let range = format!("bytes {first}-{last}/{}", stored.size);
            response.headers_mut().insert(CONTENT_RANGE, text(range));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            (first, last - first + 1)
        }
        RangeAnswer::Unsatisfiable => {
            let why = format!(
                "{path} has {} bytes; the range asked for is not among them",
                stored.size
            );
            let mut response = error_response(StatusCode::RANGE_NOT_SATISFIABLE, &why);
            let range = format!("bytes */{}", stored.size);
            response.headers_mut().insert(CONTENT_RANGE, text(range));
            return Ok(response);
        }
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    let kind = content_type(path.file_name());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if asked.method != Method::HEAD {
        *response.body_mut() = file_body(stored.file, first, length)
            .map_err(|error| Error::io(format!("the content of {path} cannot be read"), error))?;
    }
    Ok(response)
}

/// Answers with a manifest. It is small: ranges are not honoured.
pub(crate) fn manifest_response(asked: &Asked, stored: &StoredManifest) -> Response {
    let tag = format!("\"{}\"", stored.digest());
    let length = stored.bytes().len() as u64;
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(ETAG, text(tag.clone()));
    headers.insert(CACHE_CONTROL, REVALIDATE);
    match evaluate(&asked.headers, &tag) {
        Precondition::Met => {}
        Precondition::NotModified => return not_modified(response, length),
        Precondition::Failed => return precondition_failed("manifest.json"),
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if asked.method != Method::HEAD {
        *response.body_mut() = Body::from(stored.bytes().clone());
    }
    response
}

/// `{"error": why}`. It is not kept by caches: what is missing may be published at any moment.
pub(crate) fn error_response(status: StatusCode, why: &str) -> Response {
    let body = serde_json::json!({ "error": why }).to_string();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Which part of the file is asked for. Ranges are defined for GET only, and two headers are none.
fn asked_range(asked: &Asked, tag: &str, length: u64) -> RangeAnswer {
    let mut values = asked.headers.get_all(RANGE).iter();
    match (values.next(), values.next()) {
        (Some(range), None)
            if asked.method == Method::GET && range_is_allowed(&asked.headers, tag) =>
        {
            select_range(range.as_bytes(), length)
        }
        _ => RangeAnswer::Whole,
    }
}

/// 304 with the length that 200 would have: any other length would be a lie (RFC 9110, section
/// 8.6).
fn not_modified(mut response: Response, length: u64) -> Response {
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn precondition_failed(what: &str) -> Response {
    let why = format!("{what} has another ETag than If-Match asks for");
    error_response(StatusCode::PRECONDITION_FAILED, &why)
}

fn text(value: String) -> HeaderValue {
    HeaderValue::try_from(value).expect("digits, letters and punctuation make a header value")
}
