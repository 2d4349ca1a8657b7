//! What the command line looks like.

pub(crate) mod comfy;
pub(crate) mod flash_gpu;
pub(crate) mod hot_swap;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, ArgGroup, Args, Parser, Subcommand, ValueEnum};
use updater::{LinkPolicy, ReleaseVersion, Sha256Digest, ToolId};
use url::Url;

use crate::output::Format;

const EXAMPLES: &str = "\
Examples:
  Publish two versions of a tool and serve them:
    lockstep publish ./sketcher-1.0 --store ./store --tool-id sketcher --tool-version 1.0.0
    lockstep publish ./sketcher-1.1 --store ./store --tool-id sketcher --tool-version 1.1.0
    lockstep serve --store ./store --listen 127.0.0.1:8080

  Keep a worker on a release:
    lockstep update --root /srv/sketcher \\
      --manifest http://127.0.0.1:8080/api/v1/tools/sketcher/1.1.0/manifest.json
    lockstep status --root /srv/sketcher
    lockstep rollback --root /srv/sketcher

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 busy (another process is at it), 4 refused by policy,
5 a hot swap failed and could not be undone.";

/// Keep a fleet of machines on exactly the same release.
#[derive(Debug, Parser)]
#[command(name = "lockstep", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Arguments {
    /// Say on stderr what is being done; twice for every detail.
    #[arg(short, long, global = true, display_order = 900, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create and check manifests, which say what a release is.
    #[command(subcommand)]
    Manifest(ManifestCommand),
    /// Publish a folder as a release into a store.
    Publish(Publish),
    /// Pack folders as releases that travel as files: ZIP archives, and the catalogue that names them.
    ///
    /// The same files give the same bytes, on every run. If an archive of that name is there already with the same
    /// content, it is left alone; with other content, nothing at all is written, unless --force is given. A catalogue
    /// that is there is added to.
    Pack(Pack),
    /// Serve a store over HTTP, until Ctrl-C or SIGTERM.
    ///
    /// Prints the base URL of the tools once it listens. A release that is published while it runs is
    /// served at once.
    Serve(Serve),
    /// Bring an installation to a release, fetching only what is missing.
    ///
    /// The release is put together beside the active one, every byte of it is verified, and then it
    /// becomes active in one step. Whatever interrupts this, the active release is the old one or the
    /// new one; running it again goes on from there. Ctrl-C stops it cleanly.
    Update(Update),
    /// Say what is installed.
    Status(Place),
    /// Hash every file of the active release; exits with 1 if one is damaged.
    Verify(Place),
    /// Replace damaged files of the active release, fetching only those.
    Repair(Repair),
    /// Go back to the release before the active one, or to a given one, after verifying it.
    Rollback(Rollback),
    /// Delete releases that are too old to keep, and files whose deletion awaits this confirmation.
    Prune(Prune),
    /// Say what is wrong with an installation, why, and what to do about it; --fix does what needs nobody.
    ///
    /// Hashes every file of every release. Without --fix it reads only, and says what --fix would do. Exits
    /// with 1 if there is an error or a warning, and with 0 if there are notes at most.
    Doctor(Doctor),
    /// List what was done to an installation, the oldest first.
    History(Place),
    /// Say whether this worker may take network jobs: ELIGIBLE, OUTDATED or NO_INSTALLATION.
    ///
    /// Exits with 0 when eligible, and with 4 when not.
    Eligibility(Eligibility),
    /// Bring up ComfyUI environments, each described by one file.
    Comfy(comfy::Comfy),
    /// Replace the binary of a running service; go back if it does not work.
    ///
    /// What is in place is backed up first, and replaced by one rename: whoever starts it at any moment starts the old one or the
    /// new one, whole. Then the service is restarted and checked: hash, version, whether it stays up, a health probe. If a
    /// check fails, the binary from before is in place and runs again. Whatever interrupts this, running it again finishes or
    /// undoes it.
    HotSwap(Box<hot_swap::HotSwap>),
    /// Warm up the GPU for the active release, so that its first job need not wait.
    ///
    /// Looks at the GPU, compares driver and Python with what the release needs, runs the release's own warm-up script, and keeps
    /// what that leaves in cache/ for this release, GPU and driver: a second time, nothing is run. It never changes
    /// whether a worker may take network jobs.
    FlashGpu(flash_gpu::FlashGpu),
}

