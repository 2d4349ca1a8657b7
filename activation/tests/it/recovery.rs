use std::fs;

use activation::{ErrorKind, Event};
use testkit::Tree;

use crate::common::{Root, TOOL, now, roll_back, version};

fn tree(text: &str) -> Tree {
    Tree::new().with("which", text)
}

fn two() -> Root {
    let root = Root::with(&tree("one"), "1.0.0");
    root.install(&tree("two"), "2.0.0");
    root
}

#[test]
fn e58_whatever_is_wrong_with_current_txt_the_newest_intact_release_is_recovered() {
    let long = "v2.0.0".to_owned() + &" ".repeat(2000);
    for content in [
        None,
        Some(""),
        Some("\n"),
        Some("garbage\0"),
        Some("../../etc"),
        Some("v9.0.0"),
        Some(&*long),
    ] {
        let root = two();
        fs::remove_file(root.at("current.txt")).unwrap();
        if let Some(content) = content {
            fs::write(root.at("current.txt"), content).unwrap();
        }
        // Who only reads gets an explicit answer.
        let active = root.installation().active();
        if content.is_none() {
            assert!(active.unwrap().is_none());
        } else {
            let kind = active.unwrap_err().kind();
            assert_eq!(kind, ErrorKind::NoActiveRelease, "{content:?}");
        }
        let session = root.session();
        assert_eq!(session.recovered(), Some(&version("2.0.0")), "{content:?}");
        assert_eq!(root.current(), "v2.0.0");
        let history = root.installation().history().unwrap();
        assert_eq!(history.last().unwrap().event, Event::Recovered);
        assert_eq!(
            root.installation().previous_version().unwrap(),
            Some(version("1.0.0"))
        );
        drop(session);
        assert_eq!(root.session().recovered(), None);
    }
}

#[test]
fn e65_a_release_that_nobody_has_judged_is_not_recovered() {
    let root = two();
    let session = root.session();
    session.begin_trial(root.active().manifest()).unwrap();
    drop(session);
    fs::remove_file(root.at("current.txt")).unwrap();
    assert_eq!(root.session().recovered(), Some(&version("1.0.0")));
    assert_eq!(root.current(), "v1.0.0");
}

#[test]
fn e58_a_damaged_release_is_not_recovered() {
    let root = two();
    root.write("releases/v2.0.0/which", "owt");
    fs::remove_file(root.at("current.txt")).unwrap();
    assert_eq!(root.session().recovered(), Some(&version("1.0.0")));

    let root = two();
    root.write("releases/v2.0.0/manifest.json", "{}");
    root.write("releases/v1.0.0/which", "x");
    fs::write(root.at("current.txt"), "").unwrap();
    let session = root.session();
    assert_eq!(session.recovered(), None);
    let error = root.installation().active().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoActiveRelease);
    // An update from there is the way out.
    drop(session);
    root.install(&tree("three"), "3.0.0");
    assert_eq!(root.current(), "v3.0.0");
}

#[test]
fn a_crash_before_the_first_switch_is_finished_at_the_next_lock() {
    let root = Root::with(&tree("one"), "1.0.0");
    fs::remove_file(root.at("current.txt")).unwrap();
    fs::remove_file(root.at(".lockstep/history.jsonl")).unwrap();
    assert_eq!(root.session().recovered(), Some(&version("1.0.0")));
}

#[test]
fn a_release_that_only_current_txt_lost_keeps_the_files_noted_for_another_switch() {
    let root = two();
    root.write("releases/v2.0.0/mine", "mine");
    let session = root.session();
    let (active, target) = (root.active(), tree("three").manifest(TOOL, "3.0.0"));
    let staging = session.stage(&target, &()).unwrap();
    let plan = session.installation().plan_carry(&active, &target).unwrap();
    staging.seal(Some((&active, plan))).unwrap_err(); // noted, never switched
    drop(session);
    fs::remove_file(root.at("current.txt")).unwrap();
    root.write(
        "releases/v2.0.0/which",
        "damaged, so that the older one is recovered",
    );
    let session = root.session();
    assert_eq!(session.recovered(), Some(&version("1.0.0")));
    session.retain(0, now()).unwrap();
    assert_eq!(root.read(".lockstep/kept/v2.0.0/mine"), "mine");
}

#[test]
fn a_file_noted_for_an_update_that_was_given_up_is_not_lost() {
    let root = two();
    root.write("releases/v2.0.0/mine", "mine");
    let session = root.session();
    let (active, target) = (root.active(), tree("three").manifest(TOOL, "3.0.0"));
    let staging = session.stage(&target, &()).unwrap();
    let plan = session.installation().plan_carry(&active, &target).unwrap();
    staging.seal(Some((&active, plan))).unwrap_err();
    assert!(root.exists(".lockstep/carried/v2.0.0.json"));
    drop(session);
    drop(root.session());
    assert!(!root.exists(".lockstep/carried/v2.0.0.json"));
}

#[test]
fn an_installation_of_the_old_system_needs_no_conversion() {
    let root = two();
    root.write("releases/v2.0.0/mine", "mine");
    fs::remove_dir_all(root.at(".lockstep")).unwrap();
    fs::remove_dir_all(root.at("releases/.staging")).unwrap();
    fs::remove_dir_all(root.at("releases/.trash")).unwrap();
    fs::write(root.at("current.txt"), "v2.0.0\r\n").unwrap();
    assert_eq!(root.active().version(), &version("2.0.0"));
    assert!(root.installation().history().unwrap().is_empty());
    assert_eq!(
        root.installation().previous_version().unwrap(),
        Some(version("1.0.0"))
    );
    roll_back(&root.session(), &version("1.0.0")).unwrap();
    assert_eq!(root.read("releases/v1.0.0/mine"), "mine");
    root.install(&tree("three"), "3.0.0");
    assert_eq!(root.read("releases/v3.0.0/mine"), "mine");
}
