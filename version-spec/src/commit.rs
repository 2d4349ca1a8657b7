//! A commit by its full object name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::quote;
use crate::{Error, ErrorKind};

/// The object name of a git commit: 40 lower-case hexadecimal digits (SHA-1), whatever case it was written in.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitId(Box<str>);

impl CommitId {
    /// The 40 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl TryFrom<String> for CommitId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        if text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Self(text.to_ascii_lowercase().into()));
        }
        let message = format!(
            "{} is no commit; a commit has 40 hexadecimal digits",
            quote(&text)
        );
        Err(Error::new(ErrorKind::Spec, message))
    }
}

impl FromStr for CommitId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::try_from(text.to_owned())
    }
}

impl From<CommitId> for String {
    fn from(commit: CommitId) -> Self {
        commit.0.into()
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl fmt::Debug for CommitId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_forty_digits_are_a_commit() {
        let upper = "A".repeat(40).parse::<CommitId>().unwrap();
        assert_eq!(upper.as_str(), "a".repeat(40));
        assert_eq!(upper.short(), "aaaaaaaaaaaa");
        for text in [
            "",
            "main",
            "abc1234",
            &"a".repeat(39),
            &"a".repeat(41),
            &"g".repeat(40),
            &"é".repeat(20),
        ] {
            assert_eq!(
                text.parse::<CommitId>().unwrap_err().kind(),
                ErrorKind::Spec,
                "{text}"
            );
        }
    }
}
