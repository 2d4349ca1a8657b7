use std::fs;

use activation::Event;
use testkit::Tree;

use crate::common::{Root, fetch, inode, is_executable, now, symlink};

fn tree() -> Tree {
    Tree::new()
        .with("a", "aaaa")
        .with("deep/down/b", "bbbb")
        .with_program("run.sh", "#!")
        .with("c", "aaaa")
}

/// Fetches and replaces everything that is wrong.
fn repair(root: &Root) {
    let session = root.session();
    let release = root.active();
    let findings = release.verify(&()).unwrap().findings;
    for finding in &findings {
        let file = release.manifest().file(finding.path.as_str()).unwrap();
        if finding.problem == activation::Problem::WrongMode {
            session.repair_mode(&release, file).unwrap();
            continue;
        }
        fetch(&session, &tree(), file.sha256());
        let partials = session.partials().unwrap();
        let name = file.sha256().to_string();
        session
            .repair_files(&release, &[file], &partials, &name)
            .unwrap();
    }
    session
        .finish_repair(&release, findings.len(), now())
        .unwrap();
    assert!(root.active().verify(&()).unwrap().is_intact());
}

#[test]
fn damaged_files_are_replaced_and_other_releases_keep_theirs() {
    let root = Root::with(&tree(), "1.0.0");
    root.install(&tree().with("new", "new").without("new"), "2.0.0");
    // One file in both releases, so both are damaged.
    fs::write(root.at("releases/v2.0.0/a"), "AAAA").unwrap();
    fs::remove_dir_all(root.at("releases/v2.0.0/deep")).unwrap();
    repair(&root);
    assert_eq!(root.read("releases/v2.0.0/a"), "aaaa");
    assert_eq!(root.read("releases/v1.0.0/a"), "AAAA");
    assert_eq!(root.read("releases/v1.0.0/deep/down/b"), "bbbb");
    let entry = root.installation().history().unwrap().pop().unwrap();
    assert_eq!(
        (entry.event, entry.note.as_deref()),
        (Event::Repaired, Some("3 files"))
    );
}

#[test]
fn what_stands_in_the_way_is_kept() {
    let root = Root::with(&tree(), "1.0.0");
    let outside = Root::new();
    fs::remove_file(root.at("releases/v1.0.0/a")).unwrap();
    root.write("releases/v1.0.0/a/my/file", "mine");
    fs::remove_dir_all(root.at("releases/v1.0.0/deep")).unwrap();
    symlink(outside.path(), root.at("releases/v1.0.0/deep")).unwrap();
    repair(&root);
    assert_eq!(root.read(".lockstep/kept/v1.0.0/a/my/file"), "mine");
    assert_eq!(
        fs::read_link(root.at(".lockstep/kept/v1.0.0/deep")).unwrap(),
        outside.path()
    );
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn several_files_of_one_content_are_mended_with_one_fetch() {
    let root = Root::with(&tree(), "1.0.0");
    fs::remove_file(root.at("releases/v1.0.0/a")).unwrap();
    fs::remove_file(root.at("releases/v1.0.0/c")).unwrap();
    let session = root.session();
    let release = root.active();
    let files = ["a", "c"].map(|path| release.manifest().file(path).unwrap());
    fetch(&session, &tree(), files[0].sha256());
    let partials = session.partials().unwrap();
    session
        .repair_files(&release, &files, &partials, &files[0].sha256().to_string())
        .unwrap();
    assert!(release.verify(&()).unwrap().is_intact());
}

#[test]
fn a_mode_is_mended_without_touching_the_release_that_shares_the_file() {
    let root = Root::with(&tree(), "1.0.0");
    root.install(&tree(), "2.0.0");
    let (old, new) = (
        root.at("releases/v1.0.0/run.sh"),
        root.at("releases/v2.0.0/run.sh"),
    );
    assert_eq!(inode(&old), inode(&new));
    Tree::new()
        .with("run.sh", "#!")
        .write_to(&root.at("releases/v2.0.0"));
    assert!(!is_executable(&old));
    repair(&root);
    assert!(is_executable(&new) && !is_executable(&old));
}
