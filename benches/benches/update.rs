//! A whole update, with a network that takes no time, beside copying the new release.
//!
//! From the plan to the deletion of the old release. An update proves every byte and is durable when it is done; so is
//! `copy, hash, sync`, while `copy` is neither.
#![allow(missing_docs)] // criterion's macros make public functions

mod settings;

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use downloader::{Downloader, MemoryDownloader};
use durable_fs::Disk;
use lockstep_benches::{content, path, write_tree};
use manifest_core::{ScanOptions, hash_file, scan};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use updater::{CancellationToken, Downgrade, TrustPolicy, TrustedManifest, Updater};

/// Two releases of `count` files of `length` bytes that differ in `changed` files.
struct Pair {
    name: &'static str,
    count: u64,
    length: usize,
    changed: u64,
}

const PAIRS: [Pair; 2] = [
    Pair {
        name: "50 MB in 100 files, 1 MB changed",
        count: 100,
        length: 500_000,
        changed: 2,
    },
    Pair {
        name: "500 small files, 10 changed",
        count: 500,
        length: 4_096,
        changed: 10,
    },
];

fn updates(criterion: &mut Criterion) {
    for pair in PAIRS {
        let work = tempfile::tempdir().unwrap();
        let network = MemoryDownloader::new();
        let releases = [("1.0.0", 0), ("2.0.0", 1)].map(|(version, number)| {
            let folder = work.path().join(version);
            write_tree(&folder, pair.count, pair.length).unwrap();
            for index in 0..pair.changed {
                let bytes = content(1_000_000 * (number + 1) + index, pair.length);
                fs::write(folder.join(path(index * pair.count / pair.changed)), bytes).unwrap();
            }
            release(&folder, version, &network)
        });
        let network: Arc<dyn Downloader> = Arc::new(network);
        let runtime = Runtime::new().unwrap();
        let cancel = CancellationToken::new();
        let apply =
            |updater: &Updater, release| runtime.block_on(updater.apply(release, &cancel)).unwrap();

        let mut group = criterion.benchmark_group(format!("update/{}", pair.name));
        group.throughput(Throughput::Bytes(pair.count * pair.length as u64));
        group.sampling_mode(SamplingMode::Flat);
        // There and back: each is an update with the same number of changed files.
        let installed = updater(&work.path().join("root"), &network);
        apply(&installed, &releases[0]);
        let mut next = 1;
        group.bench_function("update", |bencher| {
            bencher.iter(|| {
                let report = apply(&installed, &releases[next]);
                assert_eq!(report.downloaded, pair.changed);
                next = 1 - next;
            });
        });
        group.bench_function("install", |bencher| {
            bencher.iter_batched(
                || TempDir::new().unwrap(),
                |root| {
                    let report = apply(&updater(root.path(), &network), &releases[1]);
                    assert_eq!(report.downloaded, pair.count);
                    root
                },
                BatchSize::PerIteration,
            );
        });
        let new = work.path().join("2.0.0");
        let rivals = [
            ("copy", copy as Rival),
            ("copy, hash, sync", copy_hash_sync),
        ];
        for (name, copy) in rivals {
            group.bench_function(name, |bencher| {
                bencher.iter_batched(
                    || TempDir::new().unwrap(),
                    |to| {
                        copy(&new, to.path());
                        to
                    },
                    BatchSize::PerIteration,
                );
            });
        }
        group.finish();
    }
}

type Rival = fn(&Path, &Path);

fn updater(root: &Path, network: &Arc<dyn Downloader>) -> Updater {
    Updater::builder(root)
        .with_downloader(Arc::clone(network))
        .with_downgrade(Downgrade::Allow)
        .with_keep_previous(0)
        .build()
        .unwrap()
}

/// Describes a folder, and serves its contents from memory.
fn release(folder: &Path, version: &str, network: &MemoryDownloader) -> TrustedManifest {
    let options = ScanOptions::new()
        .with_tool_id("bench".parse().unwrap())
        .with_tool_version(version.parse().unwrap());
    let manifest = scan(folder, &options).unwrap().manifest;
    for file in manifest.files() {
        let bytes = fs::read(folder.join(file.path())).unwrap();
        network.insert(file.url().parse().unwrap(), bytes);
    }
    TrustPolicy::Unsigned.trust(manifest).unwrap()
}

/// As `cp -r` does it.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

fn copy_hash_sync(from: &Path, to: &Path) {
    copy(from, to);
    for entry in walkdir::WalkDir::new(to) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            hash_file(&File::open(entry.path()).unwrap()).unwrap();
        }
    }
    Disk::real().open_dir(to).unwrap().sync_tree().unwrap();
}

criterion_group! {
    name = benches;
    config = settings::brief();
    targets = updates
}
criterion_main!(benches);
