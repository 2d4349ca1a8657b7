//! The one error of this crate.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use url::Url;

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The server's answer contradicts itself, the request, or what is known about the file.
    Protocol,
    /// More bytes came than the file has, or there is more of something than a limit of ours allows.
    Limit,
    /// All bytes came, and their digest is not the expected one.
    Integrity,
    /// Bytes came more slowly than the minimum rate, or not at all.
    Stalled,
    /// The source does not have the file.
    NotFound,
    /// The source wants other credentials.
    Unauthorized,
    /// Another status than success; [`Error::is_temporary`] says whether it may pass.
    Status,
    /// The source says that the file has no byte at the offset that was asked for.
    RangeNotSatisfiable,
    /// The connection could not be made, or broke.
    Network,
    /// The name of the host could not be resolved: it is wrong, or there is no network.
    UnknownHost,
    /// Refused by a rule of ours: host, scheme, redirect, kind of file.
    Policy,
    /// The local disk, or the quota on it, is full.
    NoSpace,
    /// The operating system refused access to a local file, or its file system is read-only.
    PermissionDenied,
    /// A local file could not be read or written.
    Io,
    /// The caller cancelled.
    Cancelled,
    /// No backend for this URL's scheme.
    Unsupported,
    /// An archive is malformed, unsafe, or of a kind that is not read; or its server does not serve parts of it.
    Archive,
}

impl ErrorKind {
    fn is_usually_temporary(self) -> bool {
        matches!(self, Self::Stalled | Self::Network | Self::UnknownHost)
    }
}

/// Why bytes could not be fetched. `Display` names the URL or file; the cause is in `source()`.
///
/// `{error}` says what failed, `{error:#}` and `{error:?}` with all its causes in one line.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    url: Option<String>,
    temporary: bool,
    retry_after: Option<Duration>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this kind. [`ErrorKind::Network`], [`ErrorKind::UnknownHost`] and [`ErrorKind::Stalled`] start as temporary, all
    /// others as permanent.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            url: None,
            temporary: kind.is_usually_temporary(),
            retry_after: None,
            source: None,
        }))
    }

    /// Names the URL. User information and the query are left out, since they may hold secrets.
    #[must_use]
    pub fn with_url(mut self, url: &Url) -> Self {
        self.0.url = Some(shown(url));
        self
    }

    /// Leaves the URL out of the text, for who names it beside it.
    #[must_use]
    pub fn without_url(mut self) -> Self {
        self.0.url = None;
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Says that trying again may help.
    #[must_use]
    pub fn temporary(mut self) -> Self {
        self.0.temporary = true;
        self
    }

    /// Says that trying again cannot help.
    #[must_use]
    pub fn permanent(mut self) -> Self {
        self.0.temporary = false;
        self
    }

    /// Adds how long the server asked to wait.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.0.retry_after = wait;
        self
    }

    /// Names the URL unless one is named already.
    pub(crate) fn or_url(self, url: &Url) -> Self {
        if self.0.url.is_some() {
            self
        } else {
            self.with_url(url)
        }
    }

    /// What failed, with only the innermost cause.
    pub(crate) fn brief(&self) -> String {
        let mut root = self.source();
        while let Some(cause) = root.and_then(StdError::source) {
            root = Some(cause);
        }
        match root {
            Some(root) => format!("{self} ({root})"),
            None => self.to_string(),
        }
    }

    /// What kind of thing went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.0.temporary
    }

    /// How long the server asked to wait, as it said it: not capped.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    pub(crate) fn cancelled() -> Self {
        Self::new(
            ErrorKind::Cancelled,
            "the download was cancelled; what has arrived is kept",
        )
    }

    /// A failure of the local disk.
    pub(crate) fn disk(what: impl Into<String>, error: durable_fs::Error) -> Self {
        let kind = match error.kind() {
            durable_fs::ErrorKind::NoSpace => ErrorKind::NoSpace,
            durable_fs::ErrorKind::PermissionDenied | durable_fs::ErrorKind::ReadOnly => {
                ErrorKind::PermissionDenied
            }
            _ => ErrorKind::Io,
        };
        Self::new(kind, what).with_source(error)
    }
}

/// A URL without what may be secret in it.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let had_query = url.query().is_some();
    url.set_query(None);
    url.set_fragment(None);
    // Fails only for URLs that cannot have user information.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    if had_query {
        format!("{url}?…")
    } else {
        url.into()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(url) = &self.0.url {
            write!(formatter, "{url}: ")?;
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

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_ref()
            .map(|source| -> &(dyn StdError + 'static) { source.as_ref() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_url_without_its_secrets() {
        let url = Url::parse("https://user:secret@host/a/b?token=secret#part").unwrap();
        let error = Error::new(ErrorKind::NotFound, "the server answered 404").with_url(&url);
        assert_eq!(
            error.to_string(),
            "https://host/a/b?…: the server answered 404"
        );
        assert!(!format!("{error:?}").contains("secret"));
        assert_eq!(error.without_url().to_string(), "the server answered 404");
    }

    #[test]
    fn the_alternate_text_has_all_causes() {
        let url = Url::parse("https://host/a").unwrap();
        let reset = std::io::Error::other("reset");
        let broken = Error::new(ErrorKind::Network, "the body broke off").with_source(reset);
        let error = Error::new(ErrorKind::Network, "no source is left")
            .with_source(broken)
            .with_url(&url);
        assert_eq!(
            format!("{error:#}"),
            "https://host/a: no source is left: the body broke off: reset"
        );
        assert_eq!(format!("{error:?}"), format!("{error:#}"));
    }

    #[test]
    fn temporary_by_kind_until_said_otherwise() {
        assert!(Error::new(ErrorKind::Network, "").is_temporary());
        assert!(
            !Error::new(ErrorKind::Network, "")
                .permanent()
                .is_temporary()
        );
        assert!(!Error::new(ErrorKind::Status, "").is_temporary());
        assert!(Error::new(ErrorKind::Status, "").temporary().is_temporary());
    }
}
