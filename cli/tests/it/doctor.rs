use std::fs;

use crate::world::{Served, World};

/// A worker that went from the first release to the second.
fn updated() -> (World, Served) {
    let world = World::new();
    let server = world.served();
    for version in ["1.0.0", "1.1.0"] {
        let manifest = server.manifest(version);
        world
            .run(&["update", "--root", "root", "--manifest", &manifest])
            .exits(0);
    }
    (world, server)
}

#[test]
fn a_healthy_installation_is_said_to_be_so() {
    let (world, _server) = updated();
    let before = world.listing("root");
    let run = world.run(&["doctor", "--root", "root"]).exits(0);
    assert_eq!(run.stdout, "nothing is wrong\n");
    let json = world
        .run(&["doctor", "--root", "root", "--json"])
        .exits(0)
        .json();
    assert_eq!(json["healthy"], true);
    assert_eq!(json["symptoms"], serde_json::json!([]));
    let run = world.run(&["doctor", "--root", "root", "--fix"]).exits(0);
    assert_eq!(run.stdout, "nothing is wrong\n");
    assert_eq!(world.listing("root"), before);
}

#[test]
fn where_nothing_is_installed_there_is_nothing_to_examine() {
    let world = World::new();
    world
        .run(&["doctor", "--root", "absent"])
        .exits(1)
        .notes("nothing is installed in absent");
    world
        .run(&["doctor", "--root", "v1", "--mirror", "http://hq/"])
        .exits(2);
    // Not an installation, which is no fault.
    world
        .run(&["doctor", "--root", "v1"])
        .exits(0)
        .says("note: No release is installed in v1.")
        .says("0 errors, 0 warnings, 1 note\n");
}

#[test]
fn what_is_wrong_is_said_with_why_and_what_to_do_and_fixed_when_asked() {
    let (world, server) = updated();
    fs::remove_file(world.path("root/current.txt")).unwrap();
    fs::remove_file(world.path("root/releases/v1.0.0/manifest.json")).unwrap();
    world.write("root/releases/v1.0.0/manifest.json", "{");
    fs::remove_file(world.path("root/releases/v1.1.0/new.txt")).unwrap();
    world.write("root/current.txt", "v1.1.0");
    let before = world.listing("root");

    let run = world.run(&["doctor", "--root", "root"]).exits(1);
    assert!(run.stdout.starts_with("error: "), "{run:#?}");
    assert!(
        run.stdout.ends_with("\n1 error, 1 warning, 0 notes\n"),
        "{run:#?}"
    );
    run.says("1 of 5 files in root/releases/v1.1.0 is damaged: new.txt (missing).\n  why: ")
        .says(
            "  --fix would: repair the active release: fetch the damaged files and replace them\n",
        )
        .says("warning: root/releases/v1.0.0/manifest.json is not valid")
        .says("  --fix would: move what may be yours in release 1.0.0 to .lockstep/kept/v1.0.0");
    let json = world
        .run(&["doctor", "--root", "root", "--json"])
        .exits(1)
        .json();
    assert_eq!(
        (&json["errors"], &json["symptoms"][0]["remedy"]),
        (&1.into(), &"repair".into())
    );
    assert_eq!(json["symptoms"][1]["automatic"], true);
    assert_eq!(world.listing("root"), before, "it only reads");

    let fix = [
        "doctor",
        "--root",
        "root",
        "--fix",
        "--mirror",
        &server.base,
    ];
    world
        .run(&fix)
        .exits(0)
        .says("done  repaired 1 file of release 1.1.0")
        .says("deleted release 1.0.0")
        .says("kept  .lockstep/kept/v1.0.0/")
        .says("  do: look through them")
        .says("0 errors, 0 warnings, 1 note\n");
    assert_eq!(world.read("root/releases/v1.1.0/new.txt"), "new\n");
    let json = world.run(&[&fix[..], &["--json"]].concat()).exits(0).json();
    assert_eq!(json["done"], serde_json::json!([]));
    assert_eq!(json["notes"], 1);
}

#[cfg(unix)]
#[test]
fn what_only_a_person_can_do_is_left_and_said() {
    let (world, _server) = updated();
    fs::remove_file(world.path("root/releases/v1.1.0/new.txt")).unwrap();
    fs::remove_dir_all(world.path("root/releases/.trash")).unwrap();
    std::os::unix::fs::symlink(world.path("v1"), world.path("root/releases/.trash")).unwrap();
    world.write("root/releases/a\nnote: b/c", "x");
    let json = world
        .run(&["doctor", "--root", "root", "--fix", "--json"])
        .exits(1)
        .json();
    assert_eq!(json["done"], serde_json::json!([]));
    assert_eq!(json["failed"].as_array().unwrap().len(), 1, "{json}");
    assert_eq!(json["symptoms"][0]["remedy"], "by_hand");
    world
        .run(&["doctor", "--root", "root", "--fix"])
        .exits(1)
        .says("failed  ")
        .says("  do: look where it leads, and move the link away")
        .says("  --fix could not: repair the active release")
        .says("a\\nnote: b is no release");
    assert!(world.path("v1/old.txt").exists());
}
