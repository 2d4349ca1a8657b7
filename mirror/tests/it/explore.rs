//! Every effect of publishing, removing and collecting garbage fails, is the last one, is short, and is followed by a
//! power cut: a release is there as a whole or not at all, and running again finishes the job.
//!
//! `LOCKSTEP_EXPLORE=deep` tries more states of each power cut and more pairs of faults.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use durable_fs::Disk;
use mirror::{Error, ErrorKind, Store};
use testkit::{Case, Exploration, Image, scratch};

use crate::support::{Tree, tool, tree, version};

/// One content is the same as in the other release, and one is there twice.
fn first() -> Tree {
    tree("1.0.0", &[("main.py", b"one"), ("shared.bin", b"shared")])
}

fn second() -> Tree {
    let files: [(&str, &[u8]); 4] = [
        ("main.py", b"two"),
        ("shared.bin", b"shared"),
        ("a/new", b"new"),
        ("b/new", b"new"),
    ];
    tree("1.1.0", &files)
}

fn open(root: &Path, disk: &Disk) -> Result<Store, Error> {
    Store::open(disk, root.join("store"))
}

/// Whether the store has the release. If it has, every byte is right.
#[track_caller]
fn has(store: &Store, release: &Tree) -> bool {
    let manifest = &release.manifest;
    let stored = store
        .manifest(manifest.tool_id(), manifest.tool_version())
        .unwrap();
    let Some(stored) = stored else { return false };
    assert_eq!(*stored.bytes(), manifest.to_bytes());
    for entry in manifest.files() {
        let found = store.open_file(manifest.tool_id(), manifest.tool_version(), entry.path());
        let mut bytes = Vec::new();
        let mut file = found.unwrap().unwrap().file;
        file.read_to_end(&mut bytes).unwrap();
        let wanted = fs::read(release.folder.path().join(entry.path().as_str())).unwrap();
        assert_eq!(bytes, wanted, "{}", entry.path());
    }
    true
}

struct Scene<'s> {
    name: &'s str,
    before: &'s (dyn Fn(&Path) + Sync),
    operation: &'s (dyn Fn(&Store) -> Result<(), Error> + Sync),
    /// Releases that are there before, meanwhile and after.
    always: &'s [&'s Tree],
    /// One that is there or not, and whether it is there in the end.
    changes: Option<(&'s Tree, bool)>,
}

impl Scene<'_> {
    fn explore(&self) {
        let setup = |root: &Path| {
            fs::write(root.join("outside"), "not ours").unwrap();
            (self.before)(root);
        };
        let (fresh, copy) = (scratch(), scratch());
        setup(fresh.path());
        Image::read(fresh.path()).write_to(copy.path());
        (self.operation)(&open(copy.path(), &Disk::real()).unwrap()).unwrap();
        let undisturbed = Image::read(copy.path());

        let operation = |root: &Path, disk: Disk| {
            let done = open(root, &disk).and_then(|store| (self.operation)(&store));
            if let Err(error) = &done {
                let kinds = [ErrorKind::Io, ErrorKind::NoSpace];
                assert!(kinds.contains(&error.kind()), "{error:?}");
            }
            done
        };
        let check = |root: &Path, case: &Case| {
            // A reader does not wait for anybody to open the store for writing.
            let store = open(root, &Disk::real()).unwrap();
            self.check(&store, case.must_be_new());
            (self.operation)(&store).unwrap();
            self.check(&store, true);
            let differences = undisturbed.differences(&Image::read(root));
            assert!(differences.is_empty(), "{differences:#?}");
        };
        let (states, pairs) = match std::env::var_os("LOCKSTEP_EXPLORE") {
            Some(mode) if mode == "deep" => (400, 60),
            _ => (16, 2),
        };
        let exploration = Exploration::new(setup, operation, check)
            .with_states_per_cut(states)
            .with_pairs(pairs);
        println!("{}: {}", self.name, exploration.run());
    }

    fn check(&self, store: &Store, must_be_new: bool) {
        for release in self.always {
            assert!(has(store, release));
        }
        if let Some((release, wanted)) = self.changes {
            let found = has(store, release);
            assert!(found == wanted || !must_be_new, "it is there: {found}");
        }
    }
}

#[test]
fn d52_the_first_publish_is_there_as_a_whole_or_not_at_all() {
    let first = first();
    Scene {
        name: "first publish",
        before: &|_| {},
        operation: &|store| first.publish(store).map(drop),
        always: &[],
        changes: Some((&first, true)),
    }
    .explore();
}

#[test]
fn d52_a_publish_is_there_as_a_whole_or_not_at_all_and_the_others_stay() {
    let (first, second) = (first(), second());
    Scene {
        name: "publish",
        before: &|root| {
            let store = open(root, &Disk::real()).unwrap();
            first.publish(&store).unwrap();
        },
        operation: &|store| second.publish(store).map(drop),
        always: &[&first],
        changes: Some((&second, true)),
    }
    .explore();
}

#[test]
fn d52_a_release_that_is_removed_is_there_as_a_whole_or_not_at_all() {
    let (first, second) = (first(), second());
    Scene {
        name: "remove a release and collect garbage",
        before: &|root| {
            let store = open(root, &Disk::real()).unwrap();
            first.publish(&store).unwrap();
            second.publish(&store).unwrap();
        },
        operation: &|store| {
            store.remove_release(&tool(), &version("1.1.0"))?;
            store.collect_garbage().map(drop)
        },
        always: &[&first],
        changes: Some((&second, false)),
    }
    .explore();
}
