//! How uv is called: alike for every user and machine, but with the user's own indexes, credentials and proxies.

use std::path::Path;

use subprocess::{Command, Failed, Ran, Until};

use super::program::UvProgram;
use super::{PythonRequest, failure};
use crate::{CancellationToken, Error, ErrorKind};

/// What would let the user's shell decide which packages a version is made of, or where they go.
const SURPRISES: &[&str] = &[
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "CONDA_DEFAULT_ENV",
    "PYTHONHOME",
    "PYTHONPATH",
    "UV_BREAK_SYSTEM_PACKAGES",
    "UV_BUILD_CONSTRAINT",
    "UV_CONFIG_FILE",
    "UV_CONSTRAINT",
    "UV_CUSTOM_COMPILE_COMMAND",
    "UV_EXCLUDE",
    "UV_FORK_STRATEGY",
    "UV_NO_CACHE",
    "UV_NO_VERIFY_HASHES",
    "UV_OFFLINE",
    "UV_OVERRIDE",
    "UV_PRERELEASE",
    "UV_PROJECT",
    "UV_PYTHON",
    "UV_REQUIRE_HASHES",
    "UV_RESOLUTION",
    "UV_SYSTEM_PYTHON",
    "UV_VENV_CLEAR",
    "UV_VENV_RELOCATABLE",
    "UV_VENV_SEED",
    "UV_WORKING_DIR",
];

/// Where packages are besides the folder that was given.
const OTHER_SOURCES: &[&str] = &[
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_INDEX",
    "UV_INDEX_URL",
];

impl UvProgram {
    /// A call of uv in a folder.
    pub(super) fn command(&self, arguments: &[&str], folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(folder);
        for variable in SURPRISES {
            command.env_remove(variable);
        }
        command.env("UV_NO_CONFIG", "1").env("UV_NO_PROGRESS", "1");
        // Its explanations are put into sentences of ours.
        command
            .env("UV_NO_WRAP", "1")
            .env("NO_COLOR", "1")
            .env_remove("FORCE_COLOR");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// A call of uv that looks for packages or for Python.
    pub(super) fn command_for(
        &self,
        request: &PythonRequest,
        arguments: &[&str],
        folder: &Path,
    ) -> Result<Command, Error> {
        let mut command = self.command(arguments, folder);
        // uv does not run in its own cache, and the files for it are beside that.
        let cache = absolute(&request.cache)?.join("uv");
        command.arg("--cache-dir").arg(cache);
        if request.offline {
            command.arg("--offline");
        }
        if let Some(wheels) = &request.wheels_dir {
            command
                .arg("--no-index")
                .arg("--find-links")
                .arg(absolute(wheels)?);
            for variable in OTHER_SOURCES {
                command.env_remove(variable);
            }
        }
        if request.offline || request.wheels_dir.is_some() {
            command.env("UV_PYTHON_DOWNLOADS", "never");
        }
        Ok(command)
    }

    /// Runs a call to its end, whatever that is.
    pub(super) async fn run_to_end(
        &self,
        command: &mut Command,
        cancel: &CancellationToken,
    ) -> Result<Ran, Error> {
        const LIMIT: usize = 64 << 20;
        tracing::debug!(arguments = ?command.as_std().get_args().collect::<Vec<_>>(), "uv");
        subprocess::run(command, LIMIT, &Until::cancelled(cancel))
            .await
            .map_err(|failed| match failed {
                Failed::Cancelled => Error::cancelled(),
                Failed::TooLong => Error::new(
                    ErrorKind::Python,
                    format!("uv printed more than {LIMIT} bytes"),
                ),
                Failed::Start(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    let message = format!("the program {} is missing", self.program.display());
                    Error::new(ErrorKind::Program, message)
                        .with_hint(INSTALL)
                        .with_source(error)
                }
                failed => {
                    let message = format!("{} cannot be run", self.program.display());
                    Error::new(ErrorKind::Program, message).with_source(failed)
                }
            })
    }

    /// Runs a call, which must succeed; `doing` as in "the packages cannot be …".
    pub(super) async fn succeed(
        &self,
        command: &mut Command,
        request: &PythonRequest,
        doing: &str,
        cancel: &CancellationToken,
    ) -> Result<Ran, Error> {
        let ran = self.run_to_end(command, cancel).await?;
        if ran.status.success() {
            tracing::debug!(said = failure::essence(&ran.stderr), "uv");
            return Ok(ran);
        }
        Err(failure::error_of(request, doing, &ran.stderr))
    }
}

pub(super) const INSTALL: &str = "install uv (`pip install uv`), or say where it is";

/// The path from the root: the program runs in a folder of its own.
pub(super) fn absolute(path: &Path) -> Result<std::path::PathBuf, Error> {
    std::path::absolute(path).map_err(|error| {
        Error::new(ErrorKind::Io, format!("{} is no path", path.display())).with_source(error)
    })
}

/// The interpreter as uv is asked for it: `python3.11` is any Python 3.11, not only one of that name on `PATH`.
pub(super) fn python_argument(python: &str) -> &str {
    match python.strip_prefix("python") {
        Some(version)
            if version.starts_with(|letter: char| letter.is_ascii_digit())
                && version
                    .chars()
                    .all(|letter| letter.is_ascii_digit() || letter == '.') =>
        {
            version
        }
        _ => python,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_are_asked_for_by_version() {
        for (python, argument) in [
            ("python3.11", "3.11"),
            ("3.11", "3.11"),
            ("python", "python"),
            ("python3.13t", "python3.13t"),
            ("/usr/bin/python3.11", "/usr/bin/python3.11"),
        ] {
            assert_eq!(python_argument(python), argument);
        }
    }
}