impl Command {
    pub(crate) fn format(&self) -> Format {
        let json = match self {
            Self::Manifest(
                ManifestCommand::Verify { json, .. } | ManifestCommand::Hash { json, .. },
            )
            | Self::Publish(Publish { json, .. })
            | Self::Pack(Pack { json, .. }) => *json,
            Self::Manifest(_) | Self::Serve(_) => false,
            Self::Comfy(comfy) => comfy.command.json(),
            Self::HotSwap(hot_swap) => hot_swap.json(),
            Self::Update(Update { place, .. })
            | Self::Status(place)
            | Self::Verify(place)
            | Self::Repair(Repair { place, .. })
            | Self::Rollback(Rollback { place, .. })
            | Self::Prune(Prune { place, .. })
            | Self::Doctor(Doctor { place, .. })
            | Self::History(place)
            | Self::FlashGpu(flash_gpu::FlashGpu { place, .. })
            | Self::Eligibility(Eligibility { place, .. }) => place.json,
        };
        if json { Format::Json } else { Format::Human }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum ManifestCommand {
    /// Describe a folder as a release: hash every file and print the manifest.
    ///
    /// Tool id and version come from the folder's tool.json where they are not given.
    Create {
        #[command(flatten)]
        source: Source,
        /// Where to write the manifest; `-` is stdout.
        #[arg(long, short, value_name = "FILE", default_value = "-")]
        output: PathBuf,
    },
    /// Check a manifest: schema, paths and hash. Lists everything that is wrong.
    ///
    /// Each problem is named by its place in the file, a JSON pointer. Exits with 0 only if nothing is
    /// wrong.
    Verify {
        /// The manifest; `-` is stdin.
        file: PathBuf,
        /// Also hash every file of this folder, and report what is missing, wrong or extra.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        /// Print one JSON object on stdout, errors included.
        #[arg(long)]
        json: bool,
    },
    /// Print the hash that a manifest has by its content, whatever hash it states.
    ///
    /// Whether the two are the same is said on stderr; `manifest verify` judges it by exit code.
    Hash {
        /// The manifest; `-` is stdin.
        file: PathBuf,
        /// Print one JSON object on stdout, errors included.
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of manifests.
    Schema,
}

/// A folder to make a release of.
#[derive(Debug, Args)]
pub(crate) struct Source {
    /// The folder with the files of the release.
    pub(crate) dir: PathBuf,
    /// The tool, instead of `tool_id` in the folder's tool.json.
    #[arg(long, value_name = "ID")]
    pub(crate) tool_id: Option<ToolId>,
    /// The version, instead of `version` in the folder's tool.json.
    #[arg(long, value_name = "V")]
    pub(crate) tool_version: Option<ReleaseVersion>,
    /// Where the tools will be served, for the files' URLs; the default is the one of the format.
    #[arg(long, value_name = "URL", value_parser = base_url)]
    pub(crate) base_url: Option<Url>,
}

#[derive(Debug, Args)]
pub(crate) struct Publish {
    #[command(flatten)]
    pub(crate) source: Source,
    /// The store; it is created if there is none.
    #[arg(long)]
    pub(crate) store: PathBuf,
    /// Print one JSON object on stdout, errors included.
    #[arg(long)]
    pub(crate) json: bool,
}

const PACK_EXAMPLES: &str = "\
Examples:
  lockstep pack ./sketcher ./upscaler --out ./dist \\
    --release-url https://github.com/o/tools/releases/download/2026-03/
  lockstep pack ./sketcher --out ./dist --dry-run";

#[derive(Debug, Args)]
#[command(after_help = PACK_EXAMPLES)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Pack {
    /// The folders, each with the files of one release and a tool.json that names it.
    #[arg(required = true, value_name = "DIR")]
    pub(crate) dirs: Vec<PathBuf>,
    /// The folder for the archives and catalog.json; it is created if there is none.
    #[arg(long, value_name = "DIST")]
    pub(crate) out: PathBuf,
    /// Where the archives will be uploaded to: the catalogue says for each where it is.
    #[arg(long, value_name = "URL", value_parser = base_url)]
    pub(crate) release_url: Option<Url>,
    /// For a single DIR: the tool, instead of `tool_id` in its tool.json.
    #[arg(long, value_name = "ID")]
    pub(crate) tool_id: Option<ToolId>,
    /// For a single DIR: the version, instead of `version` in its tool.json.
    #[arg(long, value_name = "V")]
    pub(crate) tool_version: Option<ReleaseVersion>,
    /// Where the tools will be served, for the files' URLs; the default is the one of the format.
    #[arg(long, value_name = "URL", value_parser = base_url)]
    pub(crate) base_url: Option<Url>,
    /// Date the manifests, in RFC 3339. Without, they have no date, and packing again gives the same bytes.
    #[arg(long, value_name = "TIME")]
    pub(crate) created_at: Option<String>,
    /// Replace archives that are there with other content. Nobody must have fetched them yet.
    #[arg(long)]
    pub(crate) force: bool,
    /// Let the catalogue name the packed release as the latest, also if it names a newer one.
    #[arg(long)]
    pub(crate) allow_downgrade: bool,
    /// Only say what would be written.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print one JSON object on stdout, errors included.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The store; it is created if there is none.
    #[arg(long)]
    pub(crate) store: PathBuf,
    /// The address and port to listen on; with port 0 the system chooses one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
}

/// An installation, and how to speak of it.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The folder of the installation.
    #[arg(long, value_parser = root)]
    pub(crate) root: PathBuf,
    /// Print one JSON object on stdout, errors included.
    #[arg(long)]
    pub(crate) json: bool,
}

const UPDATE_EXAMPLES: &str = "\
Examples:
  lockstep update --root /srv/sketcher \\
    --manifest http://hq:8080/api/v1/tools/sketcher/1.1.0/manifest.json
  lockstep update --root /srv/sketcher --manifest ./manifest.json \\
    --mirror http://hq:8080/api/v1/tools/ --dry-run
  lockstep update --root /srv/sketcher \\
    --zip https://github.com/o/r/releases/download/v1.1.0/tool_sketcher_1.1.0.zip";

#[derive(Debug, Args)]
#[command(after_help = UPDATE_EXAMPLES)]
#[command(group(ArgGroup::new("release").args(["manifest", "zip"]).required(true).multiple(true)))]
pub(crate) struct Update {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The manifest of the wanted release: an http:, https: or file: URL, or a path.
    #[arg(long, value_name = "URL|FILE", value_parser = manifest_url)]
    pub(crate) manifest: Option<Url>,
    /// The wanted release as a ZIP, `tool_<id>_<version>.zip`: a path, or the URL at a server that serves parts of files.
    ///
    /// Only its directory and the files that are missing are read, each proved by its hash. Alone, it gives the
    /// manifest, too, and is asked first; beside --manifest, it is asked when all other sources have failed.
    #[arg(long, value_name = "FILE|URL", value_parser = manifest_url)]
    pub(crate) zip: Option<Url>,
    /// The base of a mirror to fetch files from; several are tried in this order.
    ///
    /// If none is given, the mirror that served the manifest is used. The manifest's own URLs come last.
    #[arg(long = "mirror", value_name = "BASE", value_parser = base_url)]
    pub(crate) mirrors: Vec<Url>,
    /// Refuse the manifest unless it has this manifest hash.
    #[arg(long, value_name = "H")]
    pub(crate) require_hash: Option<Sha256Digest>,
    /// Only say what would be done.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Install an older release, or the same version with other content, too.
    #[arg(long)]
    pub(crate) allow_downgrade: bool,
    /// How many releases to keep for rollback beside the active one.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) keep: usize,
    /// How unchanged files come into the new release.
    #[arg(long, value_enum, default_value_t = Link::Share)]
    pub(crate) link: Link,
    /// How many files to fetch at a time.
    #[arg(long, value_name = "N", default_value = "8")]
    pub(crate) jobs: NonZeroUsize,
    /// Run this with `sh -c` in the new release's folder once it is active; unless it ends with 0, the
    /// release before is made active again.
    #[cfg_attr(not(unix), arg(hide = true))]
    #[arg(long, value_name = "COMMAND", conflicts_with = "health_url")]
    pub(crate) health_command: Option<OsString>,
    /// Ask this URL once the new release is active; unless it answers with success, the release before is
    /// made active again.
    #[arg(long, value_name = "URL")]
    pub(crate) health_url: Option<Url>,
    /// How long the answer to --health-command or --health-url may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) health_deadline: u64,
    /// Try a release again that was active before and did not work.
    #[arg(long)]
    pub(crate) retry_failed: bool,
}

/// How unchanged files come into the new release.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Link {
    /// Share the bytes: clone, else hard link, else copy.
    Share,
    /// Clone, else copy: for tools that write into their own files.
    Independent,
    /// Always copy.
    Copy,
}

