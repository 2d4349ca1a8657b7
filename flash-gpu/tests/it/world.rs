//! An installation, a Python, and GPUs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use flash_gpu::{
    Backend, CancellationToken, Error, ErrorKind, Event, FlashGpu, Gpu, GpuProbe, GpuStack, Report,
    Vendor,
};
use manifest_core::{Dependencies, FlashGpuConfig, Manifest};
use tempfile::TempDir;
use testkit::Tree;

/// A shell that says that it is a Python.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| program("python", PYTHON_TEXT));
const PYTHON_TEXT: &str =
    "if [ \"$1\" = --version ]; then echo Python 3.12.1; exit; fi\nexec /bin/sh \"$@\"";

/// A script that can be started: folders in memory often do not allow that.
pub(crate) fn program(name: &str, text: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("flash-gpu-programs");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    let text = format!("#!/bin/sh\n{text}\n");
    if fs::read_to_string(&path).is_ok_and(|there| there == text) {
        return path;
    }
    // Another process may be at it, too.
    let new = tempfile::NamedTempFile::new_in(&folder).unwrap();
    fs::write(new.path(), text).unwrap();
    fs::set_permissions(new.path(), fs::Permissions::from_mode(0o755)).unwrap();
    new.persist(&path).unwrap();
    path
}

pub(crate) fn python() -> &'static Path {
    &PYTHON
}

pub(crate) fn l4() -> GpuStack {
    let gpu = Gpu::new(0, Vendor::Nvidia, Backend::Cuda, "NVIDIA L4")
        .with_uuid("GPU-0a1b2c3d")
        .with_memory(23_034 << 20, 100 << 20)
        .with_architecture("8.9");
    GpuStack::new("a test")
        .with_driver_version("560.35.03")
        .with_cuda_version("12.6")
        .with_gpu(gpu)
}

/// What a test says that the machine has. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Machine(Arc<Mutex<GpuStack>>);

impl Machine {
    pub(crate) fn new(stack: GpuStack) -> Self {
        Self(Arc::new(Mutex::new(stack)))
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut GpuStack)) {
        change(&mut self.0.lock().unwrap());
    }
}

#[async_trait]
impl GpuProbe for Machine {
    async fn detect(&self) -> Result<GpuStack, Error> {
        Ok(self.0.lock().unwrap().clone())
    }
}

/// What a publisher makes: one script, written for the shell.
#[derive(Clone)]
pub(crate) struct Release {
    pub(crate) version: &'static str,
    pub(crate) tree: Tree,
    pub(crate) config: Option<FlashGpuConfig>,
    pub(crate) dependencies: Dependencies,
}

/// The last line of a script that ends well. Its arguments are `--input <file> --output <file>`.
pub(crate) const DONE: &str = "echo '{\"status\": \"ok\"}' > \"$4\"";

impl Release {
    /// A script, and the patterns of what it leaves.
    pub(crate) fn new(script: &str, patterns: &[&str]) -> Self {
        Self {
            version: "1.0.0",
            tree: Tree::new()
                .with("src/warm.py", format!("{script}\n{DONE}\n"))
                .with("models/listed.bin", "a model of the release"),
            config: Some(FlashGpuConfig {
                enabled: true,
                warmup_script: Some("src/warm.py".into()),
                cache_artifacts: patterns.iter().map(ToString::to_string).collect(),
            }),
            dependencies: Dependencies::default(),
        }
    }

