//! What an update fetches, reuses, deletes and says.

use std::fs;

use manifest_core::ReleaseVersion;
use updater::{CancellationToken, ErrorKind, LinkPolicy};

use crate::support::{Heard, Release, World, apply, noise, replace};

fn first() -> Release {
    Release::new("1.0.0")
        .file("main.py", "print('one')")
        .program("bin/run.sh", "#!/bin/sh\nexec python main.py")
        .file("models/unet.safetensors", noise(1, 300_000))
}

#[tokio::test]
async fn a_first_install_fetches_everything() {
    let (world, release) = (World::new(), first());
    let report = world.install(&release).await;

    assert_eq!(report.to_string(), "3 downloaded / 3 verified / 0 deleted");
    assert_eq!(report.from_version, None);
    assert_eq!(report.to_version.as_str(), "1.0.0");
    assert!(report.matches_required());
    assert_eq!(report.manifest_hash, release.manifest().manifest_hash());
    assert_eq!(report.bytes_downloaded, release.bytes());
    assert_eq!((report.reused, report.bytes_saved), (0, 0));
    assert_eq!(world.requests(), 3);
    world.assert_active(&release, &[]);
    world.assert_tidy();
}

#[tokio::test]
async fn nothing_changed_means_no_download_and_no_request() {
    let release = first();
    let world = World::with(&release).await;
    let before = fs::read(world.path("current.txt")).unwrap();
    let report = world.install(&release).await;

    assert_eq!(report.to_string(), "0 downloaded / 3 verified / 0 deleted");
    assert_eq!((report.reused, report.bytes_downloaded), (3, 0));
    assert_eq!(report.bytes_saved, release.bytes());
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    assert_eq!(world.requests(), 0);
    assert_eq!(fs::read(world.path("current.txt")).unwrap(), before);
    world.assert_active(&release, &[]);
}

#[tokio::test]
async fn a_new_release_with_the_same_files_needs_no_request() {
    let world = World::with(&first()).await;
    let next = first().next("1.0.1");
    let report = world.install(&next).await;
    assert_eq!(report.to_string(), "0 downloaded / 3 verified / 0 deleted");
    assert_eq!(report.reused, 3);
    assert_eq!(world.requests(), 0);
    world.assert_active(&next, &[]);
}

#[tokio::test]
async fn one_changed_file_is_exactly_one_download() {
    let world = World::with(&first()).await;
    let next = first().next("1.1.0").file("main.py", "print('two!')");
    let report = world.install(&next).await;

    assert_eq!(report.to_string(), "1 downloaded / 3 verified / 0 deleted");
    assert_eq!(report.reused, 2);
    assert_eq!(report.bytes_downloaded, 13);
    assert_eq!(report.bytes_saved, next.bytes() - 13);
    assert_eq!((world.requests(), world.memory.bytes_served()), (1, 13));
    assert_eq!(
        report.from_version.as_ref().map(ReleaseVersion::as_str),
        Some("1.0.0")
    );
    world.assert_active(&next, &[]);
    world.assert_installed(&first(), &[]);
    world.assert_tidy();
}

#[tokio::test]
async fn one_removed_file_is_one_deletion() {
    let world = World::with(&first()).await;
    let next = first().next("1.1.0").without("bin/run.sh");
    let report = world.install(&next).await;
    assert_eq!(report.to_string(), "0 downloaded / 2 verified / 1 deleted");
    assert_eq!(world.requests(), 0);
    world.assert_active(&next, &[]);
}

#[tokio::test]
async fn a_hash_mismatch_aborts_and_activates_nothing() {
    let world = World::with(&first()).await;
    let next = first()
        .next("1.1.0")
        .file("main.py", "print('two!')")
        .file("more.py", "fine");
    world.serve(&next);
    world.memory.insert(next.url("main.py"), "print('evil')");

    let error = apply(&world.updater(), &next).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error:?}");
    assert!(error.to_string().contains("main.py"), "{error}");
    world.assert_active(&first(), &[]);
    assert!(!world.installed(&next, "").exists());

    // What was refused is not kept, and what was right is.
    world.serve(&next);
    let report = apply(&world.updater(), &next).await.unwrap();
    assert_eq!(report.bytes_downloaded + report.bytes_resumed, 17);
    assert_eq!(world.memory.offsets(&next.url("main.py")), [0, 0]);
    world.assert_active(&next, &[]);
    world.assert_tidy();
}

