use super::*;

/// `(path, content, executable)`; the size is the length of the content.
fn entry(path: &str, text: &str, executable: bool) -> FileEntry {
    let digest = Sha256Digest::of(text.as_bytes());
    let url = format!("https://mirror.example/{path}");
    FileEntry::new(path.parse().unwrap(), digest, text.len() as u64, url)
        .with_executable(executable)
}

fn files(list: &[(&str, &str)]) -> Vec<FileEntry> {
    let mut files: Vec<_> = list
        .iter()
        .map(|(path, text)| entry(path, text, false))
        .collect();
    files.sort_by(|one, other| one.path().cmp(other.path()));
    files
}

fn paths<'a>(entries: impl IntoIterator<Item = &'a &'a FileEntry>) -> Vec<&'a str> {
    entries
        .into_iter()
        .map(|entry| entry.path().as_str())
        .collect()
}

/// `source -> target` of each reuse that is not `Unchanged`.
fn changed_reuses(delta: &Delta<'_>) -> Vec<String> {
    let changed = delta
        .reuses()
        .iter()
        .filter(|reuse| reuse.kind != ReuseKind::Unchanged);
    changed
        .map(|reuse| format!("{} -> {}", reuse.source.path(), reuse.target.path()))
        .collect()
}

#[test]
fn nothing_changed_downloads_nothing() {
    let release = files(&[("a", "one"), ("b/c", "two")]);
    let delta = Delta::between(&release, &release);
    assert!(delta.is_empty());
    assert!(delta.downloads().is_empty() && delta.deletions().is_empty());
    assert_eq!(delta.totals().unchanged, 2);
    assert_eq!(delta.totals().reused_bytes, 6);
    assert_eq!(delta.totals().saved_bytes(), delta.totals().target_bytes);
}

#[test]
fn one_changed_file_is_exactly_one_download() {
    let installed = files(&[("a", "one"), ("b", "two"), ("c", "three")]);
    let target = files(&[("a", "one"), ("b", "TWO!"), ("c", "three")]);
    let delta = Delta::between(&installed, &target);
    assert_eq!(delta.downloads().len(), 1);
    let download = &delta.downloads()[0];
    assert_eq!(download.sha256, Sha256Digest::of(b"TWO!"));
    assert_eq!(download.size, 4);
    assert_eq!(
        download.targets,
        [Placement {
            entry: &target[1],
            change: Change::Modified
        }]
    );
    assert!(delta.deletions().is_empty(), "the path stays");
    assert!(!delta.is_empty());
    assert_eq!(
        *delta.totals(),
        Totals {
            download_files: 1,
            download_bytes: 4,
            reused_files: 2,
            reused_bytes: 8,
            modified: 1,
            unchanged: 2,
            target_bytes: 12,
            ..Totals::default()
        }
    );
}

#[test]
fn one_removed_file_is_exactly_one_deletion() {
    let installed = files(&[("a", "one"), ("b", "two")]);
    for (target, gone) in [(files(&[("a", "one")]), "b"), (files(&[("b", "two")]), "a")] {
        let delta = Delta::between(&installed, &target);
        assert_eq!(paths(delta.deletions()), [gone]);
        assert_eq!(delta.totals().deleted_files, 1);
        assert_eq!(delta.totals().deleted_bytes, 3);
        assert!(delta.downloads().is_empty());
        assert!(!delta.is_empty());
    }
}

#[test]
fn a_damaged_file_left_out_of_installed_is_downloaded_again() {
    let target = files(&[("a", "one"), ("b", "two")]);
    let found_intact = &target[..1];
    let delta = Delta::between(found_intact, &target);
    assert_eq!(delta.downloads()[0].targets[0].entry.path().as_str(), "b");
    assert_eq!(delta.downloads()[0].targets[0].change, Change::Added);
}

#[test]
fn from_nothing_everything_is_added_and_to_nothing_everything_goes() {
    let release = files(&[("a", "one"), ("b", "two"), ("empty", "")]);
    let install = Delta::between(&[], &release);
    assert_eq!(install.totals().download_files, 3);
    assert_eq!(install.totals().added, 3);
    assert_eq!(install.totals().download_bytes, 6);
    assert_eq!(install.totals().saved_bytes(), 0);
    let removal = Delta::between(&release, &[]);
    assert_eq!(paths(removal.deletions()), ["a", "b", "empty"]);
    assert!(Delta::between(&[], &[]).is_empty());
}

