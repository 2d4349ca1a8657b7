//! What this crate asks of Python.

mod command;
mod conflict;
mod environment;
mod failure;
#[cfg(feature = "testing")]
mod fake;
#[cfg(feature = "testing")]
mod fake_solver;
mod lines;
mod locked;
mod program;
mod request;
mod requirements;
mod scratch;
mod torch;

use std::fmt;
use std::path::Path;

use async_trait::async_trait;

use crate::{CancellationToken, Error};

pub(crate) use environment::is_environment_of_ours;
pub use environment::is_synced;
#[cfg(feature = "testing")]
pub use fake::{FakePython, FakePythonCall};
pub use program::UvProgram;
pub use request::{AskerRole, PythonRequest, Requirements};
pub use requirements::requirements_of;
pub use torch::lock_together;

/// Python environments. [`UvProgram`](crate::UvProgram) asks the `uv` program; `FakePython` serves tests.
#[async_trait]
pub trait PythonEnv: Send + Sync + fmt::Debug {
    /// Resolves all requirements together, and returns them exact and hashed: the text of a `requirements.txt` with `--hash`es,
    /// sorted, without comments that name a machine. A package from a repository is pinned by its commit and has no hash.
    ///
    /// Nobody's torch is guarded here; [`lock_together`] does that.
    ///
    /// # Errors
    /// `Python` if they contradict each other: the text names who asks for what. `Network`, `Auth`, `Offline`, `Program`, `Cancelled`.
    async fn lock(
        &self,
        request: &PythonRequest,
        cancel: &CancellationToken,
    ) -> Result<String, Error>;

    /// Makes `venv` an environment with exactly the locked packages: created if it is not there, packages of others removed. One that
    /// was left unfinished is made anew. When it is done, [`is_synced`] says so.
    ///
    /// # Errors
    /// As [`lock`](Self::lock), and `Integrity` if a package has another hash, `Damaged` if something else is there, `NoSpace`, `Io`.
    async fn sync(
        &self,
        venv: &Path,
        locked: &str,
        request: &PythonRequest,
        cancel: &CancellationToken,
    ) -> Result<SyncOutcome, Error>;

    /// What is installed in an environment: names (normalised as PEP 503 says) and versions, sorted.
    ///
    /// # Errors
    /// `Python` if it is no environment, `Program`, `Cancelled`.
    async fn installed(
        &self,
        venv: &Path,
        cancel: &CancellationToken,
    ) -> Result<Vec<(String, String)>, Error>;

    /// Runs a script with the environment's interpreter, in `folder`, with these variables beside the inherited ones; its output goes to
    /// `log`, which is replaced.
    ///
    /// # Errors
    /// `Python` if it ends with another code than 0: the text has the last lines of the output. `Program`, `Cancelled`.
    async fn run(
        &self,
        venv: &Path,
        script: &Path,
        folder: &Path,
        variables: &[(String, String)],
        log: &Path,
        cancel: &CancellationToken,
    ) -> Result<(), Error>;
}

/// What [`PythonEnv::sync`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncOutcome {
    /// How many packages were installed, those included that replaced another version.
    pub installed: usize,
    /// How many packages were removed, those included that another version replaced.
    pub removed: usize,
}

impl SyncOutcome {
    /// This many packages.
    #[must_use]
    pub fn new(installed: usize, removed: usize) -> Self {
        Self { installed, removed }
    }
}
