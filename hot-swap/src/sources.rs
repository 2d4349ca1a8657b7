//! Whether the same sources gave the same binary.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ignore::{WalkBuilder, WalkState};
use manifest_core::{Sha256Digest, blake3_reader};
use serde::{Deserialize, Serialize};

use crate::error::Doing as _;
use crate::report::short;
use crate::state::{FOLDER, State};
use crate::{Error, ErrorKind};

/// The last build, in the state folder.
const LAST_BUILD: &str = "build.json";
const MAX_LENGTH: u64 = 64 * 1024;

#[derive(Debug, Serialize, Deserialize)]
struct LastBuild {
    /// Over the sources; hexadecimal.
    sources: String,
    candidate: Sha256Digest,
}

/// Path, content's digest, length.
type Source = (PathBuf, [u8; 32], u64);

/// A digest of all files below a folder that `.gitignore` does not exclude: BLAKE3 over path, length and content's BLAKE3 of each, by
/// path, each path preceded by its length in 8 bytes, little-endian.
pub(crate) fn digest(folder: &Path) -> Result<String, Error> {
    let failed = |text: String| Error::new(ErrorKind::Io, text);
    let found: Mutex<Vec<Result<Source, Error>>> = Mutex::default();
    walk(folder).build_parallel().run(|| {
        Box::new(|entry| {
            let read = match entry {
                Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) => {
                    let path = entry.into_path();
                    let hashed = std::fs::File::open(&path).and_then(blake3_reader);
                    hashed
                        .map(|(digest, length)| (path.clone(), digest, length))
                        .map_err(|error| {
                            failed(format!("cannot read the source {}", path.display()))
                                .with_source(error)
                        })
                }
                Ok(_) => return WalkState::Continue,
                Err(error) => Err(failed("cannot read the sources".into()).with_source(error)),
            };
            found
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(read);
            WalkState::Continue
        })
    });
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut files = found.into_iter().collect::<Result<Vec<_>, _>>()?;
    files.sort_unstable();
    let mut hasher = blake3::Hasher::new();
    for (path, digest, length) in files {
        let path = path.strip_prefix(folder).unwrap_or(&path);
        let path = path.as_os_str().as_encoded_bytes();
        hasher.update(&(path.len() as u64).to_le_bytes());
        hasher.update(path);
        hasher.update(&length.to_le_bytes());
        hasher.update(&digest);
    }
    Ok(hex::encode(hasher.finalize().as_bytes()))
}

/// What counts as a source: as git sees it, whether or not there is a repository, and without what swaps keep for themselves.
fn walk(folder: &Path) -> WalkBuilder {
    let mut walk = WalkBuilder::new(folder);
    walk.hidden(false)
        .require_git(false)
        .git_global(false)
        .filter_entry(|entry| entry.file_name() != ".git" && entry.file_name() != FOLDER);
    walk
}

/// Notes a build. Returns what there is to say if the one before had the same sources and gave another binary.
pub(crate) fn note(
    state: &State,
    sources: &str,
    candidate: Sha256Digest,
) -> Result<Option<String>, Error> {
    let before = match state.dir.read(LAST_BUILD, MAX_LENGTH) {
        // A damaged note is none.
        Ok(bytes) => serde_json::from_slice::<LastBuild>(&bytes).ok(),
        Err(error) if error.is_not_found() => None,
        Err(error) => {
            return Err(error).doing(|| "cannot read the note about the last build".into());
        }
    };
    let warning = before
        .filter(|before| before.sources == sources && before.candidate != candidate)
        .map(|before| {
            format!(
                "the build is not reproducible: the same sources gave {} before, and {} now",
                short(Some(&before.candidate)),
                short(Some(&candidate))
            )
        });
    let last = LastBuild {
        sources: sources.to_owned(),
        candidate,
    };
    let bytes = serde_json::to_vec_pretty(&last)
        .map_err(|error| Error::new(ErrorKind::Io, "cannot note the build").with_source(error))?;
    let written = state.dir.replace_file(LAST_BUILD, &bytes);
    written.doing(|| "cannot note the build".into())?;
    Ok(warning)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_digest_is_of_names_and_contents_and_of_nothing_that_git_ignores() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let now = || digest(folder.path()).unwrap();
        write("src/main.rs", "fn main() {}");
        write(".gitignore", "/target\n");
        let first = now();
        assert_eq!(first, now());
        write("target/debug/server", "binary");
        write(".git/HEAD", "ref");
        assert_eq!(first, now());
        write("src/main.rs", "fn main() { }");
        assert_ne!(first, now());
        write("src/main.rs", "fn main() {}");
        assert_eq!(first, now());
        fs::rename(
            folder.path().join("src/main.rs"),
            folder.path().join("src/lib.rs"),
        )
        .unwrap();
        assert_ne!(first, now());
        fs::remove_file(folder.path().join("src/lib.rs")).unwrap();
        assert!(digest(&folder.path().join("gone")).is_err());
    }
}
