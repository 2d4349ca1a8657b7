//! What a swap did, step by step.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use manifest_core::Sha256Digest;
use serde::{Serialize, Serializer};

/// A step of a swap, in the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Step {
    /// The container is looked for, and created from its image if it is missing.
    Create,
    /// The build step is run.
    Build,
    /// The candidate is copied beside the target, hashed and made durable.
    Stage,
    /// What an interrupted swap left is finished or undone.
    Recover,
    /// The binary in place is saved and hashed.
    BackUp,
    /// The candidate takes the target's name.
    Replace,
    /// The target is hashed.
    CheckContent,
    /// The target is asked for its version.
    CheckVersion,
    /// The service is restarted.
    Restart,
    /// The service must stay up, and pass its health probe.
    CheckService,
    /// The binary from before takes the target's name again.
    RollBack,
    /// The service is restarted with the binary from before.
    RestartBefore,
    /// Backups that are too old are deleted.
    CleanUp,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Build => "build",
            Self::Create => "find the container",
            Self::Stage => "stage the candidate",
            Self::Recover => "mend an interrupted swap",
            Self::BackUp => "back up",
            Self::Replace => "replace",
            Self::CheckContent => "check the hash",
            Self::CheckVersion => "check the version",
            Self::Restart => "restart",
            Self::CheckService => "check the service",
            Self::RollBack => "roll back",
            Self::RestartBefore => "restart as before",
            Self::CleanUp => "clean up",
        })
    }
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepOutcome {
    /// It was done. What there is to say about it, if anything.
    Done(Option<String>),
    /// It was left out, for this reason.
    Skipped(String),
    /// It failed, for this reason.
    Failed(String),
}

/// One step, as it went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StepReport {
    /// Which.
    pub step: Step,
    /// What became of it.
    pub outcome: StepOutcome,
    /// How long it took; in seconds where serialized.
    #[serde(serialize_with = "seconds")]
    pub took: Duration,
}

fn seconds<S: Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(took.as_secs_f64())
}

/// How a swap ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// The target is what it was before, since the swap was refused, failed early or was cancelled.
    NotSwapped,
    /// The candidate is in place, and passed every check that was asked for.
    Swapped,
    /// The target has the candidate's content already.
    Unchanged,
    /// The candidate did not pass; the binary from before is in place again.
    RolledBack,
    /// The candidate did not pass, and is in place all the same, as asked.
    LeftFailing,
    /// The candidate did not pass, and going back failed.
    RollbackFailed,
}

/// What a run found of one before it that was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Found {
    /// The target had not been replaced yet.
    NotReplaced,
    /// The candidate was in place, and nobody had checked yet whether it works.
    Unverified,
    /// The candidate did not work, and was still in place.
    RollbackUnfinished,
    /// The binary from before was in place again, and perhaps the service not restarted.
    RolledBack,
    /// There was nothing at the target's name.
    Missing,
    /// Somebody else has put another binary in place since.
    Foreign,
}

impl fmt::Display for Found {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotReplaced => "an earlier swap was interrupted before it replaced anything",
            Self::Unverified => {
                "an earlier swap was interrupted before it knew whether its candidate works"
            }
            Self::RollbackUnfinished => "an earlier swap was interrupted before it had gone back",
            Self::RolledBack => "an earlier swap was interrupted when it had just gone back",
            Self::Missing => "an earlier swap was interrupted, and the binary is gone",
            Self::Foreign => {
                "an earlier swap was interrupted, and somebody has put another binary in place since"
            }
        })
    }
}

/// What a swap did.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The binary.
    pub target: PathBuf,
    /// The service, in words, if one was given.
    pub service: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// What an interrupted run before had left.
    pub found: Option<Found>,
    /// The binary from before; `None` if there was none, or if it never came to that.
    pub old: Option<Sha256Digest>,
    /// The candidate; `None` if it never came to that.
    pub new: Option<Sha256Digest>,
    /// The release that the candidate is of, if it is of one.
    pub release: Option<String>,
    /// The path of the backup of the binary from before, if it is kept.
    pub backup: Option<PathBuf>,
    /// What the target said of its version, if it was asked.
    pub version: Option<String>,
    /// The steps, in order.
    pub steps: Vec<StepReport>,
    /// The service's last lines, if the candidate did not pass.
    pub log: Vec<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

impl Report {
    pub(crate) fn new(target: PathBuf, service: Option<String>) -> Self {
        Self {
            target,
            service,
            outcome: Outcome::NotSwapped,
            found: None,
            old: None,
            new: None,
            release: None,
            backup: None,
            version: None,
            steps: Vec::new(),
            log: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// What became of a step; `None` if it never came to that.
    #[must_use]
    pub fn step(&self, step: Step) -> Option<&StepReport> {
        self.steps.iter().find(|report| report.step == step)
    }

    /// How long all of it took.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.steps.iter().map(|step| step.took).sum()
    }
}

/// One line: `swapped /srv/bin/server: 2c26b46b -> fcde2b2e`.
impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target.display();
        let (old, new) = (short(self.old.as_ref()), short(self.new.as_ref()));
        match self.outcome {
            Outcome::Swapped => write!(formatter, "swapped {target}: {old} -> {new}"),
            Outcome::Unchanged => write!(formatter, "nothing to do: {target} is {new} already"),
            Outcome::RolledBack => write!(
                formatter,
                "rolled back {target}: {new} did not work, {old} is in place again"
            ),
            Outcome::LeftFailing => {
                write!(formatter, "{new} is in place in {target}, but did not work")
            }
            Outcome::RollbackFailed => write!(
                formatter,
                "{new} did not work in {target}, and going back to {old} failed"
            ),
            Outcome::NotSwapped => write!(formatter, "{target} was left as it is"),
        }
    }
}

/// As much of a digest as people compare.
pub(crate) fn short(digest: Option<&Sha256Digest>) -> String {
    match digest {
        Some(digest) => digest.to_string()[..12].to_owned(),
        None => "nothing".to_owned(),
    }
}
