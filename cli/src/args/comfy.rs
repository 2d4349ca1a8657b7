//! `lockstep comfy …`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use url::Url;
use version_spec::VersionId;

use super::base_url;

const EXAMPLES: &str = "\
Examples:
  lockstep comfy create --version-id wan22 --comfy https://github.com/comfyanonymous/ComfyUI@v0.3.60 \\
    --node https://github.com/kijai/ComfyUI-KJNodes@main
  lockstep comfy realize --version-id wan22 --dry-run
  lockstep comfy realize --version-id wan22

The specs are in ./versions. COMFY_CACHE_ROOT (default ~/.comfy-cache) keeps what versions share, MODELS_DIR
(default models/ in the cache) the models, and COMFY_HOME names the folder to realize in. HF_TOKEN and
CIVITAI_TOKEN are sent to their own hosts only.

Exit codes: 0 done, 1 failed or only partly done (without the network), 2 wrong usage, 3 busy, 4 refused by policy.";

/// Bring up ComfyUI environments, each described by one file.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Comfy {
    #[command(subcommand)]
    pub(crate) command: ComfyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ComfyCommand {
    /// Write a spec, from repositories and lists.
    Create(Create),
    /// Check specs: lists everything that is wrong, each by its place in the file and what to write instead.
    Validate(Validate),
    /// Find the commits that a spec means, and keep them as its lock.
    ///
    /// A lock that was made from this very spec is used again, without any network.
    Resolve(Resolve),
    /// Bring a version up: checkouts, links, Python environment, models. Fetches only what is not here.
    ///
    /// Whatever interrupts this, running it again goes on from there. With nothing to do it asks nobody and is done
    /// at once. Your own files in the folder are never touched.
    Realize(Realize),
    /// Write the spec of a version under another id.
    Clone(CloneVersion),
    /// Delete a version: what nothing else uses. Your own files stay.
    Delete(Delete),
    /// Read every model; fetch what is missing, replace what is wrong.
    VerifyModels(VerifyModels),
    /// Lock the Python packages of a version: exact and hashed, without installing them.
    Pin(Pin),
    /// Say what differs between two environments: versions, lock files, or folders that they were realized in.
    ///
    /// Exits with 1 if something differs.
    Compare(Two),
    /// Say what changed between two locks, and why; with one version, what resolving it anew would change.
    ///
    /// Exits with 0 in either case.
    Diff(Diff),
    /// Make a spec of a `comfy-<tag>.lock.json`, or of a snapshot of ComfyUI-Manager.
    Migrate(Migrate),
    /// Put everything that a version needs into one folder, for a machine with no network.
    ///
    /// There, `lockstep comfy realize --bundle DIR` brings it up.
    Bundle(MakeBundle),
}

impl ComfyCommand {
    pub(crate) fn json(&self) -> bool {
        match self {
            Self::Create(Create { folders, .. })
            | Self::Validate(Validate { folders, .. })
            | Self::Clone(CloneVersion { folders, .. })
            | Self::Migrate(Migrate { folders, .. }) => folders.json,
            Self::Resolve(Resolve { version, .. })
            | Self::Realize(Realize { version, .. })
            | Self::Delete(Delete { version, .. })
            | Self::VerifyModels(VerifyModels { version, .. })
            | Self::Pin(Pin { version, .. })
            | Self::Bundle(MakeBundle { version, .. }) => version.places.folders.json,
            Self::Compare(Two { places, .. }) | Self::Diff(Diff { places, .. }) => {
                places.folders.json
            }
        }
    }
}

