use crate::world::{Served, World};

/// A worker that went from the first release to the second.
fn updated() -> (World, Served) {
    let world = World::new();
    let server = world.served();
    for version in ["1.0.0", "1.1.0"] {
        world
            .run(&[
                "update",
                "--root",
                "root",
                "--manifest",
                &server.manifest(version),
            ])
            .exits(0);
    }
    (world, server)
}

#[test]
fn status_says_what_is_installed() {
    let (world, _server) = updated();
    let status = world.run(&["status", "--root", "root"]).exits(0);
    status
        .says("sketcher")
        .says("1.1.0 (5 files")
        .says("rollback to  1.0.0")
        .says("activated");
    let status = world
        .run(&["status", "--root", "root", "--json"])
        .exits(0)
        .json();
    assert_eq!(status["active"]["version"], "1.1.0");
    assert_eq!(status["previous"], "1.0.0");
    assert_eq!(status["releases"], serde_json::json!(["1.1.0", "1.0.0"]));

    world
        .run(&["status", "--root", "absent"])
        .exits(0)
        .says("nothing is installed in absent");
    let status = world
        .run(&["status", "--root", "absent", "--json"])
        .exits(0)
        .json();
    assert!(status["active"].is_null());
}

#[test]
fn damage_is_found_named_and_repaired() {
    let (world, server) = updated();
    world
        .run(&["verify", "--root", "root"])
        .exits(0)
        .says("5 verified / 0 damaged");
    std::fs::remove_file(world.path("root/releases/v1.1.0/new.txt")).unwrap();
    std::fs::remove_file(world.path("root/releases/v1.1.0/src/main.py")).unwrap();
    world.write("root/releases/v1.1.0/src/main.py", "print('9.9.9')\n");

    let verified = world.run(&["verify", "--root", "root"]).exits(1);
    verified
        .says("new.txt: missing")
        .says("src/main.py: wrong content")
        .says("3 verified / 2 damaged")
        .notes("repair");
    let verified = world
        .run(&["verify", "--root", "root", "--json"])
        .exits(1)
        .json();
    assert_eq!(verified["intact"], false);
    assert_eq!(verified["damaged"][0]["path"], "new.txt");

    let repaired = world
        .run(&[
            "repair",
            "--root",
            "root",
            "--mirror",
            &server.base,
            "--json",
        ])
        .exits(0)
        .json();
    assert_eq!(
        (&repaired["downloaded"], &repaired["intact"]),
        (&2.into(), &3.into())
    );
    world.run(&["verify", "--root", "root"]).exits(0);
    world
        .run(&["repair", "--root", "root"])
        .exits(0)
        .says("0 repaired / 5 intact");
}

#[test]
fn rolling_back_goes_to_the_release_before_or_the_one_named() {
    let (world, _server) = updated();
    world
        .run(&["rollback", "--root", "root"])
        .exits(0)
        .says("1.1.0 → 1.0.0");
    assert_eq!(world.read("root/current.txt"), "v1.0.0");
    let back = world
        .run(&["rollback", "v1.1.0", "--root", "root", "--json"])
        .exits(0)
        .json();
    assert_eq!(back["from_version"], "1.0.0");
    assert_eq!(back["to_version"], "1.1.0");
    world
        .run(&["rollback", "7.0", "--root", "root"])
        .exits(1)
        .notes("7.0 is not installed")
        .notes("lockstep status");
}

#[test]
fn a_damaged_release_is_repaired_before_it_is_rolled_back_to() {
    let (world, _server) = updated();
    std::fs::remove_file(world.path("root/releases/v1.0.0/old.txt")).unwrap();
    // The mirror that the update came from is remembered.
    let report = world
        .run(&["rollback", "--root", "root", "--json"])
        .exits(0)
        .json();
    assert_eq!(report["to_version"], "1.0.0");
    assert_eq!(world.read("root/current.txt"), "v1.0.0");
    world.run(&["verify", "--root", "root"]).exits(0);
}

