//! A folder with a binary, its successor, and a service that runs in no process.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use hot_swap::{
    Behaviour, CancellationToken, Error, ErrorKind, FakeRuntime, HotSwap, Report, Sha256Digest,
    StepOutcome,
};
use tempfile::TempDir;

pub(crate) struct World {
    folder: TempDir,
    pub(crate) service: FakeRuntime,
}

impl World {
    /// `bin/server` is 1.0, `next` is 1.1. A binary whose text says so exits, crashes, hangs or cannot start.
    pub(crate) fn new() -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
            service: FakeRuntime::new(behaviour),
        };
        fs::create_dir(world.path("bin")).unwrap();
        world.write("bin/server", "server 1.0\n");
        world.write("next", "server 1.1\n");
        world
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Writes a program.
    pub(crate) fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).unwrap()
    }

    /// A swap with the fake service, that never waits long.
    pub(crate) fn swap(&self) -> HotSwap {
        self.bare().with_runtime(self.service.clone())
    }

    /// A swap without a service.
    pub(crate) fn bare(&self) -> HotSwap {
        HotSwap::new(self.path("bin/server"), self.path("next"))
    }

    /// The names in the state folder.
    pub(crate) fn state(&self) -> Vec<String> {
        names(&self.path("bin/.lockstep-swap/server"))
    }

    /// What the backups hold, the newest first.
    pub(crate) fn backups(&self) -> Vec<String> {
        let all = self.bare().backups().unwrap();
        let folder = self.path("bin/.lockstep-swap/server/backups");
        all.iter()
            .map(|backup| fs::read_to_string(folder.join(&backup.name)).unwrap())
            .collect()
    }
}

pub(crate) fn names(folder: &std::path::Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

pub(crate) fn behaviour(binary: &[u8]) -> Behaviour {
    let text = String::from_utf8_lossy(binary);
    if text.contains("exits") {
        Behaviour::Exits
    } else if text.contains("crashes") {
        Behaviour::CrashLoops
    } else if text.contains("hangs") {
        Behaviour::Hangs
    } else if text.contains("cannot start") {
        Behaviour::CannotStart
    } else {
        Behaviour::Works
    }
}

pub(crate) async fn run(swap: &HotSwap) -> Result<Report, Error> {
    swap.run(&CancellationToken::new()).await
}

#[track_caller]
pub(crate) fn assert_kind<T: std::fmt::Debug>(result: Result<T, Error>, kind: ErrorKind) -> Error {
    let error = result.expect_err("this must fail");
    assert_eq!(error.kind(), kind, "{error:?}");
    error
}

pub(crate) fn digest(text: &str) -> Sha256Digest {
    Sha256Digest::of(text.as_bytes())
}

/// The steps, with a mark for what became of them.
pub(crate) fn steps(report: &Report) -> Vec<String> {
    let mark = |outcome: &StepOutcome| match outcome {
        StepOutcome::Done(_) => "",
        StepOutcome::Skipped(_) => " (skipped)",
        StepOutcome::Failed(_) => " (failed)",
        _ => " (?)",
    };
    report
        .steps
        .iter()
        .map(|report| format!("{}{}", report.step, mark(&report.outcome)))
        .collect()
}
