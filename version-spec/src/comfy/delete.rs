//! Versions that nobody needs any more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use durable_fs::{Dir, Lock as FileLock};

use super::{Comfy, DryRun, blocking};
use crate::python::is_environment_of_ours;
use crate::realize::{Locking, has_branches, remove_core, remove_node, try_lock_home};
use crate::state::{HomeState, LOCK_FILE, OWN_FOLDER, STATE_FILE};
use crate::{
    CancellationToken, Error, ErrorKind, Home, Lock, LockedSource, ModelUsage, Spec, VersionId,
};

/// Whether the spec of a version goes, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpecFile {
    /// It stays: the version can be realized again.
    #[default]
    Keep,
    /// It goes.
    Remove,
}

/// What went, or would go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeleteReport {
    /// What went.
    pub removed: Vec<PathBuf>,
    /// What stays in the home because it is the user's.
    pub kept: Vec<PathBuf>,
    /// What stays because other versions use it: how many checkouts.
    pub shared: usize,
    /// Bytes of models that went.
    pub model_bytes: u64,
}

impl Comfy {
    /// Deletes a version: of its home, what was put there and is unchanged; of the cache and the models, what no other lock names.
    /// Everything of the user's stays: inputs, outputs, models put there by hand, nodes installed by hand, changed files.
    ///
    /// Other versions are known by their locks in the cache; one that was never resolved here holds nothing.
    ///
    /// # Errors
    /// `NotFound` if there is neither spec nor lock nor home; `Busy` if another process works on the home; `Damaged` if another version's
    /// lock cannot be read, for it may name what would go; `PermissionDenied`, `Io`, `Cancelled`.
    ///
    /// # Cancel safety
    /// Dropped or cancelled, a part is gone. Deleting again goes on, and realizing again brings it back.
    pub async fn delete(
        &self,
        version: &VersionId,
        home: Option<&Home>,
        spec_file: SpecFile,
        dry_run: DryRun,
        cancel: &CancellationToken,
    ) -> Result<DeleteReport, Error> {
        let lock = match self.locks().load(version) {
            Err(error) if error.kind() == ErrorKind::Damaged => None,
            loaded => loaded?,
        };
        let spec = match self.spec(version) {
            Ok(parsed) => Some(parsed.spec),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::Spec | ErrorKind::Name
                ) =>
            {
                None
            }
            Err(error) => return Err(error),
        };
        let has_home = home.is_some_and(|home| home.path().exists());
        let spec_path = self.specs().path_of(version);
        let has_state = home.is_some_and(|home| home.path().join(STATE_FILE).exists());
        if lock.is_none() && !has_state && !spec_path.exists() {
            let message = format!("there is no version {version}: no spec, no lock and no home");
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        let mut report = DeleteReport::default();
        // Whoever realizes this version there waits until all of it is gone, and plans anew.
        let there = match home.filter(|_| has_home) {
            Some(home) => self.open_home(version, home, &mut report)?,
            None => None,
        };
        // No version gets a lock between the look at who uses what and the end: it would count on what goes.
        let versions = match (&lock, dry_run) {
            (Some(_), DryRun::No) => self.lock_versions(cancel).await?,
            _ => None,
        };
        let others = self.others(version)?;
        if let Some(lock) = &lock {
            self.delete_checkouts(lock, &others, dry_run, &mut report, cancel)
                .await?;
            self.delete_models(spec.as_ref(), lock, &others, dry_run, &mut report)
                .await?;
            report.removed.push(self.locks().path_of(version));
        }
        if dry_run == DryRun::No {
            self.locks().remove(version)?;
        }
        drop(versions);
        if let (Some(home), Some(there), DryRun::No) = (home, there, dry_run) {
            self.delete_home(home, there, &mut report).await?;
        }
        if spec_file == SpecFile::Remove && spec_path.exists() {
            if dry_run == DryRun::No {
                self.specs().remove(version)?;
            }
            report.removed.push(spec_path);
        }
        Ok(report)
    }

