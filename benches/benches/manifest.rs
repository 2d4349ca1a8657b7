//! Manifests of 1,000, 20,000 and 100,000 files: parsed, hashed, written.
#![allow(missing_docs)] // criterion's macros make public functions

mod settings;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lockstep_benches::{manifest, path};
use manifest_core::{Limits, Manifest, Sha256Digest, canonical_json};
use serde_json::Value;

/// All that `Manifest::parse` proves (paths, collisions, types, the hash), beside JSON that nobody looked at.
fn parse(criterion: &mut Criterion) {
    for count in [1_000, 20_000, 100_000] {
        let bytes = manifest(count, path, |_| 0).to_bytes();
        let mut group = criterion.benchmark_group(format!("manifest/parse/{count} files"));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function("Manifest::parse", |bencher| {
            bencher.iter(|| Manifest::parse(black_box(&bytes), &Limits::default()).unwrap());
        });
        group.bench_function("serde_json::Value", |bencher| {
            bencher.iter(|| serde_json::from_slice::<Value>(black_box(&bytes)).unwrap());
        });
        group.finish();
    }
}

/// The canonical form and its digest, by our crate's choice and another one; and JSON that is not canonical.
fn canonical(criterion: &mut Criterion) {
    let count = 20_000;
    let manifest = manifest(count, path, |_| 0);
    let bytes = manifest.to_bytes();
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(
        canonical_json(&value).unwrap(),
        serde_jcs::to_vec(&value).unwrap()
    );

    let mut group = criterion.benchmark_group(format!("manifest/hash/{count} files"));
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("canonical_json", |bencher| {
        bencher.iter(|| Sha256Digest::of(&canonical_json(black_box(&value)).unwrap()));
    });
    group.bench_function("serde_jcs", |bencher| {
        bencher.iter(|| Sha256Digest::of(&serde_jcs::to_vec(black_box(&value)).unwrap()));
    });
    group.bench_function("serde_json, not canonical", |bencher| {
        bencher.iter(|| Sha256Digest::of(&serde_json::to_vec(black_box(&value)).unwrap()));
    });
    group.finish();

    let mut group = criterion.benchmark_group(format!("manifest/write/{count} files"));
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("Manifest::to_bytes", |bencher| {
        bencher.iter(|| black_box(&manifest).to_bytes());
    });
    group.bench_function("serde_json::Value", |bencher| {
        bencher.iter(|| serde_json::to_vec_pretty(black_box(&value)).unwrap());
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = settings::brief();
    targets = parse, canonical
}
criterion_main!(benches);
