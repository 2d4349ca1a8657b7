use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use durable_fs::{Disk, LinkPolicy};
use tokio_util::sync::CancellationToken;

use crate::blocking::to_its_end;
use crate::event::Silent;
use crate::{
    Check, Error, GpuChoice, GpuProbe, Observer, Report, SystemProbe, check::check,
    warm_up::warm_up,
};

const DEADLINE: Duration = Duration::from_mins(10);
const SAMPLING: Duration = Duration::from_secs(1);

/// Whether the script runs though the release is warm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rerun {
    /// Only if it is not.
    #[default]
    IfCold,
    /// In any case: after packages of the environment changed, for instance.
    Always,
}

/// How kept artifacts are checked before a release counts as warm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ArtifactCheck {
    /// A file with the size and the time of its last change that were noted is taken as whole; one with another time is hashed.
    #[default]
    Times,
    /// Every file is hashed.
    Hashes,
}

/// Warms up the GPU for the active release of the installation in one folder.
///
/// Everything but the root has a default that is right for most programs. Cloning is cheap. The methods need a tokio runtime.
///
/// ```
/// use std::time::Duration;
///
/// use flash_gpu::{Event, FlashGpu, GpuChoice};
///
/// let flash = FlashGpu::new("/srv/tools/sketcher")
///     .with_gpu(GpuChoice::Index(1))
///     .with_interpreter("/usr/bin/python3") // for tools without an environment of their own
///     .with_deadline(Duration::from_secs(1800))
///     .with_observer(|event: &Event| println!("{event}"));
/// # let _ = flash;
/// ```
#[derive(Clone)]
#[must_use]
pub struct FlashGpu {
    pub(crate) root: PathBuf,
    pub(crate) probe: Arc<dyn GpuProbe>,
    pub(crate) choice: GpuChoice,
    pub(crate) interpreter: Option<PathBuf>,
    pub(crate) deadline: Duration,
    pub(crate) sampling: Duration,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) rerun: Rerun,
    pub(crate) artifact_check: ArtifactCheck,
    pub(crate) link_policy: LinkPolicy,
    pub(crate) keep: usize,
    pub(crate) disk: Disk,
    pub(crate) clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

