//! Does the release that has just become active work? If not, the one before is active again.

use std::path::PathBuf;

use activation::{Event as HistoryEvent, InstalledRelease, Session};
use manifest_core::{Manifest, ReleaseVersion};
use tokio_util::sync::CancellationToken;

use crate::blocking::blocking;
use crate::error::During as _;
use crate::health::{Candidate, Unhealthy};
use crate::{Error, ErrorKind, Event, FailedReleases, Phase, Updater};

impl Updater {
    /// Refuses a release that was active and did not work, unless it is to be tried again.
    pub(crate) fn check_failures(&self, session: &Session, target: &Manifest) -> Result<(), Error> {
        let during = || "cannot read which releases do not work".to_owned();
        let Some(failed) = session
            .installation()
            .failed_release(target)
            .during(during)?
        else {
            return Ok(());
        };
        if self.settings().failed_releases == FailedReleases::Retry {
            return session.forget_failure(target).during(during);
        }
        let text = format!(
            "release {} was active until {} and did not work: {}; it is not tried again by itself",
            failed.version, failed.time, failed.reason
        );
        Err(Error::new(ErrorKind::Unhealthy, text))
    }

    /// Before the switch: a crash between the switch and the answer must not make anybody forget to ask.
    pub(crate) fn begin_trial(&self, session: &Session, target: &Manifest) -> Result<(), Error> {
        let noted = match self.settings().health {
            Some(_) => session.begin_trial(target),
            None => session.end_trial(),
        };
        noted.during(|| {
            format!(
                "cannot prepare the trial of release {}",
                target.tool_version()
            )
        })
    }

    /// Asks the health probe, and goes back if it says no, or if the caller cancels before it says anything. Who has
    /// gone away waits for nothing: then the release stays on trial.
    pub(crate) async fn stand_trial(
        &self,
        session: &Session,
        release: &InstalledRelease,
        cancel: &CancellationToken,
        caller: &CancellationToken,
    ) -> Result<(), Error> {
        let Some(health) = &self.settings().health else {
            return Ok(());
        };
        let session = session.clone();
        let on_trial = {
            let session = session.clone();
            blocking(move || {
                session
                    .installation()
                    .trial()
                    .during(|| "cannot read the note about the trial".into())
            })
        };
        if on_trial.await?.is_none() {
            return Ok(()); // it has shown that it works already
        }
        self.phase(Phase::CheckingHealth);
        let candidate = Candidate {
            root: absolute(self.root().to_path_buf()),
            folder: absolute(release.dir().path().to_path_buf()),
            version: release.version().clone(),
            manifest_hash: release.manifest().manifest_hash(),
        };
        let answer = cancel.run_until_cancelled(health.check(&candidate)).await;
        match answer {
            Some(Ok(())) => {
                blocking(move || session.end_trial().during(|| "cannot end the trial".into())).await
            }
            Some(Err(unhealthy)) => Err(self.fall_back(session, release, unhealthy).await),
            None if caller.is_cancelled() => Err(self.call_off(session, release).await),
            None => Err(Error::cancelled()),
        }
    }

    /// Without a probe, what there is to say if the active release has yet to show that it works.
    pub(crate) async fn warn_of_trial(&self, session: Session) -> Result<Option<String>, Error> {
        if self.settings().health.is_some() {
            return Ok(None);
        }
        let during = || "cannot read the note about the trial".to_owned();
        let trial = blocking(move || session.installation().trial().during(during)).await?;
        Ok(trial.map(|_| {
            let text = "the active release is on trial: whether it works was asked, but not answered; update to it \
                        again with its health probe, or roll back";
            self.notify(&Event::Warning(text.into()));
            text.into()
        }))
    }

    /// A crash while an earlier run went back leaves a release active that is known not to work.
    pub(crate) async fn finish_falling_back(&self, session: &Session) -> Result<(), Error> {
        let finding = session.clone();
        let unfinished = blocking(move || {
            let during = || "cannot read the note about the trial".to_owned();
            let installation = finding.installation();
            let active = installation.active();
            if matches!(active, Ok(None)) {
                // Kept: recovery would make the release active of which the note says that nobody has judged it.
                return Ok(None);
            }
            if installation.trial().during(during)?.is_none() {
                // A note about a release that is not active is of a run that was stopped: nobody asks again.
                finding.end_trial().during(during)?;
                return Ok(None);
            }
            let Some(active) = active.during(during)? else {
                return Ok(None);
            };
            let failed = installation
                .failed_release(active.manifest())
                .during(during)?;
            Ok(failed.map(|failed| (active, failed.reason)))
        });
        if let Some((active, reason)) = unfinished.await? {
            let unhealthy = Unhealthy::new(reason);
            let error = self.fall_back(session.clone(), &active, unhealthy).await;
            self.notify(&Event::Warning(format!("{error:#}")));
        }
        Ok(())
    }

