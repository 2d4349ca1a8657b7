//! A manifest of 20,000 files: parsed, hashed, written.
#![allow(missing_docs)] // criterion's macros make public functions

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lockstep_benches::manifest;
use manifest_core::{Limits, Manifest, Sha256Digest, canonical_json};

fn manifests(criterion: &mut Criterion) {
    let manifest = manifest(20_000, |_| 0);
    let bytes = manifest.to_bytes();
    let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();

    let mut group = criterion.benchmark_group("manifest/20000 files");
    group.throughput(Throughput::Elements(20_000));
    group.sample_size(10);
    group.measurement_time(Duration::from_secs(3));
    group.bench_function("parse", |bencher| {
        bencher.iter(|| Manifest::parse(black_box(&bytes), &Limits::default()).unwrap());
    });
    group.bench_function("canonical and hash", |bencher| {
        bencher.iter(|| Sha256Digest::of(&canonical_json(black_box(&value)).unwrap()));
    });
    group.bench_function("write", |bencher| {
        bencher.iter(|| black_box(&manifest).to_bytes());
    });
    group.finish();
}

criterion_group!(benches, manifests);
criterion_main!(benches);
