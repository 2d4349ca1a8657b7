use std::collections::{BTreeSet, HashSet};
use std::time::SystemTime;

use durable_fs::{Dir, FileKind, LinkPolicy, Metadata, Replace, TEMPORARY_PREFIX};
use manifest_core::{
    DeletePolicy, MANIFEST_FILE_NAME, Manifest, ReleaseVersion, is_runtime_or_user_scope,
};
use serde::{Deserialize, Serialize};

use crate::error::Doing as _;
use crate::pending::Pending;
use crate::{Error, ErrorKind, layout};

const MAX_RECORD: u64 = 256 << 20;

/// What becomes of the files in a release that its manifest does not list, and of those that the
/// next release no longer lists. Made by looking only; nothing is changed.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CarryPlan {
    /// Files that are copied into the next release, by path.
    pub carried: Vec<String>,
    /// Bytes of those that have to be copied where files cannot be cloned.
    pub bytes: u64,
    /// Files that the delete policy removes, by path.
    pub deleted: Vec<String>,
    /// Files that wait for somebody to confirm their deletion, by path.
    pub pending: Vec<String>,
    /// The user's files whose path the next release needs itself. They stay where they are, and are
    /// moved to `.lockstep/kept/` when the old release is deleted.
    pub shadowed: Vec<String>,
    /// FIFOs, sockets and devices, which cannot be copied.
    pub skipped: Vec<String>,
    items: Vec<Item>,
    folders: Vec<String>,
    pub(crate) pending_files: Vec<Pending>,
}

#[derive(Clone, Debug)]
struct Item {
    path: String,
    kind: FileKind,
    /// The release's own files may be shared with the old release, the user's never.
    policy: LinkPolicy,
    identity: Identity,
}

/// Which file had a path, and whether it was written to since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    path: String,
    len: u64,
    inode: u64,
    modified: Option<SystemTime>,
    /// Of a file that the two releases share, not known: each new name of a file changes it.
    changed: Option<i128>,
}

impl Identity {
    fn of(path: &str, metadata: &Metadata, policy: LinkPolicy) -> Self {
        Self {
            path: path.to_owned(),
            len: metadata.len,
            inode: metadata.inode,
            modified: metadata.modified,
            changed: (policy != LinkPolicy::Share).then_some(metadata.changed),
        }
    }

    fn is(&self, metadata: &Metadata) -> bool {
        self.len == metadata.len
            && self.inode == metadata.inode
            && self.modified == metadata.modified
            && self
                .changed
                .is_none_or(|changed| changed == metadata.changed)
    }
}

impl CarryPlan {
    /// Looks at the release in `from`, which `old` describes, before `target` takes its place.
    pub(crate) fn make(
        from: &Dir,
        old: Option<&Manifest>,
        target: &Manifest,
        pending_before: &[Pending],
    ) -> Result<Self, Error> {
        let mut needed: HashSet<&str> = HashSet::new();
        for file in target.files() {
            let mut folder = file.path().parent();
            while let Some(path) = folder {
                if !needed.insert(path) {
                    break;
                }
                folder = path.rsplit_once('/').map(|(parent, _)| parent);
            }
        }
        let waiting_before = pending_before
            .iter()
            .map(|pending| pending.path.as_str())
            .collect();
        let mut walk = Walk {
            old,
            target,
            folders_needed: needed,
            pending_before: waiting_before,
            plan: Self::default(),
        };
        walk.folder(from, "")?;
        let mut plan = walk.plan;
        let waiting: HashSet<&str> = plan.pending.iter().map(String::as_str).collect();
        let still_waiting = pending_before
            .iter()
            .filter(|pending| waiting.contains(pending.path.as_str()));
        plan.pending_files.extend(still_waiting.cloned());
        Ok(plan)
    }

    /// Copies into `to`. Before each file or folder, `make_room` may clear its path; it answers whether
    /// there is anything left to do.
    pub(crate) fn execute(
        &self,
        from: &Dir,
        to: &Dir,
        mut make_room: impl FnMut(&str, FileKind) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        for folder in &self.folders {
            make_room(folder, FileKind::Dir)?;
            to.create_dir_all(folder)
                .doing(|| format!("cannot carry the folder {folder}"))?;
        }
        for item in &self.items {
            let doing = || format!("cannot carry {:?} over from the active release", item.path);
            if !make_room(&item.path, item.kind)? {
                continue;
            }
            if let Some((folder, _)) = item.path.rsplit_once('/') {
                to.create_dir_all(folder).doing(doing)?;
            }
            let copied = if item.kind == FileKind::Symlink {
                from.read_link(&item.path)
                    .and_then(|target| to.create_symlink(target, &item.path))
            } else {
                // Never half a file under its own name: that would look like another one of the user's.
                from.place_over(&item.path, to, &item.path, item.policy)
                    .map(drop)
            };
            match copied {
                // The tool may still be running, and tidy up.
                Err(error) if error.is_not_found() => {}
                copied => copied.doing(doing)?,
            }
        }
        Ok(())
    }

