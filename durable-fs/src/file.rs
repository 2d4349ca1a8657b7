use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::{Disk, Error, Operation, Result, platform};

/// A file that is being written, always at its end.
///
/// Nothing is durable before [`sync`](Self::sync). Not buffered: write in pieces of 64 KiB or more.
#[derive(Debug)]
pub struct FileWriter {
    file: File,
    length: u64,
    path: PathBuf,
    disk: Disk,
}

impl FileWriter {
    pub(crate) fn new(file: File, length: u64, path: PathBuf, disk: Disk) -> Self {
        Self {
            file,
            length,
            path,
            disk,
        }
    }

    /// The path by which it was opened: for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes in the file now.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a writer is not a collection")]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// The open file, to read from or to clone from. Reading does not change where the writer writes.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Writes all bytes.
    ///
    /// # Errors
    /// [`ErrorKind::NoSpace`](crate::ErrorKind::NoSpace), `TooLarge`, `Io`. Some of the bytes may have
    /// been written.
    pub fn write_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes)
            .map_err(|error| Error::new(Operation::Write, &self.path, error))
    }

    /// Shortens the file; writing goes on at the new end.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io).
    pub fn truncate(&mut self, length: u64) -> Result<()> {
        let names = || (self.path.clone(), None);
        self.disk
            .effect(Operation::Truncate, names, || self.file.set_len(length))?;
        self.length = length;
        Ok(())
    }

    pub(crate) fn set_mode_of(&self, source: &File) -> Result<()> {
        let names = || (self.path.clone(), None);
        self.disk.effect(Operation::SetMode, names, || {
            platform::copy_mode(source, &self.file)
        })
    }

    /// Makes the content durable. The name is durable after the folder's own sync.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io): the file must be discarded. The kernel reports a failed
    /// write once; a second sync would succeed and mean nothing.
    pub fn sync(&mut self) -> Result<()> {
        let names = || (self.path.clone(), None);
        self.disk
            .effect(Operation::SyncFile, names, || self.file.sync_all())
    }
}

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.disk.write(&self.path, bytes, |bytes| {
            platform::write_at(&self.file, bytes, self.length)
        })?;
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
