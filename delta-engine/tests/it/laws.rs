use std::collections::{BTreeMap, BTreeSet};

use delta_engine::{Delta, ReuseKind};
use manifest_core::{FileEntry, Sha256Digest};
use proptest::prelude::*;

/// Path to content and executable bit.
type Tree = BTreeMap<String, (Vec<u8>, bool)>;

fn entries(tree: &Tree) -> Vec<FileEntry> {
    let entry = |(path, (content, executable)): (&String, &(Vec<u8>, bool))| {
        let digest = Sha256Digest::of(content);
        let size = content.len() as u64;
        FileEntry::new(
            path.parse().unwrap(),
            digest,
            size,
            "https://mirror.example/x",
        )
        .with_executable(*executable)
    };
    tree.iter().map(entry).collect()
}

/// Carries a delta out as an updater does: the new tree is built beside the old one. `published`
/// is where downloads come from.
fn apply(old: &Tree, delta: &Delta<'_>, published: &BTreeMap<Sha256Digest, Vec<u8>>) -> Tree {
    let mut new = Tree::new();
    for download in delta.downloads() {
        let content = &published[&download.sha256];
        assert_eq!(content.len() as u64, download.size);
        for placement in &download.targets {
            let file = (content.clone(), placement.entry.executable());
            assert_eq!(new.insert(placement.entry.path().to_string(), file), None);
        }
    }
    for reuse in delta.reuses() {
        let (content, _) = &old[reuse.source.path().as_str()];
        let file = (content.clone(), reuse.target.executable());
        assert_eq!(new.insert(reuse.target.path().to_string(), file), None);
    }
    new
}

/// The same in place: changes are made to the old tree, and what is deleted is taken out.
fn apply_in_place(
    old: &Tree,
    delta: &Delta<'_>,
    published: &BTreeMap<Sha256Digest, Vec<u8>>,
) -> Tree {
    let mut tree = old.clone();
    for entry in delta.deletions() {
        assert!(tree.remove(entry.path().as_str()).is_some());
    }
    tree.extend(apply(old, delta, published));
    tree
}

/// Few paths and contents, so that equal ones are common.
fn tree() -> impl Strategy<Value = Tree> {
    let path = prop_oneof![
        Just("a"),
        Just("A"),
        Just("a/b"),
        Just("a-b"),
        Just("b"),
        Just("b/c/d"),
        Just("z"),
        Just("\u{e9}"),
    ];
    let content = prop_oneof![Just(Vec::new()), prop::collection::vec(0_u8..3, 1..3),];
    prop::collection::btree_map(path.prop_map(String::from), (content, any::<bool>()), 0..8)
}

proptest! {
    #[test]
    fn applying_the_delta_gives_the_target(old in tree(), new in tree()) {
        let (installed, target) = (entries(&old), entries(&new));
        let delta = Delta::between(&installed, &target);
        let published = new.values().map(|(content, _)| (Sha256Digest::of(content), content.clone())).collect();
        prop_assert_eq!(&apply(&old, &delta, &published), &new);
        prop_assert_eq!(&apply_in_place(&old, &delta, &published), &new);
    }

    #[test]
    fn every_entry_is_accounted_for_once(old in tree(), new in tree()) {
        let (installed, target) = (entries(&old), entries(&new));
        let delta = Delta::between(&installed, &target);

        let mut placed: Vec<&FileEntry> = delta.reuses().iter().map(|reuse| reuse.target).collect();
        placed.extend(delta.downloads().iter().flat_map(|download| &download.targets).map(|placement| placement.entry));
        placed.sort_by(|one, other| one.path().cmp(other.path()));
        prop_assert!(placed.iter().copied().eq(&target));

        let deleted: Vec<_> = delta.deletions().iter().map(|entry| entry.path().to_string()).collect();
        let expected: Vec<_> = old.keys().filter(|path| !new.contains_key(*path)).cloned().collect();
        prop_assert_eq!(deleted, expected);
    }

    #[test]
    fn nothing_installed_is_downloaded_and_nothing_twice(old in tree(), new in tree()) {
        let (installed, target) = (entries(&old), entries(&new));
        let delta = Delta::between(&installed, &target);
        let have: BTreeSet<_> = installed.iter().map(FileEntry::sha256).collect();
        let mut fetched = BTreeSet::new();
        for download in delta.downloads() {
            prop_assert!(!have.contains(&download.sha256));
            prop_assert!(fetched.insert(download.sha256));
            prop_assert!(!download.targets.is_empty());
            prop_assert!(download.targets.is_sorted_by(|one, other| one.entry.path() < other.entry.path()));
        }
        for reuse in delta.reuses() {
            prop_assert_eq!(reuse.source.sha256(), reuse.target.sha256());
            let same_path = reuse.source.path() == reuse.target.path();
            prop_assert_eq!(reuse.kind == ReuseKind::Moved, !same_path);
            prop_assert_eq!(reuse.kind == ReuseKind::ModeChanged, same_path && reuse.changes_mode());
        }
        prop_assert!(delta.reuses().is_sorted_by(|one, other| one.target.path() < other.target.path()));
    }

    #[test]
    fn the_totals_add_up(old in tree(), new in tree()) {
        let (installed, target) = (entries(&old), entries(&new));
        let delta = Delta::between(&installed, &target);
        let totals = delta.totals();
        let files = totals.added + totals.modified + totals.moved + totals.mode_changed + totals.unchanged;
        prop_assert_eq!(files, target.len() as u64);
        prop_assert_eq!(totals.moved + totals.mode_changed + totals.unchanged, totals.reused_files);
        prop_assert_eq!(totals.target_bytes, target.iter().map(FileEntry::size).sum::<u64>());
        prop_assert_eq!(totals.saved_bytes() + totals.download_bytes, totals.target_bytes);
        prop_assert!(totals.saved_bytes() >= totals.reused_bytes);
        prop_assert_eq!(delta.is_empty(), old == new);
    }

    #[test]
    fn the_same_lists_give_the_same_delta(old in tree(), new in tree()) {
        let (installed, target) = (entries(&old), entries(&new));
        prop_assert_eq!(Delta::between(&installed, &target), Delta::between(&installed, &target));
    }
}
