use durable_fs::{Disk, ErrorKind, FileKind, Operation, Replace};

use crate::{Fault, Script, assert_kind, names, recorded, root, root_on};

const EIO: i32 = 5;

#[test]
fn remove_tree_takes_a_tree_that_is_3000_levels_deep() {
    let (folder, root) = root();
    let mut dir = root.create_dir_all("deep").unwrap();
    for _ in 0..3000 {
        dir.create_dir("d").unwrap();
        let below = dir.open_dir("d").unwrap();
        drop(below.create_file("f").unwrap());
        dir = below;
    }
    drop(dir);
    root.replace_file("beside", b"x").unwrap();
    root.remove_tree("deep").unwrap();
    assert_eq!(names(folder.path()), ["beside"]);
}

#[test]
fn remove_tree_takes_many_files_and_folders() {
    let (folder, root) = root();
    for outer in 0..300 {
        let below = root.create_dir_all(format!("tree/{outer}/below")).unwrap();
        below.create_dir("empty").unwrap();
        drop(below.create_file("one").unwrap());
    }
    for number in 0..3000 {
        drop(root.create_file(format!("tree/{number}.txt")).unwrap());
    }
    root.remove_tree("tree").unwrap();
    assert!(names(folder.path()).is_empty());
}

#[test]
fn remove_tree_takes_a_file_and_is_content_with_nothing() {
    let (folder, root) = root();
    root.replace_file("file", b"x").unwrap();
    root.remove_tree("file").unwrap();
    root.remove_tree("file").unwrap();
    root.remove_tree("absent/below").unwrap();
    assert!(names(folder.path()).is_empty());
}

/// Whatever step fails, nothing is left beside the tree, and a second call finishes.
#[test]
fn remove_tree_stopped_at_any_step_goes_on_when_called_again() {
    for step in 0.. {
        let (folder, plain) = root();
        let below = plain.create_dir_all("tree/a/b/c").unwrap();
        plain.create_dir_all("tree/a/other/x").unwrap();
        below.replace_file("file", b"x").unwrap();
        plain.replace_file("beside", b"x").unwrap();

        let script = Script::at(step, Fault::Errno(EIO));
        let failing = Disk::observed(script).open_dir(folder.path()).unwrap();
        let removed = failing.remove_tree("tree");
        if removed.is_ok() {
            assert!(step > 5, "only {step} steps");
            assert_eq!(names(folder.path()), ["beside"]);
            break;
        }
        assert_kind(removed, ErrorKind::Io);
        assert_eq!(names(folder.path()), ["beside", "tree"], "step {step}");
        plain.remove_tree("tree").unwrap();
        assert_eq!(names(folder.path()), ["beside"], "step {step}");
    }
}

#[test]
fn create_dir_all_on_the_disk_syncs_each_folder_that_got_a_name() {
    let (folder, _, recorder) = recorded();
    let disk = Disk::observed(recorder.clone());
    let path = folder.path().join("a/b");
    let opened = disk.create_dir_all(&path).unwrap();
    assert_eq!(opened.path(), path);
    let a = folder.path().join("a");
    let expected = [
        (Operation::CreateDir, a.clone(), None),
        (Operation::SyncDir, folder.path().to_path_buf(), None),
        (Operation::CreateDir, path.clone(), None),
        (Operation::SyncDir, a, None),
    ];
    assert_eq!(recorder.effects(), expected);
    disk.create_dir_all(&path).unwrap();
    assert_eq!(recorder.effects().len(), 4);
    assert_eq!(recorder.count(Operation::CreateDir, &path), 1);
}

#[test]
fn create_dir_all_reports_what_stands_in_the_way() {
    let (folder, root) = root();
    root.replace_file("file", b"x").unwrap();
    assert_kind(
        Disk::real().create_dir_all(folder.path().join("file/below")),
        ErrorKind::NotRegular,
    );
    assert_kind(root.create_dir_all("file/below"), ErrorKind::NotRegular);
    let (_folder, failing) = root_on(&Disk::observed(Script::every(
        Operation::CreateDir,
        Fault::Errno(EIO),
    )));
    assert_kind(failing.create_dir_all("a"), ErrorKind::Io);
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_not_utf_8_is_listed_and_usable() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::Path;

    let (_folder, root) = root();
    let name = OsStr::from_bytes(b"caf\xe9");
    root.replace_file(name, b"x").unwrap();
    let entries = root.entries().unwrap();
    assert_eq!(
        (entries[0].name.as_os_str(), entries[0].kind),
        (name, FileKind::File)
    );
    root.rename(&entries[0].name, &root, "plain", Replace::Refuse)
        .unwrap();
    root.create_dir_all(Path::new(name).join("below")).unwrap();
    root.remove_tree(name).unwrap();
    assert_eq!(root.entries().unwrap().len(), 1);
}
