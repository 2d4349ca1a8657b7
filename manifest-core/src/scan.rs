use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use url::Url;

use crate::progress::Watch;
use crate::{
    Error, ErrorKind, IgnoreGlobs, MANIFEST_FILE_NAME, Manifest, ManifestBuilder, ReleasePath,
    ReleaseVersion, ScanProgress, TOOL_JSON_FILE_NAME, ToolId, ToolJson, globs,
};

/// What a version control system keeps beside the files is not part of a release.
const VERSION_CONTROL: [&str; 3] = [".git", ".hg", ".svn"];
/// Where a mode says nothing (Windows, archives), these suffixes make a file a program.
const PROGRAM_SUFFIXES: [&str; 3] = [".ps1", ".sh", ".py"];

/// How to read a folder as a release. What is not set comes from the folder's `tool.json`.
#[derive(Clone, Debug, Default)]
pub struct ScanOptions {
    tool_id: Option<ToolId>,
    tool_version: Option<ReleaseVersion>,
    base_url: Option<Url>,
    ignore_globs: Option<IgnoreGlobs>,
    created_at: Option<String>,
    threads: Option<usize>,
}

impl ScanOptions {
    /// Everything from `tool.json` and the defaults of the format.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The tool, instead of `tool_id` in `tool.json`.
    #[must_use]
    pub fn with_tool_id(mut self, id: ToolId) -> Self {
        self.tool_id = Some(id);
        self
    }

    /// The version, instead of `version` in `tool.json`.
    #[must_use]
    pub fn with_tool_version(mut self, version: ReleaseVersion) -> Self {
        self.tool_version = Some(version);
        self
    }

    /// Where the files will be served; see [`file_url`](crate::file_url).
    #[must_use]
    pub fn with_base_url(mut self, base: Url) -> Self {
        self.base_url = Some(base);
        self
    }

    /// What to leave out beside runtime and user scope; also becomes the manifest's `ignore_globs`.
    #[must_use]
    pub fn with_ignore_globs(mut self, globs: IgnoreGlobs) -> Self {
        self.ignore_globs = Some(globs);
        self
    }

    /// The manifest's `created_at`, in RFC 3339. A library has no clock: the caller says it.
    #[must_use]
    pub fn with_created_at(mut self, time: impl Into<String>) -> Self {
        self.created_at = Some(time.into());
        self
    }

    /// How many files to hash at a time. Default: one for each core.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }
}

/// The result of [`scan`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Scan {
    /// The release.
    pub manifest: Manifest,
    /// What the folder's `tool.json` says; nothing if there is none.
    pub tool: ToolJson,
    /// What was kept in spite of an ignore glob, one sentence each.
    pub warnings: Vec<String>,
}

/// Reads a folder and describes it as a release: every file is hashed, one per core.
///
/// Left out are runtime and user scope, what the ignore globs match, version control folders and a
/// root-level `manifest.json`. Models (`.gguf`, `.safetensors`, `.bin`, `.pth`, `.ckpt`) are never
/// left out by a glob. A file is a program if its Unix mode says so or if it ends in `.ps1`, `.sh`
/// or `.py`. Scanning the same files twice gives the same hash, on every platform.
///
/// Memory is one buffer per thread and one entry per file.
///
/// # Errors
/// [`ErrorKind::Policy`] for a symbolic link, FIFO or device, which it names; [`ErrorKind::Path`]
/// for a name that is not safe on every platform; [`ErrorKind::Manifest`] for a `tool.json` that
/// cannot be read or if tool id or version are nowhere; [`ErrorKind::Io`].
///
/// ```
/// use manifest_core::{ScanOptions, scan};
///
/// let folder = tempfile::tempdir()?;
/// std::fs::write(folder.path().join("tool.json"), r#"{"tool_id": "sketcher", "version": "1.2.0"}"#)?;
/// std::fs::write(folder.path().join("main.py"), "print()")?;
/// std::fs::write(folder.path().join(".env"), "TOKEN=secret")?;
///
/// let manifest = scan(folder.path(), &ScanOptions::new())?.manifest;
/// let paths: Vec<&str> = manifest.files().iter().map(|file| file.path().as_str()).collect();
/// assert_eq!(paths, ["main.py", "tool.json"]); // `.env` is the user's
/// std::fs::write(folder.path().join("manifest.json"), manifest.to_bytes())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn scan(folder: &Path, options: &ScanOptions) -> Result<Scan, Error> {
    scan_observed(folder, options, |_| ControlFlow::Continue(()))
}

