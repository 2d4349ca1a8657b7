use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use activation::{HistoryEntry, Installation, InstalledRelease, Session};
use downloader::Fetcher;
use eligibility::{Eligibility, Installed, Required};
use manifest_core::Manifest;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::blocking::{Hashing, blocking};
use crate::error::During as _;
use crate::report::{ActiveStatus, PruneReport, Status, VerifyReport};
use crate::{Error, ErrorKind, Event, Phase, UpdaterBuilder};

/// Keeps the installation in one folder on exactly one release.
///
/// Every operation that changes something takes the installation's lock, mends what a crash left, and
/// may be stopped anywhere: by the token, by dropping the future, by a power cut. The active release is
/// then the old one or the new one, whole, and running the operation again goes on from there.
///
/// Cloning is cheap. The methods need a tokio runtime.
#[derive(Clone)]
pub struct Updater {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) settings: UpdaterBuilder,
    pub(crate) fetcher: Fetcher,
}

impl Updater {
    /// Starts building an updater of the installation in `root`, which need not exist yet.
    pub fn builder(root: impl Into<PathBuf>) -> UpdaterBuilder {
        UpdaterBuilder::new(root.into())
    }

    pub(crate) fn new(settings: UpdaterBuilder, fetcher: Fetcher) -> Self {
        Self {
            inner: Arc::new(Inner { settings, fetcher }),
        }
    }

    /// The same updater with other mirrors, for when they are known only from the manifest; see
    /// [`UpdaterBuilder::with_mirrors`] and [`mirror_of`](crate::mirror_of). Connections are shared.
    #[must_use]
    pub fn with_mirrors(&self, bases: impl IntoIterator<Item = Url>) -> Self {
        let settings = self.settings().clone().with_mirrors(bases);
        Self::new(settings, self.fetcher().clone())
    }

    pub(crate) fn settings(&self) -> &UpdaterBuilder {
        &self.inner.settings
    }

    pub(crate) fn fetcher(&self) -> &Fetcher {
        &self.inner.fetcher
    }

