//! `lockstep hot-swap`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use updater::ReleasePath;
use url::Url;

use super::seconds;

const EXAMPLES: &str = "\
Examples:
  A systemd unit, checked by its version and its health page:
    lockstep hot-swap --target /srv/bin/server --candidate ./target/release/server \\
      --build 'cargo build --release' --systemd server.service \\
      --expect-version 1.4.2 --health-url http://127.0.0.1:8080/health

  A process that is started here, again whenever sources change:
    lockstep hot-swap --target ./run/server --candidate ./target/debug/server \\
      --build 'cargo build' --sources . --watch -- ./run/server --port 8080

  The binary inside a container:
    lockstep hot-swap --target /app/server --candidate ./server --container sketcher

  What is there to go back to, and back:
    lockstep hot-swap list --target /srv/bin/server
    lockstep hot-swap rollback --target /srv/bin/server --systemd server.service

If the new binary does not work, the one before is in place and runs again, and the exit code is 1. If that
could not be done, it is 5.";

/// Without a subcommand: replace a binary.
#[derive(Debug, Args)]
#[command(
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    subcommand_value_name = "rollback|list|clean"
)]
pub(crate) struct HotSwap {
    #[command(subcommand)]
    pub(crate) command: Option<HotSwapCommand>,
    #[command(flatten)]
    pub(crate) swap: Option<Swap>,
}

impl HotSwap {
    pub(crate) fn json(&self) -> bool {
        let target = match (&self.command, &self.swap) {
            (Some(HotSwapCommand::Rollback(rollback)), _) => &rollback.target,
            (Some(HotSwapCommand::List(target)), _) => target,
            (Some(HotSwapCommand::Clean(clean)), _) => &clean.target,
            (None, Some(swap)) => &swap.target,
            (None, None) => return false,
        };
        target.json
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum HotSwapCommand {
    /// Put the binary in place that was there before, or a given backup, with the same checks.
    Rollback(Box<Rollback>),
    /// List the backups, the newest first.
    List(Target),
    /// Delete all backups but the newest.
    Clean(Clean),
}

/// Which binary.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The binary to replace: a file, or the absolute path of one inside --container.
    #[arg(long = "target", value_name = "FILE")]
    pub(crate) binary: PathBuf,
    /// The container that it is in; it is what is restarted, too.
    #[arg(long, value_name = "NAME")]
    pub(crate) container: Option<String>,
    /// The engine of the container; without, docker or podman, whichever is installed.
    #[arg(long, value_name = "PROGRAM", requires = "container")]
    pub(crate) engine: Option<PathBuf>,
    /// Where to keep backups and notes, each target's in a folder of its own; without, beside the target, and for a
    /// container in $XDG_STATE_HOME/lockstep or ~/.local/state/lockstep.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Print one JSON object on stdout, errors included; with --watch one a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What runs it, and how to see whether it works.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
#[command(group(ArgGroup::new("service").args(["systemd", "pid_file", "start", "container"])))]
pub(crate) struct Service {
    /// The systemd unit to restart.
    #[arg(long, value_name = "UNIT")]
    pub(crate) systemd: Option<String>,
    /// The unit is one of the user's.
    #[arg(long, requires = "systemd")]
    pub(crate) user: bool,
    /// The process to signal, which somebody else starts again: by its pid file.
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// What to tell that process.
    #[arg(long, value_enum, default_value_t = Signal::Term, requires = "pid_file")]
    pub(crate) signal: Signal,
    /// The service's log: what a started process prints is added to it; for --pid-file, where it writes it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["systemd", "container"])]
    pub(crate) log: Option<PathBuf>,
    /// If the container is missing, create it from this image.
    #[arg(long, value_name = "IMAGE", requires = "container")]
    pub(crate) image: Option<String>,
    /// An option for creating the container, such as --create-arg=--publish=8080:8080; may be repeated.
    #[arg(
        long = "create-arg",
        value_name = "ARG",
        requires = "image",
        allow_hyphen_values = true
    )]
    pub(crate) create_arguments: Vec<String>,
    /// Only replace the file: restart nothing.
    #[arg(long)]
    pub(crate) no_restart: bool,
    /// What the new binary must say of its version when it is asked with --version.
    #[arg(long, value_name = "VERSION")]
    pub(crate) expect_version: Option<String>,
    /// What to ask it with instead of --version; may be repeated.
    #[arg(
        long = "version-arg",
        value_name = "ARG",
        requires = "expect_version",
        allow_hyphen_values = true
    )]
    pub(crate) version_arguments: Vec<OsString>,
    /// Run this with `sh -c` after the restart, again and again until it ends with 0.
    #[cfg_attr(not(unix), arg(hide = true))]
    #[arg(long, value_name = "COMMAND", conflicts_with = "health_url")]
    pub(crate) health_command: Option<OsString>,
    /// Ask this URL after the restart, until it answers with success.
    #[arg(long, value_name = "URL")]
    pub(crate) health_url: Option<Url>,
    /// How long restart and checks may take together.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) deadline: Duration,
    /// How long the service must stay up to count as working.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(crate) settle: Duration,
    /// How long a process that is started here may take to end before it is killed.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds, requires = "start")]
    pub(crate) grace: Duration,
    /// Leave the new binary in place, whether it works or not. Also needed for the very first one.
    #[arg(long)]
    pub(crate) no_rollback: bool,
    /// How many backups to keep after a swap that succeeded.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) keep_backups: usize,
    /// Say nothing of the steps.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Only say what would be done.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The command that starts the service, if it is a process of this machine: after `--`.
    ///
    /// The process that was started so before is ended first; it goes on when lockstep ends.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) start: Vec<OsString>,
}

