use std::io;
use std::sync::Arc;

use durable_fs::{Dir, Disk, ErrorKind, Executable, LinkPolicy, Operation, Placed, Recorder};
use rustix::io::Errno;

use crate::{Fault, Script, assert_kind, names, root, root_on};

fn errno(errno: Errno) -> Fault {
    Fault::Errno(errno.raw_os_error())
}

fn program(root: &Dir) {
    root.replace_file("program", b"bytes").unwrap();
    root.set_executable("program", Executable::Yes).unwrap();
}

fn inode(root: &Dir, name: &str) -> u64 {
    root.metadata(name).unwrap().unwrap().inode
}

/// A disk on a file system that cannot clone, whatever this machine has.
fn without_clones() -> Disk {
    Disk::observed(Script::every(Operation::Reflink, errno(Errno::OPNOTSUPP)))
}

#[test]
fn sharing_without_clones_links() {
    let (folder, root) = root_on(&without_clones());
    program(&root);
    for name in ["one", "two"] {
        assert_eq!(
            root.place("program", &root, name, LinkPolicy::Share)
                .unwrap(),
            Placed::Linked
        );
        assert_eq!(inode(&root, name), inode(&root, "program"));
    }
    assert_eq!(root.metadata("program").unwrap().unwrap().links, 3);
    assert_eq!(names(folder.path()), ["one", "program", "two"]);
}

#[test]
fn independent_and_copied_files_have_their_own_inode_and_the_executable_bit() {
    for disk in [Disk::real(), without_clones()] {
        for policy in [LinkPolicy::Independent, LinkPolicy::Copy] {
            let (_folder, root) = root_on(&disk);
            program(&root);
            let placed = root.place("program", &root, "copy", policy).unwrap();
            assert_ne!(placed, Placed::Linked);
            assert_ne!(inode(&root, "copy"), inode(&root, "program"));
            assert!(root.metadata("copy").unwrap().unwrap().executable);
            assert_eq!(root.read("copy", 9).unwrap(), b"bytes");
        }
    }
}

#[test]
fn a_clone_that_cannot_be_made_is_asked_for_once() {
    #[derive(Debug)]
    struct Asked(Recorder, std::sync::atomic::AtomicUsize);
    impl durable_fs::Observer for Asked {
        fn before(&self, effect: &durable_fs::Effect<'_>) -> durable_fs::Verdict {
            if effect.operation == Operation::Reflink {
                self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                return durable_fs::Verdict::Fail(io::ErrorKind::Unsupported.into());
            }
            durable_fs::Verdict::Proceed
        }
        fn after(&self, effect: &durable_fs::Effect<'_>) {
            self.0.after(effect);
        }
    }
    let asked = Arc::new(Asked(Recorder::new(), 0.into()));
    let (_folder, root) = root_on(&Disk::observed(asked.clone()));
    program(&root);
    for number in 0..10 {
        root.place("program", &root, number.to_string(), LinkPolicy::Share)
            .unwrap();
    }
    assert_eq!(asked.0.count(Operation::HardLink, root.path()), 10);
    if cfg!(target_os = "linux") {
        assert_eq!(asked.1.load(std::sync::atomic::Ordering::Relaxed), 1);
    }
}

