use std::fmt;
use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use manifest_core::{blake3_reader, hash_file};
use sha2::Digest as _;

use crate::size_label;

/// The least unit that a system maps.
const PAGE: usize = 4096;
/// The kernel copies to other places at about half the speed.
const CACHE_LINE: usize = 64;

/// What is done with the bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// SHA-256 by `sha2`: the identity of a file.
    Sha256,
    /// BLAKE3, on one thread for each file.
    Blake3,
    /// Nothing: what reading alone costs. Of a mapped file one byte of each page is looked at.
    ReadAlone,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Sha256 => "sha256",
            Self::Blake3 => "blake3",
            Self::ReadAlone => "read alone",
        })
    }
}

/// How the bytes of a file get to the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Read into a buffer of this many bytes, again and again. It starts at a cache line.
    Buffer(usize),
    /// Read by [`hash_file`] and [`blake3_reader`], as everything in Lockstep is.
    Lockstep,
    /// Mapped into memory, whole. Sound only for files that nobody changes meanwhile: for measurements, not for releases.
    Mapped,
}

impl fmt::Display for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Buffer(length) => formatter.pad(&size_label(*length)),
            Self::Lockstep => formatter.pad("lockstep"),
            Self::Mapped => formatter.pad("mapped"),
        }
    }
}

/// Hashes one file after the other, always in the same way and with the same buffer.
#[derive(Debug)]
pub struct FileHasher {
    algorithm: Algorithm,
    access: Access,
    buffer: Vec<u8>,
}

impl FileHasher {
    /// Allocates the buffer.
    #[must_use]
    pub fn new(algorithm: Algorithm, access: Access) -> Self {
        let length = match access {
            Access::Buffer(length) => length + CACHE_LINE,
            Access::Lockstep | Access::Mapped => 0,
        };
        Self {
            algorithm,
            access,
            buffer: vec![0; length],
        }
    }

    /// The digest of a file; zeros for [`Algorithm::ReadAlone`].
    ///
    /// # Errors
    /// If the file cannot be read; if it is empty and should be mapped; `Unsupported` if it should be read alone by what hashes.
    pub fn hash(&mut self, path: &Path) -> io::Result<[u8; 32]> {
        match (self.algorithm, self.access) {
            (Algorithm::Sha256, Access::Lockstep) => {
                hash_file(&File::open(path)?).map(|(digest, _)| *digest.as_bytes())
            }
            (Algorithm::Blake3, Access::Lockstep) => {
                blake3_reader(File::open(path)?).map(|(digest, _)| digest)
            }
            (Algorithm::ReadAlone, Access::Lockstep) => Err(io::ErrorKind::Unsupported.into()),
            (Algorithm::Sha256, _) => {
                let mut hasher = sha2::Sha256::new();
                self.each_piece(path, |piece| hasher.update(piece))?;
                Ok(hasher.finalize().into())
            }
            (Algorithm::Blake3, _) => {
                let mut hasher = blake3::Hasher::new();
                self.each_piece(path, |piece| _ = hasher.update(piece))?;
                Ok(hasher.finalize().into())
            }
            (Algorithm::ReadAlone, Access::Mapped) => {
                self.each_piece(path, |piece| {
                    for byte in piece.iter().step_by(PAGE) {
                        black_box(*byte);
                    }
                })?;
                Ok([0; 32])
            }
            (Algorithm::ReadAlone, Access::Buffer(_)) => {
                self.each_piece(path, |piece| _ = black_box(piece))?;
                Ok([0; 32])
            }
        }
    }

    fn each_piece(&mut self, path: &Path, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let Access::Buffer(length) = self.access else {
            take(&mmap_guard::map_file(path)?);
            return Ok(());
        };
        let start = self.buffer.as_ptr().align_offset(CACHE_LINE);
        let buffer = &mut self.buffer[start..][..length];
        let mut file = File::open(path)?;
        loop {
            match file.read(buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => take(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Hashes files with a number of threads, each of which takes the next file when it is done with one.
///
/// # Errors
/// As [`FileHasher::hash`].
pub fn hash_all(
    files: &[PathBuf],
    algorithm: Algorithm,
    access: Access,
    threads: NonZeroUsize,
) -> io::Result<()> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut hasher = FileHasher::new(algorithm, access);
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            black_box(hasher.hash(file)?);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.get()).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().expect("hashing does not panic"))
    })
}

#[cfg(test)]
mod tests {
    use manifest_core::Sha256Digest;

    use super::*;
    use crate::content;

    #[test]
    fn every_way_gives_the_same_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("content");
        let bytes = content(1, 100_001);
        std::fs::write(&path, &bytes).unwrap();
        for access in [
            Access::Buffer(PAGE),
            Access::Buffer(1 << 20),
            Access::Lockstep,
            Access::Mapped,
        ] {
            let hash = |algorithm| FileHasher::new(algorithm, access).hash(&path).unwrap();
            assert_eq!(
                hash(Algorithm::Sha256),
                *Sha256Digest::of(&bytes).as_bytes()
            );
            assert_eq!(
                hash(Algorithm::Blake3),
                blake3_reader(&bytes[..]).unwrap().0
            );
        }
    }

    #[test]
    fn a_file_that_is_missing_is_an_error_on_any_number_of_threads() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("there");
        std::fs::write(&there, "x").unwrap();
        let files = [there, folder.path().join("missing")];
        for threads in [1, 3] {
            let threads = NonZeroUsize::new(threads).unwrap();
            let hash = |files| hash_all(files, Algorithm::Sha256, Access::Buffer(PAGE), threads);
            hash(&files[..1]).unwrap();
            assert_eq!(hash(&files).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }
}
