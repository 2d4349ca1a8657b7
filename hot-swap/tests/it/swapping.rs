//! What goes well.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use hot_swap::{CancellationToken, ErrorKind, Event, HotSwap, OnFailure, Outcome, ProbeFn, Step};

use crate::world::{World, assert_kind, digest, names, run, steps};

#[tokio::test(start_paused = true)]
async fn a_binary_is_replaced_and_its_service_restarted() {
    let world = World::new();
    let swap = world
        .swap()
        .with_version("1.1", ["--version"])
        .with_probe(ProbeFn(|_: &std::path::Path| Ok(())))
        .with_clock(|| UNIX_EPOCH + Duration::from_secs(1_795_872_009));
    let report = run(&swap).await.unwrap();
    assert_eq!(report.outcome, Outcome::Swapped);
    assert_eq!(world.read("bin/server"), "server 1.1\n");
    assert_eq!(world.service.running().unwrap(), b"server 1.1\n");
    assert_eq!(world.service.starts(), 1);
    assert_eq!(report.old, Some(digest("server 1.0\n")));
    assert_eq!(report.new, Some(digest("server 1.1\n")));
    assert_eq!(report.version.as_deref(), Some("server 1.1"));
    assert_eq!(report.service.as_deref(), Some("a fake service"));
    assert_eq!(
        steps(&report),
        [
            "stage the candidate",
            "back up",
            "replace",
            "check the hash",
            "check the version",
            "restart",
            "check the service",
            "clean up"
        ]
    );
    let backup = report.backup.unwrap();
    assert_eq!(fs::read_to_string(&backup).unwrap(), "server 1.0\n");
    let name = backup.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(name, format!("20261128T132009Z-{}", digest("server 1.0\n")));
    assert_eq!(world.state(), ["backups", "lock"]);
    assert_eq!(world.read("next"), "server 1.1\n", "the candidate stays");
}

#[tokio::test(start_paused = true)]
async fn what_is_in_place_already_is_left_alone() {
    let world = World::new();
    run(&world.swap()).await.unwrap();
    let inode = fs::metadata(world.path("bin/server")).unwrap().ino();
    let report = run(&world.swap()).await.unwrap();
    assert_eq!(report.outcome, Outcome::Unchanged);
    assert_eq!(
        steps(&report),
        ["stage the candidate", "back up", "clean up"]
    );
    assert_eq!(fs::metadata(world.path("bin/server")).unwrap().ino(), inode);
    assert_eq!(world.service.starts(), 1);
    assert_eq!(world.backups().len(), 1);
    assert_eq!(world.state(), ["backups", "lock"]);
}

#[tokio::test]
async fn without_a_service_nothing_is_restarted() {
    let world = World::new();
    let report = run(&world.bare()).await.unwrap();
    assert_eq!(report.outcome, Outcome::Swapped);
    assert_eq!(report.service, None);
    assert!(report.step(Step::Restart).is_none());
    assert_eq!(world.service.starts(), 0);
    assert_eq!(world.read("bin/server"), "server 1.1\n");
}

