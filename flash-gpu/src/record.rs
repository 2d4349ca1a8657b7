use std::time::{SystemTime, UNIX_EPOCH};

use durable_fs::{Dir, Metadata};
use manifest_core::{MANIFEST_FILE_NAME, Manifest, ReleaseVersion, Sha256Digest, ToolId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::store::STORE;
use crate::{Gpu, GpuStack, Key};

const FORMAT: u32 = 1;
const MAX_RECORD: u64 = 64 << 20;
/// Below a key's folder. A folder without it is not there for us.
pub(crate) const RECORD: &str = "record.json";
/// Below a key's folder: the artifacts, below the name of their place.
pub(crate) const FILES: &str = "files";

/// What was warmed up, and what is kept of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    format: u32,
    pub(crate) key: Key,
    pub(crate) tool_id: ToolId,
    pub(crate) tool_version: ReleaseVersion,
    pub(crate) manifest_hash: Sha256Digest,
    pub(crate) gpu: Gpu,
    pub(crate) driver_version: Option<String>,
    pub(crate) cuda_version: Option<String>,
    pub(crate) python_version: String,
    pub(crate) warmed_at: String,
    pub(crate) script_ms: u64,
    pub(crate) artifacts: Vec<Artifact>,
    pub(crate) output: Map<String, Value>,
}

/// A file that the script left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Artifact {
    pub(crate) place: Place,
    /// Relative to the place, with `/`.
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) sha256: Sha256Digest,
    /// When the kept file was last changed, in nanoseconds since 1970.
    pub(crate) modified: Option<u64>,
    /// When the file that the script left was last changed, likewise.
    #[serde(default)]
    pub(crate) left: Option<u64>,
}

/// Where the script left a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Place {
    /// In the folder of the release.
    Release,
    /// In the root of the installation.
    Root,
}

impl Place {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Root => "root",
        }
    }
}

impl Artifact {
    /// Where it is kept, relative to the key's folder.
    pub(crate) fn kept_at(&self) -> String {
        format!("{FILES}/{}/{}", self.place.name(), self.path)
    }

    /// Whether it is of a place that files are collected from. `Dir` refuses paths that lead anywhere else.
    fn is_possible(&self) -> bool {
        match self.place {
            Place::Release => true,
            Place::Root => {
                self.path.starts_with("cache/") && !self.path.starts_with(&format!("{STORE}/"))
            }
        }
    }
}

/// Everything about a warm-up but what is kept of it.
pub(crate) struct About<'a> {
    pub(crate) key: &'a Key,
    pub(crate) manifest: &'a Manifest,
    pub(crate) gpu: &'a Gpu,
    pub(crate) stack: &'a GpuStack,
    pub(crate) python_version: &'a str,
    pub(crate) script_ms: u64,
    pub(crate) now: SystemTime,
}

impl Record {
    pub(crate) fn new(
        about: &About<'_>,
        artifacts: Vec<Artifact>,
        output: Map<String, Value>,
    ) -> Self {
        Self {
            format: FORMAT,
            key: about.key.clone(),
            tool_id: about.manifest.tool_id().clone(),
            tool_version: about.manifest.tool_version().clone(),
            manifest_hash: about.manifest.manifest_hash(),
            gpu: about.gpu.clone(),
            driver_version: about.stack.driver_version.clone(),
            cuda_version: about.stack.cuda_version.clone(),
            python_version: about.python_version.to_owned(),
            warmed_at: jiff::Timestamp::try_from(about.now)
                .unwrap_or_default()
                .to_string(),
            script_ms: about.script_ms,
            artifacts,
            output,
        }
    }

    /// The record of a key. `Err` says why there is none that counts.
    pub(crate) fn read(store: &Dir, key: &Key) -> Result<Self, String> {
        let bytes = match store.read(format!("{key}/{RECORD}"), MAX_RECORD) {
            Err(error) if error.is_not_found() => {
                return Err("it was not warmed up with this GPU and driver".into());
            }
            read => read.map_err(|error| format!("what was noted cannot be read: {error:#}"))?,
        };
        let record: Self = serde_json::from_slice(&bytes)
            .map_err(|error| format!("what was noted is damaged: {error}"))?;
        if record.format != FORMAT
            || record.key != *key
            || !record.artifacts.iter().all(Artifact::is_possible)
        {
            return Err("what was noted is of another program or key".into());
        }
        Ok(record)
    }

    /// Whether it is of this release, and no artifact has the place of one of its files.
    pub(crate) fn is_of(&self, manifest: &Manifest) -> bool {
        let has = |path: &str| path == MANIFEST_FILE_NAME || manifest.file(path).is_some();
        self.manifest_hash == manifest.manifest_hash()
            && !self
                .artifacts
                .iter()
                .any(|artifact| artifact.place == Place::Release && has(&artifact.path))
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.artifacts.iter().map(|artifact| artifact.size).sum()
    }
}

/// As it is written down.
pub(crate) fn modified(metadata: &Metadata) -> Option<u64> {
    let since = metadata.modified?.duration_since(UNIX_EPOCH).ok()?;
    since.as_nanos().try_into().ok()
}
