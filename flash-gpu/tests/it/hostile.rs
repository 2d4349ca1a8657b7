//! What was planted, and what a hostile manifest asks for.

use std::fs;
use std::os::unix::fs::symlink;

use flash_gpu::{Artifacts, CancellationToken, ErrorKind, Outcome, Warmth};

use crate::stopping::make_fifo;
use crate::world::{COUNT, Release, World, exists, write};

fn world(patterns: &[&str]) -> World {
    let script = format!("{COUNT}; mkdir -p cache; echo x > cache/a.bin");
    World::of(&script, patterns)
}

#[tokio::test]
async fn a_link_in_place_of_our_folders_is_refused() {
    for planted in [
        "cache",
        "cache/flash-gpu",
        "cache/flash-gpu/.trash",
        "cache/flash-gpu/lock",
    ] {
        let world = world(&["cache/**"]);
        let outside = world.outside().join("outside");
        fs::create_dir(&outside).unwrap();
        let path = world.path(planted);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(&outside, &path).unwrap();
        world.refuses(ErrorKind::Policy).await;
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{planted}");
        assert_eq!(world.runs(), 0);
    }
}

#[tokio::test]
async fn a_fifo_or_file_in_place_of_our_folders_is_refused() {
    let world = world(&["cache/**"]);
    fs::write(world.path("cache"), "a file").unwrap();
    world.refuses(ErrorKind::Policy).await;
    fs::remove_file(world.path("cache")).unwrap();
    fs::create_dir(world.path("cache")).unwrap();
    make_fifo(&world.path("cache/flash-gpu"));
    world.refuses(ErrorKind::Policy).await;
    let check = world.flash().check(&CancellationToken::new()).await;
    let check = check.unwrap();
    assert_eq!(check.obstacles[0].kind, ErrorKind::Policy);
    assert_eq!(check.warmth, Warmth::Unknown);
}

#[tokio::test]
async fn a_link_to_another_disk_is_told_with_what_to_do() {
    for planted in ["cache", "cache/flash-gpu"] {
        let world = world(&["cache/**"]);
        let path = world.path(planted);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(world.outside(), &path).unwrap();
        let expected = format!(
            "{} is a link; links are not followed: mount the other disk there instead",
            path.display()
        );
        let error = world.refuses(ErrorKind::Policy).await;
        assert_eq!(error.to_string(), expected);
        let check = world.flash().check(&CancellationToken::new()).await;
        let check = check.unwrap();
        assert_eq!(check.obstacles.len(), 1);
        assert_eq!(check.obstacles[0].kind, ErrorKind::Policy);
        assert_eq!(check.obstacles[0].message, expected);
        assert_eq!(check.warmth, Warmth::Unknown);
    }
}

#[tokio::test]
async fn a_cache_that_may_not_be_written_is_an_obstacle() {
    use std::os::unix::fs::PermissionsExt as _;
    for locked in ["", "cache", "cache/flash-gpu"] {
        let world = world(&["cache/**"]);
        let path = world.path(locked);
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).unwrap();
        if fs::create_dir(path.join("tried")).is_ok() {
            eprintln!("left out: root may write everywhere");
            return;
        }
        let check = world.flash().check(&CancellationToken::new()).await;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let obstacles = check.unwrap().obstacles;
        assert_eq!(obstacles.len(), 1, "{locked}");
        assert_eq!(obstacles[0].kind, ErrorKind::PermissionDenied);
        assert!(
            obstacles[0].message.contains("cannot be written to"),
            "{obstacles:?}"
        );
    }
}

#[tokio::test]
async fn links_in_our_folder_are_replaced_not_followed() {
    let world = world(&["cache/**"]);
    let outside = world.outside().join("outside");
    write(&outside, "not ours");
    for planted in ["last.log", ".work"] {
        let path = world.path("cache/flash-gpu").join(planted);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(&outside, &path).unwrap();
    }
    world.warm_up().await.unwrap();
    assert_eq!(fs::read_to_string(&outside).unwrap(), "not ours");
    assert!(
        !fs::symlink_metadata(world.path("cache/flash-gpu/last.log"))
            .unwrap()
            .is_symlink()
    );
}

#[tokio::test]
async fn links_are_not_followed_to_artifacts() {
    let world = world(&["cache/**"]);
    let outside = world.outside().join("secret");
    write(&outside.join("key.bin"), "secret");
    fs::create_dir(world.path("cache")).unwrap();
    symlink(&outside, world.path("cache/folder")).unwrap();
    symlink(outside.join("key.bin"), world.path("cache/file.bin")).unwrap();
    make_fifo(&world.path("cache/fifo.bin"));
    let report = world.warm_up().await.unwrap();
    assert_eq!(report.artifacts.count, 1);
    assert_eq!(
        report.warnings,
        ["links are not kept: cache/file.bin, cache/folder"]
    );
    let kept = world.kept();
    assert!(kept.files().all(|(_, file)| file.bytes != b"secret"));

    // A cache may hold nothing else (Hugging Face's does, in `snapshots/`).
    let world = World::of(
        &format!("{COUNT}; mkdir -p cache; ln -s /nowhere cache/a.bin"),
        &["cache/*.bin"],
    );
    let report = world.warm_up().await.unwrap();
    assert_eq!(report.artifacts, Artifacts::default());
    assert_eq!(report.warnings, ["links are not kept: cache/a.bin"]);
    assert_eq!(world.warm_up().await.unwrap().outcome, Outcome::AlreadyWarm);
    assert_eq!(world.runs(), 1);
}

