use std::io::Read as _;

use serde_json::json;

use crate::world::World;

const STALE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/z-image-turbo-0.7.8-stale-hash.json"
);
const STATED: &str = "f72185d233161a5ef9d05c8bc1f1ace3e90d525614333112f66f84e1b4d32650";
const COMPUTED: &str = "729606c6fe2789a53a7e14e1a57dc947b562c96000e777bf62b40dd9deeb0474";

#[test]
fn what_is_created_verifies() {
    let world = World::new();
    let created = world.run(&["manifest", "create", "v1"]).exits(0);
    world.write("m.json", &created.stdout);
    let verified = world
        .run(&["manifest", "verify", "m.json", "--dir", "v1"])
        .exits(0);
    verified
        .says("valid, sketcher 1.0.0 (5 files")
        .says("exactly what the manifest says");
}

#[test]
fn arguments_win_over_tool_json() {
    let world = World::new();
    let created = world
        .run(&[
            "manifest",
            "create",
            "v1",
            "--tool-id",
            "other",
            "--tool-version",
            "v9.9",
            "--base-url",
            "http://hq/tools",
        ])
        .exits(0);
    let manifest: serde_json::Value = serde_json::from_str(&created.stdout).unwrap();
    assert_eq!(manifest["tool_id"], "other");
    assert_eq!(manifest["tool_version"], "9.9");
    assert_eq!(
        manifest["files"][0]["url"],
        "http://hq/tools/other/9.9/files/README.md"
    );
    assert!(manifest["created_at"].is_string());
}

#[test]
fn an_output_file_is_replaced_and_summed_up() {
    let world = World::new();
    world.write("m.json", "something else");
    let created = world
        .run(&["manifest", "create", "v1", "-o", "m.json"])
        .exits(0);
    let hash = world
        .run(&["manifest", "hash", "m.json"])
        .exits(0)
        .notes("states the same hash")
        .stdout;
    assert!(
        created.stdout.contains(hash.trim_end()),
        "{}",
        created.stdout
    );
    world
        .run(&["manifest", "create", "v1", "-o", "v2"])
        .exits(1)
        .notes("cannot write v2");
}

#[test]
fn a_folder_without_a_name_for_its_tool_is_an_error_with_a_hint() {
    let world = World::new();
    world.write("plain/a.txt", "a");
    world
        .run(&["manifest", "create", "plain"])
        .exits(1)
        .notes("--tool-id");
}

#[test]
fn every_difference_of_a_folder_is_listed() {
    let world = World::new();
    let manifest = world.manifest("v1", "http://hq/");
    let verified = world
        .run(&["manifest", "verify", &manifest, "--dir", "v2"])
        .exits(1);
    for difference in [
        "v2: 6 differences",
        "README.md: missing",
        "old.txt: missing",
        "docs/README.md: extra",
        "new.txt: extra",
        "src/main.py: wrong content",
        "tool.json: wrong content",
    ] {
        assert!(
            verified.stdout.contains(difference),
            "{difference}: {verified:#?}"
        );
    }
}

#[test]
fn what_the_manifest_ignores_is_no_difference() {
    let world = World::new();
    let manifest = world.manifest("v1", "http://hq/");
    world.write("v1/run.log", "noise");
    world.write("v1/cache/x", "noise");
    world
        .run(&["manifest", "verify", &manifest, "--dir", "v1"])
        .exits(0);
}

#[test]
fn all_problems_are_listed_with_pointers() {
    let world = World::new();
    let manifest = world.manifest("v1", "http://hq/");
    let text = world
        .read(&manifest)
        .replace("\"old.txt\"", "\"../old.txt\"")
        .replace("\"safe\"", "\"never\"");
    world.write("bad.json", text);
    let verified = world.run(&["manifest", "verify", "bad.json"]).exits(1);
    verified
        .says("/delete_policy: ")
        .says("/files/2/path: ")
        .says("/manifest_hash: ");
    world.write("no.json", "{");
    world
        .run(&["manifest", "verify", "no.json"])
        .exits(1)
        .says("1 problem\n");
    world
        .run(&["manifest", "verify", "absent.json"])
        .exits(1)
        .notes("cannot read absent.json");
}

#[test]
fn a_stale_hash_is_shown_beside_the_right_one() {
    let world = World::new();
    world
        .run(&["manifest", "verify", STALE])
        .exits(1)
        .says(STATED)
        .says(COMPUTED)
        .says("/manifest_hash");
    let hashed = world
        .run(&["manifest", "hash", STALE])
        .exits(0)
        .notes(STATED);
    assert_eq!(hashed.stdout, format!("{COMPUTED}\n"));
    world
        .run(&["update", "--root", "root", "--manifest", STALE])
        .exits(1)
        .notes(STATED)
        .notes(COMPUTED);
    assert!(!world.path("root").exists());
}

