//! A folder of models, and a net with faults.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use downloader::testing::{Fault, Faulty};
use downloader::{Downloader, MemoryDownloader, RetryPolicy};
use durable_fs::Disk;
use tempfile::TempDir;
use url::Url;
use version_spec::{
    CancellationToken, Checksum, Error, LockedModel, ModelEntry, ModelState, ModelStore, ModelsDir,
    Presence, Sha256Digest, Tokens, WantedModel,
};

pub(crate) const SOURCE: &str = "https://h/x.bin";

pub(crate) fn weights(seed: u8) -> Vec<u8> {
    (0..200_000_u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 16) as u8 ^ seed)
        .collect()
}

pub(crate) fn sha256(content: &[u8]) -> Checksum {
    Checksum::Sha256(Sha256Digest::of(content))
}

pub(crate) fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

pub(crate) fn entry(source: &str, target: &str) -> ModelEntry {
    let name = target.rsplit('/').next().unwrap();
    ModelEntry::new(
        name.parse().unwrap(),
        source.parse().unwrap(),
        target.parse().unwrap(),
    )
}

/// No waits between attempts, and two of them.
pub(crate) fn impatient(store: ModelStore) -> ModelStore {
    store.with_retry(
        RetryPolicy::new()
            .with_attempts(2)
            .with_base(Duration::ZERO)
            .with_longest_retry_after(Duration::ZERO),
    )
}

pub(crate) struct World {
    folder: TempDir,
    pub(crate) memory: MemoryDownloader,
    pub(crate) net: Faulty<MemoryDownloader>,
    pub(crate) store: ModelStore,
}

impl World {
    pub(crate) fn new() -> Self {
        let memory = MemoryDownloader::new();
        let net = Faulty::new(memory.clone());
        let folder = tempfile::tempdir().unwrap();
        let store = store_on(
            &Disk::real(),
            folder.path().join("models"),
            Arc::new(net.clone()),
        );
        Self {
            folder,
            memory,
            net,
            store,
        }
    }

    /// A net that has these.
    pub(crate) fn with(contents: &[(&str, &[u8])]) -> Self {
        let world = Self::new();
        for (source, content) in contents {
            world.memory.insert(url(source), content.to_vec());
        }
        world
    }

    /// Another process with another disk, on the same folder.
    pub(crate) fn store_on(&self, disk: &Disk) -> ModelStore {
        store_on(disk, self.root(), Arc::new(self.net.clone()))
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("models")
    }

    pub(crate) fn path(&self, target: &str) -> PathBuf {
        self.root().join(target)
    }

    pub(crate) fn write(&self, target: &str, content: &[u8]) {
        std::fs::create_dir_all(self.path(target).parent().unwrap()).unwrap();
        std::fs::write(self.path(target), content).unwrap();
    }

    pub(crate) fn read(&self, target: &str) -> Vec<u8> {
        std::fs::read(self.path(target)).unwrap()
    }

    pub(crate) fn inode(&self, target: &str) -> u64 {
        std::fs::metadata(self.path(target)).unwrap().ino()
    }

    /// Where a content lies, as documented.
    pub(crate) fn stored(&self, content: &[u8]) -> PathBuf {
        let name = Sha256Digest::of(content).to_string();
        self.path(".store/sha256").join(&name[..2]).join(name)
    }

    /// How many contents the store has.
    pub(crate) fn contents(&self) -> usize {
        let Ok(shards) = std::fs::read_dir(self.path(".store/sha256")) else {
            return 0;
        };
        shards
            .map(|shard| std::fs::read_dir(shard.unwrap().path()).unwrap().count())
            .sum()
    }

    /// The names in a folder of models, without the store's own.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.path(folder))
            .map(|entries| {
                entries
                    .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                    .collect()
            })
            .unwrap_or_default();
        names.retain(|name: &String| name != ".store");
        names.sort();
        names
    }

    pub(crate) fn opens(&self, source: &str) -> u64 {
        self.net.opens(&url(source))
    }

    pub(crate) fn fault(&self, source: &str, fault: Fault) {
        self.net.set_plan(&url(source), fault);
    }

    pub(crate) fn presence(&self, entry: &ModelEntry, locked: Option<&LockedModel>) -> Presence {
        self.store
            .presence(&WantedModel::new(0, entry).with_locked(locked))
    }

    pub(crate) async fn ensure(
        &self,
        entry: &ModelEntry,
        locked: Option<&LockedModel>,
    ) -> Result<LockedModel, Error> {
        ensure(&self.store, entry, locked).await
    }

    pub(crate) async fn repair(
        &self,
        entry: &ModelEntry,
        locked: Option<&LockedModel>,
    ) -> Result<LockedModel, Error> {
        let wanted = WantedModel::new(3, entry).with_locked(locked);
        self.store
            .repair(&wanted, &(), &CancellationToken::new())
            .await
    }

    pub(crate) async fn verify(
        &self,
        entry: &ModelEntry,
        locked: Option<&LockedModel>,
    ) -> ModelState {
        let wanted = WantedModel::new(3, entry).with_locked(locked);
        self.store
            .verify(&[wanted], &CancellationToken::new())
            .await
            .unwrap()
            .remove(0)
    }
}

pub(crate) fn store_on(disk: &Disk, root: PathBuf, net: Arc<dyn Downloader>) -> ModelStore {
    impatient(ModelStore::new(
        disk.clone(),
        ModelsDir::new(root),
        net,
        Tokens::none(),
    ))
}

/// The entry is the fourth of its spec.
pub(crate) async fn ensure(
    store: &ModelStore,
    entry: &ModelEntry,
    locked: Option<&LockedModel>,
) -> Result<LockedModel, Error> {
    let wanted = WantedModel::new(3, entry).with_locked(locked);
    store.ensure(&wanted, &(), &CancellationToken::new()).await
}
