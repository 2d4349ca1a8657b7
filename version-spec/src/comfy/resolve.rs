//! Specs to locks.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use super::Comfy;
use crate::plan::python_inputs;
use crate::{
    CancellationToken, CheckedOut, CommitId, Error, ErrorKind, FoundLock, Git, Lock, LockDiff,
    LockedPython, RemoteRef, RepoUrl, Resolver, Spec, SpecProblem,
};

/// Whether repositories are asked although a lock is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refresh {
    /// A lock that was made from this very spec is used as it is, without any network.
    #[default]
    No,
    /// Repositories are asked again, and packages are locked anew; models stay pinned.
    Yes,
}

/// Where a lock is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LockOrigin {
    /// It was there.
    Kept,
    /// Repositories were asked.
    Asked,
}

/// A spec, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resolved {
    /// The lock.
    pub lock: Lock,
    /// Where it is from.
    pub origin: LockOrigin,
    /// What differs from the lock that was there, if there was one.
    pub diff: Option<LockDiff>,
    /// What may not be meant.
    pub warnings: Vec<SpecProblem>,
}

impl Comfy {
    /// Finds the commits of a spec, and saves them as its lock. A lock of this very spec is used again; and so are the packages that another
    /// version has locked for the very same commits.
    ///
    /// # Errors
    /// As [`Resolver::resolve`]; `Offline` if a repository would have to be asked and the network is forbidden; `NoSpace`,
    /// `PermissionDenied`, `Io`.
    ///
    /// # Cancel safety
    /// Dropped or cancelled, the old lock is still there.
    pub async fn resolve(
        &self,
        spec: &Spec,
        refresh: Refresh,
        cancel: &CancellationToken,
    ) -> Result<Resolved, Error> {
        let resolved = self.look_up(spec, refresh, cancel).await?;
        if resolved.origin == LockOrigin::Asked {
            let versions = self.lock_versions(cancel).await?;
            self.locks().save(&resolved.lock)?;
            drop(versions);
        }
        Ok(resolved)
    }

    /// As [`resolve`](Self::resolve), but nothing is saved.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    ///
    /// # Cancel safety
    /// Nothing is changed.
    pub async fn look_up(
        &self,
        spec: &Spec,
        refresh: Refresh,
        cancel: &CancellationToken,
    ) -> Result<Resolved, Error> {
        let older = match self.locks().find(spec)? {
            FoundLock::Fresh(lock) if refresh == Refresh::No => {
                return Ok(Resolved {
                    lock,
                    origin: LockOrigin::Kept,
                    diff: None,
                    warnings: Vec::new(),
                });
            }
            FoundLock::Fresh(lock) | FoundLock::Stale(lock) => Some(lock),
            FoundLock::Missing | FoundLock::Damaged(_) => None,
        };
        let git: Arc<dyn Git> = if self.0.is_offline(spec) {
            Arc::new(NearOnly(Arc::clone(&self.0.git)))
        } else {
            Arc::clone(&self.0.git)
        };
        let resolution = Resolver::new(git).resolve(spec, cancel).await?;
        let mut lock = resolution.lock;
        if let Some(older) = &older {
            lock.keep_pins_of(older, spec);
            if refresh == Refresh::Yes {
                lock.python = None;
            }
        }
        if lock.python.is_none() && refresh == Refresh::No {
            lock.python = self.packages_of_another(spec, &lock);
        }
        let diff = older.as_ref().map(|older| {
            // Packages that are not locked yet are no change.
            let mut older = older.clone();
            if lock.python.is_none() {
                older.python = None;
            }
            LockDiff::between(&older, &lock)
        });
        Ok(Resolved {
            lock,
            origin: LockOrigin::Asked,
            diff,
            warnings: resolution.warnings,
        })
    }

    /// The packages that another version has for the very same commits and packages of the spec. What cannot be read is not taken over.
    fn packages_of_another(&self, spec: &Spec, lock: &Lock) -> Option<LockedPython> {
        let wanted = python_inputs(spec, lock);
        let others = self
            .specs()
            .list()
            .ok()?
            .into_iter()
            .filter_map(|stored| Some(stored.spec.ok()?.spec));
        others
            .filter(|other| other.version_id != spec.version_id)
            .find_map(|other| {
                let found = self.locks().load(&other.version_id).ok()??;
                (found.is_for(&other) && python_inputs(&other, &found) == wanted)
                    .then_some(found.python)?
            })
    }
}

/// Asks only repositories of this machine.
#[derive(Debug)]
struct NearOnly(Arc<dyn Git>);

fn must_be_near(repo: &RepoUrl) -> Result<(), Error> {
    if repo.local_path().is_some() {
        return Ok(());
    }
    let message = format!("{repo} would have to be asked, and the network is not to be used");
    Err(Error::new(ErrorKind::Offline, message)
        .with_hint("resolve once with the network, or write the commit into the spec"))
}

#[async_trait]
impl Git for NearOnly {
    async fn remote_refs(
        &self,
        repo: &RepoUrl,
        cancel: &CancellationToken,
    ) -> Result<Vec<RemoteRef>, Error> {
        must_be_near(repo)?;
        self.0.remote_refs(repo, cancel).await
    }

    async fn check_out(
        &self,
        repo: &RepoUrl,
        commit: &CommitId,
        from: Option<&str>,
        into: &Path,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        must_be_near(repo)?;
        self.0.check_out(repo, commit, from, into, cancel).await
    }

    async fn examine(
        &self,
        checkout: &Path,
        cancel: &CancellationToken,
    ) -> Result<CheckedOut, Error> {
        self.0.examine(checkout, cancel).await
    }
}
