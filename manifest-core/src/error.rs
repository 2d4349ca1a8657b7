use std::error::Error as StdError;
use std::fmt;

use serde_path_to_error::Segment;

/// What kind of refusal an [`Error`] is. Callers branch on this, never on the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A path, tool id or version that is not safe to use as a name on every platform.
    Path,
    /// Two entries that are one file on some platform: the same path, or paths that differ
    /// only in case or Unicode normalisation.
    Duplicate,
    /// A path that is a file in one entry and a folder in another.
    Conflict,
    /// Not a manifest: malformed JSON, a duplicate key, a missing or mistyped field.
    Manifest,
    /// A bound of [`Limits`](crate::Limits) or of the format was exceeded.
    Limit,
    /// Well formed, but not allowed: a URL with user information or with a forbidden scheme.
    Policy,
    /// `manifest_hash` does not match the content.
    Hash,
    /// The caller stopped the operation.
    Cancelled,
    /// Reading a folder or file failed.
    Io,
}

/// Why a manifest, a name or a folder was refused.
///
/// The text names the field (as a JSON pointer), the path or the URL; the cause, where there is
/// one, is in [`source`](StdError::source).
/// `{error}` says what failed, `{error:#}` and `{error:?}` with all its causes in one line.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    pointer: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            pointer: None,
            source: None,
        }))
    }

    pub(crate) fn io(message: impl Into<String>, source: std::io::Error) -> Self {
        Self::new(ErrorKind::Io, message).with_source(source)
    }

    pub(crate) fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "stopped as asked")
    }

    pub(crate) fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    /// Says where in the document the problem is. The innermost position wins.
    pub(crate) fn at(mut self, pointer: impl Into<String>) -> Self {
        self.0.pointer.get_or_insert_with(|| pointer.into());
        self
    }

    /// The error without its place: for who says the place otherwise.
    pub(crate) fn without_pointer(mut self) -> Self {
        self.0.pointer = None;
        self
    }

    /// The class of the refusal.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The text without the pointer in front of it.
    #[cfg(feature = "schema")]
    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// Where in the document the problem is, as a JSON pointer (RFC 6901), if it has a place.
    #[must_use]
    pub fn pointer(&self) -> Option<&str> {
        self.0.pointer.as_deref()
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

/// Where a value stands that has another type than is needed, as a JSON pointer (RFC 6901).
pub(crate) fn pointer_of(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        pointer += "/";
        pointer += &match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.clone(),
            other => other.to_string(),
        };
    }
    pointer
}

/// A text for a message: quoted, escaped, and short however long it is.
pub(crate) fn quote(text: &str) -> String {
    let shown: String = text.chars().take(200).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!("{shown:?}{more}")
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
    fn the_alternate_text_has_all_causes() {
        let disk = std::io::Error::other("disk full");
        let copy = Error::io("cannot copy", disk);
        let update = Error::new(ErrorKind::Manifest, "cannot update")
            .with_source(copy)
            .at("/files/0");
        assert_eq!(update.to_string(), "/files/0: cannot update");
        assert_eq!(
            format!("{update:#}"),
            "/files/0: cannot update: cannot copy: disk full"
        );
        assert_eq!(format!("{update:?}"), format!("{update:#}"));
    }
}
