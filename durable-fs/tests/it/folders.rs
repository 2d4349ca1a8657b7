//! Looking, and the plain effects on names.

use durable_fs::{Dir, Disk, ErrorKind, FileKind, Replace};

use crate::{assert_kind, names, root};

#[test]
fn entries_are_sorted_and_tell_their_kind() {
    let (_folder, root) = root();
    for name in ["b", "a", "C", "ä"] {
        drop(root.create_file(name).unwrap());
    }
    root.create_dir("aa").unwrap();
    let entries = root.entries().unwrap();
    let found: Vec<_> = entries
        .iter()
        .map(|entry| (entry.name.to_str().unwrap(), entry.kind))
        .collect();
    let expected = [
        ("C", FileKind::File),
        ("a", FileKind::File),
        ("aa", FileKind::Dir),
        ("b", FileKind::File),
        ("ä", FileKind::File),
    ];
    assert_eq!(found, expected);
}

#[test]
fn metadata_of_nothing_is_none() {
    let (_folder, root) = root();
    assert!(root.metadata("absent").unwrap().is_none());
    assert!(root.metadata("absent/below").unwrap().is_none());
    root.replace_file("file", b"four").unwrap();
    let metadata = root.metadata("file").unwrap().unwrap();
    assert_eq!(
        (metadata.kind, metadata.len, metadata.links),
        (FileKind::File, 4, 1)
    );
    assert!(!metadata.executable);
    assert!(metadata.modified.is_some());
    assert_kind(root.metadata("file/below"), ErrorKind::NotRegular);
}

#[test]
fn what_is_absent_is_not_found() {
    let (_folder, root) = root();
    let kind = ErrorKind::NotFound;
    assert_kind(root.open_file("a"), kind);
    assert_kind(root.open_dir("a"), kind);
    assert_kind(root.append_file("a"), kind);
    assert_kind(root.create_file("a/b"), kind);
    assert_kind(root.remove_file("a"), kind);
    assert_kind(root.remove_dir("a"), kind);
    assert_kind(root.rename("a", &root, "b", Replace::Allow), kind);
    assert_kind(root.hard_link("a", &root, "b"), kind);
    assert_kind(root.copy("a", &root, "b"), kind);
    assert_kind(root.trash("a", &root), kind);
    assert_kind(Disk::real().open_dir(root.path().join("a")), kind);
}

#[test]
fn errors_name_the_path_and_keep_their_cause_apart() {
    let (folder, root) = root();
    let error = root.open_file("absent").unwrap_err();
    assert_eq!(error.path(), folder.path().join("absent"));
    assert_eq!(
        error.to_string(),
        format!("cannot read {}", folder.path().join("absent").display())
    );
    assert!(std::error::Error::source(&error).is_some());
    assert!(error.is_not_found() && !error.is_already_exists());
    let refused = root.open_file("../a").unwrap_err();
    assert!(
        refused
            .to_string()
            .ends_with("a relative path of plain components is needed")
    );
    assert!(refused.raw_os_error().is_none());
}

#[test]
fn read_refuses_more_than_its_limit() {
    let (_folder, root) = root();
    root.replace_file("file", b"12345").unwrap();
    assert_eq!(root.read("file", 5).unwrap(), b"12345");
    assert_eq!(root.read("file", u64::MAX).unwrap(), b"12345");
    assert_kind(root.read("file", 4), ErrorKind::TooLarge);
    assert_kind(root.read("file", 0), ErrorKind::TooLarge);
    root.replace_file("empty", b"").unwrap();
    assert_eq!(root.read("empty", 0).unwrap(), b"");
}

