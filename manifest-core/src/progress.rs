use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Sha256Digest, hash_reader};

/// How far an operation that reads a folder is: what has happened since the last call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScanProgress {
    /// One more folder was listed. All of these come before the first byte is read, so that their sum is
    /// what there is to do.
    Found {
        /// Files in it that are going to be read.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// So many more bytes were read and hashed: one buffer at most.
    Hashed(u64),
    /// One more file was read to its end.
    FileDone,
}

/// What the caller of an operation wants to hear, and whether it said stop.
pub(crate) struct Watch<'a> {
    observe: &'a (dyn Fn(ScanProgress) -> ControlFlow<()> + Sync),
    is_stopped: AtomicBool,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(observe: &'a (dyn Fn(ScanProgress) -> ControlFlow<()> + Sync)) -> Self {
        Self {
            observe,
            is_stopped: AtomicBool::new(false),
        }
    }

    /// # Errors
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled), from the moment on at which the caller breaks.
    pub(crate) fn say(&self, progress: ScanProgress) -> Result<(), Error> {
        if self.is_stopped() || (self.observe)(progress).is_break() {
            self.is_stopped.store(true, Ordering::Relaxed);
            return Err(Error::cancelled());
        }
        Ok(())
    }

    /// Hashes a file as [`hash_file`](crate::hash_file) does. `failed` explains an error of the disk.
    pub(crate) fn hash(
        &self,
        file: &File,
        failed: impl FnOnce(io::Error) -> Error,
    ) -> Result<(Sha256Digest, u64), Error> {
        let hashed = hash_reader(Watched { file, watch: self }).map_err(|error| {
            if self.is_stopped() {
                Error::cancelled()
            } else {
                failed(error)
            }
        })?;
        self.say(ScanProgress::FileDone)?;
        Ok(hashed)
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }
}

struct Watched<'a> {
    file: &'a File,
    watch: &'a Watch<'a>,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        if count > 0 {
            let said = self.watch.say(ScanProgress::Hashed(count as u64));
            said.map_err(io::Error::other)?;
        }
        Ok(count)
    }
}
