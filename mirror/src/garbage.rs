//! Removes releases, and the contents that no release has.

use std::collections::HashSet;

use durable_fs::FileKind;
use manifest_core::{FileEntry, MANIFEST_FILE_NAME, ReleaseVersion, Sha256Digest, ToolId};

use crate::store::disk_error;
use crate::{Error, ErrorKind, Result, Store};

/// What collecting garbage did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// Contents that were removed, as no release has them.
    pub removed_blobs: usize,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Contents that releases have.
    pub kept_blobs: usize,
}

impl Store {
    /// Removes a release: from then on it is not published. `false` if it was not. Its contents stay until
    /// [`collect_garbage`](Self::collect_garbage).
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] if somebody is publishing, [`ErrorKind::Io`]. After a failure the release is there
    /// as a whole or not at all.
    pub fn remove_release(&self, tool: &ToolId, version: &ReleaseVersion) -> Result<bool> {
        let _lock = self.lock()?;
        let remove = || -> std::result::Result<bool, durable_fs::Error> {
            let folder = version.folder_name();
            let Some(of_tool) = present(self.releases_dir().open_dir(tool.as_str()))? else {
                return Ok(false);
            };
            let Some(release) = present(of_tool.open_dir(&folder))? else {
                return Ok(false);
            };
            let was_there = present(release.remove_file(MANIFEST_FILE_NAME))?.is_some();
            release.sync()?;
            // Folders without a manifest are no releases; one with something else in it is left alone.
            if of_tool.remove_dir(&folder).is_ok() {
                of_tool.sync()?;
            }
            Ok(was_there)
        };
        remove().map_err(|error| disk_error(format!("{tool} {version} cannot be removed"), error))
    }

    /// Removes every content that no release has, those of interrupted publishes included. Nobody can
    /// publish meanwhile; serving goes on, and who has a file open reads it to its end (Unix).
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] if somebody is publishing. [`ErrorKind::Manifest`] or [`ErrorKind::Corrupt`] if
    /// a manifest cannot be read: then it is not known which contents it names, and nothing is removed.
    /// [`ErrorKind::Io`].
    pub fn collect_garbage(&self) -> Result<Collected> {
        let _lock = self.lock()?;
        self.clear_leftovers()?;
        let mut named = HashSet::new();
        for release in self.releases()? {
            let (tool, version) = (&release.tool_id, &release.version);
            let stored = self.manifest(tool, version)?.ok_or_else(|| {
                let text = format!("the manifest of {tool} {version} vanished");
                Error::new(ErrorKind::Corrupt, text)
            })?;
            named.extend(stored.manifest().files().iter().map(FileEntry::sha256));
        }
        self.sweep(&named).map_err(|error| {
            let path = self.path().display();
            disk_error(format!("garbage in {path} cannot be removed"), error)
        })
    }

    fn sweep(
        &self,
        named: &HashSet<Sha256Digest>,
    ) -> std::result::Result<Collected, durable_fs::Error> {
        // A power cut must not bring a manifest back whose contents are gone.
        self.releases_dir().sync_tree()?;
        let mut collected = Collected::default();
        for prefix in self.blobs().entries()? {
            if prefix.kind != FileKind::Dir {
                continue;
            }
            let folder = self.blobs().open_dir(&prefix.name)?;
            for entry in folder.entries()? {
                // Nothing but contents has such a name.
                let digest = entry.name.to_str().and_then(|name| name.parse().ok());
                let Some(digest) = digest else { continue };
                if named.contains(&digest) {
                    collected.kept_blobs += 1;
                    continue;
                }
                let len = folder.metadata(&entry.name)?.map_or(0, |found| found.len);
                folder.remove_tree(&entry.name)?;
                collected.removed_blobs += 1;
                collected.removed_bytes += len;
            }
        }
        Ok(collected)
    }
}

/// `None` instead of an error that something is not there.
fn present<T>(
    result: std::result::Result<T, durable_fs::Error>,
) -> std::result::Result<Option<T>, durable_fs::Error> {
    match result {
        Err(error) if error.is_not_found() => Ok(None),
        result => result.map(Some),
    }
}