    pub(crate) fn with_version(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    pub(crate) fn needs_cuda(mut self, version: &str) -> Self {
        self.dependencies.cuda_min = Some(version.into());
        self
    }

    pub(crate) fn needs_python(mut self, version: &str) -> Self {
        self.dependencies.python_min = Some(version.into());
        self
    }

    pub(crate) fn manifest(&self) -> Manifest {
        let mut builder = self
            .tree
            .builder("sketcher", self.version)
            .with_ignore_globs(&manifest_core::IgnoreGlobs::new([".env"]).unwrap())
            .with_dependencies(&self.dependencies);
        if let Some(config) = &self.config {
            builder = builder.with_flash_gpu_config(config);
        }
        builder.build().unwrap()
    }

    pub(crate) fn install(&self, root: &Path) {
        let folder = root.join(format!("releases/v{}", self.version));
        self.tree.write_to(&folder);
        fs::write(folder.join("manifest.json"), self.manifest().to_bytes()).unwrap();
        fs::write(root.join("current.txt"), format!("v{}", self.version)).unwrap();
    }
}

pub(crate) struct World {
    folder: TempDir,
    pub(crate) machine: Machine,
    lines: Arc<Mutex<Vec<String>>>,
}

impl World {
    pub(crate) fn with(release: &Release) -> Self {
        let world = Self {
            folder: testkit::scratch(),
            machine: Machine::new(l4()),
            lines: Arc::default(),
        };
        fs::create_dir(world.root()).unwrap();
        release.install(&world.root());
        world
    }

    /// With a script, and the patterns of what it leaves.
    pub(crate) fn of(script: &str, patterns: &[&str]) -> Self {
        Self::with(&Release::new(script, patterns))
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("tool")
    }

    pub(crate) fn outside(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// In the folder of release 1.0.0.
    pub(crate) fn released(&self, path: &str) -> PathBuf {
        self.path("releases/v1.0.0").join(path)
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        write(&self.path(path), content);
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) fn flash(&self) -> FlashGpu {
        let lines = self.lines.clone();
        flash(&self.root())
            .with_probe(self.machine.clone())
            .with_observer(move |event: &Event| lines.lock().unwrap().push(event.to_string()))
    }

    pub(crate) fn heard(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    pub(crate) async fn warm_up(&self) -> Result<Report, Error> {
        warm_up(&self.flash()).await
    }

    /// The error of a warm-up, which must be of this kind.
    #[track_caller]
    pub(crate) fn refuses(&self, kind: ErrorKind) -> impl Future<Output = Error> + use<> {
        refuses(self.flash(), kind)
    }

    /// Every file below `cache/flash-gpu`.
    pub(crate) fn kept(&self) -> Tree {
        Tree::read(&self.path("cache/flash-gpu"))
    }

    /// The folders of warm-ups that run or were interrupted.
    pub(crate) fn works(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("cache/flash-gpu")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".work")).collect()
    }

    /// How often the script ran that says so in `runs`.
    pub(crate) fn runs(&self) -> usize {
        fs::read_to_string(self.path("runs")).map_or(0, |text| text.lines().count())
    }
}

/// A line of a script that counts how often it ran.
pub(crate) const COUNT: &str = "echo run >> \"$LOCKSTEP_ROOT/runs\"";

/// Leaves a file in the release's folder and one in the root's cache.
pub(crate) fn two_files() -> World {
    let script = format!(
        "{COUNT}
        mkdir -p cache/kernels \"$LOCKSTEP_CACHE_DIR/models\"
        echo kernel > cache/kernels/a.bin
        echo model > \"$LOCKSTEP_CACHE_DIR/models/b.gguf\"
        echo none of it > cache/kernels/a.txt
        echo warm; echo really >&2"
    );
    World::of(&script, &["cache/**/*.gguf", "cache/**/*.bin"])
}

pub(crate) fn flash(root: &Path) -> FlashGpu {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    FlashGpu::new(root)
        .with_interpreter(python())
        .with_clock(move || time)
}

pub(crate) async fn warm_up(flash: &FlashGpu) -> Result<Report, Error> {
    flash.warm_up(&CancellationToken::new()).await
}

pub(crate) async fn refuses(flash: FlashGpu, kind: ErrorKind) -> Error {
    let error = warm_up(&flash).await.unwrap_err();
    assert_eq!(error.kind(), kind, "{error:?}");
    error
}

pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

pub(crate) fn exists(path: impl AsRef<Path>) -> bool {
    fs::symlink_metadata(path).is_ok()
}
