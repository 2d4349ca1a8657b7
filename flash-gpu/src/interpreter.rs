use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use subprocess::{CancellationToken, Command, Failed, Until};

use crate::version::Dotted;
use crate::{Error, ErrorKind};

/// Where a virtual environment has its Python, on Unix and on Windows.
const ENVIRONMENTS: [&str; 2] = ["venv", ".venv"];
const IN_ENVIRONMENT: [&str; 3] = ["bin/python", "bin/python3", "Scripts/python.exe"];
const DEADLINE: Duration = Duration::from_mins(1);
const MAX_OUTPUT: usize = 64 * 1024;

/// The Python that runs the script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Python {
    /// The program.
    pub program: PathBuf,
    /// Its version, as it says.
    pub version: String,
}

/// The interpreter of the tool's environment, or the one that was given if the tool has none.
pub(crate) fn find(root: &Path, given: Option<&Path>) -> Result<PathBuf, Error> {
    let mut looked_for = Vec::new();
    for environment in ENVIRONMENTS.map(|name| root.join(name)) {
        for program in IN_ENVIRONMENT.map(|name| environment.join(name)) {
            if program.is_file() {
                return Ok(program);
            }
            looked_for.push(program);
        }
    }
    let has_environment = ENVIRONMENTS.iter().any(|name| root.join(name).is_dir());
    let why = match given {
        Some(given) if !has_environment => return Ok(in_full(given)),
        Some(_) => "; the tool has an environment, so no other Python was taken",
        None => "; no other Python was given",
    };
    let looked_for: Vec<String> = looked_for
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let text = format!(
        "there is no Python: looked for {}{why}",
        looked_for.join(", ")
    );
    Err(Error::new(ErrorKind::NoInterpreter, text))
}

/// A path means the same in the release's folder; a mere name is looked up by the operating system.
fn in_full(given: &Path) -> PathBuf {
    if given.components().count() > 1 {
        std::path::absolute(given).unwrap_or_else(|_| given.to_owned())
    } else {
        given.to_owned()
    }
}

/// Asks the interpreter for its version, and compares it with what is needed.
pub(crate) async fn check(
    program: PathBuf,
    needed: Option<&Dotted>,
    cancel: &CancellationToken,
) -> Result<Python, Error> {
    let until = Until::cancelled(cancel).or_after(DEADLINE);
    let mut command = Command::new(&program);
    let command = isolated(command.arg("--version"));
    let ran = match subprocess::run(command, MAX_OUTPUT, &until).await {
        Err(Failed::Cancelled) => return Err(Error::cancelled()),
        ran => ran.map_err(|failed| {
            let text = format!("{} cannot be used as Python", program.display());
            Error::new(ErrorKind::NoInterpreter, text).with_source(failed)
        })?,
    };
    // Before 3.4 it was printed to stderr.
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), ran.stderr);
    let version = said.trim().strip_prefix("Python ").map(str::trim);
    let parsed = version.and_then(Dotted::parse_start);
    let (Some(version), Some(parsed), true) = (version, parsed, ran.status.success()) else {
        let text = format!(
            "{} does not say which Python it is ({})",
            program.display(),
            ran.status
        );
        return Err(Error::new(ErrorKind::NoInterpreter, text));
    };
    if let Some(needed) = needed.filter(|needed| parsed < **needed) {
        let text = format!(
            "Python {needed} is needed, and {} is {version}",
            program.display()
        );
        return Err(Error::new(ErrorKind::PythonTooOld, text));
    }
    Ok(Python {
        version: version.to_owned(),
        program,
    })
}

/// Without what points a Python at another one's packages.
pub(crate) fn isolated(command: &mut Command) -> &mut Command {
    command.env_remove("PYTHONHOME").env_remove("PYTHONPATH")
}
