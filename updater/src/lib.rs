//! Which release runs here, and how does it become the next one? Plan, apply, verify, repair, roll
//! back.
//!
//! ```no_run
//! use updater::{CancellationToken, TrustPolicy, Updater};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let updater = Updater::builder("/srv/tools/sketcher").build()?;
//! let url = "https://hq.example/api/v1/tools/sketcher/1.2.0/manifest.json".parse()?;
//!
//! let cancel = CancellationToken::new(); // whoever holds a clone may stop it
//! let report = updater.update(&url, &TrustPolicy::Unsigned, &cancel).await?;
//! println!("{report}"); // 3 downloaded / 120 verified / 1 deleted
//! # Ok(())
//! # }
//! ```
//!
//! Without a network, as a test of your own program would do it, with a manifest that came by another way:
//!
//! ```
//! use std::sync::Arc;
//!
//! use downloader::MemoryDownloader;
//! use manifest_core::{FileEntry, ManifestBuilder, Sha256Digest};
//! use updater::{CancellationToken, TrustPolicy, Updater};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let script = b"print('hello')";
//! let url = "https://hq.example/hello.py";
//! let manifest = ManifestBuilder::new("hello".parse()?, "1.0.0".parse()?)
//!     .with_entry(FileEntry::new("hello.py".parse()?, Sha256Digest::of(script), 14, url))
//!     .build()?;
//! let memory = MemoryDownloader::new();
//! memory.insert(url.parse()?, &script[..]);
//!
//! let root = tempfile::tempdir()?;
//! let updater = Updater::builder(root.path()).with_downloader(Arc::new(memory)).build()?;
//! let trusted = TrustPolicy::Pinned(manifest.manifest_hash()).trust(manifest)?;
//! let report = updater.apply(&trusted, &CancellationToken::new()).await?;
//!
//! assert_eq!(report.to_string(), "1 downloaded / 1 verified / 0 deleted");
//! assert!(report.matches_required());
//! assert_eq!(std::fs::read(root.path().join("releases/v1.0.0/hello.py"))?, script);
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
//! - **Progress are [`Event`]s**; [`Event::Progress`] has the sums, so that nobody need keep them. Stopping is a
//!   [`CancellationToken`]; dropping the future is safe, too: the lock is freed as soon as the last blocking step has noticed.
//!
//! # Overview
//!
//! | to | call |
//! |---|---|
//! | install a release or go to another one | [`Updater::update`]; in two steps [`Updater::fetch_manifest`] and [`Updater::apply`] |
//! | see first what that would do | [`Updater::plan`] |
//! | see what is installed, and what was done | [`Updater::status`], [`Updater::history`] |
//! | know whether a worker may take network jobs | [`Updater::eligibility`] |
//! | check the files, and mend them | [`Updater::verify`], [`Updater::repair`] |
//! | find out what else is wrong, and mend it | [`Updater::examine`], [`Updater::fix`] |
//! | go back | [`Updater::rollback`], or by itself: [`UpdaterBuilder::with_health_probe`] |
//! | make room | [`Updater::prune`] |
//!
//! Everything is chosen at [`UpdaterBuilder`]. Errors have a [`kind`](Error::kind).
//!
//! # What can be relied on
//!
//! - Whatever stops an operation (an error, the token, a dropped future, a kill, a power cut), the active release is the one from before
//!   or the new one, whole, and the same call goes on from there.
//! - When an update returns `Ok`, every byte of the active release was hashed, and it is durable.
//! - What the manifest does not list is the user's. It moves along to the next release, and is deleted only where the manifest's
//!   delete policy says so; what no release can take over is kept in `.lockstep/kept/`.
//! - One operation at a time changes an installation, whatever the number of processes; the others are told
//!   [`ErrorKind::Busy`]. Reading needs no lock.
//!
//! # What is not
//!
//! - Who made a manifest. [`TrustPolicy::Unsigned`] takes any valid one.
//! - That a release stays as it was verified. Whoever may write into the folder can change it; [`Updater::verify`] finds that.
//! - That a file of one release is another file than that of the release before. Unchanged files are shared where the file system can
//!   ([`UpdaterBuilder::with_link_policy`]): a tool that writes into them in place writes into both.
//!
//! # Features
//!
//! - `http` (default): the downloader for `http:`, `https:` and `file:` URLs that is used when none is given. Without
//!   it, a program brings its own and pays for no HTTP stack.
//! - `zip`: a release ZIP as a source, local or by HTTP Range: `UpdaterBuilder::with_archive` and
//!   `Updater::fetch_archive_manifest`. Off by default; it brings `flate2`.

