//! A unit, behind programs that answer as systemd's do. `scripts/drive-hot-swap` does the same with the real ones.

use std::fs;
use std::path::{Path, PathBuf};

use hot_swap::{ErrorKind, HotSwap, Outcome, Runtime as _, Scope, ServiceState, SystemdUnit};
use tempfile::TempDir;

use crate::world::{assert_kind, run};

struct World {
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let systemctl = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/systemctl");
        fs::copy(systemctl, world.path("systemctl")).unwrap();
        fs::write(world.path("server"), "1.0\n").unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn unit(&self, name: &str) -> SystemdUnit {
        SystemdUnit::new(name).with_programs(self.path("systemctl"), self.path("systemctl"))
    }

    fn swap(&self, version: &str) -> HotSwap {
        fs::write(self.path("next"), format!("{version}\n")).unwrap();
        HotSwap::new(self.path("server"), self.path("next"))
            .with_runtime(self.unit("web.service"))
            .with_settle_time(std::time::Duration::ZERO)
    }
}

#[tokio::test]
async fn a_unit_is_restarted_with_the_new_binary() {
    let world = World::new();
    let report = run(&world.swap("1.1")).await.unwrap();
    assert_eq!(report.outcome, Outcome::Swapped);
    assert_eq!(
        report.service.as_deref(),
        Some("the systemd unit web.service")
    );
    let calls = fs::read_to_string(world.path("calls")).unwrap();
    assert!(
        calls.contains("--no-pager restart -- web.service\n"),
        "{calls}"
    );
    let state = world.unit("web.service").state().await.unwrap();
    assert_eq!(state, ServiceState::Running("1 51 0".into()));
}

/// A unit that failed too often would refuse to be started with the old binary, too.
#[tokio::test]
async fn g80_a_unit_that_fails_is_rolled_back_also_when_it_failed_too_often() {
    let world = World::new();
    let error = assert_kind(run(&world.swap("1.1 exits")).await, ErrorKind::RolledBack);
    let text = format!("{error:#}");
    assert!(
        text.contains("failed (failed), result exit-code, exit status 1"),
        "{text}"
    );
    assert_eq!(error.report().unwrap().log, ["started 1.1 exits"]);
    assert_eq!(fs::read_to_string(world.path("server")).unwrap(), "1.0\n");
    let state = world.unit("web.service").state().await.unwrap();
    assert!(matches!(state, ServiceState::Running(_)), "{state:?}");
}

#[tokio::test]
async fn a_unit_that_is_not_there_is_named() {
    let world = World::new();
    let error = assert_kind(world.unit("no.service").state().await, ErrorKind::Runtime);
    assert_eq!(error.to_string(), "there is no systemd unit no.service");
    let nobody = SystemdUnit::new("web.service").with_programs("/nonexistent", "/nonexistent");
    let error = assert_kind(
        nobody
            .restart(&world.path("server"), std::time::Duration::from_secs(20))
            .await,
        ErrorKind::Runtime,
    );
    assert!(
        error.to_string().contains("/nonexistent cannot be run"),
        "{error}"
    );
}

#[tokio::test]
async fn units_of_the_user_are_asked_for_as_such() {
    let world = World::new();
    let unit = world.unit("web.service").with_scope(Scope::User);
    unit.restart(&world.path("server"), std::time::Duration::from_secs(20))
        .await
        .unwrap();
    assert_eq!(unit.logs(1).await.unwrap(), ["started 1.0"]);
    let calls = fs::read_to_string(world.path("calls")).unwrap();
    assert!(
        calls
            .lines()
            .all(|call| call.starts_with("--user --no-pager ")),
        "{calls}"
    );
}
