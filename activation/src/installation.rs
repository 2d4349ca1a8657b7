use std::cmp::Ordering;
use std::path::Path;
use std::sync::Arc;

use durable_fs::{Dir, Disk, FileKind};
use manifest_core::{
    Limits, MANIFEST_FILE_NAME, Manifest, ManifestBuilder, ReleaseVersion, ToolId,
};

use crate::error::Doing as _;
use crate::{
    CarryPlan, Error, ErrorKind, HistoryEntry, InstalledRelease, Session, history, layout, pending,
};

const MAX_CURRENT: u64 = 1024;
const MAX_MIRRORS: u64 = 64 * 1024;

/// A tool's folder: `current.txt`, `releases/`, and what belongs to the user.
///
/// Reading needs no lock: whoever resolves the active release while an update runs sees the old one
/// or the new one. Changing anything needs a [`Session`]. Cloning is cheap.
///
/// ```
/// use activation::Installation;
/// use durable_fs::Disk;
///
/// # let folder = tempfile::tempdir()?;
/// let installation = Installation::create(&Disk::real(), folder.path())?;
/// match installation.active()? {
///     Some(release) => println!("{} in {}", release.version(), release.dir().path().display()),
///     None => println!("nothing is installed"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Installation {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: Dir,
    limits: Limits,
}

impl Installation {
    /// Opens an installation that exists.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such folder, `PermissionDenied`.
    pub fn open(disk: &Disk, root: impl AsRef<Path>) -> Result<Self, Error> {
        let root = root.as_ref();
        let dir = disk
            .open_dir(root)
            .doing(|| format!("cannot open the installation {}", root.display()))?;
        Ok(Self {
            inner: Arc::new(Inner {
                root: dir,
                limits: Limits::default(),
            }),
        })
    }

    /// Opens an installation, creating its folder if there is none.
    ///
    /// # Errors
    /// As [`open`](Self::open), and whatever creating a folder can fail with.
    pub fn create(disk: &Disk, root: impl AsRef<Path>) -> Result<Self, Error> {
        let path = root.as_ref();
        disk.create_dir_all(path)
            .doing(|| format!("cannot create the installation {}", path.display()))?;
        Self::open(disk, path)
    }

    /// The root folder.
    #[must_use]
    pub fn root(&self) -> &Dir {
        &self.inner.root
    }

