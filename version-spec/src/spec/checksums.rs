//! Checksums of models that are here already.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use manifest_core::{Sha256Digest, hash_reader};

use super::Spec;
use crate::{CancellationToken, Checksum, Error, ErrorKind, ModelsDir};

impl Spec {
    /// Pins every model that has no checksum and lies in this folder by the SHA-256 of its file. Returns how many.
    ///
    /// Reads the files whole, several at a time; blocks.
    ///
    /// # Errors
    /// `PermissionDenied`, `Io`, `Cancelled`; the spec is then as it was.
    pub fn pin_local_models(
        &mut self,
        models_dir: &ModelsDir,
        cancel: &CancellationToken,
    ) -> Result<usize, Error> {
        let wanted: Vec<usize> = (0..self.models.len())
            .filter(|&index| self.models[index].checksum.is_none())
            .collect();
        let models = &self.models;
        let next = AtomicUsize::new(0);
        // What one thread found: it takes the next model until there is none, or one cannot be read.
        let work = || -> Result<Vec<(usize, Sha256Digest)>, Error> {
            let mut found = Vec::new();
            while let Some(&index) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                let path = models_dir.path().join(&models[index].target);
                let digest =
                    hash(&path, cancel).map_err(|error| error.at(format!("/models/{index}")))?;
                found.extend(digest.map(|digest| (index, digest)));
            }
            Ok(found)
        };
        let threads = thread::available_parallelism()
            .map_or(1, usize::from)
            .min(wanted.len());
        let found: Result<Vec<_>, Error> = thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let results = threads
                .into_iter()
                .map(|thread| thread.join().expect("hashing does not panic"));
            results.collect()
        });
        let found = found?.concat();
        for (index, digest) in &found {
            self.models[*index].checksum = Some(Checksum::Sha256(*digest));
        }
        Ok(found.len())
    }
}

/// The digest of a file, or `None` if there is none.
fn hash(path: &Path, cancel: &CancellationToken) -> Result<Option<Sha256Digest>, Error> {
    let failed = |error: io::Error| {
        if cancel.is_cancelled() {
            return Error::cancelled();
        }
        let kind = match error.kind() {
            io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            _ => ErrorKind::Io,
        };
        Error::new(kind, format!("{} cannot be read", path.display())).with_source(error)
    };
    let file = match File::open(path) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        file => file.map_err(failed)?,
    };
    if !file.metadata().map_err(failed)?.is_file() {
        return Ok(None);
    }
    let (digest, _) = hash_reader(Stoppable(file, cancel)).map_err(failed)?;
    Ok(Some(digest))
}

struct Stoppable<'c>(File, &'c CancellationToken);

impl Read for Stoppable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.1.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        self.0.read(buffer)
    }
}
