//! Everything that a version needs, as one folder for a machine with no network.

use std::path::{Path, PathBuf};

use durable_fs::{Dir, FileKind, LinkPolicy, Replace, TEMPORARY_PREFIX};
use serde::{Deserialize, Serialize};

use crate::comfy::blocking;
use crate::realize::copy_tree;
use crate::{
    Cache, CancellationToken, Checksum, Comfy, Error, ErrorKind, Existing, Lock, LockStore,
    ModelEntry, ModelSource, Part, Spec, SpecStore, VersionId, WantedModel,
};

/// A folder that is a cache root with everything that one version needs: its spec in `versions/`, its lock, the checkouts, the models, and
/// what Python packages are installed from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bundle {
    /// The folder.
    pub path: PathBuf,
    /// Which version it has.
    pub version_id: VersionId,
}

#[derive(Serialize, Deserialize)]
struct About {
    bundle_version: u32,
    version_id: VersionId,
    os: String,
    arch: String,
}

const ABOUT: &str = "bundle.json";
const BUNDLE_VERSION: u32 = 1;

impl Bundle {
    /// Opens a bundle.
    ///
    /// # Errors
    /// `NotFound` if there is none; `Damaged` if it is not one, or of a newer format.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let none = || {
            Error::new(
                ErrorKind::NotFound,
                format!("{} is no bundle", path.display()),
            )
            .with_hint("`bundle` makes one")
        };
        let folder = durable_fs::Disk::real()
            .open_dir(&path)
            .map_err(|error| none().with_source(error))?;
        let bytes = folder
            .read(ABOUT, 64 << 10)
            .map_err(|error| none().with_source(error))?;
        let damaged = |why: String| {
            Error::new(
                ErrorKind::Damaged,
                format!("{} cannot be used: {why}", path.join(ABOUT).display()),
            )
        };
        let about: About =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if about.bundle_version != BUNDLE_VERSION {
            return Err(damaged(format!(
                "its format is {}, and only {BUNDLE_VERSION} is known",
                about.bundle_version
            )));
        }
        if (about.os.as_str(), about.arch.as_str())
            != (std::env::consts::OS, std::env::consts::ARCH)
        {
            tracing::warn!(
                os = about.os,
                arch = about.arch,
                "the bundle was made for another platform; its Python packages do not fit"
            );
        }
        Ok(Self {
            version_id: about.version_id,
            path,
        })
    }

    /// The cache root that it is.
    #[must_use]
    pub fn cache(&self) -> Cache {
        Cache::new(&self.path)
    }

    /// The folder of its spec.
    #[must_use]
    pub fn versions(&self) -> PathBuf {
        self.path.join("versions")
    }

    /// The folder of its wheels, if the version was made from such a folder.
    #[must_use]
    pub fn wheels_dir(&self) -> Option<PathBuf> {
        let folder = self.path.join("packages");
        folder.is_dir().then_some(folder)
    }
}

impl Comfy {
    /// Puts everything that a version needs into a new folder: what is missing is fetched first. The folder appears whole or not at all.
    ///
    /// Packages: all that the cache keeps for environments is copied, also that of other versions. The Python interpreter itself is not
    /// in it.
    ///
    /// # Errors
    /// `Exists` if there is such a folder; those of [`pin`](Self::pin) and of [`ModelStore::ensure`](crate::ModelStore::ensure); `NoSpace`,
    /// `PermissionDenied`, `Io`, `Cancelled`.
    ///
    /// # Cancel safety
    /// Dropped or cancelled, no folder appears; a temporary one may be left beside it, which the next call removes.
    pub async fn bundle(
        &self,
        spec: &Spec,
        lock: &Lock,
        into: &Path,
        cancel: &CancellationToken,
    ) -> Result<Bundle, Error> {
        if into.exists() {
            let message = format!("{} is there already", into.display());
            return Err(Error::new(ErrorKind::Exists, message)
                .with_hint("name a folder that does not exist yet"));
        }
        let Some((parent, name)) = into.parent().zip(into.file_name()) else {
            return Err(Error::new(
                ErrorKind::Io,
                format!("{} is no place for a bundle", into.display()),
            ));
        };
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        let failed = |error| Error::disk(format!("{} cannot be made", into.display()), error);
        let parent = self.0.disk.create_dir_all(parent).map_err(failed)?;
        let temporary = format!("{TEMPORARY_PREFIX}bundle-{}", name.to_string_lossy());
        parent.remove_tree(&temporary).map_err(failed)?;

        let lock = self.fetched(spec, lock, cancel).await?;
        let folder = parent.create_dir_all(&temporary).map_err(failed)?;
        let lock = self.bundle_models(spec, lock, &folder, cancel).await?;
        let (comfy, spec, target) = (self.clone(), spec.clone(), folder.clone());
        let (path, shown) = (into.to_owned(), name.to_owned());
        blocking(move || {
            let failed = |error| Error::disk(format!("{} cannot be made", path.display()), error);
            comfy.copy_into(&spec, &lock, &target).map_err(failed)?;
            SpecStore::new(&comfy.0.disk, target.path().join("versions"))
                .save(&spec, Existing::Replace)?;
            LockStore::new(&comfy.0.disk, &Cache::new(target.path())).save(&lock)?;
            let about = About {
                bundle_version: BUNDLE_VERSION,
                version_id: spec.version_id.clone(),
                os: std::env::consts::OS.into(),
                arch: std::env::consts::ARCH.into(),
            };
            let bytes =
                serde_json::to_vec_pretty(&about).expect("texts and numbers are always JSON");
            target.replace_file(ABOUT, &bytes).map_err(failed)?;
            target.sync_tree().map_err(failed)?;
            parent
                .rename(&temporary, &parent, &shown, Replace::Refuse)
                .and_then(|()| parent.sync())
                .map_err(failed)?;
            Ok(Bundle {
                path,
                version_id: spec.version_id,
            })
        })
        .await
    }

