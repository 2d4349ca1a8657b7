use std::time::SystemTime;

use durable_fs::Dir;
use manifest_core::{ReleaseVersion, Sha256Digest};
use serde::{Deserialize, Serialize};

use crate::error::Doing as _;
use crate::{Error, ErrorKind, layout};

pub(crate) const MAX_HISTORY: u64 = 64 << 20;

/// What was done to an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A release became the active one by an update.
    Activated,
    /// An earlier release became the active one again.
    RolledBack,
    /// Damaged files of the active release were replaced.
    Repaired,
    /// `current.txt` named nothing usable, and a verified release was made active.
    Recovered,
    /// A release was active and did not work.
    Failed,
    /// A release was deleted.
    Removed,
    /// Files that delete policy `manual` or `aggressive` had left were deleted.
    Pruned,
}

/// One line of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// When, in RFC 3339.
    pub time: String,
    /// What.
    pub event: Event,
    /// The release that it was done to, or that is active since.
    pub version: ReleaseVersion,
    /// Its manifest's hash, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_hash: Option<Sha256Digest>,
    /// The release that was active before, where it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_version: Option<ReleaseVersion>,
    /// Anything else worth knowing, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl HistoryEntry {
    pub(crate) fn new(time: SystemTime, event: Event, version: &ReleaseVersion) -> Self {
        let time = jiff::Timestamp::try_from(time)
            .unwrap_or_default()
            .to_string();
        Self {
            time,
            event,
            version: version.clone(),
            manifest_hash: None,
            from_version: None,
            note: None,
        }
    }
}

pub(crate) fn append(notes: &Dir, entry: &HistoryEntry) -> Result<(), Error> {
    let line = serde_json::to_vec(entry).expect("an entry is text and enums");
    notes
        .append_line(layout::HISTORY, &line)
        .doing(|| "cannot write the history".into())
}

/// Every whole line, the oldest first. A line that was cut short by a crash is skipped.
pub(crate) fn read(notes: &Dir) -> Result<Vec<HistoryEntry>, Error> {
    let bytes = match notes.read(layout::HISTORY, MAX_HISTORY) {
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        read => read.doing(|| "cannot read the history".into())?,
    };
    let text = String::from_utf8_lossy(&bytes);
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}

/// The releases that were active before `active`, the latest first, as a stack: an update pushes, a
/// rollback pops.
pub(crate) fn predecessors(
    history: &[HistoryEntry],
    active: &ReleaseVersion,
) -> Vec<ReleaseVersion> {
    let mut stack: Vec<ReleaseVersion> = Vec::new();
    for entry in history {
        match entry.event {
            Event::Activated | Event::Recovered | Event::RolledBack => {
                // A release of the old system has no line of its own.
                if let Some(from) = &entry.from_version
                    && !stack.contains(from)
                {
                    stack.push(from.clone());
                }
                match stack.iter().position(|version| *version == entry.version) {
                    Some(position) if entry.event == Event::RolledBack => stack.truncate(position),
                    Some(position) => drop(stack.remove(position)),
                    None => {}
                }
                stack.push(entry.version.clone());
            }
            Event::Removed => stack.retain(|version| *version != entry.version),
            Event::Repaired | Event::Pruned | Event::Failed => {}
        }
    }
    if let Some(position) = stack.iter().position(|version| version == active) {
        stack.truncate(position);
    }
    stack.reverse();
    stack
}

impl Error {
    pub(crate) fn no_active_release(found: &str) -> Self {
        let found: String = found.chars().take(80).collect();
        Self::new(
            ErrorKind::NoActiveRelease,
            format!(
                "{} says {found:?}, which is no installed release; updating or repairing finds the newest intact one",
                layout::CURRENT
            ),
        )
    }
}
