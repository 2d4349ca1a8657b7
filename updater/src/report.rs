use std::fmt;
use std::path::PathBuf;

use activation::{Finding, HistoryEntry, InstalledRelease};
use manifest_core::{ReleaseVersion, Sha256Digest, ToolId};
use serde::Serialize;

use crate::transfer::Transferred;

/// What an update did.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The tool.
    pub tool_id: ToolId,
    /// The release that was active before, if there was one.
    pub from_version: Option<ReleaseVersion>,
    /// The release that is active now.
    pub to_version: ReleaseVersion,
    /// Its manifest's hash, read back from the installation.
    pub manifest_hash: Sha256Digest,
    /// The hash that was required.
    pub required_manifest_hash: Sha256Digest,
    /// Contents that were fetched, each once. One that an interrupted run had fetched whole counts neither here nor as
    /// [`reused`](Self::reused); its bytes are in [`bytes_resumed`](Self::bytes_resumed).
    pub downloaded: u64,
    /// Files whose content was installed already.
    pub reused: u64,
    /// Files of the release whose SHA-256 was checked: all of them.
    pub verified: u64,
    /// Files that were removed.
    pub deleted: u64,
    /// The user's files that were copied over.
    pub carried: u64,
    /// Files that wait for `prune` to confirm their deletion.
    pub pending_deletions: u64,
    /// Bytes of files that came from sources, useless ones included. Those out of a ZIP count as they are in the file.
    pub bytes_downloaded: u64,
    /// Bytes that were read of the release ZIP, if there is one: its directory, and files in their compressed form. It is
    /// what crossed the network if the ZIP is remote. Counted since the updater was built, or since its last report.
    pub bytes_from_archive: u64,
    /// Bytes that an interrupted update had fetched before.
    pub bytes_resumed: u64,
    /// Bytes of the release's files that did not have to be fetched.
    pub bytes_saved: u64,
    /// Bytes of the whole release.
    pub bytes_total: u64,
    /// Releases that were deleted, as they were too old to keep.
    pub removed_releases: Vec<ReleaseVersion>,
    /// The user's files that no release could take over, where they are now.
    pub kept: Vec<String>,
    /// What a person should know, one sentence each.
    pub warnings: Vec<String>,
    /// How long it took.
    pub duration_ms: u64,
}

impl Report {
    /// Of a release that was installed already, and was proved again.
    pub(crate) fn of_installed(
        release: &InstalledRelease,
        from_version: Option<ReleaseVersion>,
        reused: u64,
        transferred: Transferred,
    ) -> Self {
        let manifest = release.manifest();
        Self {
            tool_id: manifest.tool_id().clone(),
            from_version,
            to_version: release.version().clone(),
            manifest_hash: manifest.manifest_hash(),
            required_manifest_hash: manifest.manifest_hash(),
            downloaded: transferred.contents,
            reused,
            verified: manifest.files().len() as u64,
            deleted: 0,
            carried: 0,
            pending_deletions: 0,
            bytes_downloaded: transferred.bytes,
            bytes_from_archive: 0,
            bytes_resumed: transferred.resumed,
            bytes_saved: manifest.total_size().saturating_sub(transferred.bytes),
            bytes_total: manifest.total_size(),
            removed_releases: Vec::new(),
            kept: Vec::new(),
            warnings: Vec::new(),
            duration_ms: 0,
        }
    }

    pub(crate) fn with_warning(mut self, warning: String) -> Self {
        self.warnings.push(warning);
        self
    }

    /// Whether the installation is exactly what was required.
    #[must_use]
    pub fn matches_required(&self) -> bool {
        self.manifest_hash == self.required_manifest_hash
    }
}

/// `N downloaded / M verified / P deleted`.
impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} downloaded / {} verified / {} deleted",
            self.downloaded, self.verified, self.deleted
        )
    }
}

/// What [`Updater::verify`](crate::Updater::verify) found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The tool.
    pub tool_id: ToolId,
    /// The release.
    pub version: ReleaseVersion,
    /// Its manifest's hash.
    pub manifest_hash: Sha256Digest,
    /// Files that are what the manifest says.
    pub verified: u64,
    /// What is wrong, by path.
    pub findings: Vec<Finding>,
}

impl VerifyReport {
    /// Whether every file is right.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.findings.is_empty()
    }
}

/// What [`Updater::repair`](crate::Updater::repair) did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RepairReport {
    /// The release.
    pub version: ReleaseVersion,
    /// Its manifest's hash.
    pub manifest_hash: Sha256Digest,
    /// What was wrong and is right now, by path.
    pub repaired: Vec<Finding>,
    /// Files that were right.
    pub intact: u64,
    /// Contents that were fetched.
    pub downloaded: u64,
    /// Bytes that came from sources.
    pub bytes_downloaded: u64,
}

/// What [`Updater::rollback`](crate::Updater::rollback) did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RollbackReport {
    /// The release that was active before.
    pub from_version: Option<ReleaseVersion>,
    /// The release that is active now.
    pub to_version: ReleaseVersion,
    /// Its manifest's hash.
    pub manifest_hash: Sha256Digest,
    /// Files that were hashed before the switch.
    pub verified: u64,
    /// Contents of it that were damaged and were fetched again.
    pub repaired: u64,
    /// Bytes that came from sources for that.
    pub bytes_downloaded: u64,
    /// The user's files that were copied over.
    pub carried: u64,
    /// The user's files that were in the way, where they are now.
    pub kept: Vec<String>,
}

/// What [`Updater::prune`](crate::Updater::prune) deleted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PruneReport {
    /// Releases that were too old to keep.
    pub removed_releases: Vec<ReleaseVersion>,
    /// Files of the active release that its delete policy removes, by path.
    pub deleted: Vec<String>,
    /// The user's files that were in removed releases only, where they are now.
    pub kept: Vec<String>,
}

/// What is installed.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The active release, if there is one.
    pub active: Option<ActiveStatus>,
    /// The release that a rollback goes to, if there is one.
    pub previous: Option<ReleaseVersion>,
    /// All releases that are installed, the newest first.
    pub releases: Vec<ReleaseVersion>,
    /// What was done last.
    pub last_event: Option<HistoryEntry>,
}

/// The active release.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ActiveStatus {
    /// The tool.
    pub tool_id: ToolId,
    /// Its version.
    pub version: ReleaseVersion,
    /// Its manifest's hash.
    pub manifest_hash: Sha256Digest,
    /// The folder in which it lies, below the root as that was given. It stays there while later releases are
    /// installed, as long as it is among those that are kept for rollback.
    #[serde(skip)]
    pub folder: PathBuf,
    /// How many files it has.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Whether it has yet to show that it works: it became active, and its health probe was stopped before the answer,
    /// by a crash or a dropped future. The next update to it with a probe asks. Always `false` where no probe is used.
    pub on_trial: bool,
}
