//! Entries that were left in the middle. A deflated entry can only be read from its start, so that a connection that breaks would
//! cost all that had come of it; as long as this process lives, it is taken up where it was left.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::directory::Entry;
use super::inflate::Inflater;
use crate::Validator;

/// At 44 KiB each, less than 3 MiB.
const MOST: usize = 64;

/// What was left, by the entry's validator.
#[derive(Clone, Debug, Default)]
pub(super) struct Parked(Arc<Mutex<HashMap<Validator, Inflater>>>);

impl Parked {
    fn lock(&self) -> MutexGuard<'_, HashMap<Validator, Inflater>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An entry from its start. Without a validator it is not kept.
    pub(super) fn fresh(&self, entry: &Entry, validator: Option<Validator>) -> Held {
        Held {
            inflater: Some(Inflater::new(entry)),
            validator,
            parked: self.clone(),
        }
    }

    /// Takes up the entry with this validator, if it was left after exactly `position` bytes of its content.
    pub(super) fn take(&self, validator: &Validator, position: u64) -> Option<Held> {
        let mut parked = self.lock();
        if parked.get(validator)?.produced() != position {
            return None;
        }
        Some(Held {
            inflater: parked.remove(validator),
            validator: Some(validator.clone()),
            parked: self.clone(),
        })
    }
}

/// An entry that is being read. Dropped with its inflater, it is kept for whoever goes on.
#[derive(Debug)]
pub(super) struct Held {
    inflater: Option<Inflater>,
    validator: Option<Validator>,
    parked: Parked,
}

impl Held {
    /// How many compressed bytes it has used.
    pub(super) fn consumed(&self) -> u64 {
        self.inflater.as_ref().map_or(0, Inflater::consumed)
    }

    /// The inflater, to work with; unless it is put back, nothing is kept.
    pub(super) fn take(&mut self) -> Option<Inflater> {
        self.inflater.take()
    }

    pub(super) fn put(&mut self, inflater: Inflater) {
        self.inflater = Some(inflater);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some((inflater, validator)) = self.inflater.take().zip(self.validator.take()) else {
            return;
        };
        if inflater.produced() == 0 {
            return;
        }
        let mut parked = self.parked.lock();
        if parked.len() >= MOST
            && let Some(other) = parked.keys().next().cloned()
        {
            parked.remove(&other);
        }
        parked.insert(validator, inflater);
    }
}
