//! What the store remembers: contents of sources, and what it placed. Losing a record costs time, never a model.

use std::time::UNIX_EPOCH;

use durable_fs::Metadata;
use manifest_core::{ReleasePath, Sha256Digest};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;

use super::layout::Layout;
use crate::{Checksum, Error, ModelSource};

/// Longer ones are not ours.
const LARGEST: u64 = 64 << 10;

/// What a source, or an MD5, turned out to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) url: Url,
    pub(super) sha256: Sha256Digest,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) etag: Option<String>,
}

/// What lies at a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PlacedRecord {
    pub(super) target: String,
    pub(super) sha256: Sha256Digest,
    pub(super) stamp: Stamp,
    pub(super) by: PlacedBy,
}

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PlacedBy {
    /// Ours: it may be replaced.
    Us,
    /// The user's, and the right content when it was hashed.
    User,
}

/// A file that has the same stamp is taken as unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) size: u64,
    /// Nanoseconds since 1970.
    modified: u64,
    inode: u64,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let modified = metadata
            .modified
            .and_then(|modified| modified.duration_since(UNIX_EPOCH).ok());
        Self {
            size: metadata.len,
            modified: modified.map_or(0, |age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)),
            inode: metadata.inode,
        }
    }

    /// Whether `later` is this file, written to since.
    pub(super) fn is_changed_to(self, later: Self) -> bool {
        self != later && self.inode == later.inode && self.inode != 0
    }
}

/// The name under which the content of a source is remembered. Signatures, which change each time, are no part of it.
pub(super) fn key_of_source(source: &ModelSource) -> Sha256Digest {
    Sha256Digest::of(format!("source {source}").as_bytes())
}

pub(super) fn key_of_checksum(checksum: &Checksum) -> Sha256Digest {
    Sha256Digest::of(format!("checksum {checksum}").as_bytes())
}

fn key_of_target(target: &ReleasePath) -> Sha256Digest {
    Sha256Digest::of(format!("target {target}").as_bytes())
}

impl Layout {
    pub(super) fn known(&self, key: Sha256Digest) -> Option<Known> {
        self.record("known", key)
    }

    pub(super) fn remember(&self, key: Sha256Digest, known: &Known) -> Result<(), Error> {
        self.write_record("known", key, known)
    }

    /// What was placed at a target, if anything was.
    pub(super) fn placed(&self, target: &ReleasePath) -> Option<PlacedRecord> {
        let record: PlacedRecord = self.record("placed", key_of_target(target))?;
        (record.target == target.as_str()).then_some(record)
    }

    pub(super) fn remember_placed(
        &self,
        target: &ReleasePath,
        record: &PlacedRecord,
    ) -> Result<(), Error> {
        self.write_record("placed", key_of_target(target), record)
    }

    /// All that was placed.
    pub(super) fn all_placed(&self) -> Result<Vec<PlacedRecord>, Error> {
        let Some(folder) = self.folder_if_there("placed")? else {
            return Ok(Vec::new());
        };
        let entries = folder.entries().map_err(|error| {
            Error::disk(
                format!("{} cannot be listed", folder.path().display()),
                error,
            )
        })?;
        let read = |name| serde_json::from_slice(&folder.read(name, LARGEST).ok()?).ok();
        Ok(entries
            .into_iter()
            .filter_map(|entry| read(entry.name))
            .collect())
    }

    pub(super) fn forget_placed(&self, target: &ReleasePath) {
        let name = format!(".store/placed/{}.json", key_of_target(target));
        if let Err(error) = self.root().remove_file(&name)
            && !error.is_not_found()
        {
            tracing::debug!(%error, "a record of a removed model stays");
        }
    }

    fn record<T: DeserializeOwned>(&self, folder: &str, key: Sha256Digest) -> Option<T> {
        let bytes = self
            .root()
            .read(format!(".store/{folder}/{key}.json"), LARGEST)
            .ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    fn write_record(
        &self,
        folder: &str,
        key: Sha256Digest,
        record: &impl Serialize,
    ) -> Result<(), Error> {
        let bytes = serde_json::to_vec(record).expect("texts and numbers are always JSON");
        let folder = self.folder(folder)?;
        let name = format!("{key}.json");
        if folder
            .read(&name, LARGEST)
            .is_ok_and(|there| there == bytes)
        {
            return Ok(());
        }
        folder.replace_file(&name, &bytes).map_err(|error| {
            Error::disk(
                format!("{} cannot be written", folder.path().join(&name).display()),
                error,
            )
        })
    }
}
