//! What a failed download means, and what to do about it.

use downloader::ErrorKind as Cause;

use super::source::{Service, page};
use super::store::ModelStore;
use super::wanted::WantedModel;
use crate::{Error, ErrorKind, ModelSource};

impl ModelStore {
    /// An error about an entry of the spec out of one about a download. `Display` of the latter names the URL without its secrets.
    pub(super) fn failure(
        &self,
        wanted: &WantedModel<'_>,
        url: &url::Url,
        error: downloader::Error,
    ) -> Error {
        let source = &wanted.entry.source;
        let (kind, message) = match error.kind() {
            Cause::Unauthorized => (ErrorKind::Auth, format!("{source}: access is refused")),
            Cause::NotFound => (ErrorKind::NotFound, format!("{source} does not exist")),
            Cause::Integrity => (
                ErrorKind::Integrity,
                format!("{source} gives other bytes than the ones that are pinned"),
            ),
            Cause::Limit => (
                ErrorKind::Integrity,
                format!("{source} gives more bytes than a model may have"),
            ),
            Cause::Cancelled => return Error::cancelled(),
            Cause::NoSpace => (
                ErrorKind::NoSpace,
                format!("there is no space for {source}"),
            ),
            Cause::PermissionDenied => (
                ErrorKind::PermissionDenied,
                format!("{source} cannot be written to the folder of models"),
            ),
            Cause::Io => (ErrorKind::Io, format!("{source} cannot be read or written")),
            Cause::Policy | Cause::Unsupported => {
                (ErrorKind::Spec, format!("{source} cannot be fetched"))
            }
            _ => (ErrorKind::Network, format!("{source} cannot be fetched")),
        };
        let found = Error::new(kind, message).at(wanted.pointer("source"));
        match self.advice(wanted, url, kind) {
            Some(advice) => found.with_hint(advice),
            None => found,
        }
        .with_source(error)
    }

    /// What to do about a refusal, or about a page that came instead of a model.
    pub(super) fn advice(
        &self,
        wanted: &WantedModel<'_>,
        url: &url::Url,
        kind: ErrorKind,
    ) -> Option<String> {
        let service = Service::of(&wanted.entry.source, url, self.endpoints());
        let page = page(&wanted.entry.source, url, self.endpoints());
        let at_page = |what: &str| {
            page.as_ref()
                .map_or(String::new(), |page| format!("{what}{page}"))
        };
        let token = service.token(self.tokens());
        Some(match (kind, service) {
            (ErrorKind::Auth | ErrorKind::Integrity, Service::HuggingFace | Service::Civitai) => match token? {
                (variable, false) => {
                    format!("set {variable} to a token that may read it{}", at_page(", and accept its licence at "))
                }
                (variable, true) => {
                    format!("the token in {variable} may not read it{}", at_page(": accept its licence at "))
                }
            },
            (ErrorKind::NotFound, Service::HuggingFace | Service::Civitai) => match token? {
                (variable, false) => {
                    format!("check its name{}; if it is private, set {variable} to a token that may read it", at_page(" at "))
                }
                (variable, true) => {
                    format!("check its name{}; if it is private, the token in {variable} may not read it", at_page(" at "))
                }
            },
            (ErrorKind::Auth | ErrorKind::NotFound, Service::S3 | Service::Gs) => {
                "only public buckets are read: make the object public, or write a signed `https://` address".into()
            }
            (ErrorKind::Auth, _) => "write an address that needs no login; no token is sent to this host".into(),
            (ErrorKind::Integrity, _) if matches!(wanted.entry.source, ModelSource::Https(_)) => {
                "write the address of the file itself; if it needs a login, this host is not supported".into()
            }
            (ErrorKind::NotFound, _) => "check the address".into(),
            (ErrorKind::NoSpace, _) => "free some space and run it again: what has come is kept".into(),
            (ErrorKind::Network, _) => "run it again later: what has come is kept".into(),
            _ => return None,
        })
    }
}
