//! Operations that are made of several effects.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::names::fresh_name;
use crate::{Dir, Error, ErrorKind, FileKind, FileWriter, Operation, Replace, Result, platform};

/// Temporary names that this crate makes start like this; a leftover may be removed.
pub const TEMPORARY_PREFIX: &str = ".lockstep-";

const COPY_BUFFER: usize = 256 * 1024;
/// A file that it is tried with whether files can be cloned: one block of most file systems.
const CLONED_BYTES: usize = 4096;

/// How a file may come to a second place.
///
/// ```
/// use durable_fs::{Disk, LinkPolicy};
///
/// let folder = tempfile::tempdir()?;
/// let root = Disk::real().open_dir(folder.path())?;
/// root.create_file("model")?.write_bytes(b"weights")?;
/// let placed = root.place("model", &root, "again", LinkPolicy::Share)?;
/// println!("{placed:?}"); // Cloned, Linked or Copied: as the file system can
/// assert_eq!(root.read("again", 100)?, b"weights");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkPolicy {
    /// A clone, else a hard link, else a copy. With a hard link, writing into one file in place
    /// changes the other.
    Share,
    /// A clone, else a copy: the two are never one file.
    Independent,
    /// A copy of the bytes.
    Copy,
}

/// How a file did come to a second place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Placed {
    /// A new file that shares the blocks until one of the two is written to.
    Cloned,
    /// A second name of the same file.
    Linked,
    /// A new file with the same bytes.
    Copied,
}

impl Dir {
    /// Replaces a file's content, or creates the file: written under a temporary name, synced,
    /// renamed, and the folder synced. After a crash or power cut it has the old content or the new;
    /// on return it has the new, durably.
    ///
    /// # Errors
    /// Whatever a step can fail with. The old content is then still there; if syncing the folder was what
    /// failed, the new, not yet durable.
    pub fn replace_file(&self, relative: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
        let (dir, name) = self.locate(relative.as_ref())?;
        dir.replace(name.as_ref(), |temporary| {
            let mut file = dir.create_file(temporary)?;
            file.write_bytes(bytes)?;
            file.sync()
        })
    }

    /// Points a symbolic link at another target, atomically and durably, or creates it.
    ///
    /// # Errors
    /// As [`create_symlink`](Self::create_symlink) and [`replace_file`](Self::replace_file).
    pub fn replace_symlink(
        &self,
        target: impl AsRef<Path>,
        relative: impl AsRef<Path>,
    ) -> Result<()> {
        let (dir, name) = self.locate(relative.as_ref())?;
        dir.replace(name.as_ref(), |temporary| {
            dir.create_symlink(&target, temporary)
        })
    }

    /// Replaces a file by a copy of another, atomically but not yet durably.
    ///
    /// # Errors
    /// As [`place`](Self::place); what was there is then still there.
    pub fn place_over(
        &self,
        relative: impl AsRef<Path>,
        to: &Self,
        to_relative: impl AsRef<Path>,
        policy: LinkPolicy,
    ) -> Result<Placed> {
        let (to, name) = to.locate(to_relative.as_ref())?;
        let temporary = fresh_name(TEMPORARY_PREFIX);
        let placed = self.place(relative, &to, &temporary, policy)?;
        let renamed = to.rename(&temporary, &to, name, Replace::Allow);
        // A rename between two names of one file does nothing: then the temporary one is still there.
        let is_left =
            renamed.is_err() || (placed == Placed::Linked && to.metadata(&temporary)?.is_some());
        let removed = if is_left {
            to.remove_file(&temporary)
        } else {
            Ok(())
        };
        renamed.and(removed).map(|()| placed)
    }

    fn replace(&self, name: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let temporary = PathBuf::from(fresh_name(TEMPORARY_PREFIX));
        let replaced =
            make(&temporary).and_then(|()| self.rename(&temporary, self, name, Replace::Allow));
        if let Err(error) = replaced {
            let _ = self.remove_file(&temporary); // the first error is the one to report
            return Err(error);
        }
        self.sync()
    }

