//! For how much else artifacts are kept.

use std::sync::Arc;

use durable_fs::{Disk, Effect, Observer, Operation, Verdict};
use flash_gpu::{Key, Outcome, Rerun};

use crate::world::{Release, World, exists, warm_up};

fn release(version: &'static str) -> Release {
    let script = format!("mkdir -p cache; echo {version} > cache/a.bin");
    Release::new(&script, &["cache/*.bin"]).with_version(version)
}

fn is_kept(world: &World, key: &Key) -> bool {
    exists(world.path(&format!("cache/flash-gpu/{key}/record.json")))
}

#[tokio::test]
async fn the_release_that_a_rollback_goes_to_is_kept() {
    let world = World::with(&release("1.0.0"));
    let first = world.warm_up().await.unwrap();
    release("1.1.0").install(&world.root());
    let second = world.warm_up().await.unwrap();
    assert_eq!(second.pruned, []);
    assert!(is_kept(&world, &first.key));

    // Another driver was warmed up later; but what a rollback needs comes first.
    release("1.0.0").install(&world.root());
    assert_eq!(world.warm_up().await.unwrap().outcome, Outcome::AlreadyWarm);
    release("1.1.0").install(&world.root());
    let keep = |world: &World, count| world.flash().with_keep(count);
    world
        .machine
        .change(|stack| stack.driver_version = Some("570".into()));
    let other = warm_up(&keep(&world, 9)).await.unwrap();
    assert_eq!(other.pruned, []);
    world
        .machine
        .change(|stack| stack.driver_version = Some("560.35.03".into()));
    let again = world.warm_up().await.unwrap();
    assert_eq!(again.outcome, Outcome::AlreadyWarm);
    assert_eq!(again.pruned, [other.key]);
    assert!(is_kept(&world, &first.key) && is_kept(&world, &second.key));
}

#[tokio::test]
async fn as_many_as_wanted_are_kept() {
    let world = World::with(&release("1.0.0"));
    let mut keys = Vec::new();
    for number in 0..4_u64 {
        world
            .machine
            .change(|stack| stack.driver_version = Some(number.to_string()));
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(number);
        let flash = world.flash().with_keep(2).with_clock(move || time);
        keys.push(warm_up(&flash).await.unwrap().key);
    }
    let kept: Vec<bool> = keys.iter().map(|key| is_kept(&world, key)).collect();
    assert_eq!(kept, [false, true, true, true]);
    let report = warm_up(&world.flash().with_keep(0)).await.unwrap();
    assert_eq!(report.outcome, Outcome::AlreadyWarm);
    let kept: Vec<bool> = keys.iter().map(|key| is_kept(&world, key)).collect();
    assert_eq!(kept, [false, false, false, true]);
    assert_eq!(report.pruned.len(), 2);
}

/// As file systems do that cannot exchange two names.
#[derive(Debug)]
struct NoExchange;

impl Observer for NoExchange {
    fn before(&self, effect: &Effect<'_>) -> Verdict {
        match effect.operation {
            Operation::Exchange => Verdict::Fail(std::io::ErrorKind::Unsupported.into()),
            _ => Verdict::Proceed,
        }
    }

    fn after(&self, _: &Effect<'_>) {}
}

#[tokio::test]
async fn what_was_kept_is_replaced_where_nothing_can_be_exchanged() {
    let world = World::with(&release("1.0.0"));
    let first = world.warm_up().await.unwrap();
    let disk = Disk::observed(Arc::new(NoExchange));
    let flash = world.flash().with_disk(disk).with_rerun(Rerun::Always);
    let again = warm_up(&flash).await.unwrap();
    assert_eq!(
        (again.outcome, again.artifacts.count),
        (Outcome::WarmedUp, 1)
    );
    assert!(is_kept(&world, &first.key));
    assert_eq!(world.warm_up().await.unwrap().outcome, Outcome::AlreadyWarm);
}

#[tokio::test]
async fn what_can_never_be_warm_is_deleted_and_what_is_not_ours_stays() {
    let world = World::with(&release("1.0.0"));
    world.write("cache/flash-gpu/0123456789abcdef0123/files/x", "half");
    world.write("cache/flash-gpu/fedcba98765432100123/record.json", "{}");
    world.write("cache/flash-gpu/notes/mine", "mine");
    world.write("cache/flash-gpu/.work/left", "left");
    world.write("cache/flash-gpu/.work-0123456789abcdef/left", "left");
    world.write("cache/flash-gpu/.trash/left/deep", "left");
    world.write("cache/flash-gpu/.lockstep-1-2-3", "left");
    let report = world.warm_up().await.unwrap();
    assert_eq!(report.pruned.len(), 2);
    let key = &report.key;
    assert_eq!(
        world.kept().paths(),
        [
            &format!("{key}/files/release/cache/a.bin"),
            &format!("{key}/record.json"),
            "last.log",
            "lock",
            "notes/mine",
        ]
    );
}
