//! SHA-256 and BLAKE3 beside reading alone, and a tree with one thread and with two.
#![allow(missing_docs)] // criterion's macros make public functions

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Read as _;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lockstep_benches::{content, write_tree};
use manifest_core::{ScanOptions, Sha256Digest, blake3_reader, hash_file, scan};

const MIB: usize = 1 << 20;

fn contents(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("content");
    for mib in [1, 64] {
        let bytes = content(1, mib * MIB);
        fs::write(&path, &bytes).unwrap();
        let open = || File::open(&path).unwrap();
        let mut buffer = vec![0; 256 * 1024];

        let mut group = criterion.benchmark_group(format!("hashing/{mib} MiB"));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.sample_size(10);
        group.measurement_time(Duration::from_secs(2));
        group.bench_function("memory/sha2", |bencher| {
            bencher.iter(|| Sha256Digest::of(black_box(&bytes)));
        });
        group.bench_function("memory/blake3", |bencher| {
            bencher.iter(|| blake3_reader(black_box(bytes.as_slice())).unwrap());
        });
        group.bench_function("file/sha2", |bencher| {
            bencher.iter(|| hash_file(&open()).unwrap());
        });
        group.bench_function("file/blake3", |bencher| {
            bencher.iter(|| blake3_reader(open()).unwrap());
        });
        group.bench_function("file/read only", |bencher| {
            bencher.iter(|| {
                let mut file = open();
                while file.read(black_box(&mut buffer)).unwrap() > 0 {}
            });
        });
        group.finish();
    }
}

fn tree(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    write_tree(folder.path(), 64, MIB).unwrap();
    let mut group = criterion.benchmark_group("hashing/tree of 64 files");
    group.throughput(Throughput::Bytes(64 * MIB as u64));
    group.sample_size(10);
    group.measurement_time(Duration::from_secs(2));
    for threads in [1, 2] {
        let options = ScanOptions::new()
            .with_tool_id("bench".parse().unwrap())
            .with_tool_version("1.0.0".parse().unwrap())
            .with_threads(threads);
        group.bench_function(BenchmarkId::new("threads", threads), |bencher| {
            bencher.iter(|| scan(folder.path(), &options).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, contents, tree);
criterion_main!(benches);
