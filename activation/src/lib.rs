//! How does a release become the active one? Root, lock, staging, switch, rollback, retention,
//! recovery.
//!
//! ```
//! use activation::{CurrentLink, Installation};
//! use durable_fs::Disk;
//! use manifest_core::{ManifestBuilder, Sha256Digest};
//! use std::time::SystemTime;
//!
//! # let folder = tempfile::tempdir()?;
//! # let root = folder.path();
//! let manifest = ManifestBuilder::new("sketcher".parse()?, "1.0.0".parse()?)
//!     .with_file("main.py".parse()?, Sha256Digest::of(b"print()"), 7, true)
//!     .build()?;
//!
//! let session = Installation::create(&Disk::real(), root)?.lock()?;
//! let staging = session.stage(&manifest, &())?;
//! let partials = session.partials()?; // where a downloader would put it
//! partials.create_file("main")?.write_bytes(b"print()")?;
//! staging.adopt(&partials, "main", &[&manifest.files()[0]])?;
//! let activation = staging.seal(None)?.activate(CurrentLink::default(), SystemTime::now())?;
//!
//! assert!(activation.release.verify(&())?.is_intact());
//! assert_eq!(std::fs::read_to_string(root.join("current.txt"))?, "v1.0.0");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Ideas
//!
//! - **One commit point.** A release is put together in `releases/.staging/`, made durable, renamed to
//!   `releases/v…/`, and only then named by `current.txt`, which is replaced atomically. Readers need no
//!   lock: they see the old release or the new one.
//! - **A [`Session`] is the lock.** Opening one mends what a crash left behind; every operation on it may
//!   be interrupted anywhere and run again.
//! - **The user's files move along.** What the manifest does not list is copied into the next release
//!   (never linked). A release is deleted only after everything in it that no later release took over
//!   was moved to `.lockstep/kept/`.
//! - **Nothing here fetches or decides.** What has to change is the delta's business, where bytes come
//!   from the downloader's.
//!
//! # The way of a release
//!
//! [`Installation::lock`] gives a [`Session`]; [`Session::stage`] a [`Staging`], into which [`Staging::reuse`] brings the files that the
//! active release has, and [`Staging::adopt`] those that were fetched; [`Staging::seal`] copies the user's files and makes all of it
//! durable; [`Sealed::activate`] switches. [`Session::switch_to`] goes to a release that is installed already,
//! [`Session::repair_files`] mends one, [`Session::retain`] deletes old ones. [`Installation::examine`] says what is wrong.
//!
//! # What is not guaranteed
//!
//! - The files of a release are verified when they are staged, and on [`InstalledRelease::verify`]; in between, whoever may write into
//!   the folder can change them.
//! - A file that an update shares with the release before is one file on disk ([`LinkPolicy`](durable_fs::LinkPolicy)).
//!
//! This crate knows no clock (callers pass the time) and no async runtime; run it on blocking threads.

mod carry;
mod error;
mod examine;
mod folders;
mod history;
mod installation;
mod layout;
mod pending;
mod prune;
mod recovery;
mod release;
mod repair;
mod retire;
mod same;
mod session;
mod staging;
mod switch;
mod trial;
mod watch;
mod work;

pub use carry::CarryPlan;
pub use error::{Error, ErrorKind};
pub use examine::{Remedy, Severity, Symptom};
pub use history::{Event, HistoryEntry};
pub use installation::Installation;
pub use prune::PrunePlan;
pub use release::{Finding, InstalledRelease, Problem, Verification};
pub use retire::Retired;
pub use session::Session;
pub use staging::{ReuseItem, Reused, Sealed, Staging};
pub use switch::{Activation, CurrentLink};
pub use trial::{FailedRelease, Trial};
pub use watch::Watch;

// What programs rely on, checked by the compiler.
const _: () = {
    const fn shared<T: Send + Sync + 'static>() {}
    const fn cloned<T: Clone + Send + Sync + 'static>() {}
    cloned::<Installation>();
    cloned::<Session>();
    cloned::<InstalledRelease>();
    cloned::<CarryPlan>();
    cloned::<Activation>();
    cloned::<HistoryEntry>();
    cloned::<Symptom>();
    cloned::<Verification>();
    shared::<Error>();
    shared::<Staging>();
    shared::<Sealed>();
};
