use crate::world::World;

#[test]
fn a_wrong_command_line_exits_with_2() {
    let world = World::new();
    for arguments in [
        &["nonsense"][..],
        &["update", "--root", "root"],
        &[
            "update",
            "--root",
            "root",
            "--manifest",
            "m.json",
            "--require-hash",
            "ABC",
        ],
        &[
            "update",
            "--root",
            "root",
            "--manifest",
            "m.json",
            "--mirror",
            "hq:8080",
        ],
        &[
            "update",
            "--root",
            "root",
            "--manifest",
            "m.json",
            "--jobs",
            "0",
        ],
        &["serve", "--store", "store", "--listen", "nowhere"],
        &[
            "eligibility",
            "--root",
            "root",
            "--version",
            "../x",
            "--manifest-hash",
            "0",
        ],
    ] {
        let run = world.run(arguments).exits(2);
        assert!(
            run.stdout.is_empty() && run.stderr.starts_with("error: "),
            "{run:#?}"
        );
    }
}

#[test]
fn help_and_version_are_no_errors() {
    let world = World::new();
    world
        .run(&["--version"])
        .exits(0)
        .says(concat!("lockstep ", env!("CARGO_PKG_VERSION")));
    world
        .run(&["--help"])
        .exits(0)
        .says("Examples:")
        .says("Exit codes:");
    world
        .run(&["update", "--help"])
        .exits(0)
        .says("--allow-downgrade")
        .says("Examples:");
}

#[test]
fn an_error_shows_its_causes_once_and_what_to_do() {
    let world = World::new();
    let server = world.served();
    let manifest = server.manifest("9.9.9");
    let failed = world
        .run(&["update", "--root", "root", "--manifest", &manifest])
        .exits(1);
    assert_eq!(failed.stdout, "");
    let lines: Vec<&str> = failed.stderr.lines().collect();
    assert_eq!(
        lines[0],
        format!("error: cannot fetch the manifest {manifest}")
    );
    assert_eq!(lines[1], "  caused by: the server answered 404 Not Found");
    assert!(lines[2].starts_with("hint: "), "{failed:#?}");

    let failed = world
        .run(&[
            "update",
            "--root",
            "root",
            "--manifest",
            &manifest,
            "--json",
        ])
        .exits(1);
    let error = &failed.json()["error"];
    assert_eq!(error["kind"], "not_found");
    assert!(error["message"].as_str().unwrap().contains(&manifest));
    assert_eq!(
        error["causes"],
        serde_json::json!(["the server answered 404 Not Found"])
    );
    assert!(error["hint"].is_string());
    assert_eq!(failed.stderr, "");
}

#[test]
fn a_manifest_that_is_not_there_is_named() {
    let world = World::new();
    let failed = world
        .run(&["update", "--root", "root", "--manifest", "absent.json"])
        .exits(1);
    failed.notes("absent.json").notes("hint: --manifest takes");
    assert!(!world.path("root").exists());
}

#[test]
fn every_command_says_that_nothing_is_installed() {
    let world = World::new();
    for command in ["verify", "repair", "rollback", "prune"] {
        world
            .run(&[command, "--root", "absent"])
            .exits(1)
            .notes("nothing is installed in absent");
        let failed = world
            .run(&[command, "--root", "absent", "--json"])
            .exits(1)
            .json();
        assert_eq!(failed["error"]["kind"], "no_installation", "{command}");
    }
    assert!(!world.path("absent").exists());
}

#[cfg(unix)]
#[test]
fn nothing_commands_the_terminal() {
    let world = World::new();
    let server = world.served();
    let (v1, v2) = (server.manifest("1.0.0"), server.manifest("1.1.0"));
    world
        .run(&["update", "--root", "root", "--manifest", &v1])
        .exits(0);
    world.write("root/releases/v1.0.0/\u{1b}[2Jboom.txt", "mine");
    for run in [
        world
            .run(&["update", "--root", "root", "--manifest", &v2, "--dry-run"])
            .exits(0)
            .says("boom.txt"),
        world
            .run(&["-vv", "update", "--root", "root", "--manifest", &v2])
            .exits(0),
        world.run(&["verify", "--root", "root"]).exits(0),
        world
            .run(&["repair", "--root", "\u{1b}]0;title\u{7}"])
            .exits(1),
    ] {
        let is_plain =
            |text: &str| !text.contains(|letter: char| letter.is_control() && letter != '\n');
        assert!(is_plain(&run.stdout) && is_plain(&run.stderr), "{run:#?}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_in_the_folder_is_refused_by_name() {
    let world = World::new();
    std::os::unix::fs::symlink("/etc/passwd", world.path("v1/link")).unwrap();
    world
        .run(&["publish", "v1", "--store", "store"])
        .exits(4)
        .notes("v1/link");
    world
        .run(&["manifest", "create", "v1"])
        .exits(4)
        .notes("symbolic link");
}

#[test]
fn what_each_source_said_is_said() {
    let world = World::new();
    let server = world.served();
    // No name server is asked for a label of more than 63 bytes.
    let nowhere = format!("http://{}.invalid/", "x".repeat(64));
    let manifest = world.manifest("v1", &nowhere);
    let wrong = server.base.replace("/api/", "/wrong/");
    let update = [
        "update",
        "--root",
        "root",
        "--manifest",
        &manifest,
        "--mirror",
        &wrong,
    ];
    let failed = world
        .run(&[&update[..], &["--json"]].concat())
        .exits(1)
        .json();
    let error = &failed["error"];
    assert_eq!(error["kind"], "not_found");
    assert!(
        error["hint"]
            .as_str()
            .unwrap()
            .contains("named by its base")
    );
    let said = error["causes"][0].as_str().unwrap();
    let (mirror, own) = said.split_once("; ").unwrap();
    assert!(
        mirror.starts_with(&format!("all 2 sources failed: {wrong}")),
        "{said}"
    );
    assert!(
        mirror.ends_with("the server answered 404 Not Found"),
        "{said}"
    );
    assert!(
        own.starts_with(&nowhere) && own.contains("cannot be resolved"),
        "{said}"
    );
    assert_eq!(error["causes"].as_array().unwrap().len(), 1);
}
