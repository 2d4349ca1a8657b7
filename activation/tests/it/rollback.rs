use std::fs;

use activation::{ErrorKind, Event};
use testkit::Tree;

use crate::common::{Root, now, roll_back, symlink, version};

fn tree(text: &str) -> Tree {
    Tree::new().with("which", text).with("common", "common")
}

fn two() -> Root {
    let root = Root::with(&tree("1"), "1.0.0");
    root.write("releases/v1.0.0/mine", "first edition");
    root.write("releases/v1.0.0/untouched", "untouched");
    root.install(&tree("2"), "2.0.0");
    root
}

#[test]
fn the_users_files_move_back() {
    let root = two();
    root.write("releases/v2.0.0/mine", "second edition");
    root.write("releases/v2.0.0/new/file", "new");
    symlink("/nowhere", root.at("releases/v2.0.0/link")).unwrap();
    let done = roll_back(&root.session(), &version("1.0.0")).unwrap();

    assert_eq!(root.current(), "v1.0.0");
    assert_eq!(root.read("releases/v1.0.0/mine"), "second edition");
    assert_eq!(root.read("releases/v1.0.0/new/file"), "new");
    assert!(root.exists("releases/v1.0.0/link"));
    assert_eq!(
        done.kept, [""; 0],
        "the older editions were taken over by 2.0.0"
    );
    assert!(root.active().verify(&()).unwrap().is_intact());
    let history = root.installation().history().unwrap();
    assert_eq!(history.last().unwrap().event, Event::RolledBack);
    // Forth, back and forth again: nothing piles up.
    for target in ["2.0.0", "1.0.0", "2.0.0"] {
        let done = roll_back(&root.session(), &version(target)).unwrap();
        assert_eq!(done.kept, [""; 0]);
    }
    root.session().retain(0, now()).unwrap();
    assert_eq!(root.kept(), [""; 0]);
}

#[test]
fn a_newer_file_in_the_target_is_kept() {
    let root = two();
    root.write("releases/v1.0.0/mine", "changed in the old release");
    root.write("releases/v2.0.0/mine", "second edition");
    root.write("releases/v1.0.0/elsewhere/own", "only in the old one");
    let done = roll_back(&root.session(), &version("1.0.0")).unwrap();
    assert_eq!(done.kept, [".lockstep/kept/v1.0.0/mine"]);
    assert_eq!(
        root.read(".lockstep/kept/v1.0.0/mine"),
        "changed in the old release"
    );
    assert_eq!(root.read("releases/v1.0.0/mine"), "second edition");
    assert_eq!(
        root.read("releases/v1.0.0/elsewhere/own"),
        "only in the old one"
    );
}

#[test]
fn a_folder_in_the_target_gives_way_to_a_file_and_the_other_way_round() {
    let root = two();
    root.write("releases/v1.0.0/thing/in/folder", "old");
    root.write("releases/v1.0.0/other", "old file");
    root.write("releases/v1.0.0/hollow", "old file");
    root.write("releases/v2.0.0/thing", "now a file");
    root.write("releases/v2.0.0/other/now/deep", "now a folder");
    fs::create_dir(root.at("releases/v2.0.0/hollow")).unwrap();
    roll_back(&root.session(), &version("1.0.0")).unwrap();
    assert_eq!(root.read("releases/v1.0.0/thing"), "now a file");
    assert_eq!(root.read("releases/v1.0.0/other/now/deep"), "now a folder");
    assert!(root.at("releases/v1.0.0/hollow").is_dir());
    assert_eq!(
        root.kept(),
        ["v1.0.0/hollow", "v1.0.0/other", "v1.0.0/thing/in/folder"]
    );
}

#[test]
fn e61_a_damaged_target_is_refused_before_anything_is_touched() {
    let root = two();
    root.write("releases/v2.0.0/mine", "second edition");
    fs::remove_file(root.at("releases/v1.0.0/common")).unwrap();
    root.write("releases/v1.0.0/common", "COMMON");
    let error = roll_back(&root.session(), &version("1.0.0")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(
        error.to_string().contains("common: wrong content"),
        "{error}"
    );
    assert_eq!(root.current(), "v2.0.0");
    assert_eq!(root.read("releases/v1.0.0/mine"), "first edition");
}

#[test]
fn e61_a_target_without_a_good_manifest_is_refused() {
    let root = two();
    let session = root.session();
    root.write("releases/v1.0.0/manifest.json", "{}");
    let error = roll_back(&session, &version("1.0.0")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Manifest);
    assert_eq!(root.current(), "v2.0.0");
}

#[test]
fn rolling_back_twice_goes_two_releases_back() {
    let root = two();
    root.install(&tree("3"), "3.0.0");
    let session = root.session();
    for expected in ["2.0.0", "1.0.0"] {
        let previous = root.installation().previous_version().unwrap().unwrap();
        assert_eq!(previous, version(expected));
        roll_back(&session, &previous).unwrap();
    }
    assert_eq!(root.installation().previous_version().unwrap(), None);
    // An update after that counts from where it started.
    drop(session);
    root.install(&tree("4"), "4.0.0");
    assert_eq!(
        root.installation().previous_version().unwrap(),
        Some(version("1.0.0"))
    );
}

#[test]
fn away_from_a_release_with_a_damaged_manifest_the_users_files_move_along() {
    let root = two();
    root.write("releases/v2.0.0/mine", "second edition");
    root.write("releases/v2.0.0/manifest.json", "damaged");
    roll_back(&root.session(), &version("1.0.0")).unwrap();
    assert_eq!(root.current(), "v1.0.0");
    assert_eq!(root.read("releases/v1.0.0/mine"), "second edition");
    root.session().retain(0, now()).unwrap();
    assert_eq!(root.releases(), ["1.0.0"]);
    assert_eq!(root.kept(), ["v2.0.0/which"], "whose it is nobody can say");
}

#[test]
fn switching_to_the_active_release_verifies_it_and_changes_no_file() {
    let root = two();
    let before = Tree::read(&root.at("releases"));
    roll_back(&root.session(), &version("2.0.0")).unwrap();
    assert_eq!(Tree::read(&root.at("releases")), before);
    assert_eq!(
        root.installation().previous_version().unwrap(),
        Some(version("1.0.0"))
    );
}
