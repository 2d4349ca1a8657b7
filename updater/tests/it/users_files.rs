//! What people and the tool itself put into the folder.

use std::fs;
use std::sync::Arc;

use durable_fs::{Disk, Recorder};
use manifest_core::DeletePolicy;
use updater::{CancellationToken, Downgrade, ReleaseVersion};

use crate::support::{Release, World, apply, write};

fn first() -> Release {
    Release::new("1.0.0")
        .file("main.py", "one")
        .file("old.py", "old")
        .file("presets/default.json", "{}")
}

#[tokio::test]
async fn what_the_user_put_into_the_release_is_still_there_after_an_update() {
    let world = World::with(&first()).await;
    let mine = [
        ("notes.txt", "mine"),
        ("presets/own/deep.json", "own preset"),
        (".env", "KEY=1"),
        ("logs/run.log", "ran"),
    ];
    for (path, content) in mine {
        write(&world.installed(&first(), path), content);
    }
    write(&world.path("user_data/a.txt"), "root");
    let next = first()
        .next("1.1.0")
        .without("old.py")
        .file("main.py", "two");
    let report = world.install(&next).await;
    assert_eq!((report.carried, report.deleted), (4, 1));
    world.assert_active(&next, &mine);
    assert_eq!(
        fs::read(world.path("user_data/a.txt")).unwrap(),
        b"root",
        "what is outside the releases is never touched"
    );

    // An edit after the update belongs to the new release alone, and goes along again.
    fs::write(world.installed(&next, "notes.txt"), "edited").unwrap();
    assert_eq!(
        fs::read(world.installed(&first(), "notes.txt")).unwrap(),
        b"mine"
    );
    let last = next.next("1.2.0");
    world.install(&last).await;
    world.assert_active(
        &last,
        &[
            ("notes.txt", "edited"),
            ("presets/own/deep.json", "own preset"),
            (".env", "KEY=1"),
            ("logs/run.log", "ran"),
        ],
    );
}

#[tokio::test]
async fn a_users_file_in_the_way_of_a_new_one_is_kept_aside() {
    let world = World::with(&first()).await;
    write(&world.installed(&first(), "plugin.py"), "mine");
    let next = first().next("1.1.0").file("plugin.py", "theirs");
    let report = world.install(&next).await;
    assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
    world.assert_active(&next, &[]);
    world.assert_installed(&first(), &[("plugin.py", "mine")]);

    // Only when the old release goes does it need another place.
    let updater = world.builder().with_keep_previous(0).build().unwrap();
    let report = apply(&updater, &next.next("1.2.0")).await.unwrap();
    assert_eq!(report.kept.len(), 1, "{:?}", report.kept);
    assert_eq!(fs::read(world.path(&report.kept[0])).unwrap(), b"mine");
}

#[tokio::test]
async fn delete_policy_safe_removes_only_what_the_old_manifest_lists() {
    let world = World::with(&first()).await;
    write(&world.installed(&first(), "stray.txt"), "stray");
    let next = first().next("1.1.0").without("old.py");
    let report = world.install(&next).await;
    assert_eq!((report.deleted, report.carried), (1, 1));
    world.assert_active(&next, &[("stray.txt", "stray")]);
}

#[tokio::test]
async fn delete_policy_aggressive_removes_what_is_neither_listed_nor_ignored() {
    let world = World::with(&first()).await;
    write(&world.installed(&first(), "stray.txt"), "stray");
    write(&world.installed(&first(), "deep/run.log"), "log");
    write(&world.installed(&first(), "cache/kernel.bin"), "cache");
    let next = first()
        .next("1.1.0")
        .without("old.py")
        .with_policy(DeletePolicy::Aggressive);
    let report = world.install(&next).await;
    assert_eq!((report.deleted, report.carried), (2, 2));
    world.assert_active(
        &next,
        &[("deep/run.log", "log"), ("cache/kernel.bin", "cache")],
    );
}

