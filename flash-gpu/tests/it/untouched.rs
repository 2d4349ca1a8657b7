//! Files that match and that the script did not make.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use durable_fs::{Disk, Effect, Observer, Recorder, Verdict};
use flash_gpu::{ErrorKind, Outcome, Rerun};

use crate::world::{COUNT, World, refuses, warm_up};

/// Makes a file of its own, unless it is there.
fn world() -> World {
    let script = format!("{COUNT}; mkdir -p cache; [ -e cache/own.bin ] || echo x > cache/own.bin");
    World::of(&script, &["cache/**/*.bin"])
}

#[tokio::test]
async fn what_was_there_before_is_counted_and_left_alone() {
    let world = world();
    let users = ["cache/users.bin", "releases/v1.0.0/cache/deep/users.bin"];
    for path in users {
        world.write(path, "the user's");
    }
    let recorder = Arc::new(Recorder::new());
    let flash = world.flash().with_disk(Disk::observed(recorder.clone()));
    let report = warm_up(&flash).await.unwrap();
    let artifacts = report.artifacts;
    assert_eq!((artifacts.count, artifacts.untouched), (1, 2));
    assert_eq!(report.warnings, [""; 0]);
    assert!(
        world
            .kept()
            .paths()
            .iter()
            .all(|path| !path.contains("users"))
    );
    let of_users = |path: &Path| path.ends_with("users.bin");
    for (operation, path, to) in recorder.effects() {
        let is_left_alone = !of_users(&path) && !to.is_some_and(|to| of_users(&to));
        assert!(is_left_alone, "{operation} {}", path.display());
    }
    // Nor does a release become cold by them.
    for path in users {
        fs::remove_file(world.path(path)).unwrap();
    }
    assert_eq!(world.warm_up().await.unwrap().outcome, Outcome::AlreadyWarm);
}

#[tokio::test]
async fn a_pattern_that_matches_what_was_there_before_is_content() {
    let world = World::of("", &["cache/*.bin"]);
    refuses(world.flash(), ErrorKind::NoArtifacts).await;
    world.write("cache/users.bin", "the user's");
    let report = world.warm_up().await.unwrap();
    assert_eq!((report.artifacts.count, report.artifacts.untouched), (0, 1));
    assert_eq!(report.warnings, [""; 0]);
    assert_eq!(world.warm_up().await.unwrap().outcome, Outcome::AlreadyWarm);
}

#[tokio::test]
async fn what_the_script_changes_is_kept() {
    let script = "cd \"$LOCKSTEP_CACHE_DIR\"; echo more >> appended.bin
        echo same > new; touch -r same.bin new; mv new same.bin";
    let world = World::of(script, &["cache/*.bin"]);
    for name in ["appended", "same", "users"] {
        world.write(&format!("cache/{name}.bin"), "same\n");
    }
    let artifacts = world.warm_up().await.unwrap().artifacts;
    assert_eq!((artifacts.count, artifacts.untouched), (2, 1));
}

#[tokio::test]
async fn a_rerun_does_not_lose_what_the_script_leaves_alone_now() {
    let world = world();
    let again = || world.flash().with_rerun(Rerun::Always);
    for run in 1..4 {
        let report = warm_up(&again()).await.unwrap();
        assert_eq!((report.outcome, world.runs()), (Outcome::WarmedUp, run));
        assert_eq!((report.artifacts.count, report.artifacts.untouched), (1, 0));
    }
    fs::remove_file(world.released("cache/own.bin")).unwrap();
    assert_eq!(world.warm_up().await.unwrap().put_back, 1);
}

/// A disk on which some files may not be opened.
#[derive(Debug)]
struct Forbidding(&'static str);

impl Observer for Forbidding {
    fn before(&self, _: &Effect<'_>) -> Verdict {
        Verdict::Proceed
    }

    fn after(&self, _: &Effect<'_>) {}

    fn before_open(&self, path: &Path) -> Verdict {
        if path.ends_with(self.0) {
            return Verdict::Fail(io::ErrorKind::PermissionDenied.into());
        }
        Verdict::Proceed
    }
}

#[tokio::test]
async fn what_may_not_be_read_is_a_warning() {
    let script = "mkdir -p cache; echo x > cache/a.bin; echo x > cache/secret.bin";
    let world = World::of(script, &["cache/*.bin"]);
    let disk = Disk::observed(Arc::new(Forbidding("secret.bin")));
    let report = warm_up(&world.flash().with_disk(disk)).await.unwrap();
    assert_eq!(report.artifacts.count, 1);
    assert_eq!(
        report.warnings,
        ["may not be read, and is not kept: cache/secret.bin"]
    );
}
