//! One checkout on the disk, with what stands beside it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use durable_fs::{Dir, Disk, Lock as FileLock, TEMPORARY_PREFIX};
use manifest_core::Sha256Digest;

use super::Replace;
use super::fingerprint::{Fingerprint, VERSION};
use crate::{Error, ErrorKind, LockedSource};

/// A repository of a million files.
const MAX_FINGERPRINT: u64 = 256 << 20;

pub(super) struct Entry {
    parent: Dir,
    name: OsString,
}

pub(super) enum Locking {
    Locked(FileLock),
    Held,
    Unsupported,
}

impl Entry {
    /// `None` if the folder that would hold it does not exist.
    pub(super) fn open(disk: &Disk, checkout: &Path) -> Result<Option<Self>, Error> {
        let (parent, name) = split(checkout)?;
        match disk.open_dir(parent) {
            Ok(parent) => Ok(Some(Self { parent, name })),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(Error::disk(
                format!("{} cannot be opened", parent.display()),
                error,
            )),
        }
    }

    /// Creates the folder that holds it.
    pub(super) fn create(disk: &Disk, checkout: &Path) -> Result<Self, Error> {
        let (path, name) = split(checkout)?;
        let parent = disk
            .create_dir_all(path)
            .map_err(|error| Error::disk(format!("{} cannot be created", path.display()), error))?;
        Ok(Self { parent, name })
    }

    pub(super) fn parent_path(&self) -> &Path {
        self.parent.path()
    }

    fn path(&self) -> PathBuf {
        self.parent.path().join(&self.name)
    }

    fn beside(&self, ending: &str) -> OsString {
        let mut name = self.name.clone();
        name.push(ending);
        name
    }

    pub(super) fn folder(&self) -> durable_fs::Result<Dir> {
        self.parent.open_dir(&self.name)
    }

    /// Whether anything has the name.
    pub(super) fn exists(&self) -> bool {
        self.parent
            .metadata(&self.name)
            .is_ok_and(|metadata| metadata.is_some())
    }

