//! What has to be remembered about a partial file: where its last bytes came from.

use durable_fs::{Dir, Replace};
use serde::{Deserialize, Serialize};
use url::Url;

use super::store;
use crate::{Error, Validator};

/// No URL that a server accepts is near this.
const LARGEST: u64 = 64 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journal {
    pub(super) url: Url,
    pub(super) validator: Option<Validator>,
    pub(super) size: u64,
}

impl Journal {
    /// Reads a journal; `None` when it is missing, damaged or not about a file of this size: it is a help, not a need.
    pub(super) fn read(dir: &Dir, name: &str, size: u64) -> Option<Self> {
        let bytes = dir.read(name, LARGEST).ok()?;
        serde_json::from_slice(&bytes)
            .ok()
            .filter(|journal: &Self| journal.size == size)
    }

    /// Replaces the journal by a rename. It is not synced: after a power cut an old or missing one costs a refetch at most,
    /// since the digest decides in the end.
    pub(super) fn write(&self, dir: &Dir, name: &str) -> Result<(), Error> {
        let bytes = serde_json::to_vec(self).expect("strings and a number are always valid JSON");
        let fresh = format!("{name}.new");
        let mut file = store::create_fresh(dir, &fresh)?;
        file.write_bytes(&bytes).map_err(|error| {
            Error::disk(format!("cannot write the download journal {fresh}"), error)
        })?;
        drop(file);
        dir.rename(&fresh, dir, name, Replace::Allow)
            .map_err(|error| {
                Error::disk(format!("cannot replace the download journal {name}"), error)
            })
    }
}
