//! Where a candidate comes from.

use std::fs;

use hot_swap::{Candidate, ErrorKind, HotSwap, Outcome};
use manifest_core::{FileEntry, Manifest, ManifestBuilder};

use crate::world::{World, assert_kind, digest, run};

const BINARY: &str = "server 2.0\n";

/// An installation in `tool` whose active release holds `bin/server`.
fn install(world: &World) {
    let url = "https://hq.example/server";
    let entry = FileEntry::new(
        "bin/server".parse().unwrap(),
        digest(BINARY),
        BINARY.len() as u64,
        url,
    );
    let manifest: Manifest =
        ManifestBuilder::new("server".parse().unwrap(), "2.0.0".parse().unwrap())
            .with_entry(entry.with_executable(true))
            .build()
            .unwrap();
    let release = world.path("tool/releases/v2.0.0");
    fs::create_dir_all(release.join("bin")).unwrap();
    fs::write(release.join("manifest.json"), manifest.to_bytes()).unwrap();
    fs::write(world.path("tool/current.txt"), "v2.0.0").unwrap();
    world.write("tool/releases/v2.0.0/bin/server", BINARY);
}

fn swap(world: &World, path: &str) -> HotSwap {
    let candidate = Candidate::release(world.path("tool"), path.parse().unwrap());
    HotSwap::new(world.path("bin/server"), candidate)
}

#[tokio::test]
async fn a_file_of_the_active_release_is_swapped_in() {
    let world = World::new();
    install(&world);
    let report = run(&swap(&world, "bin/server")).await.unwrap();
    assert_eq!(report.outcome, Outcome::Swapped);
    assert_eq!(report.release.as_deref(), Some("2.0.0"));
    assert_eq!(world.read("bin/server"), BINARY);
    // The two are not one file: who writes into one does not change the other.
    fs::write(world.path("bin/server"), "x").unwrap();
    assert_eq!(world.read("tool/releases/v2.0.0/bin/server"), BINARY);
}

#[tokio::test]
async fn a_file_that_is_not_what_the_manifest_says_is_refused() {
    let world = World::new();
    install(&world);
    fs::write(world.path("tool/releases/v2.0.0/bin/server"), "damaged").unwrap();
    let error = assert_kind(run(&swap(&world, "bin/server")).await, ErrorKind::Integrity);
    assert!(
        error.to_string().contains(&digest(BINARY).to_string()),
        "{error}"
    );
    assert_eq!(world.read("bin/server"), "server 1.0\n");
    assert_kind(run(&swap(&world, "bin/other")).await, ErrorKind::NotFound);
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let world = World::new();
    let error = assert_kind(run(&swap(&world, "bin/server")).await, ErrorKind::NotFound);
    assert!(error.to_string().contains("bin/server"), "{error}");
    fs::create_dir(world.path("tool")).unwrap();
    assert_kind(run(&swap(&world, "bin/server")).await, ErrorKind::NotFound);

    let gone = HotSwap::new(world.path("bin/server"), world.path("gone"));
    let error = assert_kind(run(&gone).await, ErrorKind::NotFound);
    assert!(error.to_string().contains("gone"), "{error}");
    let folder = HotSwap::new(world.path("bin/server"), world.path("bin"));
    assert_kind(run(&folder).await, ErrorKind::Policy);
    let nowhere = HotSwap::new(world.path("no/folder/server"), world.path("next"));
    assert_kind(run(&nowhere).await, ErrorKind::NotFound);
    assert_eq!(world.read("bin/server"), "server 1.0\n");
}
