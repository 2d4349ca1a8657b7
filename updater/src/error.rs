use std::error::Error as StdError;
use std::fmt;

/// What kind of failure an [`Error`] is. Callers branch on this, never on the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The manifest is not the one that the policy trusts.
    Trust,
    /// The manifest is of another tool than the one installed.
    WrongProduct,
    /// The release is older than the active one, or is the same version with other content.
    Rollback,
    /// A manifest is malformed or unsafe; the source says how.
    Manifest,
    /// A URL, host, link or device that is not allowed.
    Policy,
    /// Another process is changing the installation.
    Busy,
    /// Not enough space on the device.
    NoSpace,
    /// What was fetched is not what the manifest says, from any source.
    Integrity,
    /// No source has the file, or a release that was asked for is not installed.
    NotFound,
    /// There is no installation, or no active release in it.
    NoInstallation,
    /// The sources could not be reached, were too slow, or answered wrongly.
    Network,
    /// A source, or a proxy on the way to it, wants credentials, or others (HTTP 401, 403, 407). It says so again until
    /// somebody changes something.
    Unauthorized,
    /// Files of an installed release are not what its manifest says.
    Damaged,
    /// The release does not work, by the health probe's answer now or when it was active before.
    Unhealthy,
    /// The operating system refused access.
    PermissionDenied,
    /// The caller cancelled. If a health probe was being asked, the text says which release is active.
    Cancelled,
    /// The updater was built with something that cannot work.
    Configuration,
    /// The disk failed.
    Io,
    /// A release ZIP is malformed, unsafe or no ZIP at all, or its server does not serve parts of it.
    Archive,
}

/// Why an operation was refused or failed. The active release is what it was before, or is that again, unless the text says
/// otherwise (see [`Updater::apply`](crate::Updater::apply)), and running the operation again goes on from where it stopped.
///
/// `{error}` says what failed, `{error:#}` and `{error:?}` with all its causes in one line.
///
/// ```
/// use updater::{Error, ErrorKind};
///
/// /// What a program that runs every night does next.
/// fn next(error: &Error) -> &'static str {
///     match error.kind() {
///         ErrorKind::Cancelled => "nothing",
///         _ if error.is_temporary() => "try again",
///         ErrorKind::Unauthorized => "ask for a new token",
///         _ => "call somebody",
///     }
/// }
/// # let _ = next;
/// ```
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
            "cancelled; what was fetched so far is kept for the next run",
        )
    }

    /// Adds to what is said, if the failure is one of the sources.
    pub(crate) fn if_of_source(mut self, more: &str) -> Self {
        use ErrorKind::{Archive, Integrity, Network, NotFound, Unauthorized};
        if matches!(
            self.0.kind,
            Archive | Integrity | Network | NotFound | Unauthorized
        ) {
            self.0.message.push_str("; ");
            self.0.message.push_str(more);
        }
        self
    }

    /// The class of the failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call may succeed later without anybody's doing anything: another process holds the lock, or at least
    /// one of the sources that were asked failed in a way that may pass (no connection, no answer, too slow, HTTP 429 or 5xx;
    /// see [`downloader::Error::is_temporary`]).
    ///
    /// A host's name that cannot be resolved counts, since that is also what a missing network looks like. A release that does
    /// not work and a call that was cancelled do not, nor does anything of the local disk.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self.kind() {
            ErrorKind::Busy => true,
            ErrorKind::Unhealthy | ErrorKind::Cancelled => false,
            _ => {
                let mut cause = self.source();
                while let Some(error) = cause {
                    if let Some(answer) = error.downcast_ref::<downloader::Error>() {
                        return answer.is_temporary();
                    }
                    cause = error.source();
                }
                false
            }
        }
    }
}

/// Says what was being done when a layer below failed.
pub(crate) trait During<T> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> During<T> for Result<T, activation::Error> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|error| match kind_of_activation(error.kind()) {
            ErrorKind::Cancelled => Error::cancelled(),
            kind => Error::new(kind, what()).with_source(error),
        })
    }
}

