//! Exit codes, and failures as people and programs see them.

use std::error::Error as StdError;
use std::fmt::Debug;
use std::process::ExitCode;

/// How many of a script's last lines are shown; `--json` has more.
const SHOWN_LINES: usize = 20;

/// How the program ends. A command line that cannot be read ends it with 2, too, which is clap's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Busy = 3,
    Refused = 4,
    /// Something was changed, does not work, and could not be changed back.
    Broken = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error of any layer, ready to be shown.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// The class of the failure, e.g. `no_space`.
    pub(crate) kind: String,
    pub(crate) message: String,
    /// What led to it, the nearest first.
    pub(crate) causes: Vec<String>,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// How far it came.
    pub(crate) progress: Option<Box<Progress>>,
}

/// How far something came before it failed.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    /// What the program said last that did not work.
    pub(crate) last_lines: Vec<String>,
    /// For programs.
    pub(crate) report: serde_json::Value,
}

impl Failure {
    fn new(kind: impl Debug, error: &dyn StdError) -> Self {
        Self {
            exit: Exit::Failed,
            kind: snake_case(&format!("{kind:?}")),
            message: error.to_string(),
            causes: causes(error),
            hint: None,
            progress: None,
        }
    }

    /// Something outside the libraries went wrong.
    pub(crate) fn io(message: String, error: &dyn StdError) -> Self {
        let mut failure = Self::new("io", error);
        failure.kind = "io".into();
        failure.under(message)
    }

    /// Says more generally what failed; what was said becomes the cause.
    pub(crate) fn under(mut self, message: String) -> Self {
        let cause = std::mem::replace(&mut self.message, message);
        self.causes.insert(0, cause);
        self
    }

    /// Somebody stopped it. Where it was at that moment is of no interest to them.
    fn cancelled(hint: &str) -> Self {
        Self {
            exit: Exit::Failed,
            kind: "cancelled".into(),
            message: "cancelled".into(),
            causes: Vec::new(),
            hint: Some(hint.into()),
            progress: None,
        }
    }

    /// A command that would do something that nobody means.
    pub(crate) fn usage(message: String) -> Self {
        Self {
            exit: Exit::Usage,
            kind: "usage".into(),
            message,
            causes: Vec::new(),
            hint: None,
            progress: None,
        }
    }

