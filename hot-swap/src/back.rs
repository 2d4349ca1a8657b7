//! The way back, after a candidate that does not work and after an interruption.

use std::time::Duration;

use manifest_core::Sha256Digest;
use tokio::time::Instant;

use crate::blocking::blocking;
use crate::candidate::check_backup;
use crate::error::Doing as _;
use crate::event::Log;
use crate::journal::{self, Journal, Phase};
use crate::place::Place;
use crate::report::{Found, Outcome, Step, short};
use crate::run::{Rejected, Work};
use crate::state::{INCOMING, RESTORING};
use crate::{Error, ErrorKind, OnFailure, ServiceState, backups, check};

/// How many of the service's last lines are reported.
const LOG_LINES: usize = 20;
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// A swap that was interrupted, and how far it came.
pub(crate) struct Interrupted {
    journal: Journal,
    found: Found,
}

impl Interrupted {
    /// Whether what was before is in place, or can be.
    pub(crate) fn can_go_back(&self) -> bool {
        self.journal.backup.is_some() && self.found != Found::Foreign
    }
}

/// What became of a swap that was interrupted.
pub(crate) enum Mended {
    /// Its candidate is in place, and is the one that is wanted: it has yet to be checked.
    Resumed(Journal),
    /// What was before is in place.
    Undone {
        /// Why the service does not run with it, if it does not.
        down: Option<Error>,
    },
}

