//! Verify, repair, roll back.

use std::fs;

use durable_fs::{Disk, Recorder};
use std::sync::Arc;
use updater::{CancellationToken, ErrorKind, HistoryEvent, Problem};

use crate::support::{Release, World, apply, noise, replace, write};

fn first() -> Release {
    Release::new("1.0.0")
        .file("main.py", "one")
        .program("bin/run.sh", "#!/bin/sh")
        .file("model.bin", noise(1, 50_000))
        .file("lib/a.py", "a")
        .file("lib/b.py", "b")
}

fn second() -> Release {
    first().next("1.1.0").file("main.py", "two")
}

fn never() -> CancellationToken {
    CancellationToken::new()
}

async fn problems(world: &World) -> Vec<(String, Problem)> {
    let report = world.updater().verify(&never()).await.unwrap();
    assert_eq!(report.is_intact(), report.findings.is_empty());
    assert_eq!(report.verified as usize + report.findings.len(), 5);
    let finding = |finding: updater::Finding| (finding.path.to_string(), finding.problem);
    report.findings.into_iter().map(finding).collect()
}

#[tokio::test]
async fn d56_verify_finds_every_kind_of_damage_and_changes_nothing() {
    let world = World::with(&first()).await;
    assert_eq!(problems(&world).await, []);
    let at = |path: &str| world.installed(&first(), path);
    replace(&at("main.py"), "eno");
    replace(&at("model.bin"), noise(1, 49_999));
    fs::remove_file(at("lib/a.py")).unwrap();
    fs::remove_file(at("lib/b.py")).unwrap();
    fs::create_dir(at("lib/b.py")).unwrap();

    let recorder = Arc::new(Recorder::new());
    let watched = world
        .builder()
        .with_disk(Disk::observed(recorder.clone()))
        .build()
        .unwrap();
    watched.verify(&never()).await.unwrap();
    assert_eq!(recorder.effects(), []);
    assert_eq!(
        problems(&world).await,
        [
            ("lib/a.py".into(), Problem::Missing),
            ("lib/b.py".into(), Problem::NotAFile),
            ("main.py".into(), Problem::WrongContent),
            ("model.bin".into(), Problem::WrongSize { found: 49_999 }),
        ]
    );
}

#[tokio::test]
async fn d56_repair_fetches_only_what_is_bad() {
    let world = World::with(&first()).await;
    let at = |path: &str| world.installed(&first(), path);
    replace(&at("main.py"), "eno");
    fs::remove_file(at("model.bin")).unwrap();
    fs::remove_dir_all(at("lib")).unwrap();
    write(&at("lib"), "a file where a folder was");
    world.serve(&first());

    let report = world.updater().repair(&never()).await.unwrap();
    assert_eq!((report.downloaded, report.intact), (4, 1));
    assert_eq!(report.bytes_downloaded, 50_005);
    assert_eq!(report.repaired.len(), 4);
    assert_eq!(world.requests(), 4);
    assert_eq!(problems(&world).await, []);
    world.assert_active(&first(), &[]);
    world.assert_tidy();
    // What stood in the way may be somebody's.
    let kept = fs::read(world.path(".lockstep/kept/v1.0.0/lib")).unwrap();
    assert_eq!(kept, b"a file where a folder was");
    let last = world.updater().status().await.unwrap().last_event.unwrap();
    assert_eq!(last.event, HistoryEvent::Repaired);

    let again = world.updater().repair(&never()).await.unwrap();
    assert_eq!((again.downloaded, again.intact), (0, 5));
    assert_eq!(world.requests(), 4);
}

#[tokio::test]
async fn d56_a_folder_with_a_files_name_is_moved_away_with_all_that_is_in_it() {
    let world = World::with(&first()).await;
    let path = world.installed(&first(), "main.py");
    fs::remove_file(&path).unwrap();
    write(&path.join("deep/mine.txt"), "mine");
    world.serve(&first());
    world.updater().repair(&never()).await.unwrap();
    world.assert_active(&first(), &[]);
    let kept = world.path(".lockstep/kept/v1.0.0/main.py/deep/mine.txt");
    assert_eq!(fs::read(kept).unwrap(), b"mine");
}

#[cfg(unix)]
#[tokio::test]
async fn d56_a_link_with_a_files_name_is_replaced_and_its_target_stays() {
    let world = World::with(&first()).await;
    let victim = world.outside().join("victim");
    write(&victim, "one");
    let path = world.installed(&first(), "main.py");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&victim, &path).unwrap();
    assert_eq!(
        problems(&world).await,
        [("main.py".into(), Problem::NotAFile)]
    );
    world.serve(&first());
    world.updater().repair(&never()).await.unwrap();
    world.assert_active(&first(), &[]);
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
    assert_eq!(fs::read(&victim).unwrap(), b"one");
}

#[cfg(unix)]
#[tokio::test]
async fn d56_a_wrong_mode_is_repaired_without_a_download_and_not_in_the_other_release() {
    use crate::support::{is_executable, set_mode};
    let world = World::with(&first()).await;
    world.install(&second()).await;
    let before = world.requests();
    // Both releases share the file, so both are wrong now.
    set_mode(&world.installed(&second(), "bin/run.sh"), false);
    let updater = world.updater();
    let found = updater.verify(&never()).await.unwrap().findings;
    assert_eq!(found[0].problem, Problem::WrongMode);
    let report = updater.repair(&never()).await.unwrap();
    assert_eq!((report.downloaded, report.repaired.len()), (0, 1));
    assert_eq!(world.requests(), before);
    world.assert_active(&second(), &[]);
    assert!(!is_executable(&world.installed(&first(), "bin/run.sh")));
}

