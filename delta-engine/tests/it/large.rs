use delta_engine::Delta;
use manifest_core::{FileEntry, Sha256Digest};

/// A release of `count` files, some in the next folder and some changed, in each generation.
fn release(count: u64, generation: u64) -> Vec<FileEntry> {
    let mut files: Vec<_> = (0..count)
        .map(|index| {
            let moved = if index % 10 == 3 { generation } else { 0 };
            let changed = if index % 10 == 7 { generation } else { 0 };
            let path = format!("folder{:03}/{moved}/file{index:07}.bin", index % 500);
            let digest = Sha256Digest::of(format!("{index} {changed}").as_bytes());
            FileEntry::new(
                path.parse().unwrap(),
                digest,
                index,
                "https://mirror.example/x",
            )
        })
        .collect();
    files.sort_by(|one, other| one.path().cmp(other.path()));
    files
}

#[test]
fn a_hundred_thousand_entries() {
    let (installed, target) = (release(100_000, 0), release(100_000, 1));
    let delta = Delta::between(&installed, &target);
    let totals = delta.totals();
    assert_eq!((totals.unchanged, totals.moved), (80_000, 10_000));
    assert_eq!((totals.modified, totals.deleted_files), (10_000, 10_000));
    assert_eq!(totals.added, 0);
}
