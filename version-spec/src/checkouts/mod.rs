//! The checkouts in a cache: each made once, whoever asks for it.

mod entry;
mod fingerprint;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use durable_fs::{Disk, Lock as FileLock, Replace};
use manifest_core::Sha256Digest;

use crate::{CancellationToken, Error, ErrorKind, Git, LockedSource};

use entry::Entry;
use fingerprint::is_no_folder;

/// The checkouts of a cache.
///
/// A checkout `<name>` has two files beside it: `<name>.files.json` says what it consisted of when it was made, and `<name>.lock` is
/// locked while it is being made. It appears whole or not at all; an interrupted run leaves no more than a `.lockstep-…` beside it,
/// which the next one removes. Processes on several machines may share a cache, as far as its file system has locks between them.
/// Without locks a checkout is made more than once, and still appears whole.
#[derive(Clone, Debug)]
pub struct Checkouts {
    disk: Disk,
    git: Arc<dyn Git>,
}

/// What [`Checkouts::ensure`] had to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ensured {
    /// Nothing: it was there.
    Present,
    /// It was fetched.
    Fetched,
}

/// How often a lock that another process holds is tried again.
const WAIT: Duration = Duration::from_millis(50);

impl Checkouts {
    /// Checkouts by this git.
    #[must_use]
    pub fn new(disk: Disk, git: Arc<dyn Git>) -> Self {
        Self { disk, git }
    }

    /// Whether the checkout is there with all its files. What is in them is not looked at; [`changed`](Self::changed) does. Blocks for
    /// the time of listing its folders; no process is run.
    #[must_use]
    pub fn is_present(&self, checkout: &Path) -> bool {
        let entry = Entry::open(&self.disk, checkout);
        entry.is_ok_and(|entry| entry.is_some_and(|entry| entry.is_present(None)))
    }

    /// Makes the checkout if it is not there with all its files. One that lost files is replaced; one that was written to is not.
    ///
    /// If another process is making it, this waits.
    ///
    /// # Errors
    /// Those of [`Git::check_out`]; `Damaged` if it lost files and cannot be made again, with the reason as its cause; `NoSpace`,
    /// `PermissionDenied`, `Io`, `Cancelled`.
    pub async fn ensure(
        &self,
        checkout: &Path,
        source: &LockedSource,
        cancel: &CancellationToken,
    ) -> Result<Ensured, Error> {
        if self
            .blocking(checkout, source, |entry, source| {
                Ok(entry.is_present(Some(&source)))
            })
            .await?
        {
            return Ok(Ensured::Present);
        }
        self.make(checkout, source, cancel, Existing::KeepWhole)
            .await
    }

    /// Makes the checkout anew, whatever is there: for one that was written to.
    ///
    /// # Errors
    /// As [`ensure`](Self::ensure). What was there is then still there.
    pub async fn renew(
        &self,
        checkout: &Path,
        source: &LockedSource,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        self.make(checkout, source, cancel, Existing::Replace)
            .await
            .map(drop)
    }

    async fn make(
        &self,
        checkout: &Path,
        source: &LockedSource,
        cancel: &CancellationToken,
        existing: Existing,
    ) -> Result<Ensured, Error> {
        let lock = self.lock(checkout, source, cancel).await?;
        let may_clean = lock.is_some();
        // Somebody else may have made it while we waited.
        let state = self
            .blocking(checkout, source, move |entry, source| {
                if may_clean {
                    entry.remove_leftovers();
                }
                Ok(match existing {
                    Existing::KeepWhole if entry.is_present(Some(&source)) => State::Whole,
                    _ if entry.exists() => State::Broken,
                    _ => State::Missing,
                })
            })
            .await?;
        if state == State::Whole {
            return Ok(Ensured::Present);
        }
        let made = self.fetch(checkout, source, cancel).await;
        drop(lock);
        match made {
            Err(error)
                if state == State::Broken
                    && existing == Existing::KeepWhole
                    && error.kind() != ErrorKind::Cancelled =>
            {
                let message = format!(
                    "{} is not whole, and cannot be made again",
                    checkout.display()
                );
                let hint = error
                    .hint()
                    .unwrap_or("see whether its repository can be reached")
                    .to_owned();
                Err(Error::new(ErrorKind::Damaged, message)
                    .with_hint(hint)
                    .with_source(error))
            }
            made => made.map(|()| Ensured::Fetched),
        }
    }

