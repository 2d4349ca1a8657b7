//! What is asked of the store, and what it says.

use manifest_core::Sha256Digest;

use crate::{Lock, LockedModel, ModelEntry, Spec};

/// A model of a spec, with its pin if there is one.
#[derive(Clone, Copy, Debug)]
pub struct WantedModel<'a> {
    pub(super) index: usize,
    pub(super) entry: &'a ModelEntry,
    pub(super) locked: Option<&'a LockedModel>,
}

impl<'a> WantedModel<'a> {
    /// The entry at `index` of the spec's `models`: errors name it as `/models/<index>/…`.
    #[must_use]
    pub fn new(index: usize, entry: &'a ModelEntry) -> Self {
        Self {
            index,
            entry,
            locked: None,
        }
    }

    /// With its pin. One of another source, or that contradicts the entry's checksum, is ignored.
    #[must_use]
    pub fn with_locked(mut self, locked: Option<&'a LockedModel>) -> Self {
        let source = self.entry.source.to_string();
        let wanted = self
            .entry
            .checksum
            .as_ref()
            .and_then(crate::Checksum::sha256);
        self.locked = locked.filter(|locked| {
            locked.source == source && wanted.is_none_or(|wanted| wanted == locked.sha256)
        });
        self
    }

    /// All models of a spec, each with its pin.
    #[must_use]
    pub fn all(spec: &'a Spec, lock: Option<&'a Lock>) -> Vec<Self> {
        let pins = lock.map_or(&[][..], |lock| &lock.models);
        let model = |(index, entry): (usize, &'a ModelEntry)| {
            let source = entry.source.to_string();
            Self::new(index, entry).with_locked(pins.iter().find(|pin| pin.source == source))
        };
        spec.models.iter().enumerate().map(model).collect()
    }

    /// Which entry of the spec's `models` it is.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// The entry.
    #[must_use]
    pub fn entry(&self) -> &'a ModelEntry {
        self.entry
    }

    /// Its pin.
    #[must_use]
    pub fn locked(&self) -> Option<&'a LockedModel> {
        self.locked
    }

    pub(super) fn pointer(&self, field: &str) -> String {
        format!("/models/{}/{field}", self.index)
    }
}

/// What there is of a model, as far as a look tells, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Presence {
    /// It lies at its target, and was the right content when that was last hashed.
    Placed,
    /// The store has its content; it has only to be linked to its target.
    Stored,
    /// A file that nobody knows lies at its target. It is hashed, and taken if it is the right one.
    Unknown {
        /// Bytes to read.
        bytes: u64,
    },
    /// It has to be fetched.
    Missing {
        /// Bytes to fetch, without what an interrupted run left, if the size is known.
        bytes: Option<u64>,
    },
}

/// How a model is, by its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelState {
    /// Its content is what is pinned.
    Right {
        /// Its digest.
        sha256: Sha256Digest,
    },
    /// It is there, and nothing says what it must be.
    Unpinned {
        /// Its digest.
        sha256: Sha256Digest,
    },
    /// Nothing is at its target.
    Missing,
    /// Its content is another one.
    Wrong {
        /// What it is.
        actual: Sha256Digest,
    },
    /// It cannot be read, or is no file; and why.
    Unreadable(String),
}

impl ModelState {
    /// Whether there is nothing to mend.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Right { .. } | Self::Unpinned { .. })
    }
}
