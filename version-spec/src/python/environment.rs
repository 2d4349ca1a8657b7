//! A virtual environment on the disk: where things are in it, and how far it is.

use std::ffi::OsStr;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use durable_fs::{Dir, DirEntry, Disk, FileKind, FileWriter, Replace};

use super::locked::normalised;
use super::{PythonRequest, SyncOutcome};
use crate::text::without_secrets;
use crate::{Error, ErrorKind};

/// Says how far the environment is. Its first line is [`FINISHED`] and the interpreter that was asked for; the lock follows.
const MARKER: &str = ".lockstep";
const FINISHED: &str = "lockstep-venv 1 ";
const UNFINISHED: &[u8] = b"unfinished\n";
/// Where an environment goes before it is deleted; what is there may always be deleted.
const DISCARDED: &str = ".lockstep-old-venv";
const LONGEST_MARKER: u64 = 64 << 20;

/// Whether the environment was synced to this lock, for this interpreter, to the end. Needs no process and no network.
///
/// What scripts installed there since is not noticed; [`PythonEnv::installed`](super::PythonEnv::installed) tells.
#[must_use]
pub fn is_synced(venv: &Path, locked: &str, request: &PythonRequest) -> bool {
    let Ok(Found::Finished(found)) = look(venv) else {
        return false;
    };
    found.python == python_of(request) && found.locked == locked && interpreter(venv).exists()
}

/// Whether there is an environment that this program made, or began.
pub(crate) fn is_environment_of_ours(venv: &Path) -> bool {
    matches!(look(venv), Ok(Found::Unfinished | Found::Finished(_)))
}

/// What is where the environment should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing, or an empty folder.
    Nothing,
    /// An environment of ours that was never done.
    Unfinished,
    /// An environment of ours.
    Finished(Finished),
    /// Something that is not ours.
    Foreign,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finished {
    pub(super) python: String,
    pub(super) locked: String,
}

pub(super) fn look(venv: &Path) -> Result<Found, Error> {
    let unreadable = |error| Error::disk(format!("{} cannot be read", venv.display()), error);
    let dir = match Disk::real().open_dir(venv) {
        Ok(dir) => dir,
        Err(error) if error.is_not_found() => return Ok(Found::Nothing),
        Err(error) => return Err(unreadable(error)),
    };
    match dir.read(MARKER, LONGEST_MARKER) {
        Ok(bytes) => Ok(finished(&bytes).map_or(Found::Unfinished, Found::Finished)),
        Err(error) if error.is_not_found() => {
            let entries = dir.entries().map_err(unreadable)?;
            Ok(if entries.is_empty() {
                Found::Nothing
            } else {
                Found::Foreign
            })
        }
        Err(error) => Err(unreadable(error)),
    }
}

fn finished(marker: &[u8]) -> Option<Finished> {
    let text = std::str::from_utf8(marker).ok()?;
    let (first, locked) = text.split_once('\n')?;
    Some(Finished {
        python: first.strip_prefix(FINISHED)?.to_owned(),
        locked: locked.to_owned(),
    })
}

/// The interpreter that was asked for, as the marker says it.
pub(super) fn python_of(request: &PythonRequest) -> String {
    format!("{:?}", request.python)
}

/// Says that the environment is being worked on: what is there after that is not to be trusted until [`finish`].
pub(super) fn begin(venv: &Path) -> Result<Dir, Error> {
    let begun = Disk::real().create_dir_all(venv).and_then(|dir| {
        dir.replace_file(MARKER, UNFINISHED)?;
        Ok(dir)
    });
    begun.map_err(|error| {
        Error::disk(
            format!("the environment {} cannot be made", venv.display()),
            error,
        )
    })
}

/// Says that the environment is what was asked for.
pub(super) fn finish(venv: &Path, locked: &str, request: &PythonRequest) -> Result<(), Error> {
    let text = format!("{FINISHED}{}\n{locked}", python_of(request));
    let marked = Disk::real()
        .open_dir(venv)
        .and_then(|dir| dir.replace_file(MARKER, text.as_bytes()));
    marked.map_err(|error| {
        Error::disk(
            format!("{} cannot be marked as finished", venv.display()),
            error,
        )
    })
}

/// Deletes an environment of ours. Interrupted, it leaves nothing that could be taken for one.
pub(super) fn discard(venv: &Path) -> Result<(), Error> {
    set_aside(venv)?;
    forget(venv)
}

/// Moves an environment of ours out of the way, until [`forget`] or [`put_back`].
pub(super) fn set_aside(venv: &Path) -> Result<(), Error> {
    beside(venv, |parent, name| {
        parent.remove_tree(DISCARDED)?;
        match parent.rename(name, parent, DISCARDED, Replace::Refuse) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => parent.sync(),
        }
    })
}

/// Deletes what was set aside.
pub(super) fn forget(venv: &Path) -> Result<(), Error> {
    beside(venv, |parent, _| parent.remove_tree(DISCARDED))
}

/// Puts back what was set aside, in place of what was begun since.
pub(super) fn put_back(venv: &Path) -> Result<(), Error> {
    beside(venv, |parent, name| {
        parent.remove_tree(name)?;
        parent.rename(DISCARDED, parent, name, Replace::Refuse)?;
        parent.sync()
    })
}

