//! A release that was warmed up before.

use std::fs;

use flash_gpu::{ArtifactCheck, CancellationToken, FlashGpu, Outcome, Rerun, Warmth};
use serde_json::json;

use crate::world::{COUNT, Release, World, exists, two_files, warm_up};

#[tokio::test]
async fn a_second_warm_up_runs_nothing() {
    let world = two_files();
    let first = world.warm_up().await.unwrap();
    let second = world.warm_up().await.unwrap();
    assert_eq!(second.outcome, Outcome::AlreadyWarm);
    assert_eq!(world.runs(), 1);
    assert_eq!(second.key, first.key);
    assert_eq!(second.output, first.output);
    assert_eq!(second.warmed_at, first.warmed_at);
    assert_eq!((second.artifacts.count, second.artifacts.bytes), (2, 13));
    assert_eq!((second.put_back, second.log), (0, None));

    let third = warm_up(&world.flash().with_rerun(Rerun::Always))
        .await
        .unwrap();
    assert_eq!((third.outcome, world.runs()), (Outcome::WarmedUp, 2));
    assert_eq!(world.warm_up().await.unwrap().outcome, Outcome::AlreadyWarm);
}

#[tokio::test]
async fn missing_artifacts_are_put_back() {
    let world = two_files();
    world.warm_up().await.unwrap();
    fs::remove_dir_all(world.released("cache")).unwrap();
    fs::remove_file(world.path("cache/models/b.gguf")).unwrap();
    let report = world.warm_up().await.unwrap();
    assert_eq!((report.outcome, report.put_back), (Outcome::AlreadyWarm, 2));
    assert_eq!(world.runs(), 1);
    assert_eq!(
        world.read("releases/v1.0.0/cache/kernels/a.bin"),
        "kernel\n"
    );
    assert_eq!(world.read("cache/models/b.gguf"), "model\n");
    assert_eq!(world.warm_up().await.unwrap().put_back, 0);
}

/// Leaves its file alone if it is there.
fn careful() -> World {
    let script = format!("{COUNT}; mkdir -p cache; [ -e cache/a.bin ] || echo own > cache/a.bin");
    World::of(&script, &["cache/*.bin"])
}

