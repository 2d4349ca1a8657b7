//! How git is called: alike for every user and machine, but with the user's own credentials and proxies.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use subprocess::{Command, Failed, Ran, Until};

use super::program::{GitProgram, LfsFiles};
use crate::{CancellationToken, Error, ErrorKind};

/// What a git that called us (from a hook, say) would make our git work on.
const OF_ANOTHER_REPOSITORY: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
    "GIT_REPLACE_REF_BASE",
    "GIT_QUARANTINE_PATH",
    "GIT_TEMPLATE_DIR",
    "GIT_DEFAULT_HASH",
    "GIT_DEFAULT_REF_FORMAT",
    "GIT_ATTR_SOURCE",
    "GIT_CONFIG",
    "LANGUAGE",
];

const SETTINGS: &[&str] = &[
    // A hook of the user's template is for the user's own repositories.
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    // The same bytes everywhere.
    "core.autocrlf=false",
    "core.eol=lf",
    // What is read without git, and what commits of 40 digits are in, whatever the user's own repositories have.
    "init.defaultObjectFormat=sha1",
    "init.defaultRefFormat=files",
    // Caches lie on volumes that know no owners, or other ones.
    "safe.directory=*",
    "advice.detachedHead=false",
    // Nothing may go on in the background when the command is done.
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    // One pack, and not hundreds of small files on a network volume.
    "fetch.unpackLimit=1",
    // A connection over which nothing comes is a broken one.
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=60",
    "core.longPaths=true",
    // The address of a submodule may not be a command, whatever the user allows his own repositories.
    "protocol.ext.allow=never",
];

const WITH_LFS: &[&str] = &[
    "filter.lfs.process=git-lfs filter-process",
    "filter.lfs.smudge=git-lfs smudge -- %f",
    "filter.lfs.clean=git-lfs clean -- %f",
    "filter.lfs.required=true",
];

const WITHOUT_LFS: &[&str] = &[
    "filter.lfs.process=",
    "filter.lfs.smudge=",
    "filter.lfs.clean=",
    "filter.lfs.required=false",
];

impl GitProgram {
    /// A call of git that reads and writes no repository of its own accord.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        let lfs = match self.lfs {
            LfsFiles::Fetch => WITH_LFS,
            LfsFiles::Pointers => WITHOUT_LFS,
        };
        for setting in lfs {
            command.args(["-c", setting]);
        }
        for (number, (key, secret)) in self.secrets.iter().enumerate() {
            // Arguments can be read by every user of the machine, the environment only by ours.
            let variable = format!("LOCKSTEP_GIT_{number}");
            command.arg(format!("--config-env={key}={variable}"));
            command.env(variable, &secret.0);
        }
        for variable in OF_ANOTHER_REPOSITORY {
            command.env_remove(variable);
        }
        command.env("LC_ALL", "C");
        // Nobody is there to answer.
        command.env("GIT_TERMINAL_PROMPT", "0");
        command.env("SSH_ASKPASS_REQUIRE", "force");
        command.env("GCM_INTERACTIVE", "never");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// A call of git on the checkout in a folder and on none above it, whoever owns it.
    pub(super) fn command_in(&self, folder: &Path) -> Command {
        let mut command = self.command();
        command
            .current_dir(folder)
            .args(["--git-dir=.git", "--work-tree=."]);
        command
    }

    /// The program that serves a repository on this machine: one that another user owns, too, and any commit of it. Of its configuration
    /// nothing that runs programs counts there (git-config, "protected configuration").
    pub(super) fn upload_pack(&self) -> OsString {
        let program = self.program.to_string_lossy().replace('\'', r"'\''");
        format!("--upload-pack='{program}' -c safe.directory=* -c uploadpack.allowAnySHA1InWant=true upload-pack").into()
    }

    /// Runs a call to its end, whatever that is.
    pub(super) async fn run(
        &self,
        command: &mut Command,
        cancel: &CancellationToken,
    ) -> Result<Ran, Error> {
        const LIMIT: usize = 64 << 20;
        let subcommand = command.as_std().get_args().map(OsStr::to_string_lossy);
        let shown: Vec<_> = subcommand
            .skip_while(|argument| argument.starts_with('-') || argument.contains('='))
            .collect();
        tracing::debug!(command = %crate::text::without_secrets(&shown.join(" ")), "git");
        subprocess::run(command, LIMIT, &Until::cancelled(cancel))
            .await
            .map_err(|failed| match failed {
                Failed::Cancelled => Error::cancelled(),
                Failed::TooLong => Error::new(
                    ErrorKind::Git,
                    format!("git printed more than {LIMIT} bytes"),
                ),
                Failed::Start(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    self.missing().with_source(error)
                }
                failed => Error::new(
                    ErrorKind::Program,
                    format!("{} cannot be run", self.program.display()),
                )
                .with_source(failed),
            })
    }

    pub(super) fn missing(&self) -> Error {
        Error::new(
            ErrorKind::Program,
            format!("the program {} is missing", self.program.display()),
        )
        .with_hint("install git, or say where it is")
    }
}
