//! Whether models are what they are taken for, by reading them.

use std::fs::File;
use std::path::PathBuf;

use downloader::ProgressSink;
use durable_fs::FileKind;
use futures::StreamExt as _;
use manifest_core::{ReleasePath, Sha256Digest};

use super::ensuring::Conflict;
use super::hashing;
use super::layout::{Layout, content_path};
use super::store::{Md5State, ModelStore, WantedModelOwned, content_of};
use super::wanted::{ModelState, WantedModel};
use crate::{CancellationToken, Checksum, Error, ErrorKind, LockedModel};

impl ModelStore {
    /// Reads the models at their targets, as many at a time as there are processors, and says of each whether it is what is pinned, in
    /// their order. Nothing is changed.
    ///
    /// # Errors
    /// `Cancelled`. What cannot be read is a result, not an error.
    pub async fn verify(
        &self,
        wanted: &[WantedModel<'_>],
        cancel: &CancellationToken,
    ) -> Result<Vec<ModelState>, Error> {
        let at_once = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let states = wanted.iter().map(|wanted| {
            let (model, cancel) = (WantedModelOwned::of(wanted), cancel.clone());
            self.blocking(move |layout| Ok(state_of(layout, &model.borrowed(), &cancel)))
        });
        let states: Vec<_> = futures::stream::iter(states)
            .buffered(at_once)
            .collect()
            .await;
        if cancel.is_cancelled() {
            return Err(Error::cancelled());
        }
        Ok(states
            .into_iter()
            .map(|state| state.unwrap_or_else(|error| ModelState::Unreadable(format!("{error:#}"))))
            .collect())
    }

    /// Mends a model that is missing or wrong: what we put there is replaced, what the user did is kept beside it under another name,
    /// `<name>.kept-1`. A content in the store that is not what its name says is fetched again.
    ///
    /// # Errors
    /// As [`ensure`](Self::ensure), but `Exists`.
    pub async fn repair(
        &self,
        wanted: &WantedModel<'_>,
        progress: &dyn ProgressSink,
        cancel: &CancellationToken,
    ) -> Result<LockedModel, Error> {
        Self::check(wanted)?;
        let (model, stop) = (WantedModelOwned::of(wanted), cancel.clone());
        let known = self.blocking({
            let model = model.clone();
            move |layout| Ok(content_of(layout, &model.borrowed()).map(|content| content.sha256))
        });
        if let Some(digest) = known.await? {
            let _lock = self.lock(digest, cancel).await?;
            let cleared = self
                .blocking(move |layout| clear_damaged(layout, &model.entry.target, digest, &stop))
                .await;
            cleared.map_err(|error| error.at(wanted.pointer("target_path")))?;
        }
        self.ensure_or(Conflict::KeepAside, wanted, progress, cancel)
            .await
    }
}

fn state_of(layout: &Layout, wanted: &WantedModel<'_>, cancel: &CancellationToken) -> ModelState {
    let found = || -> Result<ModelState, Error> {
        let target = &wanted.entry.target;
        let Some((mut file, path)) = layout.open_at(target)? else {
            return Ok(ModelState::Missing);
        };
        let (actual, _) = hashing::sha256(&mut file, &path, cancel)?;
        let content = content_of(layout, wanted);
        let settled = content.filter(|content| content.md5 == Md5State::Settled);
        Ok(match (settled, &wanted.entry.checksum) {
            (Some(content), _) if content.sha256 == actual => ModelState::Right { sha256: actual },
            (Some(_), _) => ModelState::Wrong { actual },
            (None, Some(Checksum::Md5(expected))) => {
                let Some((mut file, path)) = layout.open_at(target)? else {
                    return Ok(ModelState::Missing);
                };
                if hashing::md5(&mut file, &path, cancel)? == *expected {
                    ModelState::Right { sha256: actual }
                } else {
                    ModelState::Wrong { actual }
                }
            }
            (None, _) => ModelState::Unpinned { sha256: actual },
        })
    };
    found().unwrap_or_else(|error| ModelState::Unreadable(format!("{error:#}")))
}

/// Removes what is taken for a content and is another one, from the store and from a target.
fn clear_damaged(
    layout: &Layout,
    target: &ReleasePath,
    digest: Sha256Digest,
    cancel: &CancellationToken,
) -> Result<(), Error> {
    let path = content_path(digest);
    if layout.stored(digest).is_some() {
        let mut file = layout
            .root()
            .open_file(&path)
            .map_err(|error| layout.failed(&path, "read", error))?;
        if hashing::sha256(&mut file, &layout.root().path().join(&path), cancel)?.0 != digest {
            tracing::warn!(%digest, "a content in the store is damaged, and is fetched again");
            let removed = layout.root().remove_file(&path);
            removed.map_err(|error| layout.failed(&path, "removed", error))?;
        }
    }
    // What was noted about the target would keep a damaged file from being looked at. What is no file has no note.
    let opened = match layout.open_at(target) {
        Err(error) if error.kind() == ErrorKind::Damaged => None,
        opened => opened?,
    };
    let Some((mut file, path)) = opened else {
        return Ok(());
    };
    if hashing::sha256(&mut file, &path, cancel)?.0 != digest {
        layout.disown(target)?;
    }
    Ok(())
}

impl Layout {
    /// Opens what is at a target, also behind a link. `None` if nothing is there.
    fn open_at(&self, target: &ReleasePath) -> Result<Option<(File, PathBuf)>, Error> {
        let metadata = self
            .root()
            .metadata(target.as_str())
            .map_err(|error| self.unusable(target, error))?;
        let path = self.root().path().join(target.as_str());
        match metadata.map(|metadata| metadata.kind) {
            None => Ok(None),
            Some(FileKind::Symlink) => {
                if let Some(digest) = self.link_of_ours(target) {
                    let content = content_path(digest);
                    return match self.root().open_file(&content) {
                        Ok(file) => Ok(Some((file, path))),
                        Err(error) if error.is_not_found() => Ok(None),
                        Err(error) => Err(self.failed(&content, "read", error)),
                    };
                }
                match self.behind_link(target, None) {
                    Some(file) => Ok(Some((file.open()?.0, path))),
                    None => Err(Error::new(
                        ErrorKind::Damaged,
                        format!("{} is a link that leads to no file", path.display()),
                    )),
                }
            }
            Some(_) => match self.root().open_file(target.as_str()) {
                Ok(file) => Ok(Some((file, path))),
                Err(error) => Err(self.unusable(target, error)),
            },
        }
    }

    /// Forgets that a file is the user's and right, or removes it if it is ours.
    fn disown(&self, target: &ReleasePath) -> Result<(), Error> {
        if self.is_ours(target)? {
            self.root()
                .remove_file(target.as_str())
                .map_err(|error| self.unusable(target, error))?;
        }
        self.forget_placed(target);
        Ok(())
    }
}
