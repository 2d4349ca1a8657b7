use std::fs;

use activation::Event;
use testkit::Tree;

use crate::common::{Root, now, roll_back, symlink, version};

fn tree(text: &str) -> Tree {
    Tree::new().with("which", text)
}

fn with_versions(versions: &[&str]) -> Root {
    let root = Root::new();
    for version in versions {
        root.install(&tree(version), version);
    }
    root
}

#[test]
fn as_many_as_asked_for_are_kept_and_never_less_than_the_active_one() {
    for (keep, left) in [
        (3, vec!["3.0.0", "2.0.0", "1.0.0", "0.9.0"]),
        (2, vec!["3.0.0", "2.0.0", "1.0.0"]),
        (1, vec!["3.0.0", "2.0.0"]),
        (0, vec!["3.0.0"]),
    ] {
        let root = with_versions(&["0.9.0", "1.0.0", "2.0.0", "3.0.0"]);
        let retired = root.session().retain(keep, now()).unwrap();
        assert_eq!(root.releases(), left);
        assert_eq!(retired.len(), 4 - left.len());
        assert_eq!(root.current(), "v3.0.0");
        root.is_tidy();
        let history = root.installation().history().unwrap();
        let removed = history.iter().filter(|entry| entry.event == Event::Removed);
        assert_eq!(removed.count(), retired.len());
    }
}

#[test]
fn e63_after_a_rollback_the_predecessor_is_kept_not_the_newest() {
    let root = with_versions(&["1.0.0", "2.0.0", "3.0.0"]);
    let session = root.session();
    roll_back(&session, &version("2.0.0")).unwrap();
    session.retain(1, now()).unwrap();
    assert_eq!(root.releases(), ["2.0.0", "1.0.0"]);
}

#[test]
fn e63_releases_of_the_old_system_have_no_history_and_count() {
    for (versions, active, previous, left) in [
        (
            &["1.0.0", "2.0.0", "3.0.0"],
            "2.0.0",
            Some("1.0.0"),
            &["2.0.0", "1.0.0"],
        ),
        (
            &["nightly-a", "nightly-b", "x"],
            "nightly-a",
            None,
            &["x", "nightly-a"],
        ),
    ] {
        let root = with_versions(versions);
        fs::remove_dir_all(root.at(".lockstep")).unwrap();
        fs::write(root.at("current.txt"), format!("v{active}\n")).unwrap();
        let session = root.session();
        assert_eq!(session.recovered(), None);
        let found = root.installation().previous_version().unwrap();
        assert_eq!(found, previous.map(version));
        session.retain(1, now()).unwrap();
        assert_eq!(root.releases(), left);
    }
}

#[test]
fn the_release_before_the_first_update_is_known_from_that_update() {
    let root = with_versions(&["beta"]);
    fs::remove_dir_all(root.at(".lockstep")).unwrap();
    root.install(&tree("x"), "alpha");
    assert_eq!(
        root.installation().previous_version().unwrap(),
        Some(version("beta"))
    );
    root.session().retain(1, now()).unwrap();
    assert_eq!(root.releases(), ["beta", "alpha"]);
}

#[test]
fn a_copy_that_was_not_touched_goes_and_one_that_was_is_kept() {
    let root = with_versions(&["1.0.0"]);
    for file in ["same", "edited before", "sub/edited after", "new after"] {
        root.write(&format!("releases/v1.0.0/{file}"), "one");
    }
    root.write(".lockstep/kept/v1.0.0/sub/edited after", "from long ago");
    fs::remove_file(root.at("releases/v1.0.0/new after")).unwrap();
    root.install(&tree("2"), "2.0.0");
    root.write("releases/v1.0.0/sub/edited after", "changed");
    root.write("releases/v1.0.0/new after", "new");
    root.write("releases/v2.0.0/edited before", "the successor changed");
    let retired = root.session().retain(0, now()).unwrap();
    assert_eq!(
        retired[0].kept,
        [
            ".lockstep/kept/v1.0.0/new after",
            ".lockstep/kept/v1.0.0/sub/edited after~2"
        ]
    );
    assert_eq!(
        root.read(".lockstep/kept/v1.0.0/sub/edited after~2"),
        "changed"
    );
    assert_eq!(
        root.read(".lockstep/kept/v1.0.0/sub/edited after"),
        "from long ago"
    );
    assert_eq!(
        root.read("releases/v2.0.0/edited before"),
        "the successor changed"
    );
}

