//! Reading a folder while somebody watches.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use manifest_core::{Error, ErrorKind, Scan, ScanOptions, ScanProgress, scan, scan_observed};
use tempfile::TempDir;

const BIG: usize = 3_000_000;

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    for (path, content) in [
        ("a.txt", vec![1; 3]),
        ("empty", Vec::new()),
        ("deep/er/b.txt", vec![2; 40]),
        ("deep/big.dat", vec![3; BIG]),
        ("run.log", vec![4; 500]),
    ] {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

fn options() -> ScanOptions {
    ScanOptions::new()
        .with_tool_id("sketcher".parse().unwrap())
        .with_tool_version("1.2.0".parse().unwrap())
}

/// Everything that is said about a folder, and the result.
fn heard(
    folder: &Path,
    options: &ScanOptions,
    answer: impl Fn(ScanProgress) -> ControlFlow<()> + Sync,
) -> (Vec<ScanProgress>, Result<Scan, Error>) {
    let heard = Mutex::new(Vec::new());
    let result = scan_observed(folder, options, |progress| {
        heard.lock().unwrap().push(progress);
        answer(progress)
    });
    (heard.into_inner().unwrap(), result)
}

#[test]
fn what_is_found_is_said_before_it_is_hashed_and_all_of_it_is() {
    let folder = folder();
    let (heard, scanned) = heard(folder.path(), &options(), |_| ControlFlow::Continue(()));
    assert_eq!(
        scanned.unwrap().manifest,
        scan(folder.path(), &options()).unwrap().manifest
    );
    let (mut files, mut bytes, mut hashed, mut done) = (0, 0, 0, 0);
    for progress in heard {
        match progress {
            ScanProgress::Found { files: f, bytes: b } => {
                assert_eq!(hashed, 0, "the sum is known at the start");
                files += f;
                bytes += b;
            }
            ScanProgress::Hashed(count) => {
                assert!((1..BIG as u64).contains(&count), "{count}");
                hashed += count;
            }
            ScanProgress::FileDone => done += 1,
            _ => unreachable!("{progress:?}"),
        }
    }
    assert_eq!((files, bytes), (4, 43 + BIG as u64));
    assert_eq!((done, hashed), (files, bytes));
}

#[test]
fn it_stops_where_it_is_told_to() {
    let folder = folder();
    for stop_at in [
        |progress| matches!(progress, ScanProgress::Found { .. }),
        |progress| matches!(progress, ScanProgress::Hashed(_)),
        |progress| matches!(progress, ScanProgress::FileDone),
    ] as [fn(ScanProgress) -> bool; 3]
    {
        for threads in [1, 4] {
            let breaks = AtomicU64::new(0);
            let options = options().with_threads(threads);
            let (heard, scanned) = heard(folder.path(), &options, |progress| {
                if stop_at(progress) {
                    breaks.fetch_add(1, Ordering::Relaxed);
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            });
            let error = scanned.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
            if threads == 1 {
                assert_eq!(breaks.into_inner(), 1, "nothing comes after a break");
                assert!(stop_at(*heard.last().unwrap()), "{heard:?}");
            }
        }
    }
}

#[test]
fn a_big_file_is_not_read_to_its_end_first() {
    let folder = folder();
    let hashed = AtomicU64::new(0);
    let options = options().with_threads(1);
    let (_, scanned) = heard(folder.path(), &options, |progress| match progress {
        ScanProgress::Hashed(count) if hashed.fetch_add(count, Ordering::Relaxed) > 0 => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    assert_eq!(scanned.unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(hashed.into_inner() < BIG as u64);
}

#[test]
fn what_fails_is_no_cancellation() {
    let folder = folder();
    let gone = folder.path().join("deep/big.dat");
    let (_, scanned) = heard(folder.path(), &options(), |progress| {
        if matches!(progress, ScanProgress::Found { .. }) {
            let _ = fs::remove_file(&gone);
        }
        ControlFlow::Continue(())
    });
    let error = scanned.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert!(error.to_string().contains("big.dat"), "{error}");
}
