//! What matches the release's patterns?

use std::collections::BTreeMap;

use durable_fs::{Dir, DirEntry, FileKind, Metadata, TEMPORARY_PREFIX};
use manifest_core::{MANIFEST_FILE_NAME, is_runtime_or_user_scope};
use tokio_util::sync::CancellationToken;

use crate::error::During as _;
use crate::record::Place;
use crate::store::{CACHE, STORE};
use crate::wanted::Wanted;
use crate::{Error, ErrorKind};

/// A script that fills the disk with tiny files.
const MAX_ARTIFACTS: usize = 100_000;
/// A folder in a folder in a folder, for ever.
const MAX_DEPTH: usize = 64;

/// Of what goes into a message, so many are named.
pub(crate) const MAX_SHOWN: usize = 10;

/// Files, and what the file system knows about them: a file that is another one, or was written to, is known by that.
pub(crate) type Files = BTreeMap<(Place, String), Metadata>;

/// What matches the release's patterns.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) files: Files,
    /// For each pattern, whether it matched anything, if only a link.
    pub(crate) matched: Vec<bool>,
    pub(crate) links: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

pub(crate) fn find(
    root: &Dir,
    wanted: &Wanted,
    cancel: &CancellationToken,
) -> Result<Found, Error> {
    let mut found = Found {
        matched: vec![false; wanted.patterns.texts().len()],
        ..Found::default()
    };
    if wanted.patterns.is_empty() {
        return Ok(found);
    }
    // At the root, only `cache/` is the tool's: what else is there is the user's.
    for (place, from) in [(Place::Release, ""), (Place::Root, CACHE)] {
        walk(root, place, from, wanted, &mut found, cancel)?;
    }
    Ok(found)
}

fn walk(
    root: &Dir,
    place: Place,
    from: &str,
    wanted: &Wanted,
    found: &mut Found,
    cancel: &CancellationToken,
) -> Result<(), Error> {
    let top = wanted.dir(root, place);
    // Only one of them is open at a time, however many there are.
    let mut folders = vec![(from.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        if cancel.is_cancelled() {
            return Err(Error::cancelled());
        }
        let listing = || format!("cannot list {}", top.path().join(&folder).display());
        let opened = top.open_dir(&folder);
        let listed = opened.and_then(|dir| dir.entries().map(|entries| (dir, entries)));
        let (dir, entries) = match listed {
            // Somebody was faster.
            Err(error) if error.is_not_found() => continue,
            Err(error) if error.kind() == durable_fs::ErrorKind::PermissionDenied => {
                found.warn(format!("{}: {error:#}", listing()));
                continue;
            }
            listed => listed.during(listing)?,
        };
        for entry in entries {
            let Some(name) = entry.name.to_str() else {
                continue; // no pattern can match it
            };
            let path = match folder.as_str() {
                "" => name.to_owned(),
                folder => format!("{folder}/{name}"),
            };
            match entry.kind {
                FileKind::Dir if may_descend(place, &path) && depth == MAX_DEPTH => {
                    found.warn(format!("{path} is too deep to be looked into"));
                }
                FileKind::Dir if may_descend(place, &path) => folders.push((path, depth + 1)),
                FileKind::File | FileKind::Symlink if may_be_kept(place, &path, wanted) => {
                    found.add(place, path, &dir, &entry, wanted)?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

impl Found {
    fn warn(&mut self, text: String) {
        if self.warnings.len() < MAX_SHOWN {
            self.warnings.push(text);
        }
    }

    fn add(
        &mut self,
        place: Place,
        path: String,
        dir: &Dir,
        entry: &DirEntry,
        wanted: &Wanted,
    ) -> Result<(), Error> {
        let matches = wanted.patterns.matches(&path);
        if matches.is_empty() {
            return Ok(());
        }
        for pattern in matches {
            self.matched[pattern] = true;
        }
        if entry.kind == FileKind::Symlink {
            self.links.push(path);
            return Ok(());
        }
        match dir.metadata(&entry.name) {
            Ok(Some(metadata)) => {
                self.files.insert((place, path), metadata);
            }
            Ok(None) => {} // somebody was faster
            Err(error) => self.warn(format!("{path} is not kept: {error:#}")),
        }
        if self.files.len() > MAX_ARTIFACTS {
            let text = format!("cache_artifacts match more than {MAX_ARTIFACTS} files");
            return Err(Error::new(ErrorKind::Manifest, text));
        }
        Ok(())
    }
}

/// Environments and what belongs to the user are never looked into.
fn may_descend(place: Place, path: &str) -> bool {
    match place {
        Place::Root => path != STORE,
        Place::Release => path == CACHE || is_tools(&format!("{path}/-")),
    }
}

fn may_be_kept(place: Place, path: &str, wanted: &Wanted) -> bool {
    let is_ours = name_of(path).starts_with(TEMPORARY_PREFIX);
    let is_of_release =
        || path == MANIFEST_FILE_NAME || wanted.manifest().file(path).is_some() || !is_tools(path);
    !is_ours && (place == Place::Root || !is_of_release())
}

fn is_tools(path: &str) -> bool {
    path.starts_with("cache/") || !is_runtime_or_user_scope(path)
}

pub(crate) fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
