//! Every symptom, planted for real, is found; and looking changes nothing.

use std::fs;
use std::sync::Arc;

use activation::{ErrorKind, Installation, Remedy, Severity, Symptom, Watch};
use durable_fs::{Disk, Recorder};
use manifest_core::DeletePolicy;
use testkit::Tree;

use crate::common::{Root, TOOL, make_fifo, now, symlink, update, version};

fn tree(text: &str) -> Tree {
    Tree::new().with("which", text).with("lib/common", "common")
}

/// With 2.0.0 active and 1.0.0 before it.
fn two() -> Root {
    let root = Root::with(&tree("one"), "1.0.0");
    root.install(&tree("two"), "2.0.0");
    root
}

/// Looks, on a disk that may not be changed.
fn examine(root: &Root) -> Vec<Symptom> {
    let recorder = Arc::new(Recorder::new());
    let before = listing(root);
    let installation = Installation::open(&Disk::observed(recorder.clone()), root.path()).unwrap();
    let symptoms = installation.examine(&()).unwrap();
    assert_eq!(recorder.effects(), [], "examining has no effects");
    assert_eq!(listing(root), before, "nothing was created");
    assert!(symptoms.is_sorted_by_key(|symptom| symptom.severity));
    for symptom in &symptoms {
        assert!(symptom.what.ends_with('.'), "{symptom:?}");
        assert!(symptom.why.ends_with('.'), "{symptom:?}");
        assert!(!symptom.remedy.to_string().is_empty(), "{symptom:?}");
    }
    symptoms
}

fn listing(root: &Root) -> Vec<String> {
    fn walk(path: &std::path::Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            found.push(entry.path().display().to_string());
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), found);
            }
        }
    }
    let mut found = Vec::new();
    walk(root.path(), &mut found);
    found.sort();
    found
}

/// The one symptom there is.
#[track_caller]
fn only(root: &Root) -> Symptom {
    let mut symptoms = examine(root);
    assert_eq!(symptoms.len(), 1, "{symptoms:#?}");
    symptoms.remove(0)
}

#[track_caller]
fn expect(symptom: &Symptom, severity: Severity, words: &[&str]) {
    assert_eq!(symptom.severity, severity, "{symptom:#?}");
    for word in words {
        assert!(symptom.what.contains(word), "no {word:?} in {symptom:#?}");
    }
}

#[track_caller]
fn is_by_hand(symptom: &Symptom) {
    assert!(matches!(symptom.remedy, Remedy::ByHand(_)), "{symptom:#?}");
    assert!(!symptom.remedy.is_automatic());
}

#[test]
fn a_healthy_installation_has_no_symptoms() {
    let root = two();
    assert_eq!(examine(&root), []);
    root.write("releases/v2.0.0/mine/notes.txt", "the user's");
    root.write("user_data/a", "the user's");
    assert_eq!(examine(&root), []);
    // One of the old system has none of our folders.
    fs::remove_dir_all(root.at(".lockstep")).unwrap();
    fs::remove_dir_all(root.at("releases/.staging")).unwrap();
    fs::remove_dir_all(root.at("releases/.trash")).unwrap();
    assert_eq!(examine(&root), []);
}

#[test]
fn an_empty_folder_is_only_worth_a_note() {
    let root = Root::new();
    let symptom = only(&root);
    expect(&symptom, Severity::Note, &["No release is installed"]);
    is_by_hand(&symptom);
}