#[test]
fn a_link_that_is_refused_becomes_a_copy() {
    for refusal in [Errno::MLINK, Errno::PERM, Errno::XDEV, Errno::OPNOTSUPP] {
        let (_folder, root) = root_on(&Disk::observed(Script::every(
            Operation::HardLink,
            errno(refusal),
        )));
        program(&root);
        let placed = root
            .place("program", &root, "copy", LinkPolicy::Share)
            .unwrap();
        assert_ne!(placed, Placed::Linked);
        assert_ne!(inode(&root, "copy"), inode(&root, "program"));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn placing_on_another_file_system_copies() {
    let (_folder, root) = root();
    let Some((_other, other)) = crate::folders::on_another_device(&root) else {
        eprintln!("skipped: /dev/shm is no other file system here");
        return;
    };
    program(&root);
    for (name, policy) in [
        ("a", LinkPolicy::Share),
        ("b", LinkPolicy::Independent),
        ("c", LinkPolicy::Copy),
    ] {
        assert_eq!(
            root.place("program", &other, name, policy).unwrap(),
            Placed::Copied
        );
        assert!(other.metadata(name).unwrap().unwrap().executable);
    }
    assert_eq!(
        root.place_over("program", &other, "a", LinkPolicy::Share)
            .unwrap(),
        Placed::Copied
    );
    assert_eq!(names(other.path()), ["a", "b", "c"]);
}

#[test]
fn placing_never_replaces_and_place_over_does() {
    let (folder, root) = root();
    program(&root);
    for policy in [LinkPolicy::Share, LinkPolicy::Independent, LinkPolicy::Copy] {
        root.replace_file("taken", b"other").unwrap();
        assert_kind(
            root.place("program", &root, "taken", policy),
            ErrorKind::AlreadyExists,
        );
        assert_eq!(root.read("taken", 9).unwrap(), b"other");
        assert_kind(
            root.place("absent", &root, "new", policy),
            ErrorKind::NotFound,
        );
        // The second time, both names may already be one file.
        for _ in 0..2 {
            root.place_over("program", &root, "taken", policy).unwrap();
            assert_eq!(root.read("taken", 9).unwrap(), b"bytes");
            assert_eq!(names(folder.path()), ["program", "taken"], "{policy:?}");
        }
    }
}

#[test]
fn a_file_can_be_placed_over_itself_to_stop_sharing() {
    let (folder, root) = root();
    program(&root);
    root.hard_link("program", &root, "shared").unwrap();
    root.place_over("shared", &root, "shared", LinkPolicy::Independent)
        .unwrap();
    assert_ne!(inode(&root, "shared"), inode(&root, "program"));
    assert_eq!(names(folder.path()), ["program", "shared"]);
}

/// No fault at any step leaves anything but the whole file or nothing.
#[test]
fn a_failed_step_leaves_no_half_file() {
    for policy in [LinkPolicy::Share, LinkPolicy::Independent, LinkPolicy::Copy] {
        for over in [false, true] {
            for step in 0.. {
                let (folder, plain) = root();
                program(&plain);
                let script = Script::at(step, errno(Errno::NOSPC));
                let failing = Disk::observed(script.clone())
                    .open_dir(folder.path())
                    .unwrap();
                let placed = if over {
                    plain.replace_file("new", b"old").unwrap();
                    failing.place_over("program", &failing, "new", policy)
                } else {
                    failing.place("program", &failing, "new", policy)
                };
                let reached = script.seen.load(std::sync::atomic::Ordering::Relaxed) > step;
                let found = names(folder.path());
                let extra: Vec<_> = found
                    .iter()
                    .filter(|name| !["new", "program"].contains(&name.as_str()))
                    .collect();
                if let Err(error) = &placed
                    && error.operation() == Operation::RemoveFile
                {
                    // Taking the failed try away is itself what failed.
                    assert!(extra.len() <= 1);
                    continue;
                }
                assert!(extra.is_empty(), "{policy:?} step {step}: {extra:?}");
                match &placed {
                    Ok(_) => assert_eq!(plain.read("new", 9).unwrap(), b"bytes"),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::NoSpace);
                        let old = over.then(|| b"old".to_vec());
                        assert_eq!(plain.read("new", 9).ok(), old, "{policy:?} step {step}");
                    }
                }
                if !reached {
                    break;
                }
            }
        }
    }
}

#[test]
fn copy_keeps_the_mode_and_counts_the_bytes() {
    for disk in [Disk::real(), Disk::observed(Arc::new(Recorder::new()))] {
        let (_folder, root) = root_on(&disk);
        let bytes: Vec<u8> = (0..700_000_u32)
            .map(|number| (number % 251) as u8)
            .collect();
        root.replace_file("big", &bytes).unwrap();
        assert_eq!(root.copy("big", &root, "copy").unwrap(), 700_000);
        assert_eq!(root.read("copy", 1 << 20).unwrap(), bytes);
        assert!(!root.metadata("copy").unwrap().unwrap().executable);
        assert_kind(root.copy("big", &root, "copy"), ErrorKind::AlreadyExists);
        assert_kind(root.copy("big", &root, "big"), ErrorKind::AlreadyExists);
        root.replace_file("empty", b"").unwrap();
        assert_eq!(root.copy("empty", &root, "empty copy").unwrap(), 0);
    }
}

#[test]
fn a_copy_onto_an_observed_disk_is_seen_whole() {
    let (_folder, root) = root();
    program(&root);
    let recorder = Arc::new(Recorder::new());
    let (_other, observed) = root_on(&Disk::observed(recorder.clone()));
    root.copy("program", &observed, "copy").unwrap();
    assert_eq!(
        crate::operations(&recorder),
        [Operation::CreateFile, Operation::Write, Operation::SetMode]
    );
}

