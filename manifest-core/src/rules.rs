//! The rules that the types of single fields do not state.

use serde_json::{Map, Value};
use url::Url;

use crate::error::quote;
use crate::limits::MAX_SAFE_INTEGER;
#[cfg(feature = "schema")]
use crate::path::MANIFEST_FILE_NAME;
use crate::{Error, ErrorKind, ReleasePath, ReleaseVersion, Sha256Digest, ToolId, globs};

type Rule = fn(&str) -> Result<(), Error>;

/// Texts outside `files`. The version comes first: it decides what the others mean.
const HEAD: [(&str, Rule); 10] = [
    ("/manifest_version", manifest_version),
    ("/tool_id", |text| text.parse::<ToolId>().map(drop)),
    ("/tool_version", |text| {
        text.parse::<ReleaseVersion>().map(drop)
    }),
    ("/manifest_hash", digest),
    ("/created_at", created_at),
    ("/flash_gpu_config/warmup_script", release_path),
    ("/frontend/entry", release_path),
    ("/frontend/sha256", digest),
    ("/api_contract", api_contract),
    ("/signature/algorithm", algorithm),
];

/// Fields with fields of their own. The derived readers would take them from a list as well, in
/// order.
const OBJECTS: [&str; 4] = ["dependencies", "flash_gpu_config", "frontend", "signature"];

/// What the fields outside `files` break, each with its place. What is missing, or of another type
/// than a rule is about, is left to the types.
pub(crate) fn check_head(document: &Map<String, Value>) -> impl Iterator<Item = Error> {
    let texts = HEAD.iter().filter_map(|(pointer, rule)| {
        let mut names = pointer[1..].split('/');
        let field = document.get(names.next()?);
        let text = names.try_fold(field?, |value, name| value.get(name))?;
        rule(text.as_str()?).err().map(|error| error.at(*pointer))
    });
    texts.chain(check_objects(document))
}

pub(crate) fn check_objects(document: &Map<String, Value>) -> impl Iterator<Item = Error> {
    let lists = OBJECTS
        .iter()
        .filter(|name| document.get(**name).is_some_and(Value::is_array));
    lists.map(|name| invalid("a list is no object".to_owned()).at(format!("/{name}")))
}

fn invalid(text: String) -> Error {
    Error::new(ErrorKind::Manifest, text)
}

fn manifest_version(text: &str) -> Result<(), Error> {
    if text == "1.0" {
        return Ok(());
    }
    let version = quote(text);
    Err(invalid(format!(
        "manifest version {version} is not known; this program reads \"1.0\""
    )))
}

/// RFC 3339, section 5.6: a date and a time with a zone. jiff reads many other forms too.
fn created_at(text: &str) -> Result<(), Error> {
    let shape: String = text
        .chars()
        .map(|character| match character {
            '0'..='9' => '0',
            other => other.to_ascii_uppercase(),
        })
        .collect();
    let zone = shape.strip_prefix("0000-00-00T00:00:00").map(|rest| {
        let fraction = rest
            .strip_prefix(".0")
            .map(|more| more.trim_start_matches('0'));
        fraction.unwrap_or(rest)
    });
    if let Some("Z" | "+00:00" | "-00:00") = zone {
        let whole_seconds = format!("{}Z", &text[.."0000-00-00T00:00:00".len()]);
        if whole_seconds.parse::<jiff::Timestamp>().is_ok() {
            return Ok(());
        }
    }
    Err(invalid(format!(
        "{} is not an RFC 3339 time with a zone, e.g. 2026-02-20T14:39:12Z",
        quote(text)
    )))
}

fn api_contract(text: &str) -> Result<(), Error> {
    let valid = text.split_once('/').is_some_and(|(name, version)| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_lowercase())
            && !version.is_empty()
            && version.bytes().all(|byte| byte.is_ascii_digit())
    });
    if valid {
        return Ok(());
    }
    Err(invalid(format!(
        "{} is not a contract: lower-case letters, `/` and a number are needed, e.g. runtime/1",
        quote(text)
    )))
}

fn algorithm(text: &str) -> Result<(), Error> {
    if text == "Ed25519" {
        return Ok(());
    }
    Err(invalid(format!("{} is not \"Ed25519\"", quote(text))))
}

pub(crate) fn digest(text: &str) -> Result<(), Error> {
    text.parse::<Sha256Digest>().map(drop)
}

/// Whoever runs or opens it joins it to a folder, and must not leave that.
fn release_path(text: &str) -> Result<(), Error> {
    text.parse::<ReleasePath>().map(drop)
}

