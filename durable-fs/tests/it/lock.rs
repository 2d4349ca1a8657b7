use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use durable_fs::Disk;

use crate::{names, root};

const CHILD: &str = "DURABLE_FS_TEST_LOCK_IN";

#[test]
fn a_lock_is_held_by_one_handle_and_freed_when_dropped() {
    let (folder, root) = root();
    let lock = root.try_lock("lock").unwrap().expect("nobody holds it");
    assert!(root.try_lock("lock").unwrap().is_none());
    assert!(
        Disk::real()
            .open_dir(folder.path())
            .unwrap()
            .try_lock("lock")
            .unwrap()
            .is_none()
    );
    assert!(root.try_lock("other").unwrap().is_some());
    drop(lock);
    assert!(root.try_lock("lock").unwrap().is_some());
    assert_eq!(names(folder.path()), ["lock", "other"], "the files stay");
}

#[test]
fn locking_keeps_what_is_in_the_file() {
    let (_folder, root) = root();
    root.replace_file("lock", b"kept").unwrap();
    let _lock = root.try_lock("lock").unwrap().unwrap();
    assert_eq!(root.metadata("lock").unwrap().unwrap().len, 4);
}

/// Runs in a process of its own, started by the next test; by itself it does nothing.
#[test]
fn child_that_holds_a_lock() {
    let Some(folder) = std::env::var_os(CHILD) else {
        return;
    };
    let root = Disk::real().open_dir(folder).unwrap();
    let _lock = root.try_lock("lock").unwrap().expect("nobody holds it");
    println!("\nlocked");
    std::io::stdout().flush().unwrap();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap(); // until it is killed
}

#[test]
fn the_lock_of_a_killed_process_is_free() {
    let (folder, root) = root();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lock::child_that_holds_a_lock", "--nocapture"])
        .env(CHILD, folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    assert!(
        output.lines().any(|line| line.unwrap() == "locked"),
        "the child must get the lock"
    );
    assert!(
        root.try_lock("lock").unwrap().is_none(),
        "another process holds it"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(root.try_lock("lock").unwrap().is_some());
}

#[cfg(target_os = "linux")]
#[test]
fn the_holder_of_a_lock_is_known_to_whoever_waits_for_it() {
    let (_folder, root) = root();
    assert_eq!(root.lock_holder("lock"), None);
    let lock = root.try_lock("lock").unwrap().unwrap();
    assert_eq!(root.lock_holder("lock"), Some(std::process::id()));
    drop(lock);
    assert_eq!(root.lock_holder("lock"), None);
}