    /// Moves what [`execute`](Self::execute) copied to `aside` into a release, where room was made for it.
    pub(crate) fn move_in(&self, aside: &Dir, to: &Dir) -> Result<(), Error> {
        for folder in &self.folders {
            to.create_dir_all(folder)
                .doing(|| format!("cannot carry the folder {folder}"))?;
        }
        for item in &self.items {
            let doing = || format!("cannot carry {:?} over from the active release", item.path);
            if aside.metadata(&item.path).doing(doing)?.is_none() {
                continue; // it is there already, or the tool has tidied up
            }
            if let Some((folder, _)) = item.path.rsplit_once('/') {
                to.create_dir_all(folder).doing(doing)?;
            }
            aside
                .rename(&item.path, to, &item.path, Replace::Allow)
                .doing(doing)?;
        }
        Ok(())
    }

    /// Notes which files have a successor, so that deleting the old release loses nothing: a file that
    /// is not noted, or was changed since, is kept.
    pub(crate) fn note(&self, notes: &Dir, version: &ReleaseVersion) -> Result<(), Error> {
        let record: Vec<&Identity> = self.items.iter().map(|item| &item.identity).collect();
        let bytes = serde_json::to_vec(&record).expect("a record is text and numbers");
        let carried = notes
            .create_dir_all(layout::CARRIED)
            .doing(|| "cannot use the notes".into())?;
        carried
            .replace_file(format!("{}.json", version.folder_name()), &bytes)
            .doing(|| "cannot note which of your files were carried over".into())
    }
}

fn record_path(version: &ReleaseVersion) -> String {
    format!("{}/{}.json", layout::CARRIED, version.folder_name())
}

/// The noted identities, by path.
#[derive(Default)]
pub(crate) struct CarriedRecord(std::collections::HashMap<String, Identity>);

impl CarriedRecord {
    /// A record that is missing or damaged is empty: then every file counts as not carried.
    pub(crate) fn read(notes: &Dir, version: &ReleaseVersion) -> Result<Self, Error> {
        let bytes = match notes.read(record_path(version), MAX_RECORD) {
            Err(error) if error.is_not_found() => {
                return Ok(Self::default());
            }
            read => read.doing(|| "cannot read which files were carried over".into())?,
        };
        let identities: Vec<Identity> = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(Self(
            identities
                .into_iter()
                .map(|identity| (identity.path.clone(), identity))
                .collect(),
        ))
    }

    pub(crate) fn forget(notes: &Dir, version: &ReleaseVersion) -> Result<(), Error> {
        match notes.remove_file(record_path(version)) {
            Err(error) if !error.is_not_found() => {
                Err(error).doing(|| "cannot remove a note".into())
            }
            _ => Ok(()),
        }
    }

    /// A deletion that was stopped leaves the note of a release that is not there any more.
    pub(crate) fn forget_all_but(notes: &Dir, installed: &[ReleaseVersion]) -> Result<(), Error> {
        let doing = || "cannot look through the notes".to_owned();
        let carried = match notes.open_dir(layout::CARRIED) {
            Err(error) if error.is_not_found() => return Ok(()),
            opened => opened.doing(doing)?,
        };
        for entry in carried.entries().doing(doing)? {
            let name = entry.name.to_string_lossy();
            let folder = name.strip_suffix(".json");
            let version = folder.and_then(ReleaseVersion::from_folder_name);
            if let Some(version) = version
                && !installed.contains(&version)
            {
                Self::forget(notes, &version)?;
            }
        }
        Ok(())
    }

    /// Whether a later release has this very file.
    pub(crate) fn has(&self, path: &str, metadata: &Metadata) -> bool {
        self.0
            .get(path)
            .is_some_and(|identity| identity.is(metadata))
    }
}

