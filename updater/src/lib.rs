//! Which release runs here, and how does it become the next one? Plan, apply, verify, repair, roll
//! back.
//!
//! ```no_run
//! use updater::{CancellationToken, TrustPolicy, Updater};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let updater = Updater::builder("/srv/tools/sketcher").build()?;
//! let cancel = CancellationToken::new();
//!
//! let url = "https://hq.example/api/v1/tools/sketcher/1.2.0/manifest.json".parse()?;
//! let manifest = updater.fetch_manifest(&url, &cancel).await?;
//! let trusted = TrustPolicy::Unsigned.trust(manifest)?;
//!
//! let report = updater.apply(&trusted, &cancel).await?;
//! println!("{report}"); // 3 downloaded / 120 verified / 1 deleted
//! # Ok(())
//! # }
//! ```
//!
//! # Ideas
//!
//! - **This crate only sequences.** What has to change comes from `delta-engine`, bytes from `downloader`,
//!   the switch from `activation`; each can be used alone.
//! - **Only a [`TrustedManifest`] is installed.** A [`TrustPolicy`] makes one.
//! - **Nothing is done half.** The release is put together beside the active one, every byte of it is
//!   hashed once (while it is written, or where it lies), and the switch is one atomic replacement.
//! - **Progress are [`Event`]s**, and stopping is a [`CancellationToken`]; dropping the future is safe, too:
//!   the lock is freed as soon as the last blocking step has noticed.
//!
//! # Features
//!
//! - `http` (default): the downloader for `http:`, `https:` and `file:` URLs that is used when none is given. Without
//!   it, a program brings its own and pays for no HTTP stack.

mod admit;
mod apply;
mod blocking;
mod builder;
mod error;
mod event;
mod examine;
mod health;
mod install;
mod plan;
mod repair;
mod report;
mod rollback;
mod sources;
mod transfer;
mod trial;
mod trust;
mod updater;

pub use builder::{Downgrade, FailedReleases, UpdaterBuilder};
pub use error::{Error, ErrorKind};
pub use event::{Event, Observer, Phase};
pub use examine::{Diagnosis, FixReport};
pub use health::{Candidate, CommandProbe, HealthProbe, ProbeFn, Unhealthy, UrlProbe};
pub use plan::{Plan, PlannedDownload};
pub use report::{
    ActiveStatus, PruneReport, RepairReport, Report, RollbackReport, Status, VerifyReport,
};
pub use sources::mirror_of;
pub use trust::{TrustPolicy, TrustedManifest};
pub use updater::Updater;

// What a program that embeds the updater names, so that it needs no other crate of ours for it.
pub use activation::{
    CurrentLink, Event as HistoryEvent, Finding, HistoryEntry, Problem, Remedy, Severity, Symptom,
};
pub use downloader::{Downloader, HostPolicy, RetryPolicy, StallPolicy};
pub use durable_fs::{Disk, LinkPolicy};
pub use eligibility::{Eligibility, Required};
pub use manifest_core::{Limits, Manifest, ReleaseVersion, Sha256Digest, ToolId};
pub use tokio_util::sync::CancellationToken;