#[test]
fn whatever_stands_in_place_of_our_own_is_named() {
    let folders = [
        "releases",
        "releases/.staging",
        "releases/.staging/partials",
        "releases/.trash",
        "releases/v1.0.0",
        ".lockstep",
        ".lockstep/carried",
        ".lockstep/kept",
    ];
    let files = [
        "current.txt",
        ".lockstep/lock",
        ".lockstep/history.jsonl",
        ".lockstep/pending-deletions.json",
        ".lockstep/trial.json",
        ".lockstep/failed-releases.json",
        "releases/v2.0.0/manifest.json",
    ];
    let outside = Root::with(&tree("outside"), "1.0.0");
    for (path, is_folder) in folders
        .iter()
        .map(|path| (*path, true))
        .chain(files.iter().map(|path| (*path, false)))
    {
        for kind in ["link", "dangling link", "fifo", "other"] {
            let root = two();
            let place = root.at(path);
            if place.is_dir() {
                fs::remove_dir_all(&place).unwrap();
            } else if place.exists() {
                fs::remove_file(&place).unwrap();
            }
            match kind {
                "link" if is_folder => symlink(outside.path(), &place).unwrap(),
                "link" => symlink(outside.at("current.txt"), &place).unwrap(),
                "dangling link" => symlink(outside.at("nothing"), &place).unwrap(),
                "fifo" => make_fifo(&place),
                _ if is_folder => fs::write(&place, "x").unwrap(),
                _ => fs::create_dir(&place).unwrap(),
            }
            let symptoms = examine(&root);
            let place = place.display().to_string();
            let found = symptoms
                .iter()
                .find(|symptom| symptom.what.starts_with(&place))
                .unwrap_or_else(|| panic!("{path} as {kind}: {symptoms:#?}"));
            expect(found, Severity::Error, &[" is "]);
            is_by_hand(found);
        }
    }
}

#[test]
fn a_history_with_a_second_name_is_named() {
    let root = two();
    fs::hard_link(root.at(".lockstep/history.jsonl"), root.at("copy")).unwrap();
    let symptom = only(&root);
    expect(
        &symptom,
        Severity::Error,
        &["history.jsonl has a second name"],
    );
    is_by_hand(&symptom);
}

#[test]
fn what_nobody_may_write_to_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    for path in ["releases", ".lockstep/history.jsonl"] {
        let root = two();
        let mode = fs::metadata(root.at(path)).unwrap().permissions();
        fs::set_permissions(root.at(path), fs::Permissions::from_mode(0o555)).unwrap();
        let symptom = only(&root);
        fs::set_permissions(root.at(path), mode).unwrap();
        expect(&symptom, Severity::Warning, &[path, "read-only"]);
        is_by_hand(&symptom);
    }
}

/// Only Linux tells.
#[cfg(target_os = "linux")]
#[test]
fn who_holds_the_lock_is_named() {
    let root = two();
    let session = root.session();
    let symptom = only(&root);
    let process = format!("held by process {}", std::process::id());
    expect(&symptom, Severity::Note, &["lock", &process]);
    drop(session);
    assert_eq!(examine(&root), []);
}

#[test]
fn e58_a_current_txt_that_names_nothing_is_an_error_that_reopening_mends() {
    let long = "v2.0.0".to_owned() + &" ".repeat(2000);
    for (content, words) in [
        (None, "There is no"),
        (Some(""), "is empty"),
        (Some(" \n"), "is empty"),
        (Some("garbage"), "says \"garbage\""),
        (Some("v9.0.0"), "names v9.0.0, which is not installed"),
        (Some(&*long), "too long"),
    ] {
        let root = two();
        fs::remove_file(root.at("current.txt")).unwrap();
        if let Some(content) = content {
            fs::write(root.at("current.txt"), content).unwrap();
        }
        let symptom = only(&root);
        expect(&symptom, Severity::Error, &["current.txt", words]);
        assert_eq!(symptom.remedy, Remedy::Reopen);
        drop(root.session());
        assert_eq!(examine(&root), [], "reopening mended it");
    }
}

#[test]
fn without_an_intact_release_only_an_update_helps() {
    let root = Root::with(&tree("one"), "1.0.0");
    root.write("releases/v1.0.0/which", "damaged");
    fs::remove_file(root.at("current.txt")).unwrap();
    let symptoms = examine(&root);
    assert_eq!(symptoms.len(), 2, "{symptoms:#?}");
    expect(&symptoms[0], Severity::Error, &["There is no"]);
    is_by_hand(&symptoms[0]);
    expect(&symptoms[1], Severity::Warning, &["which (wrong size"]);
}

#[test]
fn a_release_that_is_known_not_to_work_is_not_recovered() {
    let root = Root::with(&tree("one"), "1.0.0");
    let session = root.session();
    session
        .mark_failed(&root.active(), "exit code 1", now())
        .unwrap();
    session.deactivate().unwrap();
    drop(session);
    let symptoms = examine(&root);
    assert_eq!(symptoms.len(), 2, "{symptoms:#?}");
    expect(&symptoms[0], Severity::Error, &["There is no"]);
    is_by_hand(&symptoms[0]);
    expect(
        &symptoms[1],
        Severity::Note,
        &["Release 1.0.0 did not work", "exit code 1"],
    );
}

