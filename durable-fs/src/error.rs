use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::Operation;

/// The result of an operation on the disk.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure an [`Error`] is. Callers branch on this, never on the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Nothing has this name.
    NotFound,
    /// Something already has this name.
    AlreadyExists,
    /// A symbolic link, FIFO, device, file or folder stands where another type is needed. Links are
    /// never followed.
    NotRegular,
    /// No space, no inodes or no quota left.
    NoSpace,
    /// The operating system refused access.
    PermissionDenied,
    /// The file system is mounted read-only.
    ReadOnly,
    /// The process or the system has no file handle left.
    TooManyOpenFiles,
    /// A file is longer than the caller, or the file system, allows.
    TooLarge,
    /// The two names are on different file systems.
    CrossDevice,
    /// A folder that must be empty is not.
    NotEmpty,
    /// The platform or the file system cannot do it.
    Unsupported,
    /// Not a relative path of plain components.
    InvalidPath,
    /// Any other failure of the device or the operating system.
    Io,
}

/// Why the disk did not do what was asked.
///
/// `{error}` says what failed, `{error:#}` and `{error:?}` with all its causes in one line.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    operation: Operation,
    path: PathBuf,
    note: &'static str,
    source: Option<io::Error>,
}

impl Error {
    pub(crate) fn new(operation: Operation, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let note = match operation {
            Operation::SyncFile | Operation::SyncDir | Operation::SyncFilesystem => {
                "; what was written may be lost and must be written again"
            }
            _ => "",
        };
        Self(Box::new(Inner {
            kind: kind_of(&source),
            operation,
            path: path.into(),
            note,
            source: Some(source),
        }))
    }

    pub(crate) fn refused(
        kind: ErrorKind,
        operation: Operation,
        path: impl Into<PathBuf>,
        note: &'static str,
    ) -> Self {
        Self(Box::new(Inner {
            kind,
            operation,
            path: path.into(),
            note,
            source: None,
        }))
    }

    /// The class of the failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What was being done.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.0.operation
    }

    /// To which file or folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Whether nothing has the name.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind() == ErrorKind::NotFound
    }

    /// Whether something already has the name.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.kind() == ErrorKind::AlreadyExists
    }

    /// The operating system's own number for the failure.
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        self.0.source.as_ref().and_then(io::Error::raw_os_error)
    }
}

/// The class of an error of the operating system.
pub(crate) fn kind_of(error: &io::Error) -> ErrorKind {
    use io::ErrorKind as Os;
    if let Some(kind) = error
        .raw_os_error()
        .and_then(crate::platform::kind_of_os_error)
    {
        return kind;
    }
    match error.kind() {
        Os::NotFound => ErrorKind::NotFound,
        Os::AlreadyExists => ErrorKind::AlreadyExists,
        Os::PermissionDenied => ErrorKind::PermissionDenied,
        Os::ReadOnlyFilesystem => ErrorKind::ReadOnly,
        Os::StorageFull | Os::QuotaExceeded => ErrorKind::NoSpace,
        Os::FileTooLarge => ErrorKind::TooLarge,
        Os::CrossesDevices => ErrorKind::CrossDevice,
        Os::DirectoryNotEmpty => ErrorKind::NotEmpty,
        Os::NotADirectory | Os::IsADirectory => ErrorKind::NotRegular,
        Os::Unsupported => ErrorKind::Unsupported,
        Os::InvalidFilename => ErrorKind::InvalidPath,
        _ => ErrorKind::Io,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "cannot {} {}{}",
            self.0.operation,
            self.0.path.display(),
            self.0.note
        )?;
        match &self.0.source {
            Some(source) if formatter.alternate() => write!(formatter, ": {source}"),
            _ => Ok(()),
        }
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
        self.0.source.as_ref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_without_a_number_have_a_class_too() {
        for (error, kind) in [
            (io::ErrorKind::StorageFull, ErrorKind::NoSpace),
            (io::ErrorKind::QuotaExceeded, ErrorKind::NoSpace),
            (io::ErrorKind::FileTooLarge, ErrorKind::TooLarge),
            (io::ErrorKind::ReadOnlyFilesystem, ErrorKind::ReadOnly),
            (io::ErrorKind::CrossesDevices, ErrorKind::CrossDevice),
            (io::ErrorKind::Unsupported, ErrorKind::Unsupported),
            (io::ErrorKind::WriteZero, ErrorKind::Io),
        ] {
            assert_eq!(kind_of(&error.into()), kind);
        }
    }

    #[test]
    fn debug_shows_the_cause_which_display_leaves_to_the_chain() {
        let error = Error::new(Operation::Rename, "a/b", io::ErrorKind::StorageFull.into());
        assert_eq!(error.to_string(), "cannot rename a/b");
        assert_eq!(format!("{error:#}"), "cannot rename a/b: no storage space");
        assert_eq!(format!("{error:?}"), format!("{error:#}"));
    }
}
