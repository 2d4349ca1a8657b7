//! `lockstep comfy`, on repositories of this machine.

use std::fs;
use std::process::Command;

use crate::world::{Run, World};

/// A world with ComfyUI, two nodes and a model, if there is a `git`.
fn world() -> Option<World> {
    if Command::new("git").arg("--version").output().is_err() {
        println!("left out: there is no git");
        return None;
    }
    let world = World::new();
    repository(
        &world,
        "ComfyUI",
        &[
            ("main.py", "print('one')\n"),
            ("comfy/ops.py", "one\n"),
            ("requirements.txt", ""),
        ],
    );
    repository(&world, "One", &[("node.py", "one\n")]);
    repository(&world, "Two", &[("node.py", "two\n")]);
    world.write("model.bin", vec![7_u8; 5000]);
    Some(world)
}

fn git(world: &World, folder: &str, arguments: &[&str]) {
    let identity = [
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        "-c",
        "init.defaultBranch=main",
    ];
    let output = Command::new("git")
        .args(identity)
        .args(arguments)
        .current_dir(world.path(folder))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn repository(world: &World, name: &str, files: &[(&str, &str)]) {
    let folder = format!("repos/{name}");
    let is_new = !world.path(&folder).exists();
    for (path, text) in files {
        world.write(&format!("{folder}/{path}"), text);
    }
    if is_new {
        git(world, &folder, &["init", "--quiet"]);
    }
    git(world, &folder, &["add", "--all"]);
    git(
        world,
        &folder,
        &["commit", "--quiet", "--message", "a state"],
    );
}

fn comfy(world: &World, arguments: &[&str]) -> Run {
    let mut all = vec!["comfy"];
    all.extend(arguments);
    let output = world
        .command(&all)
        .env("COMFY_CACHE_ROOT", world.path("cache"))
        .env_remove("COMFY_HOME")
        .env_remove("MODELS_DIR")
        .env("HOME", world.path("user"))
        .output()
        .unwrap();
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn repo(world: &World, name: &str) -> String {
    world.path(&format!("repos/{name}")).display().to_string()
}

fn create(world: &World, id: &str, nodes: &[&str]) -> Run {
    world.write(
        "models.txt",
        format!("file://{} loras/\n", world.path("model.bin").display()),
    );
    let (core, nodes): (_, Vec<String>) = (
        repo(world, "ComfyUI"),
        nodes.iter().map(|node| repo(world, node)).collect(),
    );
    let mut arguments = vec![
        "create",
        "--version-id",
        id,
        "--comfy",
        &core,
        "--model-list",
        "models.txt",
    ];
    for node in &nodes {
        arguments.extend(["--node", node]);
    }
    comfy(world, &arguments)
}

fn realize(world: &World, more: &[&str]) -> Run {
    let mut arguments = vec![
        "realize",
        "--version-id",
        "v1",
        "--target",
        "home",
        "--skip-python",
    ];
    arguments.extend(more);
    comfy(world, &arguments)
}

#[test]
fn a_version_is_created_resolved_realized_and_deleted() {
    let Some(world) = world() else { return };
    create(&world, "v1", &["One", "Two"])
        .exits(0)
        .says("wrote versions/v1.json");
    create(&world, "v1", &["One"])
        .exits(1)
        .notes("--force replaces it");
    comfy(&world, &["validate"]).exits(0).says("v1.json: valid");

    let plan = realize(&world, &["--dry-run"])
        .exits(0)
        .says("fetch the node Two")
        .says("bring ComfyUI");
    assert!(
        !world.path("home").exists() && !world.path("cache").exists(),
        "{plan:?}"
    );
    let plan = realize(&world, &["--dry-run", "--json"]).exits(0).json();
    assert_eq!(plan["dry_run"], true);
    assert_eq!(plan["steps"][0]["action"], "fetch_comfy");

    comfy(&world, &["resolve", "--version-id", "v1"])
        .exits(0)
        .says("(HEAD)");
    realize(&world, &[]).exits(0).says("done");
    assert_eq!(world.read("home/custom_nodes/Two/node.py"), "two\n");
    assert_eq!(
        fs::read(world.path("cache/models/loras/model.bin"))
            .unwrap()
            .len(),
        5000
    );
    realize(&world, &[]).exits(0).says("nothing to do");
    let again = realize(&world, &["--json"]).exits(0).json();
    assert_eq!(
        (again["steps"].as_u64(), again["complete"].as_bool()),
        (Some(0), Some(true))
    );
    realize(&world, &["--dry-run"])
        .exits(0)
        .says("nothing to do");

    comfy(&world, &["verify-models", "--version-id", "v1"])
        .exits(0)
        .says("loras/model.bin: right");
    comfy(&world, &["compare", "v1", "v1"])
        .exits(0)
        .says("nothing differs");

    repository(&world, "ComfyUI", &[("main.py", "print('two')\n")]);
    comfy(&world, &["diff", "v1"])
        .exits(0)
        .says("ComfyUI")
        .says("→");
    world.write("home/output/mine.png", "mine");
    realize(&world, &["--refresh"]).exits(0);
    assert_eq!(world.read("home/main.py"), "print('two')\n");

    comfy(&world, &["clone", "--version-id", "v1", "--to", "v2"]).exits(0);
    comfy(&world, &["resolve", "--version-id", "v2"]).exits(0);
    let deleted = comfy(
        &world,
        &[
            "delete",
            "--version-id",
            "v1",
            "--target",
            "home",
            "--remove-spec",
            "--json",
        ],
    )
    .exits(0)
    .json();
    assert_eq!(deleted["shared_checkouts"], 3);
    assert_eq!(world.read("home/output/mine.png"), "mine");
    assert!(!world.path("home/main.py").exists() && !world.path("versions/v1.json").exists());
    assert!(world.path("cache/models/loras/model.bin").exists());
    comfy(
        &world,
        &[
            "delete",
            "--version-id",
            "v2",
            "--target",
            "none",
            "--remove-spec",
        ],
    )
    .exits(0);
    assert!(!world.path("cache/models/loras/model.bin").exists());
    comfy(
        &world,
        &["delete", "--version-id", "v2", "--target", "none"],
    )
    .exits(1)
    .notes("there is no version v2");
}

#[test]
fn a_bundle_works_without_the_network_and_without_the_repositories() {
    let Some(world) = world() else { return };
    create(&world, "v1", &["One"]).exits(0);
    comfy(
        &world,
        &[
            "bundle",
            "--version-id",
            "v1",
            "--skip-python",
            "--out",
            "bundle",
        ],
    )
    .exits(0)
    .says("made");
    comfy(
        &world,
        &[
            "bundle",
            "--version-id",
            "v1",
            "--skip-python",
            "--out",
            "bundle",
        ],
    )
    .exits(1)
    .notes("is there already");
    for gone in ["repos", "cache", "versions"] {
        fs::remove_dir_all(world.path(gone)).unwrap();
    }
    fs::remove_file(world.path("model.bin")).unwrap();
    comfy(
        &world,
        &[
            "realize",
            "--bundle",
            "bundle",
            "--skip-python",
            "--target",
            "home",
        ],
    )
    .exits(0);
    assert_eq!(world.read("home/custom_nodes/One/node.py"), "one\n");
    assert_eq!(
        fs::read(world.path("bundle/models/loras/model.bin"))
            .unwrap()
            .len(),
        5000
    );
    comfy(
        &world,
        &[
            "realize",
            "--bundle",
            "bundle",
            "--skip-python",
            "--target",
            "home",
        ],
    )
    .exits(0)
    .says("nothing to do");
    assert!(!world.path("cache").exists());
    comfy(&world, &["realize", "--bundle", "home", "--target", "x"])
        .exits(1)
        .notes("is no bundle");
}

#[test]
fn without_the_network_the_exit_code_says_partial() {
    let Some(world) = world() else { return };
    let commit = "1234567890123456789012345678901234567890";
    let spec = format!(
        r#"{{"schema_version": 2, "version_id": "v1", "comfy": {{"repo": "{}"}},
            "custom_nodes": [{{"repo": "https://127.0.0.1:9/Far", "commit": "{commit}"}}]}}"#,
        repo(&world, "ComfyUI")
    );
    world.write("versions/v1.json", spec);
    let run = realize(&world, &["--offline"])
        .exits(1)
        .says("partial")
        .says("/custom_nodes/0: the node Far");
    assert!(world.path("home/main.py").exists(), "{run:?}");
    let run = realize(&world, &["--offline", "--json"]).exits(1).json();
    assert_eq!(run["complete"], false);
    assert_eq!(run["missing"][0]["pointer"], "/custom_nodes/0");
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_what_to_do() {
    let Some(world) = world() else { return };
    world.write(
        "versions/bad.json",
        r#"{"schema_version": 2, "version_id": "bad", "comfy": {}, "models": [{}]}"#,
    );
    comfy(&world, &["validate"])
        .exits(1)
        .says("/comfy")
        .says("/models/0");
    let problems = comfy(&world, &["validate", "--version-id", "bad", "--json"])
        .exits(1)
        .json();
    assert_eq!(problems["valid"], false);
    assert!(problems["specs"][0]["problems"].as_array().unwrap().len() > 1);
    comfy(&world, &["realize", "--version-id", "bad"])
        .exits(1)
        .notes("caused by: /models/0");
    comfy(&world, &["realize", "--version-id", "none"])
        .exits(1)
        .notes("there is no version none");
    comfy(&world, &["realize"]).exits(2);

    create(&world, "v1", &["One"]).exits(0);
    fs::remove_dir_all(world.path("repos/One")).unwrap();
    let run = realize(&world, &["--json"]).exits(1).json();
    assert!(
        run["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("/custom_nodes/0/repo: "),
        "{run}"
    );
    world.write("home/main.py", "somebody's");
    repository(&world, "One", &[("node.py", "one\n")]);
    realize(&world, &[]).exits(1).notes("--target");
    assert_eq!(world.read("home/main.py"), "somebody's");
}

#[test]
fn old_files_become_specs() {
    let Some(world) = world() else { return };
    let commit = "1234567890123456789012345678901234567890";
    world.write(
        "comfy-v7.lock.json",
        format!(r#"{{"comfyui": {{"commit": "{commit}"}}, "custom_nodes": []}}"#),
    );
    comfy(&world, &["migrate", "comfy-v7.lock.json"])
        .exits(0)
        .says("versions/v7.json");
    assert!(world.read("versions/v7.json").contains(commit));
    world.write("snapshot.json", format!(r#"{{"comfyui": "{commit}", "git_custom_nodes": {{}}, "cnr_custom_nodes": {{}}, "pips": {{}}}}"#));
    comfy(&world, &["migrate", "snapshot.json"])
        .exits(2)
        .notes("--version-id");
    comfy(
        &world,
        &["migrate", "snapshot.json", "--version-id", "snap"],
    )
    .exits(0);
}
