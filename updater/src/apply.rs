use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use activation::{
    CarryPlan, Event as HistoryEvent, Installation, InstalledRelease, Retired, Session, Staging,
};
use delta_engine::Delta;
use downloader::PartialStore;
use manifest_core::{FileEntry, Manifest, Sha256Digest};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::blocking::{blocking, to_its_end};
use crate::error::During as _;
use crate::install::Update;
use crate::plan::is_same_release;
use crate::transfer::Wanted;
use crate::{Error, Event, Phase, Plan, Report, TrustPolicy, TrustedManifest, Updater};

impl Updater {
    /// What [`apply`](Self::apply) would do. Reads only: nothing is created, fetched or locked.
    ///
    /// # Errors
    /// As `apply`, as far as it can be known.
    ///
    /// # Cancel safety
    /// Nothing is changed, so the future may be dropped at any time.
    pub async fn plan(&self, trusted: &TrustedManifest) -> Result<Plan, Error> {
        let updater = self.or_mirrors(trusted.mirror().cloned());
        let target = trusted.manifest().clone();
        blocking(move || {
            updater.check_hosts(&target)?;
            let installation = updater.installation()?;
            let active = match &installation {
                Some(installation) => updater.active_for(installation, &target)?,
                None => None,
            };
            let Some((installation, active)) = installation.zip(active) else {
                return Ok(Plan::new(
                    None,
                    &target,
                    &Delta::between(&[], target.files()),
                    &CarryPlan::default(),
                ));
            };
            updater.check_direction(&active, &target)?;
            let carry = plan_carry(&installation, &active, &target)?;
            Ok(Plan::new(
                Some(&active),
                &target,
                &Delta::between(active.manifest().files(), target.files()),
                &carry,
            ))
        })
        .await
    }

    /// Fetches the manifest at this URL, and makes its release the active one, if it is trusted:
    /// [`fetch_manifest`](Self::fetch_manifest), then [`apply`](Self::apply).
    ///
    /// # Errors
    /// Those of the two.
    ///
    /// # Cancel safety
    /// As `apply`.
    pub async fn update(
        &self,
        manifest: &Url,
        trust: &TrustPolicy,
        cancel: &CancellationToken,
    ) -> Result<Report, Error> {
        let trusted = self.fetch_manifest(manifest, trust, cancel).await?;
        self.apply(&trusted, cancel).await
    }

    /// Makes the release the active one: fetches the contents that no installed file has, brings over
    /// the others, proves every byte, and switches. If it already is the active one, every file is
    /// hashed and damaged ones are replaced.
    ///
    /// On success the report's `manifest_hash` is the trusted one. On failure the release that was active
    /// still is, or is again, and running again goes on from where this stopped. (Two exceptions: only the notes
    /// about the switch could not be written, or going back from a release that does not work failed. Then the new one
    /// is active, and the error says so.)
    ///
    /// With a health probe, a release that does not work is not active any more when this returns, and neither is one
    /// about which `cancel` was cancelled before the probe had answered; only the former is refused from then on. Without
    /// a probe, a report about a release that is still on trial (see [`ActiveStatus::on_trial`](crate::ActiveStatus::on_trial))
    /// has a warning.
    ///
    /// # Errors
    /// [`ErrorKind::Rollback`](crate::ErrorKind::Rollback) or `WrongProduct` if the release may not follow the active one,
    /// `Policy`, `Busy`, `NoSpace` (before the first byte where it can be known), `Integrity`, `NotFound`,
    /// `Network`, `Unauthorized`, `Unhealthy`, `Cancelled`, `Io`.
    ///
    /// # Cancel safety
    /// Dropping the future is the same as cancelling: the work goes on as a task of its own until it has written down
    /// what it has, and then frees the lock; until then, who comes next is told `Busy`. Only a release whose health probe
    /// has not answered yet stays active, on trial: the next call with a probe asks. If the runtime is shut down
    /// right away, as at the end of `main`, up to 4 MiB for each file under way come again next time.
    pub async fn apply(
        &self,
        trusted: &TrustedManifest,
        cancel: &CancellationToken,
    ) -> Result<Report, Error> {
        let updater = self.begin().or_mirrors(trusted.mirror().cloned());
        let target = trusted.manifest().clone();
        let caller = cancel.clone();
        let work = |stop| async move { updater.make_active(&target, &stop, &caller).await };
        to_its_end(cancel, work).await
    }

