//! The `uv` program.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use durable_fs::{Disk, TEMPORARY_PREFIX};
use subprocess::{Command, Failed, Until};
use tokio::sync::OnceCell;

use super::command::{INSTALL, absolute, python_argument};
use super::environment::{self, Found};
use super::locked::{Pin, must_be_pinned, pins, with_other_hashes};
use super::scratch::Scratch;
use super::{PythonEnv, PythonRequest, SyncOutcome};
use crate::{CancellationToken, Error, ErrorKind};

/// The `uv` program, with the user's own indexes, credentials and proxies, and without the user's configuration files.
///
/// Packages are resolved for the platform that this runs on: a torch that serves a GPU does not exist for every platform, and a
/// resolution for all of them would fail. If a Python is asked for that is not here, uv fetches one, unless the network or the index are
/// not to be used. The interpreter of an environment has no pip: what is installed is what was locked.
///
/// It asks nobody anything, and is killed together with what it started when it is cancelled or nobody waits for it any more.
#[derive(Clone)]
pub struct UvProgram {
    pub(super) program: PathBuf,
    pub(super) variables: Vec<(OsString, OsString)>,
    checked: Arc<OnceCell<()>>,
}

/// Leaves out the values of variables, which may be tokens.
impl fmt::Debug for UvProgram {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&OsString> = self.variables.iter().map(|(name, _)| name).collect();
        formatter
            .debug_struct("UvProgram")
            .field("program", &self.program)
            .field("variables", &names)
            .finish_non_exhaustive()
    }
}

/// `pip sync --allow-empty-requirements`, `venv --allow-existing`, and all else that is used here.
const OLDEST: (u32, u32) = (0, 5);

impl UvProgram {
    /// The program at a path, or by a name that the operating system looks up on `PATH`. Which version it is is looked up once, at the
    /// first use.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            variables: Vec::new(),
            checked: Arc::default(),
        }
    }

    /// The first `uv` in the folders of a `PATH`.
    ///
    /// # Errors
    /// `Program` if there is none.
    pub fn find(path_variable: &OsStr) -> Result<Self, Error> {
        let name = if cfg!(windows) { "uv.exe" } else { "uv" };
        std::env::split_paths(path_variable)
            .map(|folder| folder.join(name))
            .find(|program| program.is_file())
            .map(Self::new)
            .ok_or_else(|| {
                Error::new(ErrorKind::Program, "the program uv is not on PATH").with_hint(INSTALL)
            })
    }

    /// Sets an environment variable for uv beside the inherited ones, e.g. `UV_DEFAULT_INDEX`. It is in no process arguments, log or
    /// error.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Looks whether the program is there and new enough, once.
    ///
    /// # Errors
    /// `Program` if not; `Cancelled`.
    pub async fn check(&self, cancel: &CancellationToken) -> Result<(), Error> {
        self.checked
            .get_or_try_init(|| self.check_version(cancel))
            .await
            .copied()
    }

    async fn check_version(&self, cancel: &CancellationToken) -> Result<(), Error> {
        let mut command = Command::new(&self.program);
        let ran = self.run_to_end(command.arg("--version"), cancel).await?;
        let text = String::from_utf8_lossy(&ran.stdout);
        let Some(version) = version_of(&text).filter(|_| ran.status.success()) else {
            let message = format!(
                "{} does not say which version of uv it is",
                self.program.display()
            );
            return Err(Error::new(ErrorKind::Program, message).with_hint(INSTALL));
        };
        if version < OLDEST {
            let message = format!(
                "{} is {}, and {}.{} is needed",
                self.program.display(),
                text.trim(),
                OLDEST.0,
                OLDEST.1
            );
            return Err(Error::new(ErrorKind::Program, message)
                .with_hint("install a newer uv (`pip install -U uv`)"));
        }
        tracing::debug!(version = text.trim(), "uv");
        Ok(())
    }

    async fn create(
        &self,
        venv: &Path,
        request: &PythonRequest,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        // The folder is there: it says already whose it is.
        let mut command =
            self.command_for(request, &["venv", "--no-project", "--allow-existing"], venv)?;
        if let Some(python) = &request.python {
            command.arg("--python").arg(python_argument(python));
        }
        self.succeed(command.arg(venv), request, "installed", cancel)
            .await
            .map(drop)
    }
}

