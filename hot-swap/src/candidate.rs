use std::fmt;
use std::path::{Path, PathBuf};

use activation::Installation;
use durable_fs::{Dir, Executable, LinkPolicy};
use manifest_core::{ReleasePath, Sha256Digest, hash_file};

use crate::backups::{self, Backup};
use crate::error::Doing as _;
use crate::state::{INCOMING, State, split};
use crate::{Error, ErrorKind, HotSwap};

/// What is to take the target's place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Candidate {
    /// A file, as a build leaves it.
    File(PathBuf),
    /// A file of the release that is active in an installation, proved by its manifest.
    Release {
        /// The root of the installation.
        root: PathBuf,
        /// Which of the release's files.
        path: ReleasePath,
    },
    /// A backup: the one whose name or digest begins so, or the newest with another content than what is in place.
    Backup(Option<String>),
}

impl Candidate {
    /// A file of the release that is active in an installation.
    #[must_use]
    pub fn release(root: impl Into<PathBuf>, path: ReleasePath) -> Self {
        Self::Release {
            root: root.into(),
            path,
        }
    }

    /// What was in place before.
    #[must_use]
    pub fn previous() -> Self {
        Self::Backup(None)
    }
}

impl From<PathBuf> for Candidate {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&Path> for Candidate {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<&str> for Candidate {
    fn from(path: &str) -> Self {
        Self::File(path.into())
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Release { root, path } => {
                write!(
                    formatter,
                    "{path} of the active release in {}",
                    root.display()
                )
            }
            Self::Backup(Some(name)) => write!(formatter, "the backup {name}"),
            Self::Backup(None) => formatter.write_str("the backup of what was in place before"),
        }
    }
}

/// Where a candidate lies, and what it must be.
pub(crate) struct Source {
    dir: Dir,
    name: PathBuf,
    expected: Option<Sha256Digest>,
    /// The release that it is of.
    pub(crate) release: Option<String>,
}

impl Source {
    /// Finds a candidate. `in_place` is only needed for a backup without a name.
    pub(crate) fn find(
        swap: &HotSwap,
        backups: Option<&Dir>,
        in_place: Option<Sha256Digest>,
    ) -> Result<Self, Error> {
        match &swap.candidate {
            Candidate::File(path) => {
                // Links are followed on purpose: this is only where bytes come from, and what was copied is hashed.
                let real = std::fs::canonicalize(path).map_err(|error| {
                    let text = format!("there is no candidate {}", path.display());
                    Error::new(ErrorKind::NotFound, text).with_source(error)
                })?;
                let (parent, name) = split(&real)?;
                let during = || format!("cannot open the folder of {}", path.display());
                Ok(Self {
                    dir: swap.disk.open_dir(parent).doing(during)?,
                    name: name.into(),
                    expected: None,
                    release: None,
                })
            }
            Candidate::Release { root, path } => Self::in_release(swap, root, path),
            Candidate::Backup(wanted) => {
                let all = match backups {
                    Some(folder) => backups::list(folder)?,
                    None => Vec::new(),
                };
                let backup = backups::find(&all, wanted.as_deref(), in_place, &swap.target)?;
                let dir = backups.expect("a backup was found in this folder").clone();
                Ok(Self {
                    dir,
                    name: backup.name.into(),
                    expected: Some(backup.sha256),
                    release: None,
                })
            }
        }
    }

    fn in_release(swap: &HotSwap, root: &Path, path: &ReleasePath) -> Result<Self, Error> {
        let no_release = |error: activation::Error| {
            let text = format!("there is no release to take {path} from");
            Error::new(ErrorKind::NotFound, text).with_source(error)
        };
        let installation = Installation::open(&swap.disk, root).map_err(no_release)?;
        let release = installation.active().map_err(no_release)?.ok_or_else(|| {
            let text = format!("no release is active in {}", root.display());
            Error::new(ErrorKind::NotFound, text)
        })?;
        let Some(file) = release.manifest().file(path.as_str()) else {
            let text = format!("release {} has no file {path}", release.version());
            return Err(Error::new(ErrorKind::NotFound, text));
        };
        Ok(Self {
            dir: release.dir().clone(),
            name: path.as_str().into(),
            expected: Some(file.sha256()),
            release: Some(release.version().to_string()),
        })
    }

    /// What it is, where it lies. Changes nothing.
    pub(crate) fn digest(&self) -> Result<Sha256Digest, Error> {
        self.check(hash_and_measure(&self.dir, &self.name)?)
    }

    /// Copies it beside the target, with the target's attributes; what was copied is hashed and durable.
    pub(crate) fn stage(
        &self,
        state: &State,
        model: Option<(&Dir, &Path)>,
    ) -> Result<Sha256Digest, Error> {
        let path = self.dir.path().join(&self.name);
        let during = || format!("cannot copy {}", path.display());
        self.dir
            .place(&self.name, &state.dir, INCOMING, LinkPolicy::Independent)
            .doing(during)?;
        let digest = self.check(hash_and_measure(&state.dir, INCOMING.as_ref())?)?;
        if let Some((dir, name)) = model {
            let given = dir.copy_attributes(name, &state.dir, INCOMING);
            given.doing(|| {
                "cannot give the candidate the owner, mode and capabilities of what is in place"
                    .into()
            })?;
        } else {
            let made = state.dir.set_executable(INCOMING, Executable::Yes);
            made.doing(|| "cannot make the candidate executable".into())?;
        }
        state.dir.sync_file(INCOMING).doing(during)?;
        Ok(digest)
    }

    fn check(&self, (digest, length): (Sha256Digest, u64)) -> Result<Sha256Digest, Error> {
        let path = self.dir.path().join(&self.name);
        let wrong = |text| Err(Error::new(ErrorKind::Integrity, text));
        match self.expected {
            Some(expected) if expected != digest => wrong(format!(
                "{} is damaged: it must have the hash {expected}, and has {digest}",
                path.display()
            )),
            _ if length == 0 => wrong(format!("{} is empty", path.display())),
            _ => Ok(digest),
        }
    }
}

/// Whether a backup is still what it was.
pub(crate) fn check_backup(folder: &Dir, backup: &str) -> Result<(), Error> {
    let path = || folder.path().join(backup).display().to_string();
    let Some((_, expected)) = backups::parse(backup) else {
        let text = format!("{} is no name of a backup", path());
        return Err(Error::new(ErrorKind::NoBackup, text));
    };
    match hash(folder, backup.as_ref()) {
        Ok(digest) if digest == expected => Ok(()),
        Ok(_) => {
            let text = format!("the backup {} is damaged", path());
            Err(Error::new(ErrorKind::NoBackup, text))
        }
        Err(error) => {
            let text = format!("the backup {} cannot be read", path());
            Err(Error::new(ErrorKind::NoBackup, text).with_source(error))
        }
    }
}

pub(crate) fn hash(dir: &Dir, name: &Path) -> Result<Sha256Digest, Error> {
    hash_and_measure(dir, name).map(|(digest, _)| digest)
}

fn hash_and_measure(dir: &Dir, name: &Path) -> Result<(Sha256Digest, u64), Error> {
    let path = || dir.path().join(name).display().to_string();
    let file = dir
        .open_file(name)
        .doing(|| format!("cannot open {}", path()))?;
    hash_file(&file).map_err(|error| {
        Error::new(ErrorKind::Io, format!("cannot read {}", path())).with_source(error)
    })
}

impl From<&Backup> for Candidate {
    fn from(backup: &Backup) -> Self {
        Self::Backup(Some(backup.name.clone()))
    }
}