    /// The version that `current.txt` names; `None` if there is no such file.
    ///
    /// # Errors
    /// [`ErrorKind::NoActiveRelease`] if the file is empty or names nothing that is a version.
    pub fn active_version(&self) -> Result<Option<ReleaseVersion>, Error> {
        let bytes = match self.root().read(layout::CURRENT, MAX_CURRENT) {
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) if error.kind() == durable_fs::ErrorKind::TooLarge => {
                return Err(Error::no_active_release("more than 1 KiB"));
            }
            read => read.doing(|| format!("cannot read {}", layout::CURRENT))?,
        };
        let text = String::from_utf8_lossy(&bytes);
        match ReleaseVersion::from_folder_name(text.trim()) {
            Some(version) => Ok(Some(version)),
            None => Err(Error::no_active_release(text.trim())),
        }
    }

    /// The active release; `None` if nothing is installed. Its files are not verified here.
    ///
    /// # Errors
    /// [`ErrorKind::NoActiveRelease`] if `current.txt` names a release that is not there,
    /// [`ErrorKind::Manifest`] if the release's own manifest is not valid.
    pub fn active(&self) -> Result<Option<InstalledRelease>, Error> {
        // The active release may change, and its predecessor be removed, between the two reads.
        for _ in 0..8 {
            let Some(version) = self.active_version()? else {
                return Ok(None);
            };
            if let Some(release) = self.release(&version)? {
                return Ok(Some(release));
            }
            if self.active_version()?.as_ref() == Some(&version) {
                return Err(Error::no_active_release(&version.folder_name()));
            }
        }
        Err(Error::new(
            ErrorKind::Busy,
            "the active release changes faster than it can be read",
        ))
    }

    /// A release that is installed; `None` if it is not.
    ///
    /// # Errors
    /// [`ErrorKind::Manifest`] if its manifest is not valid, `Policy` if a link stands in its place.
    pub fn release(&self, version: &ReleaseVersion) -> Result<Option<InstalledRelease>, Error> {
        let folder = version.folder_name();
        let opened = self
            .root()
            .open_dir(layout::RELEASES)
            .and_then(|releases| releases.open_dir(&folder));
        let dir = match opened {
            Err(error) if error.is_not_found() => return Ok(None),
            opened => opened.doing(|| format!("cannot open release {version}"))?,
        };
        match read_manifest(&dir, &self.inner.limits)? {
            Some(manifest) => Ok(Some(InstalledRelease::new(version.clone(), dir, manifest))),
            None => Ok(None),
        }
    }

    /// Whether a release's folder holds a manifest, valid or not.
    pub(crate) fn has_release(&self, version: &ReleaseVersion) -> Result<bool, Error> {
        let path = format!(
            "{}/{}/{MANIFEST_FILE_NAME}",
            layout::RELEASES,
            version.folder_name()
        );
        let found = self.root().metadata(path);
        Ok(found
            .doing(|| format!("cannot look at release {version}"))?
            .is_some())
    }

    /// The releases that are installed, the newest first as far as versions can be ordered.
    ///
    /// # Errors
    /// `Policy`, `Io`.
    pub fn releases(&self) -> Result<Vec<ReleaseVersion>, Error> {
        let releases = match self.root().open_dir(layout::RELEASES) {
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            opened => opened.doing(|| "cannot open the releases".into())?,
        };
        let mut versions = Vec::new();
        for entry in releases
            .entries()
            .doing(|| "cannot list the releases".into())?
        {
            let version = entry
                .name
                .to_str()
                .and_then(ReleaseVersion::from_folder_name);
            if let (FileKind::Dir, Some(version)) = (entry.kind, version) {
                let manifest = Path::new(&entry.name).join(MANIFEST_FILE_NAME);
                let metadata = releases
                    .metadata(manifest)
                    .doing(|| format!("cannot look at release {version}"))?;
                if metadata.is_some() {
                    versions.push(version);
                }
            }
        }
        versions.sort_by(newest_first);
        Ok(versions)
    }

    /// What was done to the installation, the oldest first.
    ///
    /// # Errors
    /// `Policy`, `Io`.
    pub fn history(&self) -> Result<Vec<HistoryEntry>, Error> {
        match self.root().open_dir(layout::NOTES) {
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            notes => history::read(&notes.doing(|| "cannot open the notes".into())?),
        }
    }

    /// The mirrors that [`Session::remember_mirrors`] noted last; none if the note is damaged.
    #[must_use]
    pub fn remembered_mirrors(&self) -> Vec<String> {
        let path = format!("{}/{}", layout::NOTES, layout::MIRRORS);
        let bytes = self.root().read(path, MAX_MIRRORS).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// The release that [`Session::switch_to`] should go back to: the one that was active before the
    /// active one, if it is still installed.
    ///
    /// # Errors
    /// As [`history`](Self::history) and [`active_version`](Self::active_version).
    pub fn previous_version(&self) -> Result<Option<ReleaseVersion>, Error> {
        let Some(active) = self.active_version()? else {
            return Ok(None);
        };
        let installed = self.releases()?;
        Ok(self.predecessors(&active, &installed)?.into_iter().next())
    }

    /// The installed releases that were active before `active`, the latest first. Those of the old
    /// system are not in the history: older ones count as active before.
    pub(crate) fn predecessors(
        &self,
        active: &ReleaseVersion,
        installed: &[ReleaseVersion],
    ) -> Result<Vec<ReleaseVersion>, Error> {
        let mut before = history::predecessors(&self.history()?, active);
        before.retain(|version| installed.contains(version));
        for version in installed {
            if version.precedence(active) == Some(Ordering::Less) && !before.contains(version) {
                before.push(version.clone());
            }
        }
        Ok(before)
    }

    /// The folder that `current.txt` names, whatever is in it.
    pub(crate) fn active_folder(&self) -> Result<Option<(ReleaseVersion, Dir)>, Error> {
        let version = match self.active_version() {
            Err(error) if error.kind() == ErrorKind::NoActiveRelease => return Ok(None),
            version => version?,
        };
        let Some(version) = version else {
            return Ok(None);
        };
        let path = format!("{}/{}", layout::RELEASES, version.folder_name());
        match self.root().open_dir(path) {
            Err(error) if error.is_not_found() => Ok(None),
            opened => {
                let dir = opened.doing(|| format!("cannot open release {version}"))?;
                Ok(Some((version, dir)))
            }
        }
    }

    /// Looks at what becomes of the user's files in the active release when `target` takes its place;
    /// changes nothing.
    ///
    /// # Errors
    /// `Io`; a name that is not UTF-8 and so cannot be carried over.
    pub fn plan_carry(
        &self,
        active: &InstalledRelease,
        target: &Manifest,
    ) -> Result<CarryPlan, Error> {
        let pending = match self.root().open_dir(layout::NOTES) {
            Err(error) if error.is_not_found() => Vec::new(),
            notes => pending::read(
                &notes.doing(|| "cannot open the notes".into())?,
                active.manifest().manifest_hash(),
            )?,
        };
        CarryPlan::make(active.dir(), Some(active.manifest()), target, &pending)
    }

    /// The active release without its own manifest, for when that is damaged: no file counts as the
    /// release's, every one as the user's. `None` if `current.txt` names no folder.
    ///
    /// # Errors
    /// As [`active`](Self::active), without `Manifest`.
    pub fn active_without_manifest(
        &self,
        tool: &ToolId,
    ) -> Result<Option<InstalledRelease>, Error> {
        let Some((version, dir)) = self.active_folder()? else {
            return Ok(None);
        };
        let nothing = ManifestBuilder::new(tool.clone(), version.clone()).build();
        let nothing = nothing.map_err(|error| {
            Error::new(ErrorKind::Manifest, "cannot describe an unknown release").with_source(error)
        })?;
        Ok(Some(InstalledRelease::new(version, dir, nothing)))
    }

    /// Takes the installation's lock, and mends what a crash left behind.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] if another process holds it, `Policy` if a link or device stands where one
    /// of Lockstep's own files belongs, or if staging is on another file system than the releases.
    pub fn lock(&self) -> Result<Session, Error> {
        Session::open(self.clone())
    }
}

