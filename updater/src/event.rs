use std::fmt;
use std::time::Duration;

use manifest_core::ReleasePath;
use serde::Serialize;
use url::Url;

use crate::progress::Size;
use crate::{Plan, Progress};

/// What a running operation is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
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

/// In words: `checking health`.
impl fmt::Display for Phase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Planning => "planning",
            Self::Transferring => "transferring",
            Self::Sealing => "sealing",
            Self::Activating => "activating",
            Self::CheckingHealth => "checking health",
            Self::CleaningUp => "cleaning up",
            Self::Verifying => "verifying",
        })
    }
}

/// What happens during an operation, as it happens.
///
/// A program that shows progress needs [`Progress`](Self::Progress), [`Warning`](Self::Warning), and
/// [`DownloadWaiting`](Self::DownloadWaiting) so that it does not look as if it hung; the rest is for logs, and for who shows
/// each file.
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
    /// The sums have changed: how far the operation is now. Comes after the event that changed them, and never two
    /// at a time.
    Progress(Progress),
    /// Something that is not an error but that a person should know.
    Warning(String),
}

/// One line for a log. `{event:<79}` fills it up with spaces, to be written over a line before.
impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Phase(phase) => phase.to_string(),
            Self::Planned(plan) => plan.to_string(),
            Self::DownloadStarted { path, size } => {
                format!("fetching {path} ({})", Size::new(*size))
            }
            Self::DownloadAdvanced {
                path,
                received,
                resumed: 0,
            } => format!("{} of {path} came", Size::new(*received)),
            Self::DownloadAdvanced { path, resumed, .. } => {
                let resumed = Size::new(*resumed);
                format!("{resumed} of {path} were here already")
            }
            Self::DownloadSetBack { path, bytes } => {
                let bytes = Size::new(*bytes);
                format!("{bytes} of {path} are of no use and come again")
            }
            Self::DownloadWaiting { path, reason, wait } => {
                let seconds = wait.as_secs_f32();
                format!("{path}: {reason}; trying again in {seconds:.1} s")
            }
            Self::DownloadFinished { path, .. } => format!("{path} is here and verified"),
            Self::BytesVerified(bytes) => format!("{} hashed", Size::new(*bytes)),
            Self::Progress(progress) => progress.to_string(),
            Self::Warning(text) => format!("warning: {text}"),
        };
        formatter.pad(&text)
    }
}

/// Hears the [`Event`]s of an updater. Called often and from several threads: it must be quick.
/// Implemented by every `Fn(&Event)`.
///
/// ```
/// use updater::{Event, Updater};
///
/// let builder = Updater::builder("/srv/tools/sketcher").with_observer(|event: &Event| match event {
///     Event::Progress(progress) => eprint!("\r{progress:<79}"),
///     Event::DownloadWaiting { .. } | Event::Warning(_) => eprintln!("\r{event:<79}"),
///     _ => {}
/// });
/// # let _ = builder;
/// ```
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
