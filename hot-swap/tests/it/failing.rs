//! FAULTS G: a candidate that does not work, and a way back that is not there.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use durable_fs::{Disk, Effect, Observer, Operation, Verdict};
use hot_swap::{
    CancellationToken, CommandProbe, ErrorKind, HealthProbe, OnFailure, Outcome, ProbeFn, Report,
    Step, Unhealthy,
};

use crate::world::{World, assert_kind, digest, run, steps};

#[track_caller]
fn assert_rolled_back(world: &World, report: &Report) {
    assert_eq!(report.outcome, Outcome::RolledBack);
    assert_eq!(world.read("bin/server"), "server 1.0\n");
    assert_eq!(world.state(), ["backups", "lock"]);
    assert!(world.backups().is_empty(), "it is in place again");
}

#[tokio::test(start_paused = true)]
async fn g80_a_binary_that_exits_crashes_or_cannot_start_is_rolled_back() {
    for (binary, says) in [
        ("1.1 exits", "it does not run: it ended with exit code 1"),
        ("1.1 crashes", "it ended, and was started again by itself"),
        ("1.1 cannot start", "the service cannot be started"),
    ] {
        let world = World::new();
        world.write("next", binary);
        let error = assert_kind(run(&world.swap()).await, ErrorKind::RolledBack);
        assert!(format!("{error:#}").contains(says), "{error:#}");
        let report = error.report().unwrap();
        assert_rolled_back(&world, report);
        assert_eq!(world.service.running().unwrap(), b"server 1.0\n");
        assert_eq!(world.service.starts(), 2);
        assert_eq!(report.log, [format!("start 1 with {binary}")]);
    }
}

#[tokio::test(start_paused = true)]
async fn g80_a_binary_that_hangs_is_rolled_back_at_the_deadline() {
    let world = World::new();
    world.write("next", "1.1 hangs");
    let started = tokio::time::Instant::now();
    let swap = world.swap().with_deadline(Duration::from_secs(7));
    let error = assert_kind(run(&swap).await, ErrorKind::RolledBack);
    assert!(
        format!("{error:#}").contains("it did not come up within 7 s"),
        "{error:#}"
    );
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    assert_rolled_back(&world, error.report().unwrap());
}