    /// The root of the installation.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.settings().root
    }

    pub(crate) fn notify(&self, event: &Event) {
        self.settings().observer.notify(event);
    }

    pub(crate) fn phase(&self, phase: Phase) {
        self.notify(&Event::Phase(phase));
    }

    pub(crate) fn hashing(&self, cancel: &CancellationToken) -> Hashing {
        Hashing {
            observer: self.settings().observer.clone(),
            cancel: cancel.clone(),
        }
    }

    /// The installation, for reading; `None` if its folder does not exist.
    pub(crate) fn installation(&self) -> Result<Option<Installation>, Error> {
        match Installation::open(&self.settings().disk, self.root()) {
            Err(error) if error.kind() == activation::ErrorKind::NotFound => Ok(None),
            opened => opened
                .map(Some)
                .during(|| format!("cannot open {}", self.root().display())),
        }
    }

    /// Locks an installation that exists.
    pub(crate) fn lock(&self) -> Result<Session, Error> {
        let installation = self
            .installation()?
            .ok_or_else(|| self.nothing_installed())?;
        self.open_session(&installation)
    }

    /// Locks the installation, creating it if there is none.
    pub(crate) fn lock_or_create(&self) -> Result<Session, Error> {
        let installation = Installation::create(&self.settings().disk, self.root())
            .during(|| format!("cannot create {}", self.root().display()))?;
        self.open_session(&installation)
    }

    fn open_session(&self, installation: &Installation) -> Result<Session, Error> {
        let session = installation
            .lock()
            .during(|| format!("cannot change {}", self.root().display()))?;
        if let Some(version) = session.recovered() {
            let text = format!(
                "current.txt named no installed release; {version}, the newest intact one, is active now"
            );
            self.notify(&Event::Warning(text));
        }
        Ok(session)
    }

    pub(crate) fn nothing_installed(&self) -> Error {
        Error::new(
            ErrorKind::NoInstallation,
            format!("nothing is installed in {}", self.root().display()),
        )
    }

    /// The active release, or the error that there is none.
    pub(crate) fn active(&self, installation: &Installation) -> Result<InstalledRelease, Error> {
        let active = installation.active().during(|| {
            format!(
                "cannot read the active release in {}",
                self.root().display()
            )
        })?;
        active.ok_or_else(|| self.nothing_installed())
    }

    /// What is installed. Reads only, and needs no lock.
    ///
    /// # Errors
    /// [`ErrorKind::NoInstallation`] if `current.txt` names nothing usable, `Manifest`, `Io`. A folder
    /// that is missing or empty is no error.
    pub async fn status(&self) -> Result<Status, Error> {
        let updater = self.clone();
        blocking(move || {
            let Some(installation) = updater.installation()? else {
                return Ok(Status {
                    active: None,
                    previous: None,
                    releases: Vec::new(),
                    last_event: None,
                });
            };
            let during = || format!("cannot read {}", updater.root().display());
            let active = installation
                .active()
                .during(during)?
                .map(|release| ActiveStatus {
                    tool_id: release.manifest().tool_id().clone(),
                    version: release.version().clone(),
                    manifest_hash: release.manifest().manifest_hash(),
                    files: release.manifest().files().len(),
                    bytes: release.manifest().total_size(),
                });
            Ok(Status {
                active,
                previous: installation.previous_version().during(during)?,
                releases: installation.releases().during(during)?,
                last_event: installation.history().during(during)?.pop(),
            })
        })
        .await
    }

    /// The manifest of the active release; `None` if nothing is installed. Reads only.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub async fn active_manifest(&self) -> Result<Option<Manifest>, Error> {
        let updater = self.clone();
        blocking(move || {
            let Some(installation) = updater.installation()? else {
                return Ok(None);
            };
            let active = installation
                .active()
                .during(|| format!("cannot read {}", updater.root().display()))?;
            Ok(active.map(|release| release.manifest().clone()))
        })
        .await
    }

    /// Whether this worker may take network jobs when HQ requires a release. Reads only.
    ///
    /// # Errors
    /// As [`status`](Self::status). A `current.txt` that names nothing usable counts as nothing
    /// installed.
    pub async fn eligibility(&self, required: &Required) -> Result<Eligibility, Error> {
        let active = match self.status().await {
            Err(error) if error.kind() == ErrorKind::NoInstallation => None,
            status => status?.active,
        };
        let installed = active.map(|active| Installed {
            version: active.version,
            manifest_hash: active.manifest_hash,
        });
        Ok(eligibility::assess(installed.as_ref(), required))
    }

    /// What was done to the installation, the oldest first. Reads only.
    ///
    /// # Errors
    /// `Io`. A folder that is missing has no history.
    pub async fn history(&self) -> Result<Vec<HistoryEntry>, Error> {
        let updater = self.clone();
        blocking(move || match updater.installation()? {
            Some(installation) => installation
                .history()
                .during(|| "cannot read the history".into()),
            None => Ok(Vec::new()),
        })
        .await
    }

    /// Hashes every file of the active release, one per core. Reads only, and needs no lock.
    ///
    /// # Errors
    /// [`ErrorKind::NoInstallation`], `Manifest`, `Cancelled`. Damaged files are no error, but in the
    /// report.
    pub async fn verify(&self, cancel: &CancellationToken) -> Result<VerifyReport, Error> {
        let stop = cancel.child_token();
        let _gone = stop.clone().drop_guard();
        let (updater, watch) = (self.clone(), self.hashing(&stop));
        blocking(move || {
            let installation = updater
                .installation()?
                .ok_or_else(|| updater.nothing_installed())?;
            let active = updater.active(&installation)?;
            updater.phase(Phase::Verifying);
            let verification = active
                .verify(&watch)
                .during(|| format!("cannot verify release {}", active.version()))?;
            Ok(VerifyReport {
                tool_id: active.manifest().tool_id().clone(),
                version: active.version().clone(),
                manifest_hash: active.manifest().manifest_hash(),
                verified: verification.verified as u64,
                findings: verification.findings,
            })
        })
        .await
    }

    /// Deletes releases that are too old to keep, and what the delete policy of the active release
    /// leaves to be confirmed. Calling this is the confirmation.
    ///
    /// # Errors
    /// [`ErrorKind::NoInstallation`], `Busy`, `Io`.
    pub async fn prune(&self) -> Result<PruneReport, Error> {
        let updater = self.clone();
        blocking(move || {
            let session = updater.lock()?;
            updater.active(session.installation())?;
            updater.phase(Phase::CleaningUp);
            let now = (updater.settings().clock)();
            let during = || "cannot prune".to_owned();
            let deleted = session.prune_active(now).during(during)?;
            let retired = session
                .retain(updater.settings().keep_previous, now)
                .during(during)?;
            Ok(PruneReport {
                removed_releases: retired
                    .iter()
                    .map(|release| release.version.clone())
                    .collect(),
                deleted,
                kept: retired
                    .into_iter()
                    .flat_map(|release| release.kept)
                    .collect(),
            })
        })
        .await
    }
}

impl fmt::Debug for Updater {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Updater")
            .field(&self.settings())
            .finish()
    }
}
