//! Is what an earlier warm-up kept still whole, and where it belongs?

use std::path::Path;

use durable_fs::{Dir, FileKind, LinkPolicy, Metadata, Placed, Replace};
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use tokio_util::sync::CancellationToken;

use crate::collect::policy_for;
use crate::hash::hash;
use crate::record::{Artifact, Record, modified};
use crate::wanted::Wanted;
use crate::{ArtifactCheck, Error, Key};

/// One at a time in a folder. The updater removes such names, too.
const TEMPORARY: &str = ".lockstep-put-back";

/// The record of a key, if everything that it names is kept and whole, and nothing else has its name where the script had left it.
/// `Err` in it says why not.
pub(crate) fn look(
    root: &Dir,
    store: &Dir,
    key: &Key,
    wanted: &Wanted,
    how: ArtifactCheck,
    cancel: &CancellationToken,
) -> Result<Result<Record, String>, Error> {
    let record = match Record::read(store, key) {
        Ok(record) => record,
        Err(reason) => return Ok(Err(reason)),
    };
    if !record.is_of(wanted.manifest()) {
        return Ok(Err("what was noted is of another release".into()));
    }
    let folder = match store.open_dir(key.as_str()) {
        Ok(folder) => folder,
        Err(error) => return Ok(Err(format!("{error:#}"))),
    };
    let broken = record.artifacts.par_iter().find_map_first(|artifact| {
        let place = wanted.dir(root, artifact.place);
        problem(&folder, artifact, how, cancel)
            .or_else(|| difference(place, &folder, artifact, how, cancel))
    });
    if cancel.is_cancelled() {
        return Err(Error::cancelled());
    }
    Ok(match broken {
        Some(reason) => Err(reason),
        None => Ok(record),
    })
}

/// What is wrong with a kept artifact. One that has its size and the time of its last change is not read again.
fn problem(
    folder: &Dir,
    artifact: &Artifact,
    how: ArtifactCheck,
    cancel: &CancellationToken,
) -> Option<String> {
    if cancel.is_cancelled() {
        return None;
    }
    let broken = |why: String| Some(format!("the kept {} {why}", artifact.path));
    let (file, metadata) = match folder.open_file_with_metadata(artifact.kept_at()) {
        Ok(opened) => opened,
        Err(error) => return broken(format!("cannot be used: {error:#}")),
    };
    if metadata.len != artifact.size {
        return broken("has another size".into());
    }
    let is_untouched = artifact.modified.is_some() && artifact.modified == modified(&metadata);
    if how == ArtifactCheck::Times && is_untouched {
        return None;
    }
    match hash(&file, cancel) {
        Ok((digest, _)) if digest == artifact.sha256 => None,
        Ok(_) => broken("was changed".into()),
        Err(error) => broken(format!("cannot be read: {error}")),
    }
}

/// What tells that the file where the script had left an artifact is not what was kept. One that is missing can be put back.
fn difference(
    place: &Dir,
    folder: &Dir,
    artifact: &Artifact,
    how: ArtifactCheck,
    cancel: &CancellationToken,
) -> Option<String> {
    // Below what is no folder, nothing has the name; putting it back will say so.
    let live = place.metadata(&artifact.path).ok()??;
    if cancel.is_cancelled() {
        return None;
    }
    let differs = || Some(format!("{} is not what was kept", artifact.path));
    if live.kind != FileKind::File || live.len != artifact.size {
        return differs();
    }
    let is_untouched = artifact.left.is_some() && artifact.left == modified(&live);
    if how == ArtifactCheck::Times && is_untouched {
        return None;
    }
    let kept = folder.metadata(artifact.kept_at()).ok().flatten();
    // Where the platform keeps no such numbers, they are 0.
    let is_one = |kept: Metadata| (kept.device, kept.inode) == (live.device, live.inode);
    if live.inode != 0 && kept.is_some_and(is_one) {
        return None;
    }
    let file = match place.open_file(&artifact.path) {
        Ok(file) => file,
        Err(error) => return Some(format!("{} cannot be compared: {error:#}", artifact.path)),
    };
    match hash(&file, cancel) {
        Ok((digest, _)) if digest == artifact.sha256 => None,
        Ok(_) => differs(),
        Err(error) => Some(format!("{} cannot be read: {error}", artifact.path)),
    }
}

/// Puts artifacts back that are missing where the script had left them. What has their name stays.
///
/// Returns how many, and why others could not be.
pub(crate) fn put_back(
    root: &Dir,
    store: &Dir,
    wanted: &Wanted,
    record: &Record,
    policy: LinkPolicy,
    cancel: &CancellationToken,
) -> Result<(u64, Vec<String>), Error> {
    let (mut count, mut warnings) = (0, Vec::new());
    for artifact in &record.artifacts {
        if cancel.is_cancelled() {
            return Err(Error::cancelled());
        }
        let place = wanted.dir(root, artifact.place);
        let kept = format!("{}/{}", record.key, artifact.kept_at());
        let policy = policy_for(policy, artifact.size);
        match put_one_back(store, &kept, place, &artifact.path, policy) {
            Ok(true) => count += 1,
            Ok(false) => {}
            Err(error) => warnings.push(format!(
                "{} cannot be put back: {error:#}",
                place.path().join(&artifact.path).display()
            )),
        }
    }
    Ok((count, warnings))
}

/// Whole or not at all, also after a power cut.
fn put_one_back(
    store: &Dir,
    kept: &str,
    place: &Dir,
    path: &str,
    policy: LinkPolicy,
) -> durable_fs::Result<bool> {
    if place.metadata(path)?.is_some() {
        return Ok(false);
    }
    let path = Path::new(path);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(false);
    };
    let folder = place.create_dir_all(parent)?;
    if folder
        .metadata(TEMPORARY)?
        .is_some_and(|left| left.kind != FileKind::Dir)
    {
        folder.remove_file(TEMPORARY)?;
    }
    let placed = store.place(kept, &folder, TEMPORARY, policy)?;
    if placed != Placed::Linked {
        folder.sync_file(TEMPORARY)?;
    }
    let renamed = folder.rename(TEMPORARY, &folder, name, Replace::Refuse);
    if renamed.is_err() {
        let _ = folder.remove_file(TEMPORARY); // the first error is the one to report
    }
    renamed.and_then(|()| folder.sync()).map(|()| true)
}
