//! What has to change between two releases of 100,000 files, beside two hash maps.
#![allow(missing_docs)] // criterion's macros make public functions

mod settings;

use std::collections::{HashMap, HashSet};
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use delta_engine::Delta;
use lockstep_benches::{manifest, path};
use manifest_core::FileEntry;

const COUNT: u64 = 100_000;

fn deltas(criterion: &mut Criterion) {
    let old = manifest(COUNT, path, |_| 0);
    let cases = [
        ("unchanged", manifest(COUNT, path, |_| 0)),
        (
            "1 % changed",
            manifest(COUNT, path, |index| u64::from(index % 100 == 0)),
        ),
        ("all changed", manifest(COUNT, path, |_| 1)),
        (
            "all moved",
            manifest(COUNT, |index| format!("moved/{}", path(index)), |_| 0),
        ),
    ];
    for (name, new) in &cases {
        let delta = Delta::between(old.files(), new.files());
        let counted = (
            delta.downloads().len(),
            delta.reuses().len(),
            delta.deletions().len(),
        );
        assert_eq!(Naive::between(old.files(), new.files()).counts(), counted);

        let mut group = criterion.benchmark_group(format!("delta/{COUNT} files/{name}"));
        group.throughput(Throughput::Elements(COUNT));
        // Both borrow their lists, so they cannot leave: dropping them is measured, too.
        group.bench_function("Delta::between", |bencher| {
            bencher.iter(|| {
                black_box(&Delta::between(
                    black_box(old.files()),
                    black_box(new.files()),
                ));
            });
        });
        group.bench_function("hash maps", |bencher| {
            bencher.iter(|| {
                black_box(&Naive::between(
                    black_box(old.files()),
                    black_box(new.files()),
                ));
            });
        });
        group.finish();
    }
}

/// The same answer, without a thought: one map by path, one by content.
struct Naive<'a> {
    downloads: Vec<&'a FileEntry>,
    reuses: Vec<(&'a FileEntry, &'a FileEntry)>,
    deletions: Vec<&'a FileEntry>,
}

impl<'a> Naive<'a> {
    fn between(old: &'a [FileEntry], new: &'a [FileEntry]) -> Self {
        let by_content: HashMap<_, _> = old.iter().map(|file| (file.sha256(), file)).collect();
        let mut by_path: HashMap<_, _> = old
            .iter()
            .map(|file| (file.path().as_str(), file))
            .collect();
        let mut wanted = HashSet::new();
        let (mut downloads, mut reuses) = (Vec::new(), Vec::new());
        for file in new {
            let same_path = by_path.remove(file.path().as_str());
            let source = same_path.filter(|old| old.sha256() == file.sha256());
            if let Some(old) = source.or_else(|| by_content.get(&file.sha256()).copied()) {
                reuses.push((old, file));
            } else if wanted.insert(file.sha256()) {
                downloads.push(file);
            }
        }
        Self {
            downloads,
            reuses,
            deletions: by_path.into_values().collect(),
        }
    }

    fn counts(&self) -> (usize, usize, usize) {
        (
            self.downloads.len(),
            self.reuses.len(),
            self.deletions.len(),
        )
    }
}

criterion_group! {
    name = benches;
    config = settings::brief();
    targets = deltas
}
criterion_main!(benches);