/// The number of bytes of a file, if the value is one.
pub(crate) fn size(value: &Value) -> Result<u64, Error> {
    match value.as_u64() {
        Some(size) => {
            exact_size(size)?;
            Ok(size)
        }
        None => Err(invalid(match value {
            Value::Number(number) => format!(
                "{number} is not a size: a whole number of bytes, written without `.` or `e`, is needed"
            ),
            _ => "the size is not a number".to_owned(),
        })),
    }
}

pub(crate) fn exact_size(size: u64) -> Result<(), Error> {
    if size <= MAX_SAFE_INTEGER {
        return Ok(());
    }
    let text = format!("a size of {size} bytes is over 2^53 - 1");
    Err(Error::new(ErrorKind::Limit, text))
}

/// A path that an entry may have: no file of runtime or user scope, but also the manifest itself,
/// which the old generator listed.
#[cfg(feature = "schema")]
pub(crate) fn entry_path(text: &str) -> Result<ReleasePath, Error> {
    if text == MANIFEST_FILE_NAME {
        return Ok(ReleasePath::own_manifest());
    }
    let path = text.parse()?;
    entry_scope(&path)?;
    Ok(path)
}

pub(crate) fn entry_scope(path: &ReleasePath) -> Result<(), Error> {
    if !globs::is_runtime_or_user_scope(path.as_str()) {
        return Ok(());
    }
    let text = format!(
        "path {} is refused: runtime and user scope are never part of a release",
        quote(path.as_str())
    );
    Err(Error::new(ErrorKind::Path, text))
}

/// An absolute `http` or `https` URL, written so that every reader sees the same one.
pub(crate) fn entry_url(text: &str) -> Result<(), Error> {
    let policy = |reason: &str| {
        let text = format!("the URL {} is refused: {reason}", quote(text));
        Error::new(ErrorKind::Policy, text)
    };
    let not_absolute = || invalid(format!("{} is not an absolute URL", quote(text)));
    let url = Url::parse(text).map_err(|error| not_absolute().with_source(error))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(policy("only http and https are allowed"));
    }
    // Browsers, and so the URL crate, forgive all of these; other readers understand them otherwise.
    if text.contains(|character: char| character.is_control() || character == '\\')
        || text.trim() != text
        || !text[url.scheme().len()..].starts_with("://")
        || text[url.scheme().len() + 3..].starts_with('/')
    {
        return Err(not_absolute());
    }
    let authority = text[url.scheme().len() + 3..].split(['/', '?', '#']).next();
    if authority.is_some_and(|authority| authority.contains('@')) {
        return Err(Error::new(
            ErrorKind::Policy,
            "a URL with user information is refused", // and not shown: it may be a password
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rfc_3339_is_a_time() {
        for text in [
            "2026-02-20T14:39:12Z",
            "2026-02-20T14:39:12.995146+00:00",
            "2026-02-20t14:39:12.123456789123z",
            "2024-02-29T23:59:59-11:30",
        ] {
            assert!(created_at(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "today",
            "2026-02-20",
            "2026-02-20T14:39:12",
            "2026-02-20 14:39:12Z",
            "2026-02-20T14:39Z",
            "20260220T143912Z",
            "2026-02-20T14:39:12.Z",
            "2026-02-20T14:39:12,5Z",
            "2026-02-20T14:39:12+01",
            "2026-02-20T14:39:12Z[Europe/Berlin]",
            "2026-02-30T14:39:12Z",
            "2026-02-20T25:39:12Z",
            "٢٠٢٦-02-20T14:39:12Z",
        ] {
            assert!(created_at(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a16_urls_that_could_mean_another_place_are_refused() {
        for text in [
            "https://h/x",
            "http://h:8080/a%20b?c#d",
            "HTTPS://h/é",
            "https://h",
        ] {
            assert!(entry_url(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "x",
            "/x",
            "//h/x",
            "https:x",
            "https:/h/x",
            "https:///h/x",
            r"https:\\h\x",
            "https://h/a\nb",
            " https://h/x",
            "https://h/x ",
            "https://h/\0",
            "https://[::1",
        ] {
            assert_eq!(
                entry_url(text).unwrap_err().kind(),
                ErrorKind::Manifest,
                "{text:?}"
            );
        }
        for text in [
            "file:///etc/passwd",
            "ftp://h/x",
            "data:text/plain,x",
            "javascript:alert(1)",
            "https://user@h/x",
            "https://user:password@h/x",
            "https://@h/x",
            "https://:@h/x",
        ] {
            let error = entry_url(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Policy, "{text:?}");
            assert!(!error.to_string().contains("password"), "{error}");
        }
    }
}
