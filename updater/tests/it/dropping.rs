//! Futures that are dropped in the middle: the lock is freed, and the next run goes on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use durable_fs::{Disk, Effect, Operation, Verdict};
use tokio::sync::Notify;
use updater::{CancellationToken, Error, ErrorKind, Event, TrustPolicy, Updater};

use crate::support::{Gated, Release, World, builder, noise, replace, url};

fn first() -> Release {
    Release::new("1.0.0")
        .file("main.py", "one")
        .file("model.bin", noise(1, 100_000))
}

fn second() -> Release {
    first().next("1.1.0").file("main.py", "two")
}

/// Runs it again and again while the lock is still held by what was dropped.
async fn when_free<T, F>(mut run: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, Error>>,
{
    for _ in 0..2000 {
        match run().await {
            Err(error) if error.kind() == ErrorKind::Busy => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            done => return done.unwrap(),
        }
    }
    panic!("the lock was never freed");
}

/// An updater whose downloads stop after 40,000 bytes.
fn gated(world: &World) -> (Updater, Gated) {
    let gated = Gated::new(&world.memory, 40_000);
    let updater = builder(&world.root(), Arc::new(gated.clone())).build();
    (updater.unwrap(), gated)
}

fn damage(world: &World, release: &Release) {
    replace(&world.installed(release, "model.bin"), noise(9, 100_000));
}

#[tokio::test]
async fn a_dropped_repair_is_gone_on_with() {
    let world = World::with(&first()).await;
    world.serve(&first());
    damage(&world, &first());
    let (updater, gate) = gated(&world);
    let cancel = CancellationToken::new();
    tokio::select! {
        biased;
        () = gate.reached(1) => {}
        _ = updater.repair(&cancel) => panic!("the gate is closed"),
    }
    let updater = world.updater();
    let report = when_free(|| updater.repair(&cancel)).await;
    assert_eq!(report.bytes_downloaded, 60_000);
    let offsets = world.memory.offsets(&first().url("model.bin"));
    assert_eq!(offsets, [0, 40_000]);
    world.assert_active(&first(), &[]);
    world.assert_tidy();
}

#[tokio::test]
async fn a_dropped_fix_is_gone_on_with() {
    let world = World::with(&first()).await;
    world.serve(&first());
    damage(&world, &first());
    let (updater, gate) = gated(&world);
    let cancel = CancellationToken::new();
    tokio::select! {
        biased;
        () = gate.reached(1) => {}
        _ = updater.fix(&cancel) => panic!("the gate is closed"),
    }
    let updater = world.updater();
    let report = when_free(|| updater.fix(&cancel)).await;
    assert!(report.remaining.is_healthy(), "{report:?}");
    world.assert_active(&first(), &[]);
    world.assert_tidy();
}

#[tokio::test]
async fn a_dropped_rollback_leaves_the_active_release_and_is_gone_on_with() {
    let world = World::with(&first()).await;
    world.install(&second()).await;
    world.serve(&first());
    damage(&world, &first());
    let (updater, gate) = gated(&world);
    let cancel = CancellationToken::new();
    tokio::select! {
        biased;
        () = gate.reached(1) => {}
        _ = updater.rollback(None, &cancel) => panic!("the gate is closed"),
    }
    world.assert_active(&second(), &[]);
    let updater = world.updater();
    let report = when_free(|| updater.rollback(None, &cancel)).await;
    assert_eq!(report.bytes_downloaded, 60_000);
    world.assert_active(&first(), &[]);
    world.assert_tidy();
}

#[tokio::test]
async fn an_update_that_is_dropped_while_its_manifest_comes_leaves_nothing() {
    let world = World::new();
    world.serve(&first());
    let at = url("http://hq.test/api/v1/tools/sketcher/1.0.0/manifest.json");
    let manifest = first().manifest().to_bytes();
    world.memory.insert(at.clone(), manifest.clone());
    let gate = Gated::new(&world.memory, manifest.len() / 2);
    let updater = builder(&world.root(), Arc::new(gate.clone()))
        .build()
        .unwrap();
    let (trust, cancel) = (TrustPolicy::Unsigned, CancellationToken::new());
    tokio::select! {
        biased;
        () = gate.reached(1) => {}
        _ = updater.update(&at, &trust, &cancel) => panic!("the gate is closed"),
    }
    assert!(!world.root().exists());
    let updater = world.updater();
    updater.update(&at, &trust, &cancel).await.unwrap();
    world.assert_active(&first(), &[]);
}

/// The first piece that is hashed waits until the future is dropped; then it must be the last, but for one that
/// was under way beside it.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_hashes_stops_when_it_is_dropped() {
    let first = Release::new("1.0.0").file("model.bin", noise(3, 32 << 20));
    let world = World::with(&first).await;
    world.install(&first.next("1.1.0")).await;
    for operation in ["verify", "examine", "repair", "rollback"] {
        let (dropped, wait) = mpsc::channel::<()>();
        let (wait, pieces) = (Mutex::new(wait), Arc::new(AtomicUsize::new(0)));
        let hashing = Arc::new(Notify::new());
        let listener = {
            let (pieces, hashing) = (pieces.clone(), hashing.clone());
            move |event: &Event| {
                if let Event::BytesVerified(_) = event
                    && pieces.fetch_add(1, Ordering::SeqCst) == 0
                {
                    hashing.notify_one();
                    let _ = wait.lock().unwrap().recv();
                }
            }
        };
        let updater = world.builder().with_observer(listener).build().unwrap();
        let cancel = CancellationToken::new();
        let run = async {
            match operation {
                "verify" => updater.verify(&cancel).await.map(drop),
                "examine" => updater.examine(&cancel).await.map(drop),
                "repair" => updater.repair(&cancel).await.map(drop),
                _ => updater.rollback(None, &cancel).await.map(drop),
            }
        };
        tokio::select! {
            () = hashing.notified() => {}
            _ = run => panic!("hashing waits"),
        }
        drop(dropped);
        drop(updater);
        // The listener goes when the work has come to its end.
        while Arc::strong_count(&pieces) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let pieces = pieces.load(Ordering::SeqCst);
        assert!(pieces <= 4, "{operation} hashed on: {pieces}");
    }
    world.assert_active(&first.next("1.1.0"), &[]);
}

