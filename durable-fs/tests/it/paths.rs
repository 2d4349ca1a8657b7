use std::path::Path;

use durable_fs::{Dir, ErrorKind, LinkPolicy, Replace};
use proptest::prelude::*;

use crate::{assert_kind, names, root};

const BAD: &[&str] = &[
    "..",
    "../a",
    "a/..",
    "a/../../b",
    "/",
    "/a",
    ".",
    "./a",
    "a/.",
    "a/./b",
    "a//b",
    "a/",
    "//a",
    "a\0b",
    "\0",
];

fn refuses(root: &Dir, bad: &str) {
    let invalid = ErrorKind::InvalidPath;
    assert_kind(root.open_dir(bad), invalid);
    assert_kind(root.create_dir_all(bad), invalid);
    refuses_as_name(root, bad);
}

fn refuses_as_name(root: &Dir, bad: &str) {
    let invalid = ErrorKind::InvalidPath;
    assert_kind(root.open_file(bad), invalid);
    assert_kind(root.read(bad, 1), invalid);
    assert_kind(root.metadata(bad), invalid);
    assert_kind(root.read_link(bad), invalid);
    assert_kind(root.create_dir(bad), invalid);
    assert_kind(root.create_file(bad), invalid);
    assert_kind(root.append_file(bad), invalid);
    assert_kind(root.append_line(bad, b"x"), invalid);
    assert_kind(root.replace_file(bad, b"x"), invalid);
    assert_kind(root.replace_symlink("x", bad), invalid);
    assert_kind(root.create_symlink("x", bad), invalid);
    assert_kind(
        root.set_executable(bad, durable_fs::Executable::Yes),
        invalid,
    );
    assert_kind(root.remove_file(bad), invalid);
    assert_kind(root.remove_dir(bad), invalid);
    assert_kind(root.remove_tree(bad), invalid);
    assert_kind(root.trash(bad, root), invalid);
    assert_kind(root.try_lock(bad), invalid);
    for (from, to) in [(bad, "new"), ("file", bad)] {
        assert_kind(root.rename(from, root, to, Replace::Allow), invalid);
        assert_kind(root.rename(from, root, to, Replace::Refuse), invalid);
        assert_kind(root.exchange(from, root, to), invalid);
        assert_kind(root.hard_link(from, root, to), invalid);
        assert_kind(root.copy(from, root, to), invalid);
        for policy in [LinkPolicy::Share, LinkPolicy::Independent, LinkPolicy::Copy] {
            assert_kind(root.place(from, root, to, policy), invalid);
            assert_kind(root.place_over(from, root, to, policy), invalid);
        }
    }
}

#[test]
fn every_operation_refuses_what_is_no_plain_relative_path() {
    let (folder, root) = root();
    root.replace_file("file", b"x").unwrap();
    for bad in BAD {
        refuses(&root, bad);
    }
    refuses_as_name(&root, "");
    assert_eq!(names(folder.path()), ["file"]);
}

#[test]
fn the_empty_path_is_the_folder_itself() {
    let (_folder, root) = root();
    root.replace_file("file", b"x").unwrap();
    assert_eq!(root.open_dir("").unwrap().read("file", 1).unwrap(), b"x");
    assert_eq!(root.create_dir_all("").unwrap().entries().unwrap().len(), 1);
}

#[test]
fn names_that_only_look_special_are_plain_names() {
    let (folder, root) = root();
    for name in ["...", "..a", "a..", " ", "-", "~", "*"] {
        root.replace_file(name, b"x").unwrap();
        assert!(folder.path().join(name).is_file());
    }
}

#[cfg(unix)]
#[test]
fn a_name_that_is_too_long_is_an_invalid_path() {
    let (_folder, root) = root();
    assert_kind(root.create_file("x".repeat(256)), ErrorKind::InvalidPath);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_path_leaves_the_folder(path in "(\\.|\\.\\.|a|b|/|\0|\\\\| ){0,7}") {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let root = durable_fs::Disk::real().open_dir(&inner).unwrap();
        let is_plain = !path.is_empty()
            && !path.contains('\0')
            && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
            && (cfg!(unix) || !path.contains('\\'));
        if let Some(parent) = Path::new(&path).parent() {
            let _ = root.create_dir_all(parent);
        }
        let replaced = root.replace_file(&path, b"x");
        prop_assert_eq!(names(outer.path()), ["inner"]);
        match replaced {
            Ok(()) => prop_assert_eq!(std::fs::read(inner.join(&path)).unwrap(), b"x"),
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::InvalidPath),
        }
        if cfg!(unix) {
            prop_assert_eq!(is_plain, root.metadata(&path).is_ok_and(|found| found.is_some()));
        }
    }
}
