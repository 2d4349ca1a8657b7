use std::fs;

use serde_json::{Value, json};

use crate::world::World;

fn catalogue(world: &World) -> Value {
    serde_json::from_str(&world.read("dist/catalog.json")).unwrap()
}

#[test]
fn what_is_packed_is_listed_with_sizes_and_digests() {
    let world = World::new();
    world.write("v1/frontend/index.html", "<!doctype html>\n");
    let url = "https://github.com/o/r/releases/download/v1/";
    let packed = world
        .run(&["pack", "v1", "--out", "dist", "--release-url", url])
        .exits(0)
        .says("sketcher 1.0.0 (6 files")
        .says("tool_sketcher_1.0.0.zip")
        .says("frontend_sketcher_1.0.0.zip")
        .says("catalogue: 1.0.0, the first one")
        .says("dist/catalog.json: 1 tool\n");
    let listed = &catalogue(&world)["tools"][0];
    for digest in ["sha256", "frontend_sha256", "manifest_hash"] {
        let digest = listed[digest].as_str().unwrap();
        assert!(packed.stdout.contains(digest), "{packed:#?}");
    }
    assert_eq!(
        listed["download_url"],
        format!("{url}tool_sketcher_1.0.0.zip")
    );

    world
        .run(&["pack", "v2", "--out", "dist", "--release-url", url])
        .exits(0)
        .says("catalogue: 1.0.0 → 1.1.0");
    let again = world.run(&["pack", "v1", "--out", "dist"]).exits(0);
    again
        .says("unchanged")
        .says("catalogue: 1.1.0, as before, which is newer")
        .notes("warning: the catalogue goes on naming sketcher 1.1.0");
    let older = &["pack", "v1", "--out", "dist", "--allow-downgrade"];
    world.run(older).exits(0).notes("which is older than 1.1.0");
    assert_eq!(catalogue(&world)["tools"][0]["latest"], "1.0.0");
}

#[test]
fn every_command_makes_the_same_release_of_a_folder() {
    let world = World::new();
    world.write("v1/frontend/index.html", "<!doctype html>\n");
    let hash = |arguments: &[&str]| {
        let reply = world.run(arguments).exits(0).json();
        reply["manifest_hash"].as_str().unwrap().to_owned()
    };
    let packed = world.run(&["pack", "v1", "--out", "dist", "--json"]).json();
    let packed = packed["tools"][0]["manifest_hash"].as_str().unwrap();
    assert_eq!(
        hash(&["publish", "v1", "--store", "store", "--json"]),
        packed
    );
    world
        .run(&["manifest", "create", "v1", "--output", "m.json"])
        .exits(0);
    assert_eq!(hash(&["manifest", "hash", "m.json", "--json"]), packed);
}

#[test]
fn programs_are_told_everything() {
    let world = World::new();
    world.write("v1/frontend/index.html", "<!doctype html>\n");
    let both = ["pack", "v1", "v2", "--out", "dist", "--json"];
    let planned = world.run(&[&both[..], &["--dry-run"]].concat()).exits(0);
    assert!(!world.path("dist").exists());
    let planned = planned.json();
    assert_eq!(planned["dry_run"], true);
    assert_eq!(
        planned["tools"][0]["assets"],
        json!([
            {"name": "tool_sketcher_1.0.0.zip", "exists": false},
            {"name": "frontend_sketcher_1.0.0.zip", "exists": false},
        ])
    );

    let packed = world.run(&both).exits(0).json();
    assert_eq!(packed["warnings"], json!([]));
    let tool = &packed["tools"][0];
    assert_eq!(tool["manifest_hash"], planned["tools"][0]["manifest_hash"]);
    assert_eq!(tool["catalog"], json!({"change": "added"}));
    assert_eq!(
        packed["tools"][1]["catalog"],
        json!({"change": "updated", "from": "1.0.0"})
    );
    for asset in tool["assets"].as_array().unwrap() {
        let path = world.path("dist").join(asset["name"].as_str().unwrap());
        assert_eq!(asset["size"], fs::metadata(path).unwrap().len());
        assert_eq!(asset["state"], "new");
    }
    let planned = world.run(&[&both[..], &["--dry-run"]].concat()).json();
    assert_eq!(planned["tools"][0]["assets"][1]["exists"], true);
    world
        .run(&["pack", "v1", "--out", "dist", "--dry-run"])
        .exits(0)
        .says("is there; would be compared");
}

