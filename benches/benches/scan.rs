//! A folder described as a release, beside walking and hashing one file after the other.
#![allow(missing_docs)] // criterion's macros make public functions

mod settings;

use std::fs::File;
use std::path::Path;

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use lockstep_benches::{MIB, write_tree};
use manifest_core::{ScanOptions, Sha256Digest, hash_file, scan};
use walkdir::WalkDir;

fn scans(criterion: &mut Criterion) {
    for (name, count, length) in [
        ("1000 files of 4 KiB", 1_000, 4096),
        ("16 files of 4 MiB", 16, 4 * MIB),
    ] {
        let folder = tempfile::tempdir().unwrap();
        write_tree(folder.path(), count, length).unwrap();
        let options = ScanOptions::new()
            .with_tool_id("bench".parse().unwrap())
            .with_tool_version("1.0.0".parse().unwrap());

        let mut group = criterion.benchmark_group(format!("scan/{name}"));
        group.throughput(Throughput::Bytes(count * length as u64));
        group.sampling_mode(SamplingMode::Flat);
        group.bench_function("all cores", |bencher| {
            bencher.iter(|| scan(folder.path(), &options).unwrap());
        });
        let one = options.clone().with_threads(1);
        group.bench_function("one core", |bencher| {
            bencher.iter(|| scan(folder.path(), &one).unwrap());
        });
        group.bench_function("walkdir and hash_file", |bencher| {
            bencher.iter(|| one_by_one(folder.path()));
        });
        group.finish();
    }
}

fn one_by_one(folder: &Path) -> Vec<(walkdir::DirEntry, Sha256Digest)> {
    WalkDir::new(folder)
        .sort_by_file_name()
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let (digest, _) = hash_file(&File::open(entry.path()).unwrap()).unwrap();
            (entry, digest)
        })
        .collect()
}

criterion_group! {
    name = benches;
    config = settings::brief();
    targets = scans
}
criterion_main!(benches);
