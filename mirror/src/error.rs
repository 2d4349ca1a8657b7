use std::error::Error as StdError;
use std::fmt;
use std::io;

/// What kind of failure an [`Error`] is. Callers branch on this, never on the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The same version of the same tool is published already, with other content.
    Conflict,
    /// A source file is not what its manifest says: it changed, or it is missing.
    Integrity,
    /// What the store holds is not what was published into it.
    Corrupt,
    /// Another process is publishing into the store.
    Busy,
    /// A folder that was to be opened does not exist.
    NotFound,
    /// The disk of the store is full, or would become full.
    NoSpace,
    /// The store holds a manifest that is none.
    Manifest,
    /// The caller stopped the operation.
    Cancelled,
    /// The address cannot be listened on.
    Bind,
    /// Reading, writing or accepting failed.
    Io,
}

/// Why publishing, reading the store or serving failed.
///
/// The text names the file, release or address; the cause, where there is one, is in
/// [`source`](StdError::source).
/// `{error}` says what failed, `{error:#}` and `{error:?}` with all its causes in one line.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            source: None,
        }))
    }

    pub(crate) fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    pub(crate) fn io(message: impl Into<String>, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::NoSpace,
            _ => ErrorKind::Io,
        };
        Self::new(kind, message).with_source(source)
    }

    /// The class of the failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
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

/// What this crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

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