    /// Adds a line to a file, creating it when it is missing; durable on return. A newline is added,
    /// and one before it if an earlier write was cut short.
    ///
    /// # Errors
    /// Whatever a step can fail with; a part of the line may then be there.
    pub fn append_line(&self, relative: impl AsRef<Path>, line: &[u8]) -> Result<()> {
        let (dir, name) = self.locate(relative.as_ref())?;
        let mut file = match dir.append_file(name) {
            Err(error) if error.is_not_found() => {
                let file = dir.create_file(name)?;
                dir.sync()?;
                file
            }
            opened => opened?,
        };
        let mut bytes = Vec::with_capacity(line.len() + 2);
        if file.len() > 0 && !platform::ends_with_newline(file.file(), file.len()) {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
        file.write_bytes(&bytes)?;
        file.sync()
    }

    /// Copies a file's bytes to a new name, with its permissions. Returns the bytes. Not durable.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`]; on any failure the new name is gone again.
    pub fn copy(
        &self,
        relative: impl AsRef<Path>,
        to: &Self,
        to_relative: impl AsRef<Path>,
    ) -> Result<u64> {
        let relative = relative.as_ref();
        let source = self.open_file(relative)?;
        let (to, name) = to.locate(to_relative.as_ref())?;
        let mut copy = to.create_file(name)?;
        let failed = |error| Error::new(Operation::Read, self.path().join(relative), error);
        let copied = (|| {
            if to.disk().is_observed() {
                let mut buffer = vec![0; COPY_BUFFER];
                let mut source = &source;
                loop {
                    match source.read(&mut buffer) {
                        Ok(0) => break,
                        Ok(count) => copy.write_bytes(&buffer[..count])?,
                        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(failed(error)),
                    }
                }
            } else {
                // The standard library lets the kernel copy between two files where it can. Both are
                // where they were when a signal interrupts it, so calling again goes on.
                loop {
                    match std::io::copy(&mut &source, &mut copy.file()) {
                        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                        copied => {
                            copied.map_err(|error| {
                                Error::new(Operation::Write, copy.path(), error)
                            })?;
                            break;
                        }
                    }
                }
            }
            copy_mode(&source, &copy)?;
            copy.file()
                .metadata()
                .map(|metadata| metadata.len())
                .map_err(failed)
        })();
        if copied.is_err() {
            let _ = to.remove_file(name);
        }
        copied
    }

    /// Brings a file to a new name in the cheapest way that `policy` allows. Not durable.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], `NotFound`, `NotRegular` for anything but a file. On any failure
    /// the new name is gone again.
    pub fn place(
        &self,
        relative: impl AsRef<Path>,
        to: &Self,
        to_relative: impl AsRef<Path>,
        policy: LinkPolicy,
    ) -> Result<Placed> {
        let (from, name) = self.locate(relative.as_ref())?;
        let (to, to_name) = to.locate(to_relative.as_ref())?;
        if policy != LinkPolicy::Copy
            && self.disk().may_reflink()
            && from.reflink(name.as_ref(), &to, to_name.as_ref())?
        {
            return Ok(Placed::Cloned);
        }
        if policy == LinkPolicy::Share {
            let metadata = from.metadata(name)?;
            if metadata.is_some_and(|metadata| metadata.kind != FileKind::File) {
                let note = ": it is not a file";
                return Err(Error::refused(
                    ErrorKind::NotRegular,
                    Operation::HardLink,
                    from.path().join(name),
                    note,
                ));
            }
            match from.hard_link(name, &to, to_name) {
                Ok(()) => return Ok(Placed::Linked),
                Err(error) if error.is_not_found() || error.is_already_exists() => {
                    return Err(error);
                }
                // Another file system, too many links, or links not allowed: a copy says what else is wrong.
                Err(error) => tracing::debug!(%error, "copying instead"),
            }
        }
        from.copy(name, &to, to_name).map(|_| Placed::Copied)
    }

    /// Whether files in this folder can be cloned: tried with two small ones, which are removed again.
    ///
    /// # Errors
    /// Whatever creating, writing and removing a file can fail with.
    pub fn can_clone(&self) -> Result<bool> {
        if !platform::HAS_REFLINK || !self.disk().may_reflink() {
            return Ok(false);
        }
        let (one, other) = (fresh_name(TEMPORARY_PREFIX), fresh_name(TEMPORARY_PREFIX));
        let tried = self.create_file(&one).and_then(|mut file| {
            // An empty file has no blocks that could not be shared.
            file.write_bytes(&[0; CLONED_BYTES])?;
            self.reflink(one.as_ref(), self, other.as_ref())
        });
        let removed = self.remove_tree(&one).and(self.remove_tree(&other));
        let can_clone = tried?;
        removed.map(|()| can_clone)
    }

    /// Clones a file's blocks into a new one. `false`, and nothing done, where that is not possible.
    fn reflink(&self, name: &Path, to: &Self, to_name: &Path) -> Result<bool> {
        if !platform::HAS_REFLINK {
            return Ok(false);
        }
        let source = self.open_file(name)?;
        let clone = to.create_file(to_name)?;
        let names = || (self.path().join(name), Some(to.path().join(to_name)));
        let cloned = self.disk().effect(Operation::Reflink, names, || {
            platform::reflink(&source, clone.file())
        });
        let Err(failed) = cloned.and_then(|()| copy_mode(&source, &clone)) else {
            return Ok(true);
        };
        let removed = to.remove_file(to_name);
        match (failed.operation(), failed.kind()) {
            (Operation::Reflink, ErrorKind::Unsupported) => self.disk().set_no_reflink(),
            (Operation::Reflink, ErrorKind::CrossDevice) => {}
            _ => return Err(failed),
        }
        removed.map(|()| false)
    }

    /// Renames a file or folder into `trash`, under a name that is free there. Whoever empties the
    /// trash deletes it for good.
    ///
    /// # Errors
    /// As [`rename`](Self::rename).
    pub fn trash(&self, relative: impl AsRef<Path>, trash: &Self) -> Result<()> {
        self.rename(relative, trash, fresh_name(""), Replace::Refuse)
    }

    /// Removes a file, or a folder with everything below it. Links are removed, not followed. It is no
    /// error if nothing has the name. However deep it is, only a few handles are open at a time.
    ///
    /// # Errors
    /// Whatever a step can fail with; a part may be gone then, and calling again goes on.
    pub fn remove_tree(&self, relative: impl AsRef<Path>) -> Result<()> {
        let relative = relative.as_ref();
        let Some(metadata) = self.metadata(relative)? else {
            return Ok(());
        };
        if metadata.kind != FileKind::Dir {
            return self.remove_file(relative);
        }
        let (parent, name) = self.locate(relative)?;
        let top = parent.open_dir(name)?;
        let mut folders = top.remove_files()?;
        // What is deeper is pulled up into `top`, so that depth costs no stack and no handles, and a
        // second call finds what the first left.
        while let Some(folder) = folders.pop() {
            match top.remove_dir(&folder) {
                Err(error) if error.kind() == ErrorKind::NotEmpty => {}
                removed => {
                    removed?;
                    continue;
                }
            }
            let dir = top.open_dir(&folder)?;
            for below in dir.remove_files()? {
                match dir.remove_dir(&below) {
                    Err(error) if error.kind() == ErrorKind::NotEmpty => {
                        let pulled_up = fresh_name(TEMPORARY_PREFIX);
                        dir.rename(&below, &top, &pulled_up, Replace::Refuse)?;
                        folders.push(pulled_up);
                    }
                    removed => removed?,
                }
            }
            top.remove_dir(&folder)?;
        }
        parent.remove_dir(name)
    }

    /// Removes everything in this folder but folders, whose names it returns.
    fn remove_files(&self) -> Result<Vec<OsString>> {
        let mut folders = Vec::new();
        for entry in self.entries()? {
            if entry.kind == FileKind::Dir {
                folders.push(entry.name);
            } else {
                self.remove_file(&entry.name)?;
            }
        }
        Ok(folders)
    }
}

/// A secret that only its owner may read must not become readable by being copied.
fn copy_mode(source: &std::fs::File, copy: &FileWriter) -> Result<()> {
    if platform::have_equal_modes(source, copy.file()) {
        return Ok(());
    }
    copy.set_mode_of(source)
}
