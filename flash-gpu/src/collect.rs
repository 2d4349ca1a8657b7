//! What did the script leave?

use std::collections::BTreeSet;
use std::path::Path;

use durable_fs::{Dir, FileKind, LinkPolicy, Placed, TEMPORARY_PREFIX};
use manifest_core::{MANIFEST_FILE_NAME, is_runtime_or_user_scope};
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use tokio_util::sync::CancellationToken;

use crate::error::During as _;
use crate::hash::hash;
use crate::record::{Artifact, FILES, Place, modified};
use crate::store::{CACHE, STORE};
use crate::wanted::Wanted;
use crate::{Artifacts, Error, ErrorKind};

/// A script that fills the disk with tiny files.
const MAX_ARTIFACTS: usize = 100_000;
/// A folder in a folder in a folder, for ever.
const MAX_DEPTH: usize = 64;
/// Of what goes into a message, so many are named.
const SHOWN: usize = 10;

/// What is kept.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) artifacts: Vec<Artifact>,
    pub(crate) counts: Artifacts,
    pub(crate) warnings: Vec<String>,
}

/// What matches the release's patterns.
#[derive(Debug, Default)]
struct Found {
    files: BTreeSet<(Place, String)>,
    /// For each pattern, whether it matched anything.
    matched: Vec<bool>,
    links: Vec<String>,
    warnings: Vec<String>,
}

/// Brings what matches the release's patterns below `into`, and hashes it there. Not yet durable.
///
/// # Errors
/// `NoArtifacts` if there are patterns, and nothing matches any of them.
pub(crate) fn collect(
    root: &Dir,
    wanted: &Wanted,
    into: &Dir,
    policy: LinkPolicy,
    cancel: &CancellationToken,
) -> Result<Collected, Error> {
    let mut found = find(root, wanted, cancel)?;
    let mut collected = Collected::default();
    let texts = wanted.patterns.texts();
    if found.files.is_empty() && !wanted.patterns.is_empty() {
        let links = match found.links.first() {
            Some(link) => format!("; links are not followed, such as {link}"),
            None => String::new(),
        };
        let text = format!(
            "the script left nothing that cache_artifacts match ({}){links}",
            some_of(texts)
        );
        return Err(Error::new(ErrorKind::NoArtifacts, text));
    }
    let unmatched = texts.iter().zip(&found.matched);
    let unmatched: Vec<&String> = unmatched
        .filter_map(|(text, matched)| (!matched).then_some(text))
        .collect();
    if !unmatched.is_empty() {
        let warning = format!("nothing matches {} of cache_artifacts", some_of(&unmatched));
        collected.warnings.push(warning);
    }
    if !found.links.is_empty() {
        let warning = format!("links are not kept: {}", some_of(&found.links));
        collected.warnings.push(warning);
    }
    collected.warnings.append(&mut found.warnings);
    for (place, path) in &found.files {
        if cancel.is_cancelled() {
            return Err(Error::cancelled());
        }
        let from = wanted.dir(root, *place);
        let keeping = || format!("cannot keep {}", from.path().join(path).display());
        let placed = (|| {
            let target = Path::new(FILES).join(place.name()).join(path);
            let parent = into.create_dir_all(target.parent().unwrap_or(Path::new(FILES)))?;
            from.place(path, &parent, name_of(path), policy)
        })();
        match placed.during(keeping)? {
            Placed::Cloned => collected.counts.cloned += 1,
            Placed::Linked => collected.counts.linked += 1,
            _ => collected.counts.copied += 1,
        }
    }
    let files: Vec<_> = found.files.iter().collect();
    let artifacts: Result<Vec<Artifact>, Error> = files
        .par_iter()
        .map(|(place, path)| describe(into, *place, path, cancel))
        .collect();
    collected.artifacts = artifacts?;
    collected.counts.count = collected.artifacts.len() as u64;
    collected.counts.bytes = collected
        .artifacts
        .iter()
        .map(|artifact| artifact.size)
        .sum();
    Ok(collected)
}

/// The first few, and how many more there are.
fn some_of<T: AsRef<str>>(texts: &[T]) -> String {
    let shown: Vec<&str> = texts.iter().take(SHOWN).map(AsRef::as_ref).collect();
    let shown = shown.join(", ");
    match texts.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What is kept, as it is now: hashed where it is kept, since the script's file may change.
fn describe(
    into: &Dir,
    place: Place,
    path: &str,
    cancel: &CancellationToken,
) -> Result<Artifact, Error> {
    let reading = || format!("cannot read what was kept of {path}");
    let kept = format!("{FILES}/{}/{path}", place.name());
    let (file, metadata) = into.open_file_with_metadata(&kept).during(reading)?;
    let hashed = hash(&file, cancel);
    if cancel.is_cancelled() {
        return Err(Error::cancelled());
    }
    let (sha256, size) =
        hashed.map_err(|error| Error::new(ErrorKind::Io, reading()).with_source(error))?;
    Ok(Artifact {
        place,
        path: path.to_owned(),
        size,
        sha256,
        modified: modified(&metadata),
    })
}

fn find(root: &Dir, wanted: &Wanted, cancel: &CancellationToken) -> Result<Found, Error> {
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
        let entries = match top.open_dir(&folder).and_then(|dir| dir.entries()) {
            // Somebody was faster.
            Err(error) if error.is_not_found() => continue,
            Err(error) if error.kind() == durable_fs::ErrorKind::PermissionDenied => {
                found.warn(format!("{}: {error:#}", listing()));
                continue;
            }
            entries => entries.during(listing)?,
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
                    found.add(place, path, entry.kind, wanted)?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

impl Found {
    fn warn(&mut self, text: String) {
        if self.warnings.len() < SHOWN {
            self.warnings.push(text);
        }
    }

    fn add(
        &mut self,
        place: Place,
        path: String,
        kind: FileKind,
        wanted: &Wanted,
    ) -> Result<(), Error> {
        let matches = wanted.patterns.matches(&path);
        if matches.is_empty() {
            return Ok(());
        }
        if kind == FileKind::Symlink {
            self.links.push(path);
            return Ok(());
        }
        for pattern in matches {
            self.matched[pattern] = true;
        }
        self.files.insert((place, path));
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
