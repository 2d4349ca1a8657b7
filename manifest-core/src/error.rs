use std::error::Error as StdError;
use std::fmt;

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
    /// Reading a folder or file failed.
    Io,
}

/// Why a manifest, a name or a folder was refused.
///
/// The text names the field (as a JSON pointer), the path or the URL; the cause, where there is
/// one, is in [`source`](StdError::source).
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

    pub(crate) fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    /// Says where in the document the problem is. The innermost position wins.
    pub(crate) fn at(mut self, pointer: impl Into<String>) -> Self {
        self.0.pointer.get_or_insert_with(|| pointer.into());
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
        formatter.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("pointer", &self.0.pointer)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
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
