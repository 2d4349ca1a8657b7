//! What delete policies `manual` and `aggressive` leave to `prune`.

use std::collections::BTreeMap;

use durable_fs::{Dir, ErrorKind};
use manifest_core::{DeletePolicy, Sha256Digest};
use serde::{Deserialize, Serialize};

use crate::carry::CarryPlan;
use crate::error::Doing as _;
use crate::folders::Folders;
use crate::same::digest;
use crate::{Error, InstalledRelease, layout};

const MAX_PENDING: u64 = 256 << 20;

/// A file that an earlier release listed and the active one does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) path: String,
    pub(crate) sha256: Sha256Digest,
}

/// What waits in which release. The list of the next one is written before the switch; that of the
/// active one must survive until after it.
type Document = BTreeMap<Sha256Digest, Vec<Pending>>;

fn read_all(notes: &Dir) -> Result<Document, Error> {
    let bytes = match notes.read(layout::PENDING_DELETIONS, MAX_PENDING) {
        Err(error) if error.is_not_found() => return Ok(Document::new()),
        read => read.doing(|| "cannot read what waits to be deleted".into())?,
    };
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}

pub(crate) fn read(notes: &Dir, release: Sha256Digest) -> Result<Vec<Pending>, Error> {
    Ok(read_all(notes)?.remove(&release).unwrap_or_default())
}

/// Notes what waits in `release`; only the list of the `active` one is kept beside it.
pub(crate) fn write(
    notes: &Dir,
    active: Option<Sha256Digest>,
    release: Sha256Digest,
    files: &[Pending],
) -> Result<(), Error> {
    let before = read_all(notes)?;
    let mut document = before.clone();
    document.retain(|hash, _| Some(*hash) == active);
    document.remove(&release);
    if !files.is_empty() {
        document.insert(release, files.to_vec());
    }
    if document == before {
        return Ok(());
    }
    let bytes = serde_json::to_vec(&document).expect("a list is text");
    notes
        .replace_file(layout::PENDING_DELETIONS, &bytes)
        .doing(|| "cannot note what waits to be deleted".into())
}

/// What there is to delete in the active release.
#[derive(Debug, Default)]
pub(crate) struct ToPrune {
    pub(crate) paths: Vec<String>,
    /// What waited to be deleted, and is not there any more.
    gone: Vec<String>,
}

pub(crate) fn to_prune(notes: Option<&Dir>, active: &InstalledRelease) -> Result<ToPrune, Error> {
    let manifest = active.manifest();
    let pending = match notes {
        Some(notes) => read(notes, manifest.manifest_hash())?,
        None => Vec::new(),
    };
    let mut found = ToPrune::default();
    for file in pending {
        let doing = || format!("cannot look at {:?}", file.path);
        if active.dir().metadata(&file.path).doing(doing)?.is_none() {
            found.gone.push(file.path);
        } else if digest(active.dir(), &file.path).is_ok_and(|digest| digest == file.sha256) {
            found.paths.push(file.path);
        }
        // Else it was edited, and is the user's by now.
    }
    if manifest.delete_policy() == DeletePolicy::Aggressive {
        let plan = CarryPlan::make(active.dir(), Some(manifest), manifest, &[])?;
        found.paths.extend(plan.deleted);
    }
    Ok(found)
}

pub(crate) fn prune(folders: &Folders, active: &InstalledRelease) -> Result<Vec<String>, Error> {
    let hash = active.manifest().manifest_hash();
    let ToPrune { paths, gone } = to_prune(Some(&folders.notes), active)?;
    for path in &gone {
        // An earlier run was stopped right after it had deleted this.
        remove_empty_folders(active.dir(), path)?;
    }
    for path in &paths {
        match active.dir().remove_file(path) {
            Err(error) if !error.is_not_found() => {
                return Err(error).doing(|| format!("cannot delete {path:?}"));
            }
            _ => remove_empty_folders(active.dir(), path)?,
        }
    }
    // Nobody knows of them any more after the next step.
    active
        .dir()
        .sync_tree()
        .doing(|| "cannot make the deletions durable".into())?;
    write(&folders.notes, Some(hash), hash, &[])?;
    Ok(paths)
}

/// Removes the folders above a deleted file as far as they are empty.
fn remove_empty_folders(dir: &Dir, path: &str) -> Result<(), Error> {
    let mut path = path;
    while let Some((parent, _)) = path.rsplit_once('/') {
        match dir.remove_dir(parent) {
            Err(error) if error.is_not_found() => {}
            Err(error) if error.kind() == ErrorKind::NotEmpty => return Ok(()),
            removed => removed.doing(|| format!("cannot remove the empty folder {parent:?}"))?,
        }
        path = parent;
    }
    Ok(())
}
