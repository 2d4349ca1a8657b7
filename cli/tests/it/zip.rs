//! `update --zip`: a release ZIP alone, and beside a manifest.

use std::fs;

use testkit::FileServer;

use crate::world::{MODEL, Run, World};

/// Both versions as ZIPs of the packer's, in `dist`.
fn packed() -> World {
    let world = World::new();
    for version in ["v1", "v2"] {
        world.run(&["pack", version, "--out", "dist"]).exits(0);
    }
    world
}

const FIRST: &str = "dist/tool_sketcher_1.0.0.zip";
const SECOND: &str = "dist/tool_sketcher_1.1.0.zip";

fn update(world: &World, arguments: &[&str]) -> Run {
    world.run(&[&["update", "--root", "root"], arguments].concat())
}

#[test]
fn a_worker_is_updated_from_local_zips_alone() {
    let world = packed();
    let first = update(&world, &["--zip", FIRST, "--json"]).exits(0).json();
    assert_eq!(
        (&first["downloaded"], &first["verified"]),
        (&5.into(), &5.into())
    );

    let planned = update(&world, &["--zip", SECOND, "--dry-run"]).exits(0);
    planned.says("1.0.0 → 1.1.0").says("nothing was changed");
    assert_eq!(world.read("root/current.txt"), "v1.0.0");

    let url = format!("file://{}", world.path(SECOND).display());
    let second = update(&world, &["--zip", &url, "--json"]).exits(0).json();
    assert_eq!(
        (&second["downloaded"], &second["reused"]),
        (&3.into(), &2.into())
    );
    assert_eq!(second["warnings"], serde_json::json!([]));
    let read = second["bytes_from_archive"].as_u64().unwrap();
    assert!((1000..70_000).contains(&read), "{read}");
    assert!(second["bytes_saved"].as_u64().unwrap() >= MODEL as u64);
    assert_eq!(
        world.read("root/releases/v1.1.0/src/main.py"),
        "print('1.1.0')\n"
    );

    update(&world, &["--zip", FIRST])
        .exits(4)
        .notes("--allow-downgrade");
    update(&world, &["--zip", FIRST, "--allow-downgrade"])
        .exits(0)
        .says("0 downloaded");
}

#[test]
fn a_worker_is_updated_from_a_server_of_zips() {
    let world = packed();
    let (_runtime, server) = empty_server();
    for path in [FIRST, SECOND] {
        server.insert(&format!("/{path}"), fs::read(world.path(path)).unwrap());
    }
    let at = |path: &str| server.url(&format!("/{path}"));
    update(&world, &["--zip", &at(FIRST)]).exits(0);
    let before = server.bytes_sent();
    update(&world, &["--zip", &at(SECOND)])
        .exits(0)
        .says("read of it, directory and compressed files")
        .says("3 downloaded / 5 verified / 2 deleted");
    let sent = server.bytes_sent() - before;
    assert!(
        sent < 70_000,
        "{sent}: the model of {MODEL} bytes was not sent"
    );

    server.ignore_ranges();
    let ignored = world.run(&["update", "--root", "other", "--zip", &at(SECOND), "--json"]);
    let error = &ignored.exits(1).json()["error"];
    assert_eq!(error["kind"], "archive");
    let why = error["causes"][0].as_str().unwrap();
    assert!(
        why.contains("ignores Range") && why.contains("download it first"),
        "{why}"
    );
}

/// A server that has nothing. It lives as long as its runtime.
fn empty_server() -> (tokio::runtime::Runtime, FileServer) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(FileServer::start());
    (runtime, server)
}

#[test]
fn beside_a_manifest_a_zip_gives_what_nobody_else_has() {
    let world = packed();
    let (_runtime, server) = empty_server();
    let (base, mirror) = (server.url("/tools/"), server.url("/mirror/"));
    server.insert("/mirror/sketcher/1.0.0/files/old.txt", "old\n");
    let manifest = world.manifest("v1", &base);
    let arguments = [
        "--manifest",
        &manifest,
        "--mirror",
        &mirror,
        "--zip",
        FIRST,
        "--json",
    ];
    let report = update(&world, &arguments).exits(0).json();
    assert_eq!(report["downloaded"], 5);
    assert!(report["bytes_from_archive"].as_u64().unwrap() > MODEL as u64);
    // Each was looked for at the mirror, and all but one at its own URL.
    assert_eq!(server.requests().len(), 5 + 4);
    let warnings = report["warnings"].as_array().unwrap();
    let [warning] = &warnings[..] else {
        panic!("{warnings:?}")
    };
    assert!(
        warning.as_str().unwrap().contains("holds release 1.0.0"),
        "its URLs differ"
    );
}

#[test]
fn a_zip_of_another_release_is_named() {
    let world = packed();
    let (_runtime, server) = empty_server();
    let manifest = world.manifest("v2", &server.url("/tools/"));
    let failed = update(
        &world,
        &["--manifest", &manifest, "--zip", FIRST, "--jobs", "1"],
    );
    failed
        .exits(1)
        .notes("holds release 1.0.0 of sketcher")
        .notes("not 1.1.0");
    assert!(!world.path("root/current.txt").exists());
}

#[test]
fn the_zip_must_hold_the_required_release() {
    let world = packed();
    let hash = |folder: &str| {
        let manifest = world.manifest(folder, "https://hq.bitstation.local/api/v1/tools/");
        world
            .run(&["manifest", "hash", &manifest])
            .stdout
            .trim_end()
            .to_owned()
    };
    update(&world, &["--zip", FIRST, "--require-hash", &hash("v2")]).exits(4);
    assert!(!world.path("root").exists());
    update(&world, &["--zip", FIRST, "--require-hash", &hash("v1")])
        .exits(0)
        .says("is the required one");
}

#[test]
fn what_is_no_zip_is_said_with_what_to_do() {
    let world = packed();
    world.write("page.zip", "<!DOCTYPE html>");
    world.write("cut.zip", &fs::read(world.path(FIRST)).unwrap()[..1000]);
    for (zip, text) in [
        ("page.zip", "web page"),
        ("cut.zip", "its end is missing"),
        ("missing.zip", "--zip takes the path"),
    ] {
        update(&world, &["--zip", zip])
            .exits(1)
            .notes(text)
            .notes("hint: ");
    }
    update(&world, &[])
        .exits(2)
        .notes("--manifest")
        .notes("--zip");
    assert!(!world.path("root").exists());
}
