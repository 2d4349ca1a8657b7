//! The folder `versions/`.

use std::path::{Path, PathBuf};

use durable_fs::{Dir, Disk, FileKind, Replace};

use super::json::MAX_BYTES;
use super::{Parsed, Spec, SpecReader};
use crate::{Error, ErrorKind, VersionId};

/// What to do if there is a version of that id already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Existing {
    /// Keep it, and fail.
    Keep,
    /// Replace it.
    Replace,
}

/// A folder of specs, each in `<version_id>.json`.
#[derive(Clone, Debug)]
pub struct SpecStore {
    disk: Disk,
    folder: PathBuf,
    reader: SpecReader,
}

/// A file of the folder.
#[derive(Debug)]
#[non_exhaustive]
pub struct StoredSpec {
    /// The name of the file.
    pub file_name: String,
    /// What it holds, or why it cannot be used.
    pub spec: Result<Parsed, Error>,
}

impl SpecStore {
    /// The specs in a folder, which need not exist yet.
    #[must_use]
    pub fn new(disk: &Disk, folder: impl Into<PathBuf>) -> Self {
        Self {
            disk: disk.clone(),
            folder: folder.into(),
            reader: SpecReader::new(),
        }
    }

    /// Reads with what this reader knows of the machine.
    #[must_use]
    pub fn with_reader(mut self, reader: SpecReader) -> Self {
        self.reader = reader;
        self
    }

    /// Where the spec of a version is, whether it exists or not.
    #[must_use]
    pub fn path_of(&self, id: &VersionId) -> PathBuf {
        self.folder.join(file_name(id))
    }

    /// Reads the spec of a version.
    ///
    /// # Errors
    /// `NotFound` if there is none; `Spec` or `Name` if it is not valid, with [`Error::problems`]; `PermissionDenied`, `Io`.
    pub fn load(&self, id: &VersionId) -> Result<Parsed, Error> {
        let Some(folder) = self.open()? else {
            return Err(self.not_found(id));
        };
        self.load_from(&folder, id)
    }

    fn load_from(&self, folder: &Dir, id: &VersionId) -> Result<Parsed, Error> {
        let bytes = folder
            .read(file_name(id), MAX_BYTES)
            .map_err(|error| match error.kind() {
                durable_fs::ErrorKind::NotFound => self.not_found(id),
                durable_fs::ErrorKind::NotRegular | durable_fs::ErrorKind::TooLarge => {
                    let message = format!("{} is no spec", self.path_of(id).display());
                    Error::new(ErrorKind::Spec, message).with_source(error)
                }
                _ => Error::disk(
                    format!("{} cannot be read", self.path_of(id).display()),
                    error,
                ),
            })?;
        let reader = self.reader.clone().with_version_id(id.clone());
        let parsed = reader.read(&bytes);
        parsed.map_err(|invalid| invalid.found_in(&self.path_of(id)))
    }

    /// Writes a spec, durably and at once: a reader sees the old file or the new. A file of people's own making is normalised by that.
    ///
    /// # Errors
    /// `Exists` if there is a spec of that id and it is to be kept; `Spec` or `Name` if the spec was made invalid since it was parsed;
    /// `NoSpace`, `PermissionDenied`, `Io`.
    pub fn save(&self, spec: &Spec, existing: Existing) -> Result<PathBuf, Error> {
        let bytes = spec.to_json();
        let id = &spec.version_id;
        SpecReader::new().with_version_id(id.clone()).read(&bytes)?;
        let name = file_name(id);
        let path = self.path_of(id);
        let failed = |error| Error::disk(format!("{} cannot be written", path.display()), error);
        let folder = self.disk.create_dir_all(&self.folder).map_err(failed)?;
        if existing == Existing::Replace {
            folder.replace_file(&name, &bytes).map_err(failed)?;
            return Ok(path);
        }
        // Two processes that save one id write two temporary files, and one of them gets the name.
        let temporary = fresh_name();
        let written = (|| {
            let mut file = folder.create_file(&temporary)?;
            file.write_bytes(&bytes)?;
            file.sync()?;
            folder.rename(&temporary, &folder, &name, Replace::Refuse)?;
            folder.sync()
        })();
        written.map_err(|error: durable_fs::Error| {
            // What is left of it is harmless, and the first failure is the one to tell of.
            let _ = folder.remove_file(&temporary);
            if error.is_already_exists() {
                let message = format!("there is a version {id} already: {}", path.display());
                return Error::new(ErrorKind::Exists, message)
                    .with_hint("take another id, or have it replaced");
            }
            failed(error)
        })?;
        Ok(path)
    }

    /// All specs of the folder, ordered by file name. One that cannot be used does not hide the others.
    ///
    /// # Errors
    /// `PermissionDenied`, `Io` if the folder itself cannot be read; a folder that does not exist is empty.
    pub fn list(&self) -> Result<Vec<StoredSpec>, Error> {
        let Some(folder) = self.open()? else {
            return Ok(Vec::new());
        };
        let cannot_list =
            |error| Error::disk(format!("{} cannot be listed", self.folder.display()), error);
        let mut specs = Vec::new();
        for entry in folder.entries().map_err(cannot_list)? {
            let name = entry.name.to_string_lossy().into_owned();
            let Some(stem) = name.strip_suffix(".json") else {
                continue;
            };
            if entry.kind == FileKind::Dir || name.starts_with('.') {
                continue;
            }
            let spec = match stem.parse::<VersionId>() {
                Ok(id) => self.load_from(&folder, &id),
                Err(error) => Err(Error::new(
                    ErrorKind::Name,
                    format!("the file is not named after a version: {error}"),
                )
                .with_hint("rename it to `<version_id>.json`")),
            };
            specs.push(StoredSpec {
                file_name: name,
                spec,
            });
        }
        Ok(specs)
    }

    /// Deletes the spec of a version, durably, and nothing else of it.
    ///
    /// # Errors
    /// `NotFound` if there is none, `PermissionDenied`, `Io`.
    pub fn remove(&self, id: &VersionId) -> Result<(), Error> {
        let Some(folder) = self.open()? else {
            return Err(self.not_found(id));
        };
        folder
            .remove_file(file_name(id))
            .and_then(|()| folder.sync())
            .map_err(|error| match error.kind() {
                durable_fs::ErrorKind::NotFound => self.not_found(id),
                _ => Error::disk(
                    format!("{} cannot be deleted", self.path_of(id).display()),
                    error,
                ),
            })
    }

    /// The folder of the specs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `None` if the folder does not exist.
    fn open(&self) -> Result<Option<Dir>, Error> {
        match self.disk.open_dir(&self.folder) {
            Ok(folder) => Ok(Some(folder)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(Error::disk(
                format!("{} cannot be opened", self.folder.display()),
                error,
            )),
        }
    }

    fn not_found(&self, id: &VersionId) -> Error {
        let message = format!(
            "there is no version {id}: {} does not exist",
            self.path_of(id).display()
        );
        Error::new(ErrorKind::NotFound, message)
            .with_hint("create it, or name the folder of the specs")
    }
}

/// A name that no process on any machine that shares the folder has used.
fn fresh_name() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let moment = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    format!(
        "{}{}-{number}-{:x}",
        durable_fs::TEMPORARY_PREFIX,
        std::process::id(),
        moment.as_nanos()
    )
}

fn file_name(id: &VersionId) -> String {
    format!("{id}.json")
}
