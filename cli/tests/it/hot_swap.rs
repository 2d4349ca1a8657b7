//! `lockstep hot-swap`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::world::{Run, World};

/// What is started is ended with it.
struct Service(World);

impl Service {
    fn new() -> Self {
        let service = Self(World::new());
        service.binary("server", "1.0", "exec sleep 1000");
        service.binary("next", "1.1", "exec sleep 1000");
        service
    }

    /// A server in the shell's language.
    fn binary(&self, name: &str, version: &str, serve: &str) {
        let text = format!(
            "#!/bin/sh\nif [ \"$1\" = --version ]; then echo server {version}; exit; fi\n{serve}\n"
        );
        self.0.write(name, text);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.0.path(name), mode).unwrap();
    }

    /// A swap of `server` by `next` in a service that `server serve` starts.
    fn swap(&self, options: &[&str]) -> Run {
        let swap = [
            "hot-swap",
            "--target",
            "server",
            "--candidate",
            "next",
            "--settle",
            "0.1",
        ];
        let start = ["--", "./server", "serve"];
        self.0.run(&[&swap[..], options, &start[..]].concat())
    }

    fn version(&self) -> String {
        let said = Command::new(self.0.path("server"))
            .arg("--version")
            .output()
            .unwrap();
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    }

    fn state(&self) -> PathBuf {
        self.0.path(".lockstep-swap/server")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Ok(pid) = fs::read_to_string(self.state().join("service.pid")) {
            let group = format!("-{}", pid.trim());
            let kill = Command::new("kill")
                .args(["-KILL", "--", &group])
                .stderr(Stdio::null())
                .status();
            kill.unwrap();
        }
    }
}

fn left(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("service."))
        .collect();
    names.sort();
    names
}

#[test]
fn a_binary_is_swapped_and_the_report_says_so() {
    let service = Service::new();
    let plan = service
        .swap(&["--dry-run"])
        .exits(0)
        .says("would swap server: ");
    assert!(plan.stderr.is_empty(), "{plan:?}");
    assert!(!service.state().exists());
    service
        .swap(&["--expect-version", "1.1"])
        .exits(0)
        .says("service  the process ./server\n")
        .says("version  server 1.1\n")
        .notes("check the version: server 1.1 (");
    assert_eq!(service.version(), "server 1.1");
    let again = service.swap(&["--quiet", "--json"]).exits(0);
    assert_eq!(again.json()["outcome"], "unchanged");
    assert!(again.stderr.is_empty(), "{again:?}");
}

#[test]
fn a_binary_that_does_not_work_is_rolled_back_with_its_last_words() {
    let service = Service::new();
    service.swap(&[]).exits(0);
    service.binary("next", "1.2", "echo no such database; exit 7");
    service
        .swap(&[])
        .exits(1)
        .notes("caused by: it does not run: it ended with exit status: 7")
        .notes("the last lines that it said:\n  no such database")
        .notes("is in place again");
    assert_eq!(service.version(), "server 1.1");
    let failed = service
        .swap(&[
            "--json",
            "--deadline",
            "0.5",
            "--health-command",
            "echo broken >&2; exit 1",
        ])
        .exits(1);
    let json = failed.json();
    assert_eq!(json["error"]["kind"], "rolled_back");
    assert_eq!(json["report"]["outcome"], "rolled_back");
    assert_eq!(json["report"]["steps"][0]["step"], "stage");
    service
        .swap(&["--expect-version", "2.0"])
        .exits(1)
        .notes("it is not version 2.0: it says \"server 1.2\"");
    assert_eq!(left(&service.state()), ["backups", "lock"]);
}

#[test]
fn backups_are_listed_gone_back_to_and_deleted() {
    let service = Service::new();
    let target = ["--target", "server"];
    let run = |arguments: &[&str]| service.0.run(&[&["hot-swap"], arguments, &target].concat());
    run(&["list"]).exits(0).says("no backups\n");
    run(&["rollback"])
        .exits(1)
        .notes("there is no backup of server");
    service.swap(&["--no-restart"]).exits(0);
    let listed = run(&["list", "--json"]).exits(0).json();
    assert_eq!(listed["backups"].as_array().unwrap().len(), 1);
    run(&["rollback"]).exits(0);
    assert_eq!(service.version(), "server 1.0");
    run(&["clean", "--keep", "0", "--dry-run"])
        .exits(0)
        .says("would delete ");
    run(&["clean", "--keep", "0"])
        .exits(0)
        .says("0 backups kept");
    run(&["list"]).exits(0).says("no backups\n");
}