/// A binary, what is to take its place, and what runs it.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)] // of `Swap`, to which the candidates say that they belong
pub(crate) struct Swap {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The file to put in place.
    #[arg(long, value_name = "FILE", group = "Swap")]
    pub(crate) candidate: Option<PathBuf>,
    /// Take it from the release that is active in this installation, proved by its manifest.
    #[arg(long, value_name = "ROOT", requires = "file", group = "Swap")]
    pub(crate) release: Option<PathBuf>,
    /// Which file of the release.
    #[arg(long, value_name = "PATH", requires = "release")]
    pub(crate) file: Option<ReleasePath>,
    /// Run this with `sh -c` first; it makes the candidate.
    #[cfg_attr(not(unix), arg(hide = true))]
    #[arg(long, value_name = "COMMAND")]
    pub(crate) build: Option<OsString>,
    /// The folder with the sources: a build that gives another binary from the same ones is pointed out.
    #[arg(long, value_name = "DIR", requires = "build")]
    pub(crate) sources: Option<PathBuf>,
    /// Build and swap again whenever the sources change, until Ctrl-C.
    #[arg(long, requires = "sources", conflicts_with = "dry_run")]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) service: Service,
}

#[derive(Debug, Args)]
pub(crate) struct Rollback {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The backup, by the beginning of its name or hash; without, the newest with another content than what is in place.
    #[arg(long, value_name = "BACKUP")]
    pub(crate) to: Option<String>,
    #[command(flatten)]
    pub(crate) service: Service,
}

#[derive(Debug, Args)]
pub(crate) struct Clean {
    #[command(flatten)]
    pub(crate) target: Target,
    /// How many backups to keep.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) keep: usize,
    /// Only say what would be deleted.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What a process can be told.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Signal {
    Term,
    Int,
    Hup,
    Usr1,
    Usr2,
}

impl From<Signal> for hot_swap::Signal {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Term => Self::Terminate,
            Signal::Int => Self::Interrupt,
            Signal::Hup => Self::Hangup,
            Signal::Usr1 => Self::User1,
            Signal::Usr2 => Self::User2,
        }
    }
}
