//! What has to change between two releases of 100,000 files.
#![allow(missing_docs)] // criterion's macros make public functions

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use delta_engine::Delta;
use lockstep_benches::manifest;

fn deltas(criterion: &mut Criterion) {
    let old = manifest(100_000, |_| 0);
    let same = manifest(100_000, |_| 0);
    let other = manifest(100_000, |_| 1);

    let mut group = criterion.benchmark_group("delta/100000 files");
    group.throughput(Throughput::Elements(100_000));
    group.sample_size(10);
    group.measurement_time(Duration::from_secs(3));
    for (name, new) in [("unchanged", &same), ("all changed", &other)] {
        group.bench_function(name, |bencher| {
            // Borrows from both, so it cannot leave: dropping it is measured, too.
            bencher.iter(|| {
                black_box(&Delta::between(
                    black_box(old.files()),
                    black_box(new.files()),
                ));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, deltas);
criterion_main!(benches);
