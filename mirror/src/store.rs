use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use durable_fs::{Dir, Disk, FileKind, Lock};
use manifest_core::{
    Limits, MANIFEST_FILE_NAME, Manifest, ReleasePath, ReleaseVersion, Sha256Digest, ToolId,
};

use crate::cache::{ManifestCache, Stamp};
use crate::{Error, ErrorKind, Result};

/// The lock of whoever publishes. The kernel frees it when its process dies.
const LOCK_NAME: &str = "publish.lock";

/// Releases on disk, each content once.
///
/// ```text
/// <store>/
///   blobs/sha256/ab/<64 hex digits>          a content, under its SHA-256; "ab" are the first two
///   releases/<tool_id>/v<version>/manifest.json   a release; it is there when this file is
///   tmp/                                     a publish under way; never read
///   publish.lock                             held while publishing
/// ```
///
/// A store may be read while another process publishes into it: each lookup sees what is
/// published at that moment. Reading needs no lock. All functions block; call them on a blocking
/// thread in async programs.
///
/// Cloning is cheap, and clones share their cache of parsed manifests.
///
/// ```
/// use durable_fs::Disk;
/// use manifest_core::{ScanOptions, scan};
/// use mirror::Store;
///
/// let folder = tempfile::tempdir()?;
/// let release = folder.path().join("release");
/// std::fs::create_dir(&release)?;
/// std::fs::write(release.join("main.py"), "print()")?;
///
/// let options = ScanOptions::new().with_tool_id("sketcher".parse()?).with_tool_version("1.2.0".parse()?);
/// let manifest = scan(&release, &options)?.manifest;
/// let store = Store::open(&Disk::real(), folder.path().join("store"))?;
/// store.publish(&manifest, &Disk::real().open_dir(&release)?)?;
///
/// assert_eq!(store.releases()?.len(), 1);
/// let file = store.open_file(manifest.tool_id(), manifest.tool_version(), &"main.py".parse()?)?;
/// assert_eq!(file.map(|file| file.size), Some(7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: Dir,
    blobs: Dir,
    releases: Dir,
    tmp: Dir,
    cache: ManifestCache,
}

/// A release that the store holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct StoredRelease {
    /// The tool.
    pub tool_id: ToolId,
    /// The version of the tool.
    pub version: ReleaseVersion,
}

/// The manifest of a release that the store holds.
#[derive(Debug)]
pub struct StoredManifest {
    bytes: Bytes,
    digest: Sha256Digest,
    manifest: Manifest,
}

impl StoredManifest {
    /// The manifest as it was published, byte for byte.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// SHA-256 of the bytes: the entity tag. Not the manifest hash.
    #[must_use]
    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// The parsed manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

/// One file of a release, opened.
#[derive(Debug)]
#[non_exhaustive]
pub struct StoredFile {
    /// The content, positioned at its start.
    pub file: File,
    /// The digest under which the content is stored. It was computed when the content was
    /// published; opening does not hash again.
    pub sha256: Sha256Digest,
    /// Bytes of the content: what the manifest says, and what the file has.
    pub size: u64,
}

impl Store {
    /// Opens the store at `path`, and creates what is missing of it.
    ///
    /// What an interrupted publish left in `tmp/` is removed, unless somebody is publishing at the
    /// moment. A whole store on a read-only disk can be opened.
    ///
    /// # Errors
    /// [`ErrorKind::NoSpace`] and [`ErrorKind::Io`] if a folder cannot be created or opened;
    /// [`ErrorKind::Corrupt`] if something else stands where a folder belongs.
    pub fn open(disk: &Disk, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let open = || -> Result<_, durable_fs::Error> {
            let root = disk.create_dir_all(path)?;
            Ok(Inner {
                blobs: root.create_dir_all("blobs/sha256")?,
                releases: root.create_dir_all("releases")?,
                tmp: root.create_dir_all("tmp")?,
                root,
                cache: ManifestCache::default(),
            })
        };
        let store = Self(Arc::new(open().map_err(|error| {
            disk_error(
                format!("the store {} cannot be opened", path.display()),
                error,
            )
        })?));
        store.clear_at_open();
        Ok(store)
    }

