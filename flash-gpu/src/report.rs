use std::fmt;
use std::path::PathBuf;

use manifest_core::{ReleaseVersion, Sha256Digest, ToolId};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{ErrorKind, Gpu, GpuStack, Key, Python};

/// How a warm-up came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// The script ran.
    WarmedUp,
    /// An earlier warm-up for this release, GPU and driver still holds; the script did not run.
    AlreadyWarm,
}

/// What a warm-up did.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// How it came out.
    pub outcome: Outcome,
    /// The tool.
    pub tool_id: ToolId,
    /// The active release.
    pub tool_version: ReleaseVersion,
    /// Its manifest's hash.
    pub manifest_hash: Sha256Digest,
    /// For what it is warm.
    pub key: Key,
    /// When the script ran, in RFC 3339.
    pub warmed_at: String,
    /// The GPU, as it was before.
    pub gpu: Gpu,
    /// How the GPU is known.
    pub source: String,
    /// The driver, if it is known.
    pub driver_version: Option<String>,
    /// The newest CUDA that the driver supports, if it has one.
    pub cuda_version: Option<String>,
    /// The Python.
    pub python: Python,
    /// How long the steps took.
    pub durations: Durations,
    /// The memory of the GPU.
    pub memory: MemoryUse,
    /// What is kept.
    pub artifacts: Artifacts,
    /// Artifacts that were missing where the script had left them, and are there again.
    pub put_back: u64,
    /// What was kept for other releases, drivers or GPUs and is deleted now.
    pub pruned: Vec<Key>,
    /// What a person should know, one sentence each.
    pub warnings: Vec<String>,
    /// Where the last part of what the script printed is; none if it did not run, or that could not be written down.
    pub log: Option<PathBuf>,
    /// What the script wrote to its output file.
    pub output: Map<String, Value>,
}

/// One line, for a log.
impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.outcome {
            Outcome::WarmedUp => "warmed up",
            Outcome::AlreadyWarm => "already warm",
        };
        let Artifacts { count, bytes, .. } = self.artifacts;
        let plural = if count == 1 { "" } else { "s" };
        write!(
            formatter,
            "{} {} {outcome} on {}: {count} artifact{plural}, {bytes} bytes",
            self.tool_id, self.tool_version, self.gpu.name,
        )
    }
}

/// How long the steps of a warm-up took, in milliseconds; 0 for what did not happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Durations {
    /// Asking for GPU and Python.
    pub probe_ms: u64,
    /// Hashing and putting back what was kept.
    pub check_ms: u64,
    /// The script.
    pub script_ms: u64,
    /// Keeping what it left, durably.
    pub collect_ms: u64,
    /// All of it.
    pub total_ms: u64,
}

/// Bytes of the GPU's memory that were in use, by whomever; none where that is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MemoryUse {
    /// Before the script ran.
    pub before: Option<u64>,
    /// The most that was seen, before, while and after it ran.
    pub peak: Option<u64>,
    /// After it ran.
    pub after: Option<u64>,
}

/// What is kept, and how it came there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Artifacts {
    /// Files.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of the files, those that were kept now and share their blocks with what the script left.
    pub cloned: u64,
    /// Likewise, those that are the same file.
    pub linked: u64,
    /// Likewise, those whose bytes were copied.
    pub copied: u64,
    /// Files that match and were there before the script ran, as they are now; not kept.
    pub untouched: u64,
}

/// Whether the active release could be warmed up here, and whether it is warm.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// The tool.
    pub tool_id: ToolId,
    /// The active release.
    pub tool_version: ReleaseVersion,
    /// Its manifest's hash.
    pub manifest_hash: Sha256Digest,
    /// The GPUs; none if what should know them does not work.
    pub stack: Option<GpuStack>,
    /// The GPU that would be warmed up.
    pub gpu: Option<Gpu>,
    /// The least CUDA that the release needs.
    pub cuda_min: Option<String>,
    /// The least Python that the release needs.
    pub python_min: Option<String>,
    /// The Python.
    pub python: Option<Python>,
    /// For what it would be warm.
    pub key: Option<Key>,
    /// Whether it is.
    pub warmth: Warmth,
    /// Why it cannot be warmed up: everything, not only the first.
    pub obstacles: Vec<Obstacle>,
}

impl Check {
    /// Whether nothing is in the way of a warm-up.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.obstacles.is_empty()
    }
}

/// Whether a release is warm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
#[non_exhaustive]
pub enum Warmth {
    /// That cannot be told: the GPU is not known, no warm-up is wanted, or what was kept cannot be looked at.
    Unknown,
    /// It is not.
    Cold {
        /// Why, in words.
        reason: String,
    },
    /// It is.
    Warm {
        /// When the script ran, in RFC 3339.
        since: String,
    },
}

/// One reason why a release cannot be warmed up: what [`FlashGpu::warm_up`](crate::FlashGpu::warm_up) would fail with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Obstacle {
    /// The class.
    pub kind: ErrorKind,
    /// In words.
    pub message: String,
}