    async fn fetch(
        &self,
        checkout: &Path,
        source: &LockedSource,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let entry = Entry::create(&self.disk, checkout)?;
        let temporary = entry.temporary();
        let into = entry.parent_path().join(&temporary);
        let from = source.leading_ref();
        let fetched = self
            .git
            .check_out(&source.repo, &source.commit, from, &into, cancel)
            .await;
        let name = temporary.clone();
        let published = match fetched {
            Ok(()) => {
                self.blocking(checkout, source, move |entry, source| {
                    entry.publish(&name, &source)
                })
                .await
            }
            Err(error) => Err(error),
        };
        if published.is_err() {
            // The next one removes it otherwise.
            let _ = self
                .blocking(checkout, source, move |entry, _| {
                    entry.discard(&temporary);
                    Ok(())
                })
                .await;
        }
        published
    }

    /// Waits until nobody else is making the checkout. `None` where the file system has no locks.
    async fn lock(
        &self,
        checkout: &Path,
        source: &LockedSource,
        cancel: &CancellationToken,
    ) -> Result<Option<FileLock>, Error> {
        let mut is_first = true;
        loop {
            if cancel.is_cancelled() {
                return Err(Error::cancelled());
            }
            match self
                .blocking(checkout, source, |entry, _| entry.try_lock())
                .await?
            {
                entry::Locking::Locked(lock) => return Ok(Some(lock)),
                entry::Locking::Unsupported => return Ok(None),
                entry::Locking::Held if is_first => {
                    tracing::info!(checkout = %checkout.display(), "another process is making it");
                }
                entry::Locking::Held => {}
            }
            is_first = false;
            tokio::select! {
                () = cancel.cancelled() => {}
                () = tokio::time::sleep(WAIT) => {}
            }
        }
    }

    /// What was written into the checkout since it was made: changed, new and missing files, and new folders, with a `/` at their end;
    /// sorted. What Python writes by itself (`__pycache__`) is left out. A file is taken as unchanged if its size and time are the same.
    ///
    /// Blocks for the time of asking for every file; no process is run.
    ///
    /// # Errors
    /// `Damaged` if it is not there, or not known what it consisted of; `PermissionDenied`, `Io`.
    pub fn changed(&self, checkout: &Path) -> Result<Vec<String>, Error> {
        let unknown = || {
            let message = format!("it is not known what {} consisted of", checkout.display());
            Error::new(ErrorKind::Damaged, message).with_hint("realize the version again")
        };
        let entry = Entry::open(&self.disk, checkout)?.ok_or_else(unknown)?;
        let fingerprint = entry.fingerprint().ok_or_else(unknown)?;
        let folder = entry.folder().map_err(|error| {
            if is_no_folder(&error) {
                unknown()
            } else {
                entry.unreadable(error)
            }
        })?;
        fingerprint
            .changed(&folder)
            .map_err(|error| entry.unreadable(error))
    }

    /// What a checkout consisted of when it was made, by path: whether it is a link, its size, and its digest.
    ///
    /// # Errors
    /// `Damaged` if that is not known; `PermissionDenied`, `Io`.
    pub(crate) fn contents(
        &self,
        checkout: &Path,
    ) -> Result<BTreeMap<String, (bool, u64, Sha256Digest)>, Error> {
        let unknown = || {
            Error::new(
                ErrorKind::Damaged,
                format!("it is not known what {} consisted of", checkout.display()),
            )
        };
        let entry = Entry::open(&self.disk, checkout)?.ok_or_else(unknown)?;
        Ok(entry.fingerprint().ok_or_else(unknown)?.contents())
    }

    /// Removes a checkout that nobody uses any more; it is no error if there is none. Its lock stays.
    ///
    /// # Errors
    /// `PermissionDenied`, `Io`, `Cancelled`.
    pub async fn remove(
        &self,
        checkout: &Path,
        source: &LockedSource,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let _lock = self.lock(checkout, source, cancel).await?;
        self.blocking(checkout, source, |entry, _| entry.remove())
            .await
    }

    /// Works on an entry, whose folder is created, where blocking is allowed.
    async fn blocking<T: Send + 'static>(
        &self,
        checkout: &Path,
        source: &LockedSource,
        work: impl FnOnce(&Entry, LockedSource) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (disk, checkout, source) = (self.disk.clone(), checkout.to_owned(), source.clone());
        let task =
            tokio::task::spawn_blocking(move || work(&Entry::create(&disk, &checkout)?, source));
        task.await.unwrap_or_else(|error| {
            Err(
                Error::new(ErrorKind::Io, "the work on a checkout was broken off")
                    .with_source(error),
            )
        })
    }
}

/// What to do with a checkout that is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Existing {
    KeepWhole,
    Replace,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Whole,
    Broken,
    Missing,
}