    /// The locks of the other versions.
    fn others(&self, version: &VersionId) -> Result<Vec<Lock>, Error> {
        let folder = self
            .0
            .cache
            .lock(version)
            .parent()
            .map(Path::to_owned)
            .unwrap_or_default();
        let entries = match self
            .0
            .disk
            .open_dir(&folder)
            .and_then(|folder| folder.entries())
        {
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            entries => entries.map_err(|error| {
                Error::disk(format!("{} cannot be listed", folder.display()), error)
            })?,
        };
        let mut others = Vec::new();
        for entry in entries {
            let Some(name) = entry
                .name
                .to_str()
                .and_then(|name| name.strip_suffix(".lock.json"))
            else {
                continue;
            };
            let Ok(other) = name.parse::<VersionId>() else {
                continue;
            };
            if other == *version {
                continue;
            }
            others.extend(self.locks().load(&other)?);
        }
        Ok(others)
    }

    /// What was done to the home of this version, which nobody else changes now; `None` if it is not of our making.
    fn open_home(
        &self,
        version: &VersionId,
        home: &Home,
        report: &mut DeleteReport,
    ) -> Result<Option<OpenHome>, Error> {
        let failed =
            |error| Error::disk(format!("{} cannot be opened", home.path().display()), error);
        let folder = self.0.disk.open_dir(home.path()).map_err(failed)?;
        // Somebody else's folder is not written to, not even for a lock.
        let is_ours = folder.metadata(LOCK_FILE).map_err(failed)?.is_some()
            || folder.metadata(STATE_FILE).map_err(failed)?.is_some();
        if !is_ours {
            report.kept.push(home.path().to_owned());
            return Ok(None);
        }
        let guard = match try_lock_home(&folder)? {
            Locking::Locked(lock) => Some(lock),
            Locking::Unsupported => None,
            Locking::Held => {
                let message = format!("another process works on {}", home.path().display());
                return Err(Error::new(ErrorKind::Busy, message)
                    .with_hint("wait until it has ended, then run this again"));
            }
        };
        let Some(state) = HomeState::load(&folder)? else {
            report.kept.push(home.path().to_owned());
            return Ok(None);
        };
        if state.version_id != *version {
            let message = format!(
                "{} is the home of {}",
                home.path().display(),
                state.version_id
            );
            return Err(Error::new(ErrorKind::Exists, message)
                .with_hint("name the home of this version by --target"));
        }
        report.removed.push(home.path().to_owned());
        Ok(Some(OpenHome {
            folder,
            state,
            guard,
        }))
    }

    async fn delete_home(
        &self,
        home: &Home,
        there: OpenHome,
        report: &mut DeleteReport,
    ) -> Result<(), Error> {
        let OpenHome {
            folder,
            state,
            guard,
        } = there;
        let kept = blocking(move || clear_home(&folder, &state)).await?;
        drop(guard);
        let is_empty = kept.is_empty();
        report
            .kept
            .extend(kept.into_iter().map(|name| home.path().join(name)));
        if is_empty && let Some((parent, name)) = home.path().parent().zip(home.path().file_name())
        {
            // A file that somebody puts there at this moment keeps it.
            let removed = self
                .0
                .disk
                .open_dir(parent)
                .and_then(|parent| parent.remove_dir(name).and_then(|()| parent.sync()));
            if let Err(error) = removed {
                tracing::debug!(%error, "the empty home stays");
            }
        }
        Ok(())
    }

    async fn delete_checkouts(
        &self,
        lock: &Lock,
        others: &[Lock],
        dry_run: DryRun,
        report: &mut DeleteReport,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let cache = &self.0.cache;
        let of = |lock: &Lock| -> Vec<(PathBuf, LockedSource)> {
            let comfy = (
                cache.comfy(&lock.comfy.repo, &lock.comfy.commit),
                lock.comfy.clone(),
            );
            let nodes = lock.custom_nodes.iter().map(|node| {
                (
                    cache.node(&node.source.repo, &node.source.commit),
                    node.source.clone(),
                )
            });
            std::iter::once(comfy).chain(nodes).collect()
        };
        let used: BTreeSet<PathBuf> = others.iter().flat_map(of).map(|(path, _)| path).collect();
        for (path, source) in of(lock) {
            if used.contains(&path) {
                report.shared += 1;
            } else if path.exists() {
                if dry_run == DryRun::No {
                    self.0.checkouts().remove(&path, &source, cancel).await?;
                }
                report.removed.push(path);
            }
        }
        Ok(())
    }

