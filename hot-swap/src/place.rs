//! Where the binary is: on this machine's disk, or inside a container.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable_fs::{Dir, FileKind, Replace};
use manifest_core::Sha256Digest;

use crate::blocking::blocking;
use crate::candidate::hash;
use crate::container::Container;
use crate::error::Doing as _;
use crate::state::{CHECKING, SAVING, State, split};
use crate::{Error, ErrorKind, HotSwap};

#[derive(Clone, Debug)]
pub(crate) enum Place {
    Here(Local),
    Inside(Container, PathBuf),
}

impl Place {
    pub(crate) async fn open(swap: &HotSwap) -> Result<Self, Error> {
        if let Some(container) = &swap.container {
            return Ok(Self::Inside(container.clone(), swap.target.clone()));
        }
        let (parent, name) = split(&swap.target)?;
        let disk = swap.disk.clone();
        let path = swap.target.clone();
        blocking(move || {
            let during = || format!("cannot open the folder of {}", path.display());
            let dir = disk.open_dir(parent).doing(during)?;
            let local = Local {
                dir,
                name: name.into(),
            };
            local.is_there()?;
            Ok(Self::Here(local))
        })
        .await
    }

    /// What to give a candidate the owner, mode and capabilities of.
    pub(crate) fn model(&self) -> Result<Option<(&Dir, &Path)>, Error> {
        match self {
            Self::Here(local) if local.is_there()? => Ok(Some((&local.dir, &local.name))),
            _ => Ok(None),
        }
    }

    /// Whether nothing is in place, as far as that can be seen without copying anything.
    pub(crate) fn is_empty(&self) -> Result<bool, Error> {
        match self {
            Self::Here(local) => Ok(!local.is_there()?),
            Self::Inside(..) => Ok(false),
        }
    }

    /// Saves what is in place as [`SAVING`] and hashes it there; `None` if nothing is in place.
    pub(crate) async fn save(&self, state: &Arc<State>) -> Result<Option<Sha256Digest>, Error> {
        let state = state.clone();
        match self {
            Self::Here(local) => {
                let local = local.clone();
                blocking(move || {
                    if !local.is_there()? {
                        return Ok(None);
                    }
                    local.save(&state, SAVING)?;
                    hash(&state.dir, SAVING.as_ref()).map(Some)
                })
                .await
            }
            Self::Inside(container, target) => copied_out(container, target, state, SAVING).await,
        }
    }

    /// What is in place; `None` if nothing is.
    pub(crate) async fn digest(&self, state: &Arc<State>) -> Result<Option<Sha256Digest>, Error> {
        match self {
            Self::Here(local) => {
                let local = local.clone();
                blocking(move || {
                    if !local.is_there()? {
                        return Ok(None);
                    }
                    hash(&local.dir, &local.name).map(Some)
                })
                .await
            }
            Self::Inside(container, target) => {
                let digest = copied_out(container, target, state.clone(), CHECKING).await?;
                let state = state.clone();
                blocking(move || state.remove(CHECKING)).await?;
                Ok(digest)
            }
        }
    }

    /// Puts a file of the state folder in the target's place: old or new, never half. On this machine's disk it is durable on return.
    pub(crate) async fn put(
        &self,
        state: &Arc<State>,
        name: &'static str,
        digest: Sha256Digest,
    ) -> Result<(), Error> {
        let state = state.clone();
        match self {
            Self::Here(local) => {
                let local = local.clone();
                blocking(move || local.put(&state, name)).await
            }
            Self::Inside(container, target) => {
                let file = state.dir.path().join(name);
                container.put(&file, target, digest).await?;
                blocking(move || state.remove(name)).await
            }
        }
    }
}

async fn copied_out(
    container: &Container,
    target: &Path,
    state: Arc<State>,
    name: &'static str,
) -> Result<Option<Sha256Digest>, Error> {
    let file = state.dir.path().join(name);
    if !container.copy_out(target, &file).await? {
        return Ok(None);
    }
    let target = target.to_owned();
    blocking(move || {
        let metadata = state.dir.metadata(name);
        let metadata = metadata.doing(|| "cannot look at what was copied out".into())?;
        require_file(metadata.map(|metadata| metadata.kind), &target)?;
        let synced = state.dir.sync_file(name);
        synced.doing(|| "cannot save what is in place".into())?;
        hash(&state.dir, name.as_ref()).map(Some)
    })
    .await
}

/// A name in a folder of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    dir: Dir,
    name: PathBuf,
}

impl Local {
    fn path(&self) -> PathBuf {
        self.dir.path().join(&self.name)
    }

    /// Whether there is a file.
    fn is_there(&self) -> Result<bool, Error> {
        let metadata = self.dir.metadata(&self.name);
        let metadata = metadata.doing(|| format!("cannot look at {}", self.path().display()))?;
        let kind = metadata.map(|metadata| metadata.kind);
        if kind == Some(FileKind::Symlink) {
            let to = self.dir.read_link(&self.name).unwrap_or_default();
            let text = format!(
                "{} is a link to {}: name the file itself",
                self.path().display(),
                to.display()
            );
            return Err(Error::new(ErrorKind::Policy, text));
        }
        require_file(kind, &self.path())?;
        Ok(kind.is_some())
    }

    /// A second name of the file where the system allows it: whole at once, with all its attributes.
    fn save(&self, state: &State, name: &str) -> Result<(), Error> {
        let linked = self.dir.hard_link(&self.name, &state.dir, name);
        if let Err(error) = linked {
            tracing::debug!(%error, "copying instead");
            let copied = self.dir.copy(&self.name, &state.dir, name).and_then(|_| {
                self.dir.copy_attributes(&self.name, &state.dir, name)?;
                state.dir.sync_file(name)
            });
            return copied.doing(|| format!("cannot save {}", self.path().display()));
        }
        Ok(())
    }

    fn put(&self, state: &State, name: &str) -> Result<(), Error> {
        let renamed = state
            .dir
            .rename(name, &self.dir, &self.name, Replace::Allow)
            .and_then(|()| self.dir.sync())
            .and_then(|()| state.dir.sync());
        renamed.doing(|| format!("cannot replace {}", self.path().display()))
    }
}

fn require_file(kind: Option<FileKind>, path: &Path) -> Result<(), Error> {
    match kind {
        None | Some(FileKind::File) => Ok(()),
        Some(_) => {
            let text = format!("{} is no file", path.display());
            Err(Error::new(ErrorKind::Policy, text))
        }
    }
}
