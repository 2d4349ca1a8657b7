//! Backups: seen, gone back to, deleted.

use std::fs;

use hot_swap::{Candidate, ErrorKind, HotSwap, Outcome};

use crate::world::{World, assert_kind, digest, run};

/// 1.0 to 1.1 to 1.2 to 1.3, a minute apart.
async fn four_versions(world: &World) {
    use std::time::{Duration, UNIX_EPOCH};
    for version in 1..=3 {
        world.write("next", &format!("server 1.{version}\n"));
        let now = UNIX_EPOCH + Duration::from_secs(1_795_872_009 + 60 * version);
        run(&world.bare().with_clock(move || now)).await.unwrap();
    }
}

fn back(world: &World, to: Candidate) -> HotSwap {
    HotSwap::new(world.path("bin/server"), to)
}

#[tokio::test]
async fn so_many_backups_are_kept_as_wanted() {
    let world = World::new();
    four_versions(&world).await;
    assert_eq!(
        world.backups(),
        ["server 1.2\n", "server 1.1\n", "server 1.0\n"]
    );
    world.write("next", "server 1.4\n");
    let report = run(&world.bare().with_keep_backups(1)).await.unwrap();
    assert!(report.backup.is_some());
    assert_eq!(world.backups(), ["server 1.3\n"]);
    world.write("next", "server 1.5\n");
    let report = run(&world.bare().with_keep_backups(0)).await.unwrap();
    assert_eq!(report.backup, None);
    assert!(world.backups().is_empty());
}

#[tokio::test]
async fn one_goes_back_and_forth() {
    let world = World::new();
    four_versions(&world).await;
    let report = run(&back(&world, Candidate::previous())).await.unwrap();
    assert_eq!(report.outcome, Outcome::Swapped);
    assert_eq!(world.read("bin/server"), "server 1.2\n");
    // What was in place is a backup, too, now.
    run(&back(&world, Candidate::previous())).await.unwrap();
    assert_eq!(world.read("bin/server"), "server 1.3\n");
    let oldest = digest("server 1.1\n").to_string();
    run(&back(&world, Candidate::Backup(Some(oldest[..10].into()))))
        .await
        .unwrap();
    assert_eq!(world.read("bin/server"), "server 1.1\n");
}

#[tokio::test]
async fn g82_a_backup_that_is_missing_or_damaged_is_refused_before_anything_is_touched() {
    let world = World::new();
    let error = assert_kind(
        run(&back(&world, Candidate::previous())).await,
        ErrorKind::NoBackup,
    );
    assert!(
        error.to_string().contains("there is no backup of"),
        "{error}"
    );
    four_versions(&world).await;
    let wanted = Candidate::Backup(Some("2020".into()));
    assert_kind(run(&back(&world, wanted)).await, ErrorKind::NoBackup);

    let newest = back(&world, Candidate::previous())
        .backups()
        .unwrap()
        .remove(0);
    let folder = back(&world, Candidate::previous()).state_folder().unwrap();
    fs::write(folder.join("backups").join(&newest.name), "damaged").unwrap();
    let damaged = back(&world, Candidate::previous());
    let error = assert_kind(run(&damaged).await, ErrorKind::Integrity);
    assert!(error.to_string().contains("is damaged"), "{error}");
    assert_kind(damaged.plan().await, ErrorKind::Integrity);
    assert_eq!(world.read("bin/server"), "server 1.3\n");
}

#[tokio::test]
async fn cleaning_keeps_the_newest() {
    let world = World::new();
    assert_eq!(world.bare().clean(0).unwrap().deleted, []);
    assert!(!world.path("bin/.lockstep-swap").exists());
    four_versions(&world).await;
    let plan = world.bare().plan_clean(1).unwrap();
    assert_eq!((plan.deleted.len(), plan.kept.len()), (2, 1));
    assert_eq!(world.backups().len(), 3);
    assert_eq!(world.bare().clean(1).unwrap(), plan);
    assert_eq!(world.backups(), ["server 1.2\n"]);
}

#[tokio::test]
async fn a_run_that_changes_nothing_deletes_no_backups() {
    let world = World::new();
    four_versions(&world).await;
    let report = run(&world.bare().with_keep_backups(0)).await.unwrap();
    assert_eq!(report.outcome, Outcome::Unchanged);
    assert_eq!(world.backups().len(), 3);
}
