//! The order in which an update reaches the disk.

use std::path::PathBuf;
use std::sync::Arc;

use activation::Installation;
use durable_fs::{Disk, Operation, Recorder};
use testkit::Tree;

use crate::common::{Root, TOOL, update};

type Effect = (Operation, PathBuf, Option<PathBuf>);

/// Where in the list an effect is for the first time after `from`.
fn after(effects: &[Effect], from: usize, what: &str, is_it: impl Fn(&Effect) -> bool) -> usize {
    let found = effects[from..].iter().position(is_it);
    from + found.unwrap_or_else(|| panic!("{what} not after {from} in {effects:#?}"))
}

#[test]
fn everything_is_durable_before_the_switch_and_the_switch_before_the_return() {
    let root = Root::with(&Tree::new().with("a", "1").with("same", "same"), "1.0.0");
    root.write("releases/v1.0.0/mine", "mine");
    let recorder = Arc::new(Recorder::new());
    let disk = Disk::observed(recorder.clone());
    let session = Installation::open(&disk, root.path())
        .unwrap()
        .lock()
        .unwrap();
    let next = Tree::new().with("a", "2").with("same", "same");
    update(&session, &next, &next.manifest(TOOL, "2.0.0")).unwrap();
    let effects = recorder.effects();

    let releases = root.at("releases");
    let staging = releases.join(".staging");
    let release = releases.join("v2.0.0");
    let is_temporary = |path: &PathBuf| {
        path.parent() == Some(root.path())
            && path
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(".lockstep-")
    };
    let synced = after(
        &effects,
        0,
        "the sync of the tree",
        |(operation, path, _)| {
            *operation == Operation::SyncFilesystem && path.starts_with(&staging)
        },
    );
    let placed = after(
        &effects,
        synced,
        "the rename into its place",
        |(operation, _, to)| *operation == Operation::Rename && to.as_ref() == Some(&release),
    );
    let named = after(
        &effects,
        placed,
        "the sync of the releases",
        |(operation, path, _)| *operation == Operation::SyncDir && *path == releases,
    );
    let created = after(
        &effects,
        named,
        "the new current.txt",
        |(operation, path, _)| *operation == Operation::CreateFile && is_temporary(path),
    );
    let written = after(&effects, created, "its content", |(operation, path, _)| {
        *operation == Operation::Write && is_temporary(path)
    });
    let durable = after(&effects, written, "its sync", |(operation, path, _)| {
        *operation == Operation::SyncFile && is_temporary(path)
    });
    let switched = after(&effects, durable, "the switch", |(operation, _, to)| {
        *operation == Operation::Rename && to.as_ref() == Some(&root.at("current.txt"))
    });
    assert_eq!(
        [created, written, durable, switched],
        [created, created + 1, created + 2, created + 3]
    );
    let after_switch = &effects[switched + 1];
    assert_eq!(
        (after_switch.0, &*after_switch.1),
        (Operation::SyncDir, root.path())
    );

    // Nothing is written into the release once it was synced.
    for (operation, path, to) in &effects[synced + 1..] {
        let is_in_release = |path: &PathBuf| {
            path.starts_with(&release) || path.starts_with(&staging) && *path != staging
        };
        let moves_the_release = to.as_ref() == Some(&release);
        assert!(
            moves_the_release || !is_in_release(path),
            "{operation:?} of {} after the sync",
            path.display()
        );
    }
    // What was carried over is noted, durably, before the switch.
    let carried = root.at(".lockstep/carried");
    let note = after(&effects, 0, "the note", |(operation, _, to)| {
        *operation == Operation::Rename && to.as_ref() == Some(&carried.join("v1.0.0.json"))
    });
    let noted = after(
        &effects,
        note,
        "the sync of the note",
        |(operation, path, _)| *operation == Operation::SyncDir && *path == carried,
    );
    assert!(noted < switched);
    // The history comes last: a line in it is never a promise.
    let history = after(&effects, switched, "the history", |(operation, path, _)| {
        *operation == Operation::Write && path.ends_with("history.jsonl")
    });
    assert!(history > switched);
}
