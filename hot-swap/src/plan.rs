use std::fmt;
use std::path::PathBuf;

use manifest_core::Sha256Digest;
use serde::Serialize;

use crate::blocking::blocking;
use crate::candidate::Source;
use crate::place::Place;
use crate::report::{Found, Step, short};
use crate::state::State;
use crate::{Candidate, Error, ErrorKind, HotSwap, OnFailure, Runtime as _, journal};

/// What a swap would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The binary.
    pub target: PathBuf,
    /// The service, in words, if one was given.
    pub service: Option<String>,
    /// The candidate, in words.
    pub candidate: String,
    /// What an interrupted swap left, if it did.
    pub found: Option<Found>,
    /// What is in place; `None` if nothing is, or if it is inside a container, from which nothing is copied for a plan.
    pub old: Option<Sha256Digest>,
    /// The candidate as it is now; `None` if there is none yet, since it would be built.
    pub new: Option<Sha256Digest>,
    /// The steps, in order. One that recovers or goes back is done only if it must be.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Whether the target has the candidate's content already, and nothing would be built.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.old.is_some() && self.old == self.new && !self.steps.contains(&Step::Build)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target.display();
        if self.is_unchanged() {
            let new = short(self.new.as_ref());
            return write!(formatter, "nothing to do: {target} is {new} already");
        }
        let new = match &self.new {
            Some(new) => short(Some(new)),
            None => "what is built".to_owned(),
        };
        match &self.old {
            Some(old) => {
                let old = short(Some(old));
                write!(formatter, "would swap {target}: {old} -> {new}")
            }
            None => write!(formatter, "would put {new} in place in {target}"),
        }
    }
}

impl HotSwap {
    /// What [`run`](Self::run) would do. Reads and hashes, builds nothing and changes nothing.
    ///
    /// # Errors
    /// As [`run`](Self::run) before it changes anything, without [`Busy`](ErrorKind::Busy).
    pub async fn plan(&self) -> Result<Plan, Error> {
        self.check()?;
        let place = Place::open(self).await?;
        if let Some(container) = &self.container {
            container.prepare(&self.target).await?;
        } else if let Some(runtime) = &self.runtime {
            runtime.state().await?;
        }
        let swap = self.clone();
        let (found, old, new) = blocking(move || {
            let opened = State::look(&swap)?;
            let old = match place.model()? {
                Some((dir, name)) => Some(crate::candidate::hash(dir, name)?),
                None => None,
            };
            let journal = match &opened {
                Some((folder, _)) => journal::read(folder)?,
                None => None,
            };
            let is_here = matches!(place, Place::Here(_));
            let is_first = old.is_none() && is_here && journal.is_none();
            if is_first && swap.on_failure == OnFailure::RollBack {
                let text = format!(
                    "there is nothing at {}, so no backup and no way back",
                    swap.target.display()
                );
                return Err(Error::new(ErrorKind::NoBackup, text));
            }
            let found = journal
                .filter(|_| is_here)
                .map(|journal| journal.judge(old));
            let backups = opened.as_ref().map(|(_, backups)| backups);
            let candidate = Source::find(&swap, backups, old).and_then(|source| source.digest());
            let new = match candidate {
                Err(error) if error.kind() == ErrorKind::NotFound && swap.build.is_some() => None,
                candidate => Some(candidate?),
            };
            Ok((found, old, new))
        })
        .await?;
        let mut plan = Plan {
            target: self.target.clone(),
            service: self.runtime.as_ref().map(|runtime| runtime.describe()),
            candidate: match &self.candidate {
                Candidate::File(path) => path.display().to_string(),
                other => other.to_string(),
            },
            found,
            old,
            new,
            steps: Vec::new(),
        };
        plan.steps = self.steps(&plan);
        Ok(plan)
    }

    fn steps(&self, plan: &Plan) -> Vec<Step> {
        let has_service = self.runtime.is_some();
        let all = [
            (Step::Create, self.container.is_some()),
            (Step::Build, self.build.is_some()),
            (Step::Stage, true),
            (Step::Recover, plan.found.is_some()),
            (Step::BackUp, true),
            (Step::Replace, true),
            (Step::CheckContent, true),
            (Step::CheckVersion, self.version.is_some()),
            (Step::Restart, has_service),
            (Step::CheckService, has_service || self.probe.is_some()),
            (Step::CleanUp, true),
        ];
        all.into_iter()
            .filter_map(|(step, is_done)| is_done.then_some(step))
            .collect()
    }
}