impl Work<'_> {
    /// What an interrupted swap left, if one did.
    pub(crate) async fn look_for_interrupted(
        &self,
        log: &mut Log<'_>,
    ) -> Result<Option<Interrupted>, Error> {
        let Some(journal) = self.state.journal()? else {
            return Ok(None);
        };
        let found = journal.judge(self.place.digest(&self.state).await?);
        log.report.found = Some(found);
        log.warn(found.to_string());
        Ok(Some(Interrupted { journal, found }))
    }

    /// Finishes or undoes what an interrupted swap left.
    pub(crate) async fn mend(
        &self,
        log: &mut Log<'_>,
        interrupted: Interrupted,
        new: Sha256Digest,
    ) -> Result<Mended, Error> {
        if interrupted.found == Found::Unverified && interrupted.journal.new == new {
            let state = self.state.clone();
            blocking(move || state.remove(INCOMING)).await?;
            log.skipped(Step::Recover, "its candidate is the one that is wanted");
            return Ok(Mended::Resumed(interrupted.journal));
        }
        let down = self.undo(log, &interrupted).await?;
        Ok(Mended::Undone { down })
    }

    /// Puts what was before an interrupted swap in place, and restarts the service with it. Returns why that does not run, if it does not:
    /// then the note about the swap stays.
    pub(crate) async fn undo(
        &self,
        log: &mut Log<'_>,
        interrupted: &Interrupted,
    ) -> Result<Option<Error>, Error> {
        let Interrupted { journal, found } = interrupted;
        let undoing = self.put_back(journal, *found);
        let undone = log.step(Step::Recover, undoing, |undone| {
            Some(match undone {
                Undone::Back => "what was before is in place".into(),
                Undone::Nothing => "nothing to undo".into(),
                Undone::Left(why) => format!("what is in place stays: {why:#}"),
            })
        });
        match undone.await? {
            Undone::Back => {}
            Undone::Nothing if *found == Found::NotReplaced => {
                self.forget(journal).await?;
                return Ok(None);
            }
            Undone::Nothing => {
                self.decide().await?;
                return Ok(None);
            }
            Undone::Left(why) => {
                log.warn(format!("what is in place was never checked: {why:#}"));
                self.decide().await?;
                return Ok(None);
            }
        }
        match self.restart_before(log).await {
            Ok(()) => {
                self.forget(journal).await?;
                Ok(None)
            }
            Err(down) => {
                log.warn(format!("{down:#}"));
                Ok(Some(down))
            }
        }
    }

    async fn put_back(&self, journal: &Journal, found: Found) -> Result<Undone, Error> {
        let backup = match (found, &journal.backup) {
            (Found::NotReplaced | Found::Foreign, _) | (_, None) => return Ok(Undone::Nothing),
            (Found::RolledBack, Some(_)) => return Ok(Undone::Back),
            (_, Some(backup)) => backup,
        };
        let journal = Journal {
            phase: Phase::RollingBack,
            ..journal.clone()
        };
        self.write(&journal).await?;
        match self.restore(backup).await {
            Ok(()) => Ok(Undone::Back),
            Err(error) if self.swap.on_failure == OnFailure::Leave => Ok(Undone::Left(error)),
            Err(error) => {
                let text = format!(
                    "{found}; going back failed, and the backup is {}",
                    self.path_of(backup)
                );
                Err(Error::new(ErrorKind::RollbackFailed, text).with_source(error))
            }
        }
    }

    /// Somebody wants what was before, and a swap was interrupted: that one is undone, and nothing else.
    pub(crate) async fn only_undo(
        &self,
        log: &mut Log<'_>,
        interrupted: &Interrupted,
    ) -> Result<(), Error> {
        let Interrupted { journal, found } = interrupted;
        log.report.new = journal.old;
        if let Some(down) = self.undo(log, interrupted).await? {
            log.report.outcome = Outcome::RollbackFailed;
            return Err(self.is_down(down));
        }
        let was_back = matches!(found, Found::NotReplaced | Found::RolledBack);
        log.report.outcome = if was_back {
            Outcome::Unchanged
        } else {
            log.report.old = Some(journal.new);
            Outcome::Swapped
        };
        Ok(())
    }

    /// The candidate was in place already, but a service that does not run is not what anybody wants.
    pub(crate) async fn revive(&self, log: &mut Log<'_>, down: Option<Error>) -> Result<(), Error> {
        let Some(runtime) = &self.swap.runtime else {
            return Ok(());
        };
        log.report.outcome = Outcome::Unchanged;
        if let Some(down) = down {
            return Err(self.is_down(down));
        }
        let deadline = self.deadline();
        let looking = self.in_time(deadline, "it could not be looked at", runtime.state());
        if let ServiceState::Stopped(_) = looking.await? {
            let mut restarted = false;
            let reviving = self.restart_and_check(log, &mut restarted, deadline);
            reviving.await.map_err(|error| self.is_down(error))?;
        }
        Ok(())
    }

    fn is_down(&self, why: Error) -> Error {
        let target = self.swap.target.display();
        let text = format!(
            "the right binary is in place in {target}, but the service does not run with it"
        );
        Error::runtime(text).with_source(why)
    }

    async fn decide(&self) -> Result<(), Error> {
        let state = self.state.clone();
        blocking(move || journal::remove(&state.dir)).await
    }

    /// The candidate does not work: goes back, or leaves it as asked. Returns what to tell.
    pub(crate) async fn reject(
        &self,
        log: &mut Log<'_>,
        journal: Journal,
        rejected: Rejected,
    ) -> Error {
        let Rejected { why, restarted } = rejected;
        let target = self.swap.target.display();
        if restarted && let Some(runtime) = &self.swap.runtime {
            let lines = tokio::time::timeout(LOG_PATIENCE, runtime.logs(LOG_LINES)).await;
            log.report.log = lines.ok().and_then(Result::ok).unwrap_or_default();
        }
        let is_cancelled = why.kind() == ErrorKind::Cancelled;
        let new = short(Some(&journal.new));
        let backup = match journal.backup.clone() {
            Some(backup) if is_cancelled || self.swap.on_failure == OnFailure::RollBack => backup,
            _ => {
                log.report.outcome = Outcome::LeftFailing;
                if let Err(error) = self.decide().await {
                    log.warn(format!("{error:#}"));
                }
                let text = format!("{new} does not work in {target}, and was left there");
                return Error::new(ErrorKind::LeftFailing, text).with_source(why);
            }
        };
        let kept = self.path_of(&backup);
        log.report.backup = Some(self.state.backups.path().join(&backup));
        if let Err(error) = self.roll_back(log, journal, &backup, restarted).await {
            log.report.outcome = Outcome::RollbackFailed;
            let text = format!(
                "{new} does not work in {target} ({why:#}), and going back failed; the backup is {kept}"
            );
            return Error::new(ErrorKind::RollbackFailed, text).with_source(error);
        }
        log.report.outcome = Outcome::RolledBack;
        log.report.backup = None;
        let old = short(log.report.old.as_ref());
        if is_cancelled {
            let text =
                format!("cancelled before {new} had shown that it works; {old} is in place again");
            return Error::new(ErrorKind::Cancelled, text);
        }
        let text = format!("{new} does not work in {target}; {old} is in place again");
        Error::new(ErrorKind::RolledBack, text).with_source(why)
    }

    async fn roll_back(
        &self,
        log: &mut Log<'_>,
        mut journal: Journal,
        backup: &str,
        restarted: bool,
    ) -> Result<(), Error> {
        journal.phase = Phase::RollingBack;
        // Going back matters more than the note about it: without, the next run finds a candidate that nobody has checked.
        if let Err(error) = self.write(&journal).await {
            log.warn(format!("{error:#}"));
        }
        let restoring = async {
            self.restore(backup).await?;
            match journal.old {
                Some(old) => self.require(old).await,
                None => Ok(()),
            }
        };
        let restoring = self.in_time_inside(self.deadline(), restoring);
        log.step(Step::RollBack, restoring, |()| None).await?;
        if restarted {
            self.restart_before(log).await?;
        } else if self.swap.runtime.is_some() {
            log.skipped(Step::RestartBefore, "the service was not restarted");
        }
        if let Err(error) = self.forget(&journal).await {
            log.warn(format!("{error:#}"));
        }
        Ok(())
    }

    /// Restarts the service with what was before, which must stay up.
    async fn restart_before(&self, log: &mut Log<'_>) -> Result<(), Error> {
        let Some(runtime) = &self.swap.runtime else {
            return Ok(());
        };
        let (target, deadline) = (&self.swap.target, self.deadline());
        let restarting = async {
            let restarting = runtime.restart(target, self.swap.deadline);
            self.in_time(deadline, "it could not be restarted", restarting)
                .await?;
            check::service(self.swap, None, deadline).await
        };
        log.step(Step::RestartBefore, restarting, |()| None)
            .await
            .map_err(|error| {
                let text =
                    "what was before is in place again, but the service does not run with it";
                Error::runtime(text).with_source(error)
            })
    }

    /// An engine may hang; what is done on this machine's disk is waited for.
    async fn in_time_inside<T>(
        &self,
        deadline: Instant,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match self.place {
            Place::Here(_) => work.await,
            Place::Inside(..) => {
                self.in_time(deadline, "going back did not come to its end", work)
                    .await
            }
        }
    }

    /// Puts a backup in place again, if it still is what it was. The backup stays.
    pub(crate) async fn restore(&self, backup: &str) -> Result<(), Error> {
        let (state, name) = (self.state.clone(), backup.to_owned());
        let digest = blocking(move || {
            check_backup(&state.backups, &name)?;
            state.remove(RESTORING)?;
            // A link takes no space: going back must not fail because the disk is full.
            if let Err(error) = state.backups.hard_link(&name, &state.dir, RESTORING) {
                tracing::debug!(%error, "copying instead");
                let copied = state
                    .backups
                    .copy(&name, &state.dir, RESTORING)
                    .and_then(|_| state.backups.copy_attributes(&name, &state.dir, RESTORING))
                    .and_then(|()| state.dir.sync_file(RESTORING));
                copied.doing(|| format!("the backup {name} cannot be copied"))?;
            }
            let (_, digest) = backups::parse(&name).expect("the name was checked above");
            Ok(digest)
        });
        let digest = digest.await?;
        self.place.put(&self.state, RESTORING, digest).await
    }
}

enum Undone {
    /// What was before is in place.
    Back,
    /// Nothing had to be done, or nothing can be.
    Nothing,
    /// The backup is lost, and the caller wants what is in place left.
    Left(Error),
}
