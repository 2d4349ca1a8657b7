//! What lies where a model belongs.

use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;

use durable_fs::{Dir, FileKind, Metadata};
use manifest_core::{ReleasePath, Sha256Digest};

use super::layout::{Layout, link_text};
use super::records::{PlacedBy, PlacedRecord, Stamp};
use crate::{Error, ErrorKind};

/// What a look at a target finds.
pub(super) enum AtTarget {
    Nothing,
    /// The content that is wanted.
    Right,
    /// Another content, which we put there.
    Ours,
    /// A file that the user put there, or that changed since.
    Foreign(ForeignFile),
    /// No file, and no link to one.
    NoFile,
}

/// A file whose content is not known.
pub(super) struct ForeignFile {
    folder: Dir,
    name: OsString,
    pub(super) metadata: Metadata,
    /// It is the very file that the store has.
    pub(super) is_stored: bool,
}

impl ForeignFile {
    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }

    /// Opens it, and says what it is now.
    pub(super) fn open(&self) -> Result<(File, Metadata), Error> {
        let opened = self.folder.open_file_with_metadata(&self.name);
        opened.map_err(|error| {
            Error::disk(format!("{} cannot be read", self.path().display()), error)
        })
    }

    pub(super) fn folder(&self) -> (&Dir, &OsString) {
        (&self.folder, &self.name)
    }
}

impl Layout {
    /// Looks at a target, for a content if it is known which. Nothing is read but what we wrote about it.
    pub(super) fn look(
        &self,
        target: &ReleasePath,
        wanted: Option<Sha256Digest>,
    ) -> Result<AtTarget, Error> {
        let metadata = self
            .root()
            .metadata(target.as_str())
            .map_err(|error| self.unusable(target, error))?;
        let Some(metadata) = metadata else {
            return Ok(AtTarget::Nothing);
        };
        let file = match metadata.kind {
            FileKind::File => {
                let folder = match target.parent() {
                    Some(parent) => self
                        .root()
                        .open_dir(parent)
                        .map_err(|error| self.unusable(target, error))?,
                    None => self.root().clone(),
                };
                ForeignFile {
                    folder,
                    name: target.file_name().into(),
                    is_stored: self.is_stored(&metadata, wanted),
                    metadata,
                }
            }
            FileKind::Symlink => {
                if let Some(digest) = self.link_of_ours(target) {
                    let is_right = wanted == Some(digest) && self.stored(digest).is_some();
                    return Ok(if is_right {
                        AtTarget::Right
                    } else {
                        AtTarget::Ours
                    });
                }
                match self.behind_link(target, wanted) {
                    Some(file) => file,
                    None => return Ok(AtTarget::NoFile),
                }
            }
            _ => return Ok(AtTarget::NoFile),
        };
        let stamp = Stamp::of(&file.metadata);
        let record = self.placed(target);
        Ok(
            match record.as_ref().filter(|record| record.stamp == stamp) {
                Some(record) if Some(record.sha256) == wanted => AtTarget::Right,
                Some(record) if record.by == PlacedBy::Us => AtTarget::Ours,
                _ => {
                    // The same file with another time was written to, under both its names.
                    let was_changed =
                        record.is_some_and(|record| record.stamp.is_changed_to(stamp));
                    let is_stored = file.is_stored && !was_changed;
                    AtTarget::Foreign(ForeignFile { is_stored, ..file })
                }
            },
        )
    }

    /// Whether the file is the very one that the store has for a content.
    fn is_stored(&self, metadata: &Metadata, wanted: Option<Sha256Digest>) -> bool {
        let stored = wanted.and_then(|wanted| {
            self.root()
                .metadata(super::layout::content_path(wanted))
                .ok()?
        });
        stored.is_some_and(|stored| {
            metadata.inode != 0
                && (stored.inode, stored.device, stored.len)
                    == (metadata.inode, metadata.device, metadata.len)
        })
    }

    /// The content that a link of ours leads to.
    pub(super) fn link_of_ours(&self, target: &ReleasePath) -> Option<Sha256Digest> {
        let text = self.root().read_link(target.as_str()).ok()?;
        let digest: Sha256Digest = text.file_name()?.to_str()?.parse().ok()?;
        (text.as_os_str() == link_text(target, digest).as_str()).then_some(digest)
    }

    /// The file that a link of the user's leads to; he may keep his models on another disk.
    pub(super) fn behind_link(
        &self,
        target: &ReleasePath,
        wanted: Option<Sha256Digest>,
    ) -> Option<ForeignFile> {
        let path = self
            .root()
            .path()
            .join(target.as_str())
            .canonicalize()
            .ok()?;
        let folder = self.root().disk().open_dir(path.parent()?).ok()?;
        let name = path.file_name()?.to_owned();
        let metadata = folder.metadata(&name).ok()??;
        (metadata.kind == FileKind::File).then(|| ForeignFile {
            is_stored: self.is_stored(&metadata, wanted),
            folder,
            name,
            metadata,
        })
    }

    /// Notes whose file lies at a target, and what it is.
    pub(super) fn note_placed(
        &self,
        target: &ReleasePath,
        sha256: Sha256Digest,
        by: PlacedBy,
        metadata: &Metadata,
    ) -> Result<(), Error> {
        let record = PlacedRecord {
            target: target.as_str().to_owned(),
            sha256,
            stamp: Stamp::of(metadata),
            by,
        };
        self.remember_placed(target, &record)
    }

    /// Why a target cannot be used.
    pub(super) fn occupied(&self, target: &ReleasePath, why: &str) -> Error {
        let path = self.root().path().join(target.as_str());
        let hint = "move it away, or let `verify-models` replace it, which keeps it beside under another name";
        Error::new(ErrorKind::Exists, format!("{} {why}", path.display())).with_hint(hint)
    }
}
