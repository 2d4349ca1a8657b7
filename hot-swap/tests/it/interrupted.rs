//! FAULTS G 83: a fault at every effect on the disk, and what the next run makes of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use durable_fs::Disk;
use hot_swap::{
    CancellationToken, Candidate, Error, ErrorKind, FakeRuntime, Found, HotSwap, Outcome, Report,
};
use testkit::Exploration;

use crate::world::{World, assert_kind, behaviour, digest, names, run};

const OLD: &str = "server 1.0\n";

fn setup(root: &Path, candidate: &str) {
    fs::create_dir(root.join("bin")).unwrap();
    for (name, text) in [("bin/server", OLD), ("next", candidate)] {
        fs::write(root.join(name), text).unwrap();
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Runs to its end without waiting.
fn go(root: &Path, disk: Disk, service: &FakeRuntime) -> Result<Report, Error> {
    let swap = HotSwap::new(root.join("bin/server"), root.join("next"))
        .with_runtime(service.clone())
        .with_settle_time(Duration::ZERO)
        .with_disk(disk);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async { swap.run(&CancellationToken::new()).await })
}

fn in_place(root: &Path) -> String {
    let path = root.join("bin/server");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755, "it can be run");
    fs::read_to_string(path).unwrap()
}

fn nothing_is_left(root: &Path) {
    assert_eq!(names(&root.join("bin")), [".lockstep-swap", "server"]);
    let state = root.join("bin/.lockstep-swap/server");
    assert_eq!(names(&state), ["backups", "lock"]);
}

#[test]
fn g83_whatever_stops_a_swap_a_whole_binary_is_in_place_and_a_second_run_finishes() {
    const NEW: &str = "server 1.1\n";
    let explored = Exploration::new(
        |root| setup(root, NEW),
        |root, disk| go(root, disk, &FakeRuntime::new(behaviour)),
        |root, case| {
            let found = in_place(root);
            assert!(
                found == NEW || found == OLD && !case.must_be_new(),
                "{found:?}"
            );
            let service = FakeRuntime::new(behaviour);
            let report = go(root, Disk::real(), &service).unwrap();
            assert_eq!(in_place(root), NEW);
            if report.outcome == Outcome::Swapped {
                assert_eq!(service.running().unwrap(), NEW.as_bytes());
            }
            let backups = names(&root.join("bin/.lockstep-swap/server/backups"));
            for backup in &backups {
                let (_, hash) = backup.split_once('-').unwrap();
                let path = root.join("bin/.lockstep-swap/server/backups").join(backup);
                let text = fs::read_to_string(path).unwrap();
                assert_eq!(digest(&text).to_string(), hash, "a backup is whole");
            }
            assert!(!backups.is_empty() && backups.len() <= 3, "{backups:?}");
            nothing_is_left(root);
            assert_eq!(
                go(root, Disk::real(), &service).unwrap().outcome,
                Outcome::Unchanged
            );
        },
    )
    .with_pairs(8)
    .run();
    println!("swap: {explored}");
    assert!(explored.effects > 15, "{explored}");
}

/// The candidate does not work: whatever happens on the way back, the next run is back.
#[test]
fn g83_whatever_stops_the_way_back_a_second_run_is_back() {
    const BAD: &str = "1.1 exits";
    let explored = Exploration::new(
        |root| setup(root, BAD),
        |root, disk| {
            let error = go(root, disk, &FakeRuntime::new(behaviour)).unwrap_err();
            match error.kind() {
                ErrorKind::RolledBack => Ok(()),
                _ => Err(error),
            }
        },
        |root, case| {
            let found = in_place(root);
            assert!(
                found == OLD || found == BAD && !case.must_be_new(),
                "{found:?}"
            );
            let service = FakeRuntime::new(behaviour);
            assert_kind(go(root, Disk::real(), &service), ErrorKind::RolledBack);
            assert_eq!(in_place(root), OLD);
            assert_eq!(service.running().unwrap(), OLD.as_bytes());
            nothing_is_left(root);
        },
    )
    .with_pairs(8)
    .run();
    println!("swap of a binary that does not work: {explored}");
    assert!(explored.effects > 15, "{explored}");
}