/// As [`scan`], saying how far it is, and stopping when it is told to.
///
/// `observe` is called from several threads and often, so it must be quick. When it breaks, the scan ends
/// after at most one buffer per thread. Sums of bytes are those of the files as they were listed; a file
/// that grows meanwhile makes them wrong.
///
/// ```
/// use std::ops::ControlFlow;
/// use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
///
/// use manifest_core::{ScanProgress, ScanOptions, scan_observed};
///
/// # let folder = tempfile::tempdir()?;
/// # std::fs::write(folder.path().join("tool.json"), r#"{"tool_id": "sketcher", "version": "1.2.0"}"#)?;
/// let (found, hashed, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
/// let scan = scan_observed(folder.path(), &ScanOptions::new(), |progress| {
///     match progress {
///         ScanProgress::Found { bytes, .. } => { found.fetch_add(bytes, Relaxed); }
///         ScanProgress::Hashed(bytes) => { hashed.fetch_add(bytes, Relaxed); }
///         _ => {}
///     }
///     if stop.load(Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
/// })?;
/// assert_eq!(hashed.into_inner(), found.into_inner());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`scan`], and [`ErrorKind::Cancelled`] once `observe` has broken.
pub fn scan_observed(
    folder: &Path,
    options: &ScanOptions,
    observe: impl Fn(ScanProgress) -> ControlFlow<()> + Sync,
) -> Result<Scan, Error> {
    let watch = Watch::new(&observe);
    let tool_json = ToolJson::read(folder)?;
    let has_tool_json = tool_json.is_some();
    let tool = tool_json.unwrap_or_default();
    let globs = options.ignore_globs.clone().unwrap_or_default();
    let mut walk = Walk {
        globs: &globs,
        watch: &watch,
        files: Vec::new(),
        warnings: Vec::new(),
    };
    walk.folder(folder, "")?;

    // Biggest first, so that no core is left with a model when the others are done.
    walk.files.sort_by(|one, other| {
        other
            .size
            .cmp(&one.size)
            .then_with(|| one.path.cmp(&other.path))
    });
    let hash_all = || -> Result<Vec<_>, Error> {
        walk.files
            .par_iter()
            .with_max_len(1)
            .map(|found| {
                let path = folder.join(&found.path);
                let failed = |error| Error::io(format!("cannot hash {}", path.display()), error);
                let file = File::open(&path).map_err(failed)?;
                let (sha256, size) = watch.hash(&file, failed)?;
                Ok((found, sha256, size))
            })
            .collect()
    };
    let hashed = match options.threads {
        None => hash_all()?,
        Some(threads) => rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| {
                Error::io(
                    "cannot start threads for hashing",
                    std::io::Error::other(error),
                )
            })?
            .install(hash_all)?,
    };

    let missing = |field: &str, option: &str| {
        let path = folder.join(TOOL_JSON_FILE_NAME);
        let path = path.display();
        let text = if has_tool_json {
            format!("no {option} was given, and {path} has no {field:?}")
        } else {
            format!("no {option} was given, and there is no {path} with a {field:?}")
        };
        Error::new(ErrorKind::Manifest, text)
    };
    let tool_id = options
        .tool_id
        .clone()
        .or_else(|| tool.tool_id.clone())
        .ok_or_else(|| missing("tool_id", "tool id"))?;
    let version = options
        .tool_version
        .clone()
        .or_else(|| tool.version.clone())
        .ok_or_else(|| missing("version", "version"))?;
    let mut builder = ManifestBuilder::new(tool_id, version).with_ignore_globs(&globs);
    if let Some(base) = &options.base_url {
        builder = builder.with_base_url(base.clone());
    }
    if let Some(time) = &options.created_at {
        builder = builder.with_created_at(time);
    }
    if let Some(contract) = &tool.api_contract {
        builder = builder.with_api_contract(contract.as_str());
    }
    if let Some(dependencies) = &tool.dependencies {
        builder = builder.with_dependencies(dependencies);
    }
    if let Some(config) = &tool.flash_gpu_config {
        builder = builder.with_flash_gpu_config(config);
    }
    if let Some(frontend) = &tool.frontend {
        builder = builder.with_frontend(frontend);
    }
    if let Some(capabilities) = &tool.capabilities {
        builder = builder.with_capabilities(capabilities);
    }
    for (found, sha256, size) in hashed {
        builder = builder.with_file(found.path.clone(), sha256, size, found.executable);
    }
    Ok(Scan {
        manifest: builder.build()?,
        tool,
        warnings: walk.warnings,
    })
}