#[test]
fn e56_damaged_files_are_an_error_in_the_active_release_and_a_warning_elsewhere() {
    let root = two();
    fs::remove_file(root.at("releases/v2.0.0/which")).unwrap();
    // Another inode: the two releases share it.
    fs::remove_file(root.at("releases/v1.0.0/lib/common")).unwrap();
    root.write("releases/v1.0.0/lib/common", "COMMON");
    let symptoms = examine(&root);
    assert_eq!(symptoms.len(), 2, "{symptoms:#?}");
    expect(
        &symptoms[0],
        Severity::Error,
        &["v2.0.0", "1 of 2 files", "which (missing)"],
    );
    assert_eq!(symptoms[0].remedy, Remedy::Repair);
    expect(
        &symptoms[1],
        Severity::Warning,
        &["v1.0.0", "lib/common (wrong content)"],
    );
    assert!(symptoms[1].why.contains("rollback to it repairs it first"));
    assert_eq!(symptoms[1].remedy, Remedy::None);
}

#[test]
fn many_damaged_files_are_counted() {
    let mut tree = Tree::new();
    for number in 0..9 {
        tree = tree.with(&format!("f{number}"), "x");
    }
    let root = Root::with(&tree, "1.0.0");
    for number in 0..9 {
        fs::remove_file(root.at(&format!("releases/v1.0.0/f{number}"))).unwrap();
    }
    expect(
        &only(&root),
        Severity::Error,
        &["9 of 9 files", "f4 (missing), and 4 more."],
    );
}

#[test]
fn a_manifest_that_is_not_valid_is_an_error_in_the_active_release_and_retires_another() {
    let root = two();
    root.write("releases/v2.0.0/manifest.json", "{}");
    let symptom = only(&root);
    expect(
        &symptom,
        Severity::Error,
        &["v2.0.0/manifest.json is not valid"],
    );
    let Remedy::ByHand(text) = &symptom.remedy else {
        panic!("{symptom:#?}");
    };
    assert_eq!(
        text,
        "update to this or another release: everything in it is kept"
    );

    let root = two();
    root.write("releases/v1.0.0/manifest.json", "{");
    let symptom = only(&root);
    expect(
        &symptom,
        Severity::Warning,
        &["v1.0.0/manifest.json is not valid"],
    );
    assert_eq!(symptom.remedy, Remedy::Retire(version("1.0.0")));
}

#[test]
fn a_manifest_of_another_version_is_named() {
    for (folder, severity) in [("v2.0.0", Severity::Error), ("v1.0.0", Severity::Warning)] {
        let root = two();
        let text = if folder == "v2.0.0" { "two" } else { "one" };
        let other = tree(text).manifest(TOOL, "7.0.0").to_bytes();
        root.write(&format!("releases/{folder}/manifest.json"), other);
        expect(&only(&root), severity, &["the manifest of version 7.0.0"]);
    }
}

#[test]
fn retiring_keeps_everything_that_may_be_the_users() {
    let root = two();
    root.write("releases/v1.0.0/mine", "mine");
    root.write("releases/v1.0.0/manifest.json", "{");
    let session = root.session();
    let retired = session.retire_unusable(&version("1.0.0"), now()).unwrap();
    let mut kept = retired.unwrap().kept;
    kept.sort();
    // `lib/common` is in the active release, too.
    assert_eq!(
        kept,
        [".lockstep/kept/v1.0.0/mine", ".lockstep/kept/v1.0.0/which"]
    );
    assert_eq!(root.read(".lockstep/kept/v1.0.0/mine"), "mine");
    assert_eq!(root.releases(), ["2.0.0"]);
    drop(session);
    let symptom = only(&root);
    expect(
        &symptom,
        Severity::Note,
        &["2 files of yours", "2 in v1.0.0"],
    );
    is_by_hand(&symptom);
}