#[test]
fn the_executable_bit_comes_and_goes() {
    let (_folder, root) = root();
    program(&root);
    assert!(root.metadata("program").unwrap().unwrap().executable);
    assert_eq!(
        Some(
            root.open_file_with_metadata("program")
                .unwrap()
                .1
                .executable
        ),
        Some(true)
    );
    root.set_executable("program", Executable::No).unwrap();
    assert!(!root.metadata("program").unwrap().unwrap().executable);
    assert_kind(
        root.set_executable("absent", Executable::No),
        ErrorKind::NotFound,
    );
}

#[cfg(unix)]
#[test]
fn a_secret_stays_a_secret_when_it_is_copied() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let dir = durable_fs::Disk::real().open_dir(folder.path()).unwrap();
    std::fs::write(folder.path().join("secret"), "token").unwrap();
    for mode in [0o600, 0o750, 0o4755] {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.path().join("secret"), permissions).unwrap();
        dir.copy("secret", &dir, "copy").unwrap();
        let copied = std::fs::metadata(folder.path().join("copy")).unwrap();
        assert_eq!(copied.permissions().mode() & 0o7777, mode & 0o777);
        dir.remove_file("copy").unwrap();
    }
}

#[test]
fn whether_clones_are_possible_is_tried_and_nothing_is_left() {
    for disk in [Disk::real(), without_clones()] {
        let (folder, root) = root_on(&disk);
        let can_clone = root.can_clone().unwrap();
        assert_eq!(names(folder.path()), [""; 0]);
        program(&root);
        let placed = root.place("program", &root, "copy", LinkPolicy::Independent);
        assert_eq!(placed.unwrap() == Placed::Cloned, can_clone);
        assert_eq!(root.can_clone().unwrap(), can_clone);
    }
    let (_folder, root) = root_on(&without_clones());
    assert!(!root.can_clone().unwrap());
}

#[cfg(target_os = "linux")]
#[test]
fn a_try_to_clone_that_fails_leaves_nothing() {
    for operation in [Operation::CreateFile, Operation::Write, Operation::Reflink] {
        let full = Script::first(operation, errno(Errno::NOSPC));
        let (folder, root) = root_on(&Disk::observed(full));
        assert_kind(root.can_clone(), ErrorKind::NoSpace);
        assert_eq!(names(folder.path()), [""; 0], "{operation:?}");
    }
}

/// What only root may give is tried where the tests run as root.
#[test]
fn attributes_of_another_file_are_taken_over_and_its_content_is_not() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    let (folder, root) = root();
    let path = |name: &str| folder.path().join(name);
    for name in ["model", "file"] {
        root.replace_file(name, name.as_bytes()).unwrap();
    }
    let is_root = std::os::unix::fs::chown(path("model"), Some(12345), Some(54321)).is_ok();
    let mode = std::fs::Permissions::from_mode(0o2751);
    std::fs::set_permissions(path("model"), mode).unwrap();
    // capabilities(7), `struct vfs_cap_data` of revision 2: cap_net_bind_service, effective and permitted.
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let key = "security.capability";
    let flags = rustix::fs::XattrFlags::empty();
    let has_capability = rustix::fs::setxattr(path("model"), key, &capability, flags).is_ok();

    for _ in 0..2 {
        root.copy_attributes("model", &root, "file").unwrap();
        let found = std::fs::metadata(path("file")).unwrap();
        let model = std::fs::metadata(path("model")).unwrap();
        assert_eq!(found.mode(), model.mode());
        assert_eq!((found.uid(), found.gid()), (model.uid(), model.gid()));
        assert_eq!(found.uid() == 12345, is_root);
        assert_eq!(root.read("file", 9).unwrap(), b"file");
        let mut value = [0; 64];
        let length = rustix::fs::getxattr(path("file"), key, &mut value).unwrap_or(0);
        assert_eq!(value[..length] == capability, has_capability);
    }

    root.replace_file("plain", b"").unwrap();
    root.copy_attributes("plain", &root, "file").unwrap();
    assert!(rustix::fs::getxattr(path("file"), key, &mut [0; 64]).is_err());
    assert_kind(
        root.copy_attributes("gone", &root, "file"),
        ErrorKind::NotFound,
    );
}
