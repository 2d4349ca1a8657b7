use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Dir, Effect, Error, Observer, Operation, Result, Verdict};

/// A disk: the real one, or the real one with an [`Observer`] in front of it. Cloning is cheap.
///
/// ```
/// use durable_fs::Disk;
///
/// let folder = tempfile::tempdir()?;
/// let store = Disk::real().create_dir_all(folder.path().join("a/b"))?; // durable on return
/// store.replace_file("note", b"text")?;
/// assert_eq!(Disk::real().open_dir(store.path())?.read("note", 100)?, b"text");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Disk {
    observer: Option<Arc<dyn Observer>>,
    /// Set when a file system said that it cannot clone files, so that nobody asks once per file.
    no_reflink: Arc<AtomicBool>,
}

impl Disk {
    /// The real disk.
    #[must_use]
    pub fn real() -> Self {
        Self::default()
    }

    /// The real disk, every effect on which `observer` sees and may make fail.
    #[must_use]
    pub fn observed(observer: Arc<dyn Observer>) -> Self {
        Self {
            observer: Some(observer),
            ..Self::default()
        }
    }

    /// Opens a folder that the caller chose. Links on the way to it are followed.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound), `NotRegular` for anything but a folder,
    /// `PermissionDenied`.
    pub fn open_dir(&self, path: impl AsRef<Path>) -> Result<Dir> {
        let path = path.as_ref();
        let handle = crate::platform::open_ambient_dir(path)
            .map_err(|error| Error::new(Operation::Read, path, error))?;
        Ok(Dir::new(handle, path.into(), self.clone()))
    }

    /// Creates a folder that the caller chose, with those above it, and opens it. What was created is
    /// durable on return.
    ///
    /// # Errors
    /// As [`open_dir`](Self::open_dir), and whatever creating a folder can fail with.
    pub fn create_dir_all(&self, path: impl AsRef<Path>) -> Result<Dir> {
        let path = path.as_ref();
        match self.open_dir(path) {
            Err(error) if error.is_not_found() => {}
            opened => return opened,
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return self.open_dir(path);
        };
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        let parent = self.create_dir_all(parent)?;
        match parent.create_dir(name) {
            Err(error) if !error.is_already_exists() => return Err(error),
            _ => parent.sync()?,
        }
        self.open_dir(path)
    }

    pub(crate) fn is_observed(&self) -> bool {
        self.observer.is_some()
    }

    pub(crate) fn may_reflink(&self) -> bool {
        !self.no_reflink.load(Ordering::Relaxed)
    }

    pub(crate) fn set_no_reflink(&self) {
        self.no_reflink.store(true, Ordering::Relaxed);
    }

    /// Asks the observer whether something may be opened for reading.
    pub(crate) fn ask_to_open(&self, path: impl FnOnce() -> PathBuf) -> io::Result<()> {
        match &self.observer {
            Some(observer) => match observer.before_open(&path()) {
                Verdict::Fail(error) => Err(error),
                _ => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// Performs one effect, showing it to the observer. `names` is only asked where somebody looks.
    pub(crate) fn effect<T>(
        &self,
        operation: Operation,
        names: impl Fn() -> (PathBuf, Option<PathBuf>),
        act: impl FnOnce() -> io::Result<T>,
    ) -> Result<T> {
        let Some(observer) = &self.observer else {
            return act().map_err(|error| Error::new(operation, names().0, error));
        };
        let (path, to) = names();
        let effect = Effect {
            operation,
            path,
            to,
            data: &[],
        };
        if let Verdict::Fail(error) = observer.before(&effect) {
            return Err(Error::new(operation, effect.path, error));
        }
        match act() {
            Ok(value) => {
                observer.after(&effect);
                Ok(value)
            }
            Err(error) => Err(Error::new(operation, effect.path, error)),
        }
    }

    /// Performs one write. Returns how many bytes were written.
    pub(crate) fn write(
        &self,
        path: &Path,
        data: &[u8],
        act: impl FnOnce(&[u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let Some(observer) = &self.observer else {
            return act(data);
        };
        let mut effect = Effect {
            operation: Operation::Write,
            path: path.into(),
            to: None,
            data,
        };
        match observer.before(&effect) {
            Verdict::Fail(error) => return Err(error),
            Verdict::Short(length) => effect.data = &data[..length.min(data.len())],
            Verdict::Proceed => {}
        }
        let written = act(effect.data)?;
        effect.data = &effect.data[..written];
        observer.after(&effect);
        Ok(written)
    }
}
