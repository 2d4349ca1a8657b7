use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Result};

/// How far packing is: what has happened since the last call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PackProgress<'a> {
    /// A folder is going to be read and hashed.
    Scanning {
        /// Which.
        folder: &'a Path,
    },
    /// What the scan of that folder says.
    Scanned(manifest_core::ScanProgress),
    /// An archive is going to be made.
    Archive {
        /// Its name.
        name: &'a str,
        /// Bytes of the files that go into it, all together.
        bytes: u64,
    },
    /// So many bytes of a large file were read ahead, for the checksum in front of it.
    ReadAhead(u64),
    /// So many more bytes of files are compressed or in the archive.
    Packed(u64),
    /// Every archive is made, and they are being put in their places. To break has no effect any more.
    Committing,
}

/// What the caller of an operation wants to hear, and whether it said stop.
pub(crate) struct Watch<'a> {
    observe: &'a (dyn Fn(PackProgress<'_>) -> ControlFlow<()> + Sync),
    is_stopped: AtomicBool,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(observe: &'a (dyn Fn(PackProgress<'_>) -> ControlFlow<()> + Sync)) -> Self {
        Self {
            observe,
            is_stopped: AtomicBool::new(false),
        }
    }

    /// # Errors
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled), from the moment on at which the caller breaks.
    pub(crate) fn say(&self, progress: PackProgress<'_>) -> Result<()> {
        if self.is_stopped.load(Ordering::Relaxed) || (self.observe)(progress).is_break() {
            self.is_stopped.store(true, Ordering::Relaxed);
            return Err(Error::cancelled());
        }
        Ok(())
    }

    /// Hands on what another operation says.
    pub(crate) fn hand_on(&self, progress: PackProgress<'_>) -> ControlFlow<()> {
        match self.say(progress) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}
