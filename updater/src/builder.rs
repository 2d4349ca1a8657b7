use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use activation::CurrentLink;
use downloader::{Downloader, Fetcher, HostPolicy, RedirectPolicy, RetryPolicy, StallPolicy};
use durable_fs::{Disk, LinkPolicy};
use manifest_core::Limits;
use url::Url;

use crate::archive::Archive;
use crate::event::Silent;
use crate::health::Health;
use crate::progress::Tracker;
use crate::sources::shown;
use crate::{Error, HealthProbe, Observer, Updater, UrlProbe};

/// What to do if the wanted release is older than the active one, or is the same version with other
/// content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Downgrade {
    /// Refuse with [`ErrorKind::Rollback`](crate::ErrorKind::Rollback).
    #[default]
    Refuse,
    /// Install it.
    Allow,
}

/// What to do if the wanted release was active before and did not work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailedReleases {
    /// Refuse with [`ErrorKind::Unhealthy`](crate::ErrorKind::Unhealthy).
    #[default]
    Refuse,
    /// Forget it, and try the release again.
    Retry,
}

/// Builds an [`Updater`]. Everything but the root has a default that is right for most programs.
///
/// ```
/// use updater::{Downgrade, HostPolicy, LinkPolicy, Updater};
///
/// let updater = Updater::builder("/srv/tools/sketcher")
///     .with_hosts(HostPolicy::only(["hq.example"]))
///     .with_downgrade(Downgrade::Allow) // HQ's word is final, also if it names an older release
///     .with_link_policy(LinkPolicy::Independent) // the tool writes into its own files
///     .with_keep_previous(2)
///     .build()?;
/// # Ok::<(), updater::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct UpdaterBuilder {
    pub(crate) root: PathBuf,
    pub(crate) disk: Disk,
    pub(crate) downloader: Option<Arc<dyn Downloader>>,
    pub(crate) mirrors: Vec<Url>,
    pub(crate) archive: Archive,
    pub(crate) hosts: HostPolicy,
    redirects: RedirectPolicy,
    pub(crate) retry: RetryPolicy,
    pub(crate) stall: StallPolicy,
    pub(crate) observer: Arc<Tracker>,
    pub(crate) limits: Limits,
    pub(crate) downgrade: Downgrade,
    pub(crate) health: Option<Health>,
    health_url: Option<(Url, Duration)>,
    pub(crate) failed_releases: FailedReleases,
    pub(crate) link_policy: LinkPolicy,
    pub(crate) current_link: CurrentLink,
    pub(crate) keep_previous: usize,
    pub(crate) parallel_downloads: NonZeroUsize,
    pub(crate) clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