#[test]
fn the_schema_is_the_one_that_is_checked_in() {
    let printed = World::new().run(&["manifest", "schema"]).exits(0).stdout;
    let schema = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let checked_in = include_str!("../../../manifest-core/manifest.schema.json");
    assert_eq!(schema(&printed), schema(checked_in));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let world = World::new();
    for number in 0..1_000 {
        world.write(&format!("v1/many/{number}.txt"), "x");
    }
    let mut child = world
        .command(&["manifest", "create", "v1"])
        .spawn()
        .unwrap();
    // More than a pipe holds is still to come.
    child
        .stdout
        .take()
        .unwrap()
        .read_exact(&mut [0; 10])
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn what_would_become_a_part_of_the_release_is_not_written_into_it() {
    let world = World::new();
    world
        .run(&["manifest", "create", "v1", "--output", "v1/out.json"])
        .exits(2)
        .notes("v1/out.json lies in v1");
    world
        .run(&["publish", "v1", "--store", "v1/store"])
        .exits(2)
        .notes("the store would become a part of the release");
    assert!(!world.path("v1/store").exists());
    // The manifest's own place is never a part of the release.
    world
        .run(&["manifest", "create", "v1", "--output", "v1/manifest.json"])
        .exits(0);
    world.write("tool/current.txt", "v1.0.0");
    world.write("tool/releases/v1.0.0/main.py", "print()");
    world
        .run(&["publish", "tool", "--store", "store"])
        .exits(2)
        .notes("is an installation");
    world.run(&["status", "--root", "m.json"]).exits(0);
    world.write("file", "");
    world
        .run(&["status", "--root", "file"])
        .exits(2)
        .notes("it is a file");
}

#[test]
fn programs_read_what_was_published_verified_and_hashed() {
    let world = World::new();
    let manifest = world.manifest("v1", "http://hq/");
    let hash = world.run(&["manifest", "hash", &manifest]).exits(0).stdout;
    let hash = hash.trim_end();

    let published = world
        .run(&["publish", "v1", "--store", "store", "--json"])
        .exits(0)
        .json();
    for (field, value) in [
        ("tool_id", json!("sketcher")),
        ("version", json!("1.0.0")),
        ("files", json!(5)),
        ("new_blobs", json!(5)),
        ("reused_blobs", json!(0)),
        ("already_published", json!(false)),
        ("bytes_written", published["bytes_total"].clone()),
        ("warnings", json!([])),
    ] {
        assert_eq!(published[field], value, "{field}: {published}");
    }
    let stored = std::fs::read(world.path("store/releases/sketcher/v1.0.0/manifest.json")).unwrap();
    let stored: serde_json::Value = serde_json::from_slice(&stored).unwrap();
    assert_eq!(published["manifest_hash"], stored["manifest_hash"]);
    world.write("v1/old.txt", "other\n");
    let refused = world
        .run(&["publish", "v1", "--store", "store", "--json"])
        .exits(4)
        .json();
    assert_eq!(refused["error"]["kind"], "conflict");

    let verify = ["manifest", "verify", &manifest, "--json"];
    let verified = world.run(&verify).exits(0).json();
    assert_eq!(
        (&verified["valid"], &verified["problems"]),
        (&json!(true), &json!([]))
    );
    assert_eq!(verified["manifest_hash"], hash);
    assert_eq!(verified.get("matches"), None);
    let compared = world
        .run(&[&verify[..], &["--dir", "v1"]].concat())
        .exits(1)
        .json();
    assert_eq!(
        (&compared["valid"], &compared["matches"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(
        compared["differences"],
        json!([{"path": "old.txt", "problem": "wrong size (6 bytes)"}])
    );
    world.write("v1/old.txt", "old\n");
    let compared = world
        .run(&[&verify[..], &["--dir", "v1"]].concat())
        .exits(0)
        .json();
    assert_eq!(
        (&compared["matches"], &compared["differences"]),
        (&json!(true), &json!([]))
    );

    let stale = world
        .run(&["manifest", "verify", STALE, "--json"])
        .exits(1)
        .json();
    assert_eq!(stale["valid"], false);
    assert_eq!(stale["problems"][0]["pointer"], "/manifest_hash");
    let hashed = |file: &str| {
        world
            .run(&["manifest", "hash", file, "--json"])
            .exits(0)
            .json()
    };
    assert_eq!(
        hashed(STALE),
        json!({"manifest_hash": COMPUTED, "stated": STATED, "matches": false})
    );
    assert_eq!(hashed(&manifest)["matches"], true);
    world.write("none.json", "{}");
    assert_eq!(hashed("none.json")["stated"], serde_json::Value::Null);
    world.write("no.json", "[");
    let failed = world
        .run(&["manifest", "hash", "no.json", "--json"])
        .exits(1)
        .json();
    let error = &failed["error"];
    assert_eq!(error["kind"], "manifest");
    assert!(error["message"].as_str().unwrap().contains("no.json"));
    assert_eq!(error["causes"].as_array().unwrap().len(), 1, "{error}");
}