#[test]
fn nothing_else_is_retired() {
    let root = two();
    let retire = |text| root.session().retire_unusable(&version(text), now());
    assert_eq!(retire("1.0.0").unwrap(), None, "it is usable");
    assert_eq!(retire("9.0.0").unwrap(), None, "it is not there");
    root.write("releases/v2.0.0/manifest.json", "{");
    assert_eq!(retire("2.0.0").unwrap(), None, "it is active");
    root.write("releases/v1.0.0/manifest.json", "{");
    fs::write(root.at("current.txt"), "v9.0.0").unwrap();
    assert_eq!(retire("1.0.0").unwrap(), None, "none is active");
    fs::remove_file(root.at("releases/v1.0.0/manifest.json")).unwrap();
    symlink("elsewhere", root.at("releases/v1.0.0/manifest.json")).unwrap();
    fs::write(root.at("current.txt"), "v2.0.0").unwrap();
    assert_eq!(retire("1.0.0").unwrap_err().kind(), ErrorKind::Policy);
    assert!(root.exists("releases/v1.0.0/which") && root.exists("releases/v2.0.0/which"));
}

#[test]
fn what_is_no_release_is_named() {
    let root = two();
    root.write("releases/backup/file", "x");
    fs::create_dir(root.at("releases/v3.0.0")).unwrap();
    let symptoms = examine(&root);
    assert_eq!(symptoms.len(), 2, "{symptoms:#?}");
    expect(
        &symptoms[0],
        Severity::Warning,
        &["v3.0.0 holds no manifest"],
    );
    expect(&symptoms[1], Severity::Note, &["backup is no release"]);
    symptoms.iter().for_each(is_by_hand);

    // The active one: recovery takes the one before.
    let root = two();
    fs::remove_file(root.at("releases/v2.0.0/manifest.json")).unwrap();
    let symptoms = examine(&root);
    assert_eq!(symptoms.len(), 2, "{symptoms:#?}");
    expect(
        &symptoms[0],
        Severity::Error,
        &["current.txt names v2.0.0, whose folder holds no manifest"],
    );
    assert_eq!(symptoms[0].remedy, Remedy::Reopen);
}

#[test]
fn an_interrupted_update_is_named_with_what_it_has() {
    let root = two();
    let session = root.session();
    let next = tree("three");
    let manifest = next.manifest(TOOL, "3.0.0");
    let staging = session.stage(&manifest, &()).unwrap();
    let file = manifest.file("which").unwrap();
    crate::common::fetch(&session, &next, file.sha256());
    let partials = session.partials().unwrap();
    staging
        .adopt(&partials, &file.sha256().to_string(), &[file])
        .unwrap();
    root.write("releases/.staging/partials/abc.part", "1234567");
    drop((staging, session));
    let symptoms = examine(&root);
    assert_eq!(symptoms.len(), 2, "{symptoms:#?}");
    expect(
        &symptoms[0],
        Severity::Note,
        &["unfinished update to release 3.0.0: 1 file, 5 bytes"],
    );
    expect(
        &symptoms[1],
        Severity::Note,
        &["partials holds 7 bytes in 1 file"],
    );
    assert!(
        symptoms
            .iter()
            .all(|symptom| symptom.remedy == Remedy::None)
    );
}

#[test]
fn leftovers_that_the_next_session_clears_away_are_named() {
    let root = two();
    root.write(".lockstep-1-2-3", "x");
    root.write(".lockstep/.lockstep-1-2-3", "x");
    root.write("releases/.trash/1/file", "gone");
    root.write("releases/.staging/carrying/mine", "a copy");
    tree("two").write_to(&root.at("releases/.staging/v2.0.0-0123456789abcdef.displaced"));
    let symptoms = examine(&root);
    assert_eq!(symptoms.len(), 5, "{symptoms:#?}");
    expect(
        &symptoms[0],
        Severity::Warning,
        &["release 2.0.0 whose place another one took"],
    );
    expect(&symptoms[1], Severity::Note, &["temporary file"]);
    expect(&symptoms[2], Severity::Note, &["temporary file"]);
    expect(&symptoms[3], Severity::Note, &["carrying holds copies"]);
    expect(
        &symptoms[4],
        Severity::Note,
        &["1 deleted thing of 4 bytes"],
    );
    assert!(
        symptoms
            .iter()
            .all(|symptom| symptom.remedy == Remedy::Reopen)
    );
    drop(root.session());
    assert_eq!(examine(&root), []);
}

