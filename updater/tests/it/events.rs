//! What an updater says while it works, and what it would do.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::sync::Arc;

use durable_fs::{Disk, Recorder};
use manifest_core::ReleasePath;
use updater::{CancellationToken, Event, Phase, Required};

use crate::support::{Gated, Heard, Release, World, apply, builder, noise, tree, write};

fn first() -> Release {
    Release::new("1.0.0")
        .file("main.py", "one")
        .file("old.py", "old")
        .file("model.bin", noise(1, 150_000))
}

fn second() -> Release {
    first()
        .next("1.1.0")
        .without("old.py")
        .file("main.py", "two")
        .file("extra.bin", noise(2, 100_000))
        .file("extra-too.bin", noise(2, 100_000))
}

/// By file: what came minus what was of no use.
fn positions(events: &[Event]) -> BTreeMap<String, u64> {
    let mut positions: BTreeMap<String, u64> = BTreeMap::new();
    for event in events {
        match event {
            Event::DownloadAdvanced {
                path,
                received,
                resumed,
            } => *positions.entry(path.to_string()).or_default() += received + resumed,
            Event::DownloadSetBack { path, bytes } => {
                let position = positions.get_mut(path.as_str()).expect("it advanced");
                *position = position.checked_sub(*bytes).expect("never below zero");
            }
            _ => {}
        }
    }
    positions
}

#[tokio::test]
async fn the_phases_come_in_order_and_the_plan_once() {
    let world = World::with(&first()).await;
    world.serve(&second());
    let heard = Heard::default();
    let updater = world
        .builder()
        .with_observer(heard.listener())
        .build()
        .unwrap();
    let plan = updater.plan(&second().trusted()).await.unwrap();
    assert!(heard.all().is_empty(), "a plan is silent");
    apply(&updater, &second()).await.unwrap();

    let events = heard.all();
    let phases: Vec<Phase> = events
        .iter()
        .filter_map(|event| match event {
            Event::Phase(phase) => Some(*phase),
            _ => None,
        })
        .collect();
    assert_eq!(
        phases,
        [
            Phase::Planning,
            Phase::Transferring,
            Phase::Sealing,
            Phase::Activating,
            Phase::CleaningUp,
        ]
    );
    let plans: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Planned(plan) => Some(plan),
            _ => None,
        })
        .collect();
    assert_eq!(plans.len(), 1);
    assert_eq!(format!("{:?}", plans[0]), format!("{plan:?}"));

    let started = |event: &&Event| matches!(event, Event::DownloadStarted { .. });
    let finished = |event: &&Event| matches!(event, Event::DownloadFinished { source, retries, .. } if source.is_some() && *retries == 0);
    assert_eq!(events.iter().filter(started).count(), plan.downloads.len());
    assert_eq!(events.iter().filter(finished).count(), plan.downloads.len());
    let positions = positions(&events);
    assert_eq!(positions.values().sum::<u64>(), plan.bytes_to_download);
}

#[tokio::test]
async fn progress_ends_at_the_total_when_bytes_had_to_be_thrown_away() {
    let world = World::with(&first()).await;
    let mirror = crate::support::url(crate::support::MIRROR);
    // A content is asked for under the first of its names.
    let lie = second().file("extra-too.bin", noise(3, 100_000));
    lie.serve_at(&world.memory, &mirror);
    world.serve(&second());
    let heard = Heard::default();
    let updater = world
        .builder()
        .with_mirrors([mirror])
        .with_observer(heard.listener())
        .build()
        .unwrap();
    let plan = updater.plan(&second().trusted()).await.unwrap();
    let report = apply(&updater, &second()).await.unwrap();
    let events = heard.all();
    let set_back = |event: &Event| matches!(event, Event::DownloadSetBack { .. });
    assert!(events.iter().any(set_back));
    assert_eq!(
        positions(&events).values().sum::<u64>(),
        plan.bytes_to_download
    );
    assert!(report.bytes_downloaded > plan.bytes_to_download);
}

#[tokio::test]
async fn progress_ends_at_the_total_after_an_interruption() {
    let world = World::with(&first()).await;
    world.serve(&second());
    // `main.py` comes whole, the larger file in part.
    let gated = Gated::new(&world.memory, 30_000);
    let heard = Heard::default();
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

    let updater = world
        .builder()
        .with_observer(heard.listener())
        .build()
        .unwrap();
    let plan = updater.plan(&second().trusted()).await.unwrap();
    let report = apply(&updater, &second()).await.unwrap();
    assert_eq!(
        positions(&heard.all()).values().sum::<u64>(),
        plan.bytes_to_download
    );
    assert_eq!(
        report.bytes_resumed + report.bytes_downloaded,
        plan.bytes_to_download
    );
}

#[tokio::test]
async fn progress_counts_the_files_that_an_earlier_run_finished() {
    let world = World::with(&first()).await;
    world.serve(&second());
    world.memory.remove(&second().url("main.py"));
    let one_by_one = world
        .builder()
        .with_parallel_downloads(NonZeroUsize::MIN)
        .build()
        .unwrap();
    // The larger file is whole before the smaller one is missed.
    apply(&one_by_one, &second()).await.unwrap_err();

    world.serve(&second());
    let heard = Heard::default();
    let updater = world
        .builder()
        .with_observer(heard.listener())
        .build()
        .unwrap();
    let plan = updater.plan(&second().trusted()).await.unwrap();
    let report = apply(&updater, &second()).await.unwrap();
    assert_eq!(
        positions(&heard.all()).values().sum::<u64>(),
        plan.bytes_to_download
    );
    assert_eq!(
        (report.bytes_resumed, report.bytes_downloaded),
        (100_000, 3)
    );
}

