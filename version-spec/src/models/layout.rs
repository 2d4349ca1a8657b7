//! Where things are below `MODELS_DIR`.

use durable_fs::{Dir, Disk, ErrorKind as DiskKind, FileKind, Lock as FileLock};
use manifest_core::{ReleasePath, Sha256Digest};

use crate::{Error, ErrorKind, ModelsDir};

/// The folder of the store's own things. No target starts with a dot.
const STORE: &str = ".store";

/// `MODELS_DIR`, opened.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    root: Dir,
}

/// Whether a lock could be taken.
pub(super) enum Locking {
    Locked(FileLock),
    Held,
    /// The file system has no locks.
    Unsupported,
}

impl Layout {
    /// `None` if the folder does not exist.
    pub(super) fn open(disk: &Disk, models: &ModelsDir) -> Result<Option<Self>, Error> {
        match disk.open_dir(models.path()) {
            Ok(root) => Ok(Some(Self { root })),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(Error::disk(
                format!(
                    "the folder of models {} cannot be opened",
                    models.path().display()
                ),
                error,
            )),
        }
    }

    pub(super) fn create(disk: &Disk, models: &ModelsDir) -> Result<Self, Error> {
        let failed = |error| {
            Error::disk(
                format!(
                    "the folder of models {} cannot be created",
                    models.path().display()
                ),
                error,
            )
        };
        let root = disk.create_dir_all(models.path()).map_err(failed)?;
        Ok(Self { root })
    }

    pub(super) fn root(&self) -> &Dir {
        &self.root
    }

    /// A folder of the store, created when it is missing.
    pub(super) fn folder(&self, name: &str) -> Result<Dir, Error> {
        let path = format!("{STORE}/{name}");
        self.root
            .create_dir_all(&path)
            .map_err(|error| self.failed(&path, "created", error))
    }

    /// A folder of the store, if it is there.
    pub(super) fn folder_if_there(&self, name: &str) -> Result<Option<Dir>, Error> {
        let path = format!("{STORE}/{name}");
        match self.root.open_dir(&path) {
            Ok(folder) => Ok(Some(folder)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(self.failed(&path, "opened", error)),
        }
    }

    /// The length of a content that the store has.
    pub(super) fn stored(&self, digest: Sha256Digest) -> Option<u64> {
        let metadata = self.root.metadata(content_path(digest)).ok()??;
        (metadata.kind == FileKind::File).then_some(metadata.len)
    }

    /// The folder that a target is in, created when it is missing.
    pub(super) fn folder_of(&self, target: &ReleasePath) -> Result<Dir, Error> {
        let Some(parent) = target.parent() else {
            return Ok(self.root.clone());
        };
        self.root
            .create_dir_all(parent)
            .map_err(|error| self.unusable(target, error))
    }

    /// A target that cannot be looked at, or not be written.
    pub(super) fn unusable(&self, target: &ReleasePath, error: durable_fs::Error) -> Error {
        let path = self.root.path().join(target.as_str());
        if error.kind() == DiskKind::NotRegular {
            let message = format!(
                "{} cannot be used: a folder on its way is a link, or no folder",
                path.display()
            );
            let hint = "make it a folder, or choose the folder that the link leads to as the folder of models";
            return Error::new(ErrorKind::Damaged, message)
                .with_hint(hint)
                .with_source(error);
        }
        Error::disk(format!("{} cannot be used", path.display()), error)
    }

    /// What is named by `key` is worked on by whoever holds this lock.
    pub(super) fn try_lock(&self, key: Sha256Digest) -> Result<Locking, Error> {
        let locks = self.folder("locks")?;
        match locks.try_lock(format!("{key}.lock")) {
            Ok(Some(lock)) => Ok(Locking::Locked(lock)),
            Ok(None) => Ok(Locking::Held),
            Err(error) if error.kind() == DiskKind::Unsupported => {
                tracing::debug!(%error, "going on without a lock");
                Ok(Locking::Unsupported)
            }
            Err(error) => Err(self.failed(&format!("{STORE}/locks"), "locked", error)),
        }
    }

    pub(super) fn failed(&self, path: &str, what: &str, error: durable_fs::Error) -> Error {
        Error::disk(
            format!("{} cannot be {what}", self.root.path().join(path).display()),
            error,
        )
    }
}

/// Where a content lies, from `MODELS_DIR`.
pub(super) fn content_path(digest: Sha256Digest) -> String {
    let name = digest.to_string();
    format!("{STORE}/sha256/{}/{name}", &name[..2])
}

/// What a link at the target says: the way to the content, so that the folder of models may be moved.
pub(super) fn link_text(target: &ReleasePath, digest: Sha256Digest) -> String {
    let ups = target.components().count() - 1;
    "../".repeat(ups) + &content_path(digest)
}

/// Refuses a target among the store's own things.
pub(super) fn check_target(target: &ReleasePath) -> Result<(), Error> {
    if target.as_str().starts_with('.') {
        let message = format!(
            "{target} starts with a dot; such names in the folder of models are kept for its own files"
        );
        return Err(Error::new(ErrorKind::Name, message));
    }
    Ok(())
}
