//! What a caller hears while work is going on.

use crate::plan::{Missing, Step};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// What there is to do is known.
    #[non_exhaustive]
    Planned {
        /// How many steps.
        steps: usize,
        /// Bytes to download, as far as they are known.
        download: u64,
    },
    /// A step began.
    Started(Step),
    /// A step is done.
    Finished(Step),
    /// A step could not be done without the network.
    Missing(Missing),
    /// Bytes of models.
    #[non_exhaustive]
    Bytes {
        /// That came, all in all, also those of interrupted runs.
        received: u64,
        /// That are expected, as far as that is known.
        expected: u64,
    },
    /// A source failed in a way that may pass, and is asked again; or another process is being waited for.
    Waiting(String),
    /// Something that a person should know.
    Warning(String),
}
