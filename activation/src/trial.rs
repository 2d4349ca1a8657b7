use std::collections::BTreeMap;
use std::time::SystemTime;

use durable_fs::Dir;
use manifest_core::{Manifest, ReleaseVersion, Sha256Digest};
use serde::{Deserialize, Serialize};

use crate::error::Doing as _;
use crate::history::{Event, HistoryEntry};
use crate::{Error, Installation, InstalledRelease, Session, layout};

const MAX_NOTE: u64 = 16 << 20;

/// A release that became active and has not yet shown that it works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Trial {
    /// Its manifest's hash.
    pub manifest_hash: Sha256Digest,
    /// The release to go back to if it does not, if there is one.
    pub previous: Option<ReleaseVersion>,
}

/// A release that was active and did not work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FailedRelease {
    /// Its version.
    pub version: ReleaseVersion,
    /// When it was found not to work, in RFC 3339.
    pub time: String,
    /// Why, in words.
    pub reason: String,
}

type FailedReleases = BTreeMap<Sha256Digest, FailedRelease>;

impl Installation {
    /// Why a release is not installed again by itself, if it was active and did not work.
    ///
    /// # Errors
    /// `Policy`, `Io`.
    pub fn failed_release(&self, manifest: &Manifest) -> Result<Option<FailedRelease>, Error> {
        let failed = match self.root().open_dir(layout::NOTES) {
            Err(error) if error.is_not_found() => return Ok(None),
            notes => read_failed(&notes.doing(|| "cannot open the notes".into())?)?,
        };
        Ok(failed.get(&manifest.manifest_hash()).cloned())
    }

    /// The trial of the active release, if it is on one: it became active, and nobody has said yet that it works.
    ///
    /// # Errors
    /// `Policy`, `Io`.
    pub fn trial(&self) -> Result<Option<Trial>, Error> {
        let notes = match self.root().open_dir(layout::NOTES) {
            Err(error) if error.is_not_found() => return Ok(None),
            notes => notes.doing(|| "cannot open the notes".into())?,
        };
        let Some(trial) = read_trial(&notes)? else {
            return Ok(None);
        };
        let active = self.active().unwrap_or_default();
        let active = active.map(|release| release.manifest().manifest_hash());
        // An update that was stopped before its switch leaves a note about a release that is not active.
        Ok(Some(trial).filter(|trial| Some(trial.manifest_hash) == active))
    }
}

impl Session {
    /// Notes, before a release becomes active, that it has to show that it works, and what to go back
    /// to. A crash then does not make anybody forget to ask.
    ///
    /// # Errors
    /// `NoSpace`, `Io`.
    pub fn begin_trial(&self, manifest: &Manifest) -> Result<(), Error> {
        let active = self.installation().active_version().unwrap_or_default();
        let trial = Trial {
            manifest_hash: manifest.manifest_hash(),
            previous: active.filter(|version| version != manifest.tool_version()),
        };
        let bytes = serde_json::to_vec(&trial).expect("a note is text");
        let notes = &self.folders().notes;
        notes
            .replace_file(layout::TRIAL, &bytes)
            .doing(|| "cannot note the trial".into())
    }

    /// The active release works, or is no longer the active one.
    ///
    /// # Errors
    /// `Io`.
    pub fn end_trial(&self) -> Result<(), Error> {
        let notes = &self.folders().notes;
        match notes.remove_file(layout::TRIAL) {
            Err(error) if error.is_not_found() => Ok(()),
            removed => removed
                .and_then(|()| notes.sync())
                .doing(|| "cannot end the trial".into()),
        }
    }

    /// Notes that a release does not work, so that nobody installs it again by itself.
    ///
    /// # Errors
    /// `NoSpace`, `Io`.
    pub fn mark_failed(
        &self,
        release: &InstalledRelease,
        reason: &str,
        now: SystemTime,
    ) -> Result<(), Error> {
        let manifest_hash = release.manifest().manifest_hash();
        let mut entry = HistoryEntry::new(now, Event::Failed, release.version());
        entry.manifest_hash = Some(manifest_hash);
        entry.note = Some(reason.to_owned());
        let mut failed = read_failed(&self.folders().notes)?;
        let release = FailedRelease {
            version: release.version().clone(),
            time: entry.time.clone(),
            reason: reason.to_owned(),
        };
        failed.insert(manifest_hash, release);
        self.write_failed(&failed)?;
        self.record(&entry)
    }

    /// Forgets that a release did not work, since somebody wants to try it again.
    ///
    /// # Errors
    /// `NoSpace`, `Io`.
    pub fn forget_failure(&self, manifest: &Manifest) -> Result<(), Error> {
        let mut failed = read_failed(&self.folders().notes)?;
        match failed.remove(&manifest.manifest_hash()) {
            Some(_) => self.write_failed(&failed),
            None => Ok(()),
        }
    }

    fn write_failed(&self, failed: &FailedReleases) -> Result<(), Error> {
        let bytes = serde_json::to_vec(failed).expect("a note is text");
        let notes = &self.folders().notes;
        notes
            .replace_file(layout::FAILED, &bytes)
            .doing(|| "cannot note which releases do not work".into())
    }

    /// Leaves no release active: the only one that was ever installed does not work, or has not shown that it does.
    /// It stays where it is, with the user's files. Recovery does not make it active as long as it is noted as failed or
    /// on trial.
    ///
    /// # Errors
    /// `Io`.
    pub fn deactivate(&self) -> Result<(), Error> {
        let root = &self.folders().root;
        match root.remove_file(layout::CURRENT) {
            Err(error) if error.is_not_found() => Ok(()),
            removed => removed
                .and_then(|()| root.sync())
                .doing(|| format!("cannot remove {}", layout::CURRENT)),
        }
    }
}

/// The note, whichever release it is about. One that is damaged is none.
pub(crate) fn read_trial(notes: &Dir) -> Result<Option<Trial>, Error> {
    let bytes = match notes.read(layout::TRIAL, MAX_NOTE) {
        Err(error) if error.is_not_found() => return Ok(None),
        read => read.doing(|| "cannot read the note about the trial".into())?,
    };
    Ok(serde_json::from_slice(&bytes).ok())
}

/// A note that is damaged is empty: then the release is tried once more.
pub(crate) fn read_failed(notes: &Dir) -> Result<FailedReleases, Error> {
    let bytes = match notes.read(layout::FAILED, MAX_NOTE) {
        Err(error) if error.is_not_found() => return Ok(FailedReleases::new()),
        read => read.doing(|| "cannot read which releases do not work".into())?,
    };
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}
