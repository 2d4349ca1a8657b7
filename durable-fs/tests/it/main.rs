//! The disk as its users see it.

mod append;
mod compose;
mod deep;
mod faults;
mod folders;
#[cfg(unix)]
mod hostile;
mod lock;
mod paths;
#[cfg(unix)]
mod place;
mod steps;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use durable_fs::{Dir, Disk, Effect, Error, ErrorKind, Observer, Operation, Recorder, Verdict};
use tempfile::TempDir;

/// A fresh folder, and a handle on it.
fn root() -> (TempDir, Dir) {
    root_on(&Disk::real())
}

fn root_on(disk: &Disk) -> (TempDir, Dir) {
    let folder = tempfile::tempdir().unwrap();
    let root = disk.open_dir(folder.path()).unwrap();
    (folder, root)
}

fn recorded() -> (TempDir, Dir, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::new());
    let (folder, root) = root_on(&Disk::observed(recorder.clone()));
    (folder, root, recorder)
}

fn operations(recorder: &Recorder) -> Vec<Operation> {
    recorder
        .effects()
        .into_iter()
        .map(|(operation, ..)| operation)
        .collect()
}

/// The names in a folder, without our own handle.
fn names(folder: impl Into<PathBuf>) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder.into())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[track_caller]
fn assert_kind<T: std::fmt::Debug>(result: Result<T, Error>, kind: ErrorKind) {
    let error = result.expect_err("this must fail");
    assert_eq!(error.kind(), kind, "{error:?}");
}

/// What to do to one step.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Errno(i32),
    Short(usize),
}

/// Does something to one step, counted from zero, or to every step of one kind.
#[derive(Debug)]
struct Script {
    at: Option<usize>,
    only: Option<Operation>,
    fault: Fault,
    seen: AtomicUsize,
}

impl Script {
    fn at(step: usize, fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            at: Some(step),
            only: None,
            fault,
            seen: AtomicUsize::new(0),
        })
    }

    fn every(operation: Operation, fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            at: None,
            only: Some(operation),
            fault,
            seen: AtomicUsize::new(0),
        })
    }

    fn first(operation: Operation, fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            at: Some(0),
            only: Some(operation),
            fault,
            seen: AtomicUsize::new(0),
        })
    }
}

impl Observer for Script {
    fn before(&self, effect: &Effect<'_>) -> Verdict {
        if self.only.is_some_and(|only| only != effect.operation) {
            return Verdict::Proceed;
        }
        let step = self.seen.fetch_add(1, Ordering::Relaxed);
        if self.at.is_some_and(|at| at != step) {
            return Verdict::Proceed;
        }
        match self.fault {
            Fault::Errno(errno) => Verdict::Fail(io::Error::from_raw_os_error(errno)),
            Fault::Short(length) => Verdict::Short(length),
        }
    }

    fn after(&self, _: &Effect<'_>) {}
}
