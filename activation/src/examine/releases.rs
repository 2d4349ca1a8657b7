//! Is every release what its manifest says?

use std::error::Error as StdError;
use std::ffi::OsStr;

use durable_fs::{Dir, FileKind, TEMPORARY_PREFIX};
use manifest_core::{MANIFEST_FILE_NAME, ReleaseVersion, Sha256Digest};

use super::{Examination, Remedy, Severity, by_hand, count};
use crate::{Error, ErrorKind, InstalledRelease, Verification, layout};

/// How many damaged files are named.
const NAMED: usize = 5;

/// A release's folder, and what is known of it.
pub(super) struct Known {
    pub(super) version: ReleaseVersion,
    /// Of a manifest that is valid and is this version's.
    pub(super) manifest_hash: Option<Sha256Digest>,
    /// Whether it holds a manifest, valid or not.
    pub(super) is_release: bool,
    pub(super) is_intact: bool,
}

impl Examination<'_> {
    pub(super) fn releases(&mut self, releases: Option<&Dir>) -> Result<Vec<Known>, Error> {
        let mut known = Vec::new();
        let Some(releases) = releases else {
            return Ok(known);
        };
        let entries = match releases.entries() {
            Ok(entries) => entries,
            Err(error) => {
                self.unreadable(Severity::Error, releases.path(), &error);
                return Ok(known);
            }
        };
        let active = self.installation.active_version().unwrap_or_default();
        for entry in entries {
            let name = entry.name.as_os_str();
            if name == layout::STAGING || name == layout::TRASH {
                continue;
            }
            let Some(version) = name.to_str().and_then(ReleaseVersion::from_folder_name) else {
                self.stranger(releases, name);
                continue;
            };
            if entry.kind != FileKind::Dir {
                let folder = version.folder_name();
                self.misplaced(releases, &folder, entry.kind, FileKind::Dir);
                continue;
            }
            let is_active = active.as_ref() == Some(&version);
            known.push(self.release(releases, version, is_active, active.is_some())?);
        }
        Ok(known)
    }

    fn stranger(&mut self, releases: &Dir, name: &OsStr) {
        let path = releases.path().join(name);
        let what = format!("{} is no release.", path.display());
        let why = "A release's folder is named v and its version. Lockstep did not make this, and never touches it.";
        let remedy = by_hand("move it to another place; nothing of Lockstep's needs it");
        self.add(Severity::Note, what, why, remedy);
    }

    fn release(
        &mut self,
        releases: &Dir,
        version: ReleaseVersion,
        is_active: bool,
        some_is_active: bool,
    ) -> Result<Known, Error> {
        let folder = releases.path().join(version.folder_name());
        let mut known = Known {
            version,
            manifest_hash: None,
            is_release: true,
            is_intact: false,
        };
        let version = &known.version;
        let release = match self.installation.release(version) {
            Ok(Some(release)) => release,
            Ok(None) => {
                known.is_release = false;
                // `current.txt` names it: that is said there.
                let what = format!("{} holds no manifest.json.", folder.display());
                let why = "Somebody deleted the manifest, or put the folder there. It cannot be verified, so it is no \
                           release and is never deleted by itself.";
                let remedy = by_hand(format!(
                    "take out what you need, and delete it; or install release {version} again, which moves what is \
                     in it to {}/{}",
                    layout::NOTES,
                    layout::KEPT
                ));
                self.add(Severity::Warning, what, why, remedy);
                return Ok(known);
            }
            Err(error) => {
                self.unusable(&folder, version, &error, is_active, some_is_active);
                return Ok(known);
            }
        };
        if is_active {
            self.users_files(release.dir());
        }
        let stated = release.manifest().tool_version();
        if stated == version {
            known.manifest_hash = Some(release.manifest().manifest_hash());
        } else {
            let what = format!(
                "{} is the manifest of version {stated}, in the folder of version {version}.",
                folder.join(MANIFEST_FILE_NAME).display()
            );
            let why = "Somebody renamed the folder or exchanged the manifest. Which release this is cannot be told.";
            self.unusable_release(what, why, version, is_active, some_is_active);
        }
        let verification = release.verify(self.watch)?;
        known.is_intact = verification.is_intact() && known.manifest_hash.is_some();
        if !verification.is_intact() {
            self.damaged(&release, &verification, is_active);
        }
        Ok(known)
    }

    /// The manifest cannot be read, or is not valid.
    fn unusable(
        &mut self,
        folder: &std::path::Path,
        version: &ReleaseVersion,
        error: &Error,
        is_active: bool,
        some_is_active: bool,
    ) {
        let manifest = folder.join(MANIFEST_FILE_NAME);
        let cause = error.source().map_or_else(String::new, ToString::to_string);
        match error.kind() {
            ErrorKind::Manifest => {
                let what = format!("{} is not valid: {cause}.", manifest.display());
                let why = "A failing disk, or somebody, changed it. Without it nobody knows what the release should \
                           hold.";
                self.unusable_release(what, why, version, is_active, some_is_active);
            }
            ErrorKind::Policy => {
                let what = format!("{} is no file.", manifest.display());
                let why = "Somebody put a link, folder or device there. Lockstep never follows one below the root.";
                let remedy = by_hand("look what it is, and move it away");
                let severity = severity_of(is_active);
                self.add(severity, what, why, remedy);
            }
            // Not being able to look is in the way of every session.
            _ => self.unreadable(Severity::Error, folder, error),
        }
    }

    fn unusable_release(
        &mut self,
        what: String,
        why: &str,
        version: &ReleaseVersion,
        is_active: bool,
        some_is_active: bool,
    ) {
        let remedy = if is_active {
            by_hand("update to this or another release: everything in it is kept")
        } else if some_is_active {
            Remedy::Retire(version.clone())
        } else {
            by_hand("update to a release; then this one can be deleted")
        };
        self.add(severity_of(is_active), what, why, remedy);
    }

    fn damaged(
        &mut self,
        release: &InstalledRelease,
        verification: &Verification,
        is_active: bool,
    ) {
        let findings = &verification.findings;
        let named = findings.iter().take(NAMED);
        let mut named: Vec<String> = named
            .map(|finding| format!("{} ({})", finding.path, finding.problem))
            .collect();
        if findings.len() > NAMED {
            named.push(format!("and {} more", findings.len() - NAMED));
        }
        let what = format!(
            "{} of {} in {} {} damaged: {}.",
            findings.len(),
            count(release.manifest().files().len() as u64, "file"),
            release.dir().path().display(),
            if findings.len() == 1 { "is" } else { "are" },
            named.join(", ")
        );
        if is_active {
            let why = "These are not the bytes that were published: a failing disk, a deleted file, or somebody's \
                       edit. If you edited one, copy it elsewhere first: a repair brings back what was published.";
            self.add(Severity::Error, what, why, Remedy::Repair);
        } else {
            let why = "The release is not active. A rollback to it repairs it first, if a source has the files, and is \
                       refused otherwise.";
            self.add(Severity::Warning, what, why, Remedy::None);
        }
    }

    /// What would stop the next update from carrying the user's files over.
    fn users_files(&mut self, dir: &Dir) {
        let entries = match dir.entries() {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(Severity::Error, dir.path(), &error),
        };
        for entry in entries {
            let path = dir.path().join(&entry.name);
            let Some(name) = entry.name.to_str() else {
                let what = format!("The name of {} is not UTF-8.", path.display());
                let why = "It cannot be carried over to the next release, so updates are refused.";
                self.add(Severity::Error, what, why, by_hand("rename it"));
                continue;
            };
            if entry.kind == FileKind::Dir {
                match dir.open_dir(name) {
                    Ok(below) => self.users_files(&below),
                    Err(error) => self.unreadable(Severity::Error, &path, &error),
                }
            } else if name.starts_with(TEMPORARY_PREFIX) {
                let what = format!("{} is a temporary file.", path.display());
                let why = "A repair or rollback was stopped before it got its place. It is not carried over, and goes \
                           with the release.";
                self.add(Severity::Note, what, why, Remedy::None);
            } else if entry.kind == FileKind::Other {
                let what = format!("{} is a FIFO, socket or device.", path.display());
                let why = "It cannot be copied, so the next release will not have it.";
                self.add(Severity::Note, what, why, Remedy::None);
            }
        }
    }
}

fn severity_of(is_active: bool) -> Severity {
    if is_active {
        Severity::Error
    } else {
        Severity::Warning
    }
}
