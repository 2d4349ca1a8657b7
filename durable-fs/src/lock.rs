use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use cap_std::fs::OpenOptions;

use crate::{Dir, Error, Operation, Result, platform};

/// An exclusive lock, held until it is dropped or the process dies.
///
/// ```
/// use durable_fs::Disk;
///
/// let folder = tempfile::tempdir()?;
/// let root = Disk::real().open_dir(folder.path())?;
/// let lock = root.try_lock("lock")?;
/// assert!(lock.is_some());
/// assert!(root.try_lock("lock")?.is_none()); // somebody has it
/// drop(lock);
/// assert!(root.try_lock("lock")?.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// A second handle of the open file, for a child process to inherit: if this process is killed, the lock is held until the child has
    /// ended, too. Dropping the lock frees it all the same.
    ///
    /// # Errors
    /// [`ErrorKind::TooManyOpenFiles`](crate::ErrorKind::TooManyOpenFiles).
    pub fn share(&self) -> Result<File> {
        let shared = self.file.try_clone();
        shared.map_err(|error| Error::new(Operation::Lock, &self.path, error))
    }
}

impl Drop for Lock {
    /// Closing alone would not do: a child that is just being started still holds a copy of the handle.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

impl Dir {
    /// Takes the lock that a file stands for; `None` if another handle holds it, in this process or
    /// another. The file is created when it is missing and stays when the lock is gone.
    ///
    /// The kernel frees the lock of a process that died. It says nothing to programs that do not ask.
    ///
    /// # Errors
    /// [`ErrorKind::NotRegular`](crate::ErrorKind::NotRegular) if the name is a link, FIFO or device, `PermissionDenied`,
    /// `Unsupported` on file systems without locks.
    pub fn try_lock(&self, relative: impl AsRef<Path>) -> Result<Option<Lock>> {
        let (dir, name) = self.locate(relative.as_ref())?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        let (file, _) = dir.open_regular(Operation::Lock, name, options)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock {
                file,
                path: dir.path().join(name),
            })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => {
                Err(Error::new(Operation::Lock, dir.path().join(name), error))
            }
        }
    }
}

impl Dir {
    /// The process that holds a lock, where the platform tells (Linux): for messages.
    #[must_use]
    pub fn lock_holder(&self, relative: impl AsRef<Path>) -> Option<u32> {
        let metadata = self.metadata(relative).ok()??;
        platform::lock_holder(metadata.device, metadata.inode)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_dropped_lock_is_free_even_if_a_copy_of_its_handle_lives_on() {
        let folder = tempfile::tempdir().unwrap();
        let root = crate::Disk::real().open_dir(folder.path()).unwrap();
        let lock = root.try_lock("lock").unwrap().unwrap();
        // What a child process has between fork and exec.
        let copy = lock.share().unwrap();
        drop(lock);
        assert!(root.try_lock("lock").unwrap().is_some());
        drop(copy);
    }
}