impl FlashGpu {
    /// For the installation in a folder. Nothing is read yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            probe: Arc::new(SystemProbe::new()),
            choice: GpuChoice::default(),
            interpreter: None,
            deadline: DEADLINE,
            sampling: SAMPLING,
            observer: Arc::new(Silent),
            rerun: Rerun::default(),
            artifact_check: ArtifactCheck::default(),
            link_policy: LinkPolicy::Share,
            keep: 1,
            disk: Disk::real(),
            clock: Arc::new(SystemTime::now),
        }
    }

    /// Who knows the GPUs. Default: [`SystemProbe`].
    pub fn with_probe(mut self, probe: impl GpuProbe + 'static) -> Self {
        self.probe = Arc::new(probe);
        self
    }

    /// Which GPU is warmed up. Default: the first, and the script sees all of them.
    pub fn with_gpu(mut self, choice: GpuChoice) -> Self {
        self.choice = choice;
        self
    }

    /// The Python for a tool that has neither `venv/` nor `.venv/`: a path, or a name that the operating system looks up.
    /// Default: none.
    pub fn with_interpreter(mut self, program: impl Into<PathBuf>) -> Self {
        self.interpreter = Some(program.into());
        self
    }

    /// How long the script may take. Then it is killed, with what it started. Default: 10 minutes.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long to wait between two looks at the GPU's memory while the script runs, or ten times as long as a look takes, if that is
    /// longer. Default: a second.
    pub fn with_sampling(mut self, pause: Duration) -> Self {
        self.sampling = pause;
        self
    }

    /// Who hears of progress, and of every line that the script prints.
    pub fn with_observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Arc::new(observer);
        self
    }

    /// Whether the script runs though the release is warm. Default: it does not.
    pub fn with_rerun(mut self, rerun: Rerun) -> Self {
        self.rerun = rerun;
        self
    }

    /// How kept artifacts are checked. Default: [`ArtifactCheck::Times`], which reads none of them as long as nobody touched them.
    pub fn with_artifact_check(mut self, check: ArtifactCheck) -> Self {
        self.artifact_check = check;
        self
    }

    /// How artifacts come to where they are kept, and back. Default: [`LinkPolicy::Share`], which copies nothing where the file
    /// system can clone. Where it cannot, files below 64 MiB are copied all the same, so that a script that writes into them in place
    /// does not destroy what is kept for another key; bigger ones are linked. [`LinkPolicy::Independent`] is for tools that write into
    /// big artifacts in place as well.
    pub fn with_link_policy(mut self, policy: LinkPolicy) -> Self {
        self.link_policy = policy;
        self
    }

    /// For how many other releases, drivers and GPUs artifacts are kept: first for the release that a rollback would go to, then
    /// for those that were warmed up last. Default: 1.
    pub fn with_keep(mut self, others: usize) -> Self {
        self.keep = others;
        self
    }

    /// The disk to work on: for tests that watch it or make it fail.
    pub fn with_disk(mut self, disk: Disk) -> Self {
        self.disk = disk;
        self
    }

    /// What time it is, for the records.
    pub fn with_clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The root of the installation.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Warms up the GPU for the active release, unless that was done before.
    ///
    /// 1. The GPUs and the Python are looked for, and compared with the manifest's `dependencies`.
    /// 2. If everything that an earlier warm-up kept for this [`Key`](crate::Key) is whole, and where the script had left it there is
    ///    nothing else, files that are missing there are put back, and that is all.
    /// 3. Otherwise `flash_gpu_config.warmup_script`, which must be a file of the release and what the manifest says, is run in the
    ///    release's folder: `python <release>/<script> --input <file> --output <file>`.
    /// 4. It has to end with exit code 0 and leave one JSON object of at most 1 MiB in the output file.
    /// 5. The files that `cache_artifacts` match, below the release's folder or the root's `cache/`, are linked or copied to
    ///    `cache/flash-gpu/<key>/`, hashed, and made durable. Then the release is warm. What was there before the script ran and is as it
    ///    was is [only counted](crate::Artifacts::untouched), unless it was kept for this key already.
    ///
    /// The input file holds one JSON object:
    ///
    /// ```json
    /// {
    ///   "protocol": "runtime/1",
    ///   "mode": "flash_gpu_warmup",
    ///   "tool_id": "sketcher",
    ///   "tool_version": "1.2.0",
    ///   "manifest_hash": "64 hexadecimal digits",
    ///   "gpu": {
    ///     "index": 0, "vendor": "nvidia", "backend": "cuda", "name": "NVIDIA L4", "uuid": "GPU-…",
    ///     "memory_total": 24152899584, "memory_used": 1073741824, "architecture": "8.9",
    ///     "driver_version": "560.35.03", "cuda_version": "12.6"
    ///   },
    ///   "root": "/srv/tools/sketcher",
    ///   "cache_dir": "/srv/tools/sketcher/cache"
    /// }
    /// ```
    ///
    /// What is not known of the GPU is `null`. The script's environment is this program's, with `LOCKSTEP_ROOT`, `LOCKSTEP_VERSION`,
    /// `LOCKSTEP_CACHE_DIR`, `PYTHONUNBUFFERED=1` and `PYTHONDONTWRITEBYTECODE=1`, without `PYTHONHOME` and `PYTHONPATH`. If a GPU was
    /// chosen, `CUDA_VISIBLE_DEVICES` (AMD: `HIP_VISIBLE_DEVICES`) names it. The last megabyte of what it prints is in
    /// `cache/flash-gpu/last.log` when it has ended. What it started and left behind is killed then. Its standard
    /// input is empty: it is the open lock, which so is held as long as the script runs, even if this program is killed.
    ///
    /// # Errors
    /// Any [`ErrorKind`](crate::ErrorKind). Whatever it is, what was warm before is still so, and nothing new counts as warm.
    ///
    /// # Cancel safety
    /// If the future is dropped, the script is killed with what it started, and the lock is free as soon as the last blocking step
    /// has noticed.
    pub async fn warm_up(&self, cancel: &CancellationToken) -> Result<Report, Error> {
        let flash = self.clone();
        to_its_end(cancel, move |stop| warm_up(flash, stop)).await
    }

    /// Whether the release could be warmed up here, and whether it is warm. Changes nothing, and needs no lock.
    ///
    /// # Errors
    /// `NoInstallation`, `Manifest` if the active release's cannot be read, `Policy`, `PermissionDenied`, `Io`, `Cancelled`. What is in
    /// the way of a warm-up, also in `cache/`, is no error, but in the answer.
    ///
    /// # Cancel safety
    /// Nothing is changed, so the future may be dropped at any time.
    pub async fn check(&self, cancel: &CancellationToken) -> Result<Check, Error> {
        let stop = cancel.child_token();
        let _gone = stop.clone().drop_guard();
        check(self, &stop).await
    }
}

impl fmt::Debug for FlashGpu {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FlashGpu")
            .field("root", &self.root)
            .field("probe", &self.probe)
            .field("choice", &self.choice)
            .field("interpreter", &self.interpreter)
            .finish_non_exhaustive()
    }
}
