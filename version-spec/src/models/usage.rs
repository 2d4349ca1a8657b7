//! Which contents nobody needs any more. Counted from specs and locks each time: a number that is kept can be wrong.

use std::collections::{BTreeMap, BTreeSet};

use durable_fs::FileKind;
use manifest_core::{ReleasePath, Sha256Digest};

use super::layout::{Layout, Locking, content_path};
use super::store::{ModelStore, content_of};
use super::wanted::WantedModel;
use crate::{Error, Lock, Spec};

/// What some versions use.
#[derive(Clone, Debug, Default)]
pub struct ModelUsage<'a> {
    wanted: Vec<WantedModel<'a>>,
    pins: BTreeSet<Sha256Digest>,
}

impl<'a> ModelUsage<'a> {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// And what this version uses.
    #[must_use]
    pub fn with_version(mut self, spec: &'a Spec, lock: Option<&'a Lock>) -> Self {
        self.wanted.extend(WantedModel::all(spec, lock));
        match lock {
            Some(lock) => self.with_lock(lock),
            None => self,
        }
    }

    /// And what this lock pins, for a version whose spec cannot be read.
    #[must_use]
    pub fn with_lock(mut self, lock: &Lock) -> Self {
        self.pins
            .extend(lock.models.iter().map(|model| model.sha256));
        self
    }
}

/// Models that can be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnusedModels {
    contents: BTreeMap<Sha256Digest, u64>,
    targets: BTreeSet<ReleasePath>,
}

impl UnusedModels {
    /// The contents, with their bytes.
    pub fn contents(&self) -> impl Iterator<Item = (Sha256Digest, u64)> {
        self.contents
            .iter()
            .map(|(digest, bytes)| (*digest, *bytes))
    }

    /// Where they lie for ComfyUI.
    pub fn targets(&self) -> impl Iterator<Item = &ReleasePath> {
        self.targets.iter()
    }

    /// How many bytes the contents have. Less is freed where the user has links to them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.contents.values().sum()
    }

    /// Whether there is nothing to delete.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.contents.is_empty() && self.targets.is_empty()
    }
}

/// What a usage comes to in a folder.
#[derive(Default)]
struct Used {
    digests: BTreeSet<Sha256Digest>,
    targets: BTreeSet<ReleasePath>,
}

impl ModelStore {
    /// What the versions that go away use, and none that stay. Files of the user's are never among it. Blocks.
    ///
    /// # Errors
    /// `PermissionDenied`, `Io`.
    pub fn unused(
        &self,
        going: &ModelUsage<'_>,
        staying: &ModelUsage<'_>,
    ) -> Result<UnusedModels, Error> {
        self.with_layout(|layout| {
            let (going, staying) = (used(layout, going), used(layout, staying));
            let mut unused = UnusedModels::default();
            for target in going.targets.difference(&staying.targets) {
                if layout.is_ours(target)? {
                    unused.targets.insert(target.clone());
                }
            }
            for digest in going.digests.difference(&staying.digests) {
                unused
                    .contents
                    .extend(layout.stored(*digest).map(|bytes| (*digest, bytes)));
            }
            Ok(unused)
        })
    }

    /// All that the store has, or put somewhere, and that no version which stays uses. Blocks.
    ///
    /// # Errors
    /// `PermissionDenied`, `Io`.
    pub fn garbage(&self, staying: &ModelUsage<'_>) -> Result<UnusedModels, Error> {
        self.with_layout(|layout| {
            let staying = used(layout, staying);
            let mut unused = UnusedModels::default();
            for record in layout.all_placed()? {
                let Ok(target) = record.target.parse::<ReleasePath>() else {
                    continue;
                };
                if !staying.targets.contains(&target) && layout.is_ours(&target)? {
                    unused.targets.insert(target);
                }
            }
            let all = layout.all_stored()?.into_iter();
            unused
                .contents
                .extend(all.filter(|(digest, _)| !staying.digests.contains(digest)));
            Ok(unused)
        })
    }

    /// Deletes models: moved to the trash first, and then gone for good. What another process is fetching or placing at the moment is
    /// left, and so is what the user put in its place since. Returns the bytes of the contents that went. Blocks.
    ///
    /// # Errors
    /// `PermissionDenied`, `Io`; what is in the trash then goes the next time.
    pub fn remove(&self, unused: &UnusedModels) -> Result<u64, Error> {
        self.with_layout(|layout| {
            let trash = layout.folder("trash")?;
            let mut freed = 0;
            for target in &unused.targets {
                if !layout.is_ours(target)? {
                    continue;
                }
                layout
                    .root()
                    .trash(target.as_str(), &trash)
                    .map_err(|error| layout.unusable(target, error))?;
                layout.forget_placed(target);
            }
            for (digest, bytes) in &unused.contents {
                let lock = match layout.try_lock(*digest)? {
                    Locking::Held => continue,
                    Locking::Locked(lock) => Some(lock),
                    Locking::Unsupported => None,
                };
                let path = content_path(*digest);
                match layout.root().trash(&path, &trash) {
                    Ok(()) => freed += bytes,
                    Err(error) if error.is_not_found() => {}
                    Err(error) => return Err(layout.failed(&path, "removed", error)),
                }
                drop(lock);
            }
            let emptied = trash.entries().and_then(|entries| {
                entries
                    .iter()
                    .try_for_each(|entry| trash.remove_tree(&entry.name))
            });
            emptied.map_err(|error| layout.failed(".store/trash", "emptied", error))?;
            Ok(freed)
        })
    }

    fn with_layout<T: Default>(
        &self,
        work: impl FnOnce(&Layout) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match Layout::open(self.disk(), self.dir())? {
            Some(layout) => work(&layout),
            None => Ok(T::default()),
        }
    }
}

fn used(layout: &Layout, usage: &ModelUsage<'_>) -> Used {
    let mut used = Used {
        digests: usage.pins.clone(),
        targets: BTreeSet::new(),
    };
    for wanted in &usage.wanted {
        let target = &wanted.entry.target;
        used.targets.insert(target.clone());
        used.digests
            .extend(content_of(layout, wanted).map(|content| content.sha256));
        // What lies there may be a content that nobody pinned.
        used.digests
            .extend(layout.placed(target).map(|record| record.sha256));
    }
    used
}

impl Layout {
    /// Whether what is at a target was put there by us, and is as it was then.
    pub(super) fn is_ours(&self, target: &ReleasePath) -> Result<bool, Error> {
        use super::target::AtTarget;
        Ok(matches!(self.look(target, None)?, AtTarget::Ours))
    }

    fn all_stored(&self) -> Result<Vec<(Sha256Digest, u64)>, Error> {
        let Some(shards) = self.folder_if_there("sha256")? else {
            return Ok(Vec::new());
        };
        let list = || -> durable_fs::Result<Vec<(Sha256Digest, u64)>> {
            let mut all = Vec::new();
            for shard in shards.entries()? {
                if shard.kind != FileKind::Dir {
                    continue;
                }
                let folder = shards.open_dir(&shard.name)?;
                for entry in folder.entries()? {
                    // Nothing but contents has such a name.
                    let digest = entry.name.to_str().and_then(|name| name.parse().ok());
                    let metadata = folder.metadata(&entry.name)?;
                    all.extend(digest.zip(metadata.map(|metadata| metadata.len)));
                }
            }
            Ok(all)
        };
        list().map_err(|error| self.failed(".store/sha256", "listed", error))
    }
}
