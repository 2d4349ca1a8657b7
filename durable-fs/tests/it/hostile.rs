//! Links, FIFOs and hard links that somebody planted.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use durable_fs::{Dir, Disk, ErrorKind, Executable, FileKind, LinkPolicy, Operation, Replace};
use rustix::fs::{CWD, FileType, Mode};
use tempfile::TempDir;

use crate::{Fault, Script, assert_kind, names};

/// A folder `root` with a file, and beside it `outside/` with a file that must never change.
struct Planted {
    folder: TempDir,
    root: Dir,
}

impl Planted {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("outside")).unwrap();
        std::fs::create_dir(folder.path().join("root")).unwrap();
        std::fs::write(folder.path().join("outside/file"), b"precious").unwrap();
        let disk = Disk::observed(Script::every(Operation::Reflink, unsupported()));
        let root = disk.open_dir(folder.path().join("root")).unwrap();
        root.replace_file("own", b"own").unwrap();
        symlink("../outside", folder.path().join("root/way")).unwrap();
        symlink("../outside/file", folder.path().join("root/link")).unwrap();
        symlink("../outside/new", folder.path().join("root/dangling")).unwrap();
        Self { folder, root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("root").join(name)
    }

    #[track_caller]
    fn assert_outside_untouched(&self) {
        let outside = self.folder.path().join("outside");
        assert_eq!(names(&outside), ["file"]);
        let metadata = std::fs::metadata(outside.join("file")).unwrap();
        assert_eq!(std::fs::read(outside.join("file")).unwrap(), b"precious");
        assert_eq!(metadata.permissions().mode() & 0o111, 0);
        assert_eq!(metadata.nlink(), 1);
    }
}

fn unsupported() -> Fault {
    Fault::Errno(rustix::io::Errno::OPNOTSUPP.raw_os_error())
}

/// Lets the disk learn that the file system cannot clone, which makes it skip a look at the source.
fn learn_that_there_are_no_clones(root: &Dir) {
    root.place("own", root, "tried", LinkPolicy::Share).unwrap();
    root.remove_file("tried").unwrap();
}

const POLICIES: [LinkPolicy; 3] = [LinkPolicy::Share, LinkPolicy::Independent, LinkPolicy::Copy];

fn is_link(path: &Path) -> bool {
    path.symlink_metadata().unwrap().is_symlink()
}

#[test]
fn a_link_on_the_way_stops_every_operation() {
    let planted = Planted::new();
    let root = &planted.root;
    let kind = ErrorKind::NotRegular;
    for (file, new) in [("way/file", "way/new"), ("way/a/file", "way/a/new")] {
        assert_kind(root.open_dir(new), kind);
        assert_kind(root.open_file(file), kind);
        assert_kind(root.read(file, 100), kind);
        assert_kind(root.metadata(file), kind);
        assert_kind(root.read_link(file), kind);
        assert_kind(root.create_dir(new), kind);
        assert_kind(root.create_dir_all(new), kind);
        assert_kind(root.create_file(new), kind);
        assert_kind(root.append_file(file), kind);
        assert_kind(root.append_line(file, b"x"), kind);
        assert_kind(root.append_line(new, b"x"), kind);
        assert_kind(root.replace_file(file, b"x"), kind);
        assert_kind(root.create_symlink("x", new), kind);
        assert_kind(root.replace_symlink("x", file), kind);
        assert_kind(root.set_executable(file, Executable::Yes), kind);
        assert_kind(root.remove_file(file), kind);
        assert_kind(root.remove_dir(file), kind);
        assert_kind(root.remove_tree(file), kind);
        assert_kind(root.trash(file, root), kind);
        assert_kind(root.try_lock(new), kind);
        for (from, to) in [(file, "here"), ("own", new)] {
            assert_kind(root.rename(from, root, to, Replace::Allow), kind);
            assert_kind(root.rename(from, root, to, Replace::Refuse), kind);
            assert_kind(root.exchange(from, root, to), kind);
            assert_kind(root.hard_link(from, root, to), kind);
            assert_kind(root.copy(from, root, to), kind);
            for policy in POLICIES {
                assert_kind(root.place(from, root, to, policy), kind);
                assert_kind(root.place_over(from, root, to, policy), kind);
            }
        }
    }
    planted.assert_outside_untouched();
    assert_eq!(names(planted.path("")), ["dangling", "link", "own", "way"]);
}

