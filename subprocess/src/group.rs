use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::{Failed, Until, start};

/// A process and what it started.
pub(crate) struct Group(pub(crate) Child);

impl Group {
    /// Starts a program without input, in a group of its own, unless nobody wants it any more.
    pub(crate) async fn start(command: &mut Command, until: &Until) -> Result<Self, Failed> {
        until.check()?;
        command.stdin(Stdio::null()).kill_on_drop(true);
        platform::separate(command);
        start(command).await.map(Self)
    }

    fn kill(&mut self) {
        // Once it was waited for, its number may be another's.
        if let Some(id) = self.0.id() {
            platform::kill(id);
            let _ = self.0.start_kill(); // where there are no groups
        }
    }

    /// Kills what is left, and waits for the leader.
    pub(crate) async fn end(&mut self) {
        self.kill();
        // Killed, it ends at once; a failure to wait changes nothing.
        let _ = self.0.wait().await;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(unix)]
mod platform {
    use rustix::process::{Pid, Signal, kill_process_group};
    use tokio::process::Command;

    pub(super) fn separate(command: &mut Command) {
        command.process_group(0);
    }

    pub(super) fn kill(id: u32) {
        if let Some(group) = i32::try_from(id).ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(not(unix))]
mod platform {
    use tokio::process::Command;

    pub(super) fn separate(_command: &mut Command) {}

    pub(super) fn kill(_id: u32) {}
}