    /// `None` if there is none, or none that can be read.
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        let bytes = self
            .parent
            .read(self.beside(".files.json"), MAX_FINGERPRINT)
            .ok()?;
        let fingerprint: Fingerprint = serde_json::from_slice(&bytes).ok()?;
        (fingerprint.version == VERSION).then_some(fingerprint)
    }

    /// Whether it is there with all its files, and at its commit; that of `source`, if it is given.
    pub(super) fn is_present(&self, source: Option<&LockedSource>) -> bool {
        let (Ok(folder), Some(fingerprint)) = (self.folder(), self.fingerprint()) else {
            return false;
        };
        let is_at_commit = folder
            .read(".git/HEAD", 4096)
            .is_ok_and(|head| head.trim_ascii() == fingerprint.commit.as_str().as_bytes());
        let is_asked_for = source.is_none_or(|source| source.commit == fingerprint.commit);
        is_at_commit && is_asked_for && fingerprint.is_complete(&folder).unwrap_or(false)
    }

    pub(super) fn try_lock(&self) -> Result<Locking, Error> {
        match self.parent.try_lock(self.beside(".lock")) {
            Ok(Some(lock)) => Ok(Locking::Locked(lock)),
            Ok(None) => Ok(Locking::Held),
            Err(error) if error.kind() == durable_fs::ErrorKind::Unsupported => {
                tracing::debug!(%error, "going on without a lock");
                Ok(Locking::Unsupported)
            }
            Err(error) => Err(Error::disk(
                format!("{} cannot be locked", self.path().display()),
                error,
            )),
        }
    }

    /// What names of temporary folders for this entry start with: short, however long its name is.
    fn temporary_prefix(&self) -> String {
        let digest = Sha256Digest::of(self.name.as_encoded_bytes()).to_string();
        format!("{TEMPORARY_PREFIX}{}-", &digest[..16])
    }

    /// A name that no process on any machine that shares the folder has used.
    pub(super) fn temporary(&self) -> String {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let moment = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        format!(
            "{}{}-{number}-{:x}",
            self.temporary_prefix(),
            std::process::id(),
            moment.as_nanos()
        )
    }

    /// Removes what interrupted runs left. Only for who holds the lock.
    pub(super) fn remove_leftovers(&self) {
        let prefix = self.temporary_prefix();
        let is_leftover = |name: &OsStr| name.as_encoded_bytes().starts_with(prefix.as_bytes());
        for entry in self.parent.entries().unwrap_or_default() {
            if is_leftover(&entry.name) {
                tracing::debug!(name = %entry.name.display(), "removing what an interrupted run left");
                self.discard(&entry.name);
            }
        }
    }

    /// Removes a temporary folder. A git that outlived its caller may still write to it: then the next run removes the rest.
    pub(super) fn discard(&self, temporary: impl AsRef<Path>) {
        if let Err(error) = self.parent.remove_tree(temporary) {
            tracing::debug!(%error, "left for the next run");
        }
    }

    /// Gives a finished checkout its name. What has the name is replaced.
    pub(super) fn publish(&self, temporary: &str, source: &LockedSource) -> Result<(), Error> {
        let failed = |error| {
            Error::disk(
                format!("{} cannot be written", self.path().display()),
                error,
            )
        };
        let folder = self.parent.open_dir(temporary).map_err(failed)?;
        let fingerprint = Fingerprint::of(&folder, &source.repo, &source.commit).map_err(failed)?;
        folder.sync_tree().map_err(failed)?;
        let bytes = serde_json::to_vec(&fingerprint).expect("texts and numbers are always JSON");
        // Of the same commit, it holds for the checkout that is replaced, too, but for the times, and digests decide then.
        self.parent
            .replace_file(self.beside(".files.json"), &bytes)
            .map_err(failed)?;
        let old = self.set_aside().map_err(failed)?;
        let renamed = self
            .parent
            .rename(temporary, &self.parent, &self.name, Replace::Refuse);
        if let Err(error) = renamed {
            // Without locks, somebody else may have been faster; theirs is as good.
            if !(error.is_already_exists() && self.is_present(Some(source))) {
                return Err(failed(error));
            }
            self.discard(temporary);
        }
        self.parent.sync().map_err(failed)?;
        if let Some(old) = old {
            self.discard(old);
        }
        Ok(())
    }

    /// Renames what has the name to a temporary one.
    fn set_aside(&self) -> durable_fs::Result<Option<String>> {
        let aside = self.temporary();
        match self
            .parent
            .rename(&self.name, &self.parent, &aside, Replace::Refuse)
        {
            Ok(()) => Ok(Some(aside)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn remove(&self) -> Result<(), Error> {
        let failed = |error| {
            Error::disk(
                format!("{} cannot be removed", self.path().display()),
                error,
            )
        };
        let aside = self.set_aside().map_err(failed)?;
        match self.parent.remove_file(self.beside(".files.json")) {
            Err(error) if !error.is_not_found() => return Err(failed(error)),
            _ => {}
        }
        self.parent.sync().map_err(failed)?;
        match aside {
            Some(aside) => self.parent.remove_tree(aside).map_err(failed),
            None => Ok(()),
        }
    }

    pub(super) fn unreadable(&self, error: durable_fs::Error) -> Error {
        Error::disk(format!("{} cannot be read", self.path().display()), error)
    }
}

fn split(checkout: &Path) -> Result<(&Path, OsString), Error> {
    match (checkout.parent(), checkout.file_name()) {
        (Some(parent), Some(name)) if parent != Path::new("") => Ok((parent, name.to_owned())),
        _ => Err(Error::new(
            ErrorKind::Io,
            format!("{} is no place for a checkout", checkout.display()),
        )),
    }
}
