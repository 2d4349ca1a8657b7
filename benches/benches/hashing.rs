//! SHA-256 and BLAKE3: in memory, from files read by buffers or mapped, and several files at a time.
//!
//! `LOCKSTEP_BENCH_LARGE=1` adds contents of 1 GiB. Files are in the page cache: what is measured is the processor.
//! Mapping needs `unsafe` somewhere; here it is in the `mmap-guard` crate, over files that nobody else has. Whoever
//! shortens a mapped file kills the process that reads it, so the crates read, which costs what these figures say.
#![allow(missing_docs)] // criterion's macros make public functions

mod settings;

use std::env;
use std::fs::{self, File};
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::path::Path;
use std::thread;

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group,
    criterion_main,
};
use lockstep_benches::{
    Access, Algorithm, FileHasher, MIB, content, hash_all, size_label, write_tree,
};
use manifest_core::{Sha256Digest, blake3_reader, hash_file};

const DIGESTS: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Blake3];
const BUFFERS: [usize; 5] = [4 * 1024, 64 * 1024, 256 * 1024, MIB, 8 * MIB];

fn sizes() -> Vec<usize> {
    let mut sizes = vec![1024, 64 * 1024, MIB, 32 * MIB];
    if env::var_os("LOCKSTEP_BENCH_LARGE").is_some() {
        sizes.push(1024 * MIB);
    }
    sizes
}

/// The library that `manifest-core` uses beside one in assembler.
fn memory(criterion: &mut Criterion) {
    for size in sizes() {
        let bytes = content(1, size);
        let mut group = group(
            criterion,
            &format!("hashing/memory/{}", size_label(size)),
            size,
        );
        group.bench_function("sha256 by sha2", |bencher| {
            bencher.iter(|| Sha256Digest::of(black_box(&bytes)));
        });
        group.bench_function("sha256 by ring", |bencher| {
            bencher.iter(|| ring::digest::digest(&ring::digest::SHA256, black_box(&bytes)));
        });
        group.bench_function("blake3", |bencher| {
            bencher.iter(|| blake3::hash(black_box(&bytes)));
        });
        group.finish();
    }
}

/// `hash_file` and `blake3_reader`, as the crates use them, beside mapping and beside reading alone.
fn file(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("content");
    for size in sizes() {
        fs::write(&path, content(1, size)).unwrap();
        let open = || File::open(&path).unwrap();
        let mut group = group(
            criterion,
            &format!("hashing/file/{}", size_label(size)),
            size,
        );
        group.bench_function("hash_file", |bencher| {
            bencher.iter(|| hash_file(&open()).unwrap());
        });
        group.bench_function("blake3_reader", |bencher| {
            bencher.iter(|| blake3_reader(open()).unwrap());
        });
        for algorithm in DIGESTS {
            let name = format!("{algorithm} mapped");
            one_way(&mut group, name, &path, algorithm, Access::Mapped);
        }
        let buffer = Access::Buffer(MIB);
        one_way(
            &mut group,
            "read alone",
            &path,
            Algorithm::ReadAlone,
            buffer,
        );
        group.finish();
    }
}

fn buffers(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("content");
    let size = 32 * MIB;
    fs::write(&path, content(1, size)).unwrap();
    let ways = BUFFERS
        .map(Access::Buffer)
        .into_iter()
        .chain([Access::Mapped]);
    for algorithm in [Algorithm::Sha256, Algorithm::Blake3, Algorithm::ReadAlone] {
        let mut group = group(criterion, &format!("hashing/buffer/{algorithm}"), size);
        for access in ways.clone() {
            one_way(&mut group, access.to_string(), &path, algorithm, access);
        }
        group.finish();
    }
}

fn threads(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let files = write_tree(folder.path(), 64, MIB).unwrap();
    let all = thread::available_parallelism().unwrap();
    let mut counts = [NonZeroUsize::MIN, NonZeroUsize::new(2).unwrap(), all].to_vec();
    counts.dedup();
    for algorithm in DIGESTS {
        let name = format!("hashing/threads/{algorithm}");
        let mut group = group(criterion, &name, files.len() * MIB);
        for &threads in &counts {
            group.bench_function(BenchmarkId::from_parameter(threads), |bencher| {
                bencher.iter(|| hash_all(&files, algorithm, Access::Lockstep, threads).unwrap());
            });
        }
        group.finish();
    }
}

fn group<'c>(
    criterion: &'c mut Criterion,
    name: &str,
    bytes: usize,
) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(bytes as u64));
    if bytes > MIB {
        group.sampling_mode(SamplingMode::Flat);
    }
    group
}

fn one_way(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: impl Into<String>,
    path: &Path,
    algorithm: Algorithm,
    access: Access,
) {
    group.bench_function(name.into(), |bencher| {
        let mut hasher = FileHasher::new(algorithm, access);
        bencher.iter(|| hasher.hash(path).unwrap());
    });
}

criterion_group! {
    name = benches;
    config = settings::brief();
    targets = memory, file, buffers, threads
}
criterion_main!(benches);
