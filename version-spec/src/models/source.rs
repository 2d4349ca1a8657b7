//! The URL that a source means.

use url::Url;

use super::endpoints::{Endpoints, with_segments};
use super::tokens::Tokens;
use crate::text::without_secrets;
use crate::{CivitaiModel, Error, ErrorKind, ModelSource};

/// A source that a URL is known for, or how it is found out.
pub(super) enum Address {
    /// Here are the bytes.
    Direct(Url),
    /// The document at this URL says which version of the model is the newest.
    CivitaiModel(Url),
}

/// Which service a URL belongs to: what its refusals mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    HuggingFace,
    Civitai,
    S3,
    Gs,
    Other,
}

pub(super) fn address(source: &ModelSource, endpoints: &Endpoints) -> Result<Address, Error> {
    let direct = match source {
        ModelSource::Https(url) => Some(url.clone()),
        ModelSource::HuggingFace {
            owner,
            repo,
            revision,
            path,
        } => {
            // A revision with slashes is one part: they are percent-encoded.
            let revision = revision.as_deref().unwrap_or("main");
            let parts = [owner, repo, "resolve", revision];
            with_segments(
                endpoints.hugging_face(),
                parts.into_iter().chain(path.split('/')),
            )
        }
        ModelSource::Civitai(CivitaiModel::Newest(id)) => {
            let id = id.to_string();
            let document = with_segments(endpoints.civitai(), ["api", "v1", "models", &id]);
            return document
                .map(Address::CivitaiModel)
                .ok_or_else(|| no_url(source));
        }
        ModelSource::Civitai(CivitaiModel::Version(id)) => civitai_version(*id, endpoints),
        ModelSource::File(path) => Url::from_file_path(path).ok(),
        ModelSource::S3 { bucket, key } => with_segments(&endpoints.s3(bucket), key.split('/')),
        ModelSource::Gs { bucket, key } => with_segments(
            endpoints.gs(),
            std::iter::once(bucket.as_str()).chain(key.split('/')),
        ),
    };
    direct.map(Address::Direct).ok_or_else(|| no_url(source))
}

pub(super) fn civitai_version(id: u64, endpoints: &Endpoints) -> Option<Url> {
    with_segments(
        endpoints.civitai(),
        ["api", "download", "models", &id.to_string()],
    )
}

fn no_url(source: &ModelSource) -> Error {
    Error::new(
        ErrorKind::Spec,
        format!("{source} names no place that anything could be fetched from"),
    )
}

/// A URL as a lock may keep it: without user information and signatures.
pub(super) fn shown_url(url: &Url) -> Url {
    let clean = without_secrets(url.as_str());
    Url::parse(&clean).unwrap_or_else(|_| {
        let mut bare = url.clone();
        bare.set_query(None);
        bare
    })
}

impl Service {
    pub(super) fn of(source: &ModelSource, url: &Url, endpoints: &Endpoints) -> Self {
        match source {
            ModelSource::HuggingFace { .. } => Self::HuggingFace,
            ModelSource::Civitai(_) => Self::Civitai,
            ModelSource::S3 { .. } => Self::S3,
            ModelSource::Gs { .. } => Self::Gs,
            _ if url.origin() == endpoints.hugging_face().origin() => Self::HuggingFace,
            _ if url.origin() == endpoints.civitai().origin() => Self::Civitai,
            _ => Self::Other,
        }
    }

    /// The variable that holds its token, and whether there is one.
    pub(super) fn token(self, tokens: &Tokens) -> Option<(&'static str, bool)> {
        match self {
            Self::HuggingFace => Some(("HF_TOKEN", tokens.hugging_face().is_some())),
            Self::Civitai => Some(("CIVITAI_TOKEN", tokens.civitai().is_some())),
            _ => None,
        }
    }
}

/// The page of a model where a person can read about it, and accept its licence.
pub(super) fn page(source: &ModelSource, url: &Url, endpoints: &Endpoints) -> Option<Url> {
    match source {
        ModelSource::HuggingFace { owner, repo, .. } => {
            with_segments(endpoints.hugging_face(), [owner.as_str(), repo])
        }
        ModelSource::Civitai(CivitaiModel::Newest(id)) => {
            with_segments(endpoints.civitai(), ["models", &id.to_string()])
        }
        ModelSource::Https(_) if url.origin() == endpoints.hugging_face().origin() => {
            let mut parts = url.path_segments()?;
            let (owner, repo) = (parts.next()?, parts.next()?);
            with_segments(endpoints.hugging_face(), [owner, repo])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(source: &str) -> String {
        match address(&source.parse().unwrap(), &Endpoints::new()).unwrap() {
            Address::Direct(url) => url.to_string(),
            Address::CivitaiModel(url) => format!("ask {url}"),
        }
    }

    #[test]
    fn each_source_has_its_url() {
        for (source, expected) in [
            ("https://h/a?b", "https://h/a?b"),
            (
                "hf://o/r/p/x y.bin",
                "https://huggingface.co/o/r/resolve/main/p/x%20y.bin",
            ),
            (
                "hf://o/r@refs/pr/1/x.bin",
                "https://huggingface.co/o/r/resolve/refs%2Fpr%2F1/x.bin",
            ),
            (
                "hf://o/r@v1/a?b#c%.bin",
                "https://huggingface.co/o/r/resolve/v1/a%3Fb%23c%25.bin",
            ),
            (
                "civitai://models/12",
                "ask https://civitai.com/api/v1/models/12",
            ),
            (
                "civitai://model-versions/34",
                "https://civitai.com/api/download/models/34",
            ),
            (
                "s3://my-bucket/a/b.bin",
                "https://my-bucket.s3.amazonaws.com/a/b.bin",
            ),
            (
                "gs://my-bucket/a/b.bin",
                "https://storage.googleapis.com/my-bucket/a/b.bin",
            ),
        ] {
            assert_eq!(url(source), expected, "{source}");
        }
    }

    #[test]
    fn a_lock_keeps_no_signature() {
        let url = Url::parse("https://me:word@h/a?X-Amz-Signature=abc&x=1").unwrap();
        let shown = shown_url(&url).to_string();
        assert!(!shown.contains("abc") && !shown.contains("word"), "{shown}");
    }

    #[test]
    fn a_model_has_a_page() {
        let endpoints = Endpoints::new();
        for (source, expected) in [
            ("hf://o/r/p/x.bin", Some("https://huggingface.co/o/r")),
            (
                "https://huggingface.co/o/r/resolve/main/x.bin",
                Some("https://huggingface.co/o/r"),
            ),
            ("civitai://models/12", Some("https://civitai.com/models/12")),
            ("https://h/x", None),
        ] {
            let source: ModelSource = source.parse().unwrap();
            let url = Url::parse("https://huggingface.co/o/r/resolve/main/x.bin").unwrap();
            let url = if let ModelSource::Https(own) = &source {
                own.clone()
            } else {
                url
            };
            assert_eq!(
                page(&source, &url, &endpoints).map(String::from).as_deref(),
                expected
            );
        }
    }
}