#[tokio::test]
async fn a_moved_file_is_reused() {
    let world = World::with(&first()).await;
    let model = first().content("models/unet.safetensors").to_vec();
    let next = first()
        .next("1.1.0")
        .without("models/unet.safetensors")
        .file("weights/unet-v1.safetensors", &model);
    let report = world.install(&next).await;
    assert_eq!(report.to_string(), "0 downloaded / 3 verified / 1 deleted");
    assert_eq!(report.reused, 3);
    assert_eq!(world.requests(), 0);
    world.assert_active(&next, &[]);
}

#[tokio::test]
async fn equal_content_at_several_paths_is_fetched_once() {
    let world = World::new();
    let model = noise(5, 100_000);
    let release = Release::new("1.0.0")
        .file("a/model.bin", &model)
        .file("b/model.bin", &model)
        .program("c/model.bin", &model)
        .file("empty-1", "")
        .file("empty-2", "");
    let report = world.install(&release).await;

    // An empty file needs no source.
    assert_eq!(report.to_string(), "1 downloaded / 5 verified / 0 deleted");
    assert_eq!(report.bytes_downloaded, 100_000);
    assert_eq!(report.bytes_saved, 200_000);
    assert_eq!(world.requests(), 1, "nobody is asked for nothing");
    world.assert_active(&release, &[]);

    let next = release.next("1.1.0").file("d/model.bin", &model);
    let report = world.install(&next).await;
    assert_eq!((report.downloaded, report.reused), (0, 6));
    assert_eq!(world.requests(), 1);
    world.assert_active(&next, &[]);
}

#[tokio::test]
async fn the_figures_of_a_report_add_up() {
    let old = Release::new("1.0.0")
        .file("same.bin", noise(1, 1000))
        .file("moves.bin", noise(2, 2000))
        .file("changes.bin", noise(3, 3000))
        .file("goes.bin", noise(4, 4000));
    let world = World::with(&old).await;
    let moved = old.content("moves.bin").to_vec();
    let next = old
        .next("2.0.0")
        .without("moves.bin")
        .without("goes.bin")
        .file("moved.bin", moved)
        .file("changes.bin", noise(5, 3500))
        .file("new.bin", noise(6, 500))
        .file("new-too.bin", noise(6, 500));
    let report = world.install(&next).await;

    assert_eq!((report.downloaded, report.reused), (2, 2));
    assert_eq!((report.verified, report.deleted), (5, 2));
    assert_eq!(report.bytes_downloaded, 4000);
    assert_eq!(report.bytes_total, next.bytes());
    assert_eq!(
        report.bytes_saved + report.bytes_downloaded,
        report.bytes_total
    );
    assert_eq!((report.carried, report.pending_deletions), (0, 0));
    assert_eq!(world.memory.bytes_served(), 4000);
    world.assert_active(&next, &[]);
}

#[tokio::test]
async fn releases_beyond_the_ones_to_keep_are_deleted() {
    let world = World::with(&first()).await;
    world.install(&first().next("1.1.0")).await;
    let report = world.install(&first().next("1.2.0")).await;
    let removed: Vec<_> = report
        .removed_releases
        .iter()
        .map(ReleaseVersion::as_str)
        .collect();
    assert_eq!(removed, ["1.0.0"]);
    assert!(!world.path("releases/v1.0.0").exists());
    assert!(world.path("releases/v1.1.0").exists());

    let updater = world.builder().with_keep_previous(0).build().unwrap();
    apply(&updater, &first().next("1.3.0")).await.unwrap();
    assert!(!world.path("releases/v1.1.0").exists());
    assert!(!world.path("releases/v1.2.0").exists());
    world.assert_tidy();
}

#[tokio::test]
async fn a_damaged_installed_file_is_fetched_instead_of_reused() {
    let world = World::with(&first()).await;
    let mut model = first().content("models/unet.safetensors").to_vec();
    model[7] ^= 1;
    replace(&world.installed(&first(), "models/unet.safetensors"), model);
    fs::remove_file(world.installed(&first(), "bin/run.sh")).unwrap();

    let heard = Heard::default();
    let next = first().next("1.1.0");
    world.serve(&next);
    let updater = world
        .builder()
        .with_observer(heard.listener())
        .build()
        .unwrap();
    let report = apply(&updater, &next).await.unwrap();

    assert_eq!((report.downloaded, report.reused), (2, 1));
    assert_eq!(report.verified, 3);
    let fetched = next.bytes() - next.content("main.py").len() as u64;
    assert_eq!(report.bytes_downloaded, fetched);
    assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
    assert_eq!(heard.warnings(), report.warnings);
    world.assert_active(&next, &[]);
}

