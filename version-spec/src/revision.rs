//! Which commit of a repository is wanted.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::quote;
use crate::{CommitId, Error, ErrorKind};

/// Which commit of a repository a spec asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Revision {
    /// What the remote's `HEAD` points to.
    Head,
    /// A branch or tag by its short name, or any ref in full (`refs/…`).
    Ref(RefName),
    /// Exactly this commit.
    Commit(CommitId),
}

impl Revision {
    /// The commit, if it is one.
    #[must_use]
    pub fn commit(&self) -> Option<&CommitId> {
        match self {
            Self::Commit(commit) => Some(commit),
            Self::Head | Self::Ref(_) => None,
        }
    }
}

/// `HEAD`, 40 hexadecimal digits, or a ref: what stands behind the `@` of `<url>@<ref>`.
impl FromStr for Revision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text == "HEAD" {
            return Ok(Self::Head);
        }
        match text.parse() {
            Ok(commit) => Ok(Self::Commit(commit)),
            Err(_) => text.parse().map(Self::Ref),
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => formatter.pad("HEAD"),
            Self::Ref(name) => name.fmt(formatter),
            Self::Commit(commit) => commit.fmt(formatter),
        }
    }
}

/// The name of a ref, short or in full, as `git check-ref-format --allow-onelevel` allows it, and with no leading `-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RefName(Box<str>);

impl RefName {
    /// The name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name is given in full: it starts with `refs/`.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.starts_with("refs/")
    }
}

/// <https://git-scm.com/docs/git-check-ref-format>
fn fault_of(name: &str) -> Option<String> {
    const LONGEST: usize = 1024;
    const LOCK: &str = ".lock";
    let fault = |text: &str| Some(text.to_owned());
    if name.is_empty() {
        return fault("it is empty");
    }
    if name.len() > LONGEST {
        return Some(format!("it is longer than {LONGEST} bytes"));
    }
    if name.starts_with('-') {
        return fault("it starts with a dash");
    }
    if name == "@" || name.contains("@{") {
        return fault("`@` and `@{` mean something else to git");
    }
    let bad = |letter: char| letter.is_control() || " ~^:?*[\\".contains(letter);
    if let Some(letter) = name.chars().find(|&letter| bad(letter)) {
        return Some(format!("it has the character {letter:?}"));
    }
    if name.contains("..") || name.ends_with('.') {
        return fault("it has two dots in a row, or one at its end");
    }
    if name.split('/').any(str::is_empty) {
        return fault("it has an empty part");
    }
    let part = |part: &str| part.starts_with('.') || part.ends_with(LOCK);
    if name.split('/').any(part) {
        return fault("a part of it starts with a dot or ends in `.lock`");
    }
    None
}

impl TryFrom<String> for RefName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        match fault_of(&text) {
            None => Ok(Self(text.into())),
            Some(fault) => {
                let message = format!("{} is no name of a branch or tag: {fault}", quote(&text));
                Err(Error::new(ErrorKind::Spec, message))
            }
        }
    }
}

impl FromStr for RefName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::try_from(text.to_owned())
    }
}

impl From<RefName> for String {
    fn from(name: RefName) -> Self {
        name.0.into()
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl fmt::Debug for RefName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_as_git_does() {
        for text in [
            "main",
            "v1.0",
            "feature/x",
            "refs/heads/main",
            "refs/pull/1/head",
            "a@b",
            "ä",
            "1234567",
        ] {
            let name: RefName = text.parse().unwrap();
            assert_eq!(name.as_str(), text);
            assert_eq!(name.is_full(), text.starts_with("refs/"));
        }
        for text in [
            "",
            "-x",
            "--upload-pack=x",
            "@",
            "a@{1}",
            "a b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[",
            "a\\b",
            "a\nb",
            "a..b",
            "a.",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.lock/b",
            &"x".repeat(1025),
        ] {
            assert_eq!(
                text.parse::<RefName>().unwrap_err().kind(),
                ErrorKind::Spec,
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_revision_is_read_by_its_form() {
        assert_eq!("HEAD".parse::<Revision>().unwrap(), Revision::Head);
        let commit = "B".repeat(40);
        assert_eq!(
            commit.parse::<Revision>().unwrap().to_string(),
            "b".repeat(40)
        );
        assert!(matches!(
            "bbbbbbb".parse::<Revision>().unwrap(),
            Revision::Ref(_)
        ));
        assert!("-x".parse::<Revision>().is_err());
    }
}