    /// The folder of the store, as it was opened; for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.root.path()
    }

    /// All releases, ordered by the names of their folders.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if a folder cannot be read.
    pub fn releases(&self) -> Result<Vec<StoredRelease>> {
        let list = || -> Result<_, durable_fs::Error> {
            let mut releases = Vec::new();
            for (name, tool) in folders(&self.0.releases)? {
                let Ok(tool_id) = name.parse::<ToolId>() else {
                    tracing::warn!(name, "a folder in the store is not named after a tool");
                    continue;
                };
                for (name, folder) in folders(&tool)? {
                    let Some(version) = ReleaseVersion::from_folder_name(&name) else {
                        tracing::warn!(%tool_id, name, "a folder in the store is not named after a version");
                        continue;
                    };
                    if folder.metadata(MANIFEST_FILE_NAME)?.is_some() {
                        let tool_id = tool_id.clone();
                        releases.push(StoredRelease { tool_id, version });
                    }
                }
            }
            Ok(releases)
        };
        list().map_err(|error| {
            disk_error(
                format!(
                    "the releases of the store {} cannot be listed",
                    self.path().display()
                ),
                error,
            )
        })
    }

    /// The manifest of a release, or `None` if the release is not published.
    ///
    /// # Errors
    /// [`ErrorKind::Manifest`] if the file is no valid manifest, [`ErrorKind::Corrupt`] if it is
    /// that of another release or no regular file, [`ErrorKind::Io`] if it cannot be read.
    pub fn manifest(
        &self,
        tool: &ToolId,
        version: &ReleaseVersion,
    ) -> Result<Option<Arc<StoredManifest>>> {
        let path = manifest_path(tool, version);
        let failed = |error| {
            disk_error(
                format!("{} cannot be read", self.release_path(&path)),
                error,
            )
        };
        let Some(metadata) = self.0.releases.metadata(&path).map_err(failed)? else {
            return Ok(None);
        };
        let load = || {
            let limits = Limits::default();
            let bytes = self
                .0
                .releases
                .read(&path, limits.max_bytes)
                .map_err(failed)?;
            let manifest = Manifest::parse(&bytes, &limits).map_err(|error| {
                let message = format!("{} is not a valid manifest", self.release_path(&path));
                Error::new(ErrorKind::Manifest, message).with_source(error)
            })?;
            if manifest.tool_id() != tool || manifest.tool_version() != version {
                let message = format!(
                    "{} is the manifest of {} {}",
                    self.release_path(&path),
                    manifest.tool_id(),
                    manifest.tool_version()
                );
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
            let digest = Sha256Digest::of(&bytes);
            Ok(StoredManifest {
                bytes: bytes.into(),
                digest,
                manifest,
            })
        };
        self.0
            .cache
            .get_or_load(&path, Stamp::of(&metadata), load)
            .map(Some)
    }

    /// Opens one file of a release. `None` if the release is not published or has no such file.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if the store has lost the content, or holds it with another length;
    /// otherwise as [`manifest`](Self::manifest).
    pub fn open_file(
        &self,
        tool: &ToolId,
        version: &ReleaseVersion,
        path: &ReleasePath,
    ) -> Result<Option<StoredFile>> {
        let Some(stored) = self.manifest(tool, version)? else {
            return Ok(None);
        };
        let Some(entry) = stored.manifest().file(path.as_str()) else {
            return Ok(None);
        };
        let blob = blob_path(entry.sha256());
        let corrupt = |what: &str| {
            let message = format!(
                "{path} of {tool} {version}: its content {} {what}; publish the release again",
                entry.sha256()
            );
            Error::new(ErrorKind::Corrupt, message)
        };
        let opened = self.0.blobs.open_file(&blob);
        if opened.as_ref().is_err_and(durable_fs::Error::is_not_found)
            && self.manifest(tool, version)?.is_none()
        {
            return Ok(None); // the release was removed since
        }
        let file = opened.map_err(|error| match error.kind() {
            durable_fs::ErrorKind::NotFound => {
                corrupt("is missing from the store").with_source(error)
            }
            durable_fs::ErrorKind::NotRegular => corrupt("is no regular file").with_source(error),
            _ => disk_error(
                format!("{path} of {tool} {version} cannot be opened"),
                error,
            ),
        })?;
        let length = match file.metadata() {
            Ok(metadata) => metadata.len(),
            Err(error) => {
                return Err(Error::io(
                    format!("{path} of {tool} {version} cannot be opened"),
                    error,
                ));
            }
        };
        if length != entry.size() {
            return Err(corrupt(&format!(
                "has {length} bytes instead of {}",
                entry.size()
            )));
        }
        Ok(Some(StoredFile {
            file,
            sha256: entry.sha256(),
            size: length,
        }))
    }

    /// Opens a content by its digest, whichever releases it belongs to. `None` if the store does not have it.
    ///
    /// To have the store give out a model by its digest, publish it as a file of a release: from then on the content is there, and it is
    /// kept as long as a release names it. What the file is called and where it lies in the release makes no difference.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if something else than a file has the content's name, [`ErrorKind::Io`].
    pub fn open_content(&self, digest: Sha256Digest) -> Result<Option<StoredFile>> {
        let file = match self.0.blobs.open_file(blob_path(digest)) {
            Err(error) if error.is_not_found() => return Ok(None),
            opened => opened.map_err(|error| {
                disk_error(format!("the content {digest} cannot be opened"), error)
            })?,
        };
        let metadata = file
            .metadata()
            .map_err(|error| Error::io(format!("the content {digest} cannot be opened"), error))?;
        Ok(Some(StoredFile {
            file,
            sha256: digest,
            size: metadata.len(),
        }))
    }

    pub(crate) fn blobs(&self) -> &Dir {
        &self.0.blobs
    }

    pub(crate) fn tmp(&self) -> &Dir {
        &self.0.tmp
    }

    pub(crate) fn root(&self) -> &Dir {
        &self.0.root
    }

    pub(crate) fn releases_dir(&self) -> &Dir {
        &self.0.releases
    }

    pub(crate) fn lock(&self) -> Result<Lock> {
        let path = self.path().join(LOCK_NAME);
        match self.0.root.try_lock(LOCK_NAME) {
            Ok(Some(lock)) => Ok(lock),
            Ok(None) => {
                let message = format!(
                    "somebody else is publishing into this store and holds {}: try again when it is done",
                    path.display()
                );
                Err(Error::new(ErrorKind::Busy, message))
            }
            Err(error) => Err(disk_error(
                format!("{} cannot be locked", path.display()),
                error,
            )),
        }
    }

    fn release_path(&self, path: &str) -> impl std::fmt::Display {
        format!("{}", self.0.releases.path().join(path).display())
    }
}

/// Where a content lies below `blobs/sha256`.
pub(crate) fn blob_path(digest: Sha256Digest) -> String {
    let name = digest.to_string();
    format!("{}/{name}", &name[..2])
}

/// Where a manifest lies below `releases`.
pub(crate) fn manifest_path(tool: &ToolId, version: &ReleaseVersion) -> String {
    format!("{tool}/{}/{MANIFEST_FILE_NAME}", version.folder_name())
}

/// The folders in a folder, by name. Links are not followed.
fn folders(parent: &Dir) -> Result<Vec<(String, Dir)>, durable_fs::Error> {
    let mut folders = Vec::new();
    for entry in parent.entries()? {
        if entry.kind == FileKind::Dir
            && let Some(name) = entry.name.to_str()
        {
            match parent.open_dir(name) {
                // Removed since.
                Err(error) if error.is_not_found() => {}
                opened => folders.push((name.to_owned(), opened?)),
            }
        }
    }
    Ok(folders)
}

pub(crate) fn disk_error(message: impl Into<String>, source: durable_fs::Error) -> Error {
    let kind = match source.kind() {
        durable_fs::ErrorKind::NoSpace => ErrorKind::NoSpace,
        durable_fs::ErrorKind::NotFound => ErrorKind::NotFound,
        durable_fs::ErrorKind::NotRegular | durable_fs::ErrorKind::TooLarge => ErrorKind::Corrupt,
        _ => ErrorKind::Io,
    };
    Error::new(kind, message).with_source(source)
}