/// `uv 0.13.8 (…)`.
fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().strip_prefix("uv ")?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[async_trait]
impl PythonEnv for UvProgram {
    async fn lock(
        &self,
        request: &PythonRequest,
        cancel: &CancellationToken,
    ) -> Result<String, Error> {
        self.check(cancel).await?;
        let scratch = Scratch::below(&request.cache)?;
        let arguments = [
            "pip",
            "compile",
            "--generate-hashes",
            "--no-annotate",
            "--no-header",
        ];
        let mut command = self.command_for(request, &arguments, scratch.path())?;
        if let Some(python) = &request.python {
            command.arg("--python").arg(python_argument(python));
        }
        let mut askers = Vec::new();
        for (number, asker) in request.requirements.iter().enumerate() {
            let file = format!("{number}.txt");
            scratch.write(&file, &text_of(&asker.lines))?;
            command.arg(&file);
            askers.push((file, &asker.asker));
        }
        if askers.is_empty() {
            return Ok(String::new());
        }
        let locations = locations(request);
        if !locations.is_empty() {
            scratch.write("locations", &locations)?;
            command.arg("locations").args(LIKE_PIP);
        }
        if !request.constraints.is_empty() {
            scratch.write("constraints", &text_of(&request.constraints))?;
            command.args(["-c", "constraints"]);
        }
        let ran = self.run_to_end(&mut command, cancel).await?;
        if !ran.status.success() {
            // To uv an asker is a file.
            let named = askers.iter().rev().fold(ran.stderr, |said, (file, asker)| {
                said.replace(
                    &format!("`{file}`"),
                    &format!("the requirements of {asker}"),
                )
            });
            return Err(super::failure::error_of(request, "resolved", &named));
        }
        let locked = String::from_utf8_lossy(&ran.stdout).into_owned();
        must_be_pinned(&locked)?;
        Ok(locked)
    }

    async fn sync(
        &self,
        venv: &Path,
        locked: &str,
        request: &PythonRequest,
        cancel: &CancellationToken,
    ) -> Result<SyncOutcome, Error> {
        let venv = absolute(venv)?;
        must_be_pinned(locked)?;
        if environment::is_synced(&venv, locked, request) {
            return Ok(SyncOutcome::default());
        }
        self.check(cancel).await?;
        let wanted = pins(locked);
        let mut changed = Vec::new();
        let mut exists = false;
        let mut is_aside = false;
        match environment::look(&venv)? {
            Found::Nothing => {}
            Found::Foreign => return Err(environment::foreign(&venv)),
            Found::Finished(found)
                if found.python == environment::python_of(request)
                    && environment::interpreter(&venv).exists() =>
            {
                changed = with_other_hashes(&pins(&found.locked), &wanted);
                exists = true;
            }
            // One that is whole is kept until it is known that the other Python can be had.
            Found::Finished(_) => {
                environment::set_aside(&venv)?;
                is_aside = true;
            }
            Found::Unfinished => environment::discard(&venv)?,
        }
        let before = if exists {
            environment::installed(&venv)?
        } else {
            Vec::new()
        };
        let begun = environment::begin(&venv).map(drop);
        let begun = match begun {
            Ok(()) if !exists => self.create(&venv, request, cancel).await,
            begun => begun,
        };
        if let Err(error) = begun {
            if is_aside && let Err(second) = environment::put_back(&venv) {
                tracing::warn!(error = %second, "the old environment is lost");
            }
            return Err(error);
        }
        if is_aside {
            environment::forget(&venv)?;
        }
        let scratch = Scratch::below(&request.cache)?;
        let locations = locations(request);
        scratch.write("locked.txt", &format!("{locations}{locked}"))?;
        let arguments = ["pip", "sync", "--allow-empty-requirements"];
        let mut command = self.command_for(request, &arguments, scratch.path())?;
        command.arg("--python").arg(environment::interpreter(&venv));
        let hashes = if wanted.iter().any(Pin::is_from_repository) {
            "--verify-hashes"
        } else {
            "--require-hashes"
        };
        command.arg(hashes);
        if !locations.is_empty() {
            command.args(LIKE_PIP);
        }
        for name in changed {
            command.arg("--reinstall-package").arg(name);
        }
        if !can_link(&request.cache, &venv) {
            command.args(["--link-mode", "copy"]);
        }
        self.succeed(command.arg("locked.txt"), request, "installed", cancel)
            .await?;
        environment::finish(&venv, locked, request)?;
        Ok(environment::difference(
            &before,
            &environment::installed(&venv)?,
        ))
    }

    async fn installed(
        &self,
        venv: &Path,
        cancel: &CancellationToken,
    ) -> Result<Vec<(String, String)>, Error> {
        if cancel.is_cancelled() {
            return Err(Error::cancelled());
        }
        environment::installed(venv)
    }

