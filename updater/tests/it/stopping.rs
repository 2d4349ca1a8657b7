//! Cancelling, dropping, and two at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use durable_fs::{Disk, Effect, Operation, Verdict};
use updater::{CancellationToken, ErrorKind, Event, Phase};

use crate::support::{Gated, Release, World, apply, apply_when_free, builder, noise, tree};

fn first() -> Release {
    Release::new("1.0.0")
        .file("main.py", "one")
        .file("keep.bin", noise(9, 10_000))
}

/// Two files to fetch.
fn second() -> Release {
    first()
        .next("1.1.0")
        .file("a.bin", noise(1, 100_000))
        .file("b.bin", noise(2, 90_000))
}

#[tokio::test]
async fn a_cancelled_update_leaves_the_old_release_and_keeps_every_byte_that_came() {
    let world = World::with(&first()).await;
    world.serve(&second());
    let gated = Gated::new(&world.memory, 40_000);
    let updater = builder(&world.root(), Arc::new(gated.clone()))
        .build()
        .unwrap();
    let (trusted, cancel) = (second().trusted(), CancellationToken::new());
    let (result, ()) = tokio::join!(updater.apply(&trusted, &cancel), async {
        gated.reached(2).await;
        cancel.cancel();
    });
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error:?}");
    world.assert_active(&first(), &[]);
    assert!(!world.installed(&second(), "").exists());

    let report = apply(&world.updater(), &second()).await.unwrap();
    assert_eq!(report.bytes_resumed, 80_000);
    assert_eq!(report.bytes_downloaded, 110_000);
    for path in ["a.bin", "b.bin"] {
        assert_eq!(world.memory.offsets(&second().url(path)), [0, 40_000]);
    }
    world.assert_active(&second(), &[]);
    world.assert_tidy();
}

#[tokio::test]
async fn one_file_that_fails_does_not_cost_the_others_what_they_have() {
    let world = World::with(&first()).await;
    let gated = Gated::new(&world.memory, 40_000);
    world.serve(&second());
    let updater = builder(&world.root(), Arc::new(gated.clone()))
        .build()
        .unwrap();
    // The larger one is asked for first, and then the smaller one is not there.
    world.memory.remove(&second().url("b.bin"));
    let error = apply(&updater, &second()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
    world.assert_active(&first(), &[]);

    world.serve(&second());
    apply(&world.updater(), &second()).await.unwrap();
    assert_eq!(world.memory.offsets(&second().url("a.bin")), [0, 40_000]);
    world.assert_active(&second(), &[]);
}

#[tokio::test]
async fn a_token_that_is_cancelled_already_stops_before_anything_is_asked() {
    let world = World::with(&first()).await;
    world.serve(&second());
    let cancel = CancellationToken::new();
    cancel.cancel();
    let updater = world.updater();
    let error = updater
        .apply(&second().trusted(), &cancel)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error:?}");
    assert_eq!(world.requests(), 0);
    for result in [
        updater.verify(&cancel).await.map(drop),
        updater.repair(&cancel).await.map(drop),
    ] {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);
    }
    world.assert_active(&first(), &[]);
}

