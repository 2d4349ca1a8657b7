//! What a model's content must be.

use std::fmt;
use std::str::FromStr;

use manifest_core::Sha256Digest;

use crate::text::quote;
use crate::{Error, ErrorKind};

/// The digest of a model's content as a spec gives it: `sha256:…` or `md5:…`.
///
/// Only SHA-256 identifies a content; MD5 finds accidents, not attacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Checksum {
    /// SHA-256, which is also the name under which the content is kept.
    Sha256(Sha256Digest),
    /// MD5, the 16 bytes.
    Md5([u8; 16]),
}

impl Checksum {
    /// The SHA-256, if it is one.
    #[must_use]
    pub fn sha256(&self) -> Option<Sha256Digest> {
        match self {
            Self::Sha256(digest) => Some(*digest),
            Self::Md5(_) => None,
        }
    }
}

fn hex_digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

impl FromStr for Checksum {
    type Err = Error;

    /// Digits of either case. The hint of a refusal is the text to write instead, as far as it can be told.
    fn from_str(text: &str) -> Result<Self, Error> {
        const FORMS: &str = "write \"sha256:\" and 64 hexadecimal digits, or \"md5:\" and 32; leave it out if it is not known";
        let refuse = |reason: &str, hint: String| {
            let message = format!("{} is no checksum: {reason}", quote(text));
            Err(Error::new(ErrorKind::Spec, message).with_hint(hint))
        };
        let Some((algorithm, digits)) = text.split_once(':') else {
            let hint = match text.len() {
                _ if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) => FORMS.into(),
                64 => format!("write \"sha256:{}\"", text.to_ascii_lowercase()),
                32 => format!("write \"md5:{}\"", text.to_ascii_lowercase()),
                _ => FORMS.into(),
            };
            return refuse("it does not say which algorithm it is of", hint);
        };
        match algorithm.to_ascii_lowercase().as_str() {
            "sha256" => match hex_digits(digits) {
                Some(bytes) => Ok(Self::Sha256(Sha256Digest::from_bytes(bytes))),
                None => refuse("a SHA-256 has 64 hexadecimal digits", FORMS.into()),
            },
            "md5" => match hex_digits(digits) {
                Some(bytes) => Ok(Self::Md5(bytes)),
                None => refuse("an MD5 has 32 hexadecimal digits", FORMS.into()),
            },
            "sha-256" => refuse(
                "the algorithm is written `sha256`",
                format!("write \"sha256:{digits}\""),
            ),
            _ => refuse("only `sha256` and `md5` are known", FORMS.into()),
        }
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digest) => write!(formatter, "sha256:{digest}"),
            Self::Md5(bytes) => {
                formatter.write_str("md5:")?;
                bytes
                    .iter()
                    .try_for_each(|byte| write!(formatter, "{byte:02x}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_written() {
        for text in [
            format!("sha256:{}", "0a".repeat(32)),
            format!("md5:{}", "f1".repeat(16)),
        ] {
            assert_eq!(text.parse::<Checksum>().unwrap().to_string(), text);
            assert_eq!(
                text.to_ascii_uppercase()
                    .parse::<Checksum>()
                    .unwrap()
                    .to_string(),
                text
            );
        }
    }

    #[test]
    fn a_refusal_says_what_to_write() {
        let hint = |text: &str| {
            text.parse::<Checksum>()
                .unwrap_err()
                .hint()
                .unwrap_or_default()
                .to_owned()
        };
        assert_eq!(
            hint(&"AB".repeat(32)),
            format!("write \"sha256:{}\"", "ab".repeat(32))
        );
        assert_eq!(
            hint(&"ab".repeat(16)),
            format!("write \"md5:{}\"", "ab".repeat(16))
        );
        for text in [
            "",
            "x",
            "sha256:",
            "sha256:xyz",
            &format!("sha256:{}", "é".repeat(32)),
            "md5:12",
            "sha1:12",
            "sha256",
            "crc32:00",
        ] {
            assert!(hint(text).contains("64 hexadecimal digits"), "{text}");
        }
    }
}
