//! A hundred swaps under load: whoever starts or reads the binary at any moment gets a whole one.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use hot_swap::{HotSwap, Outcome, Sha256Digest};

use crate::server::{server, write_server};
use crate::world::run;

const SWAPS: usize = 100;

#[test]
fn g83_nobody_ever_sees_a_missing_or_half_binary() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    let version = |number: usize| format!("1.{number}");
    let whole: HashMap<Sha256Digest, String> = (0..=SWAPS)
        .map(|number| (Sha256Digest::of(&server(&version(number))), version(number)))
        .collect();
    write_server(&path("server"), &version(0));
    let (done, reads, starts) = (
        AtomicBool::new(false),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    thread::scope(|scope| {
        let end = EndOnDrop(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let binary = fs::read(path("server")).expect("it is never missing");
                assert!(
                    whole.contains_key(&Sha256Digest::of(&binary)),
                    "half a binary"
                );
                reads.fetch_add(1, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let said = Command::new(path("server")).arg("--version").output();
                let said = said.expect("it can always be started");
                assert!(said.status.success(), "{said:?}");
                let said = String::from_utf8(said.stdout).unwrap();
                let said = said.trim().strip_prefix("server ").map(str::to_owned);
                assert!(said.is_some_and(|said| whole.values().any(|known| *known == said)));
                starts.fetch_add(1, Ordering::Relaxed);
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        for number in 1..=SWAPS {
            write_server(&path("next"), &version(number));
            let swap = HotSwap::new(path("server"), path("next"))
                .with_version(version(number), ["--version"]);
            let report = runtime.block_on(async { run(&swap).await.unwrap() });
            assert_eq!(report.outcome, Outcome::Swapped);
        }
        // As many starts and reads as there were swaps, at least.
        while starts.load(Ordering::Relaxed) < SWAPS / 4 || reads.load(Ordering::Relaxed) < SWAPS {
            thread::yield_now();
        }
        drop(end);
    });
    println!("{SWAPS} swaps, {reads:?} reads, {starts:?} starts");
}

/// A swap that fails must not leave the others running for ever.
struct EndOnDrop<'d>(&'d AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
