//! The way back, after a candidate that does not work and after an interruption.

use std::time::Duration;

use crate::blocking::blocking;
use crate::candidate::check_backup;
use crate::error::Doing as _;
use crate::event::Log;
use crate::journal::{self, Journal, Phase};
use crate::report::{Found, Outcome, Step, short};
use crate::run::{Rejected, Work};
use crate::state::{INCOMING, RESTORING};
use crate::{Error, ErrorKind, OnFailure, backups, check};
use manifest_core::Sha256Digest;

/// How many of the service's last lines are reported.
const LOG_LINES: usize = 20;
const LOG_PATIENCE: Duration = Duration::from_secs(5);

impl Work<'_> {
    /// Finishes or undoes what an interrupted swap left. Returns its journal if its candidate is in place and is the one that is wanted.
    pub(crate) async fn mend(
        &self,
        log: &mut Log<'_>,
        new: Sha256Digest,
    ) -> Result<Option<Journal>, Error> {
        let Some(journal) = self.state.journal()? else {
            return Ok(None);
        };
        let found = journal.judge(self.place.digest(&self.state).await?);
        log.report.found = Some(found);
        log.warn(found.to_string());
        if found == Found::Unverified && journal.new == new {
            let state = self.state.clone();
            blocking(move || state.remove(INCOMING)).await?;
            log.skipped(Step::Recover, "its candidate is the one that is wanted");
            return Ok(Some(journal));
        }
        let undone = async {
            let is_undone = match (found, &journal.backup) {
                (Found::NotReplaced | Found::Foreign, _) | (_, None) => false,
                (Found::RolledBack, Some(_)) => true,
                (_, Some(backup)) => {
                    self.restore(backup).await.map_err(|error| {
                        let text = format!(
                            "{found}; going back failed, and the backup is {}",
                            self.path_of(backup)
                        );
                        Error::new(ErrorKind::RollbackFailed, text).with_source(error)
                    })?;
                    true
                }
            };
            let state = self.state.clone();
            blocking(move || journal::remove(&state.dir)).await?;
            Ok::<_, Error>(is_undone)
        };
        let undone = log.step(Step::Recover, undone, |undone| {
            Some(
                if *undone {
                    "what was before is in place"
                } else {
                    "nothing to undo"
                }
                .into(),
            )
        });
        if undone.await?
            && let Some(runtime) = &self.swap.runtime
        {
            let restarted = self.in_time(self.deadline(), runtime.restart(&self.swap.target));
            if let Err(error) = log.step(Step::RestartBefore, restarted, |()| None).await {
                log.warn(format!(
                    "the service could not be restarted as before: {error:#}"
                ));
            }
        }
        Ok(None)
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
                let state = self.state.clone();
                if let Err(error) = blocking(move || journal::remove(&state.dir)).await {
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
        log.step(Step::RollBack, restoring, |()| None).await?;
        match &self.swap.runtime {
            Some(runtime) if restarted => {
                let target = &self.swap.target;
                let restarting = async {
                    runtime.restart(target).await?;
                    check::service(&**runtime, None, target, self.swap.settle).await
                };
                let restarting = self.in_time(self.deadline(), restarting);
                log.step(Step::RestartBefore, restarting, |()| None).await.map_err(|error| {
                    let text = "what was before is in place again, but the service does not run with it";
                    Error::runtime(text).with_source(error)
                })?;
            }
            Some(_) => log.skipped(Step::RestartBefore, "the service was not restarted"),
            None => {}
        }
        let (state, backup) = (self.state.clone(), backup.to_owned());
        let tidied = blocking(move || {
            journal::remove(&state.dir)?;
            // It is in place now.
            let removed = state.backups.remove_file(&backup);
            removed.doing(|| format!("cannot remove the backup {backup}"))
        });
        if let Err(error) = tidied.await {
            log.warn(format!("{error:#}"));
        }
        Ok(())
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
