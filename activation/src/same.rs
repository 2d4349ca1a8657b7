//! Is what two releases have under one path the same?

use std::io;

use durable_fs::{Dir, FileKind};
use manifest_core::{Sha256Digest, hash_file};

/// Whether both folders have the same bytes in a file, or the same target in a link, under `path`.
/// What cannot be read is not the same.
pub(crate) fn is_same(one: &Dir, other: &Dir, path: &str) -> bool {
    let (Ok(Some(first)), Ok(Some(second))) = (one.metadata(path), other.metadata(path)) else {
        return false;
    };
    if first.kind != second.kind {
        return false;
    }
    match first.kind {
        FileKind::File => {
            let is_one_file =
                first.inode != 0 && (first.device, first.inode) == (second.device, second.inode);
            is_one_file
                || first.len == second.len
                    && first.executable == second.executable
                    && matches!((digest(one, path), digest(other, path)), (Ok(one), Ok(other)) if one == other)
        }
        FileKind::Symlink => {
            matches!((one.read_link(path), other.read_link(path)), (Ok(one), Ok(other)) if one == other)
        }
        _ => false,
    }
}

pub(crate) fn digest(dir: &Dir, path: &str) -> io::Result<Sha256Digest> {
    let file = dir.open_file(path).map_err(io::Error::other)?;
    hash_file(&file).map(|(digest, _)| digest)
}