    /// Makes the release before active again. Returns what to tell.
    async fn fall_back(
        &self,
        session: Session,
        release: &InstalledRelease,
        unhealthy: Unhealthy,
    ) -> Error {
        let version = release.version();
        self.notify(&Event::Warning(format!(
            "release {version} does not work: {unhealthy}"
        )));
        let going_back = async {
            let (marking, release, reason) =
                (session.clone(), release.clone(), unhealthy.to_string());
            let now = (self.settings().clock)();
            blocking(move || {
                let marked = marking.mark_failed(&release, &reason, now);
                marked.during(|| "cannot go back".into())
            })
            .await?;
            let previous = self.go_back(&session).await?;
            self.end_trial(session).await;
            Ok::<_, Error>(previous)
        };
        let outcome = match going_back.await {
            Ok(previous) => now_active(previous),
            Err(error) => {
                let text = format!(
                    "release {version} does not work ({unhealthy}), and going back failed; it is still active"
                );
                return Error::new(ErrorKind::Unhealthy, text).with_source(error);
            }
        };
        let text = format!("release {version} does not work; {outcome}");
        Error::new(ErrorKind::Unhealthy, text).with_source(unhealthy)
    }

    /// The caller cancelled while the probe was asked: nobody knows whether the release works, so it is not marked, and
    /// the next run asks again. Returns what to tell.
    async fn call_off(&self, session: Session, release: &InstalledRelease) -> Error {
        let version = release.version();
        self.notify(&Event::Warning(format!(
            "cancelled before release {version} had shown that it works: going back"
        )));
        let cancelled = format!("cancelled before release {version} had shown that it works");
        match self.go_back(&session).await {
            Ok(previous) => {
                // If none is active, the note keeps recovery from making this one active.
                if previous.is_some() {
                    self.end_trial(session).await;
                }
                let text = format!(
                    "{cancelled}; {}, and what was fetched is kept for the next run",
                    now_active(previous)
                );
                Error::new(ErrorKind::Cancelled, text)
            }
            Err(error) => {
                let text =
                    format!("{cancelled}, and going back failed; it is still active, on trial");
                Error::new(ErrorKind::Cancelled, text).with_source(error)
            }
        }
    }

    /// Makes the release active that was before the one on trial, or none if there is none. Returns it.
    async fn go_back(&self, session: &Session) -> Result<Option<ReleaseVersion>, Error> {
        let finding = session.clone();
        let previous = blocking(move || {
            let during = || "cannot go back".to_owned();
            let trial = finding.installation().trial().during(during)?;
            match trial.and_then(|trial| trial.previous) {
                Some(version) => finding.installation().release(&version).during(during),
                None => Ok(None),
            }
        })
        .await?;
        let version = previous.as_ref().map(|previous| previous.version().clone());
        if let Some(previous) = previous {
            // Whoever cancels now would leave a release active that does not work.
            let never = CancellationToken::new();
            self.switch(session, previous, HistoryEvent::RolledBack, &never)
                .await?;
        } else {
            let session = session.clone();
            blocking(move || session.deactivate().during(|| "cannot go back".into())).await?;
        }
        Ok(version)
    }

    /// After going back. The next run ends it if this fails: the release on trial is not the active one any more.
    async fn end_trial(&self, session: Session) {
        let ended = blocking(move || session.end_trial().during(|| "cannot end the trial".into()));
        if let Err(error) = ended.await {
            self.notify(&Event::Warning(format!("{error:#}")));
        }
    }
}

fn now_active(previous: Option<ReleaseVersion>) -> String {
    match previous {
        Some(previous) => format!("release {previous} is active again"),
        None => "there is none to go back to, so that no release is active".to_owned(),
    }
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}
