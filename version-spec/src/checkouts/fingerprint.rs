//! What a checkout consisted of when it was made.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use durable_fs::{Dir, FileKind};
use manifest_core::{Sha256Digest, hash_reader};
use serde::{Deserialize, Serialize};

use crate::{CommitId, RepoUrl};

/// The files of a checkout, without git's own. Paths that are no UTF-8 are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fingerprint {
    #[serde(rename = "fingerprint_version")]
    pub(super) version: u32,
    pub(super) repo: RepoUrl,
    pub(super) commit: CommitId,
    pub(super) files: BTreeMap<String, Trace>,
}

/// The format that this code writes and reads.
pub(super) const VERSION: u32 = 1;

/// A file or link. The digest decides where only the time differs: a copy of a cache has other times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trace {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    link: bool,
    size: u64,
    /// Nanoseconds since 1970.
    modified: u64,
    sha256: Sha256Digest,
}

impl Fingerprint {
    pub(super) fn of(folder: &Dir, repo: &RepoUrl, commit: &CommitId) -> durable_fs::Result<Self> {
        let mut files = BTreeMap::new();
        let mut folders = vec![(String::new(), folder.clone())];
        while let Some((below, folder)) = folders.pop() {
            for entry in folder.entries()? {
                let Some(name) = entry.name.to_str().filter(|name| *name != ".git") else {
                    continue;
                };
                let path = format!("{below}{name}");
                if entry.kind == FileKind::Dir {
                    folders.push((format!("{path}/"), folder.open_dir(name)?));
                } else if let Some(trace) = Trace::of(&folder, name)? {
                    files.insert(path, trace);
                }
            }
        }
        Ok(Self {
            version: VERSION,
            repo: repo.clone(),
            commit: commit.clone(),
            files,
        })
    }

    pub(super) fn contents(self) -> BTreeMap<String, (bool, u64, Sha256Digest)> {
        self.files
            .into_iter()
            .map(|(path, trace)| (path, (trace.link, trace.size, trace.sha256)))
            .collect()
    }

    /// Whether everything is still there, whatever is in it. Reads the names of folders, and of files nothing.
    pub(super) fn is_complete(&self, folder: &Dir) -> durable_fs::Result<bool> {
        let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for path in self.files.keys() {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            wanted.entry(parent).or_default().push(name);
        }
        for (parent, names) in wanted {
            let entries = match open_below(folder, parent) {
                Ok(parent) => parent.entries()?,
                Err(error) if is_no_folder(&error) => return Ok(false),
                Err(error) => return Err(error),
            };
            let there: BTreeSet<&str> = entries
                .iter()
                .filter(|entry| entry.kind != FileKind::Dir)
                .filter_map(|entry| entry.name.to_str())
                .collect();
            if !names.iter().all(|name| there.contains(name)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What differs: files that were changed, are missing or are new, and folders that are new, with a `/` at the end; sorted. What
    /// Python itself writes (`__pycache__`) is left out.
    pub(super) fn changed(&self, folder: &Dir) -> durable_fs::Result<Vec<String>> {
        let known: BTreeSet<&str> = self
            .files
            .keys()
            .flat_map(|path| folders_of(path))
            .collect();
        let mut missing: BTreeSet<&str> = self.files.keys().map(String::as_str).collect();
        let mut changed = Vec::new();
        let mut folders = vec![(String::new(), folder.clone())];
        while let Some((below, folder)) = folders.pop() {
            for entry in folder.entries()? {
                let name = entry.name.to_string_lossy();
                let path = format!("{below}{name}");
                let is_folder = entry.kind == FileKind::Dir;
                match self.files.get(&path) {
                    _ if name == ".git" => {}
                    Some(_) if is_folder => changed.push(format!("{path}/")),
                    Some(trace) => {
                        missing.remove(path.as_str());
                        if trace.differs(&folder, &name)? {
                            changed.push(path);
                        }
                    }
                    None if is_folder && known.contains(path.as_str()) => {
                        folders.push((format!("{path}/"), folder.open_dir(&entry.name)?));
                    }
                    None if is_of_python(&name) || entry.name.to_str().is_none() => {}
                    None if is_folder => changed.push(format!("{path}/")),
                    None => changed.push(path),
                }
            }
        }
        changed.extend(missing.into_iter().map(str::to_owned));
        changed.sort_unstable();
        Ok(changed)
    }
}

fn is_of_python(name: &str) -> bool {
    name == "__pycache__"
        || Path::new(name)
            .extension()
            .is_some_and(|extension| extension == "pyc")
}

/// `a/b/c` is in `a` and `a/b`.
fn folders_of(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

fn open_below(folder: &Dir, below: &str) -> durable_fs::Result<Dir> {
    if below.is_empty() {
        Ok(folder.clone())
    } else {
        folder.open_dir(below)
    }
}

pub(super) fn is_no_folder(error: &durable_fs::Error) -> bool {
    error.is_not_found() || error.kind() == durable_fs::ErrorKind::NotRegular
}

impl Trace {
    /// `None` for what is neither a file nor a link.
    fn of(folder: &Dir, name: &str) -> durable_fs::Result<Option<Self>> {
        let Some(metadata) = folder.metadata(name)? else {
            return Ok(None);
        };
        let sha256 = match metadata.kind {
            FileKind::File => digest_of(folder, name)?,
            FileKind::Symlink => digest_of_link(folder, name)?,
            _ => return Ok(None),
        };
        Ok(Some(Self {
            link: metadata.kind == FileKind::Symlink,
            size: metadata.len,
            modified: nanoseconds(metadata.modified),
            sha256,
        }))
    }

    fn differs(&self, folder: &Dir, name: &str) -> durable_fs::Result<bool> {
        let Some(metadata) = folder.metadata(name)? else {
            return Ok(true);
        };
        let kind = if self.link {
            FileKind::Symlink
        } else {
            FileKind::File
        };
        if metadata.kind != kind || metadata.len != self.size {
            return Ok(true);
        }
        if nanoseconds(metadata.modified) == self.modified {
            return Ok(false);
        }
        let digest = if self.link {
            digest_of_link(folder, name)?
        } else {
            digest_of(folder, name)?
        };
        Ok(digest != self.sha256)
    }
}

/// 0 where the file system keeps no times, or one before 1970.
fn nanoseconds(time: Option<SystemTime>) -> u64 {
    let since = time
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn digest_of(folder: &Dir, name: &str) -> durable_fs::Result<Sha256Digest> {
    // A file that cannot be read through any more differs from every other.
    let file = folder.open_file(name)?;
    Ok(hash_reader(file).map_or_else(|_| Sha256Digest::from_bytes([0; 32]), |(digest, _)| digest))
}

fn digest_of_link(folder: &Dir, name: &str) -> durable_fs::Result<Sha256Digest> {
    let target = folder.read_link(name)?;
    Ok(Sha256Digest::of(target.as_os_str().as_encoded_bytes()))
}