/// Where specs are, and how to speak of them.
#[derive(Clone, Debug, Args)]
pub(crate) struct Folders {
    /// The folder of the specs.
    #[arg(long, value_name = "DIR", default_value = "versions")]
    pub(crate) versions_dir: PathBuf,
    /// The folder of the models, instead of $MODELS_DIR or models/ in the cache.
    #[arg(long, value_name = "DIR")]
    pub(crate) models_dir: Option<PathBuf>,
    /// Print one JSON object on stdout, errors included.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where things are, and where they come from.
#[derive(Clone, Debug, Args)]
pub(crate) struct Places {
    #[command(flatten)]
    pub(crate) folders: Folders,
    /// The folder of what versions share, instead of $COMFY_CACHE_ROOT or ~/.comfy-cache.
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// Take Python packages from this folder of wheels, and from no index.
    #[arg(long, value_name = "DIR")]
    pub(crate) wheels_dir: Option<PathBuf>,
    /// The base of a mirror that keeps models by their SHA-256; several are asked in this order, before the models' own sources.
    #[arg(long = "mirror", value_name = "BASE", value_parser = base_url)]
    pub(crate) mirrors: Vec<Url>,
    /// Use no network: what is here is used, and what is missing is told.
    #[arg(long)]
    pub(crate) offline: bool,
    /// Leave Python alone: no packages are locked or installed, no install.py is run.
    #[arg(long)]
    pub(crate) skip_python: bool,
    /// Leave the models alone.
    #[arg(long)]
    pub(crate) skip_models: bool,
}

/// A version, by its id or its file.
#[derive(Clone, Debug, Args)]
#[command(group(ArgGroup::new("which").args(["version_id", "spec", "bundle"]).required(true)))]
pub(crate) struct Which {
    /// The version, whose spec is in the folder of the specs.
    #[arg(long, value_name = "ID")]
    pub(crate) version_id: Option<VersionId>,
    /// The file of a spec, wherever it is.
    #[arg(long, value_name = "FILE")]
    pub(crate) spec: Option<PathBuf>,
    /// A folder that `lockstep comfy bundle` made: the version, cache, models and wheels in it, and no network.
    ///
    /// What is made of it is linked to the folder, which must stay, and be writable.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["cache", "wheels_dir"])]
    pub(crate) bundle: Option<PathBuf>,
    /// The folder to realize in.
    ///
    /// If not given: $COMFY_HOME, else `comfy-<id>` in /runpod-volume, in /workspace, or in the home folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) target: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) places: Places,
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The new version's id.
    #[arg(long, value_name = "ID")]
    pub(crate) version_id: VersionId,
    /// ComfyUI's repository, as `URL[@REF]`.
    #[arg(long, value_name = "REPO", default_value = version_spec::COMFY_REPO)]
    pub(crate) comfy: String,
    /// A custom node's repository, as `URL[@REF]`; may be given again.
    #[arg(long = "node", value_name = "REPO")]
    pub(crate) nodes: Vec<String>,
    /// A file with a custom node on each line, as `URL[@REF] [NAME]`, or a JSON list.
    #[arg(long, value_name = "FILE")]
    pub(crate) node_list: Option<PathBuf>,
    /// A file with a model on each line, as `SOURCE [TARGET]`, or a JSON list.
    #[arg(long, value_name = "FILE")]
    pub(crate) model_list: Option<PathBuf>,
    /// A Python package, as in a requirements.txt; may be given again.
    #[arg(long = "package", value_name = "REQUIREMENT")]
    pub(crate) packages: Vec<String>,
    /// A variable for ComfyUI; may be given again.
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// Give models that are here already their SHA-256 as checksum.
    #[arg(long)]
    pub(crate) checksums: bool,
    /// Replace the spec if there is one.
    #[arg(long)]
    pub(crate) force: bool,
    /// The folder of what versions share, instead of $COMFY_CACHE_ROOT or ~/.comfy-cache.
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) folders: Folders,
}

#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// The version, whose spec is in the folder of the specs; without, and without --spec, all that are there.
    #[arg(long, value_name = "ID", conflicts_with = "spec")]
    pub(crate) version_id: Option<VersionId>,
    /// The file of a spec, wherever it is.
    #[arg(long, value_name = "FILE")]
    pub(crate) spec: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) folders: Folders,
}

#[derive(Debug, Args)]
pub(crate) struct Resolve {
    #[command(flatten)]
    pub(crate) version: Which,
    /// Ask the repositories although there is a lock.
    #[arg(long)]
    pub(crate) refresh: bool,
    /// Only say what the lock would be.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Realize {
    #[command(flatten)]
    pub(crate) version: Which,
    /// Ask the repositories although there is a lock.
    #[arg(long)]
    pub(crate) refresh: bool,
    /// Only say what would be done, and how much downloaded. Repositories are asked only if there is no lock.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CloneVersion {
    /// The version to take the spec of.
    #[arg(long, value_name = "ID")]
    pub(crate) version_id: VersionId,
    /// The new version's id.
    #[arg(long, value_name = "ID")]
    pub(crate) to: VersionId,
    /// Replace the spec if there is one.
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) folders: Folders,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) version: Which,
    /// Delete the spec, too: `<id>.json` in the folder of the specs.
    #[arg(long, conflicts_with = "spec")]
    pub(crate) remove_spec: bool,
    /// Only say what would be deleted.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyModels {
    #[command(flatten)]
    pub(crate) version: Which,
    /// Only read, and fetch nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Pin {
    #[command(flatten)]
    pub(crate) version: Which,
    /// Ask the repositories and the package index although there is a lock.
    #[arg(long)]
    pub(crate) refresh: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Two {
    /// The id of a version, a lock file, or a folder that one was realized in.
    pub(crate) left: String,
    /// The same.
    pub(crate) right: String,
    #[command(flatten)]
    pub(crate) places: Places,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The id of a version, or a lock file.
    pub(crate) before: String,
    /// The same; if not given, what resolving the version anew gives.
    pub(crate) after: Option<String>,
    #[command(flatten)]
    pub(crate) places: Places,
}

#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// The old file.
    pub(crate) file: PathBuf,
    /// The new version's id; if not given, the tag in `comfy-<tag>.lock.json`.
    #[arg(long, value_name = "ID")]
    pub(crate) version_id: Option<VersionId>,
    /// The repository of ComfyUI that files mean which do not name one.
    #[arg(long, value_name = "REPO", default_value = version_spec::COMFY_REPO)]
    pub(crate) comfy: String,
    /// Replace the spec if there is one.
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) folders: Folders,
}

#[derive(Debug, Args)]
pub(crate) struct MakeBundle {
    #[command(flatten)]
    pub(crate) version: Which,
    /// The folder to make.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}
