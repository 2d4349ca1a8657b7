use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use durable_fs::Metadata;

use crate::{Result, StoredManifest};

/// Manifests kept, and the length of their files taken together. The newest is kept whatever its
/// length.
const MAX_MANIFESTS: usize = 32;
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Which file a manifest was read from. Manifests are replaced, never edited in place, so a file
/// with the same stamp has the same content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    len: u64,
    modified: Option<SystemTime>,
    changed: i128,
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.device,
            inode: metadata.inode,
            len: metadata.len,
            modified: metadata.modified,
            changed: metadata.changed,
        }
    }
}

/// Parsed manifests by the path of their file: 20,000 requests for the files of one release parse
/// its manifest once.
#[derive(Debug, Default)]
pub(crate) struct ManifestCache {
    entries: Mutex<Entries>,
    /// Held while a manifest is parsed, so that many requests for a new one parse it once.
    loading: Mutex<()>,
}

#[derive(Debug, Default)]
struct Entries {
    by_path: HashMap<String, Entry>,
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    stamp: Stamp,
    manifest: Arc<StoredManifest>,
    last_use: u64,
}

impl ManifestCache {
    /// The manifest of the file at `path` with this stamp; `load` is called if it is not here.
    pub(crate) fn get_or_load(
        &self,
        path: &str,
        stamp: Stamp,
        load: impl FnOnce() -> Result<StoredManifest>,
    ) -> Result<Arc<StoredManifest>> {
        if let Some(manifest) = lock(&self.entries).get(path, stamp) {
            return Ok(manifest);
        }
        let _loading = lock(&self.loading);
        if let Some(manifest) = lock(&self.entries).get(path, stamp) {
            return Ok(manifest);
        }
        let manifest = Arc::new(load()?);
        lock(&self.entries).insert(path, stamp, Arc::clone(&manifest));
        Ok(manifest)
    }
}

impl Entries {
    fn get(&mut self, path: &str, stamp: Stamp) -> Option<Arc<StoredManifest>> {
        self.uses += 1;
        let entry = self
            .by_path
            .get_mut(path)
            .filter(|entry| entry.stamp == stamp)?;
        entry.last_use = self.uses;
        Some(Arc::clone(&entry.manifest))
    }

    fn insert(&mut self, path: &str, stamp: Stamp, manifest: Arc<StoredManifest>) {
        self.by_path.remove(path);
        let mut bytes = manifest.bytes().len();
        bytes += self
            .by_path
            .values()
            .map(|entry| entry.manifest.bytes().len())
            .sum::<usize>();
        while self.by_path.len() >= MAX_MANIFESTS || bytes > MAX_BYTES {
            let oldest = self.by_path.iter().min_by_key(|(_, entry)| entry.last_use);
            let Some(oldest) = oldest.map(|(path, _)| path.clone()) else {
                break;
            };
            if let Some(entry) = self.by_path.remove(&oldest) {
                bytes -= entry.manifest.bytes().len();
            }
        }
        let entry = Entry {
            stamp,
            manifest,
            last_use: self.uses,
        };
        self.by_path.insert(path.to_owned(), entry);
    }
}

/// A panic elsewhere leaves the cache whole: each change is a single step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