/// Versions that are numbers by their precedence, before all others by their names.
fn newest_first(one: &ReleaseVersion, other: &ReleaseVersion) -> Ordering {
    let is_number = |version: &ReleaseVersion| version.precedence(version).is_some();
    other
        .precedence(one)
        .unwrap_or_else(|| is_number(other).cmp(&is_number(one)))
        .then_with(|| other.as_str().cmp(one.as_str()))
}

/// The manifest that a release folder holds; `None` if it holds none.
pub(crate) fn read_manifest(dir: &Dir, limits: &Limits) -> Result<Option<Manifest>, Error> {
    let bytes = match dir.read(MANIFEST_FILE_NAME, limits.max_bytes) {
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) if error.kind() == durable_fs::ErrorKind::TooLarge => {
            let text = format!("the manifest in {} is too long", dir.path().display());
            return Err(Error::new(ErrorKind::Manifest, text).with_source(error));
        }
        read => read.doing(|| format!("cannot read the manifest in {}", dir.path().display()))?,
    };
    match Manifest::parse(&bytes, limits) {
        Ok(manifest) => Ok(Some(manifest)),
        Err(error) => {
            let text = format!("the manifest in {} is not valid", dir.path().display());
            Err(Error::new(ErrorKind::Manifest, text).with_source(error))
        }
    }
}
