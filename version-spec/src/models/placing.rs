//! How a content comes to its target.

use durable_fs::{Dir, Replace, TEMPORARY_PREFIX};
use manifest_core::{ReleasePath, Sha256Digest};

use super::layout::{Layout, content_path, link_text};
use super::records::PlacedBy;
use super::target::{AtTarget, ForeignFile};
use crate::{Error, ErrorKind};

/// How a content came to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Linked,
    Symlinked,
    Copied,
}

impl Layout {
    /// Puts a content that the store has at a target: a hard link, else a symbolic one, else a copy, whichever can be made first. What
    /// we put there before is replaced, at once; anything else is refused. Durable on return.
    pub(super) fn place(&self, target: &ReleasePath, digest: Sha256Digest) -> Result<(), Error> {
        let replace = match self.look(target, Some(digest))? {
            AtTarget::Right => return Ok(()),
            AtTarget::Nothing => Replace::Refuse,
            AtTarget::Ours => Replace::Allow,
            AtTarget::Foreign(file) if file.is_stored => {
                // Linked by a run that was interrupted before it noted that.
                return self.note_placed(target, digest, PlacedBy::Us, &file.metadata);
            }
            AtTarget::Foreign(_) => {
                return Err(self.occupied(target, "is a file of another content, and not ours"));
            }
            AtTarget::NoFile => return Err(self.occupied(target, "is no file")),
        };
        let folder = self.folder_of(target)?;
        let failed = |error| {
            Error::disk(
                format!(
                    "{} cannot be written",
                    self.root().path().join(target.as_str()).display()
                ),
                error,
            )
        };
        let temporary = format!(
            "{TEMPORARY_PREFIX}{}",
            &Sha256Digest::of(target.as_str().as_bytes()).to_string()[..32]
        );
        remove_leftover(&folder, &temporary).map_err(failed)?;
        let how = self
            .bring(&folder, &temporary, target, digest)
            .map_err(failed)?;
        let renamed = folder.rename(&temporary, &folder, target.file_name(), replace);
        if renamed.is_err() || how == How::Linked {
            // A rename between two names of one file does nothing.
            let _ = remove_leftover(&folder, &temporary);
        }
        match renamed {
            Err(error) if error.is_already_exists() => {
                return Err(self.occupied(target, "appeared while the model was being placed"));
            }
            renamed => renamed.map_err(failed)?,
        }
        folder.sync().map_err(failed)?;
        tracing::debug!(%target, ?how, "placed");
        // Of a link, the time is its own; it is noted so that it is found when it is not needed any more.
        match folder.metadata(target.file_name()).map_err(failed)? {
            Some(metadata) => self.note_placed(target, digest, PlacedBy::Us, &metadata),
            None => Ok(()),
        }
    }

    fn bring(
        &self,
        folder: &Dir,
        temporary: &str,
        target: &ReleasePath,
        digest: Sha256Digest,
    ) -> durable_fs::Result<How> {
        let content = content_path(digest);
        let goes_on = |error: &durable_fs::Error| {
            use durable_fs::ErrorKind as Kind;
            !matches!(
                error.kind(),
                Kind::NotFound | Kind::NoSpace | Kind::AlreadyExists
            )
        };
        match self.root().hard_link(&content, folder, temporary) {
            Ok(()) => return Ok(How::Linked),
            Err(error) if goes_on(&error) => tracing::debug!(%error, "no hard link"),
            Err(error) => return Err(error),
        }
        match folder.create_symlink(link_text(target, digest), temporary) {
            Ok(()) => return Ok(How::Symlinked),
            Err(error) if goes_on(&error) => tracing::debug!(%error, "no symbolic link"),
            Err(error) => return Err(error),
        }
        self.root().copy(&content, folder, temporary)?;
        folder.sync_file(temporary)?;
        Ok(How::Copied)
    }

    /// Takes a file of the user's for the content that it is: noted, and a second name for it in the store where links are possible, so
    /// that no version fetches it again. The file itself stays as it is.
    pub(super) fn adopt(
        &self,
        target: &ReleasePath,
        file: &ForeignFile,
        digest: Sha256Digest,
    ) -> Result<(), Error> {
        if self.stored(digest).is_none() {
            let (folder, name) = file.folder();
            let shard = self.shard(digest)?;
            let linked = folder
                .hard_link(name, &shard, digest.to_string())
                .and_then(|()| shard.sync());
            if let Err(error) = linked {
                tracing::debug!(%error, "the file is used where it is, and is not shared");
            }
        }
        let (_, metadata) = file.open()?;
        self.note_placed(target, digest, PlacedBy::User, &metadata)
    }

    /// The folder that a content is in, created when it is missing.
    pub(super) fn shard(&self, digest: Sha256Digest) -> Result<Dir, Error> {
        self.folder(&format!("sha256/{}", &digest.to_string()[..2]))
    }

    /// Moves a file out of the way, to a free name beside it, which it returns.
    pub(super) fn keep_aside(&self, target: &ReleasePath) -> Result<String, Error> {
        let folder = self.folder_of(target)?;
        let failed = |error| {
            Error::disk(
                format!(
                    "{} cannot be moved aside",
                    self.root().path().join(target.as_str()).display()
                ),
                error,
            )
        };
        for number in 1..1000 {
            let aside = format!("{}.kept-{number}", target.file_name());
            match folder.rename(target.file_name(), &folder, &aside, Replace::Refuse) {
                Ok(()) => {
                    folder.sync().map_err(failed)?;
                    self.forget_placed(target);
                    return Ok(aside);
                }
                Err(error) if error.is_already_exists() => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(Error::new(
            ErrorKind::Exists,
            format!("there are a thousand files kept beside {target} already"),
        ))
    }
}

fn remove_leftover(folder: &Dir, temporary: &str) -> durable_fs::Result<()> {
    match folder.remove_file(temporary) {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}