impl UpdaterBuilder {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self {
            root,
            disk: Disk::real(),
            downloader: None,
            mirrors: Vec::new(),
            archive: Archive::default(),
            hosts: HostPolicy::any(),
            redirects: RedirectPolicy::default(),
            retry: RetryPolicy::default(),
            stall: StallPolicy::default(),
            observer: Tracker::new(Arc::new(Silent)),
            limits: Limits::default(),
            downgrade: Downgrade::default(),
            health: None,
            health_url: None,
            failed_releases: FailedReleases::default(),
            link_policy: LinkPolicy::Share,
            current_link: CurrentLink::default(),
            keep_previous: 1,
            parallel_downloads: NonZeroUsize::new(8).expect("eight is not zero"),
            clock: Arc::new(SystemTime::now),
        }
    }

    /// How bytes get here. Default: HTTP(S) with the feature `http`, and `file:` URLs.
    pub fn with_downloader(mut self, downloader: Arc<dyn Downloader>) -> Self {
        self.downloader = Some(downloader);
        self
    }

    /// Bases of mirrors, tried in this order for every file before the manifest's own URLs, also in the
    /// middle of a file: `https://mirror.example/api/v1/tools/`.
    pub fn with_mirrors(mut self, bases: impl IntoIterator<Item = Url>) -> Self {
        self.mirrors = bases.into_iter().collect();
        self
    }

    /// Which hosts may be asked. A manifest with a URL of another host is refused before anything is
    /// fetched. Default: any.
    pub fn with_hosts(mut self, hosts: HostPolicy) -> Self {
        self.hosts = hosts;
        self
    }

    /// Where the default downloader may be redirected. Default: within a host.
    pub fn with_redirects(mut self, redirects: RedirectPolicy) -> Self {
        self.redirects = redirects;
        self
    }

    /// How often and when a source is asked again for a file. A manifest is asked for at most three times; who wants to
    /// wait longer for it calls again, as long as [`Error::is_temporary`](crate::Error::is_temporary).
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// How slow a source may be. Default: 1 KiB/s, averaged over 30 s of waiting. There is no limit on the time of a whole download.
    pub fn with_stall(mut self, stall: StallPolicy) -> Self {
        self.stall = stall;
        self
    }

    /// Who hears of progress.
    pub fn with_observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Tracker::new(Arc::new(observer));
        self
    }

    /// Bounds on manifests.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Whether an older release, or the same version with other content, may be installed.
    pub fn with_downgrade(mut self, downgrade: Downgrade) -> Self {
        self.downgrade = downgrade;
        self
    }

    /// Who says whether a release works that has just become active, and how long that may take. If it says no,
    /// or nothing in time, the release before is made active again and this one is not tried again by itself.
    /// Cancelling before the answer makes the release before active again, too; then this one is tried again next time.
    /// Default: nobody.
    pub fn with_health_probe(
        mut self,
        probe: impl HealthProbe + 'static,
        deadline: Duration,
    ) -> Self {
        let probe = Arc::new(probe);
        self.health = Some(Health { probe, deadline });
        self
    }

    /// As [`with_health_probe`](Self::with_health_probe), with a [`UrlProbe`](crate::UrlProbe) that uses the updater's own
    /// downloader: the release works when the URL answers with success.
    pub fn with_health_url(mut self, url: Url, deadline: Duration) -> Self {
        self.health_url = Some((url, deadline));
        self
    }

    /// Whether a release that did not work may be tried again.
    pub fn with_failed_releases(mut self, failed: FailedReleases) -> Self {
        self.failed_releases = failed;
        self
    }

    /// How unchanged files come into the next release. Default: [`LinkPolicy::Share`], which copies
    /// nothing; [`LinkPolicy::Independent`] where programs write into their own files in place.
    pub fn with_link_policy(mut self, policy: LinkPolicy) -> Self {
        self.link_policy = policy;
        self
    }

    /// Whether the root gets a symbolic link `current` beside `current.txt`.
    pub fn with_current_link(mut self, link: CurrentLink) -> Self {
        self.current_link = link;
        self
    }

    /// How many releases are kept for rollback beside the active one. Default: 1.
    pub fn with_keep_previous(mut self, releases: usize) -> Self {
        self.keep_previous = releases;
        self
    }

    /// How many files are fetched at a time, the largest first. Default: 8.
    pub fn with_parallel_downloads(mut self, downloads: NonZeroUsize) -> Self {
        self.parallel_downloads = downloads;
        self
    }

    /// The disk to work on: for tests that watch it or make it fail.
    pub fn with_disk(mut self, disk: Disk) -> Self {
        self.disk = disk;
        self
    }

    /// What time it is, for the history.
    pub fn with_clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The updater. Nothing is read or created yet.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if there is no downloader, or if TLS
    /// cannot be set up; `Policy` if a ZIP's URL cannot be one.
    pub fn build(mut self) -> Result<Updater, Error> {
        let downloader = match self.downloader.take() {
            Some(downloader) => downloader,
            None => default_downloader(&self.hosts, &self.redirects)?,
        };
        if let Some((url, deadline)) = self.health_url.take() {
            let probe = Arc::new(UrlProbe::new(url, downloader.clone()));
            self.health = Some(Health { probe, deadline });
        }
        let downloader = self.archive.open(downloader, self.stall)?;
        let fetcher = Fetcher::new(downloader)
            .with_retry(self.retry)
            .with_stall(self.stall);
        Ok(Updater::new(self, fetcher))
    }
}

#[cfg(feature = "http")]
fn default_downloader(
    hosts: &HostPolicy,
    redirects: &RedirectPolicy,
) -> Result<Arc<dyn Downloader>, Error> {
    use downloader::{FileDownloader, HttpConfig, HttpDownloader, SchemeRouter};

    let config = HttpConfig::new()
        .with_hosts(hosts.clone())
        .with_redirects(redirects.clone());
    let http = HttpDownloader::new(config).map_err(|error| {
        Error::new(crate::ErrorKind::Configuration, "cannot set up HTTP").with_source(error)
    })?;
    let http: Arc<dyn Downloader> = Arc::new(http);
    Ok(Arc::new(
        SchemeRouter::new()
            .with_scheme("http", http.clone())
            .with_scheme("https", http)
            .with_scheme("file", Arc::new(FileDownloader::new())),
    ))
}

#[cfg(not(feature = "http"))]
fn default_downloader(_: &HostPolicy, _: &RedirectPolicy) -> Result<Arc<dyn Downloader>, Error> {
    let text = "no downloader was given, and this program was built without the feature `http`";
    Err(Error::new(crate::ErrorKind::Configuration, text))
}

impl fmt::Debug for UpdaterBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("UpdaterBuilder")
            .field("root", &self.root)
            .field(
                "mirrors",
                &self.mirrors.iter().map(shown).collect::<Vec<_>>(),
            )
            .finish_non_exhaustive()
    }
}
