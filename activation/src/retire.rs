use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use durable_fs::{Dir, FileKind, Metadata, Replace, TEMPORARY_PREFIX};
use manifest_core::{FileEntry, Limits, MANIFEST_FILE_NAME, Manifest, ReleaseVersion};

use crate::carry::CarriedRecord;
use crate::error::Doing as _;
use crate::folders::Folders;
use crate::installation::read_manifest;
use crate::same::{digest, is_same};
use crate::{Error, ErrorKind, layout};

/// A release that was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retired {
    /// Which release.
    pub version: ReleaseVersion,
    /// The user's files that were in it and in no later release, where they are now (relative to the
    /// root of the tool).
    pub kept: Vec<String>,
}

/// Deletes a release's folder, after the user's files were taken out of it.
pub(crate) fn retire(
    folders: &Folders,
    version: &ReleaseVersion,
    active: Option<&Dir>,
) -> Result<Retired, Error> {
    let folder = version.folder_name();
    let kept = dispose(folders, &folders.releases, &folder, version, active)?;
    Ok(Retired {
        version: version.clone(),
        kept,
    })
}

/// Moves what is the user's, and is nowhere else, from the release in `parent/name` to
/// `.lockstep/kept/{version}/`, then deletes the release. Returns where the files are now.
pub(crate) fn dispose(
    folders: &Folders,
    parent: &Dir,
    name: impl AsRef<Path>,
    version: &ReleaseVersion,
    active: Option<&Dir>,
) -> Result<Vec<String>, Error> {
    let name = name.as_ref();
    let dir = parent
        .open_dir(name)
        .doing(|| format!("cannot open {}", name.display()))?;
    let mut kept = Vec::new();
    let going = &HashSet::new();
    let active = active.map(|dir| ActiveFiles { dir, going });
    for found in only_here(&dir, version, Some(&folders.notes), active)? {
        kept.push(keep(folders, &dir, &found.name, version, &found.path)?);
    }
    if !kept.is_empty() {
        // They must be on the disk under their new names before what they were taken out of is deleted.
        folders
            .notes
            .sync_tree()
            .doing(|| "cannot keep your files".into())?;
    }
    folders.discard(parent, name)?;
    CarriedRecord::forget(&folders.notes, version)?;
    Ok(kept)
}

/// Something of the user's in a release.
pub(crate) struct OnlyHere {
    /// Where it is in the release.
    name: PathBuf,
    /// The same as text.
    pub(crate) path: String,
}

/// The active release, for what it has of another.
#[derive(Clone, Copy)]
pub(crate) struct ActiveFiles<'d> {
    pub(crate) dir: &'d Dir,
    /// Paths that it has not any more, for then.
    pub(crate) going: &'d HashSet<&'d str>,
}

/// What is the user's in the release in `dir`, and is nowhere else. Reads only.
pub(crate) fn only_here(
    dir: &Dir,
    version: &ReleaseVersion,
    notes: Option<&Dir>,
    active: Option<ActiveFiles<'_>>,
) -> Result<Vec<OnlyHere>, Error> {
    let manifest = match read_manifest(dir, &Limits::default()) {
        // Then every file may be the user's.
        Err(error) if error.kind() == ErrorKind::Manifest => None,
        // One that only cannot be read just now says nothing about the files.
        read => read?,
    };
    let sealed = dir
        .metadata(MANIFEST_FILE_NAME)
        .doing(|| format!("cannot look at release {version}"))?
        .and_then(|metadata| metadata.modified);
    let record = match notes {
        Some(notes) => CarriedRecord::read(notes, version)?,
        None => CarriedRecord::default(),
    };
    let mut search = Search {
        manifest,
        sealed,
        record,
        active,
        found: Vec::new(),
    };
    search.folder(dir, Path::new(""), "")?;
    Ok(search.found)
}

struct Search<'d> {
    manifest: Option<Manifest>,
    /// When the manifest was written, which was after all files.
    sealed: Option<SystemTime>,
    record: CarriedRecord,
    active: Option<ActiveFiles<'d>>,
    found: Vec<OnlyHere>,
}

