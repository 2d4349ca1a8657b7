//! What differs between operating systems, and nothing else.

#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(crate) use other::*;
#[cfg(unix)]
pub(crate) use unix::*;

use crate::FileKind;

/// The kind of a folder's entry.
pub(crate) fn kind_of(kind: cap_std::fs::FileType) -> FileKind {
    if kind.is_file() {
        FileKind::File
    } else if kind.is_dir() {
        FileKind::Dir
    } else if kind.is_symlink() {
        FileKind::Symlink
    } else {
        FileKind::Other
    }
}

/// Whether the last byte of a file is a newline. A file that cannot be read says no.
pub(crate) fn ends_with_newline(mut file: &std::fs::File, length: u64) -> bool {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut last = [0];
    let read = file
        .seek(SeekFrom::Start(length - 1))
        .and_then(|_| file.read_exact(&mut last));
    read.is_ok() && file.seek(SeekFrom::End(0)).is_ok() && last == *b"\n"
}
