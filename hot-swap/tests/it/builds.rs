//! The build step.

use std::fs;
use std::sync::{Arc, Mutex};

use hot_swap::{Build, CancellationToken, ErrorKind, Event, HotSwap, Outcome, Step};

use crate::world::{World, assert_kind, run};

fn swap(world: &World, script: &str) -> HotSwap {
    fs::create_dir_all(world.path("src")).unwrap();
    let build = Build::new("sh", ["-c", script]).in_folder(world.path("src"));
    HotSwap::new(world.path("bin/server"), world.path("built")).with_build(build)
}

#[tokio::test]
async fn what_is_built_is_swapped_in_and_what_the_build_says_is_heard() {
    let world = World::new();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = heard.clone();
    let swap = swap(&world, "echo compiling; echo built > ../built").with_observer(
        move |event: &Event| {
            if let Event::Output(line) = event {
                hearing.lock().unwrap().push(line.clone());
            }
        },
    );
    let plan = swap.plan().await.unwrap();
    assert_eq!(plan.new, None, "there is none yet");
    assert_eq!(plan.steps[0], Step::Build);
    assert!(!world.path("built").exists());
    assert_eq!(run(&swap).await.unwrap().outcome, Outcome::Swapped);
    assert_eq!(world.read("bin/server"), "built\n");
    assert_eq!(*heard.lock().unwrap(), ["compiling"]);
}

#[tokio::test]
async fn a_build_that_fails_changes_nothing() {
    let world = World::new();
    let swap = swap(
        &world,
        "echo half > ../built; echo 'error: no such type' >&2; exit 101",
    );
    let error = assert_kind(run(&swap).await, ErrorKind::Build);
    let text = error.to_string();
    assert!(
        text.contains("exit status: 101: error: no such type"),
        "{text}"
    );
    assert_eq!(world.read("bin/server"), "server 1.0\n");
    let nobody = HotSwap::new(world.path("bin/server"), world.path("next"))
        .with_build(Build::new("no-such-program", [""; 0]));
    let error = assert_kind(run(&nobody).await, ErrorKind::Build);
    assert!(error.to_string().contains("no-such-program"), "{error}");
}

#[tokio::test]
async fn a_build_is_stopped_by_who_cancels() {
    let world = World::new();
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let swap = swap(&world, "echo begun; exec sleep 1000").with_observer(move |event: &Event| {
        if matches!(event, Event::Output(_)) {
            stop.cancel();
        }
    });
    assert_kind(swap.run(&cancel).await, ErrorKind::Cancelled);
    assert_eq!(world.read("bin/server"), "server 1.0\n");
}

#[tokio::test]
async fn a_build_that_is_not_reproducible_is_pointed_out() {
    let world = World::new();
    let count = "echo >> ../count; wc -l < ../count > ../built";
    let swap = swap(&world, count).with_sources(world.path("src"));
    fs::write(world.path("src/main"), "one").unwrap();
    assert!(run(&swap).await.unwrap().warnings.is_empty());
    let warnings = run(&swap).await.unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].starts_with("the build is not reproducible"),
        "{warnings:?}"
    );
    // Other sources may give another binary.
    fs::write(world.path("src/main"), "two").unwrap();
    assert!(run(&swap).await.unwrap().warnings.is_empty());

    let steady = self::swap(&world, "echo same > ../built").with_sources(world.path("src"));
    fs::write(world.path("src/main"), "three").unwrap();
    for _ in 0..2 {
        assert!(run(&steady).await.unwrap().warnings.is_empty());
    }
}
