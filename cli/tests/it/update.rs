use crate::world::{MODEL, World};

#[test]
fn a_worker_goes_from_one_release_to_the_next() {
    let world = World::new();
    let server = world.served();
    let (v1, v2) = (server.manifest("1.0.0"), server.manifest("1.1.0"));
    let update = |manifest: &str| {
        world
            .run(&["update", "--root", "root", "--manifest", manifest, "--json"])
            .exits(0)
    };

    let first = update(&v1).json();
    assert_eq!(first["downloaded"], 5);
    assert_eq!(first["from_version"], serde_json::Value::Null);
    world.write("root/releases/v1.0.0/notes/mine.txt", "mine");

    let second = update(&v2).json();
    for (field, value) in [
        ("downloaded", 3), // main.py, tool.json, new.txt
        ("reused", 2),
        ("verified", 5),
        ("deleted", 2),
        ("carried", 1),
    ] {
        assert_eq!(second[field], value, "{field}: {second:#}");
    }
    assert!(second["bytes_downloaded"].as_u64().unwrap() < 200);
    assert!(second["bytes_saved"].as_u64().unwrap() >= MODEL as u64);
    assert_eq!(second["from_version"], "1.0.0");
    assert_eq!(second["to_version"], "1.1.0");
    assert_eq!(second["manifest_hash"].as_str().unwrap().len(), 64);
    assert_eq!(second["matches_required"], true);
    assert!(second["duration_ms"].is_u64());

    assert_eq!(world.read("root/current.txt"), "v1.1.0");
    assert_eq!(
        world.read("root/releases/v1.1.0/src/main.py"),
        "print('1.1.0')\n"
    );
    assert_eq!(
        world.read("root/releases/v1.1.0/docs/README.md"),
        "read me\n"
    );
    assert_eq!(world.read("root/releases/v1.1.0/notes/mine.txt"), "mine");
    assert!(!world.path("root/releases/v1.1.0/old.txt").exists());

    let again = update(&v2).json();
    assert_eq!(
        (&again["downloaded"], &again["verified"]),
        (&0.into(), &5.into())
    );
}

#[test]
fn the_report_for_people_ends_with_the_counts_and_the_hash() {
    let world = World::new();
    let server = world.served();
    let hash = world
        .run(&[
            "manifest",
            "hash",
            &world.manifest("v1", "https://hq.bitstation.local/api/v1/tools/"),
        ])
        .stdout;
    let hash = hash.trim_end();
    let manifest = server.manifest("1.0.0");
    let report = world
        .run(&[
            "update",
            "--root",
            "root",
            "--manifest",
            &manifest,
            "--require-hash",
            hash,
        ])
        .exits(0);
    let lines: Vec<&str> = report.stdout.lines().collect();
    assert_eq!(
        lines[lines.len() - 2],
        "5 downloaded / 5 verified / 0 deleted"
    );
    assert_eq!(
        lines[lines.len() - 1],
        format!("manifest hash {hash} is the required one")
    );
    assert_eq!(report.stderr, "");
}

#[test]
fn a_manifest_file_needs_a_mirror() {
    let world = World::new();
    let server = world.served();
    let manifest = world.manifest("v1", "https://hq.bitstation.local/api/v1/tools/");
    let file_url = format!("file://{}", world.path(&manifest).display());
    for (root, manifest) in [("root", &manifest), ("other", &file_url)] {
        world
            .run(&[
                "update",
                "--root",
                root,
                "--manifest",
                manifest,
                "--mirror",
                &server.base,
            ])
            .exits(0)
            .says("5 downloaded");
    }
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let world = World::new();
    let server = world.served();
    let (v1, v2) = (server.manifest("1.0.0"), server.manifest("1.1.0"));
    world
        .run(&["update", "--root", "root", "--manifest", &v1, "--dry-run"])
        .exits(0)
        .says("5 downloaded");
    assert!(!world.path("root").exists());

    world
        .run(&["update", "--root", "root", "--manifest", &v1])
        .exits(0);
    world.write("root/releases/v1.0.0/mine.txt", "mine");
    let before = world.listing("root");
    let planned = world
        .run(&["update", "--root", "root", "--manifest", &v2, "--dry-run"])
        .exits(0);
    planned
        .says("1.0.0 → 1.1.0")
        .says("src/main.py")
        .says("old.txt")
        .says("mine.txt")
        .says("nothing was changed");
    let planned = world
        .run(&[
            "update",
            "--root",
            "root",
            "--manifest",
            &v2,
            "--dry-run",
            "--json",
        ])
        .exits(0)
        .json();
    assert_eq!(planned["dry_run"], true);
    assert_eq!(planned["downloads"].as_array().unwrap().len(), 3);
    assert_eq!(
        planned["deletions"],
        serde_json::json!(["README.md", "old.txt"])
    );
    assert_eq!(planned["carried"], serde_json::json!(["mine.txt"]));
    assert_eq!(world.listing("root"), before);
}

#[test]
fn another_hash_than_the_required_one_is_refused() {
    let world = World::new();
    let server = world.served();
    let (manifest, required) = (server.manifest("1.0.0"), "0".repeat(64));
    let arguments = [
        "update",
        "--root",
        "root",
        "--manifest",
        &manifest,
        "--require-hash",
        &required,
    ];
    world
        .run(&arguments)
        .exits(4)
        .notes("error: ")
        .notes(&required)
        .notes("hint: ");
    let refused = world.run(&[&arguments[..], &["--json"]].concat()).exits(4);
    assert_eq!(refused.json()["error"]["kind"], "trust");
    assert!(!world.path("root").exists());
}

#[test]
fn an_older_release_is_refused_unless_it_is_allowed() {
    let world = World::new();
    let server = world.served();
    let (v1, v2) = (server.manifest("1.0.0"), server.manifest("1.1.0"));
    world
        .run(&["update", "--root", "root", "--manifest", &v2])
        .exits(0);
    let downgrade = ["update", "--root", "root", "--manifest", &v1];
    world.run(&downgrade).exits(4).notes("--allow-downgrade");
    assert_eq!(world.read("root/current.txt"), "v1.1.0");
    world
        .run(
            &[
                &downgrade[..],
                &["--allow-downgrade", "--link", "copy", "--jobs", "1"],
            ]
            .concat(),
        )
        .exits(0);
    assert_eq!(world.read("root/current.txt"), "v1.0.0");
}

#[test]
fn another_tool_is_refused() {
    let world = World::new();
    let server = world.served();
    world
        .run(&["publish", "v2", "--store", "store", "--tool-id", "painter"])
        .exits(0);
    world
        .run(&[
            "update",
            "--root",
            "root",
            "--manifest",
            &server.manifest("1.0.0"),
        ])
        .exits(0);
    let other = format!("{}painter/1.1.0/manifest.json", server.base);
    let refused = world
        .run(&["update", "--root", "root", "--manifest", &other, "--json"])
        .exits(4);
    assert_eq!(refused.json()["error"]["kind"], "wrong_product");
}

#[test]
fn how_many_releases_are_kept_can_be_said() {
    let world = World::new();
    let server = world.served();
    world
        .run(&[
            "update",
            "--root",
            "root",
            "--manifest",
            &server.manifest("1.0.0"),
        ])
        .exits(0);
    let report = world.run(&[
        "update",
        "--root",
        "root",
        "--manifest",
        &server.manifest("1.1.0"),
        "--keep",
        "0",
        "--json",
    ]);
    assert_eq!(
        report.exits(0).json()["removed_releases"],
        serde_json::json!(["1.0.0"])
    );
}
