use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use activation::ErrorKind;
use manifest_core::Manifest;
use testkit::Tree;

use crate::common::{Root, TOOL, inode, make_fifo, now, symlink, update};

fn first() -> Tree {
    Tree::new()
        .with("main.py", "print(1)")
        .with("src/lib.py", "lib")
}

fn second() -> Tree {
    first().with("main.py", "print(2)")
}

fn plan(root: &Root, target: &Manifest) -> activation::CarryPlan {
    root.installation()
        .plan_carry(&root.active(), target)
        .unwrap()
}

#[test]
fn what_the_user_put_into_the_release_is_in_the_next_one() {
    let root = Root::with(&first(), "1.0.0");
    let outside = Root::new();
    outside.write("file", "outside");
    root.write("releases/v1.0.0/notes.txt", "mine");
    root.write("releases/v1.0.0/src/plugin/own.py", "mine too");
    root.write("releases/v1.0.0/.env", "SECRET=1");
    root.write("releases/v1.0.0/logs/run.log", "log");
    root.write("releases/v1.0.0/src/__pycache__/lib.pyc", "cache");
    fs::create_dir_all(root.at("releases/v1.0.0/empty/below")).unwrap();
    symlink("../../elsewhere", root.at("releases/v1.0.0/dangling")).unwrap();
    symlink(outside.path(), root.at("releases/v1.0.0/src/link")).unwrap();

    let done = root.install(&second(), "2.0.0");
    let new = root.at("releases/v2.0.0");
    let expected = second()
        .with("notes.txt", "mine")
        .with("src/plugin/own.py", "mine too")
        .with(".env", "SECRET=1")
        .with("logs/run.log", "log")
        .with("src/__pycache__/lib.pyc", "cache");
    assert_eq!(Tree::read(&new).without("manifest.json"), expected);
    assert!(new.join("empty/below").is_dir());
    assert_eq!(
        fs::read_link(new.join("dangling")).unwrap().to_str(),
        Some("../../elsewhere")
    );
    assert_eq!(fs::read_link(new.join("src/link")).unwrap(), outside.path());
    assert_ne!(
        inode(new.join("notes.txt")),
        inode(root.at("releases/v1.0.0/notes.txt"))
    );
    assert_eq!(done.carried.carried.len(), 7, "{:?}", done.carried);
    assert!(done.carried.deleted.is_empty() && done.carried.shadowed.is_empty());

    // All of it has a successor, so nothing needs to be kept.
    let retired = root.session().retain(0, now()).unwrap();
    assert_eq!(retired[0].kept, [""; 0]);
    assert!(!root.exists("releases/v1.0.0"));
    assert_eq!(outside.read("file"), "outside");
}

#[test]
fn an_edited_file_of_the_release_is_replaced_and_the_edit_is_kept() {
    let root = Root::with(&first(), "1.0.0");
    root.write("releases/v1.0.0/src/lib.py", "edited by me");
    fs::remove_file(root.at("releases/v1.0.0/main.py")).unwrap();
    symlink("/my/own/main.py", root.at("releases/v1.0.0/main.py")).unwrap();
    root.install(&second(), "2.0.0");
    assert!(root.active().verify(&()).unwrap().is_intact());
    assert_eq!(root.read("releases/v2.0.0/src/lib.py"), "lib");

    let retired = root.session().retain(0, now()).unwrap();
    assert_eq!(
        retired[0].kept,
        [
            ".lockstep/kept/v1.0.0/main.py",
            ".lockstep/kept/v1.0.0/src/lib.py"
        ]
    );
    assert_eq!(
        root.read(".lockstep/kept/v1.0.0/src/lib.py"),
        "edited by me"
    );
}

#[test]
fn a_file_whose_path_the_next_release_needs_stays_and_is_kept() {
    let root = Root::with(&first(), "1.0.0");
    root.write("releases/v1.0.0/new.py", "my own new.py");
    let next = second().with("new.py", "theirs");
    let done = root.install(&next, "2.0.0");
    assert_eq!(done.carried.shadowed, ["new.py"]);
    assert_eq!(root.read("releases/v2.0.0/new.py"), "theirs");
    assert_eq!(root.read("releases/v1.0.0/new.py"), "my own new.py");
    root.session().retain(0, now()).unwrap();
    assert_eq!(root.read(".lockstep/kept/v1.0.0/new.py"), "my own new.py");
}

