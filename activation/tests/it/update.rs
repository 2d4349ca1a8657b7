use std::fs;

use activation::{CurrentLink, Event};
use manifest_core::IgnoreGlobs;
use testkit::Tree;

use crate::common::{Root, TOOL, inode, is_executable, now, symlink, update, version};

fn first() -> Tree {
    Tree::new()
        .with("a.txt", "unchanged")
        .with_program("bin/run.sh", "#!/bin/sh")
        .with("models/m.bin", vec![7; 100_000])
}

#[test]
fn the_first_release_is_installed_whole() {
    let root = Root::new();
    assert!(root.installation().active().unwrap().is_none());
    let done = root.install(&first(), "1.0.0");

    assert_eq!(root.current(), "v1.0.0");
    let manifest = first().manifest(TOOL, "1.0.0");
    let installed = fs::read(root.at("releases/v1.0.0/manifest.json")).unwrap();
    assert_eq!(installed, manifest.to_bytes());
    let tree = Tree::read(&root.at("releases/v1.0.0")).without("manifest.json");
    assert_eq!(tree, first());
    assert!(done.release.verify(&()).unwrap().is_intact());
    root.is_tidy();
}

#[test]
fn an_update_links_what_did_not_change_and_touches_nothing_of_the_old_release() {
    let root = Root::with(&first(), "1.0.0");
    let before = Tree::read(&root.at("releases/v1.0.0"));
    let second = first()
        .without("a.txt")
        .with("b.txt", "new")
        .without("models/m.bin")
        .with("weights/moved.bin", vec![7; 100_000]);
    root.install(&second, "2.0.0");

    assert_eq!(root.current(), "v2.0.0");
    let tree = Tree::read(&root.at("releases/v2.0.0")).without("manifest.json");
    assert_eq!(tree, second, "a.txt is removed, the model moved");
    for (old, new) in [
        ("bin/run.sh", "bin/run.sh"),
        ("models/m.bin", "weights/moved.bin"),
    ] {
        let old = inode(root.at("releases/v1.0.0").join(old));
        assert_eq!(old, inode(root.at("releases/v2.0.0").join(new)), "{new}");
    }
    assert!(
        !root.exists("releases/v2.0.0/models"),
        "an empty folder of the old release"
    );
    assert_eq!(Tree::read(&root.at("releases/v1.0.0")), before);
    root.is_tidy();
}

#[test]
fn a_changed_mode_does_not_reach_the_release_that_has_the_same_content() {
    let root = Root::with(&first(), "1.0.0");
    let second = first()
        .with("bin/run.sh", "#!/bin/sh")
        .with_program("a.txt", "unchanged");
    root.install(&second, "2.0.0");

    assert!(is_executable(root.at("releases/v1.0.0/bin/run.sh")));
    assert!(!is_executable(root.at("releases/v2.0.0/bin/run.sh")));
    assert!(!is_executable(root.at("releases/v1.0.0/a.txt")));
    assert!(is_executable(root.at("releases/v2.0.0/a.txt")));
    for release in ["1.0.0", "2.0.0"] {
        let release = root
            .installation()
            .release(&version(release))
            .unwrap()
            .unwrap();
        assert!(release.verify(&()).unwrap().is_intact());
    }
}

#[test]
fn one_content_at_several_paths_is_staged_once_and_has_each_paths_mode() {
    let tree = Tree::new()
        .with("a", "same")
        .with("deep/b", "same")
        .with_program("c.sh", "same")
        .with("logs.d/x.log.txt", "same");
    let root = Root::with(&tree, "1.0.0");
    assert_eq!(
        Tree::read(&root.at("releases/v1.0.0")).without("manifest.json"),
        tree
    );
    let at = |path: &str| inode(root.at("releases/v1.0.0").join(path));
    assert_eq!(at("a"), at("deep/b"));
    assert_ne!(at("a"), at("c.sh"));
    // And from there to the next release.
    root.install(&tree.clone().with("new", "same"), "1.1.0");
    assert_eq!(at("a"), inode(root.at("releases/v1.1.0/new")));
}

