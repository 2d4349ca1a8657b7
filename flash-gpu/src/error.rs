use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// What kind of failure an [`Error`] is. Callers branch on this, never on the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no installation, or no active release in it.
    NoInstallation,
    /// The active release wants no warm-up: it has no `flash_gpu_config`, that is not enabled, or it names no script.
    NotConfigured,
    /// No GPU was found, or not the one that was chosen.
    NoGpu,
    /// The release needs a CUDA, and the GPU has none or does not say which.
    NoCuda,
    /// The driver supports an older CUDA than the release needs.
    DriverTooOld,
    /// A source that should know the GPUs is there and does not work.
    Probe,
    /// No Python was found, or what was found is none.
    NoInterpreter,
    /// The Python is older than the release needs.
    PythonTooOld,
    /// The script ended with another exit code than 0.
    ScriptFailed,
    /// The script ended well and left no valid output file.
    InvalidOutput,
    /// The script took longer than it may.
    Deadline,
    /// After the script, there is nothing that the manifest's `cache_artifacts` match.
    NoArtifacts,
    /// The script is not what the manifest says.
    Damaged,
    /// Another warm-up of the same installation runs.
    Busy,
    /// The manifest is malformed, or asks for something that cannot be.
    Manifest,
    /// A link or device where a folder or file of `cache/` belongs.
    Policy,
    /// Not enough space on the device.
    NoSpace,
    /// The operating system refused access.
    PermissionDenied,
    /// The disk failed.
    Io,
    /// The caller cancelled.
    Cancelled,
}

/// Why there was no warm-up. The active release is what it was, nothing half counts as warm, and running again is safe.
///
/// `{error}` says what failed, `{error:#}` and `{error:?}` with all its causes in one line.
///
/// ```
/// use flash_gpu::{Error, ErrorKind};
///
/// /// What a program that warms up at every start says to its operator.
/// fn advice(error: &Error) -> String {
///     match error.kind() {
///         ErrorKind::NotConfigured => "nothing to do".into(),
///         ErrorKind::Damaged => "repair the installation".into(),
///         ErrorKind::ScriptFailed | ErrorKind::Deadline => {
///             format!("{error}\n{}", error.log_tail().unwrap_or_default())
///         }
///         _ => format!("{error:#}"),
///     }
/// }
/// # let _ = advice;
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    log: Option<PathBuf>,
    log_tail: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this kind. For implementations of [`GpuProbe`](crate::GpuProbe), whose kind is [`ErrorKind::Probe`].
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            log: None,
            log_tail: None,
            source: None,
        }))
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn with_log(mut self, tail: String, log: Option<PathBuf>) -> Self {
        self.0.log_tail = Some(tail);
        self.0.log = log;
        self
    }

    pub(crate) fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "cancelled; nothing was kept")
    }

    /// The class of the failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The end of what the script printed, if it ran: at most 16 KiB.
    #[must_use]
    pub fn log_tail(&self) -> Option<&str> {
        self.0.log_tail.as_deref()
    }

    /// Where more of what the script printed is, if it ran and that could be written down.
    #[must_use]
    pub fn log(&self) -> Option<&Path> {
        self.0.log.as_deref()
    }
}

/// Says what was being done when a layer below failed.
pub(crate) trait During<T> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> During<T> for Result<T, durable_fs::Error> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|error| {
            let kind = match error.kind() {
                durable_fs::ErrorKind::NotRegular => ErrorKind::Policy,
                durable_fs::ErrorKind::NoSpace => ErrorKind::NoSpace,
                durable_fs::ErrorKind::PermissionDenied | durable_fs::ErrorKind::ReadOnly => {
                    ErrorKind::PermissionDenied
                }
                _ => ErrorKind::Io,
            };
            Error::new(kind, what()).with_source(error)
        })
    }
}

impl<T> During<T> for Result<T, activation::Error> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|error| {
            let kind = match error.kind() {
                activation::ErrorKind::NotFound | activation::ErrorKind::NoActiveRelease => {
                    ErrorKind::NoInstallation
                }
                activation::ErrorKind::Busy => ErrorKind::Busy,
                activation::ErrorKind::Policy => ErrorKind::Policy,
                activation::ErrorKind::Manifest => ErrorKind::Manifest,
                activation::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
                _ => ErrorKind::Io,
            };
            Error::new(kind, what()).with_source(error)
        })
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
        let warm_up = Error::new(ErrorKind::NoSpace, "cannot warm up").with_source(copy);
        assert_eq!(warm_up.to_string(), "cannot warm up");
        assert_eq!(
            format!("{warm_up:#}"),
            "cannot warm up: cannot copy: disk full"
        );
        assert_eq!(format!("{warm_up:?}"), format!("{warm_up:#}"));
    }
}
