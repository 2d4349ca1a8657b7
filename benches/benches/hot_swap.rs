//! A binary replaced by `HotSwap`, with backup, hashes and syncs, beside what scripts do: copy the old one away, then copy the new one over
//! it or beside it, with and without hashing and syncing.
#![allow(missing_docs)] // criterion's macros make public functions

mod settings;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use criterion::{BatchSize, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use hot_swap::{CancellationToken, HotSwap};
use lockstep_benches::{MIB, content};
use tempfile::TempDir;

/// `server` and `next`, which differ.
fn binaries(length: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = content(1, length);
    fs::write(folder.path().join("server"), &bytes).unwrap();
    bytes[0] ^= 1;
    fs::write(folder.path().join("next"), &bytes).unwrap();
    sync(&folder.path().join("next"));
    folder
}

fn sync(path: &Path) {
    File::open(path).unwrap().sync_all().unwrap();
}

fn copy_over(folder: &Path) {
    fs::copy(folder.join("server"), folder.join("backup")).unwrap();
    fs::copy(folder.join("next"), folder.join("server")).unwrap();
}

fn copy_beside_and_rename(folder: &Path) {
    fs::copy(folder.join("server"), folder.join("backup")).unwrap();
    sync(&folder.join("backup"));
    fs::copy(folder.join("next"), folder.join("coming")).unwrap();
    sync(&folder.join("coming"));
    fs::rename(folder.join("coming"), folder.join("server")).unwrap();
    sync(folder);
}

/// As a careful script: durable, and proved by three hashes.
fn copy_and_hash(folder: &Path) {
    let hash = |name: &str| {
        let hashed = Command::new("sha256sum").arg(folder.join(name)).output();
        assert!(hashed.unwrap().status.success());
    };
    hash("server");
    copy_beside_and_rename(folder);
    hash("backup");
    hash("server");
}

type Script = fn(&Path);

fn swaps(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    for (name, length) in [("4 MiB", 4 * MIB), ("64 MiB", 64 * MIB)] {
        let mut group = criterion.benchmark_group(format!("hot_swap/{name}"));
        group.throughput(Throughput::Bytes(length as u64));
        group.sampling_mode(SamplingMode::Flat);
        let setup = || binaries(length);
        group.bench_function("HotSwap", |bencher| {
            let swap = |folder: TempDir| {
                let path = |name: &str| folder.path().join(name);
                let swap = HotSwap::new(path("server"), path("next"));
                runtime.block_on(async { swap.run(&CancellationToken::new()).await.unwrap() });
                folder
            };
            bencher.iter_batched(setup, swap, BatchSize::PerIteration);
        });
        let scripts: [(&str, Script); 3] = [
            ("copy over, neither durable nor proved", copy_over),
            ("copy beside and rename, durable", copy_beside_and_rename),
            (
                "copy beside and rename, durable and hashed by sha256sum",
                copy_and_hash,
            ),
        ];
        for (name, script) in scripts {
            group.bench_function(name, |bencher| {
                let swap = |folder: TempDir| {
                    script(folder.path());
                    folder
                };
                bencher.iter_batched(setup, swap, BatchSize::PerIteration);
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = settings::brief();
    targets = swaps
}
criterion_main!(benches);
