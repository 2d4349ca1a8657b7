use std::time::Duration;

use manifest_core::ReleasePath;
use url::Url;

use crate::Plan;

/// What a running operation is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Comparing the manifests, and hashing what an interrupted run left.
    Planning,
    /// Fetching what is missing, and bringing over and hashing what is not.
    Transferring,
    /// Copying the user's files and making the release durable.
    Sealing,
    /// Switching to the release.
    Activating,
    /// Asking the health probe about the release that has just become active.
    CheckingHealth,
    /// Deleting releases that are no longer needed.
    CleaningUp,
    /// Hashing every file of a release.
    Verifying,
}

/// What happens during an operation, as it happens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Another phase begins.
    Phase(Phase),
    /// It is known what has to be done.
    Planned(Plan),
    /// A file's download begins.
    DownloadStarted {
        /// The file, or the first one with this content.
        path: ReleasePath,
        /// Its bytes.
        size: u64,
    },
    /// The position of a download moved: bytes came, or were there from an earlier run.
    DownloadAdvanced {
        /// The file.
        path: ReleasePath,
        /// Bytes that came over the wire.
        received: u64,
        /// Bytes of an earlier run.
        resumed: u64,
    },
    /// Bytes that were reported turned out to be of no use.
    DownloadSetBack {
        /// The file.
        path: ReleasePath,
        /// How many.
        bytes: u64,
    },
    /// A source failed in a way that may pass, and is asked again after a while.
    DownloadWaiting {
        /// The file.
        path: ReleasePath,
        /// What failed, in words.
        reason: String,
        /// How long until then.
        wait: Duration,
    },
    /// A file is here and verified.
    DownloadFinished {
        /// The file.
        path: ReleasePath,
        /// Which source gave the last of its bytes, if any was asked.
        source: Option<Url>,
        /// How often a source was asked again.
        retries: u32,
    },
    /// So many more bytes of local files were hashed.
    BytesVerified(u64),
    /// Something that is not an error but that a person should know.
    Warning(String),
}

/// Hears the [`Event`]s of an updater. Called often and from several threads: it must be quick.
/// Implemented by every `Fn(&Event)`; `()` hears nothing.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn notify(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync> Observer for F {
    fn notify(&self, event: &Event) {
        self(event);
    }
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Silent;

impl Observer for Silent {
    fn notify(&self, _: &Event) {}
}
