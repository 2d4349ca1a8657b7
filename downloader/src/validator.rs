//! Strong validators: what lets two answers be joined.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longer tags are of no use to anyone and would have to be kept.
const LONGEST: usize = 1024;

/// A strong entity tag, quotes included (RFC 9110 section 8.8.3). Two answers of one URL with equal validators are bytes of the
/// same representation and may be joined; weak tags promise less and are therefore no `Validator`.
///
/// ```
/// use downloader::Validator;
///
/// assert!(Validator::from_etag("\"33a64df5\"").is_some());
/// assert!(Validator::from_etag("W/\"33a64df5\"").is_none()); // weak: the bytes may differ
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Validator(String);

impl Validator {
    /// Reads an `ETag` header's value. `None` when it is weak, malformed, or longer than 1,024 bytes.
    #[must_use]
    pub fn from_etag(etag: &str) -> Option<Self> {
        let opaque = etag.strip_prefix('"')?.strip_suffix('"')?;
        let well_formed = etag.len() <= LONGEST
            && opaque
                .bytes()
                .all(|byte| matches!(byte, 0x21 | 0x23..=0x7e));
        well_formed.then(|| Self(etag.to_owned()))
    }

    /// The tag as it is sent in `If-Range`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Validator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<Validator> for String {
    fn from(validator: Validator) -> Self {
        validator.0
    }
}

impl TryFrom<String> for Validator {
    type Error = &'static str;

    fn try_from(etag: String) -> Result<Self, Self::Error> {
        Self::from_etag(&etag).ok_or("not a strong entity tag")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strong_well_formed_tags() {
        assert_eq!(Validator::from_etag("\"abc\"").unwrap().as_str(), "\"abc\"");
        assert!(Validator::from_etag("\"\"").is_some());
        for bad in [
            "",
            "\"",
            "abc",
            "W/\"abc\"",
            "w/\"abc\"",
            "\"a\"b\"",
            "\"a b\"",
            "\"a\r\nX: y\"",
            "\"a\", \"b\"",
        ] {
            assert!(Validator::from_etag(bad).is_none(), "{bad:?}");
        }
        assert!(Validator::from_etag(&format!("\"{}\"", "x".repeat(2000))).is_none());
    }

    #[test]
    fn a_weak_tag_does_not_come_in_through_serde() {
        assert!(serde_json::from_str::<Validator>(r#""W/\"a\"""#).is_err());
        assert!(serde_json::from_str::<Validator>(r#""\"a\"""#).is_ok());
    }
}
