//! Which release is active, and is it there?

use super::releases::Known;
use super::{Examination, Remedy, Severity, by_hand};
use crate::{ErrorKind, layout, trial};

impl Examination<'_> {
    pub(super) fn current(&mut self, releases: &[Known]) {
        let path = self.path(layout::CURRENT);
        let active = self.installation.active_version();
        let mut link = None;
        match active {
            Ok(Some(version)) => {
                let found = releases.iter().find(|known| known.version == version);
                let folder = version.folder_name();
                match found {
                    Some(known) if known.is_release => link = Some(folder),
                    Some(_) => {
                        let what = format!(
                            "{} names {folder}, whose folder holds no manifest.json.",
                            path.display()
                        );
                        self.no_active_release(what, "Somebody deleted the manifest.", releases);
                    }
                    // A link or file has its name, which was said already.
                    None if self.is_there(&folder) => {}
                    None => {
                        let what =
                            format!("{} names {folder}, which is not installed.", path.display());
                        self.no_active_release(
                            what,
                            "Somebody deleted the release, or edited the file.",
                            releases,
                        );
                    }
                }
            }
            Ok(None) if releases.iter().any(|known| known.is_release) => {
                let what = format!(
                    "There is no {}, although releases are installed.",
                    path.display()
                );
                let why = "The first installation was stopped just before its end, or before its release had shown that \
                           it works, or it did not work; or somebody deleted the file.";
                self.no_active_release(what, why, releases);
            }
            Ok(None) => {
                let what = format!(
                    "No release is installed in {}.",
                    self.installation.root().path().display()
                );
                let why = "Nothing was installed here yet, or this is not the folder of a tool.";
                self.add(Severity::Note, what, why, by_hand("update to a release"));
            }
            Err(error) if error.kind() == ErrorKind::NoActiveRelease => {
                let what = match self.installation.root().read(layout::CURRENT, 80) {
                    Ok(bytes) if bytes.trim_ascii().is_empty() => {
                        format!("{} is empty.", path.display())
                    }
                    Ok(bytes) => format!(
                        "{} says {:?}, which names no release.",
                        path.display(),
                        String::from_utf8_lossy(&bytes).trim()
                    ),
                    Err(_) => format!("{} is too long to name a release.", path.display()),
                };
                let why = "Something other than Lockstep wrote it: an editor, an older updater that a power cut hit, \
                           or a failing disk.";
                self.no_active_release(what, why, releases);
            }
            // Of another type or unreadable, which was said already.
            Err(_) => {}
        }
        self.current_link(link.as_deref());
    }

    fn is_there(&self, folder: &str) -> bool {
        let path = format!("{}/{folder}", layout::RELEASES);
        let found = self.installation.root().metadata(path);
        found.map_or(true, |found| found.is_some())
    }

    fn no_active_release(&mut self, what: String, why: &str, releases: &[Known]) {
        let notes = self.installation.root().open_dir(layout::NOTES);
        let notes = notes.ok();
        let failed = notes
            .as_ref()
            .and_then(|notes| trial::read_failed(notes).ok());
        let failed = failed.unwrap_or_default();
        let unjudged = notes.and_then(|notes| trial::read_trial(&notes).ok()?);
        let unjudged = unjudged.map(|trial| trial.manifest_hash);
        let is_candidate = |known: &&Known| {
            known.is_intact
                && known
                    .manifest_hash
                    .is_some_and(|hash| !failed.contains_key(&hash) && unjudged != Some(hash))
        };
        let remedy = if releases.iter().any(|known| is_candidate(&known)) {
            Remedy::Reopen
        } else {
            by_hand(
                "update to a release: none of those that are installed is intact and known to work",
            )
        };
        let consequence = match remedy {
            Remedy::Reopen => "The newest intact release becomes active with the next change.",
            _ => "No release is active until the next update.",
        };
        self.add(
            Severity::Error,
            what,
            format!("{why} {consequence}"),
            remedy,
        );
    }
}
