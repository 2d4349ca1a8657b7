//! The sequence of a swap.

use std::sync::Arc;

use manifest_core::Sha256Digest;
use subprocess::CancellationToken;
use tokio::time::Instant;

use crate::back::Mended;
use crate::blocking::blocking;
use crate::candidate::Source;
use crate::error::Doing as _;
use crate::event::Log;
use crate::journal::{self, Journal, Phase};
use crate::place::Place;
use crate::report::{Outcome, Report, Step, short};
use crate::state::{INCOMING, SAVING, State};
use crate::{Candidate, Error, ErrorKind, HotSwap, OnFailure, backups, sources};

impl HotSwap {
    /// Builds, backs up, replaces, restarts, checks; and goes back if the candidate does not work.
    ///
    /// Whatever stops it, a kill or a power cut among them, a whole binary is in place, the one from before or the candidate; the next
    /// call says what it found and finishes or undoes. If the target has the candidate's content already, nothing is done.
    ///
    /// # Errors
    /// Before anything is changed: [`ErrorKind::Configuration`], [`NotFound`](ErrorKind::NotFound), [`Policy`](ErrorKind::Policy),
    /// [`Busy`](ErrorKind::Busy), [`Build`](ErrorKind::Build), [`Integrity`](ErrorKind::Integrity),
    /// [`NoBackup`](ErrorKind::NoBackup), and what the disk and the runtime can fail with. Afterwards:
    /// [`RolledBack`](ErrorKind::RolledBack), [`LeftFailing`](ErrorKind::LeftFailing),
    /// [`RollbackFailed`](ErrorKind::RollbackFailed), [`Cancelled`](ErrorKind::Cancelled). [`Error::report`] says how far it came.
    ///
    /// # Cancel safety
    /// Cancelling after the replacement goes back. If the future is dropped then, the candidate stays in place unchecked, and the next
    /// call goes on as after a crash.
    pub async fn run(&self, cancel: &CancellationToken) -> Result<Report, Error> {
        let service = self.runtime.as_ref().map(|runtime| runtime.describe());
        let mut log = Log {
            report: Report::new(self.target.clone(), service),
            observer: &*self.observer,
        };
        match swap(self, &mut log, cancel).await {
            Ok(()) => Ok(log.report),
            Err(error) => Err(error.with_report(log.report)),
        }
    }
}

/// What every step needs.
pub(crate) struct Work<'s> {
    pub(crate) swap: &'s HotSwap,
    pub(crate) place: Place,
    pub(crate) state: Arc<State>,
}

/// The candidate does not work.
pub(crate) struct Rejected {
    pub(crate) why: Error,
    /// Whether the service may run it by now.
    pub(crate) restarted: bool,
}

async fn swap(swap: &HotSwap, log: &mut Log<'_>, cancel: &CancellationToken) -> Result<(), Error> {
    swap.check()?;
    let locking = swap.clone();
    let state = Arc::new(blocking(move || State::lock(&locking)).await?);
    let place = Place::open(swap).await?;
    let work = Work { swap, place, state };
    work.find_service(log, cancel).await?;
    let interrupted = work.look_for_interrupted(log).await?;
    if let Some(interrupted) = &interrupted
        && swap.candidate == Candidate::Backup(None)
        && interrupted.can_go_back()
    {
        return work.only_undo(log, interrupted).await;
    }
    let new = match work.make(log, cancel).await {
        Ok(new) => new,
        Err(error) => {
            // Whatever becomes of this swap, the one before is not left undecided.
            if let Some(interrupted) = interrupted
                && let Err(error) = work.undo(log, &interrupted).await
            {
                log.warn(format!("{error:#}"));
            }
            let state = work.state.clone();
            let _ = blocking(move || state.remove(INCOMING)).await; // the next run does it
            return Err(error);
        }
    };
    let mended = match interrupted {
        Some(interrupted) => work.mend(log, interrupted, new).await?,
        None => Mended::Undone { down: None },
    };
    let (journal, may_run) = match mended {
        Mended::Resumed(journal) => (journal, swap.runtime.is_some()),
        Mended::Undone { down } => match work.replace(log, new, cancel).await? {
            Replaced::Unchanged => {
                work.revive(log, down).await?;
                return work.finish(log, None).await;
            }
            Replaced::Yes(journal) => (journal, false),
            Replaced::Unsure(journal, why) => {
                let restarted = false;
                return Err(work.reject(log, journal, Rejected { why, restarted }).await);
            }
        },
    };
    log.report.old = journal.old;
    match work.try_out(log, new, may_run, cancel).await {
        Ok(()) => work.finish(log, Some(journal)).await,
        Err(rejected) => Err(work.reject(log, journal, rejected).await),
    }
}