#[tokio::test]
async fn installing_the_active_release_again_mends_it() {
    let world = World::with(&first()).await;
    replace(&world.installed(&first(), "main.py"), "print('own')");
    fs::remove_file(world.installed(&first(), "models/unet.safetensors")).unwrap();
    let report = world.install(&first()).await;
    assert_eq!(report.to_string(), "2 downloaded / 3 verified / 0 deleted");
    assert_eq!((report.reused, report.warnings.len()), (1, 1));
    assert_eq!(world.requests(), 2);
    world.assert_active(&first(), &[]);
    world.assert_tidy();
}

#[tokio::test]
async fn a_damaged_manifest_is_mended_by_installing_the_release_again() {
    let world = World::with(&first()).await;
    replace(&world.installed(&first(), "manifest.json"), "{}");
    fs::write(world.installed(&first(), "notes.txt"), "mine").unwrap();
    let error = world
        .updater()
        .repair(&CancellationToken::new())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Manifest, "{error:?}");

    world.install(&first()).await;
    world.assert_active(&first(), &[("notes.txt", "mine")]);
    world.assert_tidy();
}

#[tokio::test]
async fn a_file_becomes_a_folder_and_a_file_again() {
    let file = Release::new("1.0.0")
        .file("data", "a file")
        .file("x/y", "deep");
    let world = World::with(&file).await;
    let folder = Release::new("1.1.0")
        .file("data/part", "a folder")
        .file("x", "flat");
    world.install(&folder).await;
    world.assert_active(&folder, &[]);
    let again = file.next("1.2.0");
    let report = world.install(&again).await;
    assert_eq!((report.downloaded, report.deleted), (2, 2));
    world.assert_active(&again, &[]);
}

#[tokio::test]
async fn a_rename_that_changes_case_only_and_names_that_need_encoding() {
    let release = Release::new("1.0.0")
        .file("Model.bin", "weights")
        .file("ä b/100%#.txt", "odd");
    let world = World::with(&release).await;
    let next = release
        .next("1.1.0")
        .without("Model.bin")
        .file("model.bin", "weights")
        .file("ä b/100%#.txt", "odder");
    let report = world.install(&next).await;
    assert_eq!((report.downloaded, report.reused), (1, 1));
    world.assert_active(&next, &[]);
}

#[cfg(unix)]
#[tokio::test]
async fn unchanged_files_share_their_bytes_with_the_release_before() {
    use std::os::unix::fs::MetadataExt as _;
    let world = World::with(&first()).await;
    let next = first()
        .next("1.1.0")
        .program("main.py", "print('one')")
        .file("new.py", "new");
    world.install(&next).await;
    let inode =
        |release: &Release, path: &str| fs::metadata(world.installed(release, path)).unwrap().ino();
    for path in ["bin/run.sh", "models/unet.safetensors"] {
        assert_eq!(inode(&first(), path), inode(&next, path), "{path}");
    }
    // The executable bit belongs to all names of a file.
    assert_ne!(inode(&first(), "main.py"), inode(&next, "main.py"));
    world.assert_installed(&first(), &[]);
    world.assert_active(&next, &[]);

    let independent = next.next("1.2.0");
    let updater = world
        .builder()
        .with_link_policy(LinkPolicy::Independent)
        .build()
        .unwrap();
    apply(&updater, &independent).await.unwrap();
    assert_ne!(inode(&next, "new.py"), inode(&independent, "new.py"));
    world.assert_active(&independent, &[]);
}

#[tokio::test]
async fn nothing_is_hashed_twice() {
    let world = World::with(&first()).await;
    let next = first().next("1.1.0").file("main.py", "print('two!')");
    world.serve(&next);
    let heard = Heard::default();
    let updater = world
        .builder()
        .with_observer(heard.listener())
        .build()
        .unwrap();
    apply(&updater, &next).await.unwrap();
    let reused = next.bytes() - next.content("main.py").len() as u64;
    assert_eq!(heard.bytes_verified(), reused);

    let heard = Heard::default();
    let updater = world
        .builder()
        .with_observer(heard.listener())
        .build()
        .unwrap();
    apply(&updater, &next).await.unwrap();
    assert_eq!(heard.bytes_verified(), next.bytes());
}
