//! Ctrl-C and SIGTERM.

use std::io;

use updater::CancellationToken;

use crate::exit::Failure;
use crate::output;

/// What is said when a command is stopped.
pub(crate) const STOPPING: &str = "stopping; press Ctrl-C again to stop at once";

/// A token that the first Ctrl-C or SIGTERM cancels. The second ends the program where it stands, as
/// a kill would.
pub(crate) fn cancellation(stopping: &'static str) -> Result<CancellationToken, Failure> {
    let mut signals = Signals::new().map_err(|error| {
        Failure::io("cannot listen for signals".into(), &error)
            .with_hint("too many files are open: raise the limit (`ulimit -n`), or close some")
    })?;
    let token = CancellationToken::new();
    tokio::spawn({
        let token = token.clone();
        async move {
            signals.next().await;
            output::note(stopping);
            token.cancel();
            signals.next().await;
            std::process::exit(130);
        }
    });
    Ok(token)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn new() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }
}
