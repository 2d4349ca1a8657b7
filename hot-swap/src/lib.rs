//! How is the binary of a running service replaced? Backup, atomic replacement, restart, checks, and back if it does not work.
//!
//! ```no_run
//! use hot_swap::{ErrorKind, HotSwap, SystemdUnit};
//! use subprocess::CancellationToken;
//!
//! # async fn example() -> Result<(), hot_swap::Error> {
//! let swap = HotSwap::new("/srv/bin/server", "./target/release/server")
//!     .with_runtime(SystemdUnit::new("server.service"))
//!     .with_version("1.4.2", ["--version"]);
//! match swap.run(&CancellationToken::new()).await {
//!     Ok(report) => println!("{report}"),
//!     Err(error) if error.kind() == ErrorKind::RolledBack => eprintln!("{error:#}"), // the old one runs again
//!     Err(error) => return Err(error),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Ideas
//!
//! - **A whole binary is always in place.** The candidate is copied beside the target, hashed there and made durable; then it takes
//!   the target's name by one rename. A binary that runs is no obstacle (`ETXTBSY` is of writing in place), and whoever starts the target
//!   at any moment starts the old one or the new one.
//! - **No backup, no swap.** What is in place gets a second name first, which costs no copy, and is hashed. Its name says what it must
//!   be, and that is checked before it is used.
//! - **A swap is decided by checks.** Hash, version, the service stays up, a health probe; all within a deadline. If one fails, the
//!   binary from before is in place again, and the service runs it.
//! - **A crash is found.** A note says what is under way. The next call reads it, looks at what is in place, says what it found, and
//!   finishes or undoes.
//! - **What runs the binary is a trait**, [`Runtime`], of six methods: [`LocalProcess`], [`SystemdUnit`], [`Container`], or yours.
//!
//! # Overview
//!
//! | to | call |
//! |---|---|
//! | replace a binary | [`HotSwap::run`] |
//! | see first what that would do | [`HotSwap::plan`] |
//! | go back | [`HotSwap::run`] with [`Candidate::previous`] |
//! | take the binary out of a release that `updater` keeps | [`HotSwap::new`] with [`Candidate::release`] |
//! | see and delete backups | [`HotSwap::backups`], [`HotSwap::clean`] |
//! | do it again whenever sources change | [`HotSwap::watch`], with `SourceChanges` (feature `watch`) |
//!
//! # What is not guaranteed
//!
//! - That the service is not interrupted: it is restarted. Requests that it has accepted are its own business.
//! - Anything about a container's own disk; see [`Container`].
//! - That a backup stays what it is: who writes into it in place damages it, which is noticed before it is used.
//! - Other systems than Linux: they were never tried.
//!
//! # Features
//!
//! - `watch`: `SourceChanges`, which notices changes in a folder. It brings `notify`.
//! - `testing`: `FakeRuntime`, for tests of programs that embed this crate.

mod back;
mod backups;
mod blocking;
mod build;
mod candidate;
mod check;
mod container;
mod error;
mod event;
mod journal;
mod place;
mod plan;
mod probe;
mod report;
mod run;
mod runtime;
mod sources;
mod state;
mod swap;
mod trial;
mod watch;

pub use backups::{Backup, Cleaned};
pub use build::Build;
pub use candidate::Candidate;
pub use container::Container;
pub use error::{Error, ErrorKind};
pub use event::{Event, Observer};
pub use plan::Plan;
pub use probe::{CommandProbe, HealthProbe, ProbeFn, Unhealthy, UrlProbe};
pub use report::{Found, Outcome, Report, Step, StepOutcome, StepReport};
#[cfg(any(test, feature = "testing"))]
pub use runtime::{Behaviour, FakeRuntime};
pub use runtime::{Executed, LocalProcess, Runtime, Scope, ServiceState, Signal, SystemdUnit};
pub use swap::{HotSwap, OnFailure};
pub use watch::Changes;
#[cfg(feature = "watch")]
pub use watch::SourceChanges;

// What a program that embeds this names.
pub use manifest_core::{ReleasePath, Sha256Digest};
pub use subprocess::CancellationToken;

// What programs rely on, checked by the compiler.
const _: () = {
    const fn shared<T: Send + Sync + 'static>() {}
    const fn cloned<T: Clone + Send + Sync + 'static>() {}
    cloned::<HotSwap>();
    cloned::<Candidate>();
    cloned::<Plan>();
    cloned::<Report>();
    cloned::<Event>();
    cloned::<LocalProcess>();
    cloned::<SystemdUnit>();
    cloned::<Container>();
    shared::<Error>();
};

// Every future can be spawned.
const _: () = {
    fn spawned<F: Future<Output = Result<(), Error>> + Send + 'static>(_: F) {}
    fn futures(swap: HotSwap) {
        spawned(async move {
            swap.plan().await?;
            swap.run(&CancellationToken::new()).await?;
            Ok(())
        });
    }
    let _ = futures;
};
