//! The process stops before the N-th effect on the disk, for each N: rows 51, 59 and 62 in process.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use activation::{Error, Installation, Session};
use durable_fs::{Disk, Effect, Observer, Verdict};
use testkit::Tree;

use crate::common::{Root, TOOL, now, roll_back, symlink, update, version};

/// Lets so many effects through, and none after them.
#[derive(Debug)]
struct Stop {
    left: AtomicUsize,
}

impl Observer for Stop {
    fn before(&self, _: &Effect<'_>) -> Verdict {
        let left = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            });
        match left {
            Ok(_) => Verdict::Proceed,
            Err(_) => Verdict::Fail(io::Error::from_raw_os_error(5)),
        }
    }

    fn after(&self, _: &Effect<'_>) {}
}

fn first() -> Tree {
    Tree::new()
        .with("a", "1")
        .with("same", "same")
        .with_program("bin/x", "x")
        .with("gone/y", "y")
}

fn second() -> Tree {
    Tree::new()
        .with("a", "2")
        .with("same", "same")
        .with("bin/x", "x")
        .with("new/z", "z")
        .with("new/copy", "z")
}

const MINE: [&str; 4] = ["mine", "own/deep/file", ".env", "bin/tool.log"];

/// The first release is active, with files of the user's in it.
fn installed() -> Root {
    let root = Root::with(&first(), "1.0.0");
    for path in MINE {
        root.write(&format!("releases/v1.0.0/{path}"), format!("mine: {path}"));
    }
    symlink("/nowhere", root.at("releases/v1.0.0/link")).unwrap();
    root
}

/// Whatever is active is whole and has the user's files.
fn assert_sound(root: &Root, versions: &[&str], step: usize) {
    let active = root.active();
    assert!(versions.contains(&active.version().as_str()), "step {step}");
    let verification = active.verify(&()).unwrap();
    assert!(verification.is_intact(), "step {step}: {verification:?}");
    for path in MINE {
        let found = root.read(&format!("releases/v{}/{path}", active.version()));
        assert_eq!(found, format!("mine: {path}"), "step {step}");
    }
    assert!(
        root.exists(&format!("releases/v{}/link", active.version())),
        "step {step}"
    );
}

/// Stops `change` at each step in a root made by `prepare`, then looks, runs it again and looks again.
fn stop_everywhere(
    versions: &[&str],
    prepare: impl Fn() -> Root,
    change: impl Fn(&Session) -> Result<(), Error>,
    check: impl Fn(&Root, usize),
) {
    for step in 0.. {
        assert!(step < 2_000, "it never finishes");
        let root = prepare();
        let stop = Arc::new(Stop {
            left: AtomicUsize::new(step),
        });
        let disk = Disk::observed(stop);
        let result = Installation::open(&disk, root.path())
            .and_then(|installation| installation.lock())
            .and_then(|session| change(&session));
        assert_sound(&root, versions, step);
        if result.is_ok() {
            check(&root, step);
            assert!(step > 10, "{step} steps are too few to be true");
            return;
        }
        // A reader of the state that the crash left, a lock that mends it, and a second run.
        drop(root.session());
        assert_sound(&root, versions, step);
        change(&root.session()).unwrap_or_else(|error| panic!("step {step}: {error:?}"));
        assert_sound(&root, versions, step);
        check(&root, step);
        root.is_tidy();
    }
}

#[test]
fn an_update_stopped_anywhere_is_old_or_new_and_finishes_when_run_again() {
    stop_everywhere(
        &["1.0.0", "2.0.0"],
        installed,
        |session| update(session, &second(), &second().manifest(TOOL, "2.0.0")).map(drop),
        |root, step| {
            assert_eq!(root.current(), "v2.0.0", "step {step}");
            root.session().retain(0, now()).unwrap();
            assert_eq!(root.kept(), [""; 0], "step {step}");
        },
    );
}

#[test]
fn the_first_installation_stopped_anywhere_finishes_when_run_again() {
    for step in 0..1_000 {
        let root = Root::new();
        let disk = Disk::observed(Arc::new(Stop {
            left: AtomicUsize::new(step),
        }));
        let manifest = first().manifest(TOOL, "1.0.0");
        let result = Installation::open(&disk, root.path())
            .and_then(|installation| installation.lock())
            .and_then(|session| update(&session, &first(), &manifest));
        if let Some(active) = root.installation().active().unwrap() {
            assert!(active.verify(&()).unwrap().is_intact(), "step {step}");
        }
        root.install(&first(), "1.0.0");
        assert!(
            root.active().verify(&()).unwrap().is_intact(),
            "step {step}"
        );
        assert_eq!(root.kept(), [""; 0], "step {step}");
        if result.is_ok() {
            return;
        }
    }
    panic!("it never finishes");
}

#[test]
fn an_exchange_stopped_anywhere_is_old_or_new_and_loses_nothing() {
    let other = first()
        .with("a", "1 republished")
        .with("in the way", "theirs");
    stop_everywhere(
        &["1.0.0"],
        || {
            let root = installed();
            root.write("releases/v1.0.0/in the way", "my own");
            root
        },
        |session| update(session, &other, &other.manifest(TOOL, "1.0.0")).map(drop),
        |root, step| {
            assert_eq!(
                root.read("releases/v1.0.0/a"),
                "1 republished",
                "step {step}"
            );
            assert_eq!(root.kept(), ["v1.0.0/in the way"], "step {step}");
        },
    );
}

#[test]
fn e62_a_rollback_stopped_anywhere_finishes_when_run_again() {
    stop_everywhere(
        &["1.0.0", "2.0.0"],
        || {
            let root = installed();
            root.install(&second(), "2.0.0");
            root.write("releases/v2.0.0/later", "written in 2.0.0");
            root.write("releases/v1.0.0/later", "written in 1.0.0, since");
            root
        },
        |session| roll_back(session, &version("1.0.0")).map(drop),
        |root, step| {
            assert_eq!(root.current(), "v1.0.0", "step {step}");
            assert_eq!(
                root.read("releases/v1.0.0/later"),
                "written in 2.0.0",
                "step {step}"
            );
            assert_eq!(root.kept(), ["v1.0.0/later"], "step {step}");
        },
    );
}

#[test]
fn e62_a_cleanup_stopped_anywhere_finishes_when_run_again() {
    stop_everywhere(
        &["2.0.0"],
        || {
            let root = installed();
            root.install(&second(), "2.0.0");
            root.write("releases/v1.0.0/late", "only here");
            root.write("releases/v1.0.0/deep/late", "only here");
            root
        },
        |session| session.retain(0, now()).map(drop),
        |root, step| {
            assert_eq!(root.releases(), ["2.0.0"], "step {step}");
            assert_eq!(
                root.kept(),
                ["v1.0.0/deep/late", "v1.0.0/late"],
                "step {step}"
            );
        },
    );
}
