use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use activation::{HistoryEntry, Installation, InstalledRelease, PrunePlan, Session};
use downloader::Fetcher;
use eligibility::{Eligibility, Installed, Required};
use manifest_core::Manifest;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::blocking::{Hashing, blocking};
use crate::error::During as _;
use crate::report::{ActiveStatus, PruneReport, Status, VerifyReport};
use crate::{Error, ErrorKind, Event, Observer as _, Phase, UpdaterBuilder};

/// Keeps the installation in one folder on exactly one release.
///
/// Every operation that changes something takes the installation's lock, mends what a crash left, and
/// may be stopped anywhere: by the token, by dropping the future, by a power cut. The active release is
/// then the old one or the new one, whole, and running the operation again goes on from there.
///
/// Cloning is cheap. The methods need a tokio runtime.
///
/// ```
/// use updater::{Error, Updater};
///
/// /// What a program says about the tool that it keeps up to date.
/// async fn describe(updater: &Updater) -> Result<String, Error> {
///     Ok(match updater.status().await?.active {
///         Some(active) => format!("{} {} in {}", active.tool_id, active.version, active.folder.display()),
///         None => format!("nothing is installed in {}", updater.root().display()),
///     })
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let updater = Updater::builder("/no/such/folder").build()?;
/// assert_eq!(describe(&updater).await?, "nothing is installed in /no/such/folder");
/// # Ok(())
/// # }
/// ```
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

    /// For one operation: its progress begins at nothing.
    pub(crate) fn begin(&self) -> Self {
        let mut settings = self.settings().clone();
        settings.observer = settings.observer.afresh();
        Self::new(settings, self.fetcher().clone())
    }

    /// The same operation with these mirrors, unless others were given.
    pub(crate) fn or_mirrors(&self, bases: impl IntoIterator<Item = Url>) -> Self {
        if !self.settings().mirrors.is_empty() {
            return self.clone();
        }
        let hosts = &self.settings().hosts;
        let bases = bases.into_iter().filter(|base| hosts.check(base).is_ok());
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
    ///
    /// # Cancel safety
    /// Nothing is changed, so the future may be dropped at any time.
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
            let on_trial = installation.trial().during(during)?.is_some();
            let active = installation
                .active()
                .during(during)?
                .map(|release| ActiveStatus {
                    tool_id: release.manifest().tool_id().clone(),
                    version: release.version().clone(),
                    manifest_hash: release.manifest().manifest_hash(),
                    folder: release.dir().path().to_path_buf(),
                    files: release.manifest().files().len(),
                    bytes: release.manifest().total_size(),
                    on_trial,
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
    ///
    /// # Cancel safety
    /// Nothing is changed, so the future may be dropped at any time.
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

    /// Whether this worker may take network jobs when HQ requires a release. Which release is active is what counts, not
    /// whether it works: one on trial ([`ActiveStatus::on_trial`](crate::ActiveStatus::on_trial)) is eligible. Reads only.
    ///
    /// Who knows the required hash, but not the version, asks
    /// `status().await?.active.is_some_and(|active| active.manifest_hash == hash)`: the hash covers the version.
    ///
    /// # Errors
    /// As [`status`](Self::status). A `current.txt` that names nothing usable counts as nothing
    /// installed; the answer's reasons say what is wrong with it.
    ///
    /// # Cancel safety
    /// Nothing is changed, so the future may be dropped at any time.
    pub async fn eligibility(&self, required: &Required) -> Result<Eligibility, Error> {
        let status = match self.status().await {
            Err(error) if error.kind() == ErrorKind::NoInstallation => {
                return Ok(Eligibility::unusable(format!("{error:#}")));
            }
            status => status?,
        };
        if status.active.is_none() && !status.releases.is_empty() {
            let root = self.root().display();
            let why = format!(
                "releases are installed in {root}, but no current.txt says which is active"
            );
            return Ok(Eligibility::unusable(why));
        }
        let installed = status.active.map(|active| Installed {
            version: active.version,
            manifest_hash: active.manifest_hash,
        });
        Ok(eligibility::assess(installed.as_ref(), required))
    }

    /// What was done to the installation, the oldest first. Reads only.
    ///
    /// # Errors
    /// `Io`. A folder that is missing has no history.
    ///
    /// # Cancel safety
    /// Nothing is changed, so the future may be dropped at any time.
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
    ///
    /// # Cancel safety
    /// Dropping the future stops the hashing within one piece of a file.
    pub async fn verify(&self, cancel: &CancellationToken) -> Result<VerifyReport, Error> {
        let stop = cancel.child_token();
        let _gone = stop.clone().drop_guard();
        let updater = self.begin();
        blocking(move || {
            let watch = updater.hashing(&stop);
            let installation = updater
                .installation()?
                .ok_or_else(|| updater.nothing_installed())?;
            let active = updater.active(&installation)?;
            updater.phase(Phase::Verifying);
            let to_hash = active.manifest().total_size();
            updater.settings().observer.expect_hashing(to_hash);
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

    /// What [`prune`](Self::prune) would do. Reads only, and needs no lock.
    ///
    /// # Errors
    /// [`ErrorKind::NoInstallation`], `Manifest`, `Io`.
    ///
    /// # Cancel safety
    /// Nothing is changed, so the future may be dropped at any time.
    pub async fn plan_prune(&self) -> Result<PrunePlan, Error> {
        let updater = self.clone();
        blocking(move || {
            let installation = updater
                .installation()?
                .ok_or_else(|| updater.nothing_installed())?;
            updater.active(&installation)?;
            installation
                .plan_prune(updater.settings().keep_previous)
                .during(|| "cannot tell what there is to prune".into())
        })
        .await
    }

    /// Deletes releases that are too old to keep, and what the delete policy of the active release
    /// leaves to be confirmed. Calling this is the confirmation.
    ///
    /// # Errors
    /// [`ErrorKind::NoInstallation`], `Busy`, `Io`.
    ///
    /// # Cancel safety
    /// Dropping the future does not stop it: it holds the lock until it is done.
    pub async fn prune(&self) -> Result<PruneReport, Error> {
        let updater = self.begin();
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
