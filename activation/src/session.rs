use std::sync::Arc;
use std::time::SystemTime;

use durable_fs::{Dir, Lock};
use manifest_core::{Manifest, ReleaseVersion, Sha256Digest};

use crate::error::Doing as _;
use crate::folders::Folders;
use crate::history::{self, Event, HistoryEntry};
use crate::pending::{self, Pending};
use crate::retire::{self, Retired};
use crate::staging::Staging;
use crate::{Error, ErrorKind, Installation, InstalledRelease, Watch, layout, recovery};

/// The right to change an installation: its lock, held until this is dropped.
///
/// Opening a session mends what a crash left behind, so every operation starts from a state that it
/// knows. Each operation may be interrupted anywhere; the next session goes on. Clones share the lock.
///
/// ```
/// use activation::{ErrorKind, Installation};
/// use durable_fs::Disk;
///
/// # let folder = tempfile::tempdir()?;
/// let installation = Installation::create(&Disk::real(), folder.path())?;
/// let session = installation.lock()?;
/// assert_eq!(installation.lock().unwrap_err().kind(), ErrorKind::Busy);
/// drop(session);
/// installation.lock()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Session {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    installation: Installation,
    folders: Folders,
    recovered: Option<ReleaseVersion>,
    _lock: Lock,
}

impl Session {
    pub(crate) fn open(installation: Installation) -> Result<Self, Error> {
        let root = installation.root().clone();
        let notes = root
            .create_dir_all(layout::NOTES)
            .doing(|| format!("cannot use {}", root.path().join(layout::NOTES).display()))?;
        let lock = notes
            .try_lock(layout::LOCK)
            .doing(|| "cannot lock the installation".into())?;
        let lock = lock.ok_or_else(|| {
            let path = root.path().display();
            let holder = match notes.lock_holder(layout::LOCK) {
                Some(process) => format!("process {process}"),
                None => "another process".to_owned(),
            };
            let text = format!("{path} is being changed by {holder}; try again when it is done");
            Error::new(ErrorKind::Busy, text)
        })?;
        let folders = Folders::open(root, notes)?;
        folders.clean()?;
        let recovered = recovery::recover_active(&installation, &folders)?;
        recovery::mend(&installation, &folders)?;
        Ok(Self {
            inner: Arc::new(Inner {
                installation,
                folders,
                recovered,
                _lock: lock,
            }),
        })
    }

    /// The installation that this may change.
    #[must_use]
    pub fn installation(&self) -> &Installation {
        &self.inner.installation
    }

    /// The release that was made active when this session was opened, because `current.txt` named
    /// nothing usable.
    #[must_use]
    pub fn recovered(&self) -> Option<&ReleaseVersion> {
        self.inner.recovered.as_ref()
    }

    /// Whether the files of one release can be cloned into another, so that a copy of one takes no space. Tried
    /// with two small files.
    ///
    /// # Errors
    /// `NoSpace`, `Io`.
    pub fn can_clone(&self) -> Result<bool, Error> {
        let staging = &self.folders().staging;
        let tried = staging.can_clone();
        tried.doing(|| "cannot find out whether files can be cloned".into())
    }

    /// The folder for contents that are being fetched. It survives until its files are adopted.
    ///
    /// # Errors
    /// `Policy` if a link or file stands in its place.
    pub fn partials(&self) -> Result<Dir, Error> {
        self.folders()
            .staging
            .create_dir_all(layout::PARTIALS)
            .doing(|| "cannot use the folder for partial files".into())
    }

    /// Prepares the folder in which a release is put together. What an interrupted run left there is
    /// hashed, and kept where it is right.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`], `NoSpace`, `Io`.
    pub fn stage(&self, manifest: &Manifest, watch: &dyn Watch) -> Result<Staging, Error> {
        Staging::open(self, manifest, watch)
    }

    /// Notes where the active release came from, so that a later repair knows where to ask.
    ///
    /// # Errors
    /// `NoSpace`, `Io`.
    pub fn remember_mirrors(&self, mirrors: &[String]) -> Result<(), Error> {
        if self.installation().remembered_mirrors() == mirrors {
            return Ok(());
        }
        let bytes = serde_json::to_vec(mirrors).expect("a list is text");
        let notes = &self.folders().notes;
        notes
            .replace_file(layout::MIRRORS, &bytes)
            .doing(|| "cannot note the mirrors".into())
    }

    /// Adds a line to the history.
    ///
    /// # Errors
    /// `NoSpace`, `Io`.
    pub fn record(&self, entry: &HistoryEntry) -> Result<(), Error> {
        history::append(&self.folders().notes, entry)
    }

    /// Deletes releases but the active one and the `keep_previous` that were active before it. What the
    /// user put into them and no later release took over is moved to `.lockstep/kept/`.
    ///
    /// # Errors
    /// [`ErrorKind::NoActiveRelease`] (nothing is deleted), `Io`.
    pub fn retain(&self, keep_previous: usize, now: SystemTime) -> Result<Vec<Retired>, Error> {
        let active_folder = self.installation().active_folder()?;
        let active_dir = active_folder.as_ref().map(|(_, dir)| dir);
        let mut retired = Vec::new();
        for version in self.installation().too_old(keep_previous)? {
            let release = retire::retire(self.folders(), &version, active_dir)?;
            self.record(&HistoryEntry::new(now, Event::Removed, &version))?;
            retired.push(release);
        }
        Ok(retired)
    }

    /// The files that delete policy `manual` left in the active release, by path.
    ///
    /// # Errors
    /// `Io`.
    pub fn pending_deletions(&self) -> Result<Vec<String>, Error> {
        let Some(active) = self.installation().active()? else {
            return Ok(Vec::new());
        };
        let pending = pending::read(&self.folders().notes, active.manifest().manifest_hash())?;
        Ok(pending.into_iter().map(|file| file.path).collect())
    }

    /// Deletes from the active release what its delete policy says: for `manual` the files that wait to
    /// be confirmed (unless they were edited since), for `aggressive` everything that is neither listed
    /// nor ignored, for `safe` nothing. Returns their paths.
    ///
    /// # Errors
    /// [`ErrorKind::NoActiveRelease`], `Io`.
    pub fn prune_active(&self, now: SystemTime) -> Result<Vec<String>, Error> {
        let Some(active) = self.installation().active()? else {
            return Ok(Vec::new());
        };
        let removed = pending::prune(self.folders(), &active)?;
        if !removed.is_empty() {
            let mut entry = HistoryEntry::new(now, Event::Pruned, active.version());
            entry.note = Some(format!("{} files", removed.len()));
            self.record(&entry)?;
        }
        Ok(removed)
    }

    pub(crate) fn note_pending(
        &self,
        active: Option<Sha256Digest>,
        target: &Manifest,
        files: &[Pending],
    ) -> Result<(), Error> {
        pending::write(&self.folders().notes, active, target.manifest_hash(), files)
    }

    pub(crate) fn folders(&self) -> &Folders {
        &self.inner.folders
    }

    pub(crate) fn note_activation(
        &self,
        event: Event,
        release: &InstalledRelease,
        from: Option<&ReleaseVersion>,
        now: SystemTime,
    ) -> Result<(), Error> {
        let mut entry = HistoryEntry::new(now, event, release.version());
        entry.manifest_hash = Some(release.manifest().manifest_hash());
        entry.from_version = from.cloned();
        self.record(&entry)
    }
}