#[tokio::test]
async fn a_dropped_update_frees_the_lock_and_keeps_every_byte_that_came() {
    let world = World::with(&first()).await;
    world.serve(&second());
    let gated = Gated::new(&world.memory, 40_000);
    let updater = builder(&world.root(), Arc::new(gated.clone()))
        .build()
        .unwrap();
    let (trusted, cancel) = (second().trusted(), CancellationToken::new());
    tokio::select! {
        biased;
        () = gated.reached(2) => {}
        _ = updater.apply(&trusted, &cancel) => panic!("the gate is closed"),
    }
    let report = apply_when_free(&world.updater(), &second()).await;
    assert_eq!(report.bytes_resumed, 80_000);
    world.assert_active(&second(), &[]);
    world.assert_tidy();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_update_stops_hashing() {
    let model = noise(3, 32 << 20);
    let first = Release::new("1.0.0").file("model.bin", &model);
    let world = World::with(&first).await;
    let second = first.next("1.1.0");

    // The first piece that is hashed waits until the update is dropped.
    let (dropped, wait) = mpsc::channel::<()>();
    let (wait, pieces) = (Mutex::new(wait), Arc::new(AtomicUsize::new(0)));
    let hashing = Arc::new(tokio::sync::Notify::new());
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
    let (trusted, cancel) = (second.trusted(), CancellationToken::new());
    tokio::select! {
        () = hashing.notified() => {}
        _ = updater.apply(&trusted, &cancel) => panic!("hashing waits"),
    }
    drop(dropped);
    apply_when_free(&world.updater(), &second).await;
    assert!(
        pieces.load(Ordering::SeqCst) <= 2,
        "it hashed on: {pieces:?}"
    );
    world.assert_active(&second, &[]);
}

/// Holds the first write of a partial file.
#[derive(Debug)]
struct SlowDisk {
    writing: tokio::sync::Notify,
    go_on: Mutex<Option<mpsc::Receiver<()>>>,
}

impl durable_fs::Observer for SlowDisk {
    fn before(&self, effect: &Effect<'_>) -> Verdict {
        let is_partial = effect
            .path
            .extension()
            .is_some_and(|ending| ending == "part");
        if effect.operation == Operation::Write && is_partial {
            let held = self.go_on.lock().unwrap().take();
            if let Some(held) = held {
                self.writing.notify_one();
                let _ = held.recv();
            }
        }
        Verdict::Proceed
    }

    fn after(&self, _: &Effect<'_>) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lock_is_not_freed_while_anything_still_writes() {
    let world = World::with(&first()).await;
    world.serve(&second());
    let (go_on, held) = mpsc::channel();
    let slow = Arc::new(SlowDisk {
        writing: tokio::sync::Notify::new(),
        go_on: Mutex::new(Some(held)),
    });
    let updater = world
        .builder()
        .with_disk(Disk::observed(slow.clone()))
        .build()
        .unwrap();
    let (trusted, cancel) = (second().trusted(), CancellationToken::new());
    tokio::select! {
        () = slow.writing.notified() => {}
        _ = updater.apply(&trusted, &cancel) => panic!("the disk waits"),
    }
    // The update was dropped, but its write is not over.
    let error = apply(&world.updater(), &second()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
    drop(go_on);
    apply_when_free(&world.updater(), &second()).await;
    world.assert_active(&second(), &[]);
}

fn outside_staging(world: &World) -> BTreeMap<String, Vec<u8>> {
    let mut files = tree(&world.root());
    files.retain(|path, _| !path.starts_with("releases/.staging/"));
    files
}

#[tokio::test]
async fn d53_of_two_updaters_one_works_and_the_other_says_busy() {
    let world = World::with(&first()).await;
    world.serve(&second());
    let gated = Gated::new(&world.memory, 10);
    let working = builder(&world.root(), Arc::new(gated.clone()))
        .build()
        .unwrap();
    let (trusted, cancel) = (second().trusted(), CancellationToken::new());
    let (done, ()) = tokio::join!(working.apply(&trusted, &cancel), async {
        gated.reached(2).await;
        let other = world.updater();
        let before = outside_staging(&world);
        let refused: [(&str, Result<(), updater::Error>); 4] = [
            ("apply", other.apply(&trusted, &cancel).await.map(drop)),
            ("repair", other.repair(&cancel).await.map(drop)),
            ("rollback", other.rollback(None, &cancel).await.map(drop)),
            ("prune", other.prune().await.map(drop)),
        ];
        for (name, result) in refused {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::Busy, "{name}");
        }
        assert!(
            outside_staging(&world) == before,
            "who is refused changes nothing"
        );
        // Reading needs no lock.
        assert!(other.verify(&cancel).await.unwrap().is_intact());
        let active = other.status().await.unwrap().active.unwrap();
        assert_eq!(active.version.as_str(), "1.0.0");
        assert!(!other.plan(&trusted).await.unwrap().up_to_date);
        gated.open_gate();
    });
    done.unwrap();
    world.assert_active(&second(), &[]);
}

#[tokio::test]
async fn d53_the_lock_of_a_dead_process_is_taken() {
    let world = World::with(&first()).await;
    // The file stays; the kernel's lock went with its owner.
    assert!(world.path(".lockstep/lock").exists());
    world.install(&second()).await;
    world.assert_active(&second(), &[]);
}

#[tokio::test]
async fn cancelling_after_the_point_of_no_return_changes_nothing() {
    let world = World::with(&first()).await;
    world.serve(&second());
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let listener = move |event: &Event| {
        if matches!(event, Event::Phase(Phase::Sealing)) {
            stop.cancel();
        }
    };
    let updater = world.builder().with_observer(listener).build().unwrap();
    updater.apply(&second().trusted(), &cancel).await.unwrap();
    world.assert_active(&second(), &[]);
    assert_eq!(tree(&world.path("releases/.staging")), BTreeMap::new());
}
