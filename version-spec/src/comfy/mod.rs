//! Everything there is to do with versions, in one place.

mod builder;
mod delete;
mod event;
mod models;
mod pin;
mod resolve;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use downloader::Downloader;
use durable_fs::Disk;
use url::Url;

use crate::{
    Cache, CancellationToken, Checkouts, Endpoints, Error, ErrorKind, Git, Home, Lock, LockStore,
    ModelStore, ModelsDir, Parsed, Plan, PythonEnv, Spec, SpecReader, SpecStore, Tokens, VersionId,
    plan, realize,
};

pub use crate::realize::{Outcome, Realized};
pub use builder::{ComfyBuilder, Network, Part};
pub use delete::{DeleteReport, SpecFile};
pub use event::Event;
pub use models::{ModelVerified, VerifiedModels};
pub use pin::Pinned;
pub use resolve::{LockOrigin, Refresh, Resolved};

/// Versions of ComfyUI on this machine: resolves, realizes, compares, bundles and deletes them.
///
/// Cloning is cheap. Several at once, also in several processes, may share a cache, a folder of models and a home.
#[derive(Clone, Debug)]
pub struct Comfy(pub(crate) Arc<Inner>);

/// Whether something is only looked at, and not done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DryRun {
    /// It is done.
    #[default]
    No,
    /// It is looked at.
    Yes,
}

type Hear = Arc<dyn Fn(&Event) + Send + Sync>;

pub(crate) struct Inner {
    pub(crate) disk: Disk,
    pub(crate) cache: Cache,
    pub(crate) versions: PathBuf,
    pub(crate) models_dir: ModelsDir,
    pub(crate) git: Arc<dyn Git>,
    pub(crate) python: Arc<dyn PythonEnv>,
    pub(crate) downloader: Arc<dyn Downloader>,
    pub(crate) tokens: Tokens,
    pub(crate) endpoints: Endpoints,
    pub(crate) mirrors: Vec<Url>,
    pub(crate) wheels_dir: Option<PathBuf>,
    pub(crate) network: Network,
    pub(crate) python_part: Part,
    pub(crate) models_part: Part,
    pub(crate) observer: Hear,
}

impl fmt::Debug for Inner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Inner");
        debug
            .field("cache", &self.cache)
            .field("versions", &self.versions)
            .field("models_dir", &self.models_dir);
        debug
            .field("network", &self.network)
            .finish_non_exhaustive()
    }
}

impl Inner {
    pub(crate) fn is_offline(&self, spec: &Spec) -> bool {
        self.network == Network::Forbidden || spec.options.offline
    }

    pub(crate) fn makes_models(&self, spec: &Spec) -> bool {
        self.models_part == Part::Make && !spec.options.skip_models
    }

    pub(crate) fn has_local_mirror(&self) -> bool {
        self.mirrors.iter().any(|mirror| mirror.scheme() == "file")
    }

    pub(crate) fn checkouts(&self) -> Checkouts {
        Checkouts::new(self.disk.clone(), Arc::clone(&self.git))
    }

    pub(crate) fn model_store(&self, spec: &Spec) -> ModelStore {
        self.model_store_at(self.models_dir.clone(), self.is_offline(spec))
    }

    pub(crate) fn model_store_at(&self, models_dir: ModelsDir, is_offline: bool) -> ModelStore {
        let store = ModelStore::new(
            self.disk.clone(),
            models_dir,
            Arc::clone(&self.downloader),
            self.tokens.clone(),
        )
        .with_endpoints(self.endpoints.clone())
        .with_mirrors(self.mirrors.clone());
        if is_offline { store.offline() } else { store }
    }

    pub(crate) fn locks(&self) -> LockStore {
        LockStore::new(&self.disk, &self.cache)
    }

    pub(crate) fn hear(&self, event: &Event) {
        (self.observer)(event);
    }
}

impl Comfy {
    /// Versions whose specs are in the folder `versions`, with everything that they share in `cache`.
    pub fn builder(cache: Cache, versions: impl Into<PathBuf>) -> ComfyBuilder {
        ComfyBuilder::new(cache, versions.into())
    }

    /// The specs.
    #[must_use]
    pub fn specs(&self) -> SpecStore {
        let reader = SpecReader::new().with_models_dir(self.0.models_dir.clone());
        SpecStore::new(&self.0.disk, &self.0.versions).with_reader(reader)
    }

    /// The folder of the models.
    #[must_use]
    pub fn models_dir(&self) -> &ModelsDir {
        &self.0.models_dir
    }

    /// The locks.
    #[must_use]
    pub fn locks(&self) -> LockStore {
        self.0.locks()
    }

    /// Reads the spec of a version.
    ///
    /// # Errors
    /// As [`SpecStore::load`].
    pub fn spec(&self, version: &VersionId) -> Result<Parsed, Error> {
        self.specs().load(version)
    }

    /// What realizing a version would do. Changes nothing, runs nothing, and uses no network. Blocks for the time of looking at files.
    ///
    /// # Errors
    /// `Stale` if the lock is of another spec; `Exists` if the home, or a node in it, is of somebody else's making; `Damaged` if what
    /// was done to the home cannot be read; `Python`, `PermissionDenied`, `Io`.
    pub fn plan(&self, spec: &Spec, lock: &Lock, home: &Home) -> Result<Plan, Error> {
        let facts = plan::Facts {
            inner: &self.0,
            spec,
            lock,
            home,
        };
        plan::make(&facts)
    }

    /// Does what [`plan`](Self::plan) says: independent steps beside each other. Then the lock, with what was seen of models and
    /// packages for the first time, is saved. With nothing to do, no network is used and no program is run.
    ///
    /// If another process works on this home, this waits for it.
    ///
    /// # Errors
    /// As [`plan`](Self::plan), and what a step can fail with: `NotFound`, `Auth`, `Git`, `Network`, `Python`, `Torch`, `Integrity`,
    /// `Program`, `NoSpace`, `Cancelled`. The first failure stops the other steps; the error is its, and names the entry of the
    /// spec; if several failed, all are in [`Error::problems`] and in the text. What was done stays: realizing again goes on.
    ///
    /// # Cancel safety
    /// Dropped, it stops where it is, as after a kill: realizing again goes on. With the token, programs that were started are ended
    /// first.
    pub async fn realize(
        &self,
        spec: &Spec,
        lock: &Lock,
        home: &Home,
        cancel: &CancellationToken,
    ) -> Result<Realized, Error> {
        realize::realize(&self.0, spec, lock, home, cancel).await
    }

    /// Waits until no version is being deleted or gets a lock, and keeps it so. `None` where the file system has no locks.
    async fn lock_versions(
        &self,
        cancel: &CancellationToken,
    ) -> Result<Option<durable_fs::Lock>, Error> {
        let folder = self.0.cache.resolved();
        let opened = self.0.disk.create_dir_all(&folder).map_err(|error| {
            Error::disk(format!("{} cannot be created", folder.display()), error)
        })?;
        realize::lock_home(&self.0, &opened, cancel).await
    }
}

/// Runs what blocks where that is allowed.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let task = tokio::task::spawn_blocking(work);
    task.await.unwrap_or_else(|error| {
        Err(Error::new(ErrorKind::Io, "the work was broken off").with_source(error))
    })
}
