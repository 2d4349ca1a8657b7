use std::error::Error as StdError;
use std::fmt;

/// What kind of failure an [`Error`] is. Callers branch on this, never on the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Another process holds the installation's lock.
    Busy,
    /// A link, device or foreign file system where one of Lockstep's own files belongs.
    Policy,
    /// A release or installation that was asked for is not there.
    NotFound,
    /// `current.txt` names no release that is installed.
    NoActiveRelease,
    /// Files of a release are missing or are not what its manifest says.
    Damaged,
    /// A staged release lacks files.
    Incomplete,
    /// No space, or no inodes, left on the device.
    NoSpace,
    /// The operating system refused access.
    PermissionDenied,
    /// A manifest on disk is not valid.
    Manifest,
    /// The caller stopped the operation.
    Cancelled,
    /// Any other failure of the disk.
    Io,
}

/// Why an operation on an installation failed. The active release is what it was before.
///
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
        Self::new(
            ErrorKind::Cancelled,
            "stopped as asked; running again goes on from here",
        )
    }

    /// The class of the failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }
}

/// Says what was being done when the disk failed.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Doing<T> for Result<T, durable_fs::Error> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|error| Error::new(kind_of(&error), what()).with_source(error))
    }
}

fn kind_of(error: &durable_fs::Error) -> ErrorKind {
    match error.kind() {
        durable_fs::ErrorKind::NotRegular | durable_fs::ErrorKind::CrossDevice => ErrorKind::Policy,
        durable_fs::ErrorKind::NoSpace => ErrorKind::NoSpace,
        durable_fs::ErrorKind::PermissionDenied | durable_fs::ErrorKind::ReadOnly => {
            ErrorKind::PermissionDenied
        }
        durable_fs::ErrorKind::NotFound => ErrorKind::NotFound,
        _ => ErrorKind::Io,
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
    fn the_alternate_text_has_all_causes() {
        let disk = std::io::Error::other("disk full");
        let copy = Error::new(ErrorKind::NoSpace, "cannot copy").with_source(disk);
        let update = Error::new(ErrorKind::NoSpace, "cannot update").with_source(copy);
        assert_eq!(update.to_string(), "cannot update");
        assert_eq!(
            format!("{update:#}"),
            "cannot update: cannot copy: disk full"
        );
        assert_eq!(format!("{update:?}"), format!("{update:#}"));
    }
}