/// As a kill between two steps leaves it.
fn leave(world: &World, phase: &str, in_place: &str) {
    let state = world.path("bin/.lockstep-swap/server");
    fs::create_dir_all(state.join("backups")).unwrap();
    let backup = format!("20261128T132009Z-{}", digest(OLD));
    fs::write(state.join("backups").join(&backup), OLD).unwrap();
    let journal = format!(
        r#"{{"phase": "{phase}", "old": "{}", "new": "{}", "backup": "{backup}"}}"#,
        digest(OLD),
        digest("server 1.1\n")
    );
    fs::write(state.join("swap.json"), journal).unwrap();
    world.write("bin/server", in_place);
}

#[tokio::test(start_paused = true)]
async fn g83_the_next_run_says_what_it_found() {
    for (phase, in_place, found, restarts) in [
        ("replacing", OLD, Found::NotReplaced, 1),
        // The candidate is the one that is wanted: it is only restarted and checked.
        ("replacing", "server 1.1\n", Found::Unverified, 1),
        ("rolling_back", "server 1.1\n", Found::RollbackUnfinished, 2),
        ("rolling_back", OLD, Found::RolledBack, 2),
        ("replacing", "by hand\n", Found::Foreign, 1),
    ] {
        let world = World::new();
        leave(&world, phase, in_place);
        let plan = world.swap().plan().await.unwrap();
        assert_eq!(plan.found, Some(found));
        let report = run(&world.swap()).await.unwrap();
        assert_eq!(report.found, Some(found));
        assert!(report.warnings.contains(&found.to_string()), "{report:#?}");
        assert_eq!(report.outcome, Outcome::Swapped);
        assert_eq!(world.read("bin/server"), "server 1.1\n");
        assert_eq!(world.service.starts(), restarts, "{found:?}");
        assert_eq!(world.state(), ["backups", "lock"]);
    }
}

#[tokio::test(start_paused = true)]
async fn g83_a_candidate_that_nobody_had_checked_is_never_gone_back_to() {
    let world = World::new();
    leave(&world, "replacing", "server 1.1\n");
    world.write("next", "1.2 exits");
    assert_kind(run(&world.swap()).await, ErrorKind::RolledBack);
    assert_eq!(world.read("bin/server"), OLD);
    assert_eq!(world.service.running().unwrap(), OLD.as_bytes());
}

#[tokio::test(start_paused = true)]
async fn g83_a_binary_that_is_gone_after_an_interruption_is_brought_back() {
    let world = World::new();
    leave(&world, "replacing", "server 1.1\n");
    fs::remove_file(world.path("bin/server")).unwrap();
    let report = run(&world.swap()).await.unwrap();
    assert_eq!(report.found, Some(Found::Missing));
    assert_eq!(world.read("bin/server"), "server 1.1\n");
    assert!(world.backups().contains(&OLD.to_owned()));
}

#[tokio::test]
async fn g83_a_damaged_note_is_an_error_that_names_it() {
    let world = World::new();
    leave(&world, "replacing", OLD);
    fs::write(world.path("bin/.lockstep-swap/server/swap.json"), "{").unwrap();
    let error = assert_kind(run(&world.bare()).await, ErrorKind::Io);
    assert!(
        error.to_string().contains("swap.json is damaged"),
        "{error}"
    );
    assert_eq!(world.read("bin/server"), OLD);
}

