use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use downloader::{Downloader, Request};
use manifest_core::{ReleaseVersion, Sha256Digest};
use subprocess::{CancellationToken, Command, Failed, Until};
use url::Url;

/// How much of what a command says is shown when it fails.
const SHOWN_OUTPUT: usize = 2_000;
/// A command that prints more is not answering a question.
const MOST_OUTPUT: usize = 16 << 20;
/// How often a service that is still starting is asked.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// The release whose health is in question. It is the active one already.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Candidate {
    /// The root of the installation.
    pub root: PathBuf,
    /// The folder of the release.
    pub folder: PathBuf,
    /// Its version.
    pub version: ReleaseVersion,
    /// Its manifest's hash.
    pub manifest_hash: Sha256Digest,
}

/// Says whether a release that has just become active works.
///
/// It is asked once, with a deadline. If it says no, the release before is made active again, and this one is not
/// installed again by itself.
///
/// ```
/// use std::time::Duration;
///
/// use async_trait::async_trait;
/// use updater::{Candidate, HealthProbe, Unhealthy, Updater};
///
/// /// The tool's service is restarted, and has to say that it is ready.
/// #[derive(Debug)]
/// struct Restart;
///
/// #[async_trait]
/// impl HealthProbe for Restart {
///     async fn check(&self, candidate: &Candidate) -> Result<(), Unhealthy> {
///         let ready = candidate.folder.join("ready");
///         while !ready.exists() {
///             tokio::time::sleep(Duration::from_millis(100)).await; // until the deadline
///         }
///         Ok(())
///     }
/// }
///
/// let builder = Updater::builder("/srv/tools/sketcher").with_health_probe(Restart, Duration::from_secs(60));
/// # let _ = builder;
/// ```
///
/// [`CommandProbe`], [`UrlProbe`] and [`ProbeFn`] are ready-made.
#[async_trait]
pub trait HealthProbe: Send + Sync + fmt::Debug {
    /// Looks at the release.
    ///
    /// # Errors
    /// [`Unhealthy`] with the reason, for people.
    ///
    /// # Cancel safety
    /// The future is dropped when the deadline has passed and when the update is cancelled: what it has started must
    /// end then.
    async fn check(&self, candidate: &Candidate) -> Result<(), Unhealthy>;
}

/// Why a release does not work, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unhealthy(String);

impl Unhealthy {
    /// A reason, for people.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Unhealthy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Unhealthy {}

/// A program that ends with exit code 0 if the release works.
///
/// It runs in the release's folder, with `LOCKSTEP_ROOT` and `LOCKSTEP_VERSION` set and no standard input. It is
/// killed, with what it started, when the deadline has passed.
#[derive(Clone, Debug)]
pub struct CommandProbe {
    program: OsString,
    arguments: Vec<OsString>,
}

impl CommandProbe {
    /// A program, found as the operating system finds it.
    #[must_use]
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
        }
    }

    /// Its arguments.
    #[must_use]
    pub fn with_arguments(
        mut self,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        self.arguments = arguments.into_iter().map(Into::into).collect();
        self
    }
}

#[async_trait]
impl HealthProbe for CommandProbe {
    async fn check(&self, candidate: &Candidate) -> Result<(), Unhealthy> {
        let program = self.program.to_string_lossy();
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .current_dir(&candidate.folder)
            .env("LOCKSTEP_ROOT", &candidate.root)
            .env("LOCKSTEP_VERSION", candidate.version.as_str());
        // The deadline drops this future.
        let until = Until::cancelled(&CancellationToken::new());
        match subprocess::run(&mut command, MOST_OUTPUT, &until).await {
            Ok(ran) if ran.status.success() => Ok(()),
            Ok(ran) => Err(Unhealthy(format!(
                "{program} {}",
                ran.how_it_ended(SHOWN_OUTPUT)
            ))),
            Err(Failed::Start(error)) => Err(Unhealthy(format!(
                "{program} could not be started: {error}"
            ))),
            Err(failed) => Err(Unhealthy(format!("{program}: {failed}"))),
        }
    }
}

/// A URL that answers with success if the release works. A service that is still starting is asked again until the
/// deadline.
#[derive(Clone, Debug)]
pub struct UrlProbe {
    url: Url,
    downloader: Arc<dyn Downloader>,
}

impl UrlProbe {
    /// A URL, and what fetches it.
    #[must_use]
    pub fn new(url: Url, downloader: Arc<dyn Downloader>) -> Self {
        Self { url, downloader }
    }
}

#[async_trait]
impl HealthProbe for UrlProbe {
    async fn check(&self, _: &Candidate) -> Result<(), Unhealthy> {
        loop {
            match self.downloader.open(&Request::new(self.url.clone())).await {
                Ok(_) => return Ok(()),
                Err(error) => tracing::debug!(error = format_args!("{error:#}"), "not healthy yet"),
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

/// A function of the program's own.
#[async_trait]
impl<F> HealthProbe for ProbeFn<F>
where
    F: Fn(&Candidate) -> Result<(), Unhealthy> + Send + Sync,
{
    async fn check(&self, candidate: &Candidate) -> Result<(), Unhealthy> {
        (self.0)(candidate)
    }
}

/// Makes a [`HealthProbe`] of a function that looks at a [`Candidate`] and returns at once.
pub struct ProbeFn<F>(pub F);

impl<F> fmt::Debug for ProbeFn<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ProbeFn")
    }
}

/// A probe and how long it may take.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    pub(crate) probe: Arc<dyn HealthProbe>,
    pub(crate) deadline: Duration,
}

impl Health {
    pub(crate) async fn check(&self, candidate: &Candidate) -> Result<(), Unhealthy> {
        let checked = tokio::time::timeout(self.deadline, self.probe.check(candidate)).await;
        checked.unwrap_or_else(|_| {
            Err(Unhealthy(format!(
                "no good answer within {} s",
                self.deadline.as_secs_f32()
            )))
        })
    }
}