/// Holds the first rename into the trash.
#[derive(Debug)]
struct SlowTrash {
    trashing: Notify,
    go_on: Mutex<Option<mpsc::Receiver<()>>>,
}

impl durable_fs::Observer for SlowTrash {
    fn before(&self, effect: &Effect<'_>) -> Verdict {
        if effect.operation == Operation::Rename
            && let Some(held) = self.go_on.lock().unwrap().take()
        {
            self.trashing.notify_one();
            let _ = held.recv();
        }
        Verdict::Proceed
    }

    fn after(&self, _: &Effect<'_>) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_prune_ends_what_it_has_begun() {
    let world = World::with(&first()).await;
    world.install(&second()).await;
    let (go_on, held) = mpsc::channel();
    let slow = Arc::new(SlowTrash {
        trashing: Notify::new(),
        go_on: Mutex::new(Some(held)),
    });
    let updater = world
        .builder()
        .with_disk(Disk::observed(slow.clone()))
        .with_keep_previous(0)
        .build()
        .unwrap();
    tokio::select! {
        () = slow.trashing.notified() => {}
        _ = updater.prune() => panic!("the disk waits"),
    }
    let other = world.updater();
    let error = other.prune().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "it still holds the lock");
    drop(go_on);
    when_free(|| other.prune()).await;
    assert!(!world.installed(&first(), "").exists());
    world.assert_active(&second(), &[]);
    world.assert_tidy();
}
