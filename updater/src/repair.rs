use std::sync::{Arc, Mutex, PoisonError};

use activation::{Finding, InstalledRelease, Problem, Session, Verification};
use manifest_core::FileEntry;
use tokio_util::sync::CancellationToken;

use crate::blocking::{blocking, to_its_end};
use crate::error::During as _;
use crate::report::RepairReport;
use crate::transfer::{Transferred, by_content};
use crate::{Error, ErrorKind, Phase, Updater};

impl Updater {
    /// Hashes every file of the active release, and replaces what is damaged: only that is fetched.
    /// What stands in a file's place and is not ours is moved to `.lockstep/kept/`.
    ///
    /// # Errors
    /// [`ErrorKind::NoInstallation`](crate::ErrorKind::NoInstallation), `Manifest` if the release's own
    /// manifest is damaged (installing the release again mends that), `Busy`, `Network`, `Unauthorized`, `Integrity`,
    /// `NoSpace`, `PermissionDenied` (also if a file may not be read after it was replaced), `Cancelled`, `Io`.
    /// What was repaired by then stays repaired.
    ///
    /// # Cancel safety
    /// As [`apply`](Self::apply). A file is the damaged one or the right one.
    pub async fn repair(&self, cancel: &CancellationToken) -> Result<RepairReport, Error> {
        let updater = self.begin();
        let work = |stop| async move { updater.repair_active(&stop).await };
        to_its_end(cancel, work).await
    }

    pub(crate) async fn repair_active(
        &self,
        cancel: &CancellationToken,
    ) -> Result<RepairReport, Error> {
        let locking = self.clone();
        let (session, active) = blocking(move || {
            let session = locking.lock()?;
            let active = locking.active(session.installation())?;
            locking.check_hosts(active.manifest())?;
            Ok((session, active))
        })
        .await?;
        let updater = self.with_known_mirrors(session.installation());
        let mended = updater.mend(&session, &active, cancel).await?;
        Ok(RepairReport {
            version: active.version().clone(),
            manifest_hash: active.manifest().manifest_hash(),
            repaired: mended.repaired,
            intact: mended.intact,
            downloaded: mended.transferred.contents,
            bytes_downloaded: mended.transferred.bytes,
        })
    }

    /// Hashes every file of a release, fetches what is damaged, and hashes that again where it is now.
    pub(crate) async fn mend(
        &self,
        session: &Session,
        release: &InstalledRelease,
        cancel: &CancellationToken,
    ) -> Result<Mended, Error> {
        let found = self.verify_release(release, None, cancel).await?;
        let intact = found.verified as u64;
        if found.is_intact() {
            return Ok(Mended {
                intact,
                repaired: Vec::new(),
                transferred: Transferred::default(),
                verification: found,
            });
        }
        let transferred = self
            .replace(session, release, &found.findings, cancel)
            .await?;
        let repaired = found.findings.clone();
        let verification = self.verify_release(release, Some(found), cancel).await?;
        if let Some(finding) = verification.findings.first() {
            let (kind, what) = match finding.problem {
                Problem::NotPermitted(_) => (ErrorKind::PermissionDenied, "was replaced, and"),
                _ => (ErrorKind::Damaged, "is still damaged after its repair:"),
            };
            let text = format!("{:?} {what} {}", finding.path, finding.problem);
            return Err(Error::new(kind, text));
        }
        Ok(Mended {
            intact,
            repaired,
            transferred,
            verification,
        })
    }

    async fn verify_release(
        &self,
        release: &InstalledRelease,
        earlier: Option<Verification>,
        cancel: &CancellationToken,
    ) -> Result<Verification, Error> {
        self.phase(Phase::Verifying);
        let to_hash = match &earlier {
            Some(earlier) => {
                let damaged = earlier.findings.iter();
                let damaged =
                    damaged.filter_map(|found| release.manifest().file(found.path.as_str()));
                damaged.map(FileEntry::size).sum()
            }
            None => release.manifest().total_size(),
        };
        self.settings().observer.expect_hashing(to_hash);
        let (release, watch) = (release.clone(), self.hashing(cancel));
        blocking(move || {
            let verified = match &earlier {
                Some(earlier) => release.verify_again(earlier, &watch),
                None => release.verify(&watch),
            };
            verified.during(|| format!("cannot verify release {}", release.version()))
        })
        .await
    }

    async fn replace(
        &self,
        session: &Session,
        active: &InstalledRelease,
        findings: &[Finding],
        cancel: &CancellationToken,
    ) -> Result<Transferred, Error> {
        let manifest = active.manifest();
        let entries = |mode: bool| {
            let chosen = findings
                .iter()
                .filter(move |finding| (finding.problem == Problem::WrongMode) == mode);
            chosen.filter_map(|finding| manifest.file(finding.path.as_str()).cloned())
        };
        let wrong_modes: Vec<FileEntry> = entries(true).collect();
        let wanted = by_content(entries(false));

        self.phase(Phase::Transferring);
        self.expect(&wanted);
        let partials = session
            .partials()
            .during(|| "cannot use the folder for partial files".into())?;
        let place = {
            let (session, active) = (session.clone(), active.clone());
            let turn = Arc::new(Mutex::new(()));
            move |from: &durable_fs::Dir, name: &str, targets: &[&FileEntry]| {
                let during = || format!("cannot repair {:?}", targets[0].path());
                // One at a time: what one moves out of the way may be on the way of another.
                let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
                session
                    .repair_files(&active, targets, from, name)
                    .during(during)
            }
        };
        let transferred = self
            .transfer(manifest, wanted, partials, place, cancel)
            .await?;

        self.phase(Phase::Sealing);
        let (session, active, now, count) = (
            session.clone(),
            active.clone(),
            (self.settings().clock)(),
            findings.len(),
        );
        blocking(move || {
            for file in &wrong_modes {
                session
                    .repair_mode(&active, file)
                    .during(|| format!("cannot repair the mode of {:?}", file.path()))?;
            }
            session
                .finish_repair(&active, count, now)
                .during(|| "cannot finish the repair".into())
        })
        .await?;
        Ok(transferred)
    }
}

/// A release that is intact now.
pub(crate) struct Mended {
    /// Files that were right from the start.
    pub(crate) intact: u64,
    /// What was wrong, and is right now.
    pub(crate) repaired: Vec<Finding>,
    pub(crate) transferred: Transferred,
    pub(crate) verification: Verification,
}