#[test]
fn a_link_as_last_component_is_never_opened() {
    let planted = Planted::new();
    let root = &planted.root;
    let kind = ErrorKind::NotRegular;
    for link in ["link", "dangling", "way"] {
        assert_kind(root.open_dir(link), kind);
        assert_kind(root.open_file(link), kind);
        assert_kind(root.read(link, 100), kind);
        assert_kind(root.create_dir_all(link), kind);
        assert_kind(root.append_file(link), kind);
        assert_kind(root.append_line(link, b"x"), kind);
        assert_kind(root.set_executable(link, Executable::Yes), kind);
        assert_kind(root.remove_dir(link), kind);
        assert_kind(root.try_lock(link), kind);
        assert_kind(root.create_dir(link), ErrorKind::AlreadyExists);
        assert_kind(root.create_file(link), ErrorKind::AlreadyExists);
        assert_kind(root.create_symlink("x", link), ErrorKind::AlreadyExists);
        assert_kind(root.copy(link, root, "copy"), kind);
        assert_kind(root.copy("own", root, link), ErrorKind::AlreadyExists);
        assert_kind(root.hard_link("own", root, link), ErrorKind::AlreadyExists);
        assert_kind(
            root.rename("own", root, link, Replace::Refuse),
            ErrorKind::AlreadyExists,
        );
        for policy in POLICIES {
            // Before and after the disk knows that the file system cannot clone.
            for _ in 0..2 {
                assert_kind(root.place(link, root, "placed", policy), kind);
                assert_kind(
                    root.place("own", root, link, policy),
                    ErrorKind::AlreadyExists,
                );
                assert_kind(root.place_over(link, root, "placed", policy), kind);
                learn_that_there_are_no_clones(root);
            }
        }
        assert_eq!(
            root.metadata(link).unwrap().unwrap().kind,
            FileKind::Symlink
        );
        assert!(is_link(&planted.path(link)));
    }
    planted.assert_outside_untouched();
    assert_eq!(names(planted.path("")), ["dangling", "link", "own", "way"]);
}

#[test]
fn names_are_changed_on_the_link_itself() {
    let planted = Planted::new();
    let root = &planted.root;
    let trash = root.create_dir_all("trash").unwrap();
    for link in ["link", "dangling", "way"] {
        root.rename(link, root, "moved", Replace::Refuse).unwrap();
        assert!(is_link(&planted.path("moved")));
        root.exchange("moved", root, "own").unwrap();
        assert!(is_link(&planted.path("own")));
        assert_eq!(root.read("moved", 9).unwrap(), b"own");
        root.exchange("moved", root, "own").unwrap();
        root.hard_link("moved", root, "second").unwrap();
        assert!(is_link(&planted.path("second")));
        root.trash("second", &trash).unwrap();
        root.remove_file("moved").unwrap();
    }
    assert_eq!(trash.entries().unwrap().len(), 3);
    root.remove_tree("trash").unwrap();
    planted.assert_outside_untouched();
    assert_eq!(names(planted.path("")), ["own"]);
}

#[test]
fn replacing_replaces_the_link_and_not_what_it_points_to() {
    for link in ["link", "dangling", "way"] {
        let planted = Planted::new();
        let root = &planted.root;
        root.replace_file(link, b"new").unwrap();
        assert_eq!(root.read(link, 9).unwrap(), b"new");
        planted.assert_outside_untouched();

        let planted = Planted::new();
        planted
            .root
            .place_over("own", &planted.root, link, LinkPolicy::Copy)
            .unwrap();
        assert!(!is_link(&planted.path(link)));
        planted.assert_outside_untouched();

        let planted = Planted::new();
        planted
            .root
            .rename("own", &planted.root, link, Replace::Allow)
            .unwrap();
        assert!(!is_link(&planted.path(link)));
        planted.assert_outside_untouched();

        let planted = Planted::new();
        planted.root.remove_tree(link).unwrap();
        assert!(planted.root.metadata(link).unwrap().is_none());
        planted.assert_outside_untouched();
    }
}

