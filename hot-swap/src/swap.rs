use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use durable_fs::Disk;

use crate::check::Version;
use crate::event::Silent;
use crate::{Build, Candidate, Container, Error, ErrorKind, HealthProbe, Observer, Runtime};

/// What to do if the candidate does not work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnFailure {
    /// Put the binary from before in place again, and restart the service with it. A target that is not there, so that there is
    /// nothing to go back to, is refused with [`ErrorKind::NoBackup`](crate::ErrorKind::NoBackup) before anything is touched.
    #[default]
    RollBack,
    /// Leave it in place.
    Leave,
}

/// Replaces the binary of a running service.
///
/// Everything but the two paths has a default. [`run`](Self::run) does it, [`plan`](Self::plan) says what it would do. The same value
/// may be used again and again.
///
/// ```no_run
/// use std::time::Duration;
///
/// use hot_swap::{CommandProbe, HotSwap, SystemdUnit};
/// use subprocess::CancellationToken;
///
/// # async fn example() -> Result<(), hot_swap::Error> {
/// let report = HotSwap::new("/srv/bin/server", "./target/release/server")
///     .with_runtime(SystemdUnit::new("server.service"))
///     .with_version("1.4.2", ["--version"])
///     .with_probe(CommandProbe::new("curl", ["-fsS", "http://127.0.0.1:8080/health"]))
///     .with_deadline(Duration::from_secs(20))
///     .run(&CancellationToken::new())
///     .await?;
/// println!("{report}"); // swapped /srv/bin/server: 2c26b46b68ff -> fcde2b2edba5
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct HotSwap {
    pub(crate) target: PathBuf,
    pub(crate) candidate: Candidate,
    pub(crate) container: Option<Container>,
    pub(crate) state_folder: Option<PathBuf>,
    pub(crate) disk: Disk,
    pub(crate) clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    pub(crate) runtime: Option<Arc<dyn Runtime>>,
    pub(crate) build: Option<Build>,
    pub(crate) sources: Option<PathBuf>,
    pub(crate) version: Option<Version>,
    pub(crate) probe: Option<Arc<dyn HealthProbe>>,
    pub(crate) settle: Duration,
    pub(crate) deadline: Duration,
    pub(crate) on_failure: OnFailure,
    pub(crate) keep_backups: usize,
    pub(crate) observer: Arc<dyn Observer>,
}

impl HotSwap {
    /// A binary on this machine, and what is to take its place. Without a [runtime](Self::with_runtime) nothing is restarted.
    ///
    /// What the swap keeps for itself is in `.lockstep-swap/<name>/` beside the target.
    pub fn new(target: impl Into<PathBuf>, candidate: impl Into<Candidate>) -> Self {
        Self {
            target: target.into(),
            candidate: candidate.into(),
            container: None,
            state_folder: None,
            disk: Disk::real(),
            clock: Arc::new(SystemTime::now),
            runtime: None,
            build: None,
            sources: None,
            version: None,
            probe: None,
            settle: Duration::from_secs(1),
            deadline: Duration::from_secs(30),
            on_failure: OnFailure::default(),
            keep_backups: 3,
            observer: Arc::new(Silent),
        }
    }

    /// A binary inside a container, by its absolute path there. The container is the runtime, too. What the swap keeps for itself,
    /// backups among it, is in `state_folder` on this machine, which must belong to this binary of this container alone.
    pub fn in_container(
        container: Container,
        target: impl Into<PathBuf>,
        candidate: impl Into<Candidate>,
        state_folder: impl Into<PathBuf>,
    ) -> Self {
        Self::new(target, candidate)
            .with_container(container)
            .with_state_folder(state_folder)
    }

    /// The container that the binary is in, which is the runtime, too.
    pub fn with_container(mut self, container: Container) -> Self {
        self.container = Some(container.clone());
        self.with_runtime(container)
    }

    /// Where backups, notes and the lock are kept, instead of beside the target. On another file system than the target's, a binary on
    /// this machine is refused with [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported).
    pub fn with_state_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.state_folder = Some(folder.into());
        self
    }

    /// What runs the binary: it is restarted after the replacement, and must stay up.
    pub fn with_runtime(mut self, runtime: impl Runtime + 'static) -> Self {
        self.runtime = Some(Arc::new(runtime));
        self
    }

    /// Only replaces the binary, and restarts nothing: it is up to somebody else when it counts.
    pub fn without_restart(mut self) -> Self {
        self.runtime = None;
        self
    }

    /// What makes the candidate, before anything else.
    pub fn with_build(mut self, build: Build) -> Self {
        self.build = Some(build);
        self
    }

    /// The folder with the sources of the build. If they are the same as at the last build and the candidate is another, the report
    /// warns that the build is not reproducible.
    pub fn with_sources(mut self, folder: impl Into<PathBuf>) -> Self {
        self.sources = Some(folder.into());
        self
    }

    /// What the binary must say of its version when it is called with these arguments: the version must be in what it prints, as a
    /// whole. It is asked before the restart, so that a wrong one is never started.
    pub fn with_version(
        mut self,
        expected: impl Into<String>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        self.version = Some(Version {
            expected: expected.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
        });
        self
    }

    /// Who says whether the service works after the restart.
    pub fn with_probe(mut self, probe: impl HealthProbe + 'static) -> Self {
        self.probe = Some(Arc::new(probe));
        self
    }

    /// How long the service must stay up, at least, to count as working. Default: 1 s.
    pub fn with_settle_time(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }

    /// How long the restart and all checks may take together, after the replacement; and as long again if the service must be
    /// restarted as before. It must be longer than the [settle time](Self::with_settle_time). Default: 30 s.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// What to do if the candidate does not work.
    pub fn with_on_failure(mut self, on_failure: OnFailure) -> Self {
        self.on_failure = on_failure;
        self
    }

    /// How many backups are kept after a swap that succeeded, the one of the binary before among them. Default: 3.
    pub fn with_keep_backups(mut self, backups: usize) -> Self {
        self.keep_backups = backups;
        self
    }

    /// Who hears of progress.
    pub fn with_observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Arc::new(observer);
        self
    }

    /// The disk to work on: for tests that watch it or make it fail.
    pub fn with_disk(mut self, disk: Disk) -> Self {
        self.disk = disk;
        self
    }

    /// What time it is, for the names of backups.
    pub fn with_clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Whether what was asked for can be done at all.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |text: String| Err(Error::new(ErrorKind::Configuration, text));
        if self.runtime.is_some() && self.settle >= self.deadline {
            return wrong(format!(
                "a service that must stay up for {} s can never pass within {} s",
                self.settle.as_secs_f32(),
                self.deadline.as_secs_f32()
            ));
        }
        if let (Candidate::File(candidate), None) = (&self.candidate, &self.container) {
            let real = |path: &Path| std::fs::canonicalize(path).ok();
            if real(candidate).is_some_and(|candidate| real(&self.target) == Some(candidate)) {
                let target = self.target.display();
                return wrong(format!("{target} cannot be replaced by itself"));
            }
        }
        Ok(())
    }

    /// The binary.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }
}

impl fmt::Debug for HotSwap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HotSwap")
            .field("target", &self.target)
            .field("candidate", &self.candidate)
            .field("runtime", &self.runtime)
            .finish_non_exhaustive()
    }
}
