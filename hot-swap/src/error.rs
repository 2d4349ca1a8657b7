use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::Report;

/// What kind of failure an [`Error`] is. Callers branch on this, never on the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was asked for contradicts itself.
    Configuration,
    /// The candidate, a folder, a backup or a container is not there.
    NotFound,
    /// A link, folder or device where a binary belongs, or a process that is not the service's.
    Policy,
    /// Another process is swapping this binary.
    Busy,
    /// The build failed.
    Build,
    /// The candidate is not what its release's manifest, or its backup's name, says.
    Integrity,
    /// No backup can be made, or the one to go back to is missing or damaged: refused before anything was changed.
    NoBackup,
    /// The service's manager could not be asked, or refused.
    Runtime,
    /// The service does not run, so that nothing can be run inside it.
    NotRunning,
    /// The candidate did not work; the binary before is in place again.
    RolledBack,
    /// The candidate did not work, and was left in place as asked.
    LeftFailing,
    /// The candidate did not work, and going back failed, too. The text says what is in place and where the backup is.
    RollbackFailed,
    /// The operating system refused access.
    PermissionDenied,
    /// No space left on the device.
    NoSpace,
    /// Not possible here: a container without `mv`, say.
    Unsupported,
    /// The caller cancelled. The binary before is in place.
    Cancelled,
    /// The disk failed.
    Io,
}

/// Why a swap was refused or failed. Unless the kind is [`LeftFailing`](ErrorKind::LeftFailing) or
/// [`RollbackFailed`](ErrorKind::RollbackFailed), the binary in place is the one from before.
///
/// `{error}` says what failed, `{error:#}` and `{error:?}` with all its causes in one line.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
    report: Option<Report>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            source: None,
            report: None,
        }))
    }

    /// For an implementation of [`Runtime`](crate::Runtime): the service's manager could not be asked, or refused.
    #[must_use]
    pub fn runtime(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Runtime, message)
    }

    /// For an implementation of [`Runtime`](crate::Runtime): nothing can be run inside a service that does not run.
    #[must_use]
    pub fn not_running(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotRunning, message)
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    pub(crate) fn with_report(mut self, report: Report) -> Self {
        self.0.report = Some(report);
        self
    }

    /// What did not happen, as in "it did not come up".
    pub(crate) fn late(what: &str, deadline: Duration) -> Self {
        let seconds = deadline.as_secs_f32();
        Self::new(ErrorKind::Runtime, format!("{what} within {seconds} s"))
    }

    pub(crate) fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "cancelled; nothing was changed")
    }

    /// The class of the failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// How far it came, step by step, with the service's last words. Every error of [`HotSwap::run`](crate::HotSwap::run) has it.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        self.0.report.as_ref()
    }
}

/// Says what was being done when a layer below failed.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Doing<T> for Result<T, durable_fs::Error> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|error| Error::new(kind_of(&error), what()).with_source(error))
    }
}

fn kind_of(error: &durable_fs::Error) -> ErrorKind {
    use durable_fs::ErrorKind as Disk;
    match error.kind() {
        Disk::NotFound => ErrorKind::NotFound,
        Disk::NotRegular | Disk::InvalidPath => ErrorKind::Policy,
        Disk::NoSpace => ErrorKind::NoSpace,
        Disk::PermissionDenied | Disk::ReadOnly => ErrorKind::PermissionDenied,
        Disk::Unsupported | Disk::CrossDevice => ErrorKind::Unsupported,
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
