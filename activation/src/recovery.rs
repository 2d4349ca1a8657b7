//! What a new session mends before it does anything else.

use std::ffi::OsStr;
use std::time::SystemTime;

use durable_fs::{Dir, FileKind};
use manifest_core::ReleaseVersion;

use crate::carry::CarriedRecord;
use crate::error::Doing as _;
use crate::folders::{Folders, link_to};
use crate::history::{self, Event, HistoryEntry};
use crate::{Error, ErrorKind, Installation, layout, retire, trial};

/// Finishes what the last session was stopped in, now that it is known which release is active.
pub(crate) fn mend(installation: &Installation, folders: &Folders) -> Result<(), Error> {
    let active = installation.active_folder()?;
    settle_displaced(folders, active.as_ref().map(|(_, dir)| dir))?;
    let Some((version, _)) = active else {
        return Ok(());
    };
    // It has no successor: the update for which its files were noted was given up.
    CarriedRecord::forget(&folders.notes, &version)?;
    CarriedRecord::forget_all_but(&folders.notes, &installation.releases()?)?;
    if folders
        .link_target()
        .is_some_and(|target| target.as_os_str() != OsStr::new(&link_to(&version)))
    {
        folders.point_link_to(&version)?;
    }
    Ok(())
}

/// If `current.txt` names nothing usable although releases are installed, makes the newest intact one
/// active: that is where a crash during the very first installation ends, too.
pub(crate) fn recover_active(
    installation: &Installation,
    folders: &Folders,
) -> Result<Option<ReleaseVersion>, Error> {
    // Looking is enough: a manifest that is not valid is not a reason to change the version behind the
    // user's back, and parsing a large one takes longer than all the rest of opening a session.
    match installation.active_version() {
        Ok(Some(version)) if installation.has_release(&version)? => return Ok(None),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NoActiveRelease => {}
        Err(error) => return Err(error),
    }
    let failed = trial::read_failed(&folders.notes)?;
    let unjudged = trial::read_trial(&folders.notes)?.map(|trial| trial.manifest_hash);
    for version in installation.releases()? {
        let Ok(Some(release)) = installation.release(&version) else {
            continue;
        };
        // Only who has a health probe can find out whether a release on trial works.
        let hash = release.manifest().manifest_hash();
        if failed.contains_key(&hash) || unjudged == Some(hash) {
            continue;
        }
        let verification = release.verify(&())?;
        if !verification.is_intact() {
            tracing::warn!(%version, findings = verification.findings.len(), "not recovered: damaged");
            continue;
        }
        // It is not known for which switch they were written.
        folders
            .notes
            .remove_tree(layout::CARRIED)
            .doing(|| "cannot remove the notes".into())?;
        folders.point_current_to(&version)?;
        let mut entry = HistoryEntry::new(SystemTime::now(), Event::Recovered, &version);
        entry.manifest_hash = Some(release.manifest().manifest_hash());
        history::append(&folders.notes, &entry)?;
        tracing::warn!(%version, "current.txt named no installed release; the newest intact one is active now");
        return Ok(Some(version));
    }
    Ok(None)
}

/// A crash while a release took the place of one of the same version leaves the latter, or the new
/// one, in staging.
fn settle_displaced(folders: &Folders, active: Option<&Dir>) -> Result<(), Error> {
    for entry in folders
        .staging
        .entries()
        .doing(|| "cannot list the staging folder".into())?
    {
        let staged = entry
            .name
            .to_str()
            .and_then(|name| name.strip_suffix(layout::DISPLACED));
        // `v1.0.0-` and a part of the manifest's hash.
        let version = staged
            .and_then(|staged| staged.rsplit_once('-'))
            .and_then(|(folder, _)| ReleaseVersion::from_folder_name(folder));
        if let (FileKind::Dir, Some(version)) = (entry.kind, version) {
            retire::dispose(folders, &folders.staging, &entry.name, &version, active)?;
        }
    }
    Ok(())
}
