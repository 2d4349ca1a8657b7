use std::fmt;

use activation::CarryPlan;
use delta_engine::Delta;
use manifest_core::{Manifest, ReleasePath, ReleaseVersion, Sha256Digest, ToolId};
use serde::Serialize;

use activation::InstalledRelease;

use crate::progress::Size;

/// What an update would do, in paths and bytes. Nothing was changed to make it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The tool.
    pub tool_id: ToolId,
    /// The active release, if there is one.
    pub from_version: Option<ReleaseVersion>,
    /// The release that would be active.
    pub to_version: ReleaseVersion,
    /// Its manifest's hash.
    pub manifest_hash: Sha256Digest,
    /// Whether the active release already is the one wanted.
    pub up_to_date: bool,
    /// Contents to fetch, each once.
    pub downloads: Vec<PlannedDownload>,
    /// Files whose content is installed already.
    pub reused: u64,
    /// Files that would be removed, by path.
    pub deletions: Vec<String>,
    /// Files that would wait for their deletion to be confirmed, by path.
    pub pending_deletions: Vec<String>,
    /// The user's files that would be copied over, by path.
    pub carried: Vec<String>,
    /// The user's files in the way of the release's own, by path. They are kept, elsewhere.
    pub shadowed: Vec<String>,
    /// Bytes to fetch. What an interrupted update already has is not taken off.
    pub bytes_to_download: u64,
    /// Bytes of the release that need not be fetched.
    pub bytes_saved: u64,
    /// Bytes of the whole release.
    pub bytes_total: u64,
}

/// One content that has to be fetched.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PlannedDownload {
    /// What it is.
    pub sha256: Sha256Digest,
    /// Its bytes.
    pub size: u64,
    /// The files that it becomes.
    pub paths: Vec<ReleasePath>,
}

impl Plan {
    pub(crate) fn new(
        active: Option<&InstalledRelease>,
        target: &Manifest,
        delta: &Delta<'_>,
        carry: &CarryPlan,
    ) -> Self {
        let totals = delta.totals();
        Self {
            tool_id: target.tool_id().clone(),
            from_version: active.map(|active| active.version().clone()),
            to_version: target.tool_version().clone(),
            manifest_hash: target.manifest_hash(),
            up_to_date: active.is_some_and(|active| is_same_release(active, target)),
            downloads: delta
                .downloads()
                .iter()
                .map(|download| PlannedDownload {
                    sha256: download.sha256,
                    size: download.size,
                    paths: download
                        .targets
                        .iter()
                        .map(|target| target.entry.path().clone())
                        .collect(),
                })
                .collect(),
            reused: totals.reused_files,
            deletions: carry.deleted.clone(),
            pending_deletions: carry.pending.clone(),
            carried: carry.carried.clone(),
            shadowed: carry.shadowed.clone(),
            bytes_to_download: totals.download_bytes,
            bytes_saved: totals.saved_bytes(),
            bytes_total: totals.target_bytes,
        }
    }
}

/// `1.0.0 to 1.1.0: 2 to fetch (1.5 KiB), 120 reused, 1 to delete`.
impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(from) = &self.from_version {
            write!(formatter, "{from} to ")?;
        }
        write!(
            formatter,
            "{}: {} to fetch ({}), {} reused, {} to delete",
            self.to_version,
            self.downloads.len(),
            Size::new(self.bytes_to_download),
            self.reused,
            self.deletions.len()
        )
    }
}

/// Same version and same hash: exactly what makes a worker eligible.
pub(crate) fn is_same_release(active: &InstalledRelease, target: &Manifest) -> bool {
    active.version() == target.tool_version() && active.manifest() == target
}
