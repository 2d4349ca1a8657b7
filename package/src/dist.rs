//! The folder that is packed into.

use std::path::{Path, PathBuf};

use durable_fs::{Dir, Disk, FileKind, FileWriter, Lock, Replace};
use manifest_core::{Sha256Digest, Sha256Hasher};

use crate::progress::Watch;
use crate::{
    Asset, AssetState, CATALOG_FILE_NAME, Catalog, Error, ErrorKind, Existing, PackProgress, Result,
};

/// What is being packed is in here, until all of it is whole. A folder of this name that is found tells of an
/// interrupted run.
const WORK: &str = ".lockstep-pack";
const LOCK: &str = "lock";
/// No catalogue is longer: a thousand tools take less than 1 MiB.
const CATALOG_LIMIT: u64 = 64 << 20;

/// The folder, locked. What is not committed is gone when this is dropped.
pub(crate) struct Dist {
    dir: Dir,
    work: Dir,
    /// Whether the folder itself was created for this run.
    is_new: bool,
    _lock: Lock,
}

/// What was put in its place, to be taken back if the rest fails.
enum Step<'a> {
    Placed(&'a str),
    Exchanged(&'a str),
}

impl Dist {
    pub(crate) fn open(disk: &Disk, path: &Path) -> Result<Self> {
        let cannot = |error| Error::disk(format!("cannot pack into {}", path.display()), error);
        let busy = || {
            let text = format!("another process is packing into {}", path.display());
            Error::new(ErrorKind::Busy, text)
        };
        let is_new = disk.open_dir(path).is_err_and(|error| error.is_not_found());
        let dir = disk.create_dir_all(path).map_err(cannot)?;
        let work = dir.create_dir_all(WORK).map_err(cannot)?;
        let lock = match work.try_lock(LOCK) {
            // Whoever held it has just removed the folder.
            Err(error) if error.is_not_found() => return Err(busy()),
            tried => tried.map_err(cannot)?,
        };
        let opened = Self {
            dir,
            work,
            is_new,
            _lock: lock.ok_or_else(busy)?,
        };
        for left in opened.work.entries().map_err(cannot)? {
            if left.name != LOCK {
                opened.work.remove_tree(&left.name).map_err(cannot)?;
            }
        }
        Ok(opened)
    }

    /// Creates an archive that is not in its place yet.
    pub(crate) fn create(&self, name: &str, at_least: u64) -> Result<FileWriter> {
        let cannot = |error| {
            let path = self.dir.path().display();
            Error::disk(format!("cannot pack into {path}"), error)
        };
        if let Some(free) = self.work.free_space().map_err(cannot)?
            && free < at_least
        {
            let text = format!(
                "{} has {free} bytes free, but {name} needs {at_least} at least: make room and pack again",
                self.dir.path().display()
            );
            return Err(Error::new(ErrorKind::NoSpace, text));
        }
        self.work.create_file(name).map_err(cannot)
    }

    pub(crate) fn catalog(&self) -> Result<Catalog> {
        read_catalog(&self.dir)
    }

    /// Compares a packed archive with what has its name.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] if that is another one, and may not be replaced; [`ErrorKind::Io`] if it is no file.
    pub(crate) fn state_of(
        &self,
        asset: &Asset,
        existing: Existing,
        watch: &Watch<'_>,
    ) -> Result<AssetState> {
        let path = self.dir.path().join(&asset.name);
        let cannot = |error| Error::disk(format!("cannot read {}", path.display()), error);
        let Some(found) = self.dir.metadata(&asset.name).map_err(cannot)? else {
            return Ok(AssetState::New);
        };
        if found.kind != FileKind::File {
            let text = format!("{} is no file: move it away", path.display());
            return Err(Error::new(ErrorKind::Io, text));
        }
        if found.len == asset.size {
            let file = self.dir.open_file(&asset.name).map_err(cannot)?;
            if digest_of(&file, &path, watch)? == asset.sha256 {
                return Ok(AssetState::Unchanged);
            }
        }
        if existing == Existing::Replace {
            return Ok(AssetState::Replaced);
        }
        let text = format!(
            "{} exists, with other content: a released archive must never change; give the new content a new \
             version",
            path.display()
        );
        Err(Error::new(ErrorKind::Conflict, text))
    }

    /// Puts archives in their places, and then the catalogue: everything durably, or nothing at all if a step
    /// fails. A power cut between two steps leaves whole archives that the catalogue does not name yet, or still names by the
    /// digests of those that they replace.
    pub(crate) fn commit(&self, assets: &[(Asset, AssetState)], catalog: &Catalog) -> Result<()> {
        let cannot = |error| {
            let path = self.dir.path().display();
            Error::disk(format!("cannot put archives into {path}"), error)
        };
        let bytes = catalog.to_bytes();
        // An older release does not change what is listed.
        let is_listed_already = self.has_catalog(&bytes);
        let mut steps = Vec::new();
        let done = self.place(assets, &mut steps).and_then(|()| {
            if is_listed_already {
                return Ok(());
            }
            self.write_catalog(&bytes)
        });
        done.map_err(|error| {
            // Where only the last sync failed, the catalogue names the archives, and they must stay.
            let is_listed_now = !is_listed_already && self.has_catalog(&bytes);
            if !is_listed_now && let Err(error) = self.take_back(&steps) {
                let path = self.dir.path().display();
                tracing::warn!(
                    error = format_args!("{error:#}"),
                    "{path} holds archives that the catalogue does not name"
                );
            }
            cannot(error)
        })
    }

    fn place<'a>(
        &self,
        assets: &'a [(Asset, AssetState)],
        steps: &mut Vec<Step<'a>>,
    ) -> durable_fs::Result<()> {
        for (Asset { name, .. }, state) in assets {
            let step = match state {
                AssetState::Unchanged => continue,
                AssetState::New => {
                    self.work.rename(name, &self.dir, name, Replace::Refuse)?;
                    Step::Placed(name)
                }
                AssetState::Replaced => match self.work.exchange(name, &self.dir, name) {
                    // Then it cannot be taken back either.
                    Err(error) if error.kind() == durable_fs::ErrorKind::Unsupported => {
                        self.work.rename(name, &self.dir, name, Replace::Allow)?;
                        continue;
                    }
                    exchanged => {
                        exchanged?;
                        Step::Exchanged(name)
                    }
                },
            };
            steps.push(step);
        }
        self.sync()
    }

    /// A rename is durable when both folders are.
    fn sync(&self) -> durable_fs::Result<()> {
        self.dir.sync()?;
        self.work.sync()
    }

    fn write_catalog(&self, bytes: &[u8]) -> durable_fs::Result<()> {
        // Under a temporary name of its own it would be left in the folder by a crash.
        self.work.replace_file(CATALOG_FILE_NAME, bytes)?;
        let allow = Replace::Allow;
        self.work
            .rename(CATALOG_FILE_NAME, &self.dir, CATALOG_FILE_NAME, allow)?;
        self.sync()
    }

    fn has_catalog(&self, bytes: &[u8]) -> bool {
        self.dir
            .read(CATALOG_FILE_NAME, CATALOG_LIMIT)
            .is_ok_and(|there| there == bytes)
    }

    fn take_back(&self, steps: &[Step<'_>]) -> durable_fs::Result<()> {
        for step in steps.iter().rev() {
            match step {
                Step::Placed(name) => self.dir.remove_file(name)?,
                Step::Exchanged(name) => self.work.exchange(name, &self.dir, name)?,
            }
        }
        self.sync()
    }
}

impl Drop for Dist {
    /// The lock goes last: who gets it finds nothing of this run.
    fn drop(&mut self) {
        let mut removed = self.dir.remove_tree(WORK);
        if self.is_new
            && removed.is_ok()
            && self.dir.entries().is_ok_and(|left| left.is_empty())
            && let (Some(parent), Some(name)) =
                (parent_of(self.dir.path()), self.dir.path().file_name())
        {
            removed = self
                .dir
                .disk()
                .open_dir(parent)
                .and_then(|parent| parent.remove_dir(name));
        }
        if let Err(error) = removed {
            tracing::warn!(
                error = format_args!("{error:#}"),
                "what an interrupted run left is removed by the next one"
            );
        }
    }
}

/// The catalogue of a folder; an empty one if there is none.
pub(crate) fn read_catalog(dir: &Dir) -> Result<Catalog> {
    let path = dir.path().join(CATALOG_FILE_NAME);
    let cannot = || format!("cannot use {}", path.display());
    match dir.read(CATALOG_FILE_NAME, CATALOG_LIMIT) {
        Err(error) if error.is_not_found() => Ok(Catalog::new()),
        Err(error) if error.kind() == durable_fs::ErrorKind::TooLarge => {
            Err(Error::new(ErrorKind::Catalog, cannot()).with_source(error))
        }
        read => {
            let bytes = read.map_err(|error| Error::disk(cannot(), error))?;
            Catalog::parse(&bytes)
                .map_err(|error| Error::new(ErrorKind::Catalog, cannot()).with_source(error))
        }
    }
}

fn parent_of(path: &Path) -> Option<PathBuf> {
    let parent = path.parent()?;
    Some(if parent.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        parent.to_owned()
    })
}

fn digest_of(mut file: &std::fs::File, path: &Path, watch: &Watch<'_>) -> Result<Sha256Digest> {
    use std::io::Read as _;
    let mut hasher = Sha256Hasher::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize()),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                watch.say(PackProgress::ReadAhead(count as u64))?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(Error::io(format!("cannot read {}", path.display()), error));
            }
        }
    }
}
