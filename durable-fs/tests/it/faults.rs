//! Every step of a replacement fails once.
#![cfg(unix)]

use durable_fs::{Disk, ErrorKind, Operation};
use rustix::io::Errno;

use crate::{Fault, Script, assert_kind, names, root, root_on};

const OLD: &[u8] = b"the old content";
const NEW: &[u8] = b"the new content, which is longer";

const CLASSES: &[(Errno, ErrorKind)] = &[
    (Errno::NOSPC, ErrorKind::NoSpace),
    (Errno::DQUOT, ErrorKind::NoSpace),
    (Errno::ROFS, ErrorKind::ReadOnly),
    (Errno::MFILE, ErrorKind::TooManyOpenFiles),
    (Errno::NFILE, ErrorKind::TooManyOpenFiles),
    (Errno::ACCESS, ErrorKind::PermissionDenied),
    (Errno::PERM, ErrorKind::PermissionDenied),
    (Errno::FBIG, ErrorKind::TooLarge),
    (Errno::IO, ErrorKind::Io),
    (Errno::XDEV, ErrorKind::CrossDevice),
    (Errno::NOTEMPTY, ErrorKind::NotEmpty),
    (Errno::OPNOTSUPP, ErrorKind::Unsupported),
    (Errno::NAMETOOLONG, ErrorKind::InvalidPath),
    (Errno::LOOP, ErrorKind::NotRegular),
];

const STEPS: [Operation; 5] = [
    Operation::CreateFile,
    Operation::Write,
    Operation::SyncFile,
    Operation::Rename,
    Operation::SyncDir,
];

#[test]
fn replace_file_leaves_old_or_new_whichever_step_fails() {
    for &(errno, kind) in CLASSES {
        for (step, operation) in STEPS.into_iter().enumerate() {
            for existing in [true, false] {
                let (folder, plain) = root();
                if existing {
                    plain.replace_file("file", OLD).unwrap();
                }
                let script = Script::at(step, Fault::Errno(errno.raw_os_error()));
                let failing = Disk::observed(script).open_dir(folder.path()).unwrap();
                let error = failing.replace_file("file", NEW).unwrap_err();
                assert_eq!((error.operation(), error.kind()), (operation, kind));
                assert_eq!(error.raw_os_error(), Some(errno.raw_os_error()));
                let content = plain.read("file", 100).ok();
                let renamed = operation == Operation::SyncDir;
                let expected = if renamed {
                    Some(NEW)
                } else {
                    existing.then_some(OLD)
                };
                assert_eq!(content.as_deref(), expected);
                let left: &[&str] = if expected.is_some() { &["file"] } else { &[] };
                assert_eq!(names(folder.path()), left);
            }
        }
    }
}

#[test]
fn replace_symlink_leaves_old_or_new_whichever_step_fails() {
    for step in 0..3 {
        let (folder, plain) = root();
        plain.create_symlink("old", "link").unwrap();
        let script = Script::at(step, Fault::Errno(Errno::NOSPC.raw_os_error()));
        let failing = Disk::observed(script).open_dir(folder.path()).unwrap();
        assert_kind(failing.replace_symlink("new", "link"), ErrorKind::NoSpace);
        let expected = if step == 2 { "new" } else { "old" };
        assert_eq!(plain.read_link("link").unwrap().to_str(), Some(expected));
        assert_eq!(names(folder.path()), ["link"]);
    }
}

#[test]
fn short_writes_are_completed() {
    for length in [1, 7, NEW.len()] {
        let (folder, root) = root_on(&Disk::observed(Script::every(
            Operation::Write,
            Fault::Short(length),
        )));
        root.replace_file("file", NEW).unwrap();
        root.append_line("log", NEW).unwrap();
        root.copy("file", &root, "copy").unwrap();
        assert_eq!(root.read("file", 100).unwrap(), NEW);
        assert_eq!(root.read("copy", 100).unwrap(), NEW);
        assert_eq!(root.read("log", 100).unwrap(), [NEW, b"\n"].concat());
        assert_eq!(names(folder.path()), ["copy", "file", "log"]);
    }
}

#[test]
fn an_interrupted_write_is_tried_again() {
    let interrupted = Fault::Errno(Errno::INTR.raw_os_error());
    let (_folder, root) = root_on(&Disk::observed(Script::first(
        Operation::Write,
        interrupted,
    )));
    root.replace_file("file", NEW).unwrap();
    assert_eq!(root.read("file", 100).unwrap(), NEW);
}

