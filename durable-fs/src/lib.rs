//! How does a change reach the disk? Every effect: named, durable, and failable in tests.
//!
//! ```
//! use durable_fs::Disk;
//!
//! let folder = tempfile::tempdir()?;
//! let root = Disk::real().open_dir(folder.path())?;
//! root.replace_file("current.txt", b"v2.4.1")?; // old or new, even after a power cut
//! assert_eq!(root.read("current.txt", 64)?, b"v2.4.1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Ideas
//!
//! - **Folders are handles.** A [`Dir`] is a folder held open. Relative paths are resolved from it one
//!   component at a time, never through a symbolic link and never out of it, so nothing that is
//!   planted below a root can redirect a write.
//! - **Every effect has a name.** Each change of the disk is one [`Effect`] that an [`Observer`] sees
//!   before and after it happens, and may make fail; composite operations are made of such steps.
//!   Without an observer this costs one branch.
//! - **Durability is stated.** An operation says in its documentation what is on the disk when it
//!   returns. Most effects are durable only after [`Dir::sync`], [`FileWriter::sync`] or
//!   [`Dir::sync_tree`]; [`Dir::replace_file`] and [`Dir::append_line`] are durable on return.
//!
//! # Overview
//!
//! [`Disk`] opens a folder; everything else is done on a [`Dir`]. It reads ([`Dir::read`], [`Dir::entries`], [`Dir::metadata`]), makes
//! single effects ([`Dir::create_file`], [`Dir::rename`], [`Dir::exchange`], [`Dir::hard_link`]) and whole operations
//! ([`Dir::replace_file`], [`Dir::place`], [`Dir::copy`], [`Dir::trash`], [`Dir::remove_tree`]), and locks ([`Dir::try_lock`]). In
//! tests, [`Disk::observed`] takes an [`Observer`], for instance a [`Recorder`].
//!
//! # What is not guaranteed
//!
//! Another process that may write to the same folders can still change a file's content between two
//! of our operations. On systems other than Unix there is no exchange, and syncing a folder does
//! nothing.

mod compose;
mod dir;
mod disk;
mod effect;
mod error;
mod file;
mod lock;
mod look;
mod names;
mod platform;

pub use compose::{LinkPolicy, Placed, TEMPORARY_PREFIX};
pub use dir::{Dir, Executable, Replace};
pub use disk::Disk;
pub use effect::{Effect, Observer, Operation, Recorder, Verdict};
pub use error::{Error, ErrorKind, Result};
pub use file::FileWriter;
pub use lock::Lock;
pub use look::{DirEntry, FileKind, KEEPS_EXECUTABLE, Metadata};

// What programs rely on, checked by the compiler.
const _: () = {
    const fn shared<T: Send + Sync + 'static>() {}
    const fn cloned<T: Clone + Send + Sync + 'static>() {}
    cloned::<Disk>();
    cloned::<Dir>();
    shared::<Error>();
    shared::<FileWriter>();
    shared::<Lock>();
    shared::<std::sync::Arc<dyn Observer>>();
};
