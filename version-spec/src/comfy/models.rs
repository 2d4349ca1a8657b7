//! The models of a version, by their bytes.

use super::{Comfy, DryRun};
use crate::{CancellationToken, Error, ErrorKind, Lock, Missing, ModelState, Spec, WantedModel};

/// A model that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelVerified {
    /// Which entry of the spec's `models`.
    pub index: usize,
    /// Where it lies below `MODELS_DIR`.
    pub target: String,
    /// How it was found.
    pub found: ModelState,
    /// Whether it was fetched or replaced.
    pub mended: bool,
}

/// What verifying the models of a version found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifiedModels {
    /// Each, in the order of the spec.
    pub models: Vec<ModelVerified>,
    /// What could not be had without the network.
    pub missing: Vec<Missing>,
    /// The lock, with what was seen for the first time.
    pub lock: Lock,
}

impl VerifiedModels {
    /// Whether all are right now.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.models
            .iter()
            .all(|model| model.mended || model.found.is_good())
    }
}

impl Comfy {
    /// Reads every model of a version, fetches those that are missing, and replaces those that are wrong. A dry run only reads.
    ///
    /// # Errors
    /// Those of [`ModelStore::repair`](crate::ModelStore::repair), but `Offline`, which is among the missing; `Stale`, `Cancelled`. All
    /// models are tried before the first failure is returned.
    ///
    /// # Cancel safety
    /// Dropped or cancelled, what has come is kept, and verifying again goes on.
    pub async fn verify_models(
        &self,
        spec: &Spec,
        lock: &Lock,
        dry_run: DryRun,
        cancel: &CancellationToken,
    ) -> Result<VerifiedModels, Error> {
        lock.must_be_for(spec)?;
        let store = self.0.model_store(spec);
        let wanted = WantedModel::all(spec, Some(lock));
        let states = store.verify(&wanted, cancel).await?;
        let mut verified = VerifiedModels {
            models: Vec::new(),
            missing: Vec::new(),
            lock: lock.clone(),
        };
        let mut failure: Option<Error> = None;
        for (wanted, found) in wanted.iter().zip(states) {
            let mut mended = false;
            if !found.is_good() && dry_run == DryRun::No {
                match store.repair(wanted, &(), cancel).await {
                    Ok(pin) => {
                        mended = true;
                        match verified
                            .lock
                            .models
                            .iter_mut()
                            .find(|model| model.source == pin.source)
                        {
                            Some(model) => *model = pin,
                            None => verified.lock.models.push(pin),
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::Offline && self.0.is_offline(spec) => {
                        verified.missing.push(Missing::new(
                            error.pointer().unwrap_or_default(),
                            error.message(),
                        ));
                    }
                    Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error),
                    Err(error) => drop(failure.get_or_insert(error)),
                }
            }
            verified.models.push(ModelVerified {
                index: wanted.index(),
                target: wanted.entry().target.to_string(),
                found,
                mended,
            });
        }
        if verified.lock != *lock {
            self.locks().save(&verified.lock)?;
        }
        failure.map_or(Ok(verified), Err)
    }
}