#[test]
fn pruning_keeps_as_many_as_it_is_told() {
    let (world, _server) = updated();
    world
        .run(&["prune", "--root", "root"])
        .exits(0)
        .says("nothing to prune");
    world
        .run(&["prune", "--root", "root", "--dry-run"])
        .exits(0)
        .says("nothing to prune");
    world.write("root/releases/v1.0.0/late.txt", "mine");
    let before = world.listing("root");
    let dry = ["prune", "--root", "root", "--keep", "0", "--dry-run"];
    world
        .run(&dry)
        .exits(0)
        .says("remove  release 1.0.0\n")
        .says("keep    releases/v1.0.0/late.txt\n")
        .says("would be 1 release removed / 0 files deleted / 1 file moved")
        .says("nothing was changed");
    let planned = world.run(&[&dry[..], &["--json"]].concat()).exits(0).json();
    assert_eq!(
        planned,
        serde_json::json!({
            "dry_run": true,
            "removed_releases": ["1.0.0"],
            "deleted": [],
            "kept": ["releases/v1.0.0/late.txt"],
        })
    );
    assert_eq!(world.listing("root"), before);
    let pruned = world
        .run(&["prune", "--root", "root", "--keep", "0", "--json"])
        .exits(0)
        .json();
    assert_eq!(pruned["removed_releases"], serde_json::json!(["1.0.0"]));
    assert!(!world.path("root/releases/v1.0.0").exists());
    world
        .run(&["prune", "--root", "absent", "--dry-run"])
        .exits(1)
        .notes("nothing is installed in absent");
    world
        .run(&["prune", "--root", "absent"])
        .exits(1)
        .notes("nothing is installed in absent");
}

#[test]
fn history_tells_what_was_done() {
    let (world, _server) = updated();
    world.run(&["rollback", "--root", "root"]).exits(0);
    let history = world.run(&["history", "--root", "root"]).exits(0).stdout;
    let lines: Vec<&str> = history.lines().collect();
    assert_eq!(lines.len(), 3, "{history}");
    assert!(
        lines[1].contains("activated") && lines[1].ends_with("1.1.0 (from 1.0.0)"),
        "{history}"
    );
    assert!(lines[2].contains("rolled back"), "{history}");
    let history = world
        .run(&["history", "--root", "root", "--json"])
        .exits(0)
        .json();
    assert_eq!(history["history"][2]["event"], "rolled_back");
    world
        .run(&["history", "--root", "absent"])
        .exits(0)
        .says("nothing was done yet");
}

#[test]
fn eligibility_is_a_word_and_an_exit_code() {
    let (world, _server) = updated();
    let status = world.run(&["status", "--root", "root", "--json"]).json();
    let hash = status["active"]["manifest_hash"]
        .as_str()
        .unwrap()
        .to_owned();
    let ask = |root: &str, version: &str, hash: &str, more: &[&str]| {
        let arguments = [
            "eligibility",
            "--root",
            root,
            "--version",
            version,
            "--manifest-hash",
            hash,
        ];
        world.run(&[&arguments[..], more].concat())
    };
    assert_eq!(
        ask("root", "v1.1.0", &hash, &[]).exits(0).stdout,
        "ELIGIBLE\n"
    );
    let outdated = ask("root", "1.0.0", &hash, &[])
        .exits(4)
        .notes("1.1.0 is installed, 1.0.0 is required");
    assert_eq!(outdated.stdout, "OUTDATED\n");
    assert_eq!(
        ask("root", "1.1.0", &"0".repeat(64), &["--json"])
            .exits(4)
            .json()["status"],
        "OUTDATED"
    );
    assert_eq!(
        ask("absent", "1.1.0", &hash, &[]).exits(4).stdout,
        "NO_INSTALLATION\n"
    );
    world.write("root/current.txt", "damaged");
    let unusable = ask("root", "1.1.0", &hash, &[])
        .exits(4)
        .notes("current.txt says \"damaged\"");
    assert_eq!(unusable.stdout, "NO_INSTALLATION\n");
    let unusable = ask("root", "1.1.0", &hash, &["--json"]).exits(4).json();
    assert_eq!(unusable["status"], "NO_INSTALLATION");
    let reasons = unusable["reasons"].as_array().unwrap();
    assert_eq!(reasons.len(), 1);
    assert!(
        reasons[0].as_str().unwrap().contains("damaged"),
        "{unusable}"
    );
}
