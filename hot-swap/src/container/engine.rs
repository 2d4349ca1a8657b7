//! The engine's commands.

use std::ffi::OsStr;
use std::process::Stdio;

use serde::Deserialize;
use subprocess::{Command, Ran};
use tokio::io::AsyncWriteExt as _;

use super::Container;
use crate::runtime::call;
use crate::{Error, ErrorKind};

const MOST_OUTPUT: usize = 16 << 20;

/// Of `container inspect`, what docker and podman both say.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    pub(super) state: State,
    #[serde(default)]
    pub(super) restart_count: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct State {
    pub(super) status: String,
    #[serde(default)]
    pub(super) running: bool,
    #[serde(default)]
    pub(super) exit_code: i64,
    #[serde(default)]
    pub(super) started_at: String,
    #[serde(default)]
    pub(super) error: String,
}

impl Container {
    pub(super) fn command<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        let mut command = Command::new(&self.engine);
        command.args(arguments);
        command
    }

    /// Runs a command of the engine to its end, whatever that is.
    pub(super) async fn ran<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Ran, Error> {
        let mut command = self.command(arguments);
        call(&mut command, MOST_OUTPUT)
            .await
            .map_err(|failed| self.cannot_run().with_source(failed))
    }

    pub(super) fn cannot_run(&self) -> Error {
        Error::runtime(format!("{} cannot be run", self.engine.display()))
    }

    /// Runs a command of the engine that must succeed.
    pub(super) async fn succeed<A: AsRef<OsStr>>(
        &self,
        doing: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Ran, Error> {
        let ran = self.ran(arguments).await?;
        if ran.status.success() {
            return Ok(ran);
        }
        Err(self.refused(doing, &ran))
    }

    pub(super) fn refused(&self, doing: &str, ran: &Ran) -> Error {
        Error::runtime(format!(
            "the container {} cannot be {doing}: {}",
            self.name,
            ran.last_words(2000)
        ))
    }

    /// What the engine knows of the container; `None` if there is none.
    pub(super) async fn inspect(&self) -> Result<Option<Inspected>, Error> {
        let ran = self.ran(["container", "inspect", &self.name]).await?;
        if !ran.status.success() {
            // "Error: No such container: x" (docker), "Error: inspecting object: no such container x" (podman).
            if ran.stderr.to_lowercase().contains("no such container") {
                return Ok(None);
            }
            return Err(self.refused("inspected", &ran));
        }
        let found: Vec<Inspected> = serde_json::from_slice(&ran.stdout).map_err(|error| {
            let text = format!("{} says what is no JSON", self.engine.display());
            Error::runtime(text).with_source(error)
        })?;
        Ok(found.into_iter().next())
    }

    pub(super) async fn is_running(&self) -> Result<bool, Error> {
        match self.inspect().await? {
            Some(found) => Ok(found.state.running),
            None => Err(self.missing()),
        }
    }

    pub(super) fn missing(&self) -> Error {
        let text = format!("there is no container {}", self.name);
        Error::new(ErrorKind::NotFound, text)
    }

    /// Creates the container if it is missing and there is an image for it. Returns whether it did.
    pub(crate) async fn create_if_missing(&self) -> Result<bool, Error> {
        if self.inspect().await?.is_some() {
            return Ok(false);
        }
        let Some(image) = &self.image else {
            return Err(self.missing());
        };
        let arguments = ["create", "--name", &self.name]
            .into_iter()
            .chain(self.create_arguments.iter().map(String::as_str))
            .chain([image.as_str()])
            .chain(self.command.iter().map(String::as_str));
        self.succeed("created", arguments).await?;
        Ok(true)
    }

    /// Runs a command of the engine with this as its input. Its output is not wanted.
    pub(super) async fn feed(&self, arguments: [&str; 3], input: &[u8]) -> Result<(), Error> {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = subprocess::start(&mut command)
            .await
            .map_err(|failed| self.cannot_run().with_source(failed))?;
        if let Some(mut stdin) = child.stdin.take() {
            // Whoever does not read to the end says why by its exit code.
            let _ = stdin.write_all(input).await;
        }
        let output = child.wait_with_output().await;
        let output = output.map_err(|error| self.cannot_run().with_source(error))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Error::runtime(format!(
            "nothing can be copied into the container {}: {}",
            self.name,
            subprocess::end_of(said.trim_end(), 2000)
        )))
    }
}