#[test]
fn a_file_in_place_of_a_folder_and_the_other_way_round() {
    let tree = Tree::new().with("thing", "a file").with("folder/x", "x");
    let root = Root::with(&tree, "1.0.0");
    root.write("releases/v1.0.0/data", "my file");
    root.write("releases/v1.0.0/tools/deep/own", "my tool");
    fs::create_dir_all(root.at("releases/v1.0.0/tools/nothing/at all")).unwrap();
    root.write("releases/v1.0.0/folder/own", "mine");
    let next = Tree::new()
        .with("thing/now", "a folder")
        .with("folder", "a file now")
        .with("data/theirs", "theirs")
        .with("tools", "a file");
    let done = root.install(&next, "2.0.0");
    assert_eq!(
        Tree::read(&root.at("releases/v2.0.0")).without("manifest.json"),
        next
    );
    assert_eq!(
        done.carried.shadowed,
        ["data", "folder/own", "tools/deep/own"]
    );
    assert_eq!(done.carried.deleted, ["folder/x", "thing"]);

    root.session().retain(0, now()).unwrap();
    assert_eq!(
        root.kept(),
        ["v1.0.0/data", "v1.0.0/folder/own", "v1.0.0/tools/deep/own"]
    );
    // And back again.
    root.install(&tree, "3.0.0");
    assert_eq!(
        Tree::read(&root.at("releases/v3.0.0")).without("manifest.json"),
        tree
    );
}

#[test]
fn what_cannot_be_copied_is_named_and_blocks_nobody() {
    let root = Root::with(&first(), "1.0.0");
    make_fifo(root.at("releases/v1.0.0/pipe"));
    let done = root.install(&second(), "2.0.0");
    assert_eq!(done.carried.skipped, ["pipe"]);
    assert!(!root.exists("releases/v2.0.0/pipe"));
    root.session().retain(0, now()).unwrap();
    assert!(root.exists(".lockstep/kept/v1.0.0/pipe"));
}

#[test]
fn a_name_that_is_not_utf8_is_refused_with_advice_and_changes_nothing() {
    let root = Root::with(&first(), "1.0.0");
    let name = OsStr::from_bytes(b"bad\xff");
    fs::write(root.at("releases/v1.0.0").join(name), "mine").unwrap();
    let error = update(
        &root.session(),
        &second(),
        &second().manifest(TOOL, "2.0.0"),
    )
    .unwrap_err();
    assert!(error.to_string().contains("rename it"), "{error}");
    assert_eq!(root.current(), "v1.0.0");
    assert_eq!(root.releases(), ["1.0.0"]);
    assert!(root.at("releases/v1.0.0").join(name).exists());
    // Renamed, as the message says, it goes along.
    fs::rename(
        root.at("releases/v1.0.0").join(name),
        root.at("releases/v1.0.0/good"),
    )
    .unwrap();
    root.install(&second(), "2.0.0");
    assert_eq!(root.read("releases/v2.0.0/good"), "mine");
    // In a release that is deleted, such a file is kept.
    fs::write(root.at("releases/v1.0.0").join(name), "mine").unwrap();
    root.session().retain(0, now()).unwrap();
    assert_eq!(root.read(".lockstep/kept/v1.0.0/bad\u{fffd}"), "mine");
}

#[test]
fn planning_changes_nothing() {
    let root = Root::with(&first(), "1.0.0");
    root.write("releases/v1.0.0/mine", "1234");
    fs::remove_dir_all(root.at(".lockstep")).unwrap(); // as the old system left it
    let before = Tree::read(root.path());
    let plan = plan(&root, &second().manifest(TOOL, "2.0.0"));
    assert_eq!((plan.carried, plan.bytes), (vec!["mine".to_owned()], 4));
    assert_eq!(Tree::read(root.path()), before);
    assert!(!root.exists(".lockstep"));
}

#[test]
fn without_its_manifest_everything_in_the_active_release_may_be_the_users() {
    let root = Root::with(&first().with("gone.py", "gone"), "1.0.0");
    root.write("releases/v1.0.0/mine", "mine");
    root.write("releases/v1.0.0/manifest.json", "{");
    assert_eq!(
        root.installation().active().unwrap_err().kind(),
        ErrorKind::Manifest
    );
    assert_eq!(root.session().recovered(), None);
    root.install(&second(), "2.0.0");
    assert_eq!(root.read("releases/v2.0.0/mine"), "mine");
    assert_eq!(root.read("releases/v2.0.0/gone.py"), "gone");

    // Listed by nobody, and not what the next release has: it is kept.
    root.session().retain(0, now()).unwrap();
    assert_eq!(root.kept(), ["v1.0.0/main.py"]);
}

#[test]
fn a_manifest_without_an_end_is_as_good_as_none() {
    let root = Root::with(&first(), "1.0.0");
    root.write("releases/v1.0.0/mine", "mine");
    let manifest = fs::File::create(root.at("releases/v1.0.0/manifest.json")).unwrap();
    manifest.set_len(1 << 40).unwrap();
    let error = root.installation().active().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Manifest);
    root.install(&second(), "2.0.0");
    assert_eq!(root.read("releases/v2.0.0/mine"), "mine");
}