    /// `cancel` is cancelled by `caller` and when the caller has gone away.
    async fn make_active(
        &self,
        target: &Manifest,
        cancel: &CancellationToken,
        caller: &CancellationToken,
    ) -> Result<Report, Error> {
        let started = Instant::now();
        for warning in target.warnings() {
            self.notify(&Event::Warning(warning.clone()));
        }
        self.phase(Phase::Planning);
        let session = {
            let (updater, target) = (self.clone(), target.clone());
            blocking(move || {
                updater.check_hosts(&target)?;
                updater.lock_or_create()
            })
            .await?
        };
        self.finish_falling_back(&session).await?;
        let prepared = {
            let (updater, target, cancel) = (self.clone(), target.clone(), cancel.clone());
            let session = session.clone();
            blocking(move || updater.prepare(session, &target, &cancel)).await?
        };
        let done = match prepared {
            Prepared::UpToDate { session, active } => {
                self.reprove(session, active, cancel, caller).await
            }
            Prepared::Installed { session, target } => {
                self.reactivate(session, target, cancel, caller).await
            }
            Prepared::Update(update) => self.install(target, *update, cancel, caller).await,
        };
        let mismatch = self.archive_mismatch(target, cancel).await;
        let mut report = match (done, mismatch) {
            (Ok(report), Some(text)) => {
                self.notify(&Event::Warning(text.clone()));
                report.with_warning(text)
            }
            (Err(error), Some(text)) => return Err(error.if_of_source(&text)),
            (done, None) => done?,
        };
        report.bytes_from_archive = self.settings().archive.count();
        self.note_mirrors(session).await?;
        report.duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        report
            .warnings
            .splice(0..0, target.warnings().iter().cloned());
        Ok(report)
    }

    /// Compares, checks that the release may follow the active one and that there is room.
    fn prepare(
        &self,
        session: Session,
        target: &Manifest,
        cancel: &CancellationToken,
    ) -> Result<Prepared, Error> {
        self.check_failures(&session, target)?;
        let active = self.active_for(session.installation(), target)?;
        if let Some(active) = &active {
            self.check_direction(active, target)?;
            if is_same_release(active, target) {
                return Ok(Prepared::UpToDate {
                    session,
                    active: active.clone(),
                });
            }
        }
        // It was active before, or a crash came between its installation and the switch.
        let installed = session.installation().release(target.tool_version());
        if let Ok(Some(installed)) = installed
            && is_same_release(&installed, target)
        {
            let target = installed;
            return Ok(Prepared::Installed { session, target });
        }
        let carry = match &active {
            Some(active) => plan_carry(session.installation(), active, target)?,
            None => CarryPlan::default(),
        };
        let installed = active
            .as_ref()
            .map_or(&[][..], |active| active.manifest().files());
        let delta = Delta::between(installed, target.files());
        let plan = Plan::new(active.as_ref(), target, &delta, &carry);
        self.notify(&Event::Planned(plan.clone()));

        let staging = session
            .stage(target, &self.hashing(cancel))
            .during(|| format!("cannot prepare release {}", target.tool_version()))?;
        let (wanted, resumed) = self.missing(&staging, &delta)?;
        let reuses = delta.reuses().iter().map(|reuse| reuse.target);
        let to_hash = reuses.filter(|file| !staging.has(file.path()));
        let progress = &self.settings().observer;
        progress.expect_hashing(to_hash.map(FileEntry::size).sum());
        let partials = session
            .partials()
            .during(|| "cannot use the folder for partial files".into())?;
        let store = PartialStore::open(partials)
            .during(|| "cannot use the folder for partial files".into())?;
        let mut needed: HashSet<Sha256Digest> =
            target.files().iter().map(FileEntry::sha256).collect();
        for staged in target
            .files()
            .iter()
            .filter(|file| staging.has(file.path()))
        {
            needed.remove(&staged.sha256());
        }
        store
            .clear_except(&needed)
            .during(|| "cannot clear old partial files".into())?;
        self.check_space(&session, &delta, &wanted, &staging, &carry, &store)?;
        Ok(Prepared::Update(Box::new(Update {
            session,
            active,
            staging: Arc::new(staging),
            wanted,
            resumed,
            plan,
        })))
    }