#[tokio::test]
async fn a_candidate_takes_over_the_mode_of_what_is_in_place() {
    let world = World::new();
    let mode = |path: &str, mode| {
        fs::set_permissions(world.path(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("bin/server", 0o750);
    mode("next", 0o600);
    run(&world.bare()).await.unwrap();
    let metadata = fs::metadata(world.path("bin/server")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o750);
}

#[tokio::test]
async fn a_first_binary_is_refused_unless_it_may_stay_whatever_it_does() {
    let world = World::new();
    fs::remove_file(world.path("bin/server")).unwrap();
    let error = assert_kind(run(&world.bare()).await, ErrorKind::NoBackup);
    assert!(
        error.to_string().contains("no backup and no way back"),
        "{error}"
    );
    assert_kind(world.bare().plan().await, ErrorKind::NoBackup);
    assert_eq!(names(&world.path("bin")), [".lockstep-swap"]);

    fs::set_permissions(world.path("next"), fs::Permissions::from_mode(0o600)).unwrap();
    let first = world.bare().with_on_failure(OnFailure::Leave);
    let report = run(&first).await.unwrap();
    assert_eq!((report.outcome, report.old), (Outcome::Swapped, None));
    let mode = fs::metadata(world.path("bin/server"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o100, 0o100, "it can be run");
    assert!(world.backups().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_plan_says_what_would_be_done_and_changes_nothing() {
    let world = World::new();
    let swap = world.swap().with_version("1.1", ["--version"]);
    let plan = swap.plan().await.unwrap();
    assert_eq!(plan.old, Some(digest("server 1.0\n")));
    assert_eq!(plan.new, Some(digest("server 1.1\n")));
    assert!(!plan.is_unchanged());
    assert!(plan.to_string().starts_with("would swap "), "{plan}");
    assert_eq!(names(&world.path("bin")), ["server"]);

    // The steps are those that are done.
    let planned: Vec<_> = plan.steps.iter().map(ToString::to_string).collect();
    let report = run(&swap).await.unwrap();
    assert_eq!(planned, steps(&report));

    let plan = swap.plan().await.unwrap();
    assert!(plan.is_unchanged());
    assert!(plan.to_string().starts_with("nothing to do: "), "{plan}");
}

#[tokio::test(start_paused = true)]
async fn an_observer_hears_of_each_step() {
    let world = World::new();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = heard.clone();
    let swap = world.swap().with_observer(move |event: &Event| {
        hearing.lock().unwrap().push(event.to_string());
    });
    run(&swap).await.unwrap();
    let heard = heard.lock().unwrap();
    assert_eq!(heard.first().unwrap(), "stage the candidate ...");
    let old = &digest("server 1.0\n").to_string()[..12];
    assert!(
        heard
            .iter()
            .any(|line| line.starts_with(&format!("back up: {old} ("))),
        "{heard:#?}"
    );
}

/// Says that it was asked, and waits until it may answer.
#[derive(Debug)]
struct Waits(Arc<tokio::sync::Notify>, Arc<tokio::sync::Notify>);
#[async_trait::async_trait]
impl hot_swap::HealthProbe for Waits {
    async fn check(&self, _: &std::path::Path) -> Result<(), hot_swap::Unhealthy> {
        self.0.notify_one();
        self.1.notified().await;
        Ok(())
    }
}

#[tokio::test]
async fn two_at_once_do_not_mix() {
    let world = World::new();
    let (asked, answer) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
    let (asked, answer) = (Arc::new(asked), Arc::new(answer));

    let first = world
        .swap()
        .with_settle_time(Duration::ZERO)
        .with_probe(Waits(asked.clone(), answer.clone()));
    let first = tokio::spawn(async move { first.run(&CancellationToken::new()).await });
    asked.notified().await;
    let error = assert_kind(run(&world.swap()).await, ErrorKind::Busy);
    let process = format!("(process {})", std::process::id());
    assert!(error.to_string().contains(&process), "{error}");
    assert_kind(world.swap().clean(0), ErrorKind::Busy);
    answer.notify_one();
    assert_eq!(first.await.unwrap().unwrap().outcome, Outcome::Swapped);
}

#[tokio::test]
async fn a_link_is_not_replaced_by_what_it_points_to() {
    let world = World::new();
    std::os::unix::fs::symlink("server", world.path("bin/link")).unwrap();
    let swap = HotSwap::new(world.path("bin/link"), world.path("next"));
    let error = assert_kind(run(&swap).await, ErrorKind::Policy);
    assert!(error.to_string().contains("is a link to server"), "{error}");
    let swap = HotSwap::new(world.path("bin"), world.path("next"));
    assert_kind(run(&swap).await, ErrorKind::Policy);
    assert_eq!(world.read("bin/server"), "server 1.0\n");
    // The candidate may be one.
    std::os::unix::fs::symlink(world.path("next"), world.path("latest")).unwrap();
    let swap = HotSwap::new(world.path("bin/server"), world.path("latest"));
    run(&swap).await.unwrap();
    assert!(!world.path("bin/server").is_symlink());
    assert_eq!(world.read("bin/server"), "server 1.1\n");
}

#[tokio::test]
async fn a_link_in_the_place_of_the_state_folder_is_not_followed() {
    let world = World::new();
    fs::create_dir(world.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(world.path("elsewhere"), world.path("bin/.lockstep-swap")).unwrap();
    assert_kind(run(&world.bare()).await, ErrorKind::Policy);
    assert!(names(&world.path("elsewhere")).is_empty());
    assert_eq!(world.read("bin/server"), "server 1.0\n");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_run_is_started_also_when_its_binary_is_right() {
    let world = World::new();
    world.write("next", "server 1.0\n");
    let report = run(&world.swap()).await.unwrap();
    assert_eq!(report.outcome, Outcome::Unchanged);
    assert_eq!(world.service.running().unwrap(), b"server 1.0\n");
    assert!(report.step(Step::CheckService).is_some());
    run(&world.swap()).await.unwrap();
    assert_eq!(world.service.starts(), 1, "it runs");

    let world = World::new();
    world.write("bin/server", "1.0 exits");
    world.write("next", "1.0 exits");
    let error = assert_kind(run(&world.swap()).await, ErrorKind::Runtime);
    assert!(
        error.to_string().contains("the right binary is in place"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_service_may_take_its_time_to_become_healthy() {
    let world = World::new();
    let asked = Arc::new(Mutex::new(0));
    let counting = asked.clone();
    let swap = world.swap().with_probe(ProbeFn(move |_: &std::path::Path| {
        let mut asked = counting.lock().unwrap();
        *asked += 1;
        if *asked > 7 {
            Ok(())
        } else {
            Err(hot_swap::Unhealthy::new("connection refused"))
        }
    }));
    assert_eq!(run(&swap).await.unwrap().outcome, Outcome::Swapped);
    assert_eq!(*asked.lock().unwrap(), 8);
}

#[tokio::test]
async fn what_can_never_work_is_refused_before_anything_is_built() {
    let world = World::new();
    let touch = hot_swap::Build::new("touch", [world.path("built")]);
    let hasty = world
        .swap()
        .with_settle_time(Duration::from_secs(2))
        .with_deadline(Duration::from_secs(1));
    let itself = HotSwap::new(world.path("bin/server"), world.path("bin/../bin/server"));
    for swap in [hasty, itself] {
        let swap = swap.with_build(touch.clone());
        assert_kind(run(&swap).await, ErrorKind::Configuration);
        assert_kind(swap.plan().await, ErrorKind::Configuration);
    }
    let nothing = HotSwap::new(world.path("bin/typo"), world.path("next"));
    assert_kind(run(&nothing.with_build(touch)).await, ErrorKind::NoBackup);
    assert!(!world.path("built").exists());
    world.write("empty", "");
    let empty = HotSwap::new(world.path("bin/server"), world.path("empty"));
    let error = assert_kind(run(&empty).await, ErrorKind::Integrity);
    assert!(error.to_string().ends_with("empty is empty"), "{error}");
    assert_eq!(world.state(), ["backups", "lock"]);
}

#[tokio::test]
async fn what_a_swap_keeps_is_for_nobody_else() {
    let world = World::new();
    run(&world.bare()).await.unwrap();
    let mode = fs::metadata(world.path("bin/.lockstep-swap"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn a_state_folder_on_another_file_system_is_refused() {
    let world = World::new();
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
        return; // there is no other
    };
    if fs::metadata(elsewhere.path()).unwrap().dev()
        == fs::metadata(world.path("bin")).unwrap().dev()
    {
        return;
    }
    let swap = world
        .bare()
        .with_state_folder(elsewhere.path().join("state"));
    let error = assert_kind(run(&swap).await, ErrorKind::Unsupported);
    assert!(
        error.to_string().contains("is on another file system"),
        "{error}"
    );
    assert_eq!(names(&elsewhere.path().join("state")), ["lock"]);
}
