use std::fmt;
use std::io::Read as _;

use durable_fs::{Dir, FileKind};
use manifest_core::{FileEntry, Manifest, ReleasePath, ReleaseVersion, hash_reader};

use crate::watch::{Watch, Watched};
use crate::{Error, ErrorKind, work};

/// A release that is installed, active or not.
#[derive(Clone, Debug)]
pub struct InstalledRelease {
    version: ReleaseVersion,
    dir: Dir,
    manifest: Manifest,
}

/// What is wrong with a file of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// It is not there.
    Missing,
    /// A folder, link, FIFO or device has its name.
    NotAFile,
    /// It has another length.
    WrongSize {
        /// Bytes that it has.
        found: u64,
    },
    /// It has the right length and other bytes.
    WrongContent,
    /// It should be a program and is not, or the other way round.
    WrongMode,
    /// The operating system does not permit reading it; in its own words.
    NotPermitted(String),
    /// It could not be read for another reason; in the operating system's words.
    Unreadable(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => formatter.write_str("missing"),
            Self::NotAFile => formatter.write_str("not a file"),
            Self::WrongSize { found } => write!(formatter, "wrong size ({found} bytes)"),
            Self::WrongContent => formatter.write_str("wrong content"),
            Self::WrongMode => formatter.write_str("wrong executable bit"),
            Self::NotPermitted(reason) | Self::Unreadable(reason) => {
                write!(formatter, "cannot be read: {reason}")
            }
        }
    }
}

/// A file of a release that is not what the manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Which file.
    pub path: ReleasePath,
    /// What is wrong with it.
    pub problem: Problem,
}

/// The result of hashing every file of a release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// Files that are what the manifest says.
    pub verified: usize,
    /// What is wrong, by path.
    pub findings: Vec<Finding>,
}

impl Verification {
    /// Whether every file is right.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.findings.is_empty()
    }
}

impl Verification {
    /// # Errors
    /// [`ErrorKind::Damaged`] naming the first finding, [`ErrorKind::PermissionDenied`] if that may not be read.
    pub(crate) fn require_intact(&self, version: &ReleaseVersion) -> Result<(), Error> {
        let Some(finding) = self.findings.first() else {
            return Ok(());
        };
        let text = format!(
            "release {version} cannot become active: {} of its files are damaged ({}: {})",
            self.findings.len(),
            finding.path,
            finding.problem
        );
        let kind = match finding.problem {
            Problem::NotPermitted(_) => ErrorKind::PermissionDenied,
            _ => ErrorKind::Damaged,
        };
        Err(Error::new(kind, text))
    }
}

impl InstalledRelease {
    pub(crate) fn new(version: ReleaseVersion, dir: Dir, manifest: Manifest) -> Self {
        Self {
            version,
            dir,
            manifest,
        }
    }

    /// Its version, by the name of its folder.
    #[must_use]
    pub fn version(&self) -> &ReleaseVersion {
        &self.version
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// What it should hold.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Hashes every file, one per core. Trusts nothing but the manifest.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled). A file that cannot be read is a finding.
    pub fn verify(&self, watch: &dyn Watch) -> Result<Verification, Error> {
        verify_files(&self.dir, self.manifest.files(), watch)
    }

    /// Hashes again what an earlier verification found damaged. Returns what is known of the whole
    /// release now.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_again(
        &self,
        earlier: &Verification,
        watch: &dyn Watch,
    ) -> Result<Verification, Error> {
        let damaged = earlier.findings.iter();
        let damaged = damaged.filter_map(|finding| self.manifest.file(finding.path.as_str()));
        let mut verification = verify_files(&self.dir, damaged, watch)?;
        verification.verified += earlier.verified;
        Ok(verification)
    }
}

/// Hashes files below `dir`, one per core.
pub(crate) fn verify_files<'f>(
    dir: &Dir,
    files: impl IntoIterator<Item = &'f FileEntry>,
    watch: &dyn Watch,
) -> Result<Verification, Error> {
    let batches = work::by_folder(files, |file| file);
    let checked = work::in_parallel(batches, |batch| {
        let folder = dir.open_dir(batch.folder);
        let mut results = Vec::with_capacity(batch.items.len());
        for file in batch.items {
            if watch.is_cancelled() {
                return Err(Error::cancelled());
            }
            let problem = match &folder {
                Ok(folder) => check_file(folder, file, watch),
                Err(error) => Some(problem_of(error)),
            };
            if watch.is_cancelled() {
                return Err(Error::cancelled());
            }
            results.push((file, problem));
        }
        Ok(results)
    })?;
    let mut verification = Verification::default();
    for (file, problem) in checked {
        match problem {
            None => verification.verified += 1,
            Some(problem) => verification.findings.push(Finding {
                path: file.path().clone(),
                problem,
            }),
        }
    }
    verification
        .findings
        .sort_by(|one, other| one.path.cmp(&other.path));
    Ok(verification)
}

/// Hashes one file of `folder`. `None` if it is right.
pub(crate) fn check_file(folder: &Dir, file: &FileEntry, watch: &dyn Watch) -> Option<Problem> {
    let (opened, metadata) = match folder.open_file_with_metadata(file.path().file_name()) {
        Ok(opened) => opened,
        Err(error) => return Some(problem_of(&error)),
    };
    if metadata.len != file.size() {
        return Some(Problem::WrongSize {
            found: metadata.len,
        });
    }
    // Asking for one more byte would be one more call for each of many small files.
    let reader = (&opened).take(file.size());
    match hash_reader(Watched { reader, watch }) {
        Ok((digest, _)) if digest != file.sha256() => Some(Problem::WrongContent),
        Ok(_) if durable_fs::KEEPS_EXECUTABLE && metadata.executable != file.executable() => {
            Some(Problem::WrongMode)
        }
        Ok(_) => None,
        Err(error) => Some(Problem::Unreadable(error.to_string())),
    }
}

fn problem_of(error: &durable_fs::Error) -> Problem {
    match error.kind() {
        durable_fs::ErrorKind::NotFound => Problem::Missing,
        durable_fs::ErrorKind::NotRegular => Problem::NotAFile,
        durable_fs::ErrorKind::PermissionDenied => Problem::NotPermitted(reason(error)),
        _ => Problem::Unreadable(reason(error)),
    }
}

/// What the operating system said: which file it is, a finding says already.
fn reason(error: &durable_fs::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Whether the size, type and mode of a staged file are right; the content was hashed before.
pub(crate) fn looks_right(folder: &Dir, file: &FileEntry) -> Result<bool, durable_fs::Error> {
    Ok(folder
        .metadata(file.path().file_name())?
        .is_some_and(|metadata| {
            metadata.kind == FileKind::File
                && metadata.len == file.size()
                && (!durable_fs::KEEPS_EXECUTABLE || metadata.executable == file.executable())
        }))
}
