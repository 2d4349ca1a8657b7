use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use subprocess::{Command, Ran};

use super::{Executed, Runtime, ServiceState, call, execute_here};
use crate::Error;

/// Whose units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// Those of the machine.
    #[default]
    System,
    /// Those of the user who runs this: `systemctl --user`.
    User,
}

/// A systemd unit, by `systemctl` and `journalctl`.
///
/// ```
/// use hot_swap::{HotSwap, SystemdUnit};
///
/// let swap = HotSwap::new("/srv/bin/server", "./target/release/server")
///     .with_runtime(SystemdUnit::new("server.service"));
/// # let _ = swap;
/// ```
///
/// A unit that has failed too often is restarted all the same (`systemctl reset-failed`), since going back must not fail because the
/// new binary crashed in a loop.
#[derive(Clone, Debug)]
pub struct SystemdUnit {
    unit: String,
    scope: Scope,
    systemctl: PathBuf,
    journalctl: PathBuf,
}

const MOST_OUTPUT: usize = 4 << 20;

impl SystemdUnit {
    /// A unit of the machine.
    #[must_use]
    pub fn new(unit: impl Into<String>) -> Self {
        Self {
            unit: unit.into(),
            scope: Scope::default(),
            systemctl: "systemctl".into(),
            journalctl: "journalctl".into(),
        }
    }

    /// Whose unit it is.
    #[must_use]
    pub fn with_scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// The two programs, where they are not those on `PATH`.
    #[must_use]
    pub fn with_programs(
        mut self,
        systemctl: impl Into<PathBuf>,
        journalctl: impl Into<PathBuf>,
    ) -> Self {
        self.systemctl = systemctl.into();
        self.journalctl = journalctl.into();
        self
    }

    async fn call(&self, program: &Path, arguments: &[&str]) -> Result<Ran, Error> {
        let mut command = Command::new(program);
        if self.scope == Scope::User {
            command.arg("--user");
        }
        // Nobody is there to answer a question.
        command.arg("--no-pager").args(arguments);
        command.env("SYSTEMD_COLORS", "0").env("LC_ALL", "C");
        call(&mut command, MOST_OUTPUT).await.map_err(|failed| {
            Error::runtime(format!("{} cannot be run", program.display())).with_source(failed)
        })
    }
}

fn refused(unit: &str, doing: &str, ran: &Ran) -> Error {
    Error::runtime(format!(
        "{unit} cannot be {doing}: {}",
        ran.last_words(2000)
    ))
}

#[async_trait]
impl Runtime for SystemdUnit {
    fn describe(&self) -> String {
        format!("the systemd unit {}", self.unit)
    }

    async fn state(&self) -> Result<ServiceState, Error> {
        const PROPERTIES: &str = "--property=LoadState,ActiveState,SubState,Result,ExecMainStatus,\
                                  InvocationID,MainPID,NRestarts";
        let shown = self
            .call(&self.systemctl, &["show", PROPERTIES, "--", &self.unit])
            .await?;
        if !shown.status.success() {
            return Err(refused(&self.unit, "looked at", &shown));
        }
        state_of(&self.unit, &String::from_utf8_lossy(&shown.stdout))
    }

    async fn prepare(&self, _target: &Path) -> Result<(), Error> {
        self.state().await.map(drop)
    }

    async fn restart(&self, _target: &Path, _patience: Duration) -> Result<(), Error> {
        let forget = ["reset-failed", "--", &self.unit];
        // A unit that has not failed, or is not loaded, has nothing to be forgotten.
        self.call(&self.systemctl, &forget).await?;
        let ran = self
            .call(&self.systemctl, &["restart", "--", &self.unit])
            .await?;
        if ran.status.success() {
            return Ok(());
        }
        Err(refused(&self.unit, "restarted", &ran))
    }

    async fn logs(&self, lines: usize) -> Result<Vec<String>, Error> {
        let (unit, lines) = (format!("--unit={}", self.unit), format!("--lines={lines}"));
        let ran = self
            .call(&self.journalctl, &["--output=cat", &lines, &unit])
            .await?;
        if !ran.status.success() {
            return Err(refused(&self.unit, "listened to", &ran));
        }
        let text = String::from_utf8_lossy(&ran.stdout);
        Ok(text.lines().map(str::to_owned).collect())
    }

    async fn execute(&self, target: &Path, arguments: &[OsString]) -> Result<Executed, Error> {
        execute_here(target, arguments).await
    }
}

/// From `systemctl show`: `Name=value` lines, see `org.freedesktop.systemd1(5)`.
fn state_of(unit: &str, shown: &str) -> Result<ServiceState, Error> {
    let value = |name: &str| {
        let mut lines = shown.lines().filter_map(|line| line.split_once('='));
        lines
            .find(|(found, _)| *found == name)
            .map_or("", |(_, value)| value)
    };
    match value("LoadState") {
        "loaded" => {}
        "not-found" => {
            return Err(Error::runtime(format!("there is no systemd unit {unit}")));
        }
        // masked, bad-setting, error
        other => {
            let text = format!("the systemd unit {unit} cannot be started: it is {other}");
            return Err(Error::runtime(text));
        }
    }
    let (active, sub) = (value("ActiveState"), value("SubState"));
    Ok(match (active, sub) {
        ("active" | "reloading", _) => ServiceState::Running(format!(
            "{} {} {}",
            value("InvocationID"),
            value("MainPID"),
            value("NRestarts")
        )),
        // It has ended, and systemd waits before it starts it once more.
        ("activating", sub) if !sub.starts_with("auto-restart") => ServiceState::Starting,
        _ => {
            let (result, code) = (value("Result"), value("ExecMainStatus"));
            ServiceState::Stopped(format!(
                "{active} ({sub}), result {result}, exit status {code}"
            ))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(shown: &str) -> Result<ServiceState, Error> {
        state_of("x.service", shown)
    }

    /// As systemd 252 prints them.
    #[test]
    fn states_are_read() {
        let running = "ActiveState=active\nSubState=running\nMainPID=55\nNRestarts=0\nLoadState=loaded\n\
                       InvocationID=9ffd3a4b\nResult=success\nExecMainStatus=0\n";
        assert_eq!(
            state(running).unwrap(),
            ServiceState::Running("9ffd3a4b 55 0".into())
        );
        let crashed = "LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nResult=exit-code\n\
                       ExecMainStatus=1\nMainPID=0\nNRestarts=3\n";
        let ServiceState::Stopped(how) = state(crashed).unwrap() else {
            panic!("{crashed}");
        };
        assert_eq!(
            how,
            "activating (auto-restart), result exit-code, exit status 1"
        );
        let starting = "LoadState=loaded\nActiveState=activating\nSubState=start\n";
        assert_eq!(state(starting).unwrap(), ServiceState::Starting);
        let failed = "LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=timeout\nExecMainStatus=9\n";
        assert!(matches!(state(failed).unwrap(), ServiceState::Stopped(_)));
    }

    #[test]
    fn a_unit_that_is_not_there_is_an_error() {
        let error =
            state("LoadState=not-found\nActiveState=inactive\nSubState=dead\n").unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Runtime);
        assert_eq!(error.to_string(), "there is no systemd unit x.service");
        let error = state("LoadState=masked\nActiveState=inactive\nSubState=dead\n").unwrap_err();
        assert!(error.to_string().ends_with("it is masked"), "{error}");
    }
}