    fn with_exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// Says first what it is about.
    pub(crate) fn about(mut self, subject: &str) -> Self {
        self.message = format!("{subject}: {}", self.message);
        self
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<updater::Error> for Failure {
    fn from(error: updater::Error) -> Self {
        use updater::ErrorKind;

        if error.kind() == ErrorKind::Cancelled {
            // It says which release is active, if a release was on trial.
            return Self::new(error.kind(), &error).with_hint("running it again goes on from here");
        }
        let failure = Self::new(error.kind(), &error).with_exit(match error.kind() {
            ErrorKind::Busy => Exit::Busy,
            ErrorKind::Trust
            | ErrorKind::WrongProduct
            | ErrorKind::Rollback
            | ErrorKind::Policy => Exit::Refused,
            _ => Exit::Failed,
        });
        let hint = match error.kind() {
            ErrorKind::Trust => {
                "compare --require-hash with what the publisher says; do not install a manifest that you \
                 cannot explain"
            }
            ErrorKind::WrongProduct => "give each tool a --root of its own",
            ErrorKind::Rollback => {
                "pass --allow-downgrade to install it all the same, or go back with `lockstep rollback`"
            }
            ErrorKind::Manifest => "`lockstep manifest verify FILE` lists everything that is wrong",
            ErrorKind::Busy => "wait until the other process has ended, then run this again",
            ErrorKind::NoSpace => {
                "make room, for instance with `lockstep prune --keep 0`; what was fetched is kept"
            }
            ErrorKind::Integrity => {
                "this source has other bytes than the manifest says: try another --mirror"
            }
            ErrorKind::NotFound => {
                "is the release published there? A mirror is named by its base, such as \
                 http://hq:8080/api/v1/tools/"
            }
            ErrorKind::NoInstallation => {
                "`lockstep update --root ROOT --manifest URL` installs a release, `lockstep doctor --root ROOT` \
                 says what is wrong with an installation"
            }
            ErrorKind::Network => {
                "check that the address can be reached, or name a mirror with --mirror; running again goes \
                 on from here"
            }
            ErrorKind::Unauthorized => {
                "the server wants credentials, which this command cannot send: use an address that needs none, or \
                 another --mirror"
            }
            ErrorKind::Damaged => "`lockstep repair` replaces damaged files of the active release",
            ErrorKind::Unhealthy => {
                "find out why it does not work; --retry-failed tries the same release again"
            }
            ErrorKind::PermissionDenied => {
                "run this as the user who owns the folder; its file system must not be read-only"
            }
            ErrorKind::Archive => {
                "`lockstep pack` makes release ZIPs; check the address, or download the ZIP and name the file"
            }
            _ => return failure,
        };
        failure.with_hint(hint)
    }
}

impl From<mirror::Error> for Failure {
    fn from(error: mirror::Error) -> Self {
        use mirror::ErrorKind;

        if error.kind() == ErrorKind::Cancelled {
            return Self::cancelled("nothing was published; running it again starts over");
        }
        let failure = Self::new(error.kind(), &error);
        match error.kind() {
            ErrorKind::Busy => failure
                .with_exit(Exit::Busy)
                .with_hint("wait until the other process has published, then run this again"),
            // A release never changes: as much a rule as refusing an older one.
            ErrorKind::Conflict => failure.with_exit(Exit::Refused),
            ErrorKind::Integrity => {
                failure.with_hint("do not change the folder while it is published")
            }
            ErrorKind::NoSpace => failure.with_hint("make room on the disk of the store"),
            _ => failure,
        }
    }
}

impl From<package::Error> for Failure {
    fn from(error: package::Error) -> Self {
        use package::ErrorKind;

        if error.kind() == ErrorKind::Cancelled {
            return Self::cancelled("nothing was written; running it again starts over");
        }
        let failure = Self::new(error.kind(), &error);
        match error.kind() {
            ErrorKind::Busy => failure
                .with_exit(Exit::Busy)
                .with_hint("wait until the other process has ended, then run this again"),
            ErrorKind::Conflict => failure
                .with_exit(Exit::Refused)
                .with_hint("--force replaces it, if nobody has fetched it yet"),
            ErrorKind::Policy => failure.with_exit(Exit::Refused),
            ErrorKind::Place | ErrorKind::Duplicate => failure.with_exit(Exit::Usage),
            ErrorKind::Catalog => failure
                .with_hint("mend it, or move it away: a new one lists only what is packed now"),
            ErrorKind::NoSpace => {
                failure.with_hint("make room on the disk of the folder to pack into")
            }
            _ => failure,
        }
    }
}

impl From<version_spec::Error> for Failure {
    fn from(error: version_spec::Error) -> Self {
        use version_spec::ErrorKind;

        if error.kind() == ErrorKind::Cancelled {
            return Self::cancelled("running it again goes on from here");
        }
        let mut failure = Self::new(error.kind(), &error).with_exit(match error.kind() {
            ErrorKind::Busy => Exit::Busy,
            ErrorKind::Torch => Exit::Refused,
            _ => Exit::Failed,
        });
        // The first is the error itself, and a text of several lines has them all.
        if !failure.message.contains('\n') {
            failure
                .causes
                .extend(error.problems().iter().skip(1).map(ToString::to_string));
        }
        failure.hint = error.hint().map(str::to_owned);
        failure
    }
}

impl From<hot_swap::Error> for Failure {
    fn from(error: hot_swap::Error) -> Self {
        use hot_swap::ErrorKind;

        let mut failure = Self::new(error.kind(), &error).with_exit(match error.kind() {
            ErrorKind::Busy => Exit::Busy,
            ErrorKind::Policy => Exit::Refused,
            ErrorKind::Configuration => Exit::Usage,
            ErrorKind::RollbackFailed => Exit::Broken,
            _ => Exit::Failed,
        });
        if let Some(report) = error.report() {
            failure.progress = Some(Box::new(Progress {
                last_lines: report.log.clone(),
                report: crate::output::json::value(report),
            }));
        }
        let hint = match error.kind() {
            ErrorKind::NoBackup => {
                "`lockstep hot-swap list` shows what there is to go back to; --no-rollback puts a first binary in place \
                 all the same"
            }
            ErrorKind::Busy => "wait until the other process has ended, then run this again",
            ErrorKind::RolledBack => {
                "nothing is left to do here; mend the new binary, and swap it in again"
            }
            ErrorKind::LeftFailing => {
                "`lockstep hot-swap rollback` puts the binary from before in place again, if there was one"
            }
            ErrorKind::RollbackFailed => {
                "look at the service now; running `lockstep hot-swap` again goes back first, and with --no-rollback goes \
                 on with what is in place if the backup is lost"
            }
            ErrorKind::PermissionDenied => {
                "run this as a user who may write into the target's folder, and give its owner"
            }
            ErrorKind::NoSpace => "make room on the disk of the target",
            _ => return failure,
        };
        failure.with_hint(hint)
    }
}

impl From<flash_gpu::Error> for Failure {
    fn from(error: flash_gpu::Error) -> Self {
        use flash_gpu::ErrorKind;

        if error.kind() == ErrorKind::Cancelled {
            return Self::cancelled("what was warm before still is; running it again starts over");
        }
        let mut failure = Self::new(error.kind(), &error).with_exit(match error.kind() {
            ErrorKind::Busy => Exit::Busy,
            ErrorKind::Policy => Exit::Refused,
            _ => Exit::Failed,
        });
        if let Some(tail) = error.log_tail() {
            let lines: Vec<_> = tail.lines().map(str::to_owned).collect();
            let shown = lines.len().saturating_sub(SHOWN_LINES);
            failure.progress = Some(Box::new(Progress {
                last_lines: lines[shown..].to_vec(),
                report: serde_json::json!({"log_tail": tail, "log": error.log()}),
            }));
        }
        let hint = match error.kind() {
            ErrorKind::NoInstallation => {
                "`lockstep update --root ROOT --manifest URL` installs a release"
            }
            ErrorKind::NoGpu | ErrorKind::NoCuda | ErrorKind::Probe => {
                "`lockstep flash-gpu --root ROOT --dry-run` shows what was found"
            }
            ErrorKind::DriverTooOld => "update the GPU's driver",
            ErrorKind::NoInterpreter => {
                "make the tool's venv/, or name a Python with --python for a tool that has none"
            }
            ErrorKind::PythonTooOld => "a newer Python is needed, in venv/ or by --python",
            ErrorKind::Policy => "links are not followed: mount the other disk there instead",
            ErrorKind::Deadline => "give it more time with --deadline SECONDS",
            ErrorKind::Damaged => "`lockstep repair --root ROOT` replaces damaged files",
            ErrorKind::Busy => "wait until the other warm-up has ended, then run this again",
            ErrorKind::NoSpace => "make room on the disk of the installation",
            _ => return failure,
        };
        failure.with_hint(hint)
    }
}

impl From<manifest_core::Error> for Failure {
    fn from(error: manifest_core::Error) -> Self {
        if error.kind() == manifest_core::ErrorKind::Cancelled {
            return Self::cancelled("nothing was written; running it again starts over");
        }
        let failure = Self::new(error.kind(), &error);
        match error.kind() {
            manifest_core::ErrorKind::Policy => failure.with_exit(Exit::Refused),
            _ => failure,
        }
    }
}

/// The chain below an error, without a cause that only says again what is said above it.
fn causes(error: &dyn StdError) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    let mut above = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        let text = match text.split_once(": ") {
            Some((subject, rest)) if above.contains(subject) => rest.to_owned(),
            _ => text,
        };
        if !above.contains(&text) {
            causes.push(text.clone());
            above = text;
        }
        source = cause.source();
    }
    causes
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl std::fmt::Display for Layer {
        fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str(self.0)
        }
    }

    impl StdError for Layer {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            self.1.as_deref().map(|layer| layer as _)
        }
    }

    #[test]
    fn a_cause_that_repeats_its_effect_is_left_out() {
        let disk = Layer("disk full", None);
        let copy = Layer("cannot write: disk full", Some(Box::new(disk)));
        let top = Layer("cannot update", Some(Box::new(copy)));
        assert_eq!(causes(&top), ["cannot write: disk full"]);
    }

    #[test]
    fn what_a_cause_is_about_is_said_once() {
        let answer = Layer("http://hq/m.json: not found", None);
        let top = Layer("cannot fetch http://hq/m.json", Some(Box::new(answer)));
        assert_eq!(causes(&top), ["not found"]);
    }

    #[test]
    fn kinds_are_written_in_snake_case() {
        assert_eq!(snake_case("NoSpace"), "no_space");
        assert_eq!(snake_case("Io"), "io");
    }
}
