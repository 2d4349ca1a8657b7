//! What a spec meant when it was resolved.

mod diff;
mod store;

use manifest_core::Sha256Digest;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::text::quote;
use crate::{CommitId, Error, ErrorKind, NodeName, RefName, RepoUrl, Spec, VersionId};

pub(crate) use diff::pinned;
pub use diff::{LockChange, LockDiff, ModelReason, PackageReason, SourceReason};
pub use store::{FoundLock, LockStore};

/// The format that this code writes and reads.
const LOCK_VERSION: u32 = 1;

/// A spec, resolved: commits, models and packages pinned. `<cache>/resolved/<version_id>.lock.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Lock {
    /// The format of the file: 1.
    pub lock_version: u32,
    /// Which version this is.
    pub version_id: VersionId,
    /// The digest of the spec that it was made from.
    pub spec_digest: Sha256Digest,
    /// ComfyUI itself.
    pub comfy: LockedSource,
    /// The custom nodes, in the order of the spec.
    pub custom_nodes: Vec<LockedNode>,
    /// The models, in the order of the spec, as far as they are pinned.
    pub models: Vec<LockedModel>,
    /// The Python packages, once they were resolved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python: Option<LockedPython>,
}

impl Lock {
    /// A lock for this spec with ComfyUI at a commit, and nothing else yet.
    #[must_use]
    pub fn new(spec: &Spec, comfy: LockedSource) -> Self {
        Self {
            lock_version: LOCK_VERSION,
            version_id: spec.version_id.clone(),
            spec_digest: spec.digest(),
            comfy,
            custom_nodes: Vec::new(),
            models: Vec::new(),
            python: None,
        }
    }

    /// Reads a lock.
    ///
    /// # Errors
    /// `Damaged` if it is none, or one of a newer format.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Format {
            lock_version: u32,
        }
        const HINT: &str = "resolve the version again";
        let damaged = |error: serde_json::Error| {
            Error::new(ErrorKind::Damaged, format!("it is no lock: {error}")).with_hint(HINT)
        };
        let format: Format = serde_json::from_slice(bytes).map_err(damaged)?;
        if format.lock_version != LOCK_VERSION {
            let message = format!(
                "it is a lock of format {}, and only {LOCK_VERSION} is known",
                format.lock_version
            );
            return Err(Error::new(ErrorKind::Damaged, message).with_hint(HINT));
        }
        let lock: Self = serde_json::from_slice(bytes).map_err(damaged)?;
        // They become arguments of git.
        let is_ref =
            |name: &str| name == "HEAD" || name.parse::<RefName>().is_ok_and(|name| name.is_full());
        let names = lock
            .sources()
            .filter_map(|source| source.resolved_from.as_deref());
        let wrong = names.filter(|name| !is_ref(name)).map(quote).next();
        if let Some(name) = wrong {
            let message = format!("it is no lock: {name} is no full name of a ref");
            return Err(Error::new(ErrorKind::Damaged, message).with_hint(HINT));
        }
        Ok(lock)
    }

    /// The lock as a file: indented, and always the same bytes for the same lock.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("texts and numbers are always JSON");
        bytes.push(b'\n');
        bytes
    }

    /// Whether it was made from this spec, and names its repositories and no others.
    #[must_use]
    pub fn is_for(&self, spec: &Spec) -> bool {
        let nodes = self
            .custom_nodes
            .iter()
            .map(|node| (&node.name, &node.source.repo));
        self.version_id == spec.version_id
            && self.spec_digest == spec.digest()
            && self.comfy.repo == spec.comfy.repo
            && nodes.eq(spec
                .custom_nodes
                .iter()
                .map(|node| (&node.name, &node.source.repo)))
    }

    /// Refuses a lock that was made from another spec.
    ///
    /// # Errors
    /// `Stale`.
    pub fn must_be_for(&self, spec: &Spec) -> Result<(), Error> {
        if self.is_for(spec) {
            return Ok(());
        }
        let message = if self.version_id == spec.version_id {
            format!(
                "the lock of {} was made from another state of its spec",
                spec.version_id
            )
        } else {
            format!(
                "the lock is of {}, and the spec of {}",
                self.version_id, spec.version_id
            )
        };
        Err(Error::new(ErrorKind::Stale, message).with_hint("resolve the version again"))
    }

    /// Takes over from an older lock what resolving does not find out: the pins of the models that the spec still names, in its order,
    /// and the Python packages, whose `request_digest` says whether they still fit.
    pub fn keep_pins_of(&mut self, older: &Self, spec: &Spec) {
        let pin = |source: &str| {
            older
                .models
                .iter()
                .find(|model| model.source == source)
                .cloned()
        };
        for model in &spec.models {
            let source = model.source.to_string();
            // Two models of one source have one content, and one pin.
            if self.models.iter().any(|model| model.source == source) {
                continue;
            }
            let pinned = pin(&source).filter(|pin| {
                match model.checksum.as_ref().and_then(crate::Checksum::sha256) {
                    Some(wanted) => pin.sha256 == wanted,
                    None => true,
                }
            });
            self.models.extend(pinned);
        }
        if self.python.is_none() {
            self.python.clone_from(&older.python);
        }
    }

    /// All repositories: ComfyUI first, then the nodes.
    pub fn sources(&self) -> impl Iterator<Item = &LockedSource> {
        std::iter::once(&self.comfy).chain(self.custom_nodes.iter().map(|node| &node.source))
    }
}