async fn reason(flash: &FlashGpu) -> String {
    let check = flash.check(&CancellationToken::new()).await.unwrap();
    match check.warmth {
        Warmth::Cold { reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn another_file_with_the_name_of_an_artifact_stays_and_the_script_runs() {
    for how in [ArtifactCheck::Times, ArtifactCheck::Hashes] {
        for content in ["another one", "OWN\n"] {
            let world = careful();
            let flash = world.flash().with_artifact_check(how);
            warm_up(&flash).await.unwrap();
            let path = world.released("cache/a.bin");
            fs::remove_file(&path).unwrap();
            fs::write(&path, content).unwrap();
            assert_eq!(
                reason(&flash).await,
                "cache/a.bin is not what was kept",
                "{content}"
            );
            let report = warm_up(&flash).await.unwrap();
            assert_eq!((report.outcome, world.runs()), (Outcome::WarmedUp, 2));
            // The script is content with it, so it is what is kept.
            assert_eq!((report.artifacts.count, report.put_back), (1, 0));
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            let report = warm_up(&flash).await.unwrap();
            assert_eq!(report.outcome, Outcome::AlreadyWarm);
        }
    }
}

#[tokio::test]
async fn what_is_no_file_is_not_what_was_kept() {
    let world = careful();
    world.warm_up().await.unwrap();
    let path = world.released("cache/a.bin");
    let moved = world.released("cache/moved");
    fs::rename(&path, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &path).unwrap();
    let flash = world.flash();
    assert_eq!(reason(&flash).await, "cache/a.bin is not what was kept");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(reason(&flash).await, "cache/a.bin is not what was kept");
}

#[tokio::test]
async fn a_copy_with_the_same_content_is_as_good() {
    for how in [ArtifactCheck::Times, ArtifactCheck::Hashes] {
        let world = careful();
        let flash = world.flash().with_artifact_check(how);
        warm_up(&flash).await.unwrap();
        let path = world.released("cache/a.bin");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "own\n").unwrap();
        assert_eq!(warm_up(&flash).await.unwrap().outcome, Outcome::AlreadyWarm);
        // What was put back, too.
        fs::remove_file(&path).unwrap();
        assert_eq!(warm_up(&flash).await.unwrap().put_back, 1);
        assert_eq!(warm_up(&flash).await.unwrap().outcome, Outcome::AlreadyWarm);
        assert_eq!(world.runs(), 1);
    }
}

/// By renaming, as careful programs do, so that what is kept for the other key stays whole.
fn replacing(version: &'static str) -> Release {
    let script = format!(
        "{COUNT}; mkdir -p \"$LOCKSTEP_CACHE_DIR\"; cd \"$LOCKSTEP_CACHE_DIR\"
        grep -e driver_version -e tool_version \"$2\" > a.new; mv a.new a.bin"
    );
    Release::new(&script, &["cache/a.bin"]).with_version(version)
}

#[tokio::test]
async fn going_back_runs_the_script_if_it_had_left_something_else_there() {
    let change = |world: &World, what: &str, number: usize| match what {
        "driver" => world.machine.change(|stack| {
            stack.driver_version = Some(["560.35.03", "570"][number].to_owned());
        }),
        _ => replacing(["1.0.0", "1.1.0"][number]).install(&world.root()),
    };
    for what in ["driver", "release"] {
        let world = World::with(&replacing("1.0.0"));
        let first = world.warm_up().await.unwrap();
        let own = world.read("cache/a.bin");
        change(&world, what, 1);
        assert_eq!(world.warm_up().await.unwrap().outcome, Outcome::WarmedUp);
        assert_ne!(world.read("cache/a.bin"), own);
        change(&world, what, 0);
        assert_eq!(
            reason(&world.flash()).await,
            "cache/a.bin is not what was kept"
        );
        let again = world.warm_up().await.unwrap();
        assert_eq!((again.outcome, world.runs()), (Outcome::WarmedUp, 3));
        assert_eq!(again.key, first.key);
        assert_eq!(world.read("cache/a.bin"), own);
    }
}

#[tokio::test]
async fn what_is_in_the_way_of_putting_back_is_a_warning() {
    let world = two_files();
    world.warm_up().await.unwrap();
    fs::remove_dir_all(world.released("cache")).unwrap();
    // Nothing can be put below a file.
    fs::write(world.released("cache"), "in the way").unwrap();
    let report = world.warm_up().await.unwrap();
    assert_eq!((report.outcome, report.put_back), (Outcome::AlreadyWarm, 0));
    assert!(
        report.warnings[0].contains("cannot be put back"),
        "{:?}",
        report.warnings
    );
}

#[tokio::test]
async fn a_kept_artifact_that_was_changed_is_made_anew() {
    for how in [ArtifactCheck::Times, ArtifactCheck::Hashes] {
        let world = two_files();
        let flash = world.flash().with_artifact_check(how);
        let key = warm_up(&flash).await.unwrap().key;
        let kept = world.path(&format!(
            "cache/flash-gpu/{key}/files/root/cache/models/b.gguf"
        ));
        fs::remove_file(&kept).unwrap();
        fs::write(&kept, "MODEL\n").unwrap();
        let reason = reason(&flash).await;
        assert_eq!(reason, "the kept cache/models/b.gguf was changed");
        assert_eq!(warm_up(&flash).await.unwrap().outcome, Outcome::WarmedUp);
        assert_eq!(fs::read_to_string(kept).unwrap(), "model\n");
    }
}

/// The time of the last change is trusted, unless hashes are asked for.
#[tokio::test]
async fn a_change_that_leaves_size_and_time_is_found_by_its_hash() {
    let world = two_files();
    let key = world.warm_up().await.unwrap().key;
    let kept = world.path(&format!(
        "cache/flash-gpu/{key}/files/root/cache/models/b.gguf"
    ));
    let time = fs::metadata(&kept).unwrap().modified().unwrap();
    fs::write(&kept, "MODEL\n").unwrap();
    fs::File::options()
        .write(true)
        .open(&kept)
        .unwrap()
        .set_modified(time)
        .unwrap();
    assert_eq!(world.warm_up().await.unwrap().outcome, Outcome::AlreadyWarm);
    let careful = world.flash().with_artifact_check(ArtifactCheck::Hashes);
    assert_eq!(warm_up(&careful).await.unwrap().outcome, Outcome::WarmedUp);

    // Another time alone is no harm.
    let world = two_files();
    let key = world.warm_up().await.unwrap().key;
    let kept = world.path(&format!(
        "cache/flash-gpu/{key}/files/root/cache/models/b.gguf"
    ));
    let earlier = std::time::SystemTime::UNIX_EPOCH;
    fs::File::options()
        .write(true)
        .open(&kept)
        .unwrap()
        .set_modified(earlier)
        .unwrap();
    assert_eq!(world.warm_up().await.unwrap().outcome, Outcome::AlreadyWarm);
}

#[tokio::test]
async fn the_key_is_of_release_gpu_and_driver() {
    let world = two_files();
    let first = world.warm_up().await.unwrap();
    world
        .machine
        .change(|stack| stack.driver_version = Some("565.57.01".into()));
    let other_driver = world.warm_up().await.unwrap();
    assert_eq!((other_driver.outcome, world.runs()), (Outcome::WarmedUp, 2));
    assert_ne!(other_driver.key, first.key);
    world
        .machine
        .change(|stack| stack.gpus[0].name = "NVIDIA L40S".into());
    let other_gpu = world.warm_up().await.unwrap();
    assert_eq!((other_gpu.outcome, world.runs()), (Outcome::WarmedUp, 3));
    let release = Release::new("mkdir -p cache; echo new > cache/new.bin", &["cache/**"]);
    release.with_version("1.1.0").install(&world.root());
    let other_release = world.warm_up().await.unwrap();
    assert_eq!(other_release.outcome, Outcome::WarmedUp);
    let keys = [
        first.key,
        other_driver.key,
        other_gpu.key,
        other_release.key,
    ];
    let distinct: std::collections::HashSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), 4);
}