impl Search<'_> {
    /// Searches the folder `at` of the release, which is `prefix` as text (empty or ending in `/`).
    fn folder(&mut self, dir: &Dir, at: &Path, prefix: &str) -> Result<(), Error> {
        for entry in dir
            .entries()
            .doing(|| format!("cannot list {}", dir.path().display()))?
        {
            let in_release = at.join(&entry.name);
            let name = entry.name.to_string_lossy();
            let path = format!("{prefix}{name}");
            if entry.kind == FileKind::Dir {
                let below = dir
                    .open_dir(&entry.name)
                    .doing(|| format!("cannot open {path:?}"))?;
                self.folder(&below, &in_release, &format!("{path}/"))?;
                continue;
            }
            if name.starts_with(TEMPORARY_PREFIX) || path == MANIFEST_FILE_NAME {
                continue;
            }
            let metadata = dir
                .metadata(&entry.name)
                .doing(|| format!("cannot look at {path:?}"))?;
            if metadata.is_some_and(|metadata| self.is_only_here(dir, &name, &path, &metadata)) {
                self.found.push(OnlyHere {
                    name: in_release,
                    path,
                });
            }
        }
        Ok(())
    }

    /// Whether deleting this would lose something that is the user's.
    fn is_only_here(&self, dir: &Dir, name: &str, path: &str, metadata: &Metadata) -> bool {
        let listed = self.manifest.as_ref().and_then(|list| list.file(path));
        if let Some(file) = listed
            && !self.is_edited(dir, name, file, metadata)
        {
            return false;
        }
        let active_parent = |active: ActiveFiles<'_>| match path.rsplit_once('/') {
            Some((parent, _)) => active.dir.open_dir(parent).ok(),
            None => Some(active.dir.clone()),
        };
        let is_in_active = || {
            self.active
                .filter(|active| !active.going.contains(path))
                .and_then(active_parent)
                .is_some_and(|parent| is_same(dir, &parent, name))
        };
        !self.record.has(path, metadata) && !is_in_active()
    }

    /// Whether somebody wrote to a file of the release since it was installed.
    fn is_edited(&self, dir: &Dir, name: &str, file: &FileEntry, metadata: &Metadata) -> bool {
        metadata.kind != FileKind::File
            || metadata.modified >= self.sealed
                && digest(dir, name).is_ok_and(|digest| digest != file.sha256())
    }
}

/// Moves away what stands where `path`, or a folder on the way to it, belongs and is of another kind.
/// Returns where it is now.
pub(crate) fn clear_the_way(
    folders: &Folders,
    dir: &Dir,
    version: &ReleaseVersion,
    path: &str,
    wanted: FileKind,
) -> Result<Option<String>, Error> {
    let above = path
        .match_indices('/')
        .map(|(end, _)| (&path[..end], FileKind::Dir));
    for (part, wanted) in above.chain([(path, wanted)]) {
        let doing = || format!("cannot look at {part:?}");
        let Some(metadata) = dir.metadata(part).doing(doing)? else {
            return Ok(None);
        };
        if metadata.kind != wanted {
            return keep(folders, dir, part.as_ref(), version, part).map(Some);
        }
    }
    Ok(None)
}

/// Moves one file or folder to `.lockstep/kept/{version}/{path}`, or to a free name beside it. Durable
/// after the notes were synced.
pub(crate) fn keep(
    folders: &Folders,
    dir: &Dir,
    name: &Path,
    version: &ReleaseVersion,
    path: &str,
) -> Result<String, Error> {
    let doing = || format!("cannot keep {path:?}");
    let all = folders.notes.create_dir_all(layout::KEPT).doing(doing)?;
    let (parent, file_name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut attempt = 1;
    let (folder, kept) = loop {
        let folder = format!("{}/{parent}", numbered(&version.folder_name(), attempt));
        let folder = folder.trim_end_matches('/').to_owned();
        match all.create_dir_all(&folder) {
            // An earlier file has the name of a folder.
            Err(error) if error.kind() == durable_fs::ErrorKind::NotRegular => attempt += 1,
            created => break (folder, created.doing(doing)?),
        }
    };
    let mut attempt = 1;
    let free_name = loop {
        let free_name = numbered(file_name, attempt);
        match move_to(dir, name, &kept, &free_name) {
            Err(error) if error.is_already_exists() => attempt += 1,
            moved => {
                moved.doing(doing)?;
                break free_name;
            }
        }
    };
    let place = format!("{}/{}/{folder}/{free_name}", layout::NOTES, layout::KEPT);
    tracing::info!(from = path, to = place, "kept a file that no release lists");
    Ok(place)
}

fn numbered(name: &str, attempt: u32) -> String {
    match attempt {
        1 => name.to_owned(),
        _ => format!("{name}~{attempt}"),
    }
}

/// A rename, also where the notes are on another file system than the releases.
fn move_to(dir: &Dir, name: &Path, to: &Dir, to_name: &str) -> durable_fs::Result<()> {
    match dir.rename(name, to, to_name, Replace::Refuse) {
        Err(error) if error.kind() == durable_fs::ErrorKind::CrossDevice => {}
        renamed => return renamed,
    }
    match dir.metadata(name)?.map(|metadata| metadata.kind) {
        Some(FileKind::Dir) => {
            to.create_dir(to_name)?;
            let (from, to) = (dir.open_dir(name)?, to.open_dir(to_name)?);
            for entry in from.entries()? {
                let name = entry.name.to_string_lossy();
                move_to(&from, entry.name.as_ref(), &to, &name)?;
            }
            return dir.remove_dir(name);
        }
        Some(FileKind::Symlink) => to.create_symlink(dir.read_link(name)?, to_name)?,
        _ => drop(dir.copy(name, to, to_name)?),
    }
    to.sync_tree()?;
    dir.remove_file(name)
}
