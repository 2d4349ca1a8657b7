use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use activation::{ErrorKind, Installation};
use durable_fs::Disk;
use testkit::Tree;

use crate::common::Root;

const ROOT_OF_CHILD: &str = "LOCKSTEP_TEST_ROOT";

#[test]
fn d53_one_works_and_the_other_hears_that_it_is_busy() {
    let root = Root::with(&Tree::new(), "1.0.0");
    let session = root.session();
    let error = root.lock().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains("is being changed by"), "{error}");
    assert!(
        root.installation().active().unwrap().is_some(),
        "reading needs no lock"
    );
    let clone = session.clone();
    drop(session);
    assert_eq!(root.lock().unwrap_err().kind(), ErrorKind::Busy);
    drop(clone);
    root.lock().unwrap();
}

/// Not a test: what the child process of the next one runs.
#[test]
fn child_that_holds_the_lock() {
    let Some(root) = std::env::var_os(ROOT_OF_CHILD) else {
        return;
    };
    let _session = Installation::open(&Disk::real(), root)
        .unwrap()
        .lock()
        .unwrap();
    println!("\nlocked");
    let _ = std::io::stdin().read_line(&mut String::new()); // until it is killed
}

#[test]
fn d53_the_lock_of_a_killed_process_is_free() {
    let root = Root::new();
    root.installation();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lock::child_that_holds_the_lock", "--nocapture"])
        .env(ROOT_OF_CHILD, root.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "locked"));
    assert_eq!(root.lock().unwrap_err().kind(), ErrorKind::Busy);
    child.kill().unwrap();
    child.wait().unwrap();
    root.lock().unwrap();
}

#[test]
fn an_installation_that_is_not_there_is_not_found() {
    let root = Root::new();
    let error = Installation::open(&Disk::real(), root.at("nothing")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    Installation::create(&Disk::real(), root.at("new/below"))
        .unwrap()
        .lock()
        .unwrap();
    assert!(root.exists("new/below/releases"));
}
