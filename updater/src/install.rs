//! Puts a release together that is not installed yet, and makes it active.

use std::sync::Arc;

use activation::{Activation, InstalledRelease, Retired, ReuseItem, Session, Staging};
use delta_engine::Delta;
use manifest_core::{FileEntry, Manifest};
use tokio_util::sync::CancellationToken;

use crate::apply::plan_carry;
use crate::blocking::blocking;
use crate::error::During as _;
use crate::transfer::{Transferred, Wanted, by_content, into_staging};
use crate::{Error, ErrorKind, Event, Phase, Plan, Report, Updater};

impl Updater {
    pub(crate) async fn install(
        &self,
        target: &Manifest,
        update: Update,
        cancel: &CancellationToken,
        caller: &CancellationToken,
    ) -> Result<Report, Error> {
        self.phase(Phase::Transferring);
        let gathered = self.gather(target, &update, cancel).await?;
        if cancel.is_cancelled() {
            return Err(Error::cancelled());
        }
        // From here on it is quick, and stopping half-way would only mean more to do next time.
        let (updater, target) = (self.clone(), target.clone());
        let (session, plan, activation) = blocking(move || {
            let Update {
                session,
                active,
                staging,
                plan,
                ..
            } = update;
            let activation =
                updater.seal_and_activate(&session, staging, active.as_ref(), &target)?;
            Ok((session, plan, activation))
        })
        .await?;
        self.stand_trial(&session, &activation.release, cancel, caller)
            .await?;
        let retired = self.clean_up(&session).await?;
        Ok(report(plan, &gathered, activation, retired))
    }

    /// Fills the staged release: fetches what is missing while what is installed is brought over.
    async fn gather(
        &self,
        target: &Manifest,
        update: &Update,
        cancel: &CancellationToken,
    ) -> Result<Gathered, Error> {
        let partials = update.session.partials();
        let partials = partials.during(|| "cannot use the folder for partial files".into())?;
        let transfer = |wanted, cancel| {
            let place = into_staging(&update.staging);
            self.transfer(target, wanted, partials.clone(), place, cancel)
        };

        // If one of the two fails, the other is stopped, and waited for: nothing may write on.
        let stop = &cancel.child_token();
        let reuse = async {
            let reused = self.reuse(target, update.active.clone(), update.staging.clone(), stop);
            reused.await.inspect_err(|_| stop.cancel())
        };
        let fetch = async {
            let fetched = transfer(update.wanted.clone(), stop);
            fetched.await.inspect_err(|_| stop.cancel())
        };
        let (damaged, mut transferred) = match futures::join!(reuse, fetch) {
            (Ok(damaged), Ok(transferred)) => (damaged, transferred),
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => return Err(error),
            // One of the two is only the other's echo.
            (Err(reuse), Err(fetch)) if reuse.kind() == ErrorKind::Cancelled => return Err(fetch),
            (Err(reuse), Err(_)) => return Err(reuse),
        };
        transferred.resumed += update.resumed;
        let reused = update.plan.reused - damaged.len() as u64;
        let mut warnings = Vec::new();
        if !damaged.is_empty() {
            let text = format!(
                "{} installed files were damaged and were fetched instead of reused",
                damaged.len()
            );
            self.notify(&Event::Warning(text.clone()));
            warnings.push(text);
            let wanted = by_content(damaged);
            self.expect(&wanted);
            transferred += transfer(wanted, cancel).await?;
        }
        Ok(Gathered {
            transferred,
            reused,
            warnings,
        })
    }

    /// Brings over what is installed. Returns the files whose source was not right.
    async fn reuse(
        &self,
        target: &Manifest,
        active: Option<InstalledRelease>,
        staging: Arc<Staging>,
        cancel: &CancellationToken,
    ) -> Result<Vec<FileEntry>, Error> {
        let Some(active) = active else {
            return Ok(Vec::new());
        };
        let (target, watch, policy) = (
            target.clone(),
            self.hashing(cancel),
            self.settings().link_policy,
        );
        blocking(move || {
            let delta = Delta::between(active.manifest().files(), target.files());
            let items = delta
                .reuses()
                .iter()
                .filter(|reuse| !staging.has(reuse.target.path()))
                .map(|reuse| ReuseItem {
                    source: reuse.source,
                    target: reuse.target,
                });
            let reused = staging
                .reuse(&active, items, policy, &watch)
                .during(|| "cannot reuse the installed files".into())?;
            Ok(reused.damaged.into_iter().cloned().collect())
        })
        .await
    }

    fn seal_and_activate(
        &self,
        session: &Session,
        staging: Arc<Staging>,
        active: Option<&InstalledRelease>,
        target: &Manifest,
    ) -> Result<Activation, Error> {
        let version = target.tool_version();
        let now = (self.settings().clock)();
        self.phase(Phase::Sealing);
        let staging = Arc::into_inner(staging).ok_or_else(|| {
            Error::new(
                ErrorKind::Io,
                "the staged release is still being written to",
            )
        })?;
        // Looked at again: the tool may have written files while the update ran.
        let carry = match active {
            Some(active) => Some((active, plan_carry(session.installation(), active, target)?)),
            None => None,
        };
        let sealed = staging
            .seal(carry)
            .during(|| format!("cannot complete release {version}"))?;
        self.phase(Phase::Activating);
        self.begin_trial(session, target)?;
        sealed
            .activate(self.settings().current_link, now)
            .during(|| format!("cannot activate release {version}"))
    }
}

/// An update that is prepared: everything is known, nothing is fetched.
pub(crate) struct Update {
    pub(crate) session: Session,
    pub(crate) active: Option<InstalledRelease>,
    pub(crate) staging: Arc<Staging>,
    pub(crate) wanted: Vec<Wanted>,
    /// Bytes of contents that an interrupted run staged.
    pub(crate) resumed: u64,
    pub(crate) plan: Plan,
}

/// What a staged release was filled with.
struct Gathered {
    transferred: Transferred,
    reused: u64,
    warnings: Vec<String>,
}

fn report(
    plan: Plan,
    gathered: &Gathered,
    activation: Activation,
    retired: Vec<Retired>,
) -> Report {
    let manifest = activation.release.manifest();
    let carried = &activation.carried;
    let mut warnings = gathered.warnings.clone();
    warnings.extend(carried.shadowed.iter().map(|path| {
        format!("{path:?} is yours, but the release needs the name; your file is kept aside")
    }));
    warnings.extend(
        carried
            .skipped
            .iter()
            .map(|path| format!("{path:?} is no file, folder or link and was not carried over")),
    );
    Report {
        tool_id: plan.tool_id,
        from_version: plan.from_version,
        to_version: plan.to_version,
        manifest_hash: manifest.manifest_hash(),
        required_manifest_hash: plan.manifest_hash,
        downloaded: gathered.transferred.contents,
        reused: gathered.reused,
        verified: manifest.files().len() as u64,
        deleted: carried.deleted.len() as u64,
        carried: carried.carried.len() as u64,
        pending_deletions: carried.pending.len() as u64,
        bytes_downloaded: gathered.transferred.bytes,
        bytes_from_archive: 0,
        bytes_resumed: gathered.transferred.resumed,
        bytes_saved: plan.bytes_total.saturating_sub(gathered.transferred.bytes),
        bytes_total: plan.bytes_total,
        removed_releases: retired
            .iter()
            .map(|release| release.version.clone())
            .collect(),
        kept: retired
            .into_iter()
            .flat_map(|release| release.kept)
            .chain(activation.kept)
            .collect(),
        warnings,
        duration_ms: 0,
    }
}
