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
    /// Files of an installed release are not what its manifest says.
    Damaged,
    /// The release does not work, by the health probe's answer now or when it was active before.
    Unhealthy,
    /// The operating system refused access.
    PermissionDenied,
    /// The caller cancelled.
    Cancelled,
    /// The updater was built with something that cannot work.
    Configuration,
    /// The disk failed.
    Io,
}

/// Why an operation was refused or failed. The active release is what it was before, and running the
/// operation again goes on from where it stopped.
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

    /// The class of the failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
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

fn kind_of_download(kind: downloader::ErrorKind) -> ErrorKind {
    match kind {
        downloader::ErrorKind::Integrity | downloader::ErrorKind::Limit => ErrorKind::Integrity,
        downloader::ErrorKind::NotFound => ErrorKind::NotFound,
        downloader::ErrorKind::Policy | downloader::ErrorKind::Unsupported => ErrorKind::Policy,
        downloader::ErrorKind::NoSpace => ErrorKind::NoSpace,
        downloader::ErrorKind::Cancelled => ErrorKind::Cancelled,
        downloader::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        downloader::ErrorKind::Io => ErrorKind::Io,
        _ => ErrorKind::Network,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