impl<T> During<T> for Result<T, downloader::Error> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|error| match kind_of_download(error.kind()) {
            ErrorKind::Cancelled => Error::cancelled(),
            kind => Error::new(kind, what()).with_source(error),
        })
    }
}

impl<T> During<T> for Result<T, manifest_core::Error> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|error| {
            let kind = match error.kind() {
                manifest_core::ErrorKind::Policy => ErrorKind::Policy,
                manifest_core::ErrorKind::Io => ErrorKind::Io,
                _ => ErrorKind::Manifest,
            };
            Error::new(kind, what()).with_source(error)
        })
    }
}

fn kind_of_activation(kind: activation::ErrorKind) -> ErrorKind {
    match kind {
        activation::ErrorKind::Busy => ErrorKind::Busy,
        activation::ErrorKind::Policy => ErrorKind::Policy,
        activation::ErrorKind::NotFound => ErrorKind::NotFound,
        activation::ErrorKind::NoActiveRelease => ErrorKind::NoInstallation,
        activation::ErrorKind::Damaged => ErrorKind::Damaged,
        activation::ErrorKind::NoSpace => ErrorKind::NoSpace,
        activation::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        activation::ErrorKind::Manifest => ErrorKind::Manifest,
        activation::ErrorKind::Cancelled => ErrorKind::Cancelled,
        _ => ErrorKind::Io,
    }
}

pub(crate) fn kind_of_download(kind: downloader::ErrorKind) -> ErrorKind {
    match kind {
        downloader::ErrorKind::Integrity | downloader::ErrorKind::Limit => ErrorKind::Integrity,
        downloader::ErrorKind::NotFound => ErrorKind::NotFound,
        downloader::ErrorKind::Unauthorized => ErrorKind::Unauthorized,
        downloader::ErrorKind::Policy | downloader::ErrorKind::Unsupported => ErrorKind::Policy,
        downloader::ErrorKind::NoSpace => ErrorKind::NoSpace,
        downloader::ErrorKind::Cancelled => ErrorKind::Cancelled,
        downloader::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        downloader::ErrorKind::Io => ErrorKind::Io,
        downloader::ErrorKind::Archive => ErrorKind::Archive,
        _ => ErrorKind::Network,
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

    fn of_source(error: downloader::Error) -> Error {
        let failed: Result<(), _> = Err(error);
        failed.during(|| "cannot fetch".into()).unwrap_err()
    }

    #[test]
    fn only_what_passes_by_itself_is_temporary() {
        use downloader::ErrorKind as Source;

        for kind in [Source::Network, Source::Stalled, Source::UnknownHost] {
            let error = of_source(downloader::Error::new(kind, "x"));
            assert_eq!(error.kind(), ErrorKind::Network, "{kind:?}");
            assert!(error.is_temporary(), "{kind:?}");
        }
        for (kind, ours) in [
            (Source::Unauthorized, ErrorKind::Unauthorized),
            (Source::NotFound, ErrorKind::NotFound),
            (Source::Status, ErrorKind::Network),
            (Source::Protocol, ErrorKind::Network),
            (Source::Integrity, ErrorKind::Integrity),
        ] {
            let error = of_source(downloader::Error::new(kind, "x"));
            assert_eq!(error.kind(), ours, "{kind:?}");
            assert!(!error.is_temporary(), "{kind:?}");
            // One of several sources may come back.
            let error = of_source(downloader::Error::new(kind, "x").temporary());
            assert!(error.is_temporary(), "{kind:?}");
        }

        // However deep, as long as trying again is what helps.
        let broken = || of_source(downloader::Error::new(Source::Network, "x"));
        for (kind, temporary) in [
            (ErrorKind::Damaged, true),
            (ErrorKind::Unhealthy, false),
            (ErrorKind::Cancelled, false),
        ] {
            let error = Error::new(kind, "y").with_source(broken());
            assert_eq!(error.is_temporary(), temporary, "{kind:?}");
        }
        assert!(Error::new(ErrorKind::Busy, "z").is_temporary());
        assert!(!Error::new(ErrorKind::NoSpace, "z").is_temporary());
    }
}
