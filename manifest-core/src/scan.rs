use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use crate::{
    Dependencies, Error, ErrorKind, FlashGpuConfig, Frontend, IgnoreGlobs, MANIFEST_FILE_NAME,
    Manifest, ManifestBuilder, ReleasePath, ReleaseVersion, ToolId, globs, hash_file, rules,
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
pub fn scan(folder: &Path, options: &ScanOptions) -> Result<Scan, Error> {
    let tool = read_tool_json(folder)?;
    let globs = options.ignore_globs.clone().unwrap_or_default();
    let mut walk = Walk {
        globs: &globs,
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
                let (sha256, size) = File::open(&path)
                    .and_then(|file| hash_file(&file))
                    .map_err(failed)?;
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
        let text = format!(
            "no {option} was given, and {} has no {field:?}",
            folder.join("tool.json").display()
        );
        Error::new(ErrorKind::Manifest, text)
    };
    let tool_id = options
        .tool_id
        .clone()
        .or(tool.tool_id)
        .ok_or_else(|| missing("tool_id", "tool id"))?;
    let version = options
        .tool_version
        .clone()
        .or(tool.version)
        .ok_or_else(|| missing("version", "version"))?;
    let mut builder = ManifestBuilder::new(tool_id, version).with_ignore_globs(&globs);
    if let Some(base) = &options.base_url {
        builder = builder.with_base_url(base.clone());
    }
    if let Some(time) = &options.created_at {
        builder = builder.with_created_at(time);
    }
    if let Some(contract) = tool.api_contract {
        builder = builder.with_api_contract(contract);
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
    if let Some(capabilities) = tool.capabilities {
        builder = builder.with_capabilities(capabilities);
    }
    for (found, sha256, size) in hashed {
        builder = builder.with_file(found.path.clone(), sha256, size, found.executable);
    }
    Ok(Scan {
        manifest: builder.build()?,
        warnings: walk.warnings,
    })
}

/// What a manifest takes from `tool.json`; the file has more, for other readers.
#[derive(Default, Deserialize)]
struct ToolJson {
    tool_id: Option<ToolId>,
    version: Option<ReleaseVersion>,
    api_contract: Option<String>,
    dependencies: Option<Dependencies>,
    flash_gpu_config: Option<FlashGpuConfig>,
    frontend: Option<Frontend>,
    capabilities: Option<Vec<String>>,
}

fn read_tool_json(folder: &Path) -> Result<ToolJson, Error> {
    let path = folder.join("tool.json");
    let failed = |error| Error::io(format!("cannot read {}", path.display()), error);
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_file() => {}
        // Reading a FIFO would wait for ever; the walk names it.
        Ok(_) => return Ok(ToolJson::default()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(ToolJson::default());
        }
        Err(error) => return Err(failed(error)),
    }
    let bytes = fs::read(&path).map_err(failed)?;
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes); // PowerShell writes one
    let cannot_use = |field: &str, cause: &dyn std::fmt::Display| {
        let text = format!("cannot use {}{field}: {cause}", path.display());
        Error::new(ErrorKind::Manifest, text)
    };
    let document: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|error| cannot_use("", &error))?;
    if let Some(error) = rules::check_objects(&document).next() {
        return Err(cannot_use("", &error));
    }
    serde_path_to_error::deserialize(&document).map_err(
        |error: serde_path_to_error::Error<serde_json::Error>| {
            cannot_use(
                &format!(", field {:?}", error.path().to_string()),
                error.inner(),
            )
        },
    )
}

struct Found {
    path: ReleasePath,
    size: u64,
    executable: bool,
}

struct Walk<'g> {
    globs: &'g IgnoreGlobs,
    files: Vec<Found>,
    warnings: Vec<String>,
}

impl Walk<'_> {
    /// Collects the files below `folder`, whose path in the release is `prefix` (empty or ending in `/`).
    fn folder(&mut self, folder: &Path, prefix: &str) -> Result<(), Error> {
        let failed = |error| Error::io(format!("cannot list {}", folder.display()), error);
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
                self.file(&on_disk, path)?;
            }
        }
        Ok(())
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

    fn file(&mut self, on_disk: &PathBuf, path: String) -> Result<(), Error> {
        let metadata = fs::symlink_metadata(on_disk)
            .map_err(|error| Error::io(format!("cannot read {}", on_disk.display()), error))?;
        let executable = is_program(&path) || mode_is_executable(&metadata);
        self.files.push(Found {
            path: ReleasePath::try_from(path)?,
            size: metadata.len(),
            executable,
        });
        Ok(())
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