    async fn delete_models(
        &self,
        spec: Option<&Spec>,
        lock: &Lock,
        others: &[Lock],
        dry_run: DryRun,
        report: &mut DeleteReport,
    ) -> Result<(), Error> {
        let store = self.0.model_store_at(self.0.models_dir.clone(), true);
        let (spec, lock) = (spec.cloned(), lock.clone());
        let specs = self
            .specs()
            .list()?
            .into_iter()
            .filter_map(|stored| stored.spec.ok())
            .map(|parsed| parsed.spec);
        let staying: Vec<Spec> = specs
            .filter(|other| other.version_id != lock.version_id)
            .collect();
        let pins: Vec<Lock> = others.to_vec();
        // Where the models of a version lie says its spec.
        if let Some(blind) = pins.iter().find(|pin| {
            !staying.iter().any(|spec| spec.version_id == pin.version_id) && !pin.models.is_empty()
        }) {
            tracing::warn!(version = %blind.version_id, "the models stay: there is a lock of another version, and no spec that says where its models lie");
            return Ok(());
        }
        let models_dir = self.0.models_dir.path().to_owned();
        let (targets, bytes) = blocking(move || {
            let going = match &spec {
                Some(spec) => ModelUsage::new().with_version(spec, Some(&lock)),
                None => ModelUsage::new().with_lock(&lock),
            };
            let staying = staying.iter().fold(ModelUsage::new(), |usage, spec| {
                let lock = pins.iter().find(|pin| pin.version_id == spec.version_id);
                usage.with_version(spec, lock)
            });
            let unused = store.unused(&going, &staying)?;
            let targets: Vec<PathBuf> = unused
                .targets()
                .map(|target| models_dir.join(target.as_str()))
                .collect();
            let bytes = match dry_run {
                DryRun::Yes => unused.bytes(),
                DryRun::No => store.remove(&unused)?,
            };
            Ok((targets, bytes))
        })
        .await?;
        report.removed.extend(targets);
        report.model_bytes = bytes;
        Ok(())
    }
}

/// A home of ours.
struct OpenHome {
    folder: Dir,
    state: HomeState,
    /// `None` where the file system has no locks.
    guard: Option<FileLock>,
}

/// Takes out of a home what was put there. Returns the names that stay.
fn clear_home(home: &Dir, state: &HomeState) -> Result<Vec<String>, Error> {
    let failed = |error| {
        Error::disk(
            format!("{} cannot be cleared", home.path().display()),
            error,
        )
    };
    for (name, placed) in &state.nodes {
        remove_node(home, name, placed)?;
    }
    // It was made for the nodes, if ComfyUI did not bring it. What else is in it keeps it.
    if let Err(error) = home.remove_dir("custom_nodes") {
        tracing::debug!(%error, "the folder of nodes stays");
    }
    // An environment, and branches, can be somebody's work.
    if is_environment_of_ours(&home.path().join(".venv")) {
        home.remove_tree(".venv").map_err(failed)?;
    }
    for core in state.core.iter().chain(&state.incoming) {
        remove_core(home, core).map_err(failed)?;
        let head = home.read(".git/HEAD", 4096).unwrap_or_default();
        if head.trim_ascii() == core.commit.as_str().as_bytes() && !has_branches(home) {
            home.remove_tree(".git").map_err(failed)?;
        }
    }
    if let Ok(bytes) = home.read("extra_model_paths.yaml", 16 << 20)
        && state
            .model_paths
            .contains(&manifest_core::Sha256Digest::of(&bytes))
    {
        home.remove_file("extra_model_paths.yaml").map_err(failed)?;
    }
    home.remove_tree("__pycache__").map_err(failed)?;
    for name in ["logs", "git", "old-git"] {
        home.remove_tree(format!("{OWN_FOLDER}/{name}"))
            .map_err(failed)?;
    }
    // It holds what the user had changed, if it holds anything.
    if let Err(error) = home.remove_dir(OWN_FOLDER) {
        tracing::debug!(%error, "what was set aside stays");
    }
    for name in [STATE_FILE, LOCK_FILE] {
        match home.remove_file(name) {
            Err(error) if !error.is_not_found() => return Err(failed(error)),
            _ => {}
        }
    }
    home.sync().map_err(failed)?;
    let left = home.entries().map_err(failed)?;
    Ok(left
        .into_iter()
        .map(|entry| entry.name.to_string_lossy().into_owned())
        .collect())
}
