//! What `durable-fs` promises to be durable on return survives every fault.

use std::fs;
use std::os::unix::fs::symlink;

use durable_fs::Disk;
use testkit::{Exploration, Image};

fn is_temporary(path: &std::path::Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy());
    name.is_some_and(|name| name.starts_with(durable_fs::TEMPORARY_PREFIX))
}

#[test]
fn replace_file_leaves_old_or_new() {
    let big = vec![b'x'; 3000];
    for old in [None, Some(&b"the old content"[..])] {
        let explored = Exploration::new(
            |root| {
                fs::create_dir(root.join("folder")).unwrap();
                if let Some(old) = old {
                    fs::write(root.join("folder/file"), old).unwrap();
                }
            },
            |root, disk| disk.open_dir(root)?.replace_file("folder/file", &big),
            |root, case| {
                let found = Image::read(root).filtered(|path| !is_temporary(path));
                let content = found.bytes("folder/file");
                let is_old =
                    content == old && found.paths().count() == 1 + usize::from(old.is_some());
                assert!(
                    content == Some(&big) || is_old && !case.must_be_new(),
                    "{found:?}"
                );
                let root = Disk::real().open_dir(root).unwrap();
                root.replace_file("folder/file", &big).unwrap();
                assert_eq!(root.read("folder/file", 4000).unwrap(), big);
            },
        )
        .with_pairs(20)
        .run();
        assert_eq!(explored.effects, 5);
        println!("replace_file: {explored}");
    }
}

#[test]
fn replace_symlink_leaves_old_or_new() {
    let explored = Exploration::new(
        |root| symlink("old", root.join("link")).unwrap(),
        |root, disk| disk.open_dir(root)?.replace_symlink("new", "link"),
        |root, case| {
            let target = fs::read_link(root.join("link")).unwrap();
            let is_old = target == *"old" && !case.must_be_new();
            assert!(
                target == *"new" || is_old,
                "it points to {}",
                target.display()
            );
        },
    )
    .run();
    println!("replace_symlink: {explored}");
}

#[test]
fn append_line_keeps_every_line_before() {
    let append =
        |root: &std::path::Path, disk: Disk| disk.open_dir(root)?.append_line("log", b"new");
    for old in ["", "one\ntwo\n", "one\ntorn"] {
        let explored = Exploration::new(
            |root| {
                if !old.is_empty() {
                    fs::write(root.join("log"), old).unwrap();
                }
            },
            append,
            |root, case| {
                let found = fs::read(root.join("log")).unwrap_or_default();
                assert!(
                    found.starts_with(old.as_bytes()),
                    "{}",
                    found.escape_ascii()
                );
                let is_complete = found.ends_with(b"\nnew\n") || found == b"new\n";
                assert!(
                    is_complete || !case.must_be_new(),
                    "{}",
                    found.escape_ascii()
                );
                append(root, Disk::real()).unwrap();
                let found = fs::read(root.join("log")).unwrap();
                assert!(found.starts_with(old.as_bytes()));
                assert!(
                    found
                        .split(|byte| *byte == b'\n')
                        .any(|line| line == b"new")
                );
            },
        )
        .with_pairs(20)
        .run();
        println!("append_line: {explored}");
    }
}

#[test]
fn create_dir_all_of_a_disk_and_what_is_synced_in_it_stay() {
    let explored = Exploration::new(
        |_| {},
        |root, disk| {
            let dir = disk.create_dir_all(root.join("a/b/c"))?;
            dir.replace_file("file", b"content")
        },
        |root, case| {
            let found = fs::read(root.join("a/b/c/file")).ok();
            let is_new = found.as_deref() == Some(b"content");
            assert!(
                is_new || found.is_none() && !case.must_be_new(),
                "{found:?}"
            );
            let dir = Disk::real().create_dir_all(root.join("a/b/c")).unwrap();
            dir.replace_file("file", b"content").unwrap();
        },
    )
    .with_pairs(20)
    .run();
    println!("create_dir_all: {explored}");
}

#[test]
fn a_tree_that_is_synced_as_a_whole_appears_as_a_whole() {
    let install = |root: &std::path::Path, disk: Disk| {
        let root = disk.open_dir(root)?;
        root.remove_tree("staging")?;
        let staging = root.create_dir_all("staging/deep")?;
        for number in 0..20 {
            let mut file = staging.create_file(number.to_string())?;
            file.write_bytes(format!("content of {number}").as_bytes())?;
        }
        if root.metadata("release")?.is_some() {
            return Ok(());
        }
        root.open_dir("staging")?.sync_tree()?;
        root.rename("staging", &root, "release", durable_fs::Replace::Refuse)?;
        root.sync()
    };
    let explored = Exploration::new(
        |_| {},
        install,
        |root, case| {
            let look = || {
                let files = (0..20).filter(|number| {
                    let path = root.join(format!("release/deep/{number}"));
                    fs::read_to_string(path).ok() == Some(format!("content of {number}"))
                });
                (root.join("release").exists(), files.count())
            };
            let found = look();
            assert!(
                found == (true, 20) || found == (false, 0) && !case.must_be_new(),
                "{found:?}"
            );
            install(root, Disk::real()).unwrap();
            assert_eq!(look(), (true, 20));
        },
    )
    .with_pairs(4)
    .run();
    println!("a tree of 20 files: {explored}");
}
