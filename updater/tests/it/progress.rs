//! How far an operation is: the sums that an observer is given.

use std::num::NonZeroUsize;
use std::sync::Arc;

use updater::{CancellationToken, Event, Phase, Progress, Updater};

use crate::support::{Gated, Heard, MIRROR, Release, World, apply, builder, noise, replace, url};

fn first() -> Release {
    Release::new("1.0.0")
        .file("main.py", "one")
        .file("model.bin", noise(1, 150_000))
        .file("other.bin", noise(2, 60_000))
}

fn second() -> Release {
    first()
        .next("1.1.0")
        .file("main.py", "two")
        .file("extra.bin", noise(3, 100_000))
        .file("extra-too.bin", noise(3, 100_000))
}

fn listening(world: &World) -> (Updater, Heard) {
    let heard = Heard::default();
    let updater = world.builder().with_observer(heard.listener());
    (updater.build().unwrap(), heard)
}

/// What an observer was told, checked for what always holds.
#[track_caller]
fn told(heard: &Heard) -> Vec<Progress> {
    let told: Vec<Progress> = heard
        .all()
        .into_iter()
        .filter_map(|event| match event {
            Event::Progress(progress) => Some(progress),
            _ => None,
        })
        .collect();
    for at in &told {
        assert!(at.files_fetched <= at.files_to_fetch, "{at:?}");
        assert!(at.bytes_fetched <= at.bytes_to_fetch, "{at:?}");
        assert!(at.bytes_verified <= at.bytes_to_verify, "{at:?}");
    }
    for (one, next) in told.iter().zip(told.iter().skip(1)) {
        assert_ne!(one, next, "only what has changed is told");
        assert!(one.bytes_received <= next.bytes_received);
        assert!(one.bytes_verified <= next.bytes_verified);
    }
    told
}

/// The last of it, which must be complete.
#[track_caller]
fn end(heard: &Heard) -> Progress {
    let end = *told(heard).last().expect("something was told");
    assert_eq!(end.files_fetched, end.files_to_fetch);
    assert_eq!(end.bytes_fetched, end.bytes_to_fetch);
    assert_eq!(end.bytes_verified, end.bytes_to_verify);
    end
}

#[tokio::test]
async fn the_sums_of_an_update_end_at_what_was_planned() {
    let world = World::with(&first()).await;
    world.serve(&second());
    let (updater, heard) = listening(&world);
    apply(&updater, &second()).await.unwrap();
    let at_first = told(&heard)[0];
    assert_eq!(
        (at_first.files_to_fetch, at_first.bytes_to_fetch),
        (2, 100_003)
    );
    let end = end(&heard);
    assert_eq!((end.files_fetched, end.bytes_fetched), (2, 100_003));
    assert_eq!(end.bytes_received, 100_003);
    assert_eq!(end.bytes_verified, 210_000);
    assert_eq!(end.phase, Phase::CleaningUp);
}

#[tokio::test]
async fn each_operation_begins_at_nothing() {
    let world = World::with(&first()).await;
    let (updater, heard) = listening(&world);
    for run in 1..=2 {
        updater.verify(&CancellationToken::new()).await.unwrap();
        let end = end(&heard_last(&heard, run));
        assert_eq!(end.bytes_verified, first().bytes());
        assert_eq!((end.files_to_fetch, end.phase), (0, Phase::Verifying));
    }
}

/// What was heard from the run's first phase on.
fn heard_last(heard: &Heard, run: usize) -> Heard {
    let events = heard.all();
    let phases = events.iter().enumerate();
    let mut phases = phases.filter(|(_, event)| matches!(event, Event::Phase(_)));
    let (start, _) = phases.nth(run - 1).expect("each run has one phase");
    let last = Heard::default();
    let listener = last.listener();
    events[start..].iter().for_each(listener);
    last
}

#[tokio::test]
async fn bytes_of_no_use_count_as_received_only() {
    let world = World::with(&first()).await;
    let lie = second().file("extra-too.bin", noise(9, 100_000));
    lie.serve_at(&world.memory, &url(MIRROR));
    world.serve(&second());
    let heard = Heard::default();
    let updater = world
        .builder()
        .with_mirrors([url(MIRROR)])
        .with_observer(heard.listener())
        .build()
        .unwrap();
    apply(&updater, &second()).await.unwrap();
    let end = end(&heard);
    assert_eq!(end.bytes_fetched, 100_003);
    assert_eq!(end.bytes_received, 200_003);
}