#[tokio::test(start_paused = true)]
async fn g80_a_binary_of_another_version_is_never_started() {
    let world = World::new();
    let swap = world.swap().with_version("1.2", ["--version"]);
    let error = assert_kind(run(&swap).await, ErrorKind::RolledBack);
    assert!(
        format!("{error:#}").contains("it is not version 1.2"),
        "{error:#}"
    );
    let report = error.report().unwrap();
    assert_rolled_back(&world, report);
    assert_eq!(world.service.starts(), 0);
    assert_eq!(
        steps(report)[3..],
        [
            "check the hash",
            "check the version (failed)",
            "roll back",
            "restart as before (skipped)"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn g80_a_service_that_does_not_pass_its_probe_is_rolled_back() {
    let world = World::new();
    let swap = world.swap().with_probe(ProbeFn(|_: &Path| {
        Err(Unhealthy::new("500 Internal Server Error"))
    }));
    let error = assert_kind(run(&swap).await, ErrorKind::RolledBack);
    let text = format!("{error:#}");
    assert!(
        text.contains("it does not pass its health probe within 30 s: 500 Internal"),
        "{text}"
    );
    assert_rolled_back(&world, error.report().unwrap());
}

/// Without a service, too.
#[tokio::test]
async fn g80_a_command_says_whether_it_works() {
    let world = World::new();
    let script = "echo \"$LOCKSTEP_TARGET is bad\" >&2; exit 3";
    let swap = world
        .bare()
        .with_deadline(Duration::from_millis(300))
        .with_probe(CommandProbe::new("sh", ["-c", script]));
    let error = assert_kind(run(&swap).await, ErrorKind::RolledBack);
    let text = format!("{error:#}");
    let says = format!("{} is bad", world.path("bin/server").display());
    assert!(
        text.contains("exit status: 3") && text.contains(&says),
        "{text}"
    );
    assert_rolled_back(&world, error.report().unwrap());
    let swap = world.bare().with_probe(CommandProbe::new("true", [""; 0]));
    assert_eq!(run(&swap).await.unwrap().outcome, Outcome::Swapped);
}

/// The probe hangs, but the service has ended: nobody waits for the deadline.
#[tokio::test(start_paused = true)]
async fn g80_a_probe_is_not_waited_for_when_the_service_has_ended() {
    #[derive(Debug)]
    struct Hangs;
    #[async_trait::async_trait]
    impl HealthProbe for Hangs {
        async fn check(&self, _: &Path) -> Result<(), Unhealthy> {
            std::future::pending().await
        }
    }
    let world = World::new();
    world.write("next", "1.1 exits");
    let started = tokio::time::Instant::now();
    let swap = world
        .swap()
        .with_probe(Hangs)
        .with_deadline(Duration::from_mins(10));
    assert_kind(run(&swap).await, ErrorKind::RolledBack);
    assert!(started.elapsed() < Duration::from_secs(5));
}

/// Writes other bytes into the target right after it was replaced.
#[derive(Debug)]
struct Spoils;

impl Observer for Spoils {
    fn before(&self, _: &Effect<'_>) -> Verdict {
        Verdict::Proceed
    }

    fn after(&self, effect: &Effect<'_>) {
        if effect.operation == Operation::Rename && effect.path.ends_with("incoming") {
            fs::write(effect.to.as_ref().unwrap(), "other bytes").unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn g81_a_wrong_hash_after_the_replacement_is_rolled_back() {
    let world = World::new();
    let swap = world.swap().with_disk(Disk::observed(Arc::new(Spoils)));
    let error = assert_kind(run(&swap).await, ErrorKind::RolledBack);
    assert!(
        format!("{error:#}").contains("after it was replaced"),
        "{error:#}"
    );
    assert_rolled_back(&world, error.report().unwrap());
    assert_eq!(world.service.starts(), 0, "it was never started");
}

/// Makes one kind of effect fail on files with a certain name.
#[derive(Debug)]
struct Fails(Operation, &'static str, std::io::ErrorKind);

impl Observer for Fails {
    fn before(&self, effect: &Effect<'_>) -> Verdict {
        let name = |path: &Path| path.to_string_lossy().contains(self.1);
        if effect.operation == self.0
            && (name(&effect.path) || effect.to.as_deref().is_some_and(name))
        {
            return Verdict::Fail(self.2.into());
        }
        Verdict::Proceed
    }

    fn after(&self, _: &Effect<'_>) {}
}

#[tokio::test(start_paused = true)]
async fn g82_without_a_backup_nothing_is_touched() {
    use std::io::ErrorKind as Os;
    for (operation, fails, kind) in [
        (Operation::Rename, Os::Other, ErrorKind::NoBackup),
        (Operation::SyncFile, Os::Other, ErrorKind::NoBackup),
        (Operation::Rename, Os::StorageFull, ErrorKind::NoSpace),
        (
            Operation::Rename,
            Os::PermissionDenied,
            ErrorKind::PermissionDenied,
        ),
    ] {
        let world = World::new();
        let fails = Fails(operation, "saving", fails);
        let swap = world.swap().with_disk(Disk::observed(Arc::new(fails)));
        let error = assert_kind(run(&swap).await, kind);
        assert!(error.to_string().contains("cannot be backed up"), "{error}");
        assert_eq!(error.report().unwrap().outcome, Outcome::NotSwapped);
        assert_eq!(world.read("bin/server"), "server 1.0\n");
        assert_eq!(world.service.starts(), 0);
        assert_eq!(run(&world.swap()).await.unwrap().outcome, Outcome::Swapped);
    }
}

/// Where a file system or the system's settings allow no links, it is copied.
#[tokio::test(start_paused = true)]
async fn g82_where_links_are_not_allowed_the_backup_is_a_copy() {
    let world = World::new();
    let fails = Fails(
        Operation::HardLink,
        "server",
        std::io::ErrorKind::PermissionDenied,
    );
    let disk = Disk::observed(Arc::new(fails));
    run(&world.swap().with_disk(disk.clone())).await.unwrap();
    assert_eq!(world.backups(), ["server 1.0\n"]);
    world.write("next", "1.2 exits");
    assert_kind(
        run(&world.swap().with_disk(disk)).await,
        ErrorKind::RolledBack,
    );
    assert_eq!(world.read("bin/server"), "server 1.1\n");
}

/// The backup goes while the candidate is being checked.
#[tokio::test(start_paused = true)]
async fn g84_if_going_back_fails_the_error_says_so_and_names_the_backup() {
    for damage in ["removed", "damaged"] {
        let world = World::new();
        let folder = world.path("bin/.lockstep-swap/server/backups");
        let spoiling = folder.clone();
        let swap = world.swap().with_probe(ProbeFn(move |_: &Path| {
            let Some(backup) = fs::read_dir(&spoiling).unwrap().next() else {
                return Err(Unhealthy::new("no"));
            };
            let backup = backup.unwrap().path();
            let whole = fs::read(&backup).unwrap();
            fs::remove_file(&backup).unwrap();
            if damage == "damaged" {
                fs::write(backup, &whole[..3]).unwrap();
            }
            Err(Unhealthy::new("no"))
        }));
        let error = assert_kind(run(&swap).await, ErrorKind::RollbackFailed);
        let report = error.report().unwrap();
        assert_eq!(report.outcome, Outcome::RollbackFailed);
        let name = report.backup.clone().unwrap();
        let text = format!("{error:#}");
        assert!(text.contains(name.to_str().unwrap()), "{text}");
        assert!(
            text.contains("it does not pass its health probe within 30 s: no"),
            "{text}"
        );
        assert_eq!(world.read("bin/server"), "server 1.1\n");
        assert_eq!(world.state(), ["backups", "lock", "swap.json"]);

        // Somebody brings the backup back: the next run goes back first.
        fs::write(&name, "server 1.0\n").unwrap();
        world.write("next", "server 1.2\n");
        let report = run(&world.swap()).await.unwrap();
        assert_eq!(report.old, Some(digest("server 1.0\n")));
        assert_eq!(world.read("bin/server"), "server 1.2\n");
    }
}

#[tokio::test(start_paused = true)]
async fn g84_a_service_that_does_not_run_with_the_old_binary_either_is_its_own_error() {
    let world = World::new();
    world.write("bin/server", "1.0 exits");
    world.write("next", "1.1 exits");
    let error = assert_kind(run(&world.swap()).await, ErrorKind::RollbackFailed);
    let text = format!("{error:#}");
    assert!(
        text.contains("what was before is in place again, but the service does not run with it"),
        "{text}"
    );
    assert_eq!(world.read("bin/server"), "1.0 exits");
    assert_eq!(world.backups(), ["1.0 exits"], "it is kept");
}

#[tokio::test(start_paused = true)]
async fn who_wants_it_left_gets_it_left() {
    let world = World::new();
    world.write("next", "1.1 exits");
    let swap = world.swap().with_on_failure(OnFailure::Leave);
    let error = assert_kind(run(&swap).await, ErrorKind::LeftFailing);
    assert_eq!(error.report().unwrap().outcome, Outcome::LeftFailing);
    assert_eq!(world.read("bin/server"), "1.1 exits");
    assert_eq!(world.backups(), ["server 1.0\n"]);
    assert_eq!(world.state(), ["backups", "lock"]);
}

#[derive(Debug)]
struct Cancels(CancellationToken);
#[async_trait::async_trait]
impl HealthProbe for Cancels {
    async fn check(&self, _: &Path) -> Result<(), Unhealthy> {
        self.0.cancel();
        std::future::pending().await
    }
}

#[tokio::test]
async fn who_cancels_before_the_replacement_changes_nothing_and_afterwards_goes_back() {
    let world = World::new();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let error = assert_kind(world.swap().run(&cancel).await, ErrorKind::Cancelled);
    assert!(error.to_string().contains("nothing was changed"), "{error}");
    assert_eq!(world.read("bin/server"), "server 1.0\n");

    let cancel = CancellationToken::new();
    // Also who wants a failing candidate left: nobody knows whether it fails.
    let swap = world
        .swap()
        .with_settle_time(Duration::ZERO)
        .with_on_failure(OnFailure::Leave)
        .with_probe(Cancels(cancel.clone()));
    let error = assert_kind(swap.run(&cancel).await, ErrorKind::Cancelled);
    assert!(error.to_string().contains("is in place again"), "{error}");
    assert_rolled_back(&world, error.report().unwrap());
    assert_eq!(world.service.running().unwrap(), b"server 1.0\n");
    assert!(error.report().unwrap().step(Step::RestartBefore).is_some());
}
