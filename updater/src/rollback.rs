use activation::{Activation, Event as HistoryEvent, InstalledRelease, Session};
use manifest_core::ReleaseVersion;
use tokio_util::sync::CancellationToken;

use crate::blocking::{blocking, to_its_end};
use crate::error::During as _;
use crate::report::RollbackReport;
use crate::transfer::Transferred;
use crate::{Error, ErrorKind, Phase, Updater};

impl Updater {
    /// Goes back to a release that is still installed: the given one, or the one that was active
    /// before. Every byte of it is verified first; what is damaged is fetched again, if a source has it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is none to go back to, [`ErrorKind::Damaged`] if it is not intact
    /// and could not be repaired (the active release stays), `Busy`, `Cancelled`, `NoSpace`, `Io`.
    ///
    /// # Cancel safety
    /// As [`apply`](Self::apply).
    pub async fn rollback(
        &self,
        to: Option<ReleaseVersion>,
        cancel: &CancellationToken,
    ) -> Result<RollbackReport, Error> {
        let updater = self.begin();
        let work = |stop| async move {
            let locking = updater.clone();
            let (session, from_version, target) =
                blocking(move || locking.rollback_target(to)).await?;
            let updater = updater.with_known_mirrors(session.installation());
            let (activation, repaired) = updater
                .switch(&session, target, HistoryEvent::RolledBack, &stop)
                .await?;
            let manifest = activation.release.manifest();
            Ok(RollbackReport {
                from_version,
                to_version: activation.release.version().clone(),
                manifest_hash: manifest.manifest_hash(),
                verified: manifest.files().len() as u64,
                repaired: repaired.contents,
                bytes_downloaded: repaired.bytes,
                carried: activation.carried.carried.len() as u64,
                kept: activation.kept,
            })
        };
        to_its_end(cancel, work).await
    }

    fn rollback_target(
        &self,
        to: Option<ReleaseVersion>,
    ) -> Result<(Session, Option<ReleaseVersion>, InstalledRelease), Error> {
        let session = self.lock()?;
        let installation = session.installation();
        let during = || "cannot roll back".to_owned();
        let from = installation.active_version().during(during)?;
        let to = match to {
            Some(version) => version,
            None => installation
                .previous_version()
                .during(during)?
                .ok_or_else(|| {
                    let text = "no release from before the active one is installed";
                    Error::new(ErrorKind::NotFound, text)
                })?,
        };
        let target = installation.release(&to).during(during)?.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("release {to} is not installed"),
            )
        })?;
        Ok((session, from, target))
    }

    /// Makes a release active that is installed already, after proving and, where needed, mending it.
    /// The active release stays if that fails.
    pub(crate) async fn switch(
        &self,
        session: &Session,
        target: InstalledRelease,
        event: HistoryEvent,
        cancel: &CancellationToken,
    ) -> Result<(Activation, Transferred), Error> {
        let version = target.version().clone();
        let mended = self.mend(session, &target, cancel).await.map_err(|error| {
            match error.kind() {
                ErrorKind::Cancelled
                | ErrorKind::NoSpace
                | ErrorKind::PermissionDenied
                | ErrorKind::Io => error,
                _ => Error::new(
                    ErrorKind::Damaged,
                    format!("release {version} is damaged and could not be repaired; the active release stays"),
                )
                .with_source(error),
            }
        })?;
        let (updater, session) = (self.clone(), session.clone());
        let now = (self.settings().clock)();
        let activation = blocking(move || {
            updater.phase(Phase::Activating);
            let activated = session.switch_to(&target, &mended.verification, event, now);
            activated.during(|| format!("cannot activate release {}", target.version()))
        })
        .await?;
        Ok((activation, mended.transferred))
    }
}