#[tokio::test]
async fn what_an_interrupted_run_fetched_counts_as_fetched_and_not_as_received() {
    let world = World::with(&first()).await;
    world.serve(&second());
    // `main.py` comes whole and is staged, the larger file comes in part.
    let gated = Gated::new(&world.memory, 30_000);
    let cancel = CancellationToken::new();
    let updater = builder(&world.root(), Arc::new(gated.clone()))
        .build()
        .unwrap();
    let trusted = second().trusted();
    let (result, ()) = tokio::join!(updater.apply(&trusted, &cancel), async {
        gated.reached(2).await;
        cancel.cancel();
    });
    result.unwrap_err();

    let (updater, heard) = listening(&world);
    let report = apply(&updater, &second()).await.unwrap();
    let end = end(&heard);
    assert_eq!((end.files_fetched, end.bytes_fetched), (2, 100_003));
    assert_eq!(end.bytes_received, report.bytes_downloaded);
    assert!(end.bytes_received <= 70_003, "{end:?}");
}

#[tokio::test]
async fn what_an_interrupted_run_staged_is_to_be_hashed_from_the_start() {
    let world = World::with(&first()).await;
    world.serve(&second());
    // The largest file comes whole, is staged, and is hashed again by the next run; the other one is not there.
    world.memory.remove(&second().url("main.py"));
    let one = NonZeroUsize::MIN;
    let updater = world.builder().with_parallel_downloads(one).build();
    apply(&updater.unwrap(), &second()).await.unwrap_err();

    world.serve(&second());
    let (updater, heard) = listening(&world);
    apply(&updater, &second()).await.unwrap();
    let all = told(&heard);
    let planning = all.iter().filter(|at| at.phase == Phase::Planning);
    let begins = planning.clone().find(|at| at.bytes_to_verify > 0).unwrap();
    assert_eq!(begins.bytes_verified, 0);
    assert!(begins.bytes_to_verify >= 200_000, "{begins:?}");
    let hashing: Vec<_> = planning.filter(|at| at.bytes_verified > 0).collect();
    assert!(!hashing.is_empty());
    let end = end(&heard);
    assert!(
        hashing
            .iter()
            .all(|at| at.bytes_to_verify >= begins.bytes_to_verify)
    );
    assert_eq!(end.bytes_to_verify, end.bytes_verified);
}

#[tokio::test]
async fn a_repair_knows_all_it_has_to_fetch_before_it_begins() {
    let world = World::with(&first()).await;
    world.serve(&first());
    for (path, length) in [("model.bin", 150_000), ("other.bin", 60_000)] {
        replace(&world.installed(&first(), path), noise(7, length));
    }
    let (updater, heard) = listening(&world);
    updater.repair(&CancellationToken::new()).await.unwrap();
    let all = told(&heard);
    let begins = all.iter().find(|at| at.files_to_fetch > 0).unwrap();
    assert_eq!((begins.files_to_fetch, begins.bytes_to_fetch), (2, 210_000));
    let end = end(&heard);
    assert_eq!(end.bytes_received, 210_000);
    // All of it, and what was repaired again.
    assert_eq!(end.bytes_verified, first().bytes() + 210_000);
}

#[tokio::test]
async fn a_damaged_file_that_was_to_be_reused_is_more_to_fetch() {
    let world = World::with(&first()).await;
    world.serve(&second());
    replace(&world.installed(&first(), "other.bin"), noise(7, 60_000));
    let (updater, heard) = listening(&world);
    apply(&updater, &second()).await.unwrap();
    assert_eq!(told(&heard)[0].bytes_to_fetch, 100_003);
    let end = end(&heard);
    assert_eq!((end.files_to_fetch, end.bytes_to_fetch), (3, 160_003));
}

#[tokio::test]
async fn an_examination_hashes_every_release() {
    let world = World::with(&first()).await;
    world.install(&second()).await;
    let (updater, heard) = listening(&world);
    updater.examine(&CancellationToken::new()).await.unwrap();
    let end = end(&heard);
    assert_eq!(end.bytes_to_verify, first().bytes() + second().bytes());
}

#[tokio::test]
async fn events_are_lines_for_a_log() {
    let world = World::with(&first()).await;
    world.serve(&second());
    let (updater, heard) = listening(&world);
    apply(&updater, &second()).await.unwrap();
    let lines: Vec<String> = heard.all().iter().map(ToString::to_string).collect();
    for line in [
        "planning",
        "1.0.0 to 1.1.0: 2 to fetch (97.6 KiB), 2 reused, 0 to delete",
        "fetching extra-too.bin (97.6 KiB)",
        "extra-too.bin is here and verified",
        "transferring",
        "cleaning up, fetched 97.6/97.6 KiB, 2/2 files, hashed 205.0/205.0 KiB",
    ] {
        assert!(lines.iter().any(|said| said == line), "{line}: {lines:#?}");
    }
    assert!(!lines.iter().any(|line| line.contains('\n')));
    let progress = end(&heard);
    assert_eq!(format!("{progress:<120}|").len(), 121);
    let warning = Event::Warning("no".into());
    assert_eq!(format!("{warning:<12}|"), "warning: no |");
}
