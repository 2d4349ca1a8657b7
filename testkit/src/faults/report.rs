use std::fmt;

/// How an operation ended before a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It said that it succeeded: the tree must be the new one, also after a power cut.
    Succeeded,
    /// It said that it failed, or the process stopped: the tree must be the old one or the new one.
    Failed,
    /// The power was cut before it ended: as for `Failed`.
    Cut,
}

/// What was done to the tree that is to be checked. Displays as a sentence.
#[derive(Clone, Debug)]
pub struct Case {
    pub(super) outcome: Outcome,
    pub(super) text: String,
}

impl Case {
    pub(super) fn new(outcome: Outcome, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { outcome, text }
    }

    /// How the operation ended.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Whether only the new tree is right.
    #[must_use]
    pub fn must_be_new(&self) -> bool {
        self.outcome == Outcome::Succeeded
    }
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// What an exploration tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explored {
    /// Effects of the undisturbed operation.
    pub effects: usize,
    /// Runs in which one effect failed.
    pub failures_tried: usize,
    /// Runs in which the process stopped before an effect, or within a write.
    pub stops_tried: usize,
    /// Runs in which one write was short.
    pub short_writes_tried: usize,
    /// Moments at which the power was cut.
    pub cuts_tried: usize,
    /// Combinations of what a power cut may lose at these moments; several may leave the same state.
    pub states_possible: usize,
    /// Different states after a power cut that were checked.
    pub states_tried: usize,
    /// Runs and states with two faults: a failure and then a power cut, a power cut and then a stop or
    /// another power cut in the recovery.
    pub pairs_tried: usize,
}

impl fmt::Display for Explored {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} effects: {} failures, {} stops, {} short writes, {} power cuts with {} states (of {} \
             combinations), {} pairs of faults",
            self.effects,
            self.failures_tried,
            self.stops_tried,
            self.short_writes_tried,
            self.cuts_tried,
            self.states_tried,
            self.states_possible,
            self.pairs_tried,
        )
    }
}

/// What was not right after a fault.
#[derive(Clone, Debug)]
pub struct Failures(pub(super) Vec<String>);

impl Failures {
    /// One text per fault: what was done, and what the check said. An exploration gives up after the
    /// first few.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.join("\n\n"))
    }
}

impl std::error::Error for Failures {}