#[test]
fn strangers_in_staging_and_in_the_active_release_are_named() {
    use std::os::unix::ffi::OsStrExt as _;
    let root = two();
    root.write("releases/.staging/what", "x");
    root.write("releases/v2.0.0/lib/.lockstep-1-2-3", "half");
    make_fifo(root.at("releases/v2.0.0/pipe"));
    let name = std::ffi::OsStr::from_bytes(b"\xff");
    fs::write(root.at("releases/v2.0.0").join(name), "x").unwrap();
    let symptoms = examine(&root);
    assert_eq!(symptoms.len(), 4, "{symptoms:#?}");
    expect(&symptoms[0], Severity::Error, &["is not UTF-8"]);
    expect(&symptoms[1], Severity::Note, &["temporary file"]);
    expect(&symptoms[2], Severity::Note, &["pipe is a FIFO"]);
    expect(&symptoms[3], Severity::Note, &["what is nothing that"]);
}

#[test]
fn notes_that_cannot_be_read_are_named() {
    let root = two();
    let history = root.read(".lockstep/history.jsonl");
    root.write(".lockstep/history.jsonl", history + "{\"ti\n\n");
    for name in ["pending-deletions", "trial", "failed-releases"] {
        root.write(&format!(".lockstep/{name}.json"), "{");
    }
    let symptoms = examine(&root);
    assert_eq!(symptoms.len(), 4, "{symptoms:#?}");
    expect(
        &symptoms[0],
        Severity::Note,
        &["1 line of", "history.jsonl"],
    );
    assert!(symptoms[1..].iter().all(|one| one.what.contains("damaged")));
}

#[test]
fn files_that_wait_to_be_deleted_are_pruned_by_whoever_asks_for_it() {
    let root = Root::with(&tree("one").with("old", "old"), "1.0.0");
    let next = tree("two");
    let manifest = next.builder(TOOL, "2.0.0");
    let manifest = manifest.with_delete_policy(DeletePolicy::Manual);
    update(&root.session(), &next, &manifest.build().unwrap()).unwrap();
    let symptom = only(&root);
    expect(&symptom, Severity::Note, &["1 file", "waits to be deleted"]);
    assert_eq!(symptom.remedy, Remedy::Prune);
    assert!(!symptom.remedy.is_automatic());
}

#[test]
fn e65_a_release_on_trial_and_one_that_did_not_work_are_named() {
    let root = two();
    let session = root.session();
    session.begin_trial(root.active().manifest()).unwrap();
    drop(session);
    let symptom = only(&root);
    expect(&symptom, Severity::Warning, &["still on trial"]);
    is_by_hand(&symptom);

    let session = root.session();
    session.end_trial().unwrap();
    let said = "no answer:\n  it hangs.\n\n";
    session.mark_failed(&root.active(), said, now()).unwrap();
    drop(session);
    let symptom = only(&root);
    expect(
        &symptom,
        Severity::Warning,
        &[
            "2.0.0, which is active, did not work",
            ": no answer: / it hangs.",
        ],
    );
}

#[test]
fn the_link_current_is_followed_up() {
    let root = two();
    let link = root.at("current");
    let point_to = |target: &str| {
        let _ = fs::remove_file(&link);
        symlink(target, &link).unwrap();
    };
    point_to("releases/v2.0.0");
    assert_eq!(examine(&root), []);
    for stale in ["releases/v1.0.0", "releases/v9.0.0"] {
        point_to(stale);
        let symptom = only(&root);
        expect(&symptom, Severity::Warning, &[stale, "v2.0.0 is active"]);
        assert_eq!(symptom.remedy, Remedy::Reopen);
        drop(root.session());
        assert_eq!(examine(&root), []);
    }
    point_to("/somewhere/else");
    let symptom = only(&root);
    expect(&symptom, Severity::Note, &["not among the releases"]);
    is_by_hand(&symptom);
    fs::remove_file(&link).unwrap();
    fs::create_dir(&link).unwrap();
    expect(&only(&root), Severity::Note, &["is no symbolic link"]);
    fs::remove_dir(&link).unwrap();

    // Nothing to follow.
    let root = Root::new();
    symlink("releases/v1.0.0", root.at("current")).unwrap();
    expect(
        &examine(&root)[0],
        Severity::Warning,
        &["which is not there"],
    );
}

struct Stop;

impl Watch for Stop {
    fn found(&self, _: u64) {}

    fn advanced(&self, _: u64) {}

    fn is_cancelled(&self) -> bool {
        true
    }
}

#[test]
fn it_can_be_stopped() {
    let root = two();
    let error = root.installation().examine(&Stop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}
