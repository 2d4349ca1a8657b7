//! A whole update, from the plan to the deletion of the old release, with a network that takes no time.
#![allow(missing_docs)] // criterion's macros make public functions

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use downloader::MemoryDownloader;
use lockstep_benches::{content, path, write_tree};
use manifest_core::{ScanOptions, scan};
use tokio::runtime::Runtime;
use updater::{CancellationToken, Downgrade, TrustPolicy, TrustedManifest, Updater};

/// Two releases of `count` files of `length` bytes that differ in `changed` files.
struct Pair {
    name: &'static str,
    count: u64,
    length: usize,
    changed: u64,
}

fn updates(criterion: &mut Criterion) {
    let pairs = [
        Pair {
            name: "50 MB in 100 files, 1 MB changed",
            count: 100,
            length: 500_000,
            changed: 2,
        },
        Pair {
            name: "2000 small files, 25 changed",
            count: 2_000,
            length: 4_096,
            changed: 25,
        },
    ];
    for pair in pairs {
        measure(criterion, &pair);
    }
}

fn measure(criterion: &mut Criterion, pair: &Pair) {
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
    let runtime = Runtime::new().unwrap();
    let updater = Updater::builder(work.path().join("root"))
        .with_downloader(Arc::new(network))
        .with_downgrade(Downgrade::Allow)
        .with_keep_previous(0)
        .build()
        .unwrap();
    let cancel = CancellationToken::new();
    let apply = |release| runtime.block_on(updater.apply(release, &cancel)).unwrap();
    apply(&releases[0]);

    let mut group = criterion.benchmark_group("update");
    group.throughput(Throughput::Bytes(pair.count * pair.length as u64));
    group.sample_size(10);
    group.measurement_time(Duration::from_secs(5));
    // There and back: each is an update with the same number of changed files.
    let mut next = 1;
    group.bench_function(pair.name, |bencher| {
        bencher.iter(|| {
            let report = apply(&releases[next]);
            assert_eq!(report.downloaded, pair.changed);
            next = 1 - next;
        });
    });
    group.finish();
}

/// Describes a folder, and serves its contents from memory.
fn release(folder: &std::path::Path, version: &str, network: &MemoryDownloader) -> TrustedManifest {
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

criterion_group!(benches, updates);
criterion_main!(benches);
