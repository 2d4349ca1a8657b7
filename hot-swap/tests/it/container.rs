//! A container, behind a command line that answers as podman's does. `scripts/drive-hot-swap` does the same with the real one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hot_swap::{
    CancellationToken, Container, ErrorKind, Found, HotSwap, OnFailure, Outcome, Runtime as _, Step,
};
use tempfile::TempDir;

use crate::world::{assert_kind, names, run};

struct World {
    folder: TempDir,
}

fn binary(version: &str) -> String {
    format!("#!/bin/sh\n# {version}\necho 'server {version}'\n")
}

impl World {
    fn new() -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let podman = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/podman");
        fs::copy(podman, world.path("podman")).unwrap();
        world.write("root/app/server", "1.0");
        world.write("next", "1.1");
        world
    }

    fn running(self) -> Self {
        fs::write(self.path("running"), "").unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, version: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, binary(version)).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn in_place(&self) -> String {
        fs::read_to_string(self.path("root/app/server")).unwrap()
    }

    fn container(&self) -> Container {
        Container::new(self.path("podman"), "web")
    }

    fn swap(&self) -> HotSwap {
        let (container, next) = (self.container(), self.path("next"));
        HotSwap::in_container(container, "/app/server", next, self.path("state"))
            .with_settle_time(Duration::ZERO)
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.path("calls")).unwrap()
    }
}

#[tokio::test]
async fn a_binary_in_a_running_container_is_replaced_by_one_rename() {
    let world = World::new().running();
    let swap = world.swap().with_version("1.1", ["--version"]);
    let report = run(&swap).await.unwrap();
    assert_eq!(report.outcome, Outcome::Swapped);
    assert_eq!(report.service.as_deref(), Some("the container web"));
    assert_eq!(world.in_place(), binary("1.1"));
    assert_eq!(report.version.as_deref(), Some("server 1.1"));
    assert_eq!(names(&world.path("root/app")), ["server"]);
    assert!(
        world
            .calls()
            .contains("exec --user=0 web mv -f /app/.lockstep-server-")
    );
    // The backup is on this machine.
    let backup = report.backup.unwrap();
    assert!(backup.starts_with(world.path("state")));
    assert_eq!(fs::read_to_string(backup).unwrap(), binary("1.0"));
    assert_eq!(names(&world.path("state")), ["backups", "lock"]);
    assert_eq!(run(&swap).await.unwrap().outcome, Outcome::Unchanged);
}

/// The new binary ends, and with it the container: nothing can be run in there any more.
#[tokio::test]
async fn g80_a_container_that_ends_is_brought_back() {
    let world = World::new().running();
    world.write("next", "1.1 exits");
    let error = assert_kind(run(&world.swap()).await, ErrorKind::RolledBack);
    assert!(
        format!("{error:#}").contains("exited, exit code 1"),
        "{error:#}"
    );
    assert_eq!(error.report().unwrap().log, ["starting # 1.1 exits"]);
    assert_eq!(world.in_place(), binary("1.0"));
    assert!(world.path("running").exists());
    assert_eq!(
        names(&world.path("root/app")),
        ["server"],
        "the link is gone"
    );
    assert!(world.calls().contains("cp - web:/app"));
}

#[tokio::test]
async fn a_container_that_does_not_run_is_asked_for_the_version_once_it_does() {
    let world = World::new();
    let swap = world.swap().with_version("1.1", ["--version"]);
    let report = run(&swap).await.unwrap();
    assert_eq!(report.version.as_deref(), Some("server 1.1"));
    let steps: Vec<_> = report.steps.iter().map(|report| report.step).collect();
    let asked = steps
        .iter()
        .filter(|step| **step == Step::CheckVersion)
        .count();
    assert_eq!(asked, 2, "{steps:?}");
    assert_eq!(world.in_place(), binary("1.1"));
}

