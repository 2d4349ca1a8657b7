//! May this worker take network jobs?
//!
//! ```
//! use eligibility::{Eligibility, Installed, Required, assess};
//! use manifest_core::Sha256Digest;
//!
//! let manifest_hash = Sha256Digest::of(b"the manifest");
//! let required = Required { version: "2.4.1".parse()?, manifest_hash };
//!
//! let installed = Installed { version: "v2.4.1".parse()?, manifest_hash };
//! assert_eq!(assess(Some(&installed), &required), Eligibility::Eligible);
//!
//! let installed = Installed { version: "2.4.0".parse()?, manifest_hash };
//! let answer = assess(Some(&installed), &required);
//! assert!(!answer.may_take_network_jobs() && answer.may_run_local_jobs());
//! assert_eq!(answer.as_str(), "OUTDATED");
//! assert_eq!(answer.reasons()[0].to_string(), "version 2.4.0 is installed, 2.4.1 is required");
//! # Ok::<(), manifest_core::Error>(())
//! ```
//!
//! # Ideas
//!
//! - **Exactly that release.** A worker is eligible only with the required version *and* the
//!   required manifest hash. A newer version is as wrong as an older one: results must be
//!   comparable across the fleet.
//! - **Local work goes on.** Whatever HQ requires, a worker that has a release runs local jobs.
//! - **Not verified.** Version and hash are what somebody says. Whether the installed files are what the manifest says is another
//!   question, which `updater::Updater::verify` answers.
//! - **Pure.** Whoever calls reads what is installed and hears what is required; this crate only
//!   compares. HQ does so when it assigns a job, a worker before it asks for one.

mod assessment;
mod error;
mod status;

pub use assessment::{Eligibility, Installed, Reason, Required, assess};
pub use error::{Error, ErrorKind};
pub use status::Status;

// What programs rely on, checked by the compiler.
const _: () = {
    const fn shared<T: Send + Sync + 'static>() {}
    const fn cloned<T: Clone + Send + Sync + 'static>() {}
    cloned::<Eligibility>();
    cloned::<Installed>();
    cloned::<Required>();
    cloned::<Status>();
    shared::<Error>();
};
