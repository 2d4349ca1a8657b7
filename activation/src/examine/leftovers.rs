//! What interrupted work left behind, and what was kept for the user.

use durable_fs::{Dir, FileKind, TEMPORARY_PREFIX};
use manifest_core::ReleaseVersion;

use super::places::Places;
use super::{Examination, Remedy, Severity, by_hand, count};
use crate::layout;

impl Examination<'_> {
    pub(super) fn leftovers(&mut self, places: &Places) {
        let root = self.installation.root().clone();
        let own = [
            Some(&root),
            places.notes.as_ref(),
            places.staging.as_ref(),
            places.carried.as_ref(),
        ];
        for dir in own.into_iter().flatten() {
            self.temporary_files(dir);
        }
        if let Some(staging) = &places.staging {
            self.staging(staging);
        }
        if let Some(partials) = &places.partials {
            let found = Tally::of(partials);
            if found.files > 0 {
                let what = format!(
                    "{} holds {} in {}.",
                    partials.path().display(),
                    count(found.bytes, "byte"),
                    count(found.files, "file")
                );
                let why = "An update or repair was interrupted while it fetched. The next one goes on from there, and \
                           deletes what it has no use for.";
                self.add(Severity::Note, what, why, Remedy::None);
            }
        }
        if let Some(trash) = &places.trash {
            let entries = self.entries(trash).len() as u64;
            if entries > 0 {
                let found = Tally::of(trash);
                let what = format!(
                    "{} is not empty: {} of {}.",
                    trash.path().display(),
                    count(entries, "deleted thing"),
                    count(found.bytes, "byte")
                );
                let why = "A deletion was interrupted, or some files belong to a user whom we cannot delete them for. \
                           Every change tries again.";
                self.add(Severity::Note, what, why, Remedy::Reopen);
            }
        }
        if let Some(kept) = &places.kept {
            self.kept(kept);
        }
    }

    fn entries(&mut self, dir: &Dir) -> Vec<durable_fs::DirEntry> {
        dir.entries().unwrap_or_else(|error| {
            self.unreadable(Severity::Error, dir.path(), &error);
            Vec::new()
        })
    }

    fn temporary_files(&mut self, dir: &Dir) {
        for entry in self.entries(dir) {
            let prefix = TEMPORARY_PREFIX.as_bytes();
            let is_temporary = entry.name.as_encoded_bytes().starts_with(prefix);
            if is_temporary && entry.kind != FileKind::Dir {
                let path = dir.path().join(&entry.name);
                let what = format!("{} is a temporary file.", path.display());
                let why = "Something was stopped before it got its place.";
                self.add(Severity::Note, what, why, Remedy::Reopen);
            }
        }
    }

    fn staging(&mut self, staging: &Dir) {
        for entry in self.entries(staging) {
            let name = entry.name.to_string_lossy();
            let path = staging.path().join(&entry.name);
            if name == layout::PARTIALS || name.starts_with(TEMPORARY_PREFIX) {
                continue;
            }
            if name == layout::CARRYING {
                let what = format!("{} holds copies of files of yours.", path.display());
                let why = "A rollback or switch was interrupted. The originals are in the active release.";
                self.add(Severity::Note, what, why, Remedy::Reopen);
                continue;
            }
            let is_displaced = name.ends_with(layout::DISPLACED);
            let staged = name.strip_suffix(layout::DISPLACED).unwrap_or(&name);
            let version = staged.rsplit_once('-');
            let version = version.and_then(|(folder, _)| ReleaseVersion::from_folder_name(folder));
            let (FileKind::Dir, Some(version)) = (entry.kind, version) else {
                let what = format!("{} is nothing that Lockstep put there.", path.display());
                let why = "The next update deletes it: staging is Lockstep's own.";
                self.add(
                    Severity::Note,
                    what,
                    why,
                    by_hand("move it away if it is yours"),
                );
                continue;
            };
            if is_displaced {
                let what = format!(
                    "{} is a release {version} whose place another one took.",
                    path.display()
                );
                let why = "The exchange was interrupted before its end. It may hold files of yours; those are moved to \
                           .lockstep/kept before it is deleted.";
                self.add(Severity::Warning, what, why, Remedy::Reopen);
                continue;
            }
            let found = match staging.open_dir(&entry.name) {
                Ok(dir) => Tally::of(&dir),
                Err(error) => {
                    self.unreadable(Severity::Warning, &path, &error);
                    continue;
                }
            };
            let what = format!(
                "{} is an unfinished update to release {version}: {}, {}.",
                path.display(),
                count(found.files, "file"),
                count(found.bytes, "byte")
            );
            let why = "It was interrupted. Updating to this release again goes on from there; updating to another one \
                       deletes it.";
            self.add(Severity::Note, what, why, Remedy::None);
        }
    }

    fn kept(&mut self, kept: &Dir) {
        let mut places = Vec::new();
        let mut all = Tally::default();
        for entry in self.entries(kept) {
            let mut found = Tally::default();
            found.add(kept, &entry);
            if found.files > 0 {
                places.push(format!("{} in {}", found.files, entry.name.display()));
            }
            all.files += found.files;
            all.bytes += found.bytes;
        }
        if all.files == 0 {
            return;
        }
        let what = format!(
            "{} holds {} of yours, {} ({}).",
            kept.path().display(),
            count(all.files, "file"),
            count(all.bytes, "byte"),
            places.join(", ")
        );
        let why = "They were in a release that was deleted, or in the way of a file of the release. Lockstep never \
                   deletes them.";
        let remedy = by_hand("look through them, and copy back or delete what is there");
        self.add(Severity::Note, what, why, remedy);
    }
}

/// How much is in a folder, as far as it can be read.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    files: u64,
    bytes: u64,
}

impl Tally {
    fn of(dir: &Dir) -> Self {
        let mut tally = Self::default();
        for entry in dir.entries().unwrap_or_default() {
            tally.add(dir, &entry);
        }
        tally
    }

    fn add(&mut self, dir: &Dir, entry: &durable_fs::DirEntry) {
        if entry.kind == FileKind::Dir {
            if let Ok(below) = dir.open_dir(&entry.name) {
                let found = Self::of(&below);
                self.files += found.files;
                self.bytes += found.bytes;
            }
            return;
        }
        let metadata = dir.metadata(&entry.name).ok().flatten();
        self.files += 1;
        self.bytes += metadata.map_or(0, |metadata| metadata.len);
    }
}
