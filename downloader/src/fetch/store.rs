//! The folder of partial and finished files, keyed by content.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use durable_fs::{Dir, ErrorKind as DiskKind, FileKind, FileWriter};
use manifest_core::Sha256Digest;

use crate::Error;

const PART: &str = "part";
const DONE: &str = "done";
const JOURNAL: &str = "json";
const FRESH_JOURNAL: &str = "json.new";

/// A folder where files arrive. Clones are the same store.
///
/// For a content with digest `D` it holds `D.part` while bytes come, `D.json` (where they came from) beside it, and `D.done` once the
/// digest was right. All of them survive the process; none is synced, and a `D.done` of an earlier run is hashed again before it is
/// used. Sync the file, or the whole tree, before you depend on it.
///
/// One process at a time may use the folder: hold a lock around it. Within the process, two fetches of one content take turns.
///
/// ```
/// use downloader::PartialStore;
/// use manifest_core::Sha256Digest;
///
/// let folder = tempfile::tempdir()?;
/// let store = PartialStore::open(durable_fs::Disk::real().open_dir(folder.path())?)?;
/// assert_eq!(store.completed(Sha256Digest::of(b"not fetched yet")), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct PartialStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: Dir,
    /// Names that may be there: lets a new file be fetched without looking for an old one.
    names: Mutex<HashSet<String>>,
    verified: Mutex<HashSet<Sha256Digest>>,
    turns: Mutex<HashMap<Sha256Digest, Weak<tokio::sync::Mutex<()>>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Held while one fetch works on one content.
pub(super) type Turn = tokio::sync::OwnedMutexGuard<()>;

impl PartialStore {
    /// Looks into the folder. Blocks for one listing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) when the folder cannot be listed.
    pub fn open(dir: Dir) -> Result<Self, Error> {
        let entries = dir.entries().map_err(|error| {
            Error::disk(
                format!("cannot list the download folder {}", dir.path().display()),
                error,
            )
        })?;
        let names = entries
            .into_iter()
            .filter_map(|entry| entry.name.into_string().ok())
            .collect();
        let shared = Shared {
            dir,
            names: Mutex::new(names),
            verified: Mutex::default(),
            turns: Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Dir {
        &self.shared.dir
    }

    /// The name under which a finished file lies in the folder. Rename it away, or link it, from there.
    #[must_use]
    pub fn file_name(digest: Sha256Digest) -> String {
        done_name(digest)
    }

    /// The name of the finished file, if this store has verified it since it was opened and it is still there. Blocks for one look.
    #[must_use]
    pub fn completed(&self, digest: Sha256Digest) -> Option<String> {
        let name = done_name(digest);
        let verified = lock(&self.shared.verified).contains(&digest);
        (verified && self.length(&name).is_some()).then_some(name)
    }

    /// How many bytes of this content lie here, finished or partial, verified or not: what a forecast of space and traffic can
    /// subtract. Blocks for two looks at most.
    #[must_use]
    pub fn bytes_present(&self, digest: Sha256Digest) -> u64 {
        [done_name(digest), part_name(digest)]
            .into_iter()
            .filter(|name| self.may_have(name))
            .find_map(|name| self.length(&name))
            .unwrap_or(0)
    }

    /// Removes everything that belongs to this content. Blocks.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) when something cannot be removed.
    pub fn discard(&self, digest: Sha256Digest) -> Result<(), Error> {
        lock(&self.shared.verified).remove(&digest);
        for ending in [PART, DONE, JOURNAL, FRESH_JOURNAL] {
            self.remove(&format!("{digest}.{ending}"))?;
        }
        Ok(())
    }

    /// Removes what belongs to any other content than these. Names that no store gives are left alone. Blocks.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) when the folder cannot be listed or something cannot be removed.
    pub fn clear_except(&self, keep: &HashSet<Sha256Digest>) -> Result<(), Error> {
        let entries = self.dir().entries().map_err(|error| {
            Error::disk(
                format!(
                    "cannot list the download folder {}",
                    self.dir().path().display()
                ),
                error,
            )
        })?;
        let strays: HashSet<Sha256Digest> = entries
            .iter()
            .filter_map(|entry| owner(entry.name.to_str()?))
            .filter(|digest| !keep.contains(digest))
            .collect();
        lock(&self.shared.names).extend(
            entries
                .into_iter()
                .filter_map(|entry| entry.name.into_string().ok()),
        );
        strays
            .into_iter()
            .try_for_each(|digest| self.discard(digest))
    }

    /// Waits until nobody else in this process works on this content.
    pub(super) async fn turn(&self, digest: Sha256Digest) -> Turn {
        let mutex = {
            let mut turns = lock(&self.shared.turns);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let known = turns.get(&digest).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let mutex = Arc::new(tokio::sync::Mutex::new(()));
                turns.insert(digest, Arc::downgrade(&mutex));
                mutex
            })
        };
        mutex.lock_owned().await
    }

