use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::fs::OpenOptions;

use crate::names::{components, invalid};
use crate::{Disk, Error, ErrorKind, FileWriter, Operation, Result, platform};

/// What to do if the new name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Replace {
    /// Replace it.
    Allow,
    /// Fail with [`ErrorKind::AlreadyExists`].
    Refuse,
}

/// Whether a file is a program. Only Unix keeps this; elsewhere it is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Executable {
    /// Whoever may read it may run it.
    Yes,
    /// Nobody may run it.
    No,
}

/// A folder held open.
///
/// Every `relative` argument is a path of plain components, resolved from this handle. No component
/// is followed if it is a symbolic link, so an operation never leaves the folder. Cloning is cheap.
///
/// ```
/// use durable_fs::{Disk, ErrorKind, Replace};
///
/// let folder = tempfile::tempdir()?;
/// let root = Disk::real().open_dir(folder.path())?;
/// let staging = root.create_dir_all("staging/v2")?;
/// let mut file = staging.create_file("main.py")?;
/// file.write_bytes(b"print()")?;
/// root.sync_tree()?; // contents and names are durable
/// root.rename("staging/v2", &root, "v2", Replace::Refuse)?;
/// root.sync()?; // so is the new name
///
/// let outside = root.create_file("../outside").unwrap_err();
/// assert_eq!(outside.kind(), ErrorKind::InvalidPath);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Dir {
    handle: Arc<cap_std::fs::Dir>,
    path: Arc<Path>,
    disk: Disk,
}

impl Dir {
    pub(crate) fn new(handle: cap_std::fs::Dir, path: PathBuf, disk: Disk) -> Self {
        Self {
            handle: Arc::new(handle),
            path: path.into(),
            disk,
        }
    }

    /// The path by which the folder was opened: for messages, not for opening again.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The disk that it is on.
    #[must_use]
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(crate) fn handle(&self) -> &cap_std::fs::Dir {
        &self.handle
    }

    /// The name that a step of ours works on, with its full path for messages and observers.
    fn full(&self, name: &OsStr) -> PathBuf {
        self.path.join(name)
    }

    /// Opens a folder below this one.
    ///
    /// # Errors
    /// [`ErrorKind::NotRegular`] if a component is a symbolic link or no folder, `NotFound`,
    /// `InvalidPath`, `PermissionDenied`.
    pub fn open_dir(&self, relative: impl AsRef<Path>) -> Result<Self> {
        let relative = relative.as_ref();
        let mut dir = self.clone();
        for name in components(&self.path, relative)? {
            dir = dir.open_child(name)?;
        }
        Ok(dir)
    }

    fn open_child(&self, name: &OsStr) -> Result<Self> {
        let asked = self.disk.ask_to_open(|| self.full(name));
        match asked.and_then(|()| platform::open_dir(&self.handle, name)) {
            Ok(handle) => Ok(Self::new(handle, self.full(name), self.disk.clone())),
            Err(error) => Err(Error::new(Operation::Read, self.full(name), error)),
        }
    }

