use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;

use durable_fs::{Dir, FileKind, Lock, Replace, TEMPORARY_PREFIX};
use serde::Serialize;

use crate::error::During as _;
use crate::{Error, ErrorKind, Key, access};

/// Below the root.
pub(crate) const CACHE: &str = "cache";
/// Below the root: all that this crate writes, but for artifacts that are put back.
pub(crate) const STORE: &str = "cache/flash-gpu";
const LOCK: &str = "lock";
const LOG: &str = "last.log";
/// Below [`STORE`]: a warm-up that runs; each has a name of its own. Emptied by the next one.
const WORK: &str = ".work";
/// Below [`STORE`]: what is being deleted. Emptied by the next warm-up.
const TRASH: &str = ".trash";
/// Below [`WORK`]: what becomes the key's folder.
const KEPT: &str = "kept";
pub(crate) const INPUT: &str = "input.json";
pub(crate) const OUTPUT: &str = "output.json";

/// Where artifacts are kept, and the lock on it.
#[derive(Debug)]
pub(crate) struct Store {
    root: Dir,
    pub(crate) dir: Dir,
    trash: Dir,
    lock: Lock,
}

impl Store {
    /// Opens it, creating what is missing and cleaning up after a crash.
    pub(crate) fn open(root: &Dir) -> Result<Self, Error> {
        let path = root.path().join(STORE);
        let using = || format!("cannot use {}", path.display());
        refuse_links(root)?;
        let dir = root.create_dir_all(STORE).during(using)?;
        let lock = dir.try_lock(LOCK).during(using)?;
        let lock = lock.ok_or_else(|| busy(root, &dir))?;
        let trash = dir.create_dir_all(TRASH).during(using)?;
        let store = Self {
            root: root.clone(),
            dir,
            trash,
            lock,
        };
        store.clean()?;
        Ok(store)
    }

    /// Opens it for looking; `None` if there is none.
    pub(crate) fn look(root: &Dir) -> Result<Option<Dir>, Error> {
        refuse_links(root)?;
        match root.open_dir(STORE) {
            Err(error) if error.is_not_found() => Ok(None),
            opened => opened
                .map(Some)
                .during(|| format!("cannot use {}", root.path().join(STORE).display())),
        }
    }

    /// Whether a warm-up could write there, as far as the system tells without trying.
    pub(crate) fn may_be_written(root: &Dir) -> Result<(), Error> {
        let mut paths = [STORE, CACHE]
            .map(|path| root.path().join(path))
            .into_iter();
        let path = paths.find(|path| path.exists());
        let path = path.unwrap_or_else(|| root.path().to_owned());
        access::may_be_written(&path).map_err(|error| {
            let text = format!("{} cannot be written to", path.display());
            Error::new(ErrorKind::PermissionDenied, text).with_source(error)
        })
    }

    /// The open file of the lock, for the script: whatever happens to this program, nobody warms up beside it.
    pub(crate) fn share_lock(&self) -> Result<File, Error> {
        let sharing = || format!("cannot share the lock of {}", self.dir.path().display());
        self.lock.share().during(sharing)
    }

    /// Removes what a warm-up left that did not come to its end.
    pub(crate) fn clean(&self) -> Result<(), Error> {
        let cleaning = || format!("cannot clean up {}", self.dir.path().display());
        for entry in self.dir.entries().during(cleaning)? {
            let name = entry.name.as_encoded_bytes();
            if entry.kind != FileKind::Dir && name.starts_with(TEMPORARY_PREFIX.as_bytes()) {
                self.dir.remove_file(&entry.name).during(cleaning)?;
            } else if name.starts_with(WORK.as_bytes()) {
                // One that cannot be opened has exchanged nothing.
                if let Ok(work) = self.dir.open_dir(&entry.name) {
                    work.sync().during(cleaning)?;
                }
                self.dir.trash(&entry.name, &self.trash).during(cleaning)?;
            }
        }
        // What has taken a key's name must have it for good before what had it is deleted.
        self.dir.sync().during(cleaning)?;
        self.empty_trash();
        Ok(())
    }

    /// What cannot be deleted now (a script ran as another user) is out of the way, and is tried again next time.
    fn empty_trash(&self) {
        let emptied = self.trash.entries().and_then(|entries| {
            entries
                .iter()
                .try_for_each(|entry| self.trash.remove_tree(&entry.name))
        });
        if let Err(error) = emptied {
            tracing::warn!(error = format_args!("{error:#}"), "cannot empty the trash");
        }
    }