#[tokio::test]
async fn patterns_lead_nowhere() {
    for pattern in ["../**", "/etc/*", "cache/../../**", "C:/x", r"cache\*"] {
        let world = world(&[pattern]);
        let error = world.refuses(ErrorKind::Manifest).await;
        assert!(error.to_string().contains("cache_artifacts[0]"), "{error}");
        assert_eq!(world.runs(), 0);
    }
    // Whatever a pattern can be made to match, it is compared with names below two folders.
    let world = world(&["**", "{.,.}./*", "[.][.]/**"]);
    write(&world.outside().join("secret.bin"), "secret");
    world.write("user_data/private.bin", "private");
    world.write("releases/v1.0.0/user_data/private.bin", "private");
    let report = world.warm_up().await.unwrap();
    assert_eq!((report.artifacts.count, report.artifacts.untouched), (1, 0));
    assert_eq!(
        report.warnings,
        ["nothing matches {.,.}./*, [.][.]/** of cache_artifacts"]
    );
}

/// The record lies where whoever may write to the root can change it.
#[tokio::test]
async fn a_record_that_names_other_places_is_not_taken() {
    let script = format!(
        "{COUNT}; for there in . ../..; do mkdir -p $there/cache; done
        echo x > cache/a.bin; echo x > ../../cache/b.bin"
    );
    let world = World::of(&script, &["cache/**"]);
    let key = world.warm_up().await.unwrap().key;
    let path = format!("cache/flash-gpu/{key}/record.json");
    let record = world.read(&path);
    for (from, to) in [
        ("\"cache/b.bin\"", "\"user_data/b.bin\""),
        ("\"cache/b.bin\"", "\"cache/flash-gpu/b.bin\""),
        ("\"cache/b.bin\"", "\"cache/../../b.bin\""),
        ("\"cache/a.bin\"", "\"src/warm.py\""),
        ("\"format\": 1", "\"format\": 2"),
        (key.as_str(), "0123456789abcdef0123"),
        ("{", "["),
    ] {
        assert!(record.contains(from));
        let runs = world.runs();
        world.write(&path, record.replacen(from, to, 1));
        assert_eq!(
            world.warm_up().await.unwrap().outcome,
            Outcome::WarmedUp,
            "{to}"
        );
        assert_eq!(world.runs(), runs + 1);
        assert!(!exists(world.path("user_data")) && !exists(world.outside().join("b.bin")));
    }
}

#[tokio::test]
async fn folders_without_end_are_left() {
    let script = "mkdir -p cache; echo x > cache/a.bin; cd cache
        for i in $(seq 100); do mkdir d; cd d; done; echo deep > b.bin";
    let world = World::of(script, &["cache/**"]);
    let report = world.warm_up().await.unwrap();
    assert_eq!(report.artifacts.count, 1);
    assert!(
        report.warnings[0].ends_with("is too deep to be looked into"),
        "{:?}",
        report.warnings
    );
}

#[tokio::test]
async fn a_link_in_place_of_what_is_kept_is_not_taken() {
    let world = world(&["cache/**"]);
    let key = world.warm_up().await.unwrap().key;
    let kept = world.path("cache/flash-gpu").join(key.as_str());
    let outside = world.outside().join("outside");
    fs::rename(&kept, &outside).unwrap();
    symlink(&outside, &kept).unwrap();
    let image = testkit::Image::read(&outside);
    assert_eq!(world.warm_up().await.unwrap().outcome, Outcome::WarmedUp);
    assert!(!fs::symlink_metadata(&kept).unwrap().is_symlink());
    assert_eq!(testkit::Image::read(&outside).differences(&image), [""; 0]);
}

#[tokio::test]
async fn of_many_links_a_few_are_named() {
    let script = "mkdir -p cache; for i in $(seq 30); do ln -s /nowhere cache/$i.bin; done; echo x > cache/a.bin";
    let report = World::of(script, &["cache/**"]).warm_up().await.unwrap();
    assert!(
        report.warnings[0].ends_with("and 20 more"),
        "{:?}",
        report.warnings
    );
}

/// A file whose name no text can hold matches nothing, and harms nothing.
#[tokio::test]
async fn names_that_are_no_text_are_left_out() {
    use std::os::unix::ffi::OsStrExt as _;
    let release = Release::new("mkdir -p cache; echo x > cache/a.bin", &["cache/**"]);
    let world = World::with(&release);
    write(
        &world
            .path("cache")
            .join(std::ffi::OsStr::from_bytes(b"\xff.bin")),
        "x",
    );
    assert_eq!(world.warm_up().await.unwrap().artifacts.count, 1);
}