#[test]
fn remove_tree_unlinks_a_link_that_points_outwards() {
    let planted = Planted::new();
    planted.root.create_dir_all("tree/below").unwrap();
    symlink("../../outside", planted.path("tree/way")).unwrap();
    symlink("../../../outside", planted.path("tree/below/way")).unwrap();
    symlink("../../../outside/file", planted.path("tree/below/link")).unwrap();
    planted.root.remove_tree("tree").unwrap();
    assert!(!planted.path("tree").exists());
    planted.assert_outside_untouched();
}

#[test]
fn a_fifo_or_socket_never_blocks() {
    let planted = Planted::new();
    let root = &planted.root;
    rustix::fs::mknodat(
        CWD,
        planted.path("odd"),
        FileType::Fifo,
        Mode::from_raw_mode(0o666),
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(planted.path("socket")).unwrap();
    for odd in ["odd", "socket"] {
        let kind = ErrorKind::NotRegular;
        assert_kind(root.open_file(odd), kind);
        assert_kind(root.read(odd, 9), kind);
        assert_kind(root.append_file(odd), kind);
        assert_kind(root.append_line(odd, b"x"), kind);
        assert_kind(root.try_lock(odd), kind);
        assert_kind(root.open_dir(odd), kind);
        assert_kind(root.set_executable(odd, Executable::Yes), kind);
        assert_kind(root.copy(odd, root, "copy"), kind);
        for policy in POLICIES {
            for _ in 0..2 {
                assert_kind(root.place(odd, root, "placed", policy), kind);
                learn_that_there_are_no_clones(root);
            }
        }
        assert_kind(Disk::real().open_dir(planted.path(odd)), kind);
        assert_eq!(root.metadata(odd).unwrap().unwrap().kind, FileKind::Other);
        root.remove_tree(odd).unwrap();
    }
    assert_eq!(names(planted.path("")), ["dangling", "link", "own", "way"]);
}

#[test]
fn a_folder_where_a_file_is_needed_is_not_regular() {
    let planted = Planted::new();
    let root = &planted.root;
    root.create_dir("folder").unwrap();
    let kind = ErrorKind::NotRegular;
    assert_kind(root.open_file("folder"), kind);
    assert_kind(root.append_file("folder"), kind);
    assert_kind(root.try_lock("folder"), kind);
    assert_kind(root.copy("folder", root, "copy"), kind);
    assert_kind(root.remove_file("folder"), kind);
    assert_kind(root.replace_file("folder", b"x"), kind);
    assert_kind(root.remove_dir("own"), kind);
    assert_kind(root.open_dir("own"), kind);
    assert_kind(root.open_file("own/below"), kind);
    for policy in POLICIES {
        for _ in 0..2 {
            assert_kind(root.place("folder", root, "placed", policy), kind);
            learn_that_there_are_no_clones(root);
        }
        assert_kind(root.place_over("own", root, "folder", policy), kind);
    }
    assert_eq!(
        names(planted.path("")),
        ["dangling", "folder", "link", "own", "way"]
    );
}

#[test]
fn a_hard_linked_file_is_not_appended_to() {
    let planted = Planted::new();
    std::fs::hard_link(
        planted.folder.path().join("outside/file"),
        planted.path("shared"),
    )
    .unwrap();
    assert_kind(planted.root.append_file("shared"), ErrorKind::NotRegular);
    assert_kind(
        planted.root.append_line("shared", b"x"),
        ErrorKind::NotRegular,
    );
    planted.root.replace_file("shared", b"new").unwrap();
    planted.assert_outside_untouched();
}

#[test]
fn a_folder_swapped_for_a_link_does_not_redirect_an_open_handle() {
    let planted = Planted::new();
    let folder = planted.root.create_dir_all("folder").unwrap();
    std::fs::rename(planted.path("folder"), planted.path("moved")).unwrap();
    symlink("../outside", planted.path("folder")).unwrap();
    folder.replace_file("file", b"mine").unwrap();
    assert_eq!(std::fs::read(planted.path("moved/file")).unwrap(), b"mine");
    planted.assert_outside_untouched();
}