    /// Whether anything of this content may lie here.
    pub(super) fn may_have_any(&self, digest: Sha256Digest) -> bool {
        self.may_have(&part_name(digest))
            || self.may_have(&done_name(digest))
            || self.may_have(&journal_name(digest))
    }

    pub(super) fn may_have(&self, name: &str) -> bool {
        lock(&self.shared.names).contains(name)
    }

    pub(super) fn added(&self, name: &str) {
        lock(&self.shared.names).insert(name.to_owned());
    }

    pub(super) fn removed(&self, name: &str) {
        lock(&self.shared.names).remove(name);
    }

    pub(super) fn verified(&self, digest: Sha256Digest) {
        lock(&self.shared.verified).insert(digest);
    }

    fn length(&self, name: &str) -> Option<u64> {
        let metadata = self.dir().metadata(name).ok().flatten()?;
        (metadata.kind == FileKind::File).then_some(metadata.len)
    }

    /// Removes a name of ours, whatever is behind it; a link is removed, not followed.
    pub(super) fn remove(&self, name: &str) -> Result<(), Error> {
        if !self.may_have(name) {
            return Ok(());
        }
        remove_any(self.dir(), name)?;
        self.removed(name);
        Ok(())
    }
}

pub(super) fn part_name(digest: Sha256Digest) -> String {
    format!("{digest}.{PART}")
}

pub(super) fn done_name(digest: Sha256Digest) -> String {
    format!("{digest}.{DONE}")
}

pub(super) fn journal_name(digest: Sha256Digest) -> String {
    format!("{digest}.{JOURNAL}")
}

fn owner(name: &str) -> Option<Sha256Digest> {
    let (digest, ending) = name.split_once('.')?;
    [PART, DONE, JOURNAL, FRESH_JOURNAL]
        .contains(&ending)
        .then(|| digest.parse().ok())
        .flatten()
}

/// Creates a new file; what stood under its name, a planted link included, is removed first.
pub(super) fn create_fresh(dir: &Dir, name: &str) -> Result<FileWriter, Error> {
    let created = match dir.create_file(name) {
        Err(error) if error.kind() == DiskKind::AlreadyExists => {
            remove_any(dir, name)?;
            dir.create_file(name)
        }
        created => created,
    };
    created.map_err(|error| {
        Error::disk(
            format!("cannot create {name} in the download folder"),
            error,
        )
    })
}

fn remove_any(dir: &Dir, name: &str) -> Result<(), Error> {
    let removed = match dir.remove_file(name) {
        Err(error) if error.kind() == DiskKind::NotFound => Ok(()),
        // Somebody put a folder there.
        Err(_) if matches!(dir.metadata(name), Ok(Some(metadata)) if metadata.kind == FileKind::Dir) => {
            dir.remove_tree(name)
        }
        removed => removed,
    };
    removed.map_err(|error| {
        Error::disk(
            format!("cannot remove {name} from the download folder"),
            error,
        )
    })
}