async fn sources_of(swap: &HotSwap) -> Result<Option<String>, Error> {
    match &swap.sources {
        Some(folder) if swap.build.is_some() => {
            let folder = folder.clone();
            blocking(move || sources::digest(&folder)).await.map(Some)
        }
        _ => Ok(None),
    }
}

/// Whether the candidate is in place.
enum Replaced {
    Unchanged,
    Yes(Journal),
    /// The replacement failed, and what is in place is not what was before.
    Unsure(Journal, Error),
}

impl Work<'_> {
    /// Before anything is changed: whether there is a service that could be restarted, and a binary to go back to.
    async fn find_service(
        &self,
        log: &mut Log<'_>,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        if let Some(container) = &self.swap.container {
            let found = self.unless_cancelled(cancel, container.create_if_missing());
            let found = log.step(Step::Create, found, |created| {
                Some(if *created { "created" } else { "it is there" }.into())
            });
            found.await?;
        }
        if let Some(runtime) = &self.swap.runtime {
            let target = &self.swap.target;
            self.in_time(
                self.deadline(),
                "it could not be looked at",
                runtime.prepare(target),
            )
            .await?;
        }
        let has_journal = self.state.journal()?.is_some();
        if self.swap.on_failure == OnFailure::RollBack && !has_journal && self.place.is_empty()? {
            return Err(self.no_way_back());
        }
        Ok(())
    }

    fn no_way_back(&self) -> Error {
        let text = format!(
            "there is nothing at {}, so no backup and no way back",
            self.swap.target.display()
        );
        Error::new(ErrorKind::NoBackup, text)
    }

    /// Builds the candidate and copies it beside the target. Returns its digest.
    async fn make(
        &self,
        log: &mut Log<'_>,
        cancel: &CancellationToken,
    ) -> Result<Sha256Digest, Error> {
        let swap = self.swap;
        let sources = sources_of(swap).await?;
        if let Some(build) = &swap.build {
            let build = build.run(&*swap.observer, cancel);
            log.step(Step::Build, build, |()| None).await?;
        }
        let staging = self.unless_cancelled(cancel, self.stage());
        let staged = log.step(Step::Stage, staging, |(digest, release)| {
            Some(match release {
                Some(release) => format!("{} of release {release}", short(Some(digest))),
                None => short(Some(digest)),
            })
        });
        let (new, release) = staged.await?;
        log.report.new = Some(new);
        log.report.release = release;
        if let Some(sources) = sources {
            let state = self.state.clone();
            let note = blocking(move || sources::note(&state, &sources, new)).await?;
            if let Some(text) = note {
                log.warn(text);
            }
        }
        Ok(new)
    }

    /// Copies the candidate beside the target. Returns its digest, and the release that it is of.
    async fn stage(&self) -> Result<(Sha256Digest, Option<String>), Error> {
        let in_place = match self.swap.candidate {
            Candidate::Backup(None) => self.place.digest(&self.state).await?,
            _ => None,
        };
        let (swap, place, state) = (self.swap.clone(), self.place.clone(), self.state.clone());
        blocking(move || {
            let source = Source::find(&swap, Some(&state.backups), in_place)?;
            let digest = source.stage(&state, place.model()?)?;
            Ok((digest, source.release))
        })
        .await
    }

    /// Saves what is in place, and puts the candidate there.
    async fn replace(
        &self,
        log: &mut Log<'_>,
        new: Sha256Digest,
        cancel: &CancellationToken,
    ) -> Result<Replaced, Error> {
        if cancel.is_cancelled() {
            return Err(Error::cancelled());
        }
        let backing_up = self.unless_cancelled(cancel, self.back_up(new));
        let backed_up = log.step(Step::BackUp, backing_up, |backup| match backup {
            Some((old, _)) => Some(short(Some(old))),
            None => Some("nothing is in place".into()),
        });
        let backup = backed_up.await?;
        let old = backup.as_ref().map(|(old, _)| *old);
        log.report.old = old;
        if old == Some(new) {
            return Ok(Replaced::Unchanged);
        }
        let journal = Journal {
            phase: Phase::Replacing,
            old,
            new,
            backup: backup.and_then(|(_, name)| name),
        };
        let putting = async {
            if cancel.is_cancelled() {
                return Err(Error::cancelled());
            }
            self.write(&journal).await?;
            let putting = self.place.put(&self.state, INCOMING, new);
            self.unless_cancelled(cancel, putting).await
        };
        let Err(error) = log.step(Step::Replace, putting, |()| None).await else {
            return Ok(Replaced::Yes(journal));
        };
        match self.place.digest(&self.state).await {
            // An engine that was given up may still do it: the next run looks again.
            Ok(in_place)
                if in_place == old
                    && error.kind() == ErrorKind::Cancelled
                    && matches!(self.place, Place::Inside(..)) =>
            {
                Err(error)
            }
            Ok(in_place) if in_place == old => {
                // If that fails, the next run finds that nothing was replaced.
                let _ = self.forget(&journal).await;
                Err(error)
            }
            _ => Ok(Replaced::Unsure(journal, error)),
        }
    }

    /// Returns what is in place, and the name of its backup unless it is the candidate; `None` if nothing is in place.
    async fn back_up(
        &self,
        new: Sha256Digest,
    ) -> Result<Option<(Sha256Digest, Option<String>)>, Error> {
        let refused = |error: Error| {
            let kind = match error.kind() {
                ErrorKind::Io => ErrorKind::NoBackup,
                kind => kind,
            };
            let text = format!("{} cannot be backed up", self.swap.target.display());
            Error::new(kind, text).with_source(error)
        };
        let saved = self.place.save(&self.state).await.map_err(refused)?;
        let Some(old) = saved else {
            if self.swap.on_failure == OnFailure::Leave {
                return Ok(None);
            }
            return Err(self.no_way_back());
        };
        let (state, now) = (self.state.clone(), (self.swap.clock)());
        let kept = blocking(move || {
            if old == new {
                state.remove(SAVING)?;
                return Ok(Some((old, None)));
            }
            let name = backups::name_of(now, old);
            backups::keep(&state, &name, old)?;
            Ok(Some((old, Some(name))))
        });
        kept.await.map_err(refused)
    }

    /// The swap is decided: the note about it goes, and backups that are too old.
    async fn finish(&self, log: &mut Log<'_>, journal: Option<Journal>) -> Result<(), Error> {
        log.report.outcome = match journal {
            Some(_) => Outcome::Swapped,
            None => Outcome::Unchanged,
        };
        let (state, keep) = (self.state.clone(), self.swap.keep_backups);
        let is_swapped = journal.is_some();
        let cleaned = blocking(move || {
            if is_swapped {
                journal::remove(&state.dir)?;
            }
            state.remove(INCOMING)?;
            // Whoever changes nothing has no say in what is kept.
            backups::prune(&state, if is_swapped { keep } else { usize::MAX }, None)
        });
        let cleaned = log.step(Step::CleanUp, cleaned, |cleaned| {
            let count = cleaned.deleted.len();
            (count > 0).then(|| format!("{count} old backups deleted"))
        });
        let cleaned = cleaned.await?;
        let backup = journal.and_then(|journal| journal.backup);
        let kept = backup.filter(|backup| cleaned.kept.iter().any(|kept| kept.name == *backup));
        log.report.backup = kept.map(|backup| self.state.backups.path().join(backup));
        Ok(())
    }

    pub(crate) async fn write(&self, journal: &Journal) -> Result<(), Error> {
        let (state, journal) = (self.state.clone(), journal.clone());
        blocking(move || journal.write(&state.dir)).await
    }

    pub(crate) fn path_of(&self, backup: &str) -> String {
        self.state.backups.path().join(backup).display().to_string()
    }

    /// A swap is decided, and what was before is in place: neither the note nor the backup is needed. The backup may be the same file
    /// as the one in place, which somebody may write into.
    pub(crate) async fn forget(&self, journal: &Journal) -> Result<(), Error> {
        let (state, backup) = (self.state.clone(), journal.backup.clone());
        blocking(move || {
            journal::remove(&state.dir)?;
            let Some(backup) = backup else { return Ok(()) };
            match state.backups.remove_file(&backup) {
                Err(error) if error.is_not_found() => Ok(()),
                removed => removed.doing(|| format!("cannot remove the backup {backup}")),
            }
        })
        .await
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.swap.deadline
    }

    pub(crate) async fn in_time<T>(
        &self,
        deadline: Instant,
        what: &str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let timeout = tokio::time::timeout_at(deadline, work).await;
        timeout.unwrap_or_else(|_| Err(Error::late(what, self.swap.deadline)))
    }

    /// What an engine does can be given up at any time; what is done on this machine's disk is waited for.
    async fn unless_cancelled<T>(
        &self,
        cancel: &CancellationToken,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match self.place {
            Place::Here(_) => work.await,
            Place::Inside(..) => {
                let done = cancel.run_until_cancelled(work).await;
                done.unwrap_or_else(|| Err(Error::cancelled()))
            }
        }
    }
}