#[test]
fn a_new_content_is_downloaded_once_for_all_its_files() {
    let installed = files(&[("m", "old")]);
    let target = files(&[("a", "new"), ("m", "new"), ("z", "new")]);
    let delta = Delta::between(&installed, &target);
    assert_eq!(delta.downloads().len(), 1);
    let targets: Vec<_> = delta.downloads()[0]
        .targets
        .iter()
        .map(|placement| (placement.entry.path().as_str(), placement.change))
        .collect();
    assert_eq!(
        targets,
        [
            ("a", Change::Added),
            ("m", Change::Modified),
            ("z", Change::Added)
        ]
    );
    let totals = delta.totals();
    assert_eq!((totals.download_files, totals.download_bytes), (1, 3));
    assert_eq!((totals.added, totals.modified), (2, 1));
    assert_eq!(totals.saved_bytes(), 6);
}

#[test]
fn downloads_come_in_the_order_of_their_first_files() {
    let target = files(&[("a", "1"), ("b", "2"), ("c", "1"), ("d", "3")]);
    let delta = Delta::between(&[], &target);
    let first: Vec<_> = delta
        .downloads()
        .iter()
        .map(|download| download.targets[0].entry.path().as_str())
        .collect();
    assert_eq!(first, ["a", "b", "d"]);
}

#[test]
fn a_moved_file_is_reused_and_its_old_path_deleted() {
    let installed = files(&[("unet.bin", "weights")]);
    let target = files(&[("models/unet.bin", "weights")]);
    let delta = Delta::between(&installed, &target);
    assert_eq!(changed_reuses(&delta), ["unet.bin -> models/unet.bin"]);
    assert_eq!(delta.reuses()[0].kind, ReuseKind::Moved);
    assert_eq!(paths(delta.deletions()), ["unet.bin"]);
    assert_eq!(delta.totals().moved, 1);
    assert!(delta.downloads().is_empty());
}

#[test]
fn a_copy_to_two_paths_reuses_one_source() {
    let installed = files(&[("a", "text")]);
    let target = files(&[("a", "text"), ("b", "text"), ("c", "text")]);
    let delta = Delta::between(&installed, &target);
    assert_eq!(changed_reuses(&delta), ["a -> b", "a -> c"]);
    assert!(delta.downloads().is_empty() && delta.deletions().is_empty());
    assert_eq!((delta.totals().unchanged, delta.totals().moved), (1, 2));
}

#[test]
fn the_same_path_is_preferred_and_then_the_first() {
    let installed = files(&[("a", "same"), ("m", "same"), ("z", "same")]);
    let target = files(&[("m", "same"), ("x", "same")]);
    let delta = Delta::between(&installed, &target);
    assert_eq!(delta.reuses()[0].source.path().as_str(), "m");
    assert_eq!(delta.reuses()[0].kind, ReuseKind::Unchanged);
    assert_eq!(changed_reuses(&delta), ["a -> x"]);
}

#[test]
fn two_swapped_files_are_both_reused() {
    let installed = files(&[("a", "one"), ("b", "two")]);
    let target = files(&[("a", "two"), ("b", "one")]);
    let delta = Delta::between(&installed, &target);
    assert_eq!(changed_reuses(&delta), ["b -> a", "a -> b"]);
    assert!(delta.downloads().is_empty() && delta.deletions().is_empty());
    assert!(!delta.is_empty());
}

#[test]
fn a_case_only_rename_is_a_move() {
    let installed = files(&[("Readme.md", "text")]);
    let target = files(&[("README.md", "text")]);
    let delta = Delta::between(&installed, &target);
    assert_eq!(changed_reuses(&delta), ["Readme.md -> README.md"]);
    assert_eq!(paths(delta.deletions()), ["Readme.md"]);
}