struct Found {
    path: ReleasePath,
    size: u64,
    executable: bool,
}

struct Walk<'g> {
    globs: &'g IgnoreGlobs,
    watch: &'g Watch<'g>,
    files: Vec<Found>,
    warnings: Vec<String>,
}

impl Walk<'_> {
    /// Collects the files below `folder`, whose path in the release is `prefix` (empty or ending in `/`).
    fn folder(&mut self, folder: &Path, prefix: &str) -> Result<(), Error> {
        let failed = |error| Error::io(format!("cannot list {}", folder.display()), error);
        let mut here = (0, 0);
        let mut entries = BTreeMap::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            entries.insert(entry.file_name(), entry);
        }
        for (name, entry) in entries {
            let on_disk = entry.path();
            let name = name.to_str().ok_or_else(|| {
                Error::new(
                    ErrorKind::Path,
                    format!("the name of {} is not UTF-8", on_disk.display()),
                )
            })?;
            let path = format!("{prefix}{name}");
            let kind = entry
                .file_type()
                .map_err(|error| Error::io(format!("cannot read {}", on_disk.display()), error))?;
            // A folder on another disk is often linked: `cache` -> /mnt/fast/cache.
            let stands_for_folder = kind.is_dir() || kind.is_symlink();
            if VERSION_CONTROL.contains(&name) // in a worktree `.git` is a file
                || is_left_over(name)
                || (path == MANIFEST_FILE_NAME && !kind.is_dir())
                || globs::is_runtime_or_user_scope(&path)
                || (stands_for_folder && globs::is_runtime_or_user_scope(&format!("{path}/x")))
            {
                // Not the publisher's to publish.
            } else if kind.is_dir() {
                self.folder(&on_disk, &format!("{path}/"))?;
            } else if self.globs.is_match(&path) && !self.keep_model(&path) {
                // Left out, whatever it is.
            } else if !kind.is_file() {
                let what = if kind.is_symlink() {
                    "a symbolic link"
                } else {
                    "neither a file nor a folder"
                };
                let text = format!(
                    "{} is {what}; a release holds only files",
                    on_disk.display()
                );
                return Err(Error::new(ErrorKind::Policy, text));
            } else {
                here.0 += 1;
                here.1 += self.file(&on_disk, path)?;
            }
        }
        let (files, bytes) = here;
        self.watch.say(ScanProgress::Found { files, bytes })
    }

    fn keep_model(&mut self, path: &str) -> bool {
        let keep = globs::is_model(path);
        if keep {
            self.warnings.push(format!(
                "{path:?} is in the release although an ignore glob matches it: it is a model"
            ));
        }
        keep
    }

    /// Returns its bytes.
    fn file(&mut self, on_disk: &PathBuf, path: String) -> Result<u64, Error> {
        let metadata = fs::symlink_metadata(on_disk)
            .map_err(|error| Error::io(format!("cannot read {}", on_disk.display()), error))?;
        let executable = is_program(&path) || mode_is_executable(&metadata);
        self.files.push(Found {
            path: ReleasePath::try_from(path)?,
            size: metadata.len(),
            executable,
        });
        Ok(metadata.len())
    }
}

/// A temporary file or folder of ours, from an earlier run.
fn is_left_over(name: &str) -> bool {
    name.starts_with(".lockstep")
}

fn is_program(path: &str) -> bool {
    PROGRAM_SUFFIXES.iter().any(|suffix| path.ends_with(suffix))
}

#[cfg(unix)]
fn mode_is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn mode_is_executable(_: &fs::Metadata) -> bool {
    false
}
