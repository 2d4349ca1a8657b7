//! The exact steps of the composed operations, in their order.

use durable_fs::Operation::{
    self, CreateFile, HardLink, RemoveFile, Rename, SyncDir, SyncFile, Write,
};
use durable_fs::{LinkPolicy, Replace, TEMPORARY_PREFIX};

use crate::{operations, recorded};

#[test]
fn replace_file_writes_and_syncs_before_it_renames() {
    let (folder, root, recorder) = recorded();
    root.create_dir_all("sub").unwrap();
    root.replace_file("sub/file", b"x").unwrap();
    let effects = &recorder.effects()[1..];
    let steps: Vec<_> = effects.iter().map(|(operation, ..)| *operation).collect();
    assert_eq!(steps, [CreateFile, Write, SyncFile, Rename, SyncDir]);
    let temporary = &effects[0].1;
    assert!(
        temporary
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with(TEMPORARY_PREFIX)
    );
    assert!(effects[..4].iter().all(|(_, path, _)| path == temporary));
    assert_eq!(effects[3].2, Some(folder.path().join("sub/file")));
    assert_eq!(
        effects[4].1,
        folder.path().join("sub"),
        "the folder of the new name is synced"
    );
}

#[test]
fn append_line_syncs_the_folder_of_a_new_file_before_it_says_done() {
    let (folder, root, recorder) = recorded();
    root.append_line("log", b"one").unwrap();
    assert_eq!(
        operations(&recorder),
        [CreateFile, SyncDir, Write, SyncFile]
    );
    root.append_line("log", b"two").unwrap();
    assert_eq!(operations(&recorder)[4..], [Write, SyncFile]);
    assert_eq!(recorder.count(Write, folder.path().join("log")), 2);
}

#[test]
fn copies_and_moves_are_named_steps() {
    let (folder, root, recorder) = recorded();
    let trash = root.create_dir_all("trash").unwrap();
    root.replace_file("file", b"x").unwrap();
    let before = recorder.effects().len();
    root.copy("file", &root, "copy").unwrap();
    root.trash("copy", &trash).unwrap();
    root.place_over("file", &root, "over", LinkPolicy::Copy)
        .unwrap();
    root.rename("over", &root, "moved", Replace::Refuse)
        .unwrap();
    root.hard_link("moved", &root, "linked").unwrap();
    root.remove_file("linked").unwrap();
    root.sync().unwrap();
    let steps = operations(&recorder);
    let expected = [
        CreateFile, Write, Rename, CreateFile, Write, Rename, Rename, HardLink, RemoveFile, SyncDir,
    ];
    assert_eq!(steps[before..], expected);
    let trashed = &recorder.effects()[before + 2];
    assert_eq!(trashed.1, folder.path().join("copy"));
    assert_eq!(
        trashed.2.as_ref().unwrap().parent().unwrap(),
        folder.path().join("trash")
    );
}

#[cfg(target_os = "linux")]
#[test]
fn sync_tree_is_one_step_on_linux() {
    let (_folder, root, recorder) = recorded();
    root.sync_tree().unwrap();
    assert_eq!(operations(&recorder), [Operation::SyncFilesystem]);
}

#[test]
fn what_failed_or_only_looked_is_not_recorded() {
    let (_folder, root, recorder) = recorded();
    assert!(root.remove_file("absent").is_err());
    assert!(root.open_file("absent").is_err());
    root.entries().unwrap();
    root.metadata("absent").unwrap();
    assert!(recorder.effects().is_empty());
}