#[tokio::test]
async fn delete_policy_manual_removes_nothing_until_confirmed() {
    let world = World::with(&first()).await;
    let next = first()
        .next("1.1.0")
        .without("old.py")
        .without("presets/default.json")
        .with_policy(DeletePolicy::Manual);
    let report = world.install(&next).await;
    assert_eq!((report.deleted, report.pending_deletions), (0, 2));
    let waiting = [("old.py", "old"), ("presets/default.json", "{}")];
    world.assert_active(&next, &waiting);

    let planned = world.updater().plan_prune().await.unwrap();
    assert_eq!(planned.deletions, ["old.py", "presets/default.json"]);
    assert!(planned.releases.is_empty() && planned.kept.is_empty());
    world.assert_active(&next, &waiting);
    let pruned = world.updater().prune().await.unwrap();
    assert_eq!(pruned.deleted, planned.deletions);
    world.assert_active(&next, &[]);
    world.assert_installed(&first(), &[]);
    let again = world.updater().prune().await.unwrap();
    assert!(again.deleted.is_empty() && again.removed_releases.is_empty());
}

#[tokio::test]
async fn prune_keeps_a_file_that_was_edited_while_it_waited() {
    let world = World::with(&first()).await;
    let next = first()
        .next("1.1.0")
        .without("old.py")
        .with_policy(DeletePolicy::Manual);
    world.install(&next).await;
    let path = world.installed(&next, "old.py");
    fs::remove_file(&path).unwrap();
    fs::write(&path, "mine now").unwrap();
    let planned = world.updater().plan_prune().await.unwrap();
    assert!(planned.deletions.is_empty());
    assert!(world.updater().prune().await.unwrap().deleted.is_empty());
    world.assert_active(&next, &[("old.py", "mine now")]);
}

#[tokio::test]
async fn prune_deletes_releases_that_are_too_old_and_keeps_the_users_files_of_them() {
    let world = World::new();
    let updater = world.builder().with_keep_previous(9).build().unwrap();
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        let release = first().next(version);
        world.serve(&release);
        apply(&updater, &release).await.unwrap();
    }
    // Written after the update: only the old release has it.
    write(&world.path("releases/v1.0.0/late.txt"), "late");
    let recorder = Arc::new(Recorder::new());
    let disk = Disk::observed(recorder.clone());
    let watched = world.builder().with_disk(disk).build().unwrap();
    let planned = watched.plan_prune().await.unwrap();
    assert_eq!(recorder.effects(), []);
    assert_eq!(planned.releases, ["1.0.0".parse().unwrap()]);
    assert_eq!(planned.kept, ["releases/v1.0.0/late.txt"]);
    assert!(planned.deletions.is_empty());
    let pruned = world.updater().prune().await.unwrap();
    let removed: Vec<_> = pruned
        .removed_releases
        .iter()
        .map(ReleaseVersion::as_str)
        .collect();
    assert_eq!(removed, ["1.0.0"]);
    assert_eq!(pruned.kept.len(), 1);
    assert_eq!(fs::read(world.path(&pruned.kept[0])).unwrap(), b"late");
    world.assert_active(&first().next("1.2.0"), &[]);
    world.assert_tidy();
}

#[tokio::test]
async fn the_same_version_with_other_content_takes_the_users_files_along() {
    let world = World::with(&first()).await;
    write(&world.installed(&first(), "notes.txt"), "mine");
    let other = first().file("main.py", "other").without("old.py");
    world.serve(&other);
    let updater = world
        .builder()
        .with_downgrade(Downgrade::Allow)
        .build()
        .unwrap();
    let report = apply(&updater, &other).await.unwrap();
    assert_eq!((report.downloaded, report.reused), (1, 1));
    world.assert_active(&other, &[("notes.txt", "mine")]);
    world.assert_tidy();
    let verified = updater.verify(&CancellationToken::new()).await.unwrap();
    assert!(verified.is_intact());
}
