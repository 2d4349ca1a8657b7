//! The swap's own folder: a lock, the backups, the journal, and files on their way.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use durable_fs::{Dir, Lock};

use crate::error::Doing as _;
use crate::journal::{self, Journal};
use crate::{Error, ErrorKind, HotSwap};

/// Beside the target, so that a file gets from the one to the other by a rename.
pub(crate) const FOLDER: &str = ".lockstep-swap";
const LOCK: &str = "lock";
const BACKUPS: &str = "backups";

/// Files on their way. Whoever finds one of these has found a leftover.
pub(crate) const INCOMING: &str = "incoming";
pub(crate) const SAVING: &str = "saving";
pub(crate) const RESTORING: &str = "restoring";
pub(crate) const CHECKING: &str = "checking";

/// The folder, locked.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) dir: Dir,
    pub(crate) backups: Dir,
    _lock: Lock,
}

/// Where a swap keeps what is its own.
pub(crate) fn folder_of(swap: &HotSwap) -> Result<PathBuf, Error> {
    if let Some(folder) = &swap.state_folder {
        return Ok(folder.clone());
    }
    let (parent, name) = split(&swap.target)?;
    Ok(parent.join(FOLDER).join(name))
}

/// The folder of a file, and its name in there.
pub(crate) fn split(path: &Path) -> Result<(PathBuf, OsString), Error> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if parent.as_os_str().is_empty() => {
            Ok((".".into(), name.to_owned()))
        }
        (Some(parent), Some(name)) => Ok((parent.to_owned(), name.to_owned())),
        _ => Err(Error::new(
            ErrorKind::Configuration,
            format!("{} is no path of a file", path.display()),
        )),
    }
}

/// Only within a file system does a file change its name in one step.
fn require_one_file_system(swap: &HotSwap, state: &Dir) -> Result<(), Error> {
    let during = || "cannot compare file systems".to_owned();
    let (parent, _) = split(&swap.target)?;
    let target = swap
        .disk
        .open_dir(&parent)
        .doing(|| format!("cannot open the folder of {}", swap.target.display()))?;
    if target.device().doing(during)? == state.device().doing(during)? {
        return Ok(());
    }
    let text = format!(
        "{} is on another file system than {}, so that nothing can be replaced from there in one step",
        state.path().display(),
        swap.target.display()
    );
    Err(Error::new(ErrorKind::Unsupported, text))
}

impl State {
    /// Opens the folder to read in it: the folder itself, and that of the backups. `None` if there is none yet.
    pub(crate) fn look(swap: &HotSwap) -> Result<Option<(Dir, Dir)>, Error> {
        let path = folder_of(swap)?;
        let dir = match swap.disk.open_dir(&path) {
            Err(error) if error.is_not_found() => return Ok(None),
            opened => opened.doing(|| format!("cannot open {}", path.display()))?,
        };
        match dir.open_dir(BACKUPS) {
            Err(error) if error.is_not_found() => Ok(None),
            backups => {
                let backups = backups.doing(|| "cannot open the backups".into())?;
                Ok(Some((dir, backups)))
            }
        }
    }

    /// Creates the folder where it is missing, takes its lock, and removes what an interrupted swap left on its way.
    pub(crate) fn lock(swap: &HotSwap) -> Result<Self, Error> {
        let path = folder_of(swap)?;
        let during = || format!("cannot prepare {}", path.display());
        let dir = if swap.state_folder.is_some() {
            swap.disk.create_dir_all(&path).doing(during)?
        } else {
            // Not through a link that somebody planted: only the target's folder is the caller's own choice.
            let (parent, name) = split(&swap.target)?;
            let parent = swap
                .disk
                .open_dir(&parent)
                .doing(|| format!("cannot open the folder of {}", swap.target.display()))?;
            // A set-user program that was replaced for its holes must not be within everybody's reach.
            match parent.create_private_dir(FOLDER) {
                Err(error) if error.is_already_exists() => {}
                created => created.doing(during)?,
            }
            let all = parent.open_dir(FOLDER).doing(during)?;
            let dir = all.create_dir_all(&name).doing(during)?;
            all.sync().and_then(|()| parent.sync()).doing(during)?;
            dir
        };
        let lock = dir.try_lock(LOCK).doing(during)?.ok_or_else(|| {
            let holder = dir.lock_holder(LOCK);
            let holder = holder.map_or_else(String::new, |process| format!(" (process {process})"));
            let text = format!(
                "another swap of {} is going on{holder}",
                swap.target.display()
            );
            Error::new(ErrorKind::Busy, text)
        })?;
        if swap.container.is_none() && swap.state_folder.is_some() {
            require_one_file_system(swap, &dir)?;
        }
        let backups = dir.create_dir_all(BACKUPS).doing(during)?;
        dir.sync().doing(during)?;
        let state = Self {
            dir,
            backups,
            _lock: lock,
        };
        for entry in state.dir.entries().doing(during)? {
            let name = entry.name.to_string_lossy();
            let is_leftover = [INCOMING, SAVING, RESTORING, CHECKING].contains(&&*name)
                || name.starts_with(durable_fs::TEMPORARY_PREFIX);
            if is_leftover {
                state.dir.remove_tree(&entry.name).doing(during)?;
            }
        }
        Ok(state)
    }

    pub(crate) fn journal(&self) -> Result<Option<Journal>, Error> {
        journal::read(&self.dir)
    }

    /// Removes a file that was on its way.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Error> {
        let removed = self.dir.remove_tree(name);
        removed.doing(|| format!("cannot remove {}", self.dir.path().join(name).display()))
    }
}
