//! What did the script leave?

use std::path::Path;

use durable_fs::{Dir, LinkPolicy, Operation, Placed};
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use tokio_util::sync::CancellationToken;

use crate::error::During as _;
use crate::find::{Files, Found, MAX_SHOWN, find, name_of};
use crate::hash::hash;
use crate::patterns::shown;
use crate::record::{Artifact, FILES, Place, Record, modified};
use crate::wanted::Wanted;
use crate::{Artifacts, Error, ErrorKind};

/// Smaller files are cheap to copy, and then a script that writes into one in place does not change what is kept.
const LINKED_FROM: u64 = 64 << 20;

/// What is kept.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) artifacts: Vec<Artifact>,
    pub(crate) counts: Artifacts,
    pub(crate) warnings: Vec<String>,
}

/// A file that is kept and not yet hashed.
struct Kept<'f> {
    place: Place,
    path: &'f str,
    left: Option<u64>,
}

/// What matches before the script runs, without what it left the last time: that is the script's, even if it leaves it alone now.
pub(crate) fn before(
    root: &Dir,
    wanted: &Wanted,
    last: Option<&Record>,
    cancel: &CancellationToken,
) -> Result<Files, Error> {
    let mut files = find(root, wanted, cancel)?.files;
    for artifact in last.iter().flat_map(|record| &record.artifacts) {
        files.remove(&(artifact.place, artifact.path.clone()));
    }
    Ok(files)
}

/// Brings what matches the release's patterns below `into`, and hashes it there. Not yet durable. What is as it was before is only
/// counted: it may be the user's.
///
/// # Errors
/// `NoArtifacts` if there are patterns, and nothing matches any of them.
pub(crate) fn collect(
    root: &Dir,
    wanted: &Wanted,
    before: &Files,
    into: &Dir,
    policy: LinkPolicy,
    cancel: &CancellationToken,
) -> Result<Collected, Error> {
    let found = find(root, wanted, cancel)?;
    let mut warnings = warnings_of(wanted.patterns.texts(), &found)?;
    let mut counts = Artifacts::default();
    let (mut kept, mut unreadable) = (Vec::new(), Vec::new());
    for (file, metadata) in &found.files {
        if cancel.is_cancelled() {
            return Err(Error::cancelled());
        }
        if before.get(file) == Some(metadata) {
            counts.untouched += 1;
            continue;
        }
        let (place, path) = (file.0, &*file.1);
        let from = wanted.dir(root, place);
        let keeping = || format!("cannot keep {}", from.path().join(path).display());
        let (placed, left) = match keep(from, place, path, into, policy) {
            Err(error) if may_not_be_read(&error) => {
                unreadable.push(path);
                continue;
            }
            placed => placed.during(keeping)?,
        };
        match placed {
            Placed::Cloned => counts.cloned += 1,
            Placed::Linked => counts.linked += 1,
            _ => counts.copied += 1,
        }
        kept.push(Kept { place, path, left });
    }
    if !unreadable.is_empty() {
        let text = format!("may not be read, and is not kept: {}", some_of(&unreadable));
        warnings.push(text);
    }
    let artifacts: Result<Vec<Artifact>, Error> = kept
        .par_iter()
        .map(|kept| describe(into, kept, cancel))
        .collect();
    let artifacts = artifacts?;
    counts.count = artifacts.len() as u64;
    counts.bytes = artifacts.iter().map(|artifact| artifact.size).sum();
    Ok(Collected {
        artifacts,
        counts,
        warnings,
    })
}

/// What a person should know of what was found.
fn warnings_of(texts: &[String], found: &Found) -> Result<Vec<String>, Error> {
    if !texts.is_empty() && !found.matched.contains(&true) {
        let text = format!(
            "the script left nothing that cache_artifacts match ({})",
            some_of(texts)
        );
        return Err(Error::new(ErrorKind::NoArtifacts, text));
    }
    let unmatched = texts.iter().zip(&found.matched);
    let unmatched: Vec<&String> = unmatched
        .filter_map(|(text, matched)| (!matched).then_some(text))
        .collect();
    let mut warnings = Vec::new();
    if !unmatched.is_empty() {
        let warning = format!("nothing matches {} of cache_artifacts", some_of(&unmatched));
        warnings.push(warning);
    }
    if !found.links.is_empty() {
        warnings.push(format!("links are not kept: {}", some_of(&found.links)));
    }
    warnings.extend_from_slice(&found.warnings);
    Ok(warnings)
}

/// The first few, and how many more there are.
fn some_of<T: AsRef<str>>(texts: &[T]) -> String {
    let some = texts.iter().take(MAX_SHOWN);
    let some: Vec<String> = some.map(|text| shown(text.as_ref())).collect();
    let some = some.join(", ");
    match texts.len().saturating_sub(MAX_SHOWN) {
        0 => some,
        more => format!("{some} and {more} more"),
    }
}

/// How a file came below `into`, and when it was last changed where the script had left it.
fn keep(
    from: &Dir,
    place: Place,
    path: &str,
    into: &Dir,
    policy: LinkPolicy,
) -> durable_fs::Result<(Placed, Option<u64>)> {
    // It must be possible to hash it, too.
    let (_, metadata) = from.open_file_with_metadata(path)?;
    let target = Path::new(FILES).join(place.name()).join(path);
    let parent = into.create_dir_all(target.parent().unwrap_or(Path::new(FILES)))?;
    let policy = policy_for(policy, metadata.len);
    let placed = from.place(path, &parent, name_of(path), policy)?;
    Ok((placed, modified(&metadata)))
}

/// How a file of this size is kept and put back.
pub(crate) fn policy_for(policy: LinkPolicy, bytes: u64) -> LinkPolicy {
    match policy {
        LinkPolicy::Share if bytes < LINKED_FROM => LinkPolicy::Independent,
        policy => policy,
    }
}

/// Where it is kept, this program may do everything.
fn may_not_be_read(error: &durable_fs::Error) -> bool {
    error.operation() == Operation::Read && error.kind() == durable_fs::ErrorKind::PermissionDenied
}

/// What is kept, as it is now: hashed where it is kept, since the script's file may change.
fn describe(into: &Dir, kept: &Kept<'_>, cancel: &CancellationToken) -> Result<Artifact, Error> {
    let reading = || format!("cannot read what was kept of {}", kept.path);
    let kept_at = format!("{FILES}/{}/{}", kept.place.name(), kept.path);
    let (file, metadata) = into.open_file_with_metadata(&kept_at).during(reading)?;
    let hashed = hash(&file, cancel);
    if cancel.is_cancelled() {
        return Err(Error::cancelled());
    }
    let (sha256, size) =
        hashed.map_err(|error| Error::new(ErrorKind::Io, reading()).with_source(error))?;
    Ok(Artifact {
        place: kept.place,
        path: kept.path.to_owned(),
        size,
        sha256,
        modified: modified(&metadata),
        left: kept.left,
    })
}