#[test]
fn a_first_binary_and_what_is_no_binary_are_refused() {
    let service = Service::new();
    fs::remove_file(service.0.path("server")).unwrap();
    service
        .swap(&["--no-restart"])
        .exits(1)
        .notes("no backup and no way back")
        .notes("--no-rollback");
    service.swap(&["--no-restart", "--no-rollback"]).exits(0);
    fs::remove_file(service.0.path("server")).unwrap();
    service.binary("elsewhere", "0.9", "exec sleep 1000");
    std::os::unix::fs::symlink("elsewhere", service.0.path("server")).unwrap();
    service.swap(&[]).exits(4).notes("is a link to elsewhere");
    for wrong in [
        &["hot-swap"][..],
        &["hot-swap", "--target", "server"],
        &[
            "hot-swap",
            "--target",
            "server",
            "--candidate",
            "next",
            "--release",
            ".",
            "--file",
            "x",
        ],
        &[
            "hot-swap",
            "--target",
            "server",
            "--candidate",
            "next",
            "--systemd",
            "x",
            "--pid-file",
            "y",
        ],
        &[
            "hot-swap",
            "--target",
            "server",
            "--candidate",
            "next",
            "--watch",
        ],
        &[
            "hot-swap",
            "--target",
            "server",
            "--candidate",
            "next",
            "--deadline",
            "soon",
        ],
        &["hot-swap", "--target", "next", "--candidate", "next"],
    ] {
        service.0.run(wrong).exits(2);
    }
}

/// The health command is run when the candidate is in place and runs: then everything ends at once.
#[test]
fn g83_killed_when_the_candidate_is_in_place_the_next_run_goes_on() {
    let service = Service::new();
    let killed = service.swap(&["--health-command", "kill -9 $PPID"]);
    assert_eq!(killed.code, None, "{killed:?}");
    assert_eq!(service.version(), "server 1.1");
    assert_eq!(left(&service.state()), ["backups", "lock", "swap.json"]);
    service
        .swap(&["--dry-run"])
        .exits(0)
        .says("interrupted before it knew whether its candidate works");
    service
        .swap(&[])
        .exits(0)
        .notes("warning: an earlier swap was interrupted before it knew");
    assert_eq!(service.version(), "server 1.1");

    // And another one goes back to what was before, not to what nobody had checked.
    service.binary("next", "1.2", "exec sleep 1000");
    service.swap(&["--health-command", "kill -9 $PPID"]);
    service.binary("next", "1.3", "exit 1");
    service.swap(&[]).exits(1);
    assert_eq!(service.version(), "server 1.1");
    assert_eq!(left(&service.state()), ["backups", "lock"]);
}

#[test]
fn ctrl_c_when_the_candidate_is_in_place_goes_back() {
    let service = Service::new();
    service
        .swap(&["--health-command", "kill -INT $PPID; sleep 1000"])
        .exits(1)
        .notes("cancelled before")
        .notes("is in place again");
    assert_eq!(service.version(), "server 1.0");
}

#[test]
fn a_build_is_run_and_one_that_is_not_reproducible_is_pointed_out() {
    let service = Service::new();
    service.0.write("src/main.sh", "echo hello");
    let build = "echo building; cat src/main.sh > next; date +%N >> next";
    let options = ["--no-restart", "--build", build, "--sources", "src"];
    service.swap(&options).exits(0).notes("  building");
    service
        .swap(&options)
        .exits(0)
        .notes("warning: the build is not reproducible");
    service
        .swap(&["--no-restart", "--build", "echo 'error: type' >&2; exit 2"])
        .exits(1)
        .notes("the build failed")
        .notes("error: type");
}

/// From an installation that `lockstep update` keeps.
#[test]
fn a_file_of_a_release_is_swapped_in() {
    let service = Service::new();
    let served = service.0.served();
    service
        .0
        .run(&[
            "update",
            "--root",
            "tool",
            "--manifest",
            &served.manifest("1.0.0"),
        ])
        .exits(0);
    let release = [
        "hot-swap",
        "--target",
        "server",
        "--release",
        "tool",
        "--file",
        "src/main.py",
    ];
    let report = service
        .0
        .run(&[&release[..], &["--json"]].concat())
        .exits(0)
        .json();
    assert_eq!(report["release"], "1.0.0");
    assert_eq!(service.0.read("server"), "print('1.0.0')\n");
}

/// Each swap is a line of its own, and Ctrl-C is the way to end.
#[test]
fn watching_swaps_again_when_sources_change() {
    use std::io::{BufRead as _, BufReader};

    let service = Service::new();
    service.0.write("src/main.sh", "one");
    let mut watching = service
        .0
        .command(&[
            "hot-swap",
            "--target",
            "server",
            "--candidate",
            "next",
            "--build",
            "cp src/main.sh next",
            "--sources",
            "src",
            "--watch",
            "--json",
        ])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut next = || {
        let line = lines.next().unwrap().unwrap();
        serde_json::from_str::<serde_json::Value>(&line).unwrap()
    };
    assert_eq!(next()["outcome"], "swapped");
    service.0.write("src/main.sh", "two");
    assert_eq!(next()["outcome"], "swapped");
    assert_eq!(service.0.read("server"), "two");
    let pid = watching.id().to_string();
    Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert_eq!(watching.wait().unwrap().code(), Some(0));
}
