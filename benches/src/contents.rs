use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use manifest_core::{Manifest, ManifestBuilder, Sha256Digest};

/// Bytes that no file system or network can make smaller; the same for the same seed.
#[must_use]
pub fn content(seed: u64, length: usize) -> Vec<u8> {
    // Xorshift: the state must not be zero.
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Writes `count` files of `length` bytes, 100 to a folder. Returns where they are.
///
/// # Errors
/// If the disk is full or not writable.
pub fn write_tree(folder: &Path, count: u64, length: usize) -> io::Result<Vec<PathBuf>> {
    (0..count)
        .map(|index| {
            let path = folder.join(path(index));
            if index % 100 == 0
                && let Some(parent) = path.parent()
            {
                fs::create_dir_all(parent)?;
            }
            fs::write(&path, content(index, length))?;
            Ok(path)
        })
        .collect()
}

/// Where the file with this number is in a tree of ours.
#[must_use]
pub fn path(index: u64) -> String {
    format!("folder-{:03}/file-{index:06}.bin", index / 100)
}

/// A manifest of `count` files at `path(number)` whose contents are named by `seed` and their number; nothing is hashed but that.
///
/// # Panics
/// If `path` gives a name that is not safe, or one twice.
#[must_use]
pub fn manifest(count: u64, path: impl Fn(u64) -> String, seed: impl Fn(u64) -> u64) -> Manifest {
    let valid = "the names are valid";
    let new = ManifestBuilder::new("bench".parse().expect(valid), "1.0.0".parse().expect(valid));
    let builder = (0..count).fold(new, |builder, index| {
        let digest = Sha256Digest::of(format!("{index}-{}", seed(index)).as_bytes());
        builder.with_file(path(index).parse().expect(valid), digest, 4096, false)
    });
    builder.build().expect(valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_reproducible_and_differ() {
        assert_eq!(content(1, 100), content(1, 100));
        assert_ne!(content(1, 100), content(2, 100));
        assert_eq!(content(3, 13).len(), 13);
    }

    #[test]
    fn a_manifest_has_the_files_of_a_tree() {
        let folder = tempfile::tempdir().unwrap();
        let paths = write_tree(folder.path(), 101, 10).unwrap();
        let manifest = manifest(101, path, |_| 0);
        let listed: Vec<_> = manifest
            .files()
            .iter()
            .map(|file| folder.path().join(file.path()))
            .collect();
        assert_eq!(listed, paths);
        assert!(listed.iter().all(|path| path.is_file()));
    }
}
