//! The service that a container is.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

use super::Container;
use crate::runtime::executed;
use crate::{Error, Executed, Runtime, ServiceState};

#[async_trait]
impl Runtime for Container {
    fn describe(&self) -> String {
        format!("the container {}", self.name)
    }

    async fn state(&self) -> Result<ServiceState, Error> {
        let Some(found) = self.inspect().await? else {
            return Ok(ServiceState::Stopped("there is no such container".into()));
        };
        let state = found.state;
        if state.running && state.status != "restarting" {
            let start = format!("{} {}", state.started_at, found.restart_count);
            return Ok(ServiceState::Running(start));
        }
        let mut how = format!("{}, exit code {}", state.status, state.exit_code);
        if !state.error.is_empty() {
            how = format!("{how}, {}", state.error);
        }
        Ok(ServiceState::Stopped(how))
    }

    async fn prepare(&self, _target: &Path) -> Result<(), Error> {
        match self.inspect().await? {
            None if self.image.is_none() => Err(self.missing()),
            _ => Ok(()),
        }
    }

    async fn restart(&self, target: &Path, _patience: Duration) -> Result<(), Error> {
        self.create_if_missing().await?;
        self.succeed("restarted", ["restart", &self.name]).await?;
        self.tidy(target).await;
        Ok(())
    }

    async fn logs(&self, lines: usize) -> Result<Vec<String>, Error> {
        let tail = format!("--tail={lines}");
        let ran = self
            .succeed("listened to", ["logs", &tail, &self.name])
            .await?;
        let printed = String::from_utf8_lossy(&ran.stdout);
        let all = printed.lines().chain(ran.stderr.lines());
        Ok(all.map(str::to_owned).collect())
    }

    async fn execute(&self, target: &Path, arguments: &[OsString]) -> Result<Executed, Error> {
        if !self.is_running().await? {
            let text = format!("the container {} does not run", self.name);
            return Err(Error::not_running(text));
        }
        let first = [OsStr::new("exec"), self.name.as_ref(), target.as_ref()];
        let all = first
            .into_iter()
            .chain(arguments.iter().map(OsString::as_ref));
        executed(&mut self.command(all)).await
    }
}
