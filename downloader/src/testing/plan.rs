//! Which answer gets which fault.

use std::collections::VecDeque;

use super::Fault;

/// The faults of one URL's answers: one for each `open` in turn, then one for all that follow.
///
/// ```
/// use downloader::ErrorKind;
/// use downloader::testing::{Fault, Plan};
///
/// // The first answer breaks at byte 10, the second is good, and then the source is gone.
/// let plan = Plan::first([Fault::error_at(10, ErrorKind::Network), Fault::none()])
///     .then_always(Fault::refused(ErrorKind::NotFound));
/// # let _ = plan;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    first: VecDeque<Fault>,
    always: Fault,
}

impl Plan {
    /// These faults in turn, one for each `open`; then all is well.
    #[must_use]
    pub fn first(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self {
            first: faults.into_iter().collect(),
            always: Fault::none(),
        }
    }

    /// This fault every time.
    #[must_use]
    pub fn always(fault: Fault) -> Self {
        Self::default().then_always(fault)
    }

    /// This fault every time, after the first ones.
    #[must_use]
    pub fn then_always(mut self, fault: Fault) -> Self {
        self.always = fault;
        self
    }

    pub(super) fn next(&mut self) -> Fault {
        self.first
            .pop_front()
            .unwrap_or_else(|| self.always.clone())
    }

    /// How many of the first ones are left.
    pub(super) fn left(&self) -> usize {
        self.first.len()
    }
}

/// For the first `open`; then all is well.
impl From<Fault> for Plan {
    fn from(fault: Fault) -> Self {
        Self::first([fault])
    }
}
