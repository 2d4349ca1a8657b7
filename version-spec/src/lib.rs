//! Which ComfyUI environment does a spec mean, and how does this machine get it?
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use version_spec::{Cache, CancellationToken, Comfy, GitProgram, Home, Refresh, UvProgram};
//!
//! # async fn run() -> Result<(), version_spec::Error> {
//! let comfy = Comfy::builder(Cache::new("/data/cache"), "versions")
//!     .with_git(Arc::new(GitProgram::new("git")))
//!     .with_python(Arc::new(UvProgram::new("uv")))
//!     .build();
//! let cancel = CancellationToken::new();
//! let spec = comfy.spec(&"wan22-fast".parse()?)?.spec; // versions/wan22-fast.json
//! let lock = comfy.resolve(&spec, Refresh::No, &cancel).await?.lock; // commits; kept for the next time
//! let home = Home::new("/data/comfy-wan22-fast");
//! println!("{}", comfy.plan(&spec, &lock, &home)?); // what would be done
//! let done = comfy.realize(&spec, &lock, &home, &cancel).await?;
//! println!("{:?}: {} steps", done.outcome, done.steps); // 0 steps the second time
//! # Ok(())
//! # }
//! ```
//!
//! # Ideas
//!
//! - **A file says everything.** A [`Spec`] is a `versions/<id>.json`, loose as people write it; what is wrong with it is said all at once,
//!   by JSON pointer and with what to write instead ([`SpecProblem`]).
//! - **A lock pins it.** [`Lock`]: refs are commits, packages are exact and hashed, models have a digest and a size. It says from which
//!   spec it was made, and is good for no other. [`LockDiff`] says what changed and why.
//! - **A plan is a value.** [`Comfy::plan`] looks at the disk and makes a [`Plan`] of typed [`Step`]s with costs; a dry run prints it,
//!   [`Comfy::realize`] does it, independent steps beside each other. The plan of a realized version is empty.
//! - **Everything once.** Checkouts ([`Checkouts`]), models ([`ModelStore`]) and packages are kept in one [`Cache`] for all versions and
//!   processes. A home has links to them; ComfyUI itself, which writes beside its own files, is copied into it.
//! - **Programs are injected.** [`Git`], [`PythonEnv`] and [`Downloader`] are traits: `git`, `uv` and HTTP in a program, fakes in tests.
//!
//! # What can be relied on
//!
//! - Files of the user in a home are never touched: inputs, outputs, models, nodes installed by hand. A file of ComfyUI that was changed
//!   by hand is moved to `.lockstep-comfy/kept/` before it is replaced, and that is told. Something of the user's in the place of a node
//!   is refused by name. What is ours is written down in `.lockstep-comfy.json`.
//! - Interrupted anywhere, also by a power cut, realizing again goes on and ends the same. Two processes may work on one cache and one
//!   home: one waits for the other.
//! - Realizing a realized version uses no network, runs no program and writes nothing.
//! - Without the network, what is here is used; each missing thing is named, and the outcome is [`Outcome::Partial`].
//! - Tokens are sent to their own hosts only, and are in no log, lock, error or process argument.
//!
//! # What is not
//!
//! A file counts as unchanged while its size and time are; [`Comfy::verify_models`] reads the models. What an `install.py` puts into the
//! environment or elsewhere is not pinned; what it writes into its checkout, which versions share, is told. Where a file system has no
//! locks, two processes at once do the same work twice. Deleting knows other versions by their locks and specs in this cache.
//!
//! # Features
//!
//! - `http`: [`Tokens`] can configure `HttpDownloader`, which fetches models over HTTP(S). Off by default, so that a program with its own
//!   transport does not pay for it.
//! - `schema`: `schema`, the JSON Schema of specs, for editors. It brings `schemars`.
//! - `testing`: `FakeGit` and `FakePython`, for tests of programs that embed this crate. They need no other crate.

mod address;
mod bundle;
mod checkouts;
mod checksum;
mod comfy;
mod commit;
mod compare;
mod error;
mod extra_paths;
mod git;
mod lock;
mod models;
mod names;
mod places;
mod plan;
mod python;
mod realize;
mod repo;
mod resolve;
mod revision;
mod spec;
mod state;
mod text;

pub use bundle::Bundle;
pub use checkouts::{Checkouts, Ensured};
pub use checksum::Checksum;
pub use comfy::{
    Comfy, ComfyBuilder, DeleteReport, DryRun, Event, LockOrigin, ModelVerified, Network, Outcome,
    Part, Pinned, Realized, Refresh, Resolved, SpecFile, VerifiedModels,
};
pub use commit::CommitId;
pub use compare::{Comparison, Difference, Environment};
pub use error::{Error, ErrorKind};
pub use extra_paths::ExtraModelPaths;
pub use git::{CheckedOut, Git, GitProgram, LfsFiles, RemoteRef};
#[cfg(feature = "testing")]
pub use git::{FakeCall, FakeGit};
pub use lock::{
    FoundLock, Lock, LockChange, LockDiff, LockStore, LockedModel, LockedNode, LockedPython,
    LockedSource, ModelReason, PackageReason, SourceReason,
};
pub use models::{
    Endpoints, ModelState, ModelStore, ModelUsage, Presence, Tokens, UnusedModels, WantedModel,
};
pub use names::{ModelName, NodeName, VersionId};
pub use places::{Cache, Home, ModelsDir};
pub use plan::{Action, Cost, Download, Missing, Plan, Step};
pub use python::{
    AskerRole, PythonEnv, PythonRequest, Requirements, SyncOutcome, UvProgram, is_synced,
    lock_together, requirements_of,
};
#[cfg(feature = "testing")]
pub use python::{FakePython, FakePythonCall};
pub use repo::RepoUrl;
pub use resolve::{Resolution, Resolver};
pub use revision::{RefName, Revision};
#[cfg(feature = "schema")]
pub use spec::schema;
pub use spec::{
    COMFY_REPO, CivitaiModel, CustomNode, Existing, GitSource, InstallRequirements, InvalidSpec,
    ModelEntry, ModelSource, Options, Parsed, Spec, SpecDraft, SpecProblem, SpecReader, SpecStore,
    StoredSpec, TorchChange, migrate, version_of_lock_file,
};

// What a program that embeds this crate names, so that it needs no other crate of ours for it.
pub use downloader::{Downloader, ProgressSink};
#[cfg(feature = "http")]
pub use downloader::{HttpConfig, HttpDownloader};
pub use manifest_core::Sha256Digest;
pub use tokio_util::sync::CancellationToken;