#[tokio::test]
async fn damage_of_two_equal_files_is_one_download() {
    let release = Release::new("1.0.0")
        .file("a", "same")
        .file("b", "same")
        .program("c", "same");
    let world = World::with(&release).await;
    for path in ["a", "b", "c"] {
        fs::remove_file(world.installed(&release, path)).unwrap();
    }
    world.serve(&release);
    let report = world.updater().repair(&never()).await.unwrap();
    assert_eq!((report.downloaded, report.bytes_downloaded), (1, 4));
    assert_eq!(world.requests(), 1);
    world.assert_active(&release, &[]);
}

#[tokio::test]
async fn a_repair_that_no_source_can_serve_leaves_the_rest_alone() {
    let world = World::with(&first()).await;
    fs::remove_file(world.installed(&first(), "main.py")).unwrap();
    let error = world.updater().repair(&never()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
    assert_eq!(
        problems(&world).await,
        [("main.py".into(), Problem::Missing)]
    );
}

#[tokio::test]
async fn rollback_goes_back_with_the_users_files_and_forward_again() {
    let world = World::with(&first()).await;
    world.install(&second()).await;
    write(&world.installed(&second(), "notes.txt"), "mine");
    let updater = world.updater();
    let report = updater.rollback(None, &never()).await.unwrap();
    assert_eq!(report.from_version.unwrap().as_str(), "1.1.0");
    assert_eq!(report.to_version.as_str(), "1.0.0");
    assert_eq!(report.manifest_hash, first().manifest().manifest_hash());
    assert_eq!((report.verified, report.carried), (5, 1));
    world.assert_active(&first(), &[("notes.txt", "mine")]);
    let last = updater.status().await.unwrap().last_event.unwrap();
    assert_eq!(last.event, HistoryEvent::RolledBack);

    let to = "1.1.0".parse().unwrap();
    updater.rollback(Some(to), &never()).await.unwrap();
    world.assert_active(&second(), &[("notes.txt", "mine")]);
    // And an update goes on from there as from any release.
    apply(&updater, &second()).await.unwrap();
}

#[tokio::test]
async fn e61_a_missing_or_damaged_rollback_target_is_refused() {
    let world = World::with(&first()).await;
    let updater = world.updater();
    let error = updater.rollback(None, &never()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
    world.install(&second()).await;
    let to = "7.0.0".parse().unwrap();
    let error = updater.rollback(Some(to), &never()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");

    // Edited through the link that both releases share: the damage shows in both.
    fs::write(world.installed(&first(), "main.py"), "eno").unwrap();
    let error = updater.rollback(None, &never()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error:?}");
    world.assert_active(&second(), &[]);
    fs::remove_file(world.installed(&first(), "main.py")).unwrap();
    let error = updater.rollback(None, &never()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error:?}");
    world.assert_active(&second(), &[]);
}

#[tokio::test]
async fn without_an_installation_there_is_nothing_to_care_for() {
    let world = World::new();
    let updater = world.updater();
    let results = [
        updater.verify(&never()).await.map(drop),
        updater.repair(&never()).await.map(drop),
        updater.rollback(None, &never()).await.map(drop),
        updater.prune().await.map(drop),
    ];
    for result in results {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::NoInstallation);
    }
    assert!(!world.root().exists());
}

#[tokio::test]
async fn the_history_tells_what_was_done() {
    let world = World::with(&first()).await;
    world.install(&second()).await;
    let updater = world.updater();
    updater.rollback(None, &never()).await.unwrap();
    let history = updater.history().await.unwrap();
    let events: Vec<_> = history
        .iter()
        .map(|entry| (entry.event, entry.version.as_str()))
        .collect();
    assert_eq!(
        events,
        [
            (HistoryEvent::Activated, "1.0.0"),
            (HistoryEvent::Activated, "1.1.0"),
            (HistoryEvent::RolledBack, "1.0.0"),
        ]
    );
}

#[tokio::test]
async fn a_file_that_may_not_be_read_is_no_damage_that_a_repair_mends() {
    #[derive(Debug)]
    struct Locked;
    impl durable_fs::Observer for Locked {
        fn before(&self, _: &durable_fs::Effect<'_>) -> durable_fs::Verdict {
            durable_fs::Verdict::Proceed
        }
        fn after(&self, _: &durable_fs::Effect<'_>) {}
        fn before_open(&self, path: &std::path::Path) -> durable_fs::Verdict {
            if path.ends_with("v1.0.0/main.py") {
                let denied = std::io::ErrorKind::PermissionDenied;
                return durable_fs::Verdict::Fail(denied.into());
            }
            durable_fs::Verdict::Proceed
        }
    }
    let world = World::with(&first()).await;
    world.serve(&first());
    let locked = Disk::observed(Arc::new(Locked));
    let updater = world.builder().with_disk(locked).build().unwrap();
    let found = updater.verify(&never()).await.unwrap().findings;
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].problem.to_string(),
        "cannot be read: permission denied"
    );
    let error = updater.repair(&never()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("main.py") && text.contains("permission denied"),
        "{text}"
    );
}
