//! What runs the binary.

#[cfg(any(test, feature = "testing"))]
mod fake;
mod process;
mod started;
mod system;
mod systemd;

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use subprocess::{CancellationToken, Command, Failed, Until};

use crate::Error;

#[cfg(any(test, feature = "testing"))]
pub use fake::{Behaviour, FakeRuntime};
pub use process::{LocalProcess, Signal};
pub use systemd::{Scope, SystemdUnit};

/// Whether a service runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceState {
    /// It runs. Another text means another start, by itself or by somebody.
    Running(String),
    /// It is being started.
    Starting,
    /// It does not run; how it came to that, in words.
    Stopped(String),
}

/// What a program printed, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// Whether it ended with exit code 0.
    pub success: bool,
    /// What it printed, complaints included.
    pub output: String,
}

/// What runs the binary: a process, a unit, a container, or something of your own.
///
/// [`LocalProcess`], [`SystemdUnit`] and [`Container`](crate::Container) are ready-made. With the feature `testing` there is
/// `FakeRuntime`.
///
/// # Cancel safety
/// Each future may be dropped: at the deadline, and when the swap is cancelled. What it has started may go on, as long as a later
/// [`restart`](Self::restart) makes up for it.
#[async_trait]
pub trait Runtime: Send + Sync + fmt::Debug {
    /// What it is, in words: `the systemd unit sketcher.service`.
    fn describe(&self) -> String;

    /// Whether a restart could work: asked before anything is changed, so that a wrong name changes nothing. May create what a start
    /// needs, and changes nothing of the service.
    ///
    /// # Errors
    /// Whatever is in the way of a restart.
    async fn prepare(&self, target: &Path) -> Result<(), Error>;

    /// Whether the service runs now.
    ///
    /// # Errors
    /// [`ErrorKind::Runtime`](crate::ErrorKind::Runtime) if nobody can say.
    async fn state(&self) -> Result<ServiceState, Error>;

    /// Ends the service if it runs, and starts it with the binary that is in place. After `patience` the future is dropped: a service
    /// that does not end by itself must be killed in good time.
    ///
    /// # Errors
    /// [`ErrorKind::Runtime`](crate::ErrorKind::Runtime) if it could not be started: the new binary counts as not working.
    async fn restart(&self, target: &Path, patience: Duration) -> Result<(), Error>;

    /// The service's last lines, the newest last.
    ///
    /// # Errors
    /// [`ErrorKind::Runtime`](crate::ErrorKind::Runtime) if there is no log.
    async fn logs(&self, lines: usize) -> Result<Vec<String>, Error>;

    /// Runs the binary where the service runs, beside it: to ask for its version.
    ///
    /// # Errors
    /// [`ErrorKind::NotRunning`](crate::ErrorKind::NotRunning) where that needs a service that runs, `Runtime` if it cannot be run.
    async fn execute(&self, target: &Path, arguments: &[OsString]) -> Result<Executed, Error>;
}

/// Of what a binary prints when it is asked for its version.
const MOST_OUTPUT: usize = 1 << 20;

/// Runs a binary on this machine.
pub(crate) async fn execute_here(target: &Path, arguments: &[OsString]) -> Result<Executed, Error> {
    let target = std::path::absolute(target).unwrap_or_else(|_| target.to_owned());
    let mut command = Command::new(target);
    command.args(arguments);
    executed(&mut command).await
}

pub(crate) async fn executed(command: &mut Command) -> Result<Executed, Error> {
    let program = command.as_std().get_program().to_owned();
    let ran = call(command, MOST_OUTPUT).await.map_err(|failed| {
        let text = format!("{} cannot be run", Path::new(&program).display());
        Error::runtime(text).with_source(failed)
    })?;
    let stdout = String::from_utf8_lossy(&ran.stdout);
    Ok(Executed {
        success: ran.status.success(),
        output: format!("{stdout}{}", ran.stderr),
    })
}

/// Runs a program until it ends or the future is dropped.
pub(crate) async fn call(command: &mut Command, limit: usize) -> Result<subprocess::Ran, Failed> {
    let until = Until::cancelled(&CancellationToken::new());
    Box::pin(subprocess::run(command, limit, &until)).await
}