#[tokio::test]
async fn a_driver_that_is_not_known_is_a_warning() {
    let world = two_files();
    world.machine.change(|stack| stack.driver_version = None);
    for outcome in [Outcome::WarmedUp, Outcome::AlreadyWarm] {
        let report = world.warm_up().await.unwrap();
        assert_eq!(report.outcome, outcome);
        assert_eq!(
            report.warnings,
            ["the driver's version is not known: a new driver is not noticed"]
        );
    }
}

#[tokio::test]
async fn a_check_changes_nothing() {
    let world = two_files();
    let check = |world: &World| {
        let flash = world.flash();
        async move { flash.check(&CancellationToken::new()).await.unwrap() }
    };
    let before = check(&world).await;
    assert!(before.is_ready(), "{:?}", before.obstacles);
    assert!(matches!(before.warmth, Warmth::Cold { .. }));
    assert!(!exists(world.path("cache")));
    world.warm_up().await.unwrap();
    let image = testkit::Image::read(&world.root());
    let after = check(&world).await;
    assert_eq!(
        after.warmth,
        Warmth::Warm {
            since: "2023-11-14T22:13:20Z".into()
        }
    );
    assert_eq!(after.key, before.key);
    assert_eq!(
        after.python.map(|python| python.version).as_deref(),
        Some("3.12.1")
    );
    assert_eq!(
        testkit::Image::read(&world.root()).differences(&image),
        [""; 0]
    );
    let json = serde_json::to_value(check(&world).await).unwrap();
    assert_eq!(
        json["warmth"],
        json!({"state": "warm", "since": "2023-11-14T22:13:20Z"})
    );
}
