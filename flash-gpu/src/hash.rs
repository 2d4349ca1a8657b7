use std::fs::File;
use std::io::{self, Read};

use manifest_core::{Sha256Digest, hash_reader};
use tokio_util::sync::CancellationToken;

/// Hashes an open file, unless the token says stop.
pub(crate) fn hash(file: &File, cancel: &CancellationToken) -> io::Result<(Sha256Digest, u64)> {
    hash_reader(Cancellable { file, cancel })
}

struct Cancellable<'a> {
    file: &'a File,
    cancel: &'a CancellationToken,
}

impl Read for Cancellable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        self.file.read(buffer)
    }
}
