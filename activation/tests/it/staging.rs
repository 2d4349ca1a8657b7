use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use activation::{ErrorKind, ReuseItem, Watch};
use durable_fs::LinkPolicy;
use testkit::Tree;

use crate::common::{Root, TOOL, fetch, inode, symlink, update};

fn tree() -> Tree {
    Tree::new()
        .with("a", "aaaa")
        .with("deep/b", "bbbb")
        .with_program("c.sh", "cccc")
        .with("big", vec![1; 3 << 20])
}

/// Cancels after so many bytes.
struct After(AtomicU64, u64);

impl Watch for After {
    fn found(&self, _: u64) {}

    fn advanced(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= self.1
    }
}

fn staged(root: &Root) -> std::path::PathBuf {
    let hash = tree().manifest(TOOL, "1.0.0").manifest_hash().to_string();
    root.at(&format!("releases/.staging/v1.0.0-{}", &hash[..16]))
}

#[test]
fn an_interrupted_run_goes_on_with_what_is_right() {
    let root = Root::new();
    let manifest = tree().manifest(TOOL, "1.0.0");
    drop(root.session().stage(&manifest, &()).unwrap());
    let folder = staged(&root);
    tree().write_to(&folder);
    fs::write(folder.join("deep/b"), "BBBB").unwrap(); // corrupt
    fs::write(folder.join("c.sh"), "cc").unwrap(); // cut short
    fs::write(folder.join("foreign"), "x").unwrap();
    fs::write(folder.join("deep/foreign"), "x").unwrap();
    fs::create_dir_all(folder.join("empty/below")).unwrap();
    symlink("/etc", folder.join("link")).unwrap();
    fs::write(folder.join("manifest.json"), "{}").unwrap();

    let session = root.session();
    let staging = session.stage(&manifest, &()).unwrap();
    let has: Vec<_> = manifest
        .files()
        .iter()
        .filter(|file| staging.has(file.path()))
        .collect();
    let paths: Vec<_> = has.iter().map(|file| file.path().as_str()).collect();
    assert_eq!(paths, ["a", "big"]);
    assert_eq!(staging.present(), 2);
    assert_eq!(Tree::read(&folder).paths(), ["a", "big"]);
    assert!(!folder.join("empty").exists() && fs::symlink_metadata(folder.join("link")).is_err());
    drop(staging);
    let before = inode(folder.join("big"));
    update(&session, &tree(), &manifest).unwrap();
    assert_eq!(
        inode(root.at("releases/v1.0.0/big")),
        before,
        "not fetched again"
    );
}

#[test]
fn a_wrong_mode_or_type_in_staging_is_not_right() {
    let root = Root::new();
    let manifest = tree().manifest(TOOL, "1.0.0");
    let folder = staged(&root);
    tree()
        .with("c.sh", "cccc")
        .with_program("a", "aaaa")
        .without("big")
        .write_to(&folder);
    fs::create_dir_all(folder.join("big/folder")).unwrap();
    let staging = root.session().stage(&manifest, &()).unwrap();
    assert_eq!(staging.present(), 1);
    assert_eq!(Tree::read(&folder).paths(), ["deep/b"]);
}

#[test]
fn staging_of_another_manifest_is_discarded_and_partials_are_not() {
    let root = Root::new();
    let session = root.session();
    drop(session.stage(&tree().manifest(TOOL, "0.9.0"), &()).unwrap());
    root.write("releases/.staging/whatever", "x");
    root.write("releases/.staging/partials/half", "x");
    let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"bad\xff");
    fs::create_dir(root.at("releases/.staging").join(name)).unwrap();
    drop(session.stage(&tree().manifest(TOOL, "1.0.0"), &()).unwrap());
    let mut names: Vec<_> = fs::read_dir(root.at("releases/.staging"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [root.at("releases/.staging/partials"), staged(&root)]
    );
    assert!(root.exists("releases/.staging/partials/half"));
}