#[tokio::test]
async fn a_missing_container_is_created_from_its_image() {
    let world = World::new();
    fs::remove_dir_all(world.path("root")).unwrap();
    world.write("image/server", "1.0");
    let error = assert_kind(run(&world.swap()).await, ErrorKind::NotFound);
    assert_eq!(error.to_string(), "there is no container web");
    let container = world
        .container()
        .created_from("registry.example/web:1")
        .with_create_arguments(["--publish=8080:8080"])
        .with_command(["/app/server", "serve"]);
    let swap = HotSwap::in_container(
        container,
        "/app/server",
        world.path("next"),
        world.path("state"),
    )
    .with_settle_time(Duration::ZERO);
    let report = run(&swap).await.unwrap();
    assert_eq!(report.outcome, Outcome::Swapped);
    let created = fs::read_to_string(world.path("created")).unwrap();
    assert_eq!(
        created.trim(),
        "create --name web --publish=8080:8080 registry.example/web:1 /app/server serve"
    );
    assert_eq!(world.in_place(), binary("1.1"));
}

#[tokio::test]
async fn without_mv_a_running_container_is_refused_and_nothing_is_changed() {
    let world = World::new().running();
    fs::write(world.path("no-mv"), "").unwrap();
    let error = assert_kind(run(&world.swap()).await, ErrorKind::Unsupported);
    assert!(error.to_string().contains("has no `mv`"), "{error}");
    assert!(error.to_string().contains("stop it first"), "{error}");
    assert_eq!(world.in_place(), binary("1.0"));
    fs::remove_file(world.path("running")).unwrap();
    assert_eq!(run(&world.swap()).await.unwrap().outcome, Outcome::Swapped);
}

#[tokio::test]
async fn what_is_no_file_or_no_path_inside_is_refused() {
    let world = World::new().running();
    let swap = |target: &str| {
        let (container, next) = (world.container(), world.path("next"));
        HotSwap::in_container(container, target, next, world.path("state"))
    };
    assert_kind(run(&swap("app/server")).await, ErrorKind::Configuration);
    let error = assert_kind(run(&swap("/app/other")).await, ErrorKind::NoBackup);
    assert!(error.to_string().contains("no way back"), "{error}");
    std::os::unix::fs::symlink("server", world.path("root/app/link")).unwrap();
    assert_kind(run(&swap("/app/link")).await, ErrorKind::Policy);
    let first = swap("/app/other").with_on_failure(OnFailure::Leave);
    assert_eq!(run(&first).await.unwrap().old, None);
    assert_eq!(names(&world.path("state")), ["backups", "lock"]);
}

#[tokio::test]
async fn an_engine_that_cannot_be_run_is_named() {
    let container = Container::new("/nonexistent/podman", "web");
    let error = assert_kind(container.state().await, ErrorKind::Runtime);
    assert!(
        format!("{error:#}").contains("/nonexistent/podman cannot be run"),
        "{error:#}"
    );
    let world = World::new();
    let other = Container::new(world.path("podman"), "other");
    let error = assert_kind(other.logs(3).await, ErrorKind::Runtime);
    assert!(error.to_string().contains("no such container"), "{error}");
}

/// Whether the engine goes on with what it was told, nobody here knows.
#[tokio::test]
async fn who_cancels_while_the_engine_replaces_leaves_it_to_the_next_run() {
    let world = World::new().running();
    fs::write(world.path("hangs"), "").unwrap();
    let cancel = CancellationToken::new();
    let stop = async {
        while !world.path("moving").exists() {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    let swap = world.swap();
    let (done, ()) = tokio::join!(swap.run(&cancel), stop);
    assert_kind(done, ErrorKind::Cancelled);
    assert_eq!(
        names(&world.path("state")),
        ["backups", "incoming", "lock", "swap.json"]
    );
    assert_eq!(world.in_place(), binary("1.0"));
    fs::remove_file(world.path("hangs")).unwrap();
    let report = run(&swap).await.unwrap();
    assert_eq!(report.found, Some(Found::NotReplaced));
    assert_eq!(report.outcome, Outcome::Swapped);
    assert_eq!(names(&world.path("state")), ["backups", "lock"]);
}
