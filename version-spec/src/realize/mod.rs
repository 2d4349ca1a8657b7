//! Doing what a plan says.

mod core;
mod failures;
mod nodes;
mod run;
mod steps;
mod tree;

use std::time::Duration;

use durable_fs::{Dir, Lock as FileLock};

use crate::comfy::{Event, Inner};
use crate::plan::{self, Facts, Missing};
use crate::state::{HomeState, LOCK_FILE, OWN_FOLDER};
use crate::{CancellationToken, Error, Home, Lock, Spec};

pub(crate) use core::{damage, has_branches, must_be_free, remove as remove_core};
pub(crate) use nodes::{NodeThere, in_the_way, look, remove as remove_node};
pub(crate) use tree::{Trace, copy_tree};

/// Whether everything is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It is.
    Complete,
    /// Something could not be had without the network.
    Partial,
}

/// What realizing a version did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Realized {
    /// Whether everything is there.
    pub outcome: Outcome,
    /// How many steps were done; 0 if there was nothing to do.
    pub steps: usize,
    /// Bytes of models that were downloaded.
    pub downloaded: u64,
    /// The lock, with what was seen for the first time.
    pub lock: Lock,
    /// What could not be had without the network.
    pub missing: Vec<Missing>,
    /// Where things that the user had changed are now, relative to the home.
    pub kept: Vec<String>,
    /// What a person should know, one sentence each.
    pub warnings: Vec<String>,
}

/// How often a home that another process works on is tried again.
const WAIT: Duration = Duration::from_millis(50);

pub(crate) async fn realize(
    inner: &Inner,
    spec: &Spec,
    lock: &Lock,
    home: &Home,
    cancel: &CancellationToken,
) -> Result<Realized, Error> {
    let facts = Facts {
        inner,
        spec,
        lock,
        home,
    };
    // Most often there is nothing to do, and nobody to wait for.
    let plan = plan::make(&facts)?;
    if plan.is_empty() && is_home_of(inner, spec, home)? {
        return Ok(Realized {
            outcome: Outcome::Complete,
            steps: 0,
            downloaded: 0,
            lock: lock.clone(),
            missing: Vec::new(),
            kept: Vec::new(),
            warnings: plan.warnings,
        });
    }
    let folder = open_home(inner, home)?;
    let guard = lock_home(inner, &folder, cancel).await?;
    // Somebody else may have done it while we waited.
    let plan = plan::make(&facts)?;
    let done = run::run(&facts, plan, folder, cancel).await;
    drop(guard);
    done
}

/// Whether the home is recorded as that of this version: two versions can consist of the same.
fn is_home_of(inner: &Inner, spec: &Spec, home: &Home) -> Result<bool, Error> {
    let failed = |error| Error::disk(format!("{} cannot be opened", home.path().display()), error);
    let folder = match inner.disk.open_dir(home.path()) {
        Err(error) if error.is_not_found() => return Ok(true),
        opened => opened.map_err(failed)?,
    };
    Ok(HomeState::load(&folder)?.is_none_or(|state| state.version_id == spec.version_id))
}

fn open_home(inner: &Inner, home: &Home) -> Result<Dir, Error> {
    let failed = |error| {
        Error::disk(
            format!("{} cannot be created", home.path().display()),
            error,
        )
    };
    let folder = inner.disk.create_dir_all(home.path()).map_err(failed)?;
    folder.create_dir_all(OWN_FOLDER).map_err(failed)?;
    Ok(folder)
}

/// Waits until nobody else works on the home. `None` where the file system has no locks.
pub(crate) async fn lock_home(
    inner: &Inner,
    folder: &Dir,
    cancel: &CancellationToken,
) -> Result<Option<FileLock>, Error> {
    let mut is_first = true;
    loop {
        if cancel.is_cancelled() {
            return Err(Error::cancelled());
        }
        match try_lock_home(folder)? {
            Locking::Locked(lock) => return Ok(Some(lock)),
            Locking::Unsupported => return Ok(None),
            Locking::Held if is_first => {
                inner.hear(&Event::Waiting(format!(
                    "another process works on {}",
                    folder.path().display()
                )));
            }
            Locking::Held => {}
        }
        is_first = false;
        tokio::select! {
            () = cancel.cancelled() => {}
            () = tokio::time::sleep(WAIT) => {}
        }
    }
}

pub(crate) enum Locking {
    Locked(FileLock),
    Held,
    /// The file system has no locks.
    Unsupported,
}

pub(crate) fn try_lock_home(folder: &Dir) -> Result<Locking, Error> {
    match folder.try_lock(LOCK_FILE) {
        Ok(Some(lock)) => Ok(Locking::Locked(lock)),
        Ok(None) => Ok(Locking::Held),
        Err(error) if error.kind() == durable_fs::ErrorKind::Unsupported => {
            tracing::debug!(%error, "going on without a lock");
            Ok(Locking::Unsupported)
        }
        Err(error) => Err(Error::disk(
            format!("{} cannot be locked", folder.path().display()),
            error,
        )),
    }
}