#[test]
fn files_that_people_edit_are_never_shared() {
    let tree = Tree::new()
        .with("settings/a.ini", "same")
        .with("settings/b.ini", "same");
    let globs = IgnoreGlobs::new(["settings/**"]).unwrap();
    let manifest = |version| {
        tree.builder(TOOL, version)
            .with_ignore_globs(&globs)
            .build()
            .unwrap()
    };
    let root = Root::new();
    update(&root.session(), &tree, &manifest("1.0.0")).unwrap();
    update(&root.session(), &tree, &manifest("2.0.0")).unwrap();
    let all = [
        "v1.0.0/settings/a.ini",
        "v1.0.0/settings/b.ini",
        "v2.0.0/settings/a.ini",
    ];
    let mut inodes = all
        .map(|path| inode(root.at("releases").join(path)))
        .to_vec();
    inodes.sort_unstable();
    inodes.dedup();
    assert_eq!(inodes.len(), 3);
}

#[test]
fn e59_activating_twice_gives_the_same_result() {
    let root = Root::with(&first(), "1.0.0");
    root.write("releases/v1.0.0/mine.txt", "mine");
    let before = Tree::read(&root.at("releases"));
    let done = root.install(&first(), "1.0.0");
    assert_eq!(Tree::read(&root.at("releases")), before);
    assert_eq!(root.current(), "v1.0.0");
    assert_eq!(done.kept, [""; 0]);
    root.is_tidy();
}

#[test]
fn the_history_tells_what_was_done_and_survives_a_torn_line() {
    let root = Root::with(&first(), "1.0.0");
    let history = root.at(".lockstep/history.jsonl");
    let whole = fs::read_to_string(&history).unwrap();
    assert_eq!(whole.lines().count(), 1);
    fs::write(&history, format!("{whole}{{\"time\":\"2026-")).unwrap();
    root.install(&first().with("b", "b"), "2.0.0");

    let entries = root.installation().history().unwrap();
    assert_eq!(entries.len(), 2, "{entries:?}");
    assert_eq!(entries[1].event, Event::Activated);
    assert_eq!(entries[1].version, version("2.0.0"));
    assert_eq!(entries[1].from_version, Some(version("1.0.0")));
    assert_eq!(entries[1].time, "2027-01-15T08:00:00Z");
    let hash = first()
        .with("b", "b")
        .manifest(TOOL, "2.0.0")
        .manifest_hash();
    assert_eq!(entries[1].manifest_hash, Some(hash));
    assert_eq!(root.read(".lockstep/history.jsonl").lines().count(), 3);
}

#[test]
fn the_link_is_created_when_asked_for_and_then_moved_along() {
    let root = Root::new();
    let tree = Tree::new();
    let activate = |version: &str| {
        let session = root.session();
        let staging = session.stage(&tree.manifest(TOOL, version), &()).unwrap();
        staging
            .seal(None)
            .unwrap()
            .activate(CurrentLink::Create, now())
    };
    activate("1.0.0").unwrap();
    assert_eq!(
        fs::read_link(root.at("current")).unwrap().to_str(),
        Some("releases/v1.0.0")
    );
    root.install(&tree, "2.0.0");
    assert_eq!(
        fs::read_link(root.at("current")).unwrap().to_str(),
        Some("releases/v2.0.0")
    );

    // A crash between the two switches is mended.
    fs::remove_file(root.at("current")).unwrap();
    symlink("releases/v1.0.0", root.at("current")).unwrap();
    drop(root.session());
    assert_eq!(
        fs::read_link(root.at("current")).unwrap().to_str(),
        Some("releases/v2.0.0")
    );

    // What is not ours stays.
    fs::remove_file(root.at("current")).unwrap();
    symlink("/somewhere", root.at("current")).unwrap();
    root.install(&tree, "2.1.0");
    assert_eq!(
        fs::read_link(root.at("current")).unwrap().to_str(),
        Some("/somewhere")
    );
    fs::remove_file(root.at("current")).unwrap();
    fs::create_dir(root.at("current")).unwrap();
    let error = activate("3.0.0").unwrap_err();
    assert_eq!(error.kind(), activation::ErrorKind::Policy);
    assert_eq!(root.current(), "v2.1.0");
}