#[test]
fn a_file_becomes_a_folder_and_back() {
    let file = files(&[("tool", "text")]);
    let folder = files(&[("tool/main", "text"), ("tool/other", "more")]);
    let there = Delta::between(&file, &folder);
    assert_eq!(changed_reuses(&there), ["tool -> tool/main"]);
    assert_eq!(paths(there.deletions()), ["tool"]);
    assert_eq!(there.totals().added, 1);
    let back = Delta::between(&folder, &file);
    assert_eq!(changed_reuses(&back), ["tool/main -> tool"]);
    assert_eq!(paths(back.deletions()), ["tool/main", "tool/other"]);
}

#[test]
fn only_the_executable_bit_changes() {
    let installed = [entry("run", "text", false), entry("same", "x", true)];
    let target = [entry("run", "text", true), entry("same", "x", true)];
    let delta = Delta::between(&installed, &target);
    assert_eq!(delta.reuses()[0].kind, ReuseKind::ModeChanged);
    assert!(delta.reuses()[0].changes_mode());
    let changed: Vec<_> = delta.mode_changes().collect();
    assert_eq!(changed, [&delta.reuses()[0]]);
    assert_eq!(delta.totals().mode_changed, 1);
    assert_eq!(delta.totals().unchanged, 1);
    assert!(!delta.is_empty());
}

#[test]
fn a_source_with_the_same_executable_bit_is_preferred() {
    let installed = [entry("a", "text", false), entry("b", "text", true)];
    let target = [entry("x", "text", true), entry("y", "text", false)];
    let delta = Delta::between(&installed, &target);
    assert_eq!(changed_reuses(&delta), ["b -> x", "a -> y"]);
    assert_eq!(delta.mode_changes().count(), 0);
}

#[test]
fn a_move_can_change_the_executable_bit_too() {
    let installed = [entry("a", "text", false)];
    let target = [entry("b", "text", true)];
    let delta = Delta::between(&installed, &target);
    assert_eq!(delta.reuses()[0].kind, ReuseKind::Moved);
    assert!(delta.reuses()[0].changes_mode());
    assert_eq!(delta.mode_changes().count(), 1);
    assert_eq!((delta.totals().moved, delta.totals().mode_changed), (1, 0));
}

#[test]
fn one_content_with_two_modes_is_one_download() {
    let target = [entry("lib", "text", false), entry("run", "text", true)];
    let delta = Delta::between(&[], &target);
    assert_eq!(delta.downloads().len(), 1);
    assert_eq!(delta.downloads()[0].targets.len(), 2);
}

#[test]
fn an_empty_file_is_a_content_as_any_other() {
    let installed = files(&[("a/__init__.py", "")]);
    let target = files(&[("a/__init__.py", ""), ("b/__init__.py", "")]);
    let delta = Delta::between(&installed, &target);
    assert_eq!(changed_reuses(&delta), ["a/__init__.py -> b/__init__.py"]);
}

#[test]
fn a_digest_with_another_size_is_not_reused() {
    let digest = Sha256Digest::of(b"x");
    let sized = |path: &str, size| [FileEntry::new(path.parse().unwrap(), digest, size, "")];
    let (installed, same_path, elsewhere) = (sized("a", 1), sized("a", 2), sized("b", 2));
    assert_eq!(Delta::between(&installed, &same_path).downloads().len(), 1);
    assert_eq!(Delta::between(&installed, &elsewhere).downloads().len(), 1);
}

#[test]
fn sizes_never_overflow() {
    let digest = |text: &[u8]| Sha256Digest::of(text);
    let target = [
        FileEntry::new("a".parse().unwrap(), digest(b"a"), u64::MAX, ""),
        FileEntry::new("b".parse().unwrap(), digest(b"b"), u64::MAX, ""),
    ];
    let delta = Delta::between(&[], &target);
    assert_eq!(delta.totals().download_bytes, u64::MAX);
    assert_eq!(delta.totals().saved_bytes(), 0);
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "the target entries are not sorted")]
fn unsorted_entries_are_noticed_in_debug_builds() {
    let target = [entry("b", "1", false), entry("a", "2", false)];
    let _ = Delta::between(&[], &target);
}