    /// Splits a path into the open folder that holds it and its last component.
    pub(crate) fn locate<'p>(&self, relative: &'p Path) -> Result<(Self, &'p OsStr)> {
        let mut names = components(&self.path, relative)?;
        let last = names
            .pop()
            .ok_or_else(|| invalid(self.path.join(relative)))?;
        let mut dir = self.clone();
        for name in names {
            dir = dir.open_child(name)?;
        }
        Ok((dir, last))
    }

    /// Creates one folder. Durable after [`sync`](Self::sync) of the folder that holds it.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] if the name is taken, and as [`open_dir`](Self::open_dir).
    pub fn create_dir(&self, relative: impl AsRef<Path>) -> Result<()> {
        self.create_dir_for(relative.as_ref(), platform::EVERYBODY)
    }

    /// As [`create_dir`](Self::create_dir), for nobody but its owner, where the platform keeps that.
    ///
    /// # Errors
    /// As [`create_dir`](Self::create_dir).
    pub fn create_private_dir(&self, relative: impl AsRef<Path>) -> Result<()> {
        self.create_dir_for(relative.as_ref(), platform::OWNER)
    }

    fn create_dir_for(&self, relative: &Path, mode: u32) -> Result<()> {
        let (dir, name) = self.locate(relative)?;
        self.disk.effect(
            Operation::CreateDir,
            || (dir.full(name), None),
            || platform::create_dir(&dir.handle, name, mode),
        )
    }

    /// Creates the folders of a path that are missing, and opens the last. Not yet durable.
    ///
    /// # Errors
    /// As [`create_dir`](Self::create_dir), without `AlreadyExists`.
    pub fn create_dir_all(&self, relative: impl AsRef<Path>) -> Result<Self> {
        let mut dir = self.clone();
        for name in components(&self.path, relative.as_ref())? {
            dir = match dir.open_child(name) {
                Err(error) if error.is_not_found() => {
                    match dir.create_dir(name) {
                        Err(error) if !error.is_already_exists() => return Err(error),
                        _ => {}
                    }
                    dir.open_child(name)?
                }
                opened => opened?,
            };
        }
        Ok(dir)
    }

    /// Creates an empty file and opens it for writing.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] if anything has the name, also a dangling link.
    pub fn create_file(&self, relative: impl AsRef<Path>) -> Result<FileWriter> {
        let (dir, name) = self.locate(relative.as_ref())?;
        let mut options = OpenOptions::new();
        options.write(true).read(true).create_new(true);
        let open = || dir.handle.open_with(name, &options);
        let file = self
            .disk
            .effect(Operation::CreateFile, || (dir.full(name), None), open)?;
        Ok(FileWriter::new(
            file.into_std(),
            0,
            dir.full(name),
            self.disk.clone(),
        ))
    }

    /// Opens a file that exists for writing at its end.
    ///
    /// # Errors
    /// [`ErrorKind::NotRegular`] for anything but a file with this one name: writing to a file that
    /// is hard-linked would change another one as well.
    pub fn append_file(&self, relative: impl AsRef<Path>) -> Result<FileWriter> {
        let (dir, name) = self.locate(relative.as_ref())?;
        let mut options = OpenOptions::new();
        options.append(true).read(true);
        let (file, metadata) = dir.open_regular(Operation::Write, name, options)?;
        if platform::links(&metadata) > 1 {
            let note = ": it is hard-linked, so another file would change too";
            return Err(Error::refused(
                ErrorKind::NotRegular,
                Operation::Write,
                dir.full(name),
                note,
            ));
        }
        Ok(FileWriter::new(
            file,
            metadata.len(),
            dir.full(name),
            self.disk.clone(),
        ))
    }

    /// Renames a file or folder, atomically. Durable after [`sync`](Self::sync) of both folders. A link
    /// is renamed itself. If both names already are one file, both stay.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] if `replace` refuses and the name is taken, `NotFound`,
    /// `CrossDevice`, `NotEmpty`.
    pub fn rename(
        &self,
        relative: impl AsRef<Path>,
        to: &Self,
        to_relative: impl AsRef<Path>,
        replace: Replace,
    ) -> Result<()> {
        self.two_names(
            Operation::Rename,
            relative.as_ref(),
            to,
            to_relative.as_ref(),
            |from, name, to, to_name| match replace {
                Replace::Allow => platform::rename(from, name, to, to_name),
                Replace::Refuse => platform::rename_to_free_name(from, name, to, to_name),
            },
        )
    }

    /// Swaps two files or folders, atomically. Durable after [`sync`](Self::sync) of both folders.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where the platform or the file system has no exchange, `NotFound`,
    /// `CrossDevice`.
    pub fn exchange(
        &self,
        relative: impl AsRef<Path>,
        to: &Self,
        to_relative: impl AsRef<Path>,
    ) -> Result<()> {
        self.two_names(
            Operation::Exchange,
            relative.as_ref(),
            to,
            to_relative.as_ref(),
            platform::exchange,
        )
    }

    /// Gives a file, or a symbolic link itself, a second name. Durable after [`sync`](Self::sync) of
    /// the folder of the new one.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], `NotFound`, `CrossDevice`, `Unsupported`.
    pub fn hard_link(
        &self,
        relative: impl AsRef<Path>,
        to: &Self,
        to_relative: impl AsRef<Path>,
    ) -> Result<()> {
        self.two_names(
            Operation::HardLink,
            relative.as_ref(),
            to,
            to_relative.as_ref(),
            platform::hard_link,
        )
    }

    fn two_names(
        &self,
        operation: Operation,
        relative: &Path,
        to: &Self,
        to_relative: &Path,
        act: impl FnOnce(&cap_std::fs::Dir, &OsStr, &cap_std::fs::Dir, &OsStr) -> io::Result<()>,
    ) -> Result<()> {
        let (from, name) = self.locate(relative)?;
        let (to, to_name) = to.locate(to_relative)?;
        let names = || (from.full(name), Some(to.full(to_name)));
        self.disk.effect(operation, names, || {
            act(&from.handle, name, &to.handle, to_name)
        })
    }

    /// Creates a symbolic link. Durable after [`sync`](Self::sync).
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`]; `Unsupported` where links need a privilege (Windows).
    pub fn create_symlink(
        &self,
        target: impl AsRef<Path>,
        relative: impl AsRef<Path>,
    ) -> Result<()> {
        let (dir, name) = self.locate(relative.as_ref())?;
        let target = target.as_ref();
        let names = || (dir.full(name), Some(target.to_owned()));
        self.disk.effect(Operation::Symlink, names, || {
            platform::symlink(target, &dir.handle, name)
        })
    }

    /// Makes a file a program, or not one. It changes the file under all its names.
    ///
    /// # Errors
    /// [`ErrorKind::NotRegular`] for anything but a file, `NotFound`, `PermissionDenied`.
    pub fn set_executable(&self, relative: impl AsRef<Path>, executable: Executable) -> Result<()> {
        let (dir, name) = self.locate(relative.as_ref())?;
        let file = dir.open_file(name)?;
        let set = || platform::set_executable(&file, executable);
        self.disk
            .effect(Operation::SetMode, || (dir.full(name), None), set)
    }

    /// Gives a file what the system knows of another besides its content: owner, group and mode, on Linux its capabilities
    /// (capabilities(7)) as well. Changes nothing that is alike already. Durable after [`sync_file`](Self::sync_file).
    ///
    /// # Errors
    /// `PermissionDenied` where only root may give these; then some may have been given.
    pub fn copy_attributes(
        &self,
        relative: impl AsRef<Path>,
        to: &Self,
        to_relative: impl AsRef<Path>,
    ) -> Result<()> {
        let model = self.open_file(relative)?;
        let (to, name) = to.locate(to_relative.as_ref())?;
        let file = to.open_file(name)?;
        let copy = || platform::copy_attributes(&model, &file);
        to.disk
            .effect(Operation::SetMode, || (to.full(name), None), copy)
    }

    /// Removes one name of a file, or a link. Durable after [`sync`](Self::sync).
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, and `NotRegular` for a folder.
    pub fn remove_file(&self, relative: impl AsRef<Path>) -> Result<()> {
        let (dir, name) = self.locate(relative.as_ref())?;
        self.disk.effect(
            Operation::RemoveFile,
            || (dir.full(name), None),
            || platform::remove_file(&dir.handle, name),
        )
    }

    /// Removes an empty folder. Durable after [`sync`](Self::sync).
    ///
    /// # Errors
    /// [`ErrorKind::NotEmpty`], `NotFound`, `NotRegular` for anything but a folder.
    pub fn remove_dir(&self, relative: impl AsRef<Path>) -> Result<()> {
        let (dir, name) = self.locate(relative.as_ref())?;
        self.disk.effect(
            Operation::RemoveDir,
            || (dir.full(name), None),
            || platform::remove_dir(&dir.handle, name),
        )
    }

    /// Makes the names in this folder durable: what was created, renamed or removed in it.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the device failed; syncing again would hide that, so start over.
    pub fn sync(&self) -> Result<()> {
        let names = || (self.path.to_path_buf(), None);
        self.disk.effect(Operation::SyncDir, names, || {
            platform::sync_dir(&self.handle)
        })
    }

    /// Makes one file's content durable; its name is after [`sync`](Self::sync).
    ///
    /// # Errors
    /// [`ErrorKind::NotRegular`] for anything but a file, `NotFound`, and as [`sync`](Self::sync).
    pub fn sync_file(&self, relative: impl AsRef<Path>) -> Result<()> {
        let (dir, name) = self.locate(relative.as_ref())?;
        let file = dir.open_for_sync(name)?;
        let names = || (dir.full(name), None);
        self.disk
            .effect(Operation::SyncFile, names, || file.sync_all())
    }

    /// Makes everything below this folder durable, contents and names: one call for the whole file
    /// system on Linux, elsewhere one for each file and folder.
    ///
    /// # Errors
    /// As [`sync`](Self::sync).
    pub fn sync_tree(&self) -> Result<()> {
        if platform::HAS_SYNC_FILESYSTEM {
            let names = || (self.path.to_path_buf(), None);
            return self.disk.effect(Operation::SyncFilesystem, names, || {
                platform::sync_filesystem(&self.handle)
            });
        }
        self.sync_each()
    }

    fn sync_each(&self) -> Result<()> {
        for entry in self.entries()? {
            match entry.kind {
                crate::FileKind::Dir => self.open_child(&entry.name)?.sync_each()?,
                crate::FileKind::File => {
                    let file = self.open_for_sync(&entry.name)?;
                    let names = || (self.full(&entry.name), None);
                    self.disk
                        .effect(Operation::SyncFile, names, || file.sync_all())?;
                }
                _ => {}
            }
        }
        self.sync()
    }
}

impl fmt::Debug for Dir {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Dir").field(&self.path).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{Disk, Operation, Recorder};

    /// What systems without `syncfs` do.
    #[test]
    fn syncing_each_file_syncs_what_is_below_a_folder_before_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let recorder = Arc::new(Recorder::new());
        let real = Disk::real().open_dir(folder.path()).unwrap();
        real.replace_file("b", b"x").unwrap();
        real.create_dir_all("a/deep")
            .unwrap()
            .replace_file("file", b"x")
            .unwrap();
        #[cfg(unix)]
        real.create_symlink("/nowhere", "link").unwrap();
        Disk::observed(recorder.clone())
            .open_dir(folder.path())
            .unwrap()
            .sync_each()
            .unwrap();
        let path = |name: &str| folder.path().join(name);
        let expected = [
            (Operation::SyncFile, path("a/deep/file"), None),
            (Operation::SyncDir, path("a/deep"), None),
            (Operation::SyncDir, path("a"), None),
            (Operation::SyncFile, path("b"), None),
            (Operation::SyncDir, folder.path().to_path_buf(), None),
        ];
        assert_eq!(recorder.effects(), expected);
    }
}