#[test]
fn a_write_that_makes_no_progress_fails_and_does_not_hang() {
    let (folder, root) = root_on(&Disk::observed(Script::every(
        Operation::Write,
        Fault::Short(0),
    )));
    assert_kind(root.replace_file("file", NEW), ErrorKind::Io);
    assert!(names(folder.path()).is_empty());
}

#[test]
fn only_a_failed_removal_leaves_the_temporary_file() {
    #[derive(Debug)]
    struct After(std::sync::atomic::AtomicBool);
    impl durable_fs::Observer for After {
        fn before(&self, effect: &durable_fs::Effect<'_>) -> durable_fs::Verdict {
            use std::sync::atomic::Ordering::Relaxed;
            if effect.operation == Operation::Rename {
                self.0.store(true, Relaxed);
            }
            if self.0.load(Relaxed) {
                return durable_fs::Verdict::Fail(Errno::IO.into());
            }
            durable_fs::Verdict::Proceed
        }
        fn after(&self, _: &durable_fs::Effect<'_>) {}
    }
    let (folder, root) = root_on(&Disk::observed(std::sync::Arc::new(After(false.into()))));
    let error = root.replace_file("file", NEW).unwrap_err();
    assert_eq!(
        error.operation(),
        Operation::Rename,
        "the first error is the one that is told"
    );
    let left = names(folder.path());
    assert!(
        left.len() == 1 && left[0].starts_with(durable_fs::TEMPORARY_PREFIX),
        "{left:?}"
    );
}

#[test]
fn a_failed_sync_says_that_the_content_may_be_lost() {
    let failing = Script::every(Operation::SyncFile, Fault::Errno(Errno::IO.raw_os_error()));
    let (_folder, root) = root_on(&Disk::observed(failing));
    let error = root.replace_file("file", NEW).unwrap_err();
    assert!(
        error.to_string().contains("must be written again"),
        "{error}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_no_space() {
    use std::io::Write as _;
    // Not through a folder of ours, which would refuse the device: only to see the class of the real error.
    let error = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .write(b"x")
        .unwrap_err();
    let script = Script::every(
        Operation::Write,
        Fault::Errno(error.raw_os_error().unwrap()),
    );
    let (_folder, root) = root_on(&Disk::observed(script));
    assert_kind(root.replace_file("file", NEW), ErrorKind::NoSpace);
}

#[test]
fn what_may_not_be_opened_is_not_read_and_no_effect() {
    #[derive(Debug, Default)]
    struct Forbids(std::sync::Mutex<Vec<std::path::PathBuf>>);
    impl durable_fs::Observer for Forbids {
        fn before(&self, effect: &durable_fs::Effect<'_>) -> durable_fs::Verdict {
            panic!("{effect:?}");
        }
        fn after(&self, _: &durable_fs::Effect<'_>) {}
        fn before_open(&self, path: &std::path::Path) -> durable_fs::Verdict {
            self.0.lock().unwrap().push(path.to_owned());
            if path.ends_with("secret") {
                return durable_fs::Verdict::Fail(Errno::ACCESS.into());
            }
            durable_fs::Verdict::Proceed
        }
    }
    let (folder, plain) = root();
    for name in ["folder/secret", "secret/file", "folder/open"] {
        let (parent, name) = name.split_once('/').unwrap();
        let parent = plain.create_dir_all(parent).unwrap();
        parent.create_file(name).unwrap();
    }
    let forbids = std::sync::Arc::new(Forbids::default());
    let watched = Disk::observed(forbids.clone()).open_dir(folder.path());
    let watched = watched.unwrap();
    let denied = ErrorKind::PermissionDenied;
    assert_eq!(
        watched.open_file("folder/secret").unwrap_err().kind(),
        denied
    );
    assert_eq!(
        watched
            .open_file_with_metadata("folder/secret")
            .unwrap_err()
            .kind(),
        denied
    );
    assert_eq!(watched.read("secret/file", 10).unwrap_err().kind(), denied);
    assert_eq!(watched.open_dir("secret").unwrap_err().kind(), denied);
    assert!(watched.metadata("folder/secret").unwrap().is_some());
    watched.open_file("folder/open").unwrap();
    let asked = forbids.0.lock().unwrap();
    assert_eq!(asked.last(), Some(&folder.path().join("folder/open")));
}
