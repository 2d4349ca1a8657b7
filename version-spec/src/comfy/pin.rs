//! Requirements to exact, hashed packages.

use super::Comfy;
use crate::{
    CancellationToken, Error, Home, InstallRequirements, Lock, LockedPython, Spec, lock_together,
    plan,
};

/// A lock with its packages, and what was left out of somebody's requirements.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pinned {
    /// The lock, as it was saved.
    pub lock: Lock,
    /// What a person should know, one sentence each.
    pub warnings: Vec<String>,
}

impl Comfy {
    /// Locks the Python packages of a version without realizing it: fetches what asks for packages into the cache, resolves everybody's
    /// requirements together, and saves the lock. If they are locked already, and nobody asks for anything else now, they stay.
    ///
    /// # Errors
    /// `Python` if the requirements contradict each other; `Torch` if a node would replace the base's torch; those of
    /// [`Checkouts::ensure`](crate::Checkouts::ensure) and [`PythonEnv::lock`](crate::PythonEnv::lock).
    ///
    /// # Cancel safety
    /// Dropped or cancelled, the old lock is still there.
    pub async fn pin(
        &self,
        spec: &Spec,
        lock: &Lock,
        cancel: &CancellationToken,
    ) -> Result<Pinned, Error> {
        lock.must_be_for(spec)?;
        // Of the home, nothing is asked for but what variables mean.
        let home = Home::new(self.0.cache.path());
        let facts = plan::Facts {
            inner: &self.0,
            spec,
            lock,
            home: &home,
        };
        let checkouts = self.0.checkouts();
        let comfy = async {
            let fetched = checkouts
                .ensure(&facts.comfy_checkout(), &lock.comfy, cancel)
                .await;
            fetched.map_err(|error| error.at("/comfy"))
        };
        let asks =
            |index: &usize| spec.custom_nodes[*index].requirements == InstallRequirements::Install;
        let nodes = (0..lock.custom_nodes.len()).filter(asks).map(|index| {
            let (path, checkouts) = (facts.node_checkout(index), &checkouts);
            async move {
                let fetched = checkouts
                    .ensure(&path, &lock.custom_nodes[index].source, cancel)
                    .await;
                fetched.map_err(|error| error.at(format!("/custom_nodes/{index}")))
            }
        });
        futures::future::try_join(comfy, futures::future::try_join_all(nodes)).await?;

        let request = facts.request()?;
        let asked = request.requirements.iter();
        let warnings = asked
            .flat_map(|asker| {
                asker
                    .warnings
                    .iter()
                    .map(|warning| format!("{}: {warning}", asker.asker))
            })
            .collect();
        let digest = request.digest();
        let mut lock = lock.clone();
        if lock
            .python
            .as_ref()
            .is_none_or(|python| python.request_digest != digest)
        {
            let requirements = lock_together(&*self.0.python, &request, cancel).await?;
            lock.python = Some(LockedPython::new(digest, requirements));
            self.locks().save(&lock)?;
        }
        Ok(Pinned { lock, warnings })
    }
}
