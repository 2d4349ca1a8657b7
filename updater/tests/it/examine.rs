//! What is wrong is found; what can be mended without asking is mended, and nothing of the user's goes.

use std::fs;

use manifest_core::DeletePolicy;
use updater::{CancellationToken, Diagnosis, ErrorKind, FixReport, Remedy, Severity};

use crate::support::{Heard, Release, World, replace, tree, write};

fn first() -> Release {
    Release::new("1.0.0")
        .file("main.py", "one")
        .file("lib/same.py", "same")
}

fn second() -> Release {
    first().next("2.0.0").file("main.py", "two")
}

/// 2.0.0 is active, 1.0.0 was before, and both are served.
async fn two() -> World {
    let world = World::new();
    world.install(&first()).await;
    world.install(&second()).await;
    world
}

async fn examine(world: &World) -> Diagnosis {
    let updater = world.updater();
    updater.examine(&CancellationToken::new()).await.unwrap()
}

async fn fix(world: &World) -> FixReport {
    let updater = world.updater();
    updater.fix(&CancellationToken::new()).await.unwrap()
}

#[tokio::test]
async fn a_healthy_installation_is_left_alone() {
    let world = two().await;
    write(&world.installed(&second(), "notes.txt"), "mine");
    let diagnosis = examine(&world).await;
    assert!(diagnosis.is_healthy() && diagnosis.symptoms.is_empty());
    let before = tree(&world.root());
    let report = fix(&world).await;
    assert!(report.done.is_empty() && report.fixed.is_empty() && report.failed.is_empty());
    assert!(report.remaining.symptoms.is_empty());
    assert_eq!(tree(&world.root()), before);
}

#[tokio::test]
async fn where_there_is_no_folder_there_is_nothing_to_examine() {
    let world = World::new();
    let cancel = CancellationToken::new();
    for error in [
        world.updater().examine(&cancel).await.unwrap_err(),
        world.updater().fix(&cancel).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::NoInstallation);
    }
    assert!(!world.root().exists());
}