struct Walk<'m> {
    old: Option<&'m Manifest>,
    target: &'m Manifest,
    /// Folders in which the target has files.
    folders_needed: HashSet<&'m str>,
    pending_before: BTreeSet<&'m str>,
    plan: CarryPlan,
}

impl Walk<'_> {
    fn folder(&mut self, dir: &Dir, prefix: &str) -> Result<(), Error> {
        for entry in dir
            .entries()
            .doing(|| format!("cannot list {}", dir.path().display()))?
        {
            let Some(name) = entry.name.to_str() else {
                let path = dir.path().join(&entry.name);
                let text = format!(
                    "the name of {} is not UTF-8; rename it, so that it can be carried over",
                    path.display()
                );
                return Err(Error::new(ErrorKind::Io, text));
            };
            let path = format!("{prefix}{name}");
            if name.starts_with(TEMPORARY_PREFIX) || path == MANIFEST_FILE_NAME {
                continue;
            }
            if entry.kind == FileKind::Dir {
                let below = match dir.open_dir(name) {
                    Err(error) if error.is_not_found() => continue,
                    opened => opened.doing(|| format!("cannot open {path:?}"))?,
                };
                let before = self.plan.items.len();
                self.folder(&below, &format!("{path}/"))?;
                let empty_folder_of_the_users = self.plan.items.len() == before
                    && !self.is_folder_of_old(&path)
                    && self.target.file(&path).is_none()
                    && !self.is_in_the_way(&path)
                    && !self.removed_by_policy(&format!("{path}/x"));
                if empty_folder_of_the_users {
                    self.plan.folders.push(path);
                }
            } else if self.target.file(&path).is_some() {
                // Nearly every file, so nothing is asked about it.
                if self.old.is_none_or(|old| old.file(&path).is_none()) {
                    self.plan.shadowed.push(path);
                }
            } else {
                let metadata = dir
                    .metadata(name)
                    .doing(|| format!("cannot look at {path:?}"))?;
                if let Some(metadata) = metadata {
                    self.file(path, &metadata);
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, path: String, metadata: &Metadata) {
        let old_entry = self.old.and_then(|old| old.file(&path));
        let is_ignored = self.is_ignored(&path);
        if self.is_in_the_way(&path) {
            // A folder of the target has the file's name, or the other way round.
            let list = if old_entry.is_some() {
                &mut self.plan.deleted
            } else {
                &mut self.plan.shadowed
            };
            list.push(path);
            return;
        }
        if metadata.kind == FileKind::Other {
            self.plan.skipped.push(path);
            return;
        }
        let mut policy = LinkPolicy::Independent;
        if let Some(entry) = old_entry
            && !is_ignored
        {
            if self.target.delete_policy() != DeletePolicy::Manual {
                self.plan.deleted.push(path);
                return;
            }
            policy = LinkPolicy::Share;
            self.plan.pending_files.push(Pending {
                path: path.clone(),
                sha256: entry.sha256(),
            });
            self.plan.pending.push(path.clone());
        } else if self.pending_before.contains(path.as_str()) {
            policy = LinkPolicy::Share;
            self.plan.pending.push(path.clone());
        } else if old_entry.is_none() && self.removed_by_policy(&path) {
            self.plan.deleted.push(path);
            return;
        } else {
            self.plan.carried.push(path.clone());
            self.plan.bytes += metadata.len;
        }
        let identity = Identity::of(&path, metadata, policy);
        self.plan.items.push(Item {
            path,
            kind: metadata.kind,
            policy,
            identity,
        });
    }

    fn is_ignored(&self, path: &str) -> bool {
        is_runtime_or_user_scope(path) || self.target.ignore_globs().is_match(path)
    }

    fn removed_by_policy(&self, path: &str) -> bool {
        self.target.delete_policy() == DeletePolicy::Aggressive && !self.is_ignored(path)
    }

    fn is_folder_of_old(&self, path: &str) -> bool {
        let Some(old) = self.old else { return false };
        let prefix = format!("{path}/");
        let first = old
            .files()
            .partition_point(|file| file.path().as_str() < prefix.as_str());
        old.files()
            .get(first)
            .is_some_and(|file| file.path().as_str().starts_with(&prefix))
    }

    fn is_in_the_way(&self, path: &str) -> bool {
        let above =
            std::iter::successors(path.rsplit_once('/'), |(parent, _)| parent.rsplit_once('/'));
        self.folders_needed.contains(path)
            || above
                .into_iter()
                .any(|(parent, _)| self.target.file(parent).is_some())
    }
}
