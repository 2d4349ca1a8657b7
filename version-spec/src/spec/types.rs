//! The types of a spec.

use std::collections::BTreeMap;
use std::fmt;

use manifest_core::ReleasePath;

use crate::{Checksum, ModelName, ModelSource, NodeName, RefName, RepoUrl, Revision, VersionId};

/// What a ComfyUI environment is made of: a `versions/<id>.json`, understood.
///
/// One that was parsed is valid: names and targets stay in their folders and are there only once. Who changes its lists afterwards
/// keeps that so; [`SpecStore::save`](crate::SpecStore::save) checks it again.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spec {
    /// Which version it is.
    pub version_id: VersionId,
    /// ComfyUI itself.
    pub comfy: GitSource,
    /// The custom nodes, in the order of the file.
    pub custom_nodes: Vec<CustomNode>,
    /// The models, in the order of the file.
    pub models: Vec<ModelEntry>,
    /// Python packages beside the requirements of ComfyUI and the nodes, as PEP 508 writes them.
    pub python_packages: Vec<String>,
    /// Variables for ComfyUI's process, as they are written; [`environment`](Self::environment) expands them.
    pub env: BTreeMap<String, String>,
    /// How to go about it.
    pub options: Options,
}

impl Spec {
    /// A version of ComfyUI with no nodes and no models.
    #[must_use]
    pub fn new(version_id: VersionId, comfy: GitSource) -> Self {
        Self {
            version_id,
            comfy,
            custom_nodes: Vec::new(),
            models: Vec::new(),
            python_packages: Vec::new(),
            env: BTreeMap::new(),
            options: Options::default(),
        }
    }

    /// The same environment under another id.
    #[must_use]
    pub fn with_version_id(mut self, version_id: VersionId) -> Self {
        self.version_id = version_id;
        self
    }
}

/// Leaves out the values of `env`, which people put tokens into.
impl fmt::Debug for Spec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Spec")
            .field("version_id", &self.version_id)
            .field("comfy", &self.comfy)
            .field("custom_nodes", &self.custom_nodes)
            .field("models", &self.models)
            .field("python_packages", &self.python_packages)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("options", &self.options)
            .finish()
    }
}

/// A repository, and which commit of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GitSource {
    /// The repository.
    pub repo: RepoUrl,
    /// Which commit of it.
    pub revision: Revision,
    /// The ref that the file names beside a commit. It decides nothing; a server that gives out no bare commits may be asked for it.
    pub named_ref: Option<RefName>,
}

impl GitSource {
    /// A repository at a revision.
    #[must_use]
    pub fn new(repo: RepoUrl, revision: Revision) -> Self {
        Self {
            repo,
            revision,
            named_ref: None,
        }
    }

    /// Notes the ref that led to the commit.
    #[must_use]
    pub fn with_named_ref(mut self, name: RefName) -> Self {
        self.named_ref = Some(name);
        self
    }
}

/// A custom node: a checkout that `COMFY_HOME/custom_nodes/<name>` leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CustomNode {
    /// Its folder's name.
    pub name: NodeName,
    /// Where it is from.
    pub source: GitSource,
    /// Whether its Python requirements count.
    pub requirements: InstallRequirements,
    /// Whether its requirements may replace the torch of the base.
    pub torch: TorchChange,
}

impl CustomNode {
    /// A node whose requirements are installed, and may not replace torch.
    #[must_use]
    pub fn new(name: NodeName, source: GitSource) -> Self {
        Self {
            name,
            source,
            requirements: InstallRequirements::Install,
            torch: TorchChange::Refuse,
        }
    }

    /// Sets [`requirements`](Self::requirements).
    #[must_use]
    pub fn with_requirements(mut self, requirements: InstallRequirements) -> Self {
        self.requirements = requirements;
        self
    }

    /// Sets [`torch`](Self::torch).
    #[must_use]
    pub fn with_torch(mut self, torch: TorchChange) -> Self {
        self.torch = torch;
        self
    }
}

/// Whether the Python requirements of a node are installed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InstallRequirements {
    /// They are resolved together with everybody else's.
    #[default]
    Install,
    /// They are ignored.
    Skip,
}

/// Whether a node may replace the torch of the base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TorchChange {
    /// No; it is refused by name.
    #[default]
    Refuse,
    /// Yes.
    Allow,
}

/// A model file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelEntry {
    /// What the spec calls it.
    pub name: ModelName,
    /// Where it is had from.
    pub source: ModelSource,
    /// Where it lies below `MODELS_DIR`, e.g. `loras/x.safetensors`.
    pub target: ReleasePath,
    /// What its content must be.
    pub checksum: Option<Checksum>,
}

impl ModelEntry {
    /// A model whose content is whatever the source gives.
    #[must_use]
    pub fn new(name: ModelName, source: ModelSource, target: ReleasePath) -> Self {
        Self {
            name,
            source,
            target,
            checksum: None,
        }
    }

    /// Pins the content.
    #[must_use]
    pub fn with_checksum(mut self, checksum: Checksum) -> Self {
        self.checksum = Some(checksum);
        self
    }
}

/// How to go about realizing a version. They change nothing of what the version is, and are no part of its digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Use no network.
    pub offline: bool,
    /// Leave the models alone.
    pub skip_models: bool,
}
