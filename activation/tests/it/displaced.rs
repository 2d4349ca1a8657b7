//! A release takes the place of one that has its version and other content.

use std::fs;
use std::io;
use std::sync::Arc;

use activation::Installation;
use durable_fs::{Disk, Effect, Observer, Operation, Verdict};
use testkit::Tree;

use crate::common::{Root, TOOL, roll_back, symlink, update, version};

fn tree(text: &str) -> Tree {
    Tree::new().with("which", text).with("common", "common")
}

#[test]
fn an_inactive_one_is_exchanged_and_its_users_files_are_kept() {
    let root = Root::with(&tree("1"), "1.0.0");
    root.install(&tree("2"), "2.0.0");
    roll_back(&root.session(), &version("1.0.0")).unwrap();
    root.write("releases/v2.0.0/mine", "only here");
    root.write("releases/v1.0.0/carried", "carried");

    let done = root.install(&tree("2 republished"), "2.0.0");
    assert_eq!(root.current(), "v2.0.0");
    assert_eq!(root.read("releases/v2.0.0/which"), "2 republished");
    assert_eq!(root.read("releases/v2.0.0/carried"), "carried");
    assert!(!root.exists("releases/v2.0.0/mine"));
    assert_eq!(done.kept, [".lockstep/kept/v2.0.0/mine"]);
    assert_eq!(root.read(".lockstep/kept/v2.0.0/mine"), "only here");
    root.is_tidy();
}

#[test]
fn the_active_one_is_exchanged_and_its_users_files_move_along() {
    let root = Root::with(&tree("1"), "1.0.0");
    root.write("releases/v1.0.0/mine", "mine");
    root.write("releases/v1.0.0/new", "mine, in the way");
    let done = root.install(&tree("1 republished").with("new", "theirs"), "1.0.0");
    assert_eq!(root.read("releases/v1.0.0/which"), "1 republished");
    assert_eq!(root.read("releases/v1.0.0/mine"), "mine");
    assert_eq!(done.kept, [".lockstep/kept/v1.0.0/new"]);
    assert!(root.active().verify(&()).unwrap().is_intact());
    root.is_tidy();
}

#[test]
fn a_folder_without_a_manifest_is_in_nobodys_way_and_all_of_it_is_kept() {
    let root = Root::with(&tree("1"), "1.0.0");
    root.write("releases/v2.0.0/strange/file", "whose?");
    let done = root.install(&tree("2"), "2.0.0");
    assert_eq!(done.kept, [".lockstep/kept/v2.0.0/strange/file"]);
    assert_eq!(root.read("releases/v2.0.0/which"), "2");
    root.is_tidy();
}

#[test]
fn after_a_crash_a_displaced_release_is_settled_at_the_next_lock() {
    for (manifest, kept) in [
        (Some("1"), vec!["v1.0.0/only here"]),
        (None, vec!["v1.0.0/only here", "v1.0.0/which"]),
    ] {
        let root = Root::with(&tree("1 republished"), "1.0.0");
        root.write("releases/v1.0.0/mine", "mine");
        let displaced = root.at("releases/.staging/v1.0.0-0123456789abcdef.displaced");
        tree("1")
            .with("mine", "mine")
            .with("only here", "mine")
            .write_to(&displaced);
        if let Some(text) = manifest {
            let bytes = tree(text).manifest(TOOL, "1.0.0").to_bytes();
            fs::write(displaced.join("manifest.json"), bytes).unwrap();
        }
        drop(root.session());
        assert_eq!(root.kept(), kept);
        root.is_tidy();
    }
}

#[test]
fn a_link_in_the_releases_place_is_refused() {
    let outside = Root::new();
    outside.write("file", "outside");
    let root = Root::with(&tree("1"), "1.0.0");
    symlink(outside.path(), root.at("releases/v2.0.0")).unwrap();
    let session = root.session();
    let error = update(&session, &tree("2"), &tree("2").manifest(TOOL, "2.0.0")).unwrap_err();
    assert_eq!(error.kind(), activation::ErrorKind::Policy, "{error:?}");
    assert_eq!(root.current(), "v1.0.0");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    // Once it is away, the same update goes through.
    fs::remove_file(root.at("releases/v2.0.0")).unwrap();
    update(&session, &tree("2"), &tree("2").manifest(TOOL, "2.0.0")).unwrap();
    assert_eq!(root.current(), "v2.0.0");
}

/// A file system that cannot swap two names.
#[derive(Debug)]
struct NoExchange;

impl Observer for NoExchange {
    fn before(&self, effect: &Effect<'_>) -> Verdict {
        match effect.operation {
            Operation::Exchange => Verdict::Fail(io::ErrorKind::Unsupported.into()),
            _ => Verdict::Proceed,
        }
    }

    fn after(&self, _: &Effect<'_>) {}
}

#[test]
fn without_an_exchange_it_takes_two_renames() {
    let root = Root::with(&tree("1"), "1.0.0");
    root.write("releases/v1.0.0/mine", "mine");
    let disk = Disk::observed(Arc::new(NoExchange));
    let session = Installation::open(&disk, root.path())
        .unwrap()
        .lock()
        .unwrap();
    let next = tree("1 republished");
    update(&session, &next, &next.manifest(TOOL, "1.0.0")).unwrap();
    assert_eq!(root.read("releases/v1.0.0/which"), "1 republished");
    assert_eq!(root.read("releases/v1.0.0/mine"), "mine");
    assert_eq!(root.kept(), [""; 0]);
    root.is_tidy();
}
