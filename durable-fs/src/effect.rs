use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The kinds of things done to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Operation {
    /// Opening or reading: never an [`Effect`], only named in errors. See [`Observer::before_open`].
    Read,
    /// Creates an empty file under a new name.
    CreateFile,
    /// Writes bytes at the end of a file.
    Write,
    /// Shortens a file.
    Truncate,
    /// Makes a file's content durable.
    SyncFile,
    /// Creates a folder.
    CreateDir,
    /// Gives a file or folder another name, replacing what had it.
    Rename,
    /// Swaps two names.
    Exchange,
    /// Gives a file a second name.
    HardLink,
    /// Makes a new file share another's blocks.
    Reflink,
    /// Creates a symbolic link.
    Symlink,
    /// Changes whether a file is a program.
    SetMode,
    /// Removes a name of a file.
    RemoveFile,
    /// Removes an empty folder.
    RemoveDir,
    /// Makes the names in a folder durable.
    SyncDir,
    /// Makes everything on the file system durable.
    SyncFilesystem,
    /// Takes a lock: never an [`Effect`], only named in errors.
    Lock,
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Read => "read",
            Self::CreateFile => "create the file",
            Self::Write => "write to",
            Self::Truncate => "truncate",
            Self::SyncFile | Self::SyncDir => "sync",
            Self::CreateDir => "create the folder",
            Self::Rename => "rename",
            Self::Exchange => "exchange",
            Self::HardLink => "hard-link",
            Self::Reflink => "clone",
            Self::Symlink => "create the link",
            Self::SetMode => "change the mode of",
            Self::RemoveFile => "remove the file",
            Self::RemoveDir => "remove the folder",
            Self::SyncFilesystem => "sync the file system of",
            Self::Lock => "lock",
        })
    }
}

/// One change of the disk, about to happen or just done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Effect<'a> {
    /// What is done.
    pub operation: Operation,
    /// To which file or folder. For a rename, exchange or link: the source.
    pub path: PathBuf,
    /// The other name, where there are two; for a symbolic link its target.
    pub to: Option<PathBuf>,
    /// The bytes of a write.
    pub data: &'a [u8],
}

/// What an [`Observer`] wants to happen.
#[derive(Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// The effect itself.
    Proceed,
    /// Nothing, and this error.
    Fail(io::Error),
    /// For a write: only so many of its bytes. For any other effect: as `Proceed`.
    Short(usize),
}

/// Sees every effect on a disk, and may make it fail. For tests.
///
/// ```
/// use std::io;
/// use std::sync::Arc;
///
/// use durable_fs::{Disk, Effect, ErrorKind, Observer, Operation, Verdict};
///
/// /// A disk that is full.
/// #[derive(Debug)]
/// struct Full;
///
/// impl Observer for Full {
///     fn before(&self, effect: &Effect<'_>) -> Verdict {
///         match effect.operation {
///             Operation::Write => Verdict::Fail(io::ErrorKind::StorageFull.into()),
///             _ => Verdict::Proceed,
///         }
///     }
///
///     fn after(&self, _: &Effect<'_>) {}
/// }
///
/// let folder = tempfile::tempdir()?;
/// let root = Disk::observed(Arc::new(Full)).open_dir(folder.path())?;
/// let error = root.replace_file("current.txt", b"v2.4.1").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::NoSpace);
/// assert!(!folder.path().join("current.txt").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Observer: Send + Sync + fmt::Debug {
    /// Called before each effect.
    fn before(&self, effect: &Effect<'_>) -> Verdict;
    /// Called after each effect that succeeded.
    fn after(&self, effect: &Effect<'_>);
    /// Called before a file or folder below an open folder is opened for reading, which changes nothing and
    /// so is no effect. Only for an observer that makes this fail; the others let everything be opened.
    fn before_open(&self, path: &Path) -> Verdict {
        let _ = path;
        Verdict::Proceed
    }
}

/// An [`Observer`] that keeps a list of every effect that succeeded.
///
/// ```
/// use std::sync::Arc;
///
/// use durable_fs::{Disk, Operation, Recorder};
///
/// let folder = tempfile::tempdir()?;
/// let recorder = Arc::new(Recorder::new());
/// let root = Disk::observed(recorder.clone()).open_dir(folder.path())?;
/// root.replace_file("current.txt", b"v2.4.1")?;
///
/// let operations: Vec<Operation> = recorder.effects().into_iter().map(|(operation, ..)| operation).collect();
/// assert_eq!(operations.last(), Some(&Operation::SyncDir));
/// assert_eq!(recorder.count(Operation::Rename, folder.path()), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Vec<(Operation, PathBuf, Option<PathBuf>)>>);

impl Recorder {
    /// A recorder that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The effects so far, in order: what, where, and the other name if there was one.
    #[must_use]
    pub fn effects(&self) -> Vec<(Operation, PathBuf, Option<PathBuf>)> {
        self.list().clone()
    }

    /// How often an operation succeeded below a folder.
    #[must_use]
    pub fn count(&self, operation: Operation, below: impl AsRef<Path>) -> usize {
        let below = below.as_ref();
        self.list()
            .iter()
            .filter(|(done, path, _)| *done == operation && path.starts_with(below))
            .count()
    }

    fn list(&self) -> MutexGuard<'_, Vec<(Operation, PathBuf, Option<PathBuf>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Recorder {
    fn before(&self, _: &Effect<'_>) -> Verdict {
        Verdict::Proceed
    }

    fn after(&self, effect: &Effect<'_>) {
        self.list()
            .push((effect.operation, effect.path.clone(), effect.to.clone()));
    }
}
