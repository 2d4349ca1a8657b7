//! Links and devices where Lockstep's own files belong.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use manifest_core::Sha256Digest;
use updater::{CancellationToken, ErrorKind, Problem};

use crate::support::{Release, World, apply, noise, tree, write};

fn release() -> Release {
    Release::new("1.0.0")
        .file("main.py", "one")
        .program("model.bin", noise(1, 10_000))
}

fn fifo(path: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, path, fifo, mode, 0).unwrap();
}

#[tokio::test]
async fn d54_links_in_the_place_of_our_folders_and_files_are_refused() {
    for place in [
        "releases",
        "releases/.staging",
        "releases/.staging/partials",
        "releases/.trash",
        "releases/v1.0.0",
        ".lockstep",
        ".lockstep/lock",
        "current.txt",
    ] {
        let world = World::new();
        world.serve(&release());
        let outside = world.outside();
        write(&outside.join("victim"), "untouched");
        let planted = world.path(place);
        fs::create_dir_all(planted.parent().unwrap()).unwrap();
        let is_file = [".lockstep/lock", "current.txt"].contains(&place);
        let target = if is_file {
            outside.join("victim")
        } else {
            outside.clone()
        };
        symlink(target, &planted).unwrap();

        let before = tree(&outside);
        let result = apply(&world.updater(), &release()).await;
        assert!(
            tree(&outside) == before,
            "{place}: something outside changed"
        );
        match result {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Policy, "{place}: {error:?}"),
            // A link in a release's place is put aside like anything else that is not ours.
            Ok(_) if place == "releases/v1.0.0" => world.assert_active(&release(), &[]),
            Ok(_) => panic!("{place} was followed"),
        }
    }
}

#[tokio::test]
async fn d54_fifos_in_the_place_of_our_files_do_not_hang() {
    for place in ["current.txt", ".lockstep/lock", ".lockstep/history.jsonl"] {
        let world = World::with(&release()).await;
        let _ = fs::remove_file(world.path(place));
        fifo(&world.path(place));
        let next = release().next("1.1.0");
        let error = apply(&world.updater(), &next).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Policy, "{place}: {error:?}");
    }
    let world = World::with(&release()).await;
    let path = world.installed(&release(), "main.py");
    fs::remove_file(&path).unwrap();
    fifo(&path);
    let cancel = CancellationToken::new();
    let found = world.updater().verify(&cancel).await.unwrap().findings;
    assert_eq!(found[0].problem, Problem::NotAFile);
    world.serve(&release());
    world.updater().repair(&cancel).await.unwrap();
    world.assert_active(&release(), &[]);
}

/// Puts a second name of an outside file where the downloader keeps its own.
async fn with_planted(ending: &str, content: &[u8]) {
    let world = World::new();
    world.serve(&release());
    let digest = Sha256Digest::of(release().content("model.bin"));
    let victim = world.outside().join("victim");
    write(&victim, content);
    let planted = world.path(&format!("releases/.staging/partials/{digest}.{ending}"));
    fs::create_dir_all(planted.parent().unwrap()).unwrap();
    fs::hard_link(&victim, &planted).unwrap();
    let before = fs::metadata(&victim).unwrap();

    apply(&world.updater(), &release()).await.unwrap();
    world.assert_active(&release(), &[]);
    assert!(
        fs::read(&victim).unwrap() == content,
        "{ending}: the content changed"
    );
    let after = fs::metadata(&victim).unwrap();
    assert_eq!(after.mode(), before.mode(), "{ending}: the mode changed");
    let installed = fs::metadata(world.installed(&release(), "model.bin")).unwrap();
    assert_ne!(installed.ino(), after.ino(), "{ending}: it was adopted");
}

#[tokio::test]
async fn d54_a_second_name_of_an_outside_file_is_not_a_partial_file() {
    with_planted("part", &noise(1, 10_000)[..4000]).await;
    with_planted("json", b"{}").await;
}

#[tokio::test]
async fn d54_a_second_name_of_an_outside_file_is_not_a_finished_file() {
    with_planted("done", &noise(1, 10_000)).await;
}

#[tokio::test]
async fn d54_links_planted_among_the_partial_files_are_removed_not_followed() {
    for ending in ["part", "done", "json", "json.new"] {
        let world = World::new();
        world.serve(&release());
        let digest = Sha256Digest::of(release().content("model.bin"));
        let victim = world.outside().join("victim");
        write(&victim, "untouched");
        let planted = world.path(&format!("releases/.staging/partials/{digest}.{ending}"));
        fs::create_dir_all(planted.parent().unwrap()).unwrap();
        symlink(&victim, &planted).unwrap();
        apply(&world.updater(), &release()).await.unwrap();
        world.assert_active(&release(), &[]);
        assert_eq!(fs::read(&victim).unwrap(), b"untouched", "{ending}");
    }
}

#[tokio::test]
async fn d55_a_partial_file_longer_than_its_size_is_fetched_anew() {
    let world = World::new();
    world.serve(&release());
    let digest = Sha256Digest::of(release().content("model.bin"));
    let partial = world.path(&format!("releases/.staging/partials/{digest}.part"));
    write(&partial, noise(1, 10_001));
    let report = apply(&world.updater(), &release()).await.unwrap();
    assert_eq!(report.bytes_resumed, 0);
    world.assert_active(&release(), &[]);
    world.assert_tidy();
}

#[tokio::test]
async fn d54_what_is_planted_in_a_staged_release_is_not_part_of_it() {
    let world = World::new();
    world.serve(&release());
    let hash = release().manifest().manifest_hash().to_string();
    let staged = world.path(&format!("releases/.staging/v1.0.0-{}", &hash[..16]));
    let victim = world.outside().join("victim");
    write(&victim, "one");
    fs::create_dir_all(staged.join("deep")).unwrap();
    symlink(&victim, staged.join("main.py")).unwrap();
    symlink(world.outside(), staged.join("deep/link")).unwrap();
    fifo(&staged.join("pipe"));
    write(&staged.join("manifest.json"), "{}");
    write(&staged.join("evil.py"), "evil");
    apply(&world.updater(), &release()).await.unwrap();
    world.assert_active(&release(), &[]);
    assert_eq!(fs::read(&victim).unwrap(), b"one");
    world.assert_tidy();
}