    /// An empty folder for a warm-up, with the script's input in it, and the folder of what will be kept.
    pub(crate) fn begin(&self, input: &impl Serialize) -> Result<Work, Error> {
        let making = || {
            format!(
                "cannot prepare the warm-up in {}",
                self.dir.path().display()
            )
        };
        // What an interrupted warm-up's script still knows by its path is never this one.
        let name = format!("{WORK}-{:016x}", RandomState::new().hash_one(()));
        self.dir.create_dir(&name).during(making)?;
        let work = self.dir.open_dir(&name).during(making)?;
        let kept = work.create_dir_all(KEPT).during(making)?;
        let input = serde_json::to_vec_pretty(input).map_err(|error| {
            Error::new(ErrorKind::Io, "the script's input cannot be written").with_source(error)
        })?;
        let mut file = work.create_file(INPUT).during(making)?;
        file.write_bytes(&input).during(making)?;
        Ok(Work { work, kept })
    }

    /// Writes down what the script printed. Durable on return.
    pub(crate) fn write_log(&self, text: &str) -> Result<std::path::PathBuf, Error> {
        let path = self.dir.path().join(LOG);
        self.dir
            .replace_file(LOG, text.as_bytes())
            .during(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// The commit point: after this, the key is warm, durably.
    pub(crate) fn publish(&self, work: &Work, key: &Key) -> Result<(), Error> {
        let keeping = || format!("cannot keep the artifacts in {}", self.dir.path().display());
        work.kept.sync_tree().during(keeping)?;
        self.put_in_place(work, key.as_str()).during(keeping)?;
        // The folders above may have been created by us.
        let cache = self.root.open_dir(CACHE).during(keeping)?;
        for dir in [&work.work, &self.dir, &cache, &self.root] {
            dir.sync().during(keeping)?;
        }
        Ok(())
    }

    /// What was kept for the key before is gone with the work.
    fn put_in_place(&self, work: &Work, name: &str) -> durable_fs::Result<()> {
        if self.dir.metadata(name)?.is_some() {
            match work.work.exchange(KEPT, &self.dir, name) {
                // Then there is a moment without either.
                Err(error) if error.kind() == durable_fs::ErrorKind::Unsupported => {
                    self.dir.trash(name, &self.trash)?;
                }
                exchanged => return exchanged,
            }
        }
        work.work.rename(KEPT, &self.dir, name, Replace::Refuse)
    }

    /// The keys that something is kept for.
    pub(crate) fn keys(&self) -> Result<Vec<Key>, Error> {
        let entries = self
            .dir
            .entries()
            .during(|| format!("cannot list {}", self.dir.path().display()))?;
        Ok(entries
            .iter()
            .filter_map(|entry| Key::parse(entry.name.to_str()?))
            .collect())
    }

    /// Deletes what is kept for a key.
    pub(crate) fn delete(&self, key: &Key) -> Result<(), Error> {
        let deleting = || format!("cannot delete what is kept for {key}");
        self.dir.trash(key.as_str(), &self.trash).during(deleting)?;
        self.dir.sync().during(deleting)?;
        self.empty_trash();
        Ok(())
    }
}

/// Another disk by a link is what people try first.
fn refuse_links(root: &Dir) -> Result<(), Error> {
    for path in [CACHE, STORE] {
        let shown = root.path().join(path);
        let using = || format!("cannot use {}", shown.display());
        let metadata = root.metadata(path).during(using)?;
        if metadata.is_some_and(|metadata| metadata.kind == FileKind::Symlink) {
            let text = format!(
                "{} is a link; links are not followed: mount the other disk there instead",
                shown.display()
            );
            return Err(Error::new(ErrorKind::Policy, text));
        }
    }
    Ok(())
}

/// A script that outlived its warm-up holds the lock by the number of a process that is gone.
fn busy(root: &Dir, store: &Dir) -> Error {
    let by = match store.lock_holder(LOCK) {
        Some(process) if is_running(process) => format!("process {process}"),
        _ => "another process, or the script of an interrupted warm-up may still be running".into(),
    };
    let text = format!(
        "{} is being warmed up by {by}; try again when it is done",
        root.path().display()
    );
    Error::new(ErrorKind::Busy, text)
}

/// Asked only about the holder of a lock, which is known where there is a `/proc`.
fn is_running(process: u32) -> bool {
    Path::new("/proc").join(process.to_string()).exists()
}

/// The folders of a warm-up that runs.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) work: Dir,
    pub(crate) kept: Dir,
}

impl Work {
    /// Writes a note beside the artifacts. Durable when the key is published.
    pub(crate) fn write(&self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        let writing = || format!("cannot write {}", self.kept.path().join(name).display());
        let bytes = serde_json::to_vec_pretty(value)
            .map_err(|error| Error::new(ErrorKind::Io, writing()).with_source(error))?;
        let mut file = self.kept.create_file(name).during(writing)?;
        file.write_bytes(&bytes).during(writing)
    }
}
