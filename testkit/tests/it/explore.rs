//! Right and wrong ways to replace a file: the wrong ones are found.

use std::fs;
use std::path::Path;

use durable_fs::{Dir, Disk, Replace, Result};
use testkit::{Case, Exploration, Explored, Failures};

const OLD: &[u8] = b"old content";
const NEW: &[u8] = b"new content, longer";

fn explore(operation: fn(&Dir) -> Result<()>) -> std::result::Result<Explored, Failures> {
    Exploration::new(
        |root| fs::write(root.join("file"), OLD).unwrap(),
        move |root, disk| operation(&disk.open_dir(root)?),
        move |root, case| old_or_new(root, case, operation),
    )
    .with_pairs(10)
    .try_run()
}

fn old_or_new(root: &Path, case: &Case, operation: fn(&Dir) -> Result<()>) {
    let root = Disk::real().open_dir(root).unwrap();
    let found = root.read("file", 100).unwrap();
    let text = found.escape_ascii();
    assert!(found == NEW || found == OLD, "found \"{text}\"");
    assert!(found == NEW || !case.must_be_new(), "found \"{text}\"");
    operation(&root).unwrap();
    assert_eq!(root.read("file", 100).unwrap(), NEW);
}

fn temporary(root: &Dir) -> Result<durable_fs::FileWriter> {
    root.remove_tree("temporary")?;
    let mut file = root.create_file("temporary")?;
    file.write_bytes(NEW)?;
    Ok(file)
}

fn renamed(root: &Dir) -> Result<()> {
    root.rename("temporary", root, "file", Replace::Allow)
}

fn failure(operation: fn(&Dir) -> Result<()>) -> String {
    let failures = explore(operation).unwrap_err();
    assert!(!failures.texts().is_empty());
    failures.to_string()
}

#[test]
fn write_sync_rename_sync_is_right() {
    let explored = explore(|root| {
        temporary(root)?.sync()?;
        renamed(root)?;
        root.sync()
    })
    .unwrap_or_else(|failures| panic!("{failures}"));
    assert_eq!(explored.effects, 5);
    assert_eq!(explored.failures_tried, 10);
    assert_eq!(explored.stops_tried, 6);
    assert_eq!(explored.short_writes_tried, 1);
    assert_eq!(explored.cuts_tried, 6);
    // The temporary file absent, empty, zeros, half, whole; and renamed, before and after the last sync.
    assert_eq!(explored.states_tried, 7);
    assert!(explored.pairs_tried > 20, "{explored}");
}

#[test]
fn replace_without_a_sync_of_the_file_is_found() {
    let failure = failure(|root| {
        temporary(root)?;
        renamed(root)?;
        root.sync()
    });
    assert!(failure.contains("found \"\""), "{failure}");
    assert!(failure.contains("power cut"), "{failure}");
    assert!(
        !failure.contains("stop before"),
        "kill tests cannot see it: {failure}"
    );
}

#[test]
fn replace_without_a_sync_of_the_folder_is_found() {
    let failure = failure(|root| {
        temporary(root)?.sync()?;
        renamed(root)
    });
    assert!(
        failure.contains("after the operation had succeeded"),
        "{failure}"
    );
    assert!(failure.contains("found \"old content\""), "{failure}");
}

#[test]
fn writing_in_place_is_found() {
    let failure = failure(|root| {
        let mut file = root.append_file("file")?;
        file.truncate(0)?;
        file.write_bytes(NEW)?;
        file.sync()
    });
    assert!(failure.contains("stop before effect 1"), "{failure}");
}

#[test]
fn an_error_that_is_not_reported_is_found() {
    let failure = failure(|root| {
        let _ = temporary(root)?.sync();
        renamed(root)?;
        root.sync()
    });
    // A single fault does not show it: the failure itself, and then the power.
    assert!(failure.contains("error 5 at effect 2"), "{failure}");
    assert!(failure.contains("then power cut"), "{failure}");
}

#[test]
fn a_recovery_that_is_not_safe_itself_is_found() {
    let failure = failure(|root| {
        if root.metadata("temporary")?.is_some() {
            // The last run was cut off: this one is in a hurry.
            let mut file = root.append_file("file")?;
            file.truncate(0)?;
            file.write_bytes(NEW)?;
            file.sync()?;
            root.remove_file("temporary")?;
            return root.sync();
        }
        temporary(root)?.sync()?;
        renamed(root)?;
        root.sync()
    });
    assert!(failure.contains("then in the recovery"), "{failure}");
}

#[test]
fn a_short_write_that_is_taken_for_a_failure_is_found() {
    let failure = failure(|root| {
        root.remove_tree("temporary")?;
        let mut file = root.create_file("temporary")?;
        let written = std::io::Write::write(&mut file, NEW).unwrap_or(0);
        if written < NEW.len() {
            return root.create_dir("file"); // a failure at hand
        }
        file.sync()?;
        renamed(root)?;
        root.sync()
    });
    assert!(failure.contains("a short write, effect 1"), "{failure}");
}

#[test]
fn an_operation_that_fails_undisturbed_is_no_success() {
    let failure = failure(|root| root.create_dir("file"));
    assert!(
        failure.contains("the undisturbed operation failed"),
        "{failure}"
    );
}

#[test]
fn a_panic_in_the_operation_is_found() {
    let failure = failure(|root| {
        let mut file = temporary(root)?;
        file.sync().expect("syncing always works");
        renamed(root)?;
        root.sync()
    });
    assert!(failure.contains("syncing always works"), "{failure}");
}