#[test]
fn packing_again_gives_the_same_bytes_with_the_date_that_is_given() {
    let world = World::new();
    let dated = ["--created-at", "2026-02-20T14:39:12Z"];
    for dist in ["one", "two"] {
        world
            .run(&[&["pack", "v1", "--out", dist][..], &dated].concat())
            .exits(0);
    }
    world.run(&["pack", "v1", "--out", "plain"]).exits(0);
    let bytes = |dist: &str| fs::read(world.path(dist).join("tool_sketcher_1.0.0.zip")).unwrap();
    assert_eq!(bytes("one"), bytes("two"));
    assert_ne!(bytes("one"), bytes("plain"));
    let wrong = ["pack", "v1", "--out", "x", "--created-at", "yesterday"];
    world.run(&wrong).exits(1).notes("/created_at");
}

#[test]
fn what_is_released_is_not_changed_in_silence() {
    let world = World::new();
    world.run(&["pack", "v1", "--out", "dist"]).exits(0);
    world.write("v1/src/main.py", "print('other')\n");
    let refused = world.run(&["pack", "v1", "--out", "dist"]).exits(4);
    refused
        .notes("tool_sketcher_1.0.0.zip exists, with other content")
        .notes("hint: --force");
    let json = world
        .run(&["pack", "v1", "--out", "dist", "--json"])
        .exits(4);
    assert_eq!(json.json()["error"]["kind"], "conflict");
    world
        .run(&["pack", "v1", "--out", "dist", "--force"])
        .exits(0)
        .says("replaced");
}

#[test]
fn what_cannot_be_packed_is_said_with_what_to_do() {
    let world = World::new();
    world.write("plain/a.txt", "a");
    world.write("broken/tool.json", r#"{"tool_id": "xy", "version": 1.0}"#);
    world.write("copy/tool.json", world.read("v1/tool.json"));
    world.write("tool/current.txt", "v1.0.0");
    world.write("tool/releases/v1.0.0/main.py", "print()");
    fs::create_dir(world.path("empty")).unwrap();
    for (arguments, code, text) in [
        (
            &["plain"][..],
            1,
            "no tool id was given, and there is no plain/tool.json with a \"tool_id\"",
        ),
        (&["plain"], 1, "hint: a tool is named by \"tool_id\""),
        (
            &["empty", "--tool-id", "xy", "--tool-version", "1"],
            1,
            "holds no file",
        ),
        (&["broken"], 1, "/version: "),
        (&["absent"], 1, "cannot pack absent"),
        (&["v1", "copy"], 2, "both become tool_sketcher_1.0.0.zip"),
        (&["v1", "v2", "--tool-version", "3"], 2, "several are given"),
        (&["tool"], 2, "is an installation"),
        (&[], 2, "required arguments"),
    ] {
        let arguments = [&["pack", "--out", "dist"], arguments].concat();
        world.run(&arguments).exits(code).notes(text);
        assert!(!world.path("dist").exists(), "{arguments:?}");
    }
    world
        .run(&["pack", "v1", "--out", "v1/dist"])
        .exits(2)
        .notes("v1/dist lies in v1");
    world.write("dist/catalog.json", "{}");
    world
        .run(&["pack", "v1", "--out", "dist"])
        .exits(1)
        .notes("cannot use dist/catalog.json");
    assert_eq!(world.read("dist/catalog.json"), "{}");

    let named = ["plain", "--tool-id", "plain", "--tool-version", "1"];
    let named = [&["pack", "--out", "other"][..], &named].concat();
    world.run(&named).exits(0).says("tool_plain_1.zip");
}