#[tokio::test]
async fn a_plan_says_what_an_update_does_and_changes_nothing() {
    let world = World::with(&first()).await;
    write(&world.installed(&first(), "notes.txt"), "mine");
    let before = tree(&world.root());
    let recorder = Arc::new(Recorder::new());
    let updater = world
        .builder()
        .with_disk(Disk::observed(recorder.clone()))
        .build()
        .unwrap();
    let plan = updater.plan(&second().trusted()).await.unwrap();
    assert_eq!(recorder.effects(), []);
    assert!(tree(&world.root()) == before);
    assert_eq!(world.requests(), 0);

    assert_eq!(plan.from_version.as_ref().unwrap().as_str(), "1.0.0");
    assert_eq!(plan.to_version.as_str(), "1.1.0");
    assert_eq!(plan.manifest_hash, second().manifest().manifest_hash());
    assert!(!plan.up_to_date);
    let downloads: Vec<Vec<&str>> = plan
        .downloads
        .iter()
        .map(|download| download.paths.iter().map(ReleasePath::as_str).collect())
        .collect();
    assert_eq!(
        downloads,
        [vec!["extra-too.bin", "extra.bin"], vec!["main.py"]]
    );
    assert_eq!(plan.bytes_to_download, 100_003);
    assert_eq!(plan.bytes_total, second().bytes());
    assert_eq!(plan.bytes_saved, plan.bytes_total - 100_003);
    assert_eq!(
        (plan.reused, plan.deletions.as_slice()),
        (1, &["old.py".to_owned()][..])
    );
    assert_eq!(plan.carried, ["notes.txt"]);

    let report = world.install(&second()).await;
    assert_eq!(report.downloaded, plan.downloads.len() as u64);
    assert_eq!(report.bytes_downloaded, plan.bytes_to_download);
    assert_eq!(report.bytes_saved, plan.bytes_saved);
    assert_eq!((report.reused, report.deleted, report.carried), (1, 1, 1));
    assert!(updater.plan(&second().trusted()).await.unwrap().up_to_date);
}

#[tokio::test]
async fn a_plan_for_an_empty_machine_creates_nothing() {
    let world = World::new();
    let plan = world.updater().plan(&first().trusted()).await.unwrap();
    assert_eq!(plan.from_version, None);
    assert_eq!(plan.bytes_to_download, first().bytes());
    assert!(!world.root().exists());
}

#[tokio::test]
async fn a_machine_with_nothing_installed_has_an_empty_status() {
    let world = World::new();
    let updater = world.updater();
    let required = Required {
        version: "1.0.0".parse().unwrap(),
        manifest_hash: first().manifest().manifest_hash(),
    };
    for _ in 0..2 {
        let status = updater.status().await.unwrap();
        assert!(status.active.is_none() && status.previous.is_none());
        assert!(status.releases.is_empty() && status.last_event.is_none());
        assert!(updater.history().await.unwrap().is_empty());
        assert_eq!(updater.active_manifest().await.unwrap(), None);
        let eligibility = updater.eligibility(&required).await.unwrap();
        assert_eq!(eligibility.as_str(), "NO_INSTALLATION");
        // And the same with a folder that is empty.
        std::fs::create_dir_all(world.root()).unwrap();
    }
    assert_eq!(tree(&world.root()), BTreeMap::new());
}

#[tokio::test]
async fn a_worker_is_eligible_with_exactly_the_required_release() {
    let world = World::with(&first()).await;
    let updater = world.updater();
    let required = Required {
        version: "1.1.0".parse().unwrap(),
        manifest_hash: second().manifest().manifest_hash(),
    };
    let before = updater.eligibility(&required).await.unwrap();
    assert_eq!(before.as_str(), "OUTDATED");
    assert_eq!(before.reasons().len(), 2);
    world.install(&second()).await;
    assert!(updater.eligibility(&required).await.unwrap().is_eligible());

    let status = updater.status().await.unwrap();
    let active = status.active.unwrap();
    assert_eq!(active.manifest_hash, required.manifest_hash);
    assert_eq!(active.folder, world.installed(&second(), ""));
    assert_eq!((active.files, active.bytes), (4, second().bytes()));
    assert_eq!(status.previous.unwrap().as_str(), "1.0.0");
    let manifest = updater.active_manifest().await.unwrap();
    assert_eq!(manifest, Some(second().manifest()));

    // A garbled `current.txt` is no installation that anyone could vouch for.
    write(&world.path("current.txt"), "v9.9.9");
    let garbled = updater.eligibility(&required).await.unwrap();
    assert_eq!(garbled.as_str(), "NO_INSTALLATION");
    let text = garbled.to_string();
    assert!(
        text.contains("v9.9.9") && text.contains("current.txt"),
        "{text}"
    );
    fs::remove_file(world.path("current.txt")).unwrap();
    let lost = updater.eligibility(&required).await.unwrap();
    assert_eq!(lost.as_str(), "NO_INSTALLATION");
    let text = lost.to_string();
    assert!(text.contains("no current.txt"), "{text}");
    // Where nothing is, there is nothing to explain.
    fs::remove_dir_all(world.root()).unwrap();
    let nothing = updater.eligibility(&required).await.unwrap();
    assert_eq!(nothing.to_string(), "NO_INSTALLATION");
}