fn beside(
    venv: &Path,
    work: impl FnOnce(&Dir, &OsStr) -> durable_fs::Result<()>,
) -> Result<(), Error> {
    let (Some(parent), Some(name)) = (venv.parent(), venv.file_name()) else {
        return Err(foreign(venv));
    };
    let parent = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    let done = Disk::real()
        .open_dir(parent)
        .and_then(|parent| work(&parent, name));
    done.map_err(|error| Error::disk(format!("{} cannot be replaced", venv.display()), error))
}

pub(super) fn foreign(venv: &Path) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!(
            "{} is there, and not an environment that this program made",
            venv.display()
        ),
    )
    .with_hint("move it away, and run it again")
}

/// The program that is Python there.
pub(super) fn interpreter(venv: &Path) -> PathBuf {
    if cfg!(windows) {
        venv.join("Scripts").join("python.exe")
    } else {
        venv.join("bin").join("python")
    }
}

/// Where packages are, below the environment; `None` if there is no such folder.
pub(super) fn site_packages(venv: &Dir) -> durable_fs::Result<Option<Dir>> {
    let opened = |path: &Path| match venv.open_dir(path) {
        Ok(dir) => Ok(Some(dir)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    };
    if cfg!(windows) {
        return opened(Path::new("Lib/site-packages"));
    }
    let Some(lib) = opened(Path::new("lib"))? else {
        return Ok(None);
    };
    for entry in lib.entries()? {
        let name = entry.name.to_string_lossy();
        if entry.kind == FileKind::Dir && (name.starts_with("python") || name.starts_with("pypy")) {
            return opened(&Path::new("lib").join(&*name).join("site-packages"));
        }
    }
    Ok(None)
}

/// Names and versions of what is installed, sorted: what the folders `<name>-<version>.dist-info` say (PEP 376).
pub(super) fn installed(venv: &Path) -> Result<Vec<(String, String)>, Error> {
    let read = || -> durable_fs::Result<Option<Vec<DirEntry>>> {
        let dir = Disk::real().open_dir(venv)?;
        let Some(site) = site_packages(&dir)? else {
            return Ok(None);
        };
        Ok(Some(site.entries()?))
    };
    let none = || {
        Error::new(
            ErrorKind::Python,
            format!("{} is no Python environment", venv.display()),
        )
        .with_hint("realize the version first")
    };
    let entries = match read() {
        Ok(Some(entries)) => entries,
        Ok(None) => return Err(none()),
        Err(error) if error.is_not_found() => {
            return Err(none().with_source(error));
        }
        Err(error) => {
            return Err(Error::disk(
                format!("{} cannot be read", venv.display()),
                error,
            ));
        }
    };
    let mut packages: Vec<(String, String)> = entries
        .iter()
        .filter_map(|entry| {
            let name = entry.name.to_str()?.strip_suffix(".dist-info")?;
            let (name, version) = name.rsplit_once('-')?;
            Some((normalised(name), version.to_owned()))
        })
        .collect();
    packages.sort_unstable();
    Ok(packages)
}

/// What has to be done to get from one list of packages to another.
pub(super) fn difference(before: &[(String, String)], after: &[(String, String)]) -> SyncOutcome {
    let new = after.iter().filter(|package| !before.contains(package));
    let gone = before.iter().filter(|package| !after.contains(package));
    SyncOutcome::new(new.count(), gone.count())
}

/// An empty file for what a script prints, in place of one that is there.
pub(super) fn create_log(log: &Path) -> durable_fs::Result<FileWriter> {
    let parent = log.parent().filter(|parent| !parent.as_os_str().is_empty());
    let dir = Disk::real().create_dir_all(parent.unwrap_or(Path::new(".")))?;
    let name = log.file_name().unwrap_or_default();
    match dir.remove_file(name) {
        Err(error) if !error.is_not_found() => return Err(error),
        _ => {}
    }
    dir.create_file(name)
}

/// The error for a script that did not end well, with the last lines of what it printed.
pub(super) fn script_failed(script: &Path, log: &Path, how: &str, printed: &str) -> Error {
    const LINES: usize = 8;
    const LONGEST: usize = 800;
    let lines: Vec<&str> = printed
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
    let letters: Vec<char> = last
        .chars()
        .filter(|letter| *letter == '\n' || !letter.is_control())
        .collect();
    let last: String = letters[letters.len().saturating_sub(LONGEST)..]
        .iter()
        .collect();
    let message = if last.is_empty() {
        format!("{} {how} and printed nothing", script.display())
    } else {
        format!("{} {how}:\n{}", script.display(), without_secrets(&last))
    };
    let error = Error::new(ErrorKind::Python, message);
    if printed.contains("No module named pip") {
        return error.with_hint("it calls pip; add \"pip\" to `python_packages`");
    }
    error.with_hint(format!("all that it printed is in {}", log.display()))
}

/// The end of what a script printed.
pub(super) fn end_of_log(log: &Path) -> durable_fs::Result<String> {
    const READ: u64 = 16 * 1024;
    let parent = log.parent().filter(|parent| !parent.as_os_str().is_empty());
    let dir = Disk::real().open_dir(parent.unwrap_or(Path::new(".")))?;
    let (mut file, metadata) = dir.open_file_with_metadata(log.file_name().unwrap_or_default())?;
    let mut bytes = Vec::new();
    // What cannot be read is not shown; the error is about the script.
    if file
        .seek(SeekFrom::Start(metadata.len.saturating_sub(READ)))
        .is_ok()
    {
        let _ = file.take(READ).read_to_end(&mut bytes);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