#[test]
fn sealing_names_what_is_missing() {
    let manifest = tree().manifest(TOOL, "1.0.0");
    for (spoilt, path) in [
        (tree().without("deep/b"), "deep/b"),
        (tree().with("a", "aaa"), "\"a\""),
        (tree().with("c.sh", "cccc"), "c.sh"),
    ] {
        let root = Root::new();
        let session = root.session();
        let staging = session.stage(&manifest, &()).unwrap();
        spoilt.write_to(&staged(&root));
        let error = staging.seal(None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incomplete);
        assert!(error.to_string().contains(path), "{error}");
        assert!(!root.exists("current.txt") && root.releases().is_empty());
        update(&session, &tree(), &manifest).unwrap();
    }
}

#[test]
fn a_fetched_file_needs_a_place() {
    let root = Root::new();
    let session = root.session();
    let manifest = tree().manifest(TOOL, "1.0.0");
    let staging = session.stage(&manifest, &()).unwrap();
    fetch(&session, &tree(), manifest.files()[0].sha256());
    let partials = session.partials().unwrap();
    let error = staging.adopt(&partials, "x", &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incomplete);
}

#[test]
fn sources_that_are_not_right_are_left_to_be_fetched() {
    let root = Root::with(&tree(), "1.0.0");
    let old = root.at("releases/v1.0.0");
    fs::write(old.join("a"), "AAAA").unwrap();
    fs::remove_file(old.join("deep/b")).unwrap();
    symlink("/etc/passwd", old.join("deep/b")).unwrap();
    fs::remove_file(old.join("c.sh")).unwrap();
    crate::common::make_fifo(old.join("c.sh"));
    let session = root.session();
    let (active, target) = (root.active(), tree().manifest(TOOL, "2.0.0"));
    for policy in [LinkPolicy::Share, LinkPolicy::Independent, LinkPolicy::Copy] {
        let staging = session.stage(&tree().manifest(TOOL, "2.0.0"), &()).unwrap();
        let items = active.manifest().files().iter().zip(target.files());
        let items = items
            .filter(|(_, target)| !staging.has(target.path()))
            .map(|(source, target)| ReuseItem { source, target });
        let reused = staging.reuse(&active, items, policy, &()).unwrap();
        let damaged: Vec<_> = reused
            .damaged
            .iter()
            .map(|file| file.path().as_str())
            .collect();
        assert_eq!(damaged, ["a", "c.sh", "deep/b"]);
        assert_eq!(
            reused.files,
            usize::from(policy == LinkPolicy::Share),
            "big, the first time"
        );
    }
    drop(session);
    root.install(&tree(), "2.0.0");
    assert!(root.active().verify(&()).unwrap().is_intact());
}

#[test]
fn a_cancelled_reuse_leaves_staging_to_go_on_from() {
    let root = Root::with(&tree(), "1.0.0");
    let session = root.session();
    let (active, target) = (root.active(), tree().manifest(TOOL, "2.0.0"));
    let staging = session.stage(&target, &()).unwrap();
    let items = || {
        let pairs = active.manifest().files().iter().zip(target.files());
        pairs.map(|(source, target)| ReuseItem { source, target })
    };
    let watch = After(AtomicU64::new(0), 1 << 20);
    let error = staging
        .reuse(&active, items(), LinkPolicy::Share, &watch)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    drop(staging);
    let watch = After(AtomicU64::new(0), 1);
    let error = active.verify(&watch).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    update(&session, &tree(), &target).unwrap();
    assert_eq!(root.current(), "v2.0.0");
    assert!(root.active().verify(&()).unwrap().is_intact());
}

#[test]
fn a_staged_file_can_be_spread_to_other_paths() {
    let both = Tree::new().with("one", "same").with("two", "same");
    let manifest = both.manifest(TOOL, "1.0.0");
    let root = Root::new();
    let session = root.session();
    let staging = session.stage(&manifest, &()).unwrap();
    fetch(&session, &both, manifest.files()[0].sha256());
    let partials = session.partials().unwrap();
    let name = manifest.files()[0].sha256().to_string();
    staging
        .adopt(&partials, &name, &[&manifest.files()[0]])
        .unwrap();
    drop(staging);
    // As after a crash between the two.
    let staging = session.stage(&manifest, &()).unwrap();
    assert!(staging.has(manifest.files()[0].path()) && !staging.has(manifest.files()[1].path()));
    staging
        .spread(&manifest.files()[0], &[&manifest.files()[1]])
        .unwrap();
    staging.seal(None).unwrap();
}
