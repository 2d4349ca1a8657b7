//! Unchanged files brought to a new folder by each link policy, beside the standard library's links and copies.
//!
//! Where the file system cannot clone (ext4), `Share` links and `Independent` copies.
#![allow(missing_docs)] // criterion's macros make public functions

mod settings;

use std::fs;
use std::path::{Path, PathBuf};

use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use durable_fs::{Disk, LinkPolicy};
use lockstep_benches::{MIB, write_tree};
use tempfile::TempDir;

fn stages(criterion: &mut Criterion) {
    for (name, count, length) in [
        ("200 files of 4 KiB", 200, 4096),
        ("16 files of 4 MiB", 16, 4 * MIB),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let files = write_tree(folder.path(), count, length).unwrap();
        let mut group = criterion.benchmark_group(format!("stage/{name}"));
        group.throughput(Throughput::Bytes(count * length as u64));
        group.sampling_mode(SamplingMode::Flat);

        let disk = Disk::real();
        let from = disk.open_dir(folder.path()).unwrap();
        for policy in [LinkPolicy::Share, LinkPolicy::Independent, LinkPolicy::Copy] {
            into_new_folders(
                &mut group,
                &format!("{policy:?}"),
                folder.path(),
                &files,
                |new| {
                    let to = disk.open_dir(new).unwrap();
                    for file in &files {
                        let relative = file.strip_prefix(folder.path()).unwrap();
                        from.place(relative, &to, relative, policy).unwrap();
                    }
                },
            );
        }
        let std_calls = [
            ("std::fs::hard_link", hard_link as Call),
            ("std::fs::copy", copy),
        ];
        for (name, call) in std_calls {
            into_new_folders(&mut group, name, folder.path(), &files, |new| {
                for file in &files {
                    call(file, &new.join(file.strip_prefix(folder.path()).unwrap()));
                }
            });
        }
        group.finish();
    }
}

type Call = fn(&Path, &Path);

fn hard_link(from: &Path, to: &Path) {
    fs::hard_link(from, to).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
}

/// Measures `stage` alone: making the folders before it and deleting them after it are not counted.
fn into_new_folders(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    old: &Path,
    files: &[PathBuf],
    stage: impl Fn(&Path),
) {
    let new_folder = || {
        let new = TempDir::new().unwrap();
        for file in files {
            let folder = file.strip_prefix(old).unwrap().parent().unwrap();
            fs::create_dir_all(new.path().join(folder)).unwrap();
        }
        new
    };
    group.bench_function(name, |bencher| {
        bencher.iter_batched(
            new_folder,
            |new| {
                stage(new.path());
                new
            },
            BatchSize::PerIteration,
        );
    });
}

criterion_group! {
    name = benches;
    config = settings::brief();
    targets = stages
}
criterion_main!(benches);
