//! What was done to a home.

use std::collections::BTreeMap;

use durable_fs::Dir;
use manifest_core::Sha256Digest;
use serde::{Deserialize, Serialize};

use crate::realize::Trace;
use crate::{CommitId, Error, ErrorKind, NodeName, RepoUrl, VersionId};

/// The format that this code writes and reads.
const STATE_VERSION: u32 = 1;
/// ComfyUI has less than a thousand files.
const MAX_BYTES: u64 = 64 << 20;

/// The file in a home that says what is ours in it.
pub(crate) const STATE_FILE: &str = ".lockstep-comfy.json";
/// Whoever changes a home holds the lock that this file stands for.
pub(crate) const LOCK_FILE: &str = ".lockstep-comfy.lock";
/// Logs, what was set aside, and what is being made.
pub(crate) const OWN_FOLDER: &str = ".lockstep-comfy";

/// What was done to a home: what is not in here is the user's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HomeState {
    pub(crate) state_version: u32,
    pub(crate) version_id: VersionId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) core: Option<CoreState>,
    /// What was being brought in the place of `core`, and was interrupted; parts of it may be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) incoming: Vec<CoreState>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) nodes: BTreeMap<NodeName, NodeState>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) python: Option<PythonState>,
    /// Which `install.py` were run, and for what.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) installers: BTreeMap<NodeName, InstallerState>,
    /// The digests of the `extra_model_paths.yaml` that was written, or is just being written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) model_paths: Vec<Sha256Digest>,
}

/// The files of ComfyUI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CoreState {
    pub(crate) repo: RepoUrl,
    pub(crate) commit: CommitId,
    pub(crate) files: BTreeMap<String, Trace>,
}

/// How a node came into `custom_nodes/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeState {
    pub(crate) how: NodePlaced,
    /// The checkout in the cache.
    pub(crate) target: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NodePlaced {
    Link,
    /// Where links don't work.
    Copy,
}

/// For what the environment was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PythonState {
    /// The digest of what decides the requirements: commits, names and packages of the spec.
    pub(crate) inputs: Sha256Digest,
    /// The digest of the requirements that were locked.
    pub(crate) request: Sha256Digest,
}

/// For what an `install.py` was run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InstallerState {
    pub(crate) commit: CommitId,
    /// The digest of the packages that the environment had.
    pub(crate) packages: Sha256Digest,
}

impl HomeState {
    pub(crate) fn new(version_id: VersionId) -> Self {
        Self {
            state_version: STATE_VERSION,
            version_id,
            core: None,
            incoming: Vec::new(),
            nodes: BTreeMap::new(),
            python: None,
            installers: BTreeMap::new(),
            model_paths: Vec::new(),
        }
    }

    /// What was done to this home; `None` if nothing was.
    pub(crate) fn load(home: &Dir) -> Result<Option<Self>, Error> {
        let path = || home.path().join(STATE_FILE).display().to_string();
        let bytes = match home.read(STATE_FILE, MAX_BYTES) {
            Err(error) if error.is_not_found() => return Ok(None),
            read => {
                read.map_err(|error| Error::disk(format!("{} cannot be read", path()), error))?
            }
        };
        let damaged = |why: String| {
            let message = format!("{} cannot be used: {why}", path());
            Error::new(ErrorKind::Damaged, message)
                .with_hint("move your own files out of the folder and the folder away, or take another one by --target")
        };
        let state: Self =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if state.state_version != STATE_VERSION {
            return Err(damaged(format!(
                "its format is {}, and only {STATE_VERSION} is known",
                state.state_version
            )));
        }
        Ok(Some(state))
    }

    /// Writes it, atomically and durably.
    pub(crate) fn save(&self, home: &Dir) -> Result<(), Error> {
        let bytes =
            serde_json::to_vec(self).expect("texts and numbers under text keys are always JSON");
        let written = home.replace_file(STATE_FILE, &bytes);
        written.map_err(|error| {
            Error::disk(
                format!(
                    "{} cannot be written",
                    home.path().join(STATE_FILE).display()
                ),
                error,
            )
        })
    }
}