    /// The downloads that an interrupted run has not finished, and the bytes of those that it has. A content
    /// that it left at one of several places is brought to the others here.
    fn missing(&self, staging: &Staging, delta: &Delta<'_>) -> Result<(Vec<Wanted>, u64), Error> {
        let (mut wanted, mut resumed) = (Vec::new(), 0);
        for download in delta.downloads() {
            let targets = || download.targets.iter().map(|target| target.entry);
            let (here, missing): (Vec<_>, Vec<_>) =
                targets().partition(|entry| staging.has(entry.path()));
            let Some(first) = here.first() else {
                wanted.push(Wanted {
                    sha256: download.sha256,
                    size: download.size,
                    targets: targets().cloned().collect(),
                });
                continue;
            };
            staging
                .spread(first, &missing)
                .during(|| format!("cannot stage {:?}", first.path()))?;
            resumed += download.size;
            self.notify(&Event::DownloadAdvanced {
                path: first.path().clone(),
                received: 0,
                resumed: download.size,
            });
            self.notify(&Event::DownloadFinished {
                path: first.path().clone(),
                source: None,
                retries: 0,
            });
        }
        Ok((wanted, resumed))
    }

    /// The wanted release is the active one already: hashes all of it, and mends what is damaged.
    async fn reprove(
        &self,
        session: Session,
        active: InstalledRelease,
        cancel: &CancellationToken,
        caller: &CancellationToken,
    ) -> Result<Report, Error> {
        let mended = self.mend(&session, &active, cancel).await?;
        self.stand_trial(&session, &active, cancel, caller).await?;
        let unjudged = self.warn_of_trial(session).await?;
        let version = Some(active.version().clone());
        let mut report = Report::of_installed(&active, version, mended.intact, mended.transferred);
        if !mended.repaired.is_empty() {
            report.warnings.push(format!(
                "{} installed files were damaged and were replaced",
                mended.repaired.len()
            ));
        }
        report.warnings.extend(unjudged);
        Ok(report)
    }

    /// The wanted release is installed, but another one is active: proves it, and switches.
    async fn reactivate(
        &self,
        session: Session,
        target: InstalledRelease,
        cancel: &CancellationToken,
        caller: &CancellationToken,
    ) -> Result<Report, Error> {
        let from = session.installation().active_version().unwrap_or_default();
        {
            let (updater, session, target) = (self.clone(), session.clone(), target.clone());
            blocking(move || updater.begin_trial(&session, target.manifest())).await?;
        }
        let (activation, transferred) = self
            .switch(&session, target.clone(), HistoryEvent::Activated, cancel)
            .await?;
        self.stand_trial(&session, &target, cancel, caller).await?;
        let retired = self.clean_up(&session).await?;
        let reused = target.manifest().files().len() as u64;
        let mut report = Report::of_installed(&target, from, reused, transferred);
        report.carried = activation.carried.carried.len() as u64;
        report.deleted = activation.carried.deleted.len() as u64;
        report.pending_deletions = activation.carried.pending.len() as u64;
        report.removed_releases = retired
            .iter()
            .map(|release| release.version.clone())
            .collect();
        report.kept = activation.kept;
        report
            .kept
            .extend(retired.into_iter().flat_map(|release| release.kept));
        Ok(report)
    }

    /// Where the release came from, for repairs; also by the run after one that was stopped too early.
    async fn note_mirrors(&self, session: Session) -> Result<(), Error> {
        let mirrors: Vec<String> = self.settings().mirrors.iter().map(Url::to_string).collect();
        if mirrors.is_empty() {
            return Ok(());
        }
        let updater = self.clone();
        blocking(move || {
            if let Err(error) = session.remember_mirrors(&mirrors) {
                updater.notify(&Event::Warning(format!("{error:#}")));
            }
            Ok(())
        })
        .await
    }

    /// The release is active: failing to clean up is a warning, and the next run tries again.
    pub(crate) async fn clean_up(&self, session: &Session) -> Result<Vec<Retired>, Error> {
        self.phase(Phase::CleaningUp);
        let (updater, session) = (self.clone(), session.clone());
        blocking(move || {
            let settings = updater.settings();
            let retired = session.retain(settings.keep_previous, (settings.clock)());
            Ok(retired.unwrap_or_else(|error| {
                let text = format!("old releases could not be deleted: {error:#}");
                updater.notify(&Event::Warning(text));
                Vec::new()
            }))
        })
        .await
    }
}

enum Prepared {
    UpToDate {
        session: Session,
        active: InstalledRelease,
    },
    Installed {
        session: Session,
        target: InstalledRelease,
    },
    Update(Box<Update>),
}

pub(crate) fn plan_carry(
    installation: &Installation,
    active: &InstalledRelease,
    target: &Manifest,
) -> Result<CarryPlan, Error> {
    installation
        .plan_carry(active, target)
        .during(|| "cannot look through the active release".into())
}
