//! Digests of files that are there.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use manifest_core::{Sha256Digest, Sha256Hasher};
use md5::{Digest as _, Md5};

use crate::{CancellationToken, Error, ErrorKind};

const BUFFER: usize = 1 << 20;

/// The SHA-256 of what is left of a file, and its bytes. Blocks.
pub(super) fn sha256(
    file: &mut File,
    path: &Path,
    cancel: &CancellationToken,
) -> Result<(Sha256Digest, u64), Error> {
    let mut hasher = Sha256Hasher::new();
    let bytes = read_all(file, path, cancel, |piece| hasher.update(piece))?;
    Ok((hasher.finalize(), bytes))
}

/// The MD5 of what is left of a file. Blocks.
pub(super) fn md5(
    file: &mut File,
    path: &Path,
    cancel: &CancellationToken,
) -> Result<[u8; 16], Error> {
    let mut hasher = Md5::new();
    read_all(file, path, cancel, |piece| hasher.update(piece))?;
    Ok(hasher.finalize().into())
}

fn read_all(
    file: &mut File,
    path: &Path,
    cancel: &CancellationToken,
    mut use_piece: impl FnMut(&[u8]),
) -> Result<u64, Error> {
    let mut buffer = vec![0; BUFFER];
    let mut bytes = 0;
    loop {
        if cancel.is_cancelled() {
            return Err(Error::cancelled());
        }
        match file.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(read) => {
                use_piece(&buffer[..read]);
                bytes += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(Error::new(
                    ErrorKind::Io,
                    format!("{} cannot be read", path.display()),
                )
                .with_source(error));
            }
        }
    }
}