#[test]
fn a_kept_file_does_not_stand_in_the_way_of_a_kept_folder() {
    let root = with_versions(&["1.0.0", "2.0.0"]);
    root.write(".lockstep/kept/v1.0.0/a", "a file, from before");
    root.write("releases/v1.0.0/a/b", "mine");
    let retired = root.session().retain(0, now()).unwrap();
    assert_eq!(retired[0].kept, [".lockstep/kept/v1.0.0~2/a/b"]);
    assert_eq!(root.read(".lockstep/kept/v1.0.0~2/a/b"), "mine");
}

#[test]
fn e64_a_link_that_points_outwards_is_moved_or_unlinked_itself() {
    let outside = Root::new();
    outside.write("precious/file", "outside");
    let root = with_versions(&["1.0.0"]);
    symlink(outside.at("precious"), root.at("releases/v1.0.0/carried")).unwrap();
    root.install(&tree("2"), "2.0.0");
    symlink(outside.at("precious"), root.at("releases/v1.0.0/late")).unwrap();
    let retired = root.session().retain(0, now()).unwrap();
    assert_eq!(retired[0].kept, [".lockstep/kept/v1.0.0/late"]);
    assert_eq!(
        fs::read_link(root.at(".lockstep/kept/v1.0.0/late")).unwrap(),
        outside.at("precious")
    );
    assert_eq!(outside.read("precious/file"), "outside");
    assert!(!root.exists("releases/v1.0.0"));
}

#[test]
fn a_release_whose_manifest_is_damaged_loses_only_what_the_active_one_has() {
    let root = Root::with(&tree("1").with("common", "common"), "1.0.0");
    root.install(&tree("2").with("common", "common"), "2.0.0");
    root.write("releases/v1.0.0/manifest.json", "not a manifest");
    root.session().retain(0, now()).unwrap();
    assert_eq!(root.kept(), ["v1.0.0/which"]);
}

#[test]
fn leftovers_in_the_trash_go_at_the_next_lock() {
    let root = with_versions(&["1.0.0", "2.0.0"]);
    root.write("releases/.trash/half/deleted", "x");
    symlink("/etc", root.at("releases/.trash/link")).unwrap();
    root.write(".lockstep/carried/.lockstep-1-1", "half written");
    root.write(".lockstep-1-2", "half written");
    drop(root.session());
    root.is_tidy();
    assert!(std::path::Path::new("/etc/passwd").exists());
    // And they do not disturb a deletion.
    let session = root.session();
    root.write("releases/.trash/more/x", "x");
    session.retain(0, now()).unwrap();
    assert_eq!(root.releases(), ["2.0.0"]);
    root.is_tidy();
}

#[test]
fn nothing_is_deleted_while_the_active_release_is_unknown() {
    let root = with_versions(&["1.0.0", "2.0.0"]);
    let session = root.session();
    fs::write(root.at("current.txt"), "v9.9.9").unwrap();
    let error = session.retain(0, now()).unwrap_err();
    assert_eq!(error.kind(), activation::ErrorKind::NoActiveRelease);
    assert_eq!(root.releases(), ["2.0.0", "1.0.0"]);
}

#[test]
fn versions_that_are_no_numbers_have_an_order_too() {
    let root = with_versions(&["10.0", "9.0", "1a", "x", "2.0.0-rc.1", "2.0.0", "2.0"]);
    let expected = ["10.0", "9.0", "2.0.0", "2.0", "2.0.0-rc.1", "x", "1a"];
    assert_eq!(root.releases(), expected);
}