    /// Has every checkout in the cache, and the packages locked.
    async fn fetched(
        &self,
        spec: &Spec,
        lock: &Lock,
        cancel: &CancellationToken,
    ) -> Result<Lock, Error> {
        lock.must_be_for(spec)?;
        let checkouts = self.0.checkouts();
        checkouts
            .ensure(
                &self.0.cache.comfy(&lock.comfy.repo, &lock.comfy.commit),
                &lock.comfy,
                cancel,
            )
            .await
            .map_err(|error| error.at("/comfy"))?;
        for (index, node) in lock.custom_nodes.iter().enumerate() {
            let path = self.0.cache.node(&node.source.repo, &node.source.commit);
            checkouts
                .ensure(&path, &node.source, cancel)
                .await
                .map_err(|error| error.at(format!("/custom_nodes/{index}")))?;
        }
        match self.0.python_part {
            Part::Make => Ok(self.pin(spec, lock, cancel).await?.lock),
            Part::Skip => Ok(lock.clone()),
        }
    }

    /// Reads each model out of the own folder of models into that of the bundle, verified on the way.
    async fn bundle_models(
        &self,
        spec: &Spec,
        mut lock: Lock,
        folder: &Dir,
        cancel: &CancellationToken,
    ) -> Result<Lock, Error> {
        if !self.0.makes_models(spec) {
            return Ok(lock);
        }
        let own = self.0.model_store(spec);
        let bundled = self
            .0
            .model_store_at(Cache::new(folder.path()).models(), true);
        let pins = lock.clone();
        for wanted in WantedModel::all(spec, Some(&pins)) {
            let pin = own.ensure(&wanted, &(), cancel).await?;
            let entry = wanted.entry();
            let here = ModelSource::File(self.0.models_dir.path().join(entry.target.as_str()));
            let copy = ModelEntry::new(entry.name.clone(), here, entry.target.clone())
                .with_checksum(Checksum::Sha256(pin.sha256));
            bundled
                .ensure(&WantedModel::new(wanted.index(), &copy), &(), cancel)
                .await?;
            match lock
                .models
                .iter_mut()
                .find(|model| model.source == pin.source)
            {
                Some(model) => *model = pin,
                None => lock.models.push(pin),
            }
        }
        Ok(lock)
    }

    fn copy_into(&self, spec: &Spec, lock: &Lock, target: &Dir) -> durable_fs::Result<()> {
        let cache = &self.0.cache;
        let mut checkouts = vec![cache.comfy(&lock.comfy.repo, &lock.comfy.commit)];
        checkouts.extend(
            lock.custom_nodes
                .iter()
                .map(|node| cache.node(&node.source.repo, &node.source.commit)),
        );
        checkouts.sort_unstable();
        checkouts.dedup();
        for checkout in checkouts {
            let parent = checkout.parent().unwrap_or(&checkout);
            let (kind, name) = (
                parent.file_name().unwrap_or_default(),
                checkout.file_name().unwrap_or_default(),
            );
            let (from, to) = (self.0.disk.open_dir(parent)?, target.create_dir_all(kind)?);
            copy_tree(&from, name, &to, name)?;
            let mut beside = name.to_owned();
            beside.push(".files.json");
            from.place(&beside, &to, &beside, LinkPolicy::Independent)?;
        }
        if self.0.python_part == Part::Skip || lock.python.is_none() {
            return Ok(());
        }
        let wheels = cache.wheels();
        if let (Some(name), true) = (wheels.file_name(), wheels.is_dir()) {
            copy_tree(&self.0.disk.open_dir(cache.path())?, name, target, name)?;
        }
        if let Some(folder) = &self.0.wheels_dir {
            let (from, to) = (
                self.0.disk.open_dir(folder)?,
                target.create_dir_all("packages")?,
            );
            for entry in from
                .entries()?
                .into_iter()
                .filter(|entry| entry.kind == FileKind::File)
            {
                from.place(&entry.name, &to, &entry.name, LinkPolicy::Independent)?;
            }
        }
        tracing::debug!(version = %spec.version_id, "copied what the bundle needs");
        Ok(())
    }
}
