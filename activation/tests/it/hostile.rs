//! Rows 54 and 57: what is planted in the root is refused, and nothing outside is touched.

use std::fs;

use activation::{Error, ErrorKind};
use testkit::Tree;

use crate::common::{Root, TOOL, make_fifo, now, roll_back, symlink, update, version};

fn tree(text: &str) -> Tree {
    Tree::new().with("which", text)
}

/// A lock, an update, a rollback, a clean-up, or the first of their errors.
fn everything(root: &Root) -> Result<(), Error> {
    root.installation().active()?;
    let session = root.lock()?;
    update(&session, &tree("2"), &tree("2").manifest(TOOL, "2.0.0"))?;
    roll_back(&session, &version("1.0.0"))?;
    session.retain(0, now())?;
    root.installation().history().map(drop)
}

#[derive(Clone, Copy, Debug)]
enum Planted {
    LinkToFolder,
    LinkToFile,
    DanglingLink,
    Fifo,
    File,
    Folder,
}

#[test]
fn d54_whatever_is_planted_in_place_of_our_own_is_refused_and_never_followed() {
    use Planted::{DanglingLink, Fifo, File, Folder, LinkToFile, LinkToFolder};
    let folders = [
        "releases",
        "releases/v1.0.0",
        "releases/.staging",
        "releases/.staging/partials",
        "releases/.trash",
        ".lockstep",
        ".lockstep/carried",
    ];
    let files = [
        "current.txt",
        ".lockstep/lock",
        ".lockstep/history.jsonl",
        ".lockstep/pending-deletions.json",
        "releases/v1.0.0/manifest.json",
    ];
    let in_place_of_folders = [LinkToFolder, LinkToFile, DanglingLink, Fifo, File];
    let in_place_of_files = [LinkToFolder, LinkToFile, DanglingLink, Fifo, Folder];
    let cases = folders
        .iter()
        .flat_map(|path| in_place_of_folders.map(|kind| (*path, kind)));
    let cases = cases.chain(
        files
            .iter()
            .flat_map(|path| in_place_of_files.map(|kind| (*path, kind))),
    );
    for (path, kind) in cases {
        let outside = Root::with(&tree("outside"), "1.0.0");
        let before = Tree::read(outside.path());
        let root = Root::with(&tree("1"), "1.0.0");
        root.write("releases/v1.0.0/mine", "mine");
        let place = root.at(path);
        if place.is_dir() {
            fs::remove_dir_all(&place).unwrap();
        } else if place.exists() {
            fs::remove_file(&place).unwrap();
        }
        match kind {
            LinkToFolder => symlink(outside.path(), &place).unwrap(),
            LinkToFile => symlink(outside.at("current.txt"), &place).unwrap(),
            DanglingLink => symlink(outside.at("nothing"), &place).unwrap(),
            Fifo => make_fifo(&place),
            File => fs::write(&place, "x").unwrap(),
            Folder => fs::create_dir(&place).unwrap(),
        }
        let error = everything(&root).expect_err(&format!("{path} as {kind:?}"));
        assert_eq!(
            error.kind(),
            ErrorKind::Policy,
            "{path} as {kind:?}: {error:?}"
        );
        assert!(
            fs::symlink_metadata(&place).is_ok(),
            "{path} as {kind:?} is still there"
        );
        assert!(Tree::read(outside.path()) == before, "{path} as {kind:?}");
        if root.at("current.txt").is_file() && kind as u8 != LinkToFile as u8 {
            assert_eq!(root.current(), "v1.0.0", "{path} as {kind:?}");
        }
    }
}

#[test]
fn d54_a_link_in_place_of_the_staged_release_is_refused() {
    let outside = Root::new();
    let root = Root::with(&tree("1"), "1.0.0");
    let manifest = tree("2").manifest(TOOL, "2.0.0");
    let hash = manifest.manifest_hash().to_string();
    let staged = format!("releases/.staging/v2.0.0-{}", &hash[..16]);
    symlink(outside.path(), root.at(&staged)).unwrap();
    let error = update(&root.session(), &tree("2"), &manifest).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Policy);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn d54_a_history_with_a_second_name_is_refused_before_anything_changes() {
    let root = Root::with(&tree("1"), "1.0.0");
    fs::hard_link(root.at(".lockstep/history.jsonl"), root.at("copy")).unwrap();
    assert_eq!(root.lock().unwrap_err().kind(), ErrorKind::Policy);
    fs::remove_file(root.at("copy")).unwrap();
    root.lock().unwrap();
}

#[test]
fn d57_staging_on_another_device_cannot_be_reached_by_a_link() {
    // A mount needs privileges that the tests do not ask for; a link is the only other way, and refused.
    let elsewhere = tempfile::tempdir_in("/var/tmp")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    let root = Root::with(&tree("1"), "1.0.0");
    fs::remove_dir_all(root.at("releases/.staging")).unwrap();
    symlink(elsewhere.path(), root.at("releases/.staging")).unwrap();
    assert_eq!(root.lock().unwrap_err().kind(), ErrorKind::Policy);
}
