//! What a backend's author tells the suite.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use url::Url;

use crate::{Downloader, Error, Response};

/// A backend to be checked, and a source that the suite may fill for it. The source must begin empty and be nobody else's.
///
/// Names are made of lower-case letters, digits and `-`. The methods panic when they cannot do what they say: a fixture that fails
/// is no verdict about the backend.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// The backend. Asked once for each rule; a pool that it has may be shared or not.
    fn downloader(&self) -> Arc<dyn Downloader>;

    /// What the backend and its source say of themselves. Less is checked of one that claims less.
    fn claims(&self) -> Claims;

    /// Makes `content` available under `name`, in place of what was there, and returns its URL. It is served from now on, and so is
    /// every other name still.
    async fn publish(&self, name: &str, content: Bytes) -> Url;

    /// Takes away what was published under `name`.
    async fn remove(&self, name: &str);

    /// Publishes `content` under `name`, opens the whole of it, and sees to it that the body breaks off near byte `after`: that the
    /// connection is cut, the file shortened, the stream made unreadable. `after` is well inside the content, of several MiB.
    async fn open_breaking(&self, name: &str, content: Bytes, after: u64) -> Breaking;
}

/// What became of [`Fixture::open_breaking`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Breaking {
    /// What the backend's `open` answered.
    Opened(Result<Response, Error>),
    /// Bodies of this backend cannot break, for this reason. It is said in the report.
    Impossible(&'static str),
}

/// What a backend, with the source of the fixture, says of itself. [`Claims::all`] is the most, and what the suite checks most
/// thoroughly; each `with_*` takes something back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claims {
    pub(super) ranges: Ranges,
    pub(super) validators: Validators,
    pub(super) totals: Totals,
    pub(super) schemes: Schemes,
}

impl Claims {
    /// It starts at the offset, gives validators, states totals, and serves certain schemes only.
    #[must_use]
    pub fn all() -> Self {
        Self {
            ranges: Ranges::Honoured,
            validators: Validators::Given,
            totals: Totals::Stated,
            schemes: Schemes::Own,
        }
    }

    /// What it does with an offset.
    #[must_use]
    pub fn with_ranges(mut self, ranges: Ranges) -> Self {
        self.ranges = ranges;
        self
    }

    /// Whether its answers carry validators.
    #[must_use]
    pub fn with_validators(mut self, validators: Validators) -> Self {
        self.validators = validators;
        self
    }

    /// Whether its answers state the total.
    #[must_use]
    pub fn with_totals(mut self, totals: Totals) -> Self {
        self.totals = totals;
        self
    }

    /// Which URLs it serves.
    #[must_use]
    pub fn with_schemes(mut self, schemes: Schemes) -> Self {
        self.schemes = schemes;
        self
    }
}

/// What a backend does with an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ranges {
    /// It starts there.
    Honoured,
    /// It starts at zero, always.
    Ignored,
}

/// Whether answers carry a strong validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Validators {
    /// All of them.
    Given,
    /// None of them; what cannot be checked without is listed in the report.
    Absent,
}

/// Whether answers state the size of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Totals {
    /// All of them.
    Stated,
    /// Some or none; a total that is stated all the same must be right.
    Unknown,
}

/// Which URLs a backend serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Schemes {
    /// Those of its own schemes.
    Own,
    /// Whatever it was given, whatever the scheme; a foreign URL is then one that it does not have.
    Any,
}