#[tokio::test]
async fn examining_can_be_cancelled_and_says_what_it_hashes() {
    let world = two().await;
    let heard = Heard::default();
    let updater = world.builder().with_observer(heard.listener());
    let updater = updater.build().unwrap();
    updater.examine(&CancellationToken::new()).await.unwrap();
    assert_eq!(heard.bytes_verified(), first().bytes() + second().bytes());
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    let error = updater.examine(&cancelled).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    let error = updater.fix(&cancelled).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[tokio::test]
async fn everything_that_needs_nobody_is_mended_at_once_and_the_users_files_stay() {
    let world = two().await;
    write(&world.installed(&second(), "notes.txt"), "mine");
    write(&world.installed(&first(), "late.txt"), "mine, too");
    write(&world.path("user_data/a"), "mine");
    // No active release; a damaged manifest; damage; a stopped exchange; leftovers.
    fs::remove_file(world.path("current.txt")).unwrap();
    write(&world.installed(&first(), "manifest.json"), "{");
    write(&world.path(".lockstep-1-2-3"), "half");
    write(&world.path("releases/.trash/1/file"), "gone");
    let displaced = world.path("releases/.staging/v2.0.0-0123456789abcdef.displaced");
    second().write_to(&displaced);
    write(&displaced.join("saved.txt"), "mine as well");

    let before = examine(&world).await;
    assert!(!before.is_healthy());
    assert_eq!(before.count(Severity::Error), 1, "{before:#?}");
    let report = fix(&world).await;
    assert_eq!(report.failed, [""; 0]);
    assert_eq!(report.done.len(), 2, "{report:#?}");
    assert!(report.done[0].contains("release 2.0.0, the newest intact one, is active now"));
    assert!(report.done[1].contains("deleted release 1.0.0"));
    assert!(report.remaining.is_healthy(), "{report:#?}");
    assert_eq!(report.fixed.len(), before.symptoms.len(), "{report:#?}");

    world.assert_active(&second(), &[("notes.txt", "mine")]);
    world.assert_tidy();
    assert_eq!(fs::read(world.path("user_data/a")).unwrap(), b"mine");
    let kept = tree(&world.path(".lockstep/kept"));
    assert_eq!(kept["v1.0.0/late.txt"], b"mine, too");
    assert_eq!(kept["v2.0.0/saved.txt"], b"mine as well");
    assert!(
        report
            .kept
            .iter()
            .any(|path| path.ends_with("v1.0.0/late.txt"))
    );
    // That something was kept is all that is left to say.
    let remaining = &report.remaining.symptoms;
    assert_eq!(remaining.len(), 1, "{remaining:#?}");
    assert!(remaining[0].what.contains(".lockstep/kept"));

    let before = tree(&world.root());
    let again = fix(&world).await;
    assert!(
        again.done.is_empty() && again.fixed.is_empty(),
        "{again:#?}"
    );
    assert_eq!(tree(&world.root()), before);
}

#[tokio::test]
async fn damage_of_the_active_release_is_repaired() {
    let world = two().await;
    write(&world.installed(&second(), "notes.txt"), "mine");
    replace(&world.installed(&second(), "main.py"), "rotten");
    let report = fix(&world).await;
    assert_eq!(report.done.len(), 1, "{report:#?}");
    assert!(report.done[0].starts_with("repaired 1 file of release 2.0.0"));
    assert_eq!(report.fixed[0].remedy, Remedy::Repair);
    assert!(report.remaining.symptoms.is_empty());
    world.assert_active(&second(), &[("notes.txt", "mine")]);
}

#[tokio::test]
async fn a_remedy_that_fails_stops_no_other_and_is_told() {
    let mut world = two().await;
    world.memory = downloader::MemoryDownloader::new(); // no source has the file any more
    replace(&world.installed(&second(), "main.py"), "rotten");
    write(&world.installed(&first(), "manifest.json"), "{");
    let report = fix(&world).await;
    assert_eq!(report.failed.len(), 1, "{report:#?}");
    assert!(report.failed[0].contains("main.py"), "{report:#?}");
    assert!(
        report.done[0].contains("deleted release 1.0.0"),
        "{report:#?}"
    );
    assert!(!report.remaining.is_healthy());
    assert_eq!(report.remaining.symptoms[0].remedy, Remedy::Repair);
    assert_eq!(
        fs::read(world.installed(&second(), "main.py")).unwrap(),
        b"rotten"
    );
}

#[tokio::test]
async fn what_waits_for_a_confirmation_keeps_waiting() {
    let world = World::with(&first()).await;
    let next = second().without("lib/same.py");
    let next = next.with_policy(DeletePolicy::Manual);
    world.install(&next).await;
    let report = fix(&world).await;
    assert!(report.done.is_empty() && report.remaining.is_healthy());
    assert_eq!(report.remaining.symptoms[0].remedy, Remedy::Prune);
    world.assert_active(&next, &[("lib/same.py", "same")]);
}

#[cfg(unix)]
#[tokio::test]
async fn what_only_a_person_can_do_remains_with_instructions() {
    let world = two().await;
    fs::remove_dir_all(world.path("releases/.staging")).unwrap();
    fs::create_dir_all(world.outside()).unwrap();
    std::os::unix::fs::symlink(world.outside(), world.path("releases/.staging")).unwrap();
    write(&world.path(".lockstep-1-2-3"), "half");
    let report = fix(&world).await;
    assert_eq!(report.done, [""; 0]);
    assert!(report.failed[0].contains(".staging"), "{report:#?}");
    assert_eq!(report.remaining.symptoms.len(), 2, "{report:#?}");
    assert!(matches!(
        report.remaining.symptoms[0].remedy,
        Remedy::ByHand(_)
    ));
    assert_eq!(tree(&world.outside()).len(), 0);
    world.assert_active(&second(), &[]);

    fs::remove_file(world.path("releases/.staging")).unwrap();
    let report = fix(&world).await;
    assert!(report.remaining.symptoms.is_empty(), "{report:#?}");
}

#[tokio::test]
async fn nothing_is_mended_while_another_process_is_at_work() {
    let world = two().await;
    let disk = durable_fs::Disk::real().open_dir(world.root()).unwrap();
    let lock = disk.try_lock(".lockstep/lock").unwrap().unwrap();
    assert!(examine(&world).await.is_healthy());
    fs::remove_file(world.path("current.txt")).unwrap();
    let error = world.updater().fix(&CancellationToken::new()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Busy);
    drop(lock);
    assert!(fix(&world).await.remaining.is_healthy());
    world.assert_active(&second(), &[]);
}
