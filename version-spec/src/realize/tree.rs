//! Folders with all that is below them.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use durable_fs::{Dir, FileKind, LinkPolicy, Metadata};
use manifest_core::{Sha256Digest, hash_reader};
use serde::{Deserialize, Serialize};

/// A file or link of ours, as it was when it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trace {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) link: bool,
    pub(crate) size: u64,
    /// Nanoseconds since 1970.
    pub(crate) modified: u64,
    pub(crate) sha256: Sha256Digest,
}

impl Trace {
    /// Whether kind, size and time are the same. The content is not read. Without a time nothing is known.
    pub(crate) fn is_at_first_sight(&self, metadata: &Metadata) -> bool {
        self.modified != 0
            && self.is_of_kind(metadata)
            && metadata.len == self.size
            && nanoseconds(metadata.modified) == self.modified
    }

    /// Whether the content is the same, whenever it was written.
    pub(crate) fn is_content_of(
        &self,
        folder: &Dir,
        name: &str,
        metadata: &Metadata,
    ) -> durable_fs::Result<bool> {
        if self.is_at_first_sight(metadata) {
            return Ok(true);
        }
        if !self.is_of_kind(metadata) || metadata.len != self.size {
            return Ok(false);
        }
        Ok(digest_of(folder, name, metadata.kind)? == Some(self.sha256))
    }

    /// The trace of a copy of this file.
    pub(crate) fn of_copy(&self, copy: Option<&Metadata>) -> Self {
        Self {
            modified: nanoseconds(copy.and_then(|copy| copy.modified)),
            ..self.clone()
        }
    }

    fn is_of_kind(&self, metadata: &Metadata) -> bool {
        metadata.kind
            == if self.link {
                FileKind::Symlink
            } else {
                FileKind::File
            }
    }

    /// `None` for what is neither a file nor a link.
    pub(crate) fn of(folder: &Dir, name: &str) -> durable_fs::Result<Option<Self>> {
        let Some(metadata) = folder.metadata(name)? else {
            return Ok(None);
        };
        let Some(sha256) = digest_of(folder, name, metadata.kind)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            link: metadata.kind == FileKind::Symlink,
            size: metadata.len,
            modified: nanoseconds(metadata.modified),
            sha256,
        }))
    }
}

/// The digest of a file's bytes, or of where a link points; `None` for anything else.
fn digest_of(folder: &Dir, name: &str, kind: FileKind) -> durable_fs::Result<Option<Sha256Digest>> {
    match kind {
        FileKind::File => {
            // A file that cannot be read through differs from every other.
            let digest = hash_reader(folder.open_file(name)?).map(|(digest, _)| digest);
            Ok(Some(digest.unwrap_or(Sha256Digest::from_bytes([0; 32]))))
        }
        FileKind::Symlink => {
            let target = folder.read_link(name)?;
            Ok(Some(Sha256Digest::of(
                target.as_os_str().as_encoded_bytes(),
            )))
        }
        _ => Ok(None),
    }
}

/// 0 where the file system keeps no times, or one before 1970.
fn nanoseconds(time: Option<SystemTime>) -> u64 {
    let since = time
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Copies a folder with all that is below it to a new name, never by hard links. Returns the bytes of its files. Not durable.
pub(crate) fn copy_tree(
    from: &Dir,
    name: impl AsRef<Path>,
    to: &Dir,
    to_name: impl AsRef<Path>,
) -> durable_fs::Result<u64> {
    let to_name = to_name.as_ref();
    to.create_dir(to_name)?;
    let mut bytes = 0;
    let mut folders = vec![(from.open_dir(name)?, to.open_dir(to_name)?)];
    while let Some((from, to)) = folders.pop() {
        for entry in from.entries()? {
            match entry.kind {
                FileKind::Dir => {
                    to.create_dir(&entry.name)?;
                    folders.push((from.open_dir(&entry.name)?, to.open_dir(&entry.name)?));
                }
                FileKind::File => {
                    from.place(&entry.name, &to, &entry.name, LinkPolicy::Independent)?;
                    bytes += to.metadata(&entry.name)?.map_or(0, |metadata| metadata.len);
                }
                FileKind::Symlink => {
                    to.create_symlink(from.read_link(&entry.name)?, &entry.name)?;
                }
                _ => {}
            }
        }
    }
    Ok(bytes)
}

/// The folder of a path, and the last part of it.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Opens folders one after the other, most often the same one again.
pub(crate) struct Folders<'d> {
    root: &'d Dir,
    last: Option<(String, Option<Dir>)>,
}

impl<'d> Folders<'d> {
    pub(crate) fn below(root: &'d Dir) -> Self {
        Self { root, last: None }
    }

    /// `None` if there is no such folder, or a link or file has its name.
    pub(crate) fn open(&mut self, path: &str) -> durable_fs::Result<Option<&Dir>> {
        if self.last.as_ref().is_none_or(|(last, _)| last != path) {
            let opened = if path.is_empty() {
                Ok(self.root.clone())
            } else {
                self.root.open_dir(path)
            };
            let opened = match opened {
                Ok(dir) => Some(dir),
                Err(error)
                    if error.is_not_found()
                        || error.kind() == durable_fs::ErrorKind::NotRegular =>
                {
                    None
                }
                Err(error) => return Err(error),
            };
            self.last = Some((path.to_owned(), opened));
        }
        Ok(self.last.as_ref().and_then(|(_, dir)| dir.as_ref()))
    }
}