impl From<Link> for LinkPolicy {
    fn from(link: Link) -> Self {
        match link {
            Link::Share => Self::Share,
            Link::Independent => Self::Independent,
            Link::Copy => Self::Copy,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Repair {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The base of a mirror to fetch files from; several are tried in this order.
    ///
    /// The URLs of the installed manifest come last.
    #[arg(long = "mirror", value_name = "BASE", value_parser = base_url)]
    pub(crate) mirrors: Vec<Url>,
}

#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// The release to go back to; the one before the active one if not given.
    pub(crate) version: Option<ReleaseVersion>,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct Prune {
    #[command(flatten)]
    pub(crate) place: Place,
    /// How many releases to keep for rollback beside the active one.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) keep: usize,
    /// Only say what would be deleted.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Mend what can be mended without asking. Nothing that may be yours is deleted.
    #[arg(long)]
    pub(crate) fix: bool,
    /// With --fix, the base of a mirror to fetch damaged files from; several are tried in this order.
    ///
    /// The URLs of the installed manifest come last.
    #[arg(long = "mirror", value_name = "BASE", value_parser = base_url, requires = "fix")]
    pub(crate) mirrors: Vec<Url>,
}

#[derive(Debug, Args)]
pub(crate) struct Eligibility {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The version that is required.
    #[arg(long, value_name = "V")]
    pub(crate) version: ReleaseVersion,
    /// The manifest hash that is required.
    #[arg(long, value_name = "H")]
    pub(crate) manifest_hash: Sha256Digest,
}

fn root(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_file() {
        return Err("it is a file; --root takes the folder of an installation".into());
    }
    Ok(path)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().map(Duration::try_from_secs_f64);
    match seconds {
        Some(Ok(seconds)) => Ok(seconds),
        _ => Err("a number of seconds is needed, such as 30 or 0.5".into()),
    }
}

fn base_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err("a base is an http: or https: URL, such as http://hq:8080/api/v1/tools/".into()),
    }
}

/// What looks like a URL is one; everything else is a path. `C:\x` is a path.
fn manifest_url(text: &str) -> Result<Url, String> {
    if text.contains("://") || text.starts_with("file:") {
        return Url::parse(text).map_err(|error| error.to_string());
    }
    let path = std::path::absolute(text).map_err(|error| error.to_string())?;
    Url::from_file_path(&path)
        .map_err(|()| format!("{} cannot be written as a URL", path.display()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_manifest_is_a_url_or_a_path() {
        let text = |text| manifest_url(text).unwrap().to_string();
        assert_eq!(text("http://hq/m.json"), "http://hq/m.json");
        assert_eq!(text("file:///a/m.json"), "file:///a/m.json");
        assert!(text("m 1.json").starts_with("file:///"));
        assert!(text("m 1.json").ends_with("/m%201.json"));
        assert!(manifest_url("http://").is_err());
    }

    #[test]
    fn a_mirror_that_is_not_http_is_refused() {
        for text in ["hq:8080", "hq", "ftp://hq/", "file:///srv/tools/"] {
            assert!(base_url(text).is_err(), "{text}");
        }
    }
}
