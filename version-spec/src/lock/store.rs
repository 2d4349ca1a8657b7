//! The locks in the cache.

use std::path::PathBuf;

use durable_fs::{Dir, Disk};

use super::Lock;
use crate::{Cache, Error, ErrorKind, Spec, VersionId};

/// A hashed lock of some thousand packages has a few MiB.
const MAX_BYTES: u64 = 64 << 20;

/// The folder `resolved/` of a cache: one lock for each version.
#[derive(Clone, Debug)]
pub struct LockStore {
    disk: Disk,
    cache: Cache,
}

/// What there is for a spec.
#[derive(Debug)]
#[non_exhaustive]
pub enum FoundLock {
    /// No lock.
    Missing,
    /// A lock that was made from this very spec.
    Fresh(Lock),
    /// A lock that was made from another one: good for nothing but a comparison, and the pins of models.
    Stale(Lock),
    /// A file that is no lock, and why. Saving a new one replaces it.
    Damaged(Error),
}

impl LockStore {
    /// The locks of this cache, which need not exist yet.
    #[must_use]
    pub fn new(disk: &Disk, cache: &Cache) -> Self {
        Self {
            disk: disk.clone(),
            cache: cache.clone(),
        }
    }

    /// Where the lock of a version is, whether it exists or not.
    #[must_use]
    pub fn path_of(&self, version: &VersionId) -> PathBuf {
        self.cache.lock(version)
    }

    /// The lock of a version; `None` if there is none.
    ///
    /// # Errors
    /// `Damaged` if what is there is no lock, or that of another version; `PermissionDenied`, `Io`.
    pub fn load(&self, version: &VersionId) -> Result<Option<Lock>, Error> {
        let path = self.path_of(version);
        let failed = |error: durable_fs::Error| match error.kind() {
            durable_fs::ErrorKind::NotRegular | durable_fs::ErrorKind::TooLarge => {
                Error::new(ErrorKind::Damaged, format!("{} is no lock", path.display()))
                    .with_hint("resolve the version again")
                    .with_source(error)
            }
            _ => Error::disk(format!("{} cannot be read", path.display()), error),
        };
        let Some(folder) = self.open(version)? else {
            return Ok(None);
        };
        let bytes = match folder.read(file_name(version), MAX_BYTES) {
            Err(error) if error.is_not_found() => return Ok(None),
            read => read.map_err(failed)?,
        };
        let lock = Lock::parse(&bytes).map_err(|error| {
            let message = format!("{} cannot be used: {}", path.display(), error.message());
            Error::new(error.kind(), message).with_hint("resolve the version again")
        })?;
        if lock.version_id != *version {
            let message = format!(
                "{} cannot be used: it is the lock of {}",
                path.display(),
                lock.version_id
            );
            return Err(
                Error::new(ErrorKind::Damaged, message).with_hint("resolve the version again")
            );
        }
        Ok(Some(lock))
    }

    /// What there is for a spec. A lock that cannot be used is no error here: it is made again.
    ///
    /// # Errors
    /// `PermissionDenied`, `Io`.
    pub fn find(&self, spec: &Spec) -> Result<FoundLock, Error> {
        match self.load(&spec.version_id) {
            Ok(None) => Ok(FoundLock::Missing),
            Ok(Some(lock)) if lock.is_for(spec) => Ok(FoundLock::Fresh(lock)),
            Ok(Some(lock)) => Ok(FoundLock::Stale(lock)),
            Err(error) if error.kind() == ErrorKind::Damaged => {
                tracing::warn!(%error, "the lock is not used");
                Ok(FoundLock::Damaged(error))
            }
            Err(error) => Err(error),
        }
    }

    /// Writes a lock, durably and at once: a reader sees the old one or the new. Nothing is written if it is there already.
    ///
    /// # Errors
    /// `NoSpace`, `PermissionDenied`, `Io`.
    pub fn save(&self, lock: &Lock) -> Result<PathBuf, Error> {
        let path = self.path_of(&lock.version_id);
        let name = file_name(&lock.version_id);
        let bytes = lock.to_json();
        let failed = |error| Error::disk(format!("{} cannot be written", path.display()), error);
        let parent = path.parent().expect("a lock is in a folder");
        let folder = self.disk.create_dir_all(parent).map_err(failed)?;
        if folder
            .read(&name, MAX_BYTES)
            .is_ok_and(|there| there == bytes)
        {
            return Ok(path);
        }
        folder.replace_file(&name, &bytes).map_err(failed)?;
        Ok(path)
    }

    /// Deletes the lock of a version, durably; it is no error if there is none.
    ///
    /// # Errors
    /// `PermissionDenied`, `Io`.
    pub fn remove(&self, version: &VersionId) -> Result<(), Error> {
        let Some(folder) = self.open(version)? else {
            return Ok(());
        };
        match folder
            .remove_file(file_name(version))
            .and_then(|()| folder.sync())
        {
            Err(error) if !error.is_not_found() => Err(Error::disk(
                format!("{} cannot be deleted", self.path_of(version).display()),
                error,
            )),
            _ => Ok(()),
        }
    }

    /// `None` if the folder does not exist.
    fn open(&self, version: &VersionId) -> Result<Option<Dir>, Error> {
        let path = self.path_of(version);
        let parent = path.parent().expect("a lock is in a folder");
        match self.disk.open_dir(parent) {
            Ok(folder) => Ok(Some(folder)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(Error::disk(
                format!("{} cannot be opened", parent.display()),
                error,
            )),
        }
    }
}

fn file_name(version: &VersionId) -> String {
    format!("{version}.lock.json")
}
