//! Deleting a version: what is the user's stays, and so does what another version uses.

use std::fs;
use std::sync::Arc;

use durable_fs::Disk;
use tokio::sync::Notify;
use version_spec::{
    CancellationToken, DeleteReport, DryRun, Error, ErrorKind, Event, Part, SpecFile,
};

use crate::realize_world::{ONE, World, lock, realize, spec_of};

async fn delete(world: &World, id: &str, dry_run: DryRun) -> Result<DeleteReport, Error> {
    let comfy = world.comfy();
    let cancel = CancellationToken::new();
    comfy
        .delete(
            &id.parse().unwrap(),
            Some(&world.home()),
            SpecFile::Keep,
            dry_run,
            &cancel,
        )
        .await
}

#[tokio::test]
async fn what_was_made_goes() {
    let world = World::new();
    realize(&world.comfy(), &spec_of("a", &[ONE], &[]), &world.home()).await;
    let before = world.listing("");
    delete(&world, "a", DryRun::Yes).await.unwrap();
    assert_eq!(world.listing(""), before);
    delete(&world, "a", DryRun::No).await.unwrap();
    assert!(!world.exists("home"), "{:?}", world.listing("home"));
    assert!(!world.exists("cache/resolved/a.lock.json"));
    let error = delete(&world, "a", DryRun::No).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn branches_and_an_environment_of_the_users_stay() {
    let world = World::new();
    realize(&world.comfy(), &spec_of("a", &[ONE], &[]), &world.home()).await;
    let branches = world.path("home/.git/refs/heads");
    fs::create_dir_all(&branches).unwrap();
    fs::write(branches.join("mine"), "0").unwrap();
    fs::remove_dir_all(world.path("home/.venv")).unwrap();
    world.write("home/.venv/own.txt", "mine");
    world.write("home/custom_nodes/hand/node.py", "mine");
    let report = delete(&world, "a", DryRun::No).await.unwrap();
    assert!(world.exists("home/.git/refs/heads/mine"));
    assert!(world.exists("home/.venv/own.txt"));
    assert!(world.exists("home/custom_nodes/hand/node.py"));
    assert!(!world.exists("home/main.py"));
    assert_eq!(report.kept.len(), 3, "{report:?}");
}

#[tokio::test]
async fn a_home_is_that_of_the_version_which_was_realized_last_even_if_nothing_was_to_be_done() {
    let world = World::new();
    let comfy = world.builder().with_python_part(Part::Skip).build();
    realize(&comfy, &spec_of("a", &[ONE], &[]), &world.home()).await;
    let done = realize(&comfy, &spec_of("b", &[ONE], &[]), &world.home()).await;
    assert_eq!(done.steps, 0, "{done:?}");
    let error = delete(&world, "a", DryRun::No).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exists, "{error}");
    assert!(world.exists("home/main.py"));
}

#[tokio::test]
async fn a_home_that_somebody_works_on_is_left_alone_with_all_it_uses() {
    let world = World::new();
    realize(&world.comfy(), &spec_of("a", &[ONE], &[]), &world.home()).await;
    let home = Disk::real().open_dir(world.home().path()).unwrap();
    let _working = home.try_lock(".lockstep-comfy.lock").unwrap().unwrap();
    let before = world.listing("");
    let error = delete(&world, "a", DryRun::No).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    assert_eq!(world.listing(""), before);
}

#[tokio::test]
async fn no_version_gets_a_lock_while_another_is_deleted() {
    let world = World::new();
    let waits = Arc::new(Notify::new());
    let heard = Arc::clone(&waits);
    let observer = move |event: &Event| {
        if matches!(event, Event::Waiting(_)) {
            heard.notify_one();
        }
    };
    let comfy = world.builder().with_observer(observer).build();
    let (first, second) = (spec_of("a", &[ONE], &[]), spec_of("b", &[ONE], &[]));
    lock(&comfy, &first).await;
    let resolved = Disk::real().open_dir(world.path("cache/resolved")).unwrap();
    let deleting = resolved.try_lock(".lockstep-comfy.lock").unwrap().unwrap();
    let cancel = CancellationToken::new();
    let mut waiting = Box::pin(comfy.resolve(&second, version_spec::Refresh::No, &cancel));
    tokio::select! {
        _ = &mut waiting => panic!("it does not wait"),
        () = waits.notified() => {}
    }
    assert!(!world.exists("cache/resolved/b.lock.json"));
    drop(deleting);
    waiting.await.unwrap();
    assert!(world.exists("cache/resolved/b.lock.json"));
}
