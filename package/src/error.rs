use std::error::Error as StdError;
use std::fmt;
use std::io;

/// What kind of failure an [`Error`] is. Callers branch on this, never on the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A folder is not the release of a tool as it stands: no id or version, a `tool.json` that is wrong, a
    /// name that is not safe on every platform, no file at all, or a front end without its page.
    Tool,
    /// Two folders would become archives of the same name.
    Duplicate,
    /// The folder to write into is a part of what is packed.
    Place,
    /// A folder holds what no release may hold, such as a symbolic link.
    Policy,
    /// A file changed between two times that it was read.
    Integrity,
    /// An archive of that name is there already, with other content.
    Conflict,
    /// The catalogue cannot be read: it is none, or of a version that is not known.
    Catalog,
    /// Somebody else is packing into the folder.
    Busy,
    /// A folder or file is not there.
    NotFound,
    /// The disk is full, or would become full.
    NoSpace,
    /// The operating system refused access.
    PermissionDenied,
    /// The caller stopped the operation.
    Cancelled,
    /// Reading or writing failed.
    Io,
}

/// What this crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something was not packed.
///
/// The text names the folder, file or field; the cause, where there is one, is in
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

    pub(crate) fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "stopped as asked")
    }

    pub(crate) fn io(message: impl Into<String>, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::NoSpace,
            _ => ErrorKind::Io,
        };
        Self::new(kind, message).with_source(source)
    }

    pub(crate) fn disk(message: impl Into<String>, source: durable_fs::Error) -> Self {
        use durable_fs::ErrorKind as Disk;
        let kind = match source.kind() {
            Disk::NotFound => ErrorKind::NotFound,
            Disk::PermissionDenied | Disk::ReadOnly => ErrorKind::PermissionDenied,
            Disk::NoSpace => ErrorKind::NoSpace,
            _ => ErrorKind::Io,
        };
        Self::new(kind, message).with_source(source)
    }

    /// A refusal of the manifest's own crate.
    pub(crate) fn release(message: impl Into<String>, source: manifest_core::Error) -> Self {
        use manifest_core::ErrorKind as Release;
        let kind = match source.kind() {
            Release::Cancelled => return Self::cancelled(),
            Release::Policy => ErrorKind::Policy,
            Release::Io => {
                let cause = source.source().and_then(|cause| cause.downcast_ref());
                match cause.map(io::Error::kind) {
                    Some(io::ErrorKind::NotFound) => ErrorKind::NotFound,
                    Some(io::ErrorKind::PermissionDenied) => ErrorKind::PermissionDenied,
                    _ => ErrorKind::Io,
                }
            }
            _ => ErrorKind::Tool,
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