mod admit;
mod apply;
#[cfg(feature = "zip")]
mod archive;
#[cfg(not(feature = "zip"))]
#[path = "no_archive.rs"]
mod archive;
mod blocking;
mod builder;
mod error;
mod event;
mod examine;
mod health;
mod install;
mod plan;
mod progress;
mod repair;
mod report;
mod rollback;
mod sources;
mod transfer;
mod trial;
mod trust;
mod updater;

#[cfg(feature = "zip")]
pub use archive::ArchiveOrder;
pub use builder::{Downgrade, FailedReleases, UpdaterBuilder};
pub use error::{Error, ErrorKind};
pub use event::{Event, Observer, Phase};
pub use examine::{Diagnosis, FixReport};
pub use health::{Candidate, CommandProbe, HealthProbe, ProbeFn, Unhealthy, UrlProbe};
pub use plan::{Plan, PlannedDownload};
pub use progress::Progress;
pub use report::{
    ActiveStatus, PruneReport, RepairReport, Report, RollbackReport, Status, VerifyReport,
};
pub use trust::{TrustPolicy, TrustedManifest};
pub use updater::Updater;

// What a program that embeds the updater names, so that it needs no other crate of ours for it.
pub use activation::{
    CurrentLink, Event as HistoryEvent, Finding, HistoryEntry, Problem, PrunePlan, Remedy,
    Severity, Symptom,
};
pub use downloader::{Downloader, HostPolicy, RedirectPolicy, RetryPolicy, StallPolicy};
pub use durable_fs::{Disk, LinkPolicy};
pub use eligibility::{Eligibility, Required};
pub use manifest_core::{Limits, Manifest, ReleasePath, ReleaseVersion, Sha256Digest, ToolId};
pub use tokio_util::sync::CancellationToken;
pub use url::Url;

// What programs rely on, checked by the compiler.
const _: () = {
    const fn shared<T: Send + Sync + 'static>() {}
    const fn cloned<T: Clone + Send + Sync + 'static>() {}
    cloned::<Updater>();
    cloned::<UpdaterBuilder>();
    cloned::<TrustPolicy>();
    cloned::<TrustedManifest>();
    cloned::<Event>();
    cloned::<Plan>();
    cloned::<Progress>();
    cloned::<Report>();
    cloned::<RepairReport>();
    cloned::<RollbackReport>();
    cloned::<PrunePlan>();
    cloned::<PruneReport>();
    cloned::<VerifyReport>();
    cloned::<Status>();
    cloned::<Diagnosis>();
    cloned::<FixReport>();
    cloned::<Candidate>();
    shared::<Error>();
};

// Every future can be spawned.
const _: () = {
    fn spawned<F: Future<Output = Result<(), Error>> + Send + 'static>(_: F) {}
    fn futures(updater: Updater, url: Url, required: Required) {
        spawned(async move {
            let never = CancellationToken::new();
            let trust = TrustPolicy::Unsigned;
            let trusted = updater.fetch_manifest(&url, &trust, &never).await?;
            #[cfg(feature = "zip")]
            updater.fetch_archive_manifest(&trust, &never).await?;
            updater.plan(&trusted).await?;
            updater.apply(&trusted, &never).await?;
            updater.update(&url, &trust, &never).await?;
            updater.status().await?;
            updater.active_manifest().await?;
            updater.eligibility(&required).await?;
            updater.history().await?;
            updater.verify(&never).await?;
            updater.repair(&never).await?;
            updater.rollback(None, &never).await?;
            updater.plan_prune().await?;
            updater.prune().await?;
            updater.examine(&never).await?;
            updater.fix(&never).await?;
            Ok(())
        });
    }
    let _ = futures;
};
