//! Where a model is had from.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use crate::text::without_secrets;

/// Where a model is had from. One that was parsed holds no token; a signed URL keeps its signature, which `Display` leaves out.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ModelSource {
    /// An `https:` URL; a plain `http:` one only where the spec gives the SHA-256.
    Https(Url),
    /// `hf://owner/repo[@revision]/path`: a file in a model repository of Hugging Face.
    #[non_exhaustive]
    HuggingFace {
        /// The owner.
        owner: String,
        /// The repository.
        repo: String,
        /// A branch, tag or commit; `None` is `main`.
        revision: Option<String>,
        /// The path in the repository, with `/`, not percent-encoded.
        path: String,
    },
    /// A model of Civitai.
    Civitai(CivitaiModel),
    /// `file:///path`: a file of this machine, absolute.
    File(PathBuf),
    /// `s3://bucket/key`.
    #[non_exhaustive]
    S3 {
        /// The bucket.
        bucket: String,
        /// The key, with `/`, not percent-encoded.
        key: String,
    },
    /// `gs://bucket/key`.
    #[non_exhaustive]
    Gs {
        /// The bucket.
        bucket: String,
        /// The key, with `/`, not percent-encoded.
        key: String,
    },
}

/// Which file of Civitai.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CivitaiModel {
    /// `civitai://models/<id>`: the primary file of the newest version of a model.
    Newest(u64),
    /// `civitai://model-versions/<id>`, which `civitai://models/<model>@<id>` means too: the primary file of this version.
    Version(u64),
}

impl ModelSource {
    /// The source as a spec writes it, signature and all; [`Display`](fmt::Display) leaves secrets out.
    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::Https(url) => url.as_str().to_owned(),
            Self::HuggingFace {
                owner,
                repo,
                revision,
                path,
            } => match revision {
                Some(revision) => {
                    // A revision with slashes (`refs/pr/1`) would read as a path.
                    let revision = revision.replace('%', "%25").replace('/', "%2F");
                    format!("hf://{owner}/{repo}@{revision}/{path}")
                }
                None => format!("hf://{owner}/{repo}/{path}"),
            },
            Self::Civitai(CivitaiModel::Newest(id)) => format!("civitai://models/{id}"),
            Self::Civitai(CivitaiModel::Version(id)) => format!("civitai://model-versions/{id}"),
            Self::File(path) => match Url::from_file_path(path) {
                Ok(url) => url.as_str().to_owned(),
                Err(()) => format!("file://{}", path.display()),
            },
            Self::S3 { bucket, key } => format!("s3://{bucket}/{key}"),
            Self::Gs { bucket, key } => format!("gs://{bucket}/{key}"),
        }
    }
}

/// The source as a spec writes it, without signatures.
impl fmt::Display for ModelSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.to_text();
        match self {
            Self::Https(_) => formatter.pad(&without_secrets(&text)),
            _ => formatter.pad(&text),
        }
    }
}

impl fmt::Debug for ModelSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ModelSource({self})")
    }
}
