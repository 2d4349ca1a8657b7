//! The one error of this crate.

use std::error::Error as StdError;
use std::fmt;

use crate::SpecProblem;

/// What kind of thing went wrong. Callers branch on this, never on the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The spec, lock, snapshot or another document is not valid.
    Spec,
    /// A name or target path that leads out of its folder, or two entries of one name or target.
    Name,
    /// The version, repository, ref, commit or model does not exist.
    NotFound,
    /// There is a version of this id already, and it was not to be replaced.
    Exists,
    /// The server wants (other) credentials.
    Auth,
    /// What is there is no git repository, or git refused it.
    Git,
    /// The requirements contradict each other, or a package cannot be had.
    Python,
    /// A node would replace the torch of the base.
    Torch,
    /// All bytes came, and they are not what was pinned.
    Integrity,
    /// The server could not be reached, or broke off.
    Network,
    /// Something that is needed is not here, and fetching it was forbidden.
    Offline,
    /// A program that is needed (`git`, `uv`) is missing or too old.
    Program,
    /// The lock belongs to another spec.
    Stale,
    /// Another process works on the same version, home or cache entry.
    Busy,
    /// The cache or the home holds something that does not belong there or was changed.
    Damaged,
    /// The disk, or the quota on it, is full.
    NoSpace,
    /// The operating system refused access, or the file system is read-only.
    PermissionDenied,
    /// Reading or writing a local file failed otherwise.
    Io,
    /// The caller cancelled.
    Cancelled,
}

/// Why a version could not be read, resolved or realized.
///
/// The text names the entry of the spec as a JSON pointer where it has one, and says what to do; the cause is in
/// [`source`](StdError::source). Tokens never appear in it.
/// `{error}` says what failed, `{error:#}` and `{error:?}` with all its causes in one line.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    pointer: Option<String>,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    problems: Vec<SpecProblem>,
}

impl Error {
    /// An error of this kind. For implementations of [`Git`](crate::Git) and [`PythonEnv`](crate::PythonEnv), too.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            pointer: None,
            hint: None,
            source: None,
            problems: Vec::new(),
        }))
    }

    /// Names the entry of the spec by its JSON pointer (RFC 6901). The innermost one wins.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.0.pointer.get_or_insert_with(|| pointer.into());
        self
    }

    /// Says what to do about it. The first hint wins.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What kind of thing went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The entry of the spec, as a JSON pointer, if the problem belongs to one.
    #[must_use]
    pub fn pointer(&self) -> Option<&str> {
        self.0.pointer.as_deref()
    }

    /// What to do about it, if that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Everything that is wrong with the document, in its order, if the error is that it is not valid; otherwise empty.
    #[must_use]
    pub fn problems(&self) -> &[SpecProblem] {
        &self.0.problems
    }

    /// What went wrong, without the pointer.
    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// Adds the cause of an error that several entries share, as text.
    pub(crate) fn with_source_of(self, other: &Self) -> Self {
        match &other.0.source {
            Some(source) => self.with_source(source.to_string()),
            None => self,
        }
    }

    pub(crate) fn with_problems(mut self, problems: Vec<SpecProblem>) -> Self {
        self.0.problems = problems;
        self
    }

    pub(crate) fn cancelled() -> Self {
        Self::new(
            ErrorKind::Cancelled,
            "cancelled; running it again goes on from here",
        )
    }

    /// A failure of the local disk.
    pub(crate) fn disk(what: impl Into<String>, error: durable_fs::Error) -> Self {
        let kind = match error.kind() {
            durable_fs::ErrorKind::NoSpace => ErrorKind::NoSpace,
            durable_fs::ErrorKind::PermissionDenied | durable_fs::ErrorKind::ReadOnly => {
                ErrorKind::PermissionDenied
            }
            _ => ErrorKind::Io,
        };
        Self::new(kind, what).with_source(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(pointer) = self.pointer().filter(|pointer| !pointer.is_empty()) {
            write!(formatter, "{pointer}: ")?;
        }
        formatter.write_str(&self.0.message)?;
        if formatter.alternate() {
            let mut cause = self.source();
            while let Some(error) = cause {
                write!(formatter, ": {error}")?;
                cause = error.source();
            }
        }
        Ok(())
    }
}

/// As `{:#}`, so that what `main` returns, and what `unwrap` panics with, can be read.
impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self:#}")
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debug_text_has_all_causes() {
        let error = Error::new(ErrorKind::Io, "cannot write")
            .with_source(std::io::Error::other("disk full"));
        assert_eq!(format!("{error:?}"), "cannot write: disk full");
    }
}
