use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt as _};
use cap_std::fs::OpenOptions;

use crate::{Dir, Error, ErrorKind, Operation, Result, platform};

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FileKind {
    /// A file with bytes in it.
    File,
    /// A folder.
    Dir,
    /// A symbolic link, itself.
    Symlink,
    /// A FIFO, socket or device.
    Other,
}

/// What the file system knows about a name. Links are not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// What it is.
    pub kind: FileKind,
    /// Bytes.
    pub len: u64,
    /// Whether anybody may run it. Always false where the platform does not keep this.
    pub executable: bool,
    /// When the content was last changed.
    pub modified: Option<SystemTime>,
    /// When content or metadata were last changed, in nanoseconds since 1970; 0 where not kept.
    pub changed: i128,
    /// The file system's number; 0 where not kept.
    pub device: u64,
    /// The file's number on it; 0 where not kept.
    pub inode: u64,
    /// How many names the file has; 1 where not kept.
    pub links: u64,
}

/// Whether the platform keeps which files are programs.
pub const KEEPS_EXECUTABLE: bool = cfg!(unix);

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct DirEntry {
    /// The name.
    pub name: OsString,
    /// What it stands for.
    pub kind: FileKind,
}

impl Dir {
    /// Opens a file for reading. Never blocks, and never opens a link, FIFO or device.
    ///
    /// # Errors
    /// [`ErrorKind::NotRegular`] for anything but a file, `NotFound`, `PermissionDenied`.
    pub fn open_file(&self, relative: impl AsRef<Path>) -> Result<File> {
        let (dir, name) = self.locate(relative.as_ref())?;
        let mut options = OpenOptions::new();
        options.read(true);
        dir.open_regular(Operation::Read, name, options)
            .map(|(file, _)| file)
    }

    /// As [`open_file`](Self::open_file), with what the file system knows about the open file.
    ///
    /// # Errors
    /// As [`open_file`](Self::open_file).
    pub fn open_file_with_metadata(&self, relative: impl AsRef<Path>) -> Result<(File, Metadata)> {
        let (dir, name) = self.locate(relative.as_ref())?;
        let mut options = OpenOptions::new();
        options.read(true);
        let (file, metadata) = dir.open_regular(Operation::Read, name, options)?;
        Ok((file, platform::metadata_of(&metadata)))
    }

    pub(crate) fn open_for_sync(&self, name: &OsStr) -> Result<File> {
        let mut options = OpenOptions::new();
        options.read(true);
        platform::allow_sync(&mut options);
        self.open_regular(Operation::SyncFile, name, options)
            .map(|(file, _)| file)
    }

    /// Opens a file, and nothing else, without ever blocking.
    pub(crate) fn open_regular(
        &self,
        operation: Operation,
        name: &OsStr,
        mut options: OpenOptions,
    ) -> Result<(File, std::fs::Metadata)> {
        let failed = |error| Error::new(operation, self.path().join(name), error);
        options.follow(FollowSymlinks::No);
        platform::never_block(&mut options);
        if operation == Operation::Read {
            let asked = self.disk().ask_to_open(|| self.path().join(name));
            asked.map_err(failed)?;
        }
        let file = self
            .handle()
            .open_with(name, &options)
            .map_err(failed)?
            .into_std();
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            let note = ": it is not a file";
            return Err(Error::refused(
                ErrorKind::NotRegular,
                operation,
                self.path().join(name),
                note,
            ));
        }
        Ok((file, metadata))
    }

    /// Reads a whole file of at most `limit` bytes.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] if it is longer, and as [`open_file`](Self::open_file).
    pub fn read(&self, relative: impl AsRef<Path>, limit: u64) -> Result<Vec<u8>> {
        let relative = relative.as_ref();
        let file = self.open_file(relative)?;
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| Error::new(Operation::Read, self.path().join(relative), error))?;
        if bytes.len() as u64 > limit {
            let note = ": it is longer than allowed";
            let path = self.path().join(relative);
            return Err(Error::refused(
                ErrorKind::TooLarge,
                Operation::Read,
                path,
                note,
            ));
        }
        Ok(bytes)
    }

    /// Looks at a name, not through it. `None` if nothing has it.
    ///
    /// # Errors
    /// [`ErrorKind::NotRegular`] if a folder on the way is a link or no folder, `PermissionDenied`.
    pub fn metadata(&self, relative: impl AsRef<Path>) -> Result<Option<Metadata>> {
        let (dir, name) = match self.locate(relative.as_ref()) {
            Err(error) if error.is_not_found() => return Ok(None),
            located => located?,
        };
        match platform::metadata(dir.handle(), name) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::new(Operation::Read, dir.path().join(name), error)),
        }
    }

    /// The names in this folder, sorted.
    ///
    /// # Errors
    /// `PermissionDenied`, [`ErrorKind::Io`].
    pub fn entries(&self) -> Result<Vec<DirEntry>> {
        let failed = |error| Error::new(Operation::Read, self.path(), error);
        let mut entries = Vec::new();
        for entry in self.handle().entries().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            entries.push(DirEntry {
                name: entry.file_name(),
                kind: platform::kind_of(kind),
            });
        }
        entries.sort_unstable();
        Ok(entries)
    }

    /// Where a symbolic link points.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if it is no link, `NotFound`.
    pub fn read_link(&self, relative: impl AsRef<Path>) -> Result<PathBuf> {
        let (dir, name) = self.locate(relative.as_ref())?;
        let failed = |error| Error::new(Operation::Read, dir.path().join(name), error);
        dir.handle().read_link_contents(name).map_err(failed)
    }

    /// Bytes that an ordinary user can still write to this file system, where the platform tells.
    ///
    /// # Errors
    /// [`ErrorKind::Io`].
    pub fn free_space(&self) -> Result<Option<u64>> {
        platform::free_space(self.handle())
            .map_err(|error| Error::new(Operation::Read, self.path(), error))
    }

    /// The number of the file system that the folder is on; 0 where the platform does not tell.
    ///
    /// # Errors
    /// [`ErrorKind::Io`].
    pub fn device(&self) -> Result<u64> {
        platform::device(self.handle())
            .map_err(|error| Error::new(Operation::Read, self.path(), error))
    }
}