    async fn run(
        &self,
        venv: &Path,
        script: &Path,
        folder: &Path,
        variables: &[(String, String)],
        log: &Path,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let (venv, script) = (absolute(venv)?, absolute(script)?);
        let interpreter = environment::interpreter(&venv);
        let mut command = Command::new(&interpreter);
        command
            .arg(&script)
            .current_dir(folder)
            .env("VIRTUAL_ENV", &venv);
        for variable in ["PYTHONHOME", "PYTHONPATH"] {
            command.env_remove(variable);
        }
        // The log is there when the script is killed; checkouts stay clean.
        command
            .env("PYTHONUNBUFFERED", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let unwritable = |error| Error::disk(format!("{} cannot be written", log.display()), error);
        let file = environment::create_log(log).map_err(unwritable)?;
        match subprocess::run_into(&mut command, file.file(), &Until::cancelled(cancel)).await {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                let how = match status.code() {
                    Some(code) => format!("ended with code {code}"),
                    None => "was killed".to_owned(),
                };
                let printed = environment::end_of_log(log).map_err(unwritable)?;
                Err(environment::script_failed(&script, log, &how, &printed))
            }
            Err(Failed::Cancelled) => Err(Error::cancelled()),
            Err(Failed::Start(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                let message = format!(
                    "{} cannot be run: {} or its folder is missing",
                    script.display(),
                    interpreter.display()
                );
                Err(Error::new(ErrorKind::Python, message)
                    .with_hint("realize the version again")
                    .with_source(error))
            }
            Err(failed) => Err(Error::new(
                ErrorKind::Program,
                format!("{} cannot be run", interpreter.display()),
            )
            .with_source(failed)),
        }
    }
}

/// The files that add an index are written for pip, which takes the best package of all indexes. By itself uv takes all versions of a
/// package from the first index that has it, and an index of torch has a few old versions of everything that torch needs.
const LIKE_PIP: [&str; 2] = ["--index-strategy", "unsafe-best-match"];

fn is_location(line: &str) -> bool {
    line.starts_with('-')
}

/// What somebody asks for, without where it is.
fn text_of(lines: &[String]) -> String {
    let kept = lines.iter().filter(|line| !is_location(line));
    kept.flat_map(|line| [line, "\n"]).collect()
}

/// Where packages are according to those who ask for them; nowhere, if there is a folder for them.
fn locations(request: &PythonRequest) -> String {
    if request.wheels_dir.is_some() {
        return String::new();
    }
    let lines = request.requirements.iter().flat_map(|asker| &asker.lines);
    let mut lines: Vec<&String> = lines.filter(|line| is_location(line)).collect();
    lines.sort_unstable();
    lines.dedup();
    lines.into_iter().flat_map(|line| [line, "\n"]).collect()
}

/// Whether files of the cache can be linked into the environment. If not, uv is told to copy, and does not try with each file.
fn can_link(cache: &Path, venv: &Path) -> bool {
    let name = format!("{TEMPORARY_PREFIX}link-{}", std::process::id());
    let tried = (|| {
        let (cache, venv) = (Disk::real().open_dir(cache)?, Disk::real().open_dir(venv)?);
        cache.remove_tree(&name)?;
        venv.remove_tree(&name)?;
        drop(cache.create_file(&name)?);
        let linked = cache.hard_link(&name, &venv, &name);
        cache.remove_tree(&name)?;
        venv.remove_tree(&name)?;
        linked
    })();
    if let Err(error) = &tried {
        tracing::debug!(%error, "packages are copied");
    }
    tried.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(
            version_of("uv 0.13.8 (x86_64-unknown-linux-gnu)\n"),
            Some((0, 13))
        );
        assert_eq!(version_of("uv 1.0\n"), Some((1, 0)));
        assert_eq!(version_of("pip 24.0"), None);
    }

    #[test]
    fn whether_links_work_is_tried_and_leaves_nothing() {
        let (cache, venv) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert!(can_link(cache.path(), venv.path()));
        assert!(!can_link(&cache.path().join("gone"), venv.path()));
        for folder in [&cache, &venv] {
            assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        }
    }

    #[test]
    fn values_of_variables_are_not_shown() {
        let uv = UvProgram::new("uv").with_variable("UV_DEFAULT_INDEX", "https://hunter2@h/simple");
        assert!(!format!("{uv:?}").contains("hunter2"));
    }
}