/// Whoever asks for what was before gets that, and not the one before that.
#[tokio::test(start_paused = true)]
async fn g83_who_goes_back_after_an_interruption_gets_what_was_before_it() {
    for (phase, in_place, outcome) in [
        ("replacing", "server 1.1\n", Outcome::Swapped),
        ("rolling_back", "server 1.1\n", Outcome::Swapped),
        ("rolling_back", OLD, Outcome::Unchanged),
        ("replacing", OLD, Outcome::Unchanged),
    ] {
        let world = World::new();
        leave(&world, phase, in_place);
        let older = format!("20200101T000000Z-{}", digest("server 0.9\n"));
        let backups = world.path("bin/.lockstep-swap/server/backups");
        fs::write(backups.join(older), "server 0.9\n").unwrap();
        let back = HotSwap::new(world.path("bin/server"), Candidate::previous())
            .with_runtime(world.service.clone());
        let report = run(&back).await.unwrap();
        assert_eq!(report.outcome, outcome, "{phase} {in_place}");
        assert_eq!(report.new, Some(digest(OLD)));
        assert_eq!(world.read("bin/server"), OLD);
        if in_place != OLD || phase == "rolling_back" {
            assert_eq!(world.service.running().unwrap(), OLD.as_bytes());
        }
        assert_eq!(world.state(), ["backups", "lock"]);
        // What is in place again may be written into: it is no backup any more.
        assert_eq!(world.backups(), ["server 0.9\n"]);
    }
}

#[tokio::test(start_paused = true)]
async fn g83_what_was_before_must_run_before_the_interruption_is_forgotten() {
    let world = World::new();
    leave(&world, "replacing", "server 1.1\n");
    let service = FakeRuntime::new(|_| hot_swap::Behaviour::Exits);
    let back =
        HotSwap::new(world.path("bin/server"), Candidate::previous()).with_runtime(service.clone());
    let error = assert_kind(run(&back).await, ErrorKind::Runtime);
    assert!(
        error
            .to_string()
            .contains("the service does not run with it"),
        "{error}"
    );
    assert_eq!(world.read("bin/server"), OLD);
    assert_eq!(world.state(), ["backups", "lock", "swap.json"]);
    // Swapping in what is in place is no better.
    world.write("next", OLD);
    let same = world.bare().with_runtime(service);
    assert_kind(run(&same).await, ErrorKind::Runtime);
    // Somebody mends the service.
    assert_eq!(
        run(&world.swap()).await.unwrap().outcome,
        Outcome::Unchanged
    );
    assert_eq!(world.service.running().unwrap(), OLD.as_bytes());
    assert_eq!(world.state(), ["backups", "lock"]);
}

#[tokio::test(start_paused = true)]
async fn g83_a_build_that_fails_leaves_no_interrupted_swap_undecided() {
    let world = World::new();
    leave(&world, "replacing", "server 1.1\n");
    let swap = world
        .swap()
        .with_build(hot_swap::Build::new("false", [""; 0]));
    let error = assert_kind(run(&swap).await, ErrorKind::Build);
    assert_eq!(error.report().unwrap().found, Some(Found::Unverified));
    assert_eq!(world.read("bin/server"), OLD);
    assert_eq!(world.service.running().unwrap(), OLD.as_bytes());
    assert_eq!(world.state(), ["backups", "lock"]);
}

#[tokio::test(start_paused = true)]
async fn g84_a_lost_backup_is_no_dead_end() {
    let world = World::new();
    leave(&world, "replacing", "server 1.1\n");
    let backups = world.path("bin/.lockstep-swap/server/backups");
    for backup in names(&backups) {
        fs::remove_file(backups.join(backup)).unwrap();
    }
    world.write("next", "server 1.2\n");
    let error = assert_kind(run(&world.swap()).await, ErrorKind::RollbackFailed);
    assert!(error.to_string().contains("the backup is "), "{error}");
    assert_eq!(world.read("bin/server"), "server 1.1\n");
    // Its own candidate can still be checked.
    let world_of_its_own = World::new();
    leave(&world_of_its_own, "replacing", "server 1.1\n");
    fs::remove_dir_all(world_of_its_own.path("bin/.lockstep-swap/server/backups")).unwrap();
    assert_eq!(
        run(&world_of_its_own.swap()).await.unwrap().outcome,
        Outcome::Swapped
    );
    // And whoever says so goes on with what is in place.
    let leaving = world.swap().with_on_failure(hot_swap::OnFailure::Leave);
    assert_eq!(run(&leaving).await.unwrap().outcome, Outcome::Swapped);
    assert_eq!(world.read("bin/server"), "server 1.2\n");
    assert_eq!(world.backups(), ["server 1.1\n"]);
}
