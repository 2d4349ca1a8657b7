use std::process::{ExitStatus, Stdio};

use tokio::process::{Child, Command};

use crate::{Failed, Until, start};

/// A process and what it started.
pub(crate) struct Group {
    pub(crate) leader: Child,
    id: Option<u32>,
    leftovers_end: bool,
}

impl Group {
    /// Starts a program in a group of its own, unless nobody wants it any more.
    pub(crate) async fn start(command: &mut Command, until: &Until) -> Result<Self, Failed> {
        until.check()?;
        command.stdin(until.input()?).kill_on_drop(true);
        platform::separate(command);
        let leader = start(command).await?;
        // Who keeps the command keeps its input open.
        command.stdin(Stdio::null());
        Ok(Self {
            id: leader.id(),
            leader,
            leftovers_end: until.leftovers_end,
        })
    }

    /// Waits for the leader to end by itself.
    pub(crate) async fn wait(&mut self) -> Result<ExitStatus, Failed> {
        let status = self.leader.wait().await.map_err(Failed::Start)?;
        if let (Some(id), true) = (self.id, self.leftovers_end) {
            // As long as anybody is left in the group, its number is no other's.
            platform::kill(id);
        }
        Ok(status)
    }

    fn kill(&mut self) {
        // Once it was waited for, its number may be another's.
        if let Some(id) = self.leader.id() {
            platform::kill(id);
            let _ = self.leader.start_kill(); // where there are no groups
        }
    }

    /// Kills what is left, and waits for the leader.
    pub(crate) async fn end(&mut self) {
        self.kill();
        // Killed, it ends at once; a failure to wait changes nothing.
        let _ = self.leader.wait().await;
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