/// A repository at a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LockedSource {
    /// The repository.
    pub repo: RepoUrl,
    /// The commit.
    pub commit: CommitId,
    /// The full name of the ref that led to it; `None` when the spec named the commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_from: Option<String>,
    /// The ref that the spec names beside the commit. It decides nothing; a server that gives out no bare commits is asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named_ref: Option<RefName>,
}

impl LockedSource {
    /// A repository at a commit that the spec named.
    #[must_use]
    pub fn new(repo: RepoUrl, commit: CommitId) -> Self {
        Self {
            repo,
            commit,
            resolved_from: None,
            named_ref: None,
        }
    }

    /// Notes the full name of the ref that led to the commit.
    #[must_use]
    pub fn with_resolved_from(mut self, name: impl Into<String>) -> Self {
        self.resolved_from = Some(name.into());
        self
    }

    /// Notes the ref that the spec names beside the commit.
    #[must_use]
    pub fn with_named_ref(mut self, name: Option<RefName>) -> Self {
        self.named_ref = name;
        self
    }

    /// The name of a ref that leads to the commit, if one is known.
    pub(crate) fn leading_ref(&self) -> Option<&str> {
        let named = self.named_ref.as_ref().map(RefName::as_str);
        self.resolved_from.as_deref().or(named)
    }

    /// Whether it is the same commit for the same reason.
    pub(crate) fn means_the_same(&self, other: &Self) -> bool {
        (&self.repo, &self.commit, &self.resolved_from)
            == (&other.repo, &other.commit, &other.resolved_from)
    }
}

/// A custom node at a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LockedNode {
    /// The node.
    pub name: NodeName,
    /// Where it is from.
    #[serde(flatten)]
    pub source: LockedSource,
}

impl LockedNode {
    /// A node from there.
    #[must_use]
    pub fn new(name: NodeName, source: LockedSource) -> Self {
        Self { name, source }
    }
}

/// A model, pinned as first seen or by the spec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LockedModel {
    /// The source as the spec writes it, without secrets.
    pub source: String,
    /// Where it was had from.
    pub url: Url,
    /// Its content.
    pub sha256: Sha256Digest,
    /// Its size in bytes.
    pub size: u64,
    /// The entity tag as first seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

impl LockedModel {
    /// A model with this content. `source` as [`ModelSource`](crate::ModelSource) displays it.
    #[must_use]
    pub fn new(source: impl Into<String>, url: Url, sha256: Sha256Digest, size: u64) -> Self {
        Self {
            source: source.into(),
            url,
            sha256,
            size,
            etag: None,
        }
    }

    /// Notes the entity tag.
    #[must_use]
    pub fn with_etag(mut self, etag: Option<String>) -> Self {
        self.etag = etag;
        self
    }
}

/// The Python packages, pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LockedPython {
    /// The digest of what was asked for: interpreter and requirements.
    pub request_digest: Sha256Digest,
    /// Exact and hashed, as a `requirements.txt`.
    pub requirements: String,
}

impl LockedPython {
    /// Packages for what was asked for.
    #[must_use]
    pub fn new(request_digest: Sha256Digest, requirements: impl Into<String>) -> Self {
        Self {
            request_digest,
            requirements: requirements.into(),
        }
    }
}
