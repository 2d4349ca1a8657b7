//! What has to be done to get from what is here to what a version means.

mod facts;
mod make;
mod text;

use std::path::PathBuf;

use serde::Serialize;

use crate::{CommitId, NodeName, RepoUrl, VersionId};

pub(crate) use facts::{Facts, has_installer, python_inputs};
pub(crate) use make::{MODEL_PATHS, make};

/// Everything that realizing a version would do, as typed steps.
///
/// It is made from a lock and from what the file system says; making it changes nothing, runs nothing and uses no network. The plan of a
/// version that is realized has no steps. `Display` is one line for each step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// Which version.
    pub version_id: VersionId,
    /// The folder that it is realized in.
    pub home: PathBuf,
    /// What is to be done. Each step comes after those that it needs.
    pub steps: Vec<Step>,
    /// What would be needed, is not here, and cannot be had without the network: only if the network is not to be used.
    pub missing: Vec<Missing>,
    /// What a person should know, one sentence each.
    pub warnings: Vec<String>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Step {
    /// What.
    #[serde(flatten)]
    pub action: Action,
    /// What it costs.
    pub cost: Cost,
    /// The steps that must be done before, as indices into [`Plan::steps`].
    pub after: Vec<usize>,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// ComfyUI into the cache.
    #[non_exhaustive]
    FetchComfy {
        /// The repository.
        repo: RepoUrl,
        /// The commit.
        commit: CommitId,
        /// Where to.
        into: PathBuf,
    },
    /// A custom node into the cache.
    #[non_exhaustive]
    FetchNode {
        /// The node.
        name: NodeName,
        /// The repository.
        repo: RepoUrl,
        /// The commit.
        commit: CommitId,
        /// Where to.
        into: PathBuf,
    },
    /// ComfyUI's files into the home.
    #[non_exhaustive]
    BringComfy {
        /// The commit.
        commit: CommitId,
        /// The commit that the home has now.
        from: Option<CommitId>,
        /// Files that are missing there or were changed; a change is set aside.
        damaged: Vec<String>,
    },
    /// A node into the home: a link into the cache, or a copy where links don't work.
    #[non_exhaustive]
    LinkNode {
        /// The node.
        name: NodeName,
        /// What it leads to.
        target: PathBuf,
    },
    /// The link of a node that the version does not have.
    #[non_exhaustive]
    UnlinkNode {
        /// The node.
        name: NodeName,
    },
    /// Python packages: everybody's requirements together, to exact versions with hashes.
    #[non_exhaustive]
    LockPython {
        /// Who asks.
        askers: Vec<String>,
    },
    /// The environment of the home, with exactly the locked packages.
    #[non_exhaustive]
    SyncPython {
        /// Where.
        venv: PathBuf,
        /// How many packages it will have, if they are locked.
        packages: Option<usize>,
    },
    /// The `install.py` of a node.
    #[non_exhaustive]
    RunInstaller {
        /// The node.
        name: NodeName,
        /// Whether it has one is known only once the node is fetched.
        if_any: bool,
    },
    /// A model that is not here.
    #[non_exhaustive]
    FetchModel {
        /// Which entry of the spec's `models`.
        index: usize,
        /// Where from, without secrets.
        source: String,
        /// Where to.
        target: PathBuf,
    },
    /// A model whose content is here, under another name.
    #[non_exhaustive]
    PlaceModel {
        /// Which entry of the spec's `models`.
        index: usize,
        /// Where to.
        target: PathBuf,
    },
    /// `extra_model_paths.yaml`.
    #[non_exhaustive]
    WriteModelPaths {
        /// Where.
        path: PathBuf,
    },
}

/// What a step costs, as far as it is known before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Cost {
    /// Bytes to download.
    pub download: Download,
    /// Whether another program is run.
    pub process: bool,
}

/// Bytes to download.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Download {
    /// None.
    #[default]
    Nothing,
    /// This many.
    Bytes(u64),
    /// Some, and nobody knows how many before it is asked.
    Unknown,
}

/// Something that is needed and not here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Missing {
    /// The entry of the spec, as a JSON pointer.
    pub pointer: String,
    /// What is missing, in one sentence.
    pub message: String,
}

impl Missing {
    pub(crate) fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            message: message.into(),
        }
    }
}

impl Plan {
    /// Whether there is nothing to do and nothing is missing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.missing.is_empty()
    }

    /// Bytes to download where they are known, and how many downloads have an unknown size.
    #[must_use]
    pub fn download(&self) -> (u64, usize) {
        let mut total = (0_u64, 0);
        for step in &self.steps {
            match step.cost.download {
                Download::Nothing => {}
                Download::Bytes(bytes) => total.0 = total.0.saturating_add(bytes),
                Download::Unknown => total.1 += 1,
            }
        }
        total
    }
}