#[test]
fn rename_refuses_or_replaces_as_told() {
    let (_folder, root) = root();
    root.replace_file("a", b"a").unwrap();
    root.replace_file("b", b"b").unwrap();
    assert_kind(
        root.rename("a", &root, "b", Replace::Refuse),
        ErrorKind::AlreadyExists,
    );
    assert_eq!(root.read("b", 1).unwrap(), b"b");
    root.rename("a", &root, "c", Replace::Refuse).unwrap();
    root.rename("c", &root, "b", Replace::Allow).unwrap();
    assert_eq!(root.read("b", 1).unwrap(), b"a");
    root.create_dir_all("full/below").unwrap();
    root.create_dir("other").unwrap();
    assert_kind(
        root.rename("other", &root, "full", Replace::Allow),
        ErrorKind::NotEmpty,
    );
    assert_kind(root.remove_dir("full"), ErrorKind::NotEmpty);
    assert_kind(root.create_dir("full"), ErrorKind::AlreadyExists);
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
#[test]
fn exchange_swaps_two_folders_with_their_content() {
    let (_folder, root) = root();
    let (one, two) = (
        root.create_dir_all("one").unwrap(),
        root.create_dir_all("place/two").unwrap(),
    );
    one.replace_file("name", b"one").unwrap();
    two.replace_file("name", b"two").unwrap();
    let place = root.open_dir("place").unwrap();
    root.exchange("one", &place, "two").unwrap();
    assert_eq!(root.read("one/name", 9).unwrap(), b"two");
    assert_eq!(root.read("place/two/name", 9).unwrap(), b"one");
    assert_eq!(
        one.read("name", 9).unwrap(),
        b"one",
        "a handle goes along with its folder"
    );
    assert_kind(root.exchange("one", &place, "absent"), ErrorKind::NotFound);
}

#[test]
fn trash_gives_free_names_and_empties_the_place() {
    let (_folder, root) = root();
    let trash = root.create_dir_all("trash").unwrap();
    for _ in 0..3 {
        root.create_dir_all("release/below").unwrap();
        root.trash("release", &trash).unwrap();
        assert!(root.metadata("release").unwrap().is_none());
    }
    assert_eq!(trash.entries().unwrap().len(), 3);
}

#[test]
fn every_handle_can_be_synced_however_it_was_opened() {
    let (_folder, root) = root();
    let created = root.create_dir_all("a/b").unwrap();
    let opened = root.open_dir("a").unwrap();
    for dir in [&root, &created, &opened] {
        dir.sync().unwrap();
        dir.sync_tree().unwrap();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_file_system_tells_its_free_space_and_number() {
    let (_folder, root) = root();
    assert!(root.free_space().unwrap().is_some_and(|bytes| bytes > 0));
    root.create_dir("a").unwrap();
    let metadata = root.metadata("a").unwrap().unwrap();
    assert_eq!(root.device().unwrap(), metadata.device);
    assert_eq!(
        root.open_dir("a").unwrap().device().unwrap(),
        metadata.device
    );
}

/// A folder on another file system, where this machine has one.
#[cfg(target_os = "linux")]
pub(crate) fn on_another_device(root: &Dir) -> Option<(tempfile::TempDir, Dir)> {
    let other = tempfile::tempdir_in("/dev/shm").ok()?;
    let dir = Disk::real().open_dir(other.path()).unwrap();
    if dir.device().unwrap() == root.device().unwrap() {
        return None;
    }
    Some((other, dir))
}

#[cfg(target_os = "linux")]
#[test]
fn two_file_systems_are_cross_device() {
    let (_folder, root) = root();
    let Some((_other, other)) = on_another_device(&root) else {
        eprintln!("skipped: /dev/shm is no other file system here");
        return;
    };
    root.replace_file("file", b"x").unwrap();
    other.replace_file("file", b"y").unwrap();
    let kind = ErrorKind::CrossDevice;
    assert_kind(root.rename("file", &other, "new", Replace::Allow), kind);
    assert_kind(root.rename("file", &other, "new", Replace::Refuse), kind);
    assert_kind(root.exchange("file", &other, "file"), kind);
    assert_kind(root.hard_link("file", &other, "new"), kind);
    assert_kind(root.trash("file", &other), kind);
    assert_eq!(names(other.path()), ["file"]);
}

#[cfg(unix)]
#[test]
fn symbolic_links_are_made_replaced_and_read_but_not_followed() {
    let (folder, root) = root();
    root.create_symlink("releases/v1", "current").unwrap();
    root.replace_symlink("releases/v2", "current").unwrap();
    root.replace_symlink("nowhere", "new").unwrap();
    assert_eq!(
        root.read_link("current").unwrap().to_str(),
        Some("releases/v2")
    );
    assert_eq!(names(folder.path()), ["current", "new"]);
    root.replace_file("file", b"x").unwrap();
    assert_kind(root.read_link("file"), ErrorKind::Io);
    assert_kind(root.read_link("absent"), ErrorKind::NotFound);
}
