//! Being told to stop, and being in somebody's way.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::world::World;

/// Longer than anything here takes, so that a bug ends in a failure.
const PATIENCE: Duration = Duration::from_mins(1);

/// A source that accepts connections and never answers.
struct Silent {
    base: String,
    connections: mpsc::Receiver<TcpStream>,
}

impl Silent {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap());
        let (sender, connections) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if sender.send(stream).is_err() {
                    break;
                }
            }
        });
        Self { base, connections }
    }

    /// Waits until somebody asks for a file.
    fn asked(&self) -> TcpStream {
        self.connections.recv_timeout(PATIENCE).unwrap()
    }
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// A worker on the first release, and an update to the second that waits for a file.
fn stuck_update(world: &World, silent: &Silent) -> (Child, TcpStream) {
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
    let manifest = world.manifest("v2", &silent.base);
    let child = world
        .command(&["update", "--root", "root", "--manifest", &manifest])
        .spawn()
        .unwrap();
    (child, silent.asked())
}

#[test]
fn an_interrupted_update_leaves_the_old_release_active() {
    for told in [Signal::INT, Signal::TERM] {
        let (world, silent) = (World::new(), Silent::new());
        let (child, _connection) = stuck_update(&world, &silent);
        signal(&child, told);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            stderr.contains("stopping") && stderr.contains("error: cancelled"),
            "{stderr}"
        );

        let status = world
            .run(&["status", "--root", "root", "--json"])
            .exits(0)
            .json();
        assert_eq!(status["active"]["version"], "1.0.0");
        world.run(&["verify", "--root", "root"]).exits(0);
        let server = world.serve();
        world
            .run(&[
                "update",
                "--root",
                "root",
                "--manifest",
                "v2.json",
                "--mirror",
                &server.base,
            ])
            .exits(0);
    }
}

#[test]
fn an_update_that_is_stopped_while_its_health_is_asked_goes_back() {
    let world = World::new();
    let server = world.served();
    let update = |version: &str| {
        let manifest = server.manifest(version);
        ["update", "--root", "root", "--manifest"]
            .map(str::to_owned)
            .into_iter()
            .chain([manifest])
            .collect::<Vec<_>>()
    };
    let first = update("1.0.0");
    world
        .run(&first.iter().map(String::as_str).collect::<Vec<_>>())
        .exits(0);
    let second = update("1.1.0");
    let mut second: Vec<&str> = second.iter().map(String::as_str).collect();
    second.extend([
        "--health-command",
        "exec sleep 1000",
        "--health-deadline",
        "1000",
    ]);
    let child = world.command(&second).spawn().unwrap();
    while std::fs::read_to_string(world.path("root/current.txt")).unwrap() != "v1.1.0" {
        std::thread::yield_now();
    }
    signal(&child, Signal::INT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("error: cancelled") && stderr.contains("release 1.0.0 is active again"),
        "{stderr}"
    );
    let status = world
        .run(&["status", "--root", "root", "--json"])
        .exits(0)
        .json();
    assert_eq!(status["active"]["version"], "1.0.0");
    assert_eq!(status["active"]["on_trial"], false);
}

#[test]
fn a_second_process_is_told_to_wait() {
    let (world, silent) = (World::new(), Silent::new());
    let (child, _connection) = stuck_update(&world, &silent);
    for command in ["prune", "rollback", "repair"] {
        world
            .run(&[command, "--root", "root"])
            .exits(3)
            .notes("hint: wait");
        let busy = world
            .run(&[command, "--root", "root", "--json"])
            .exits(3)
            .json();
        assert_eq!(busy["error"]["kind"], "busy", "{command}");
    }
    // Reading waits for nobody.
    world.run(&["status", "--root", "root"]).exits(0);
    world.run(&["verify", "--root", "root"]).exits(0);
    signal(&child, Signal::KILL);
    child.wait_with_output().unwrap();
    world.run(&["prune", "--root", "root"]).exits(0);
}

#[test]
fn a_server_that_is_told_to_stop_ends_well() {
    for told in [Signal::INT, Signal::TERM] {
        let world = World::new();
        let mut server = world.serve();
        signal(&server.child, told);
        assert_eq!(server.child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn hashing_a_folder_can_be_stopped() {
    let world = World::new();
    let manifest = world.manifest("v1", "http://hq/");
    // Holes cost no space, and take minutes to hash.
    let endless = File::create(world.path("v1/endless.dat")).unwrap();
    endless.set_len(1 << 36).unwrap();
    for command in [
        &["publish", "v1", "--store", "store"][..],
        &["manifest", "create", "v1", "--output", "out.json"],
        &["manifest", "verify", &manifest, "--dir", "v1"],
        &["pack", "v1", "--out", "dist"],
    ] {
        for told in [Signal::INT, Signal::TERM] {
            let mut child = world.command(&[&["-v"], command].concat()).spawn().unwrap();
            let mut stderr = BufReader::new(child.stderr.take().unwrap());
            let mut said = String::new();
            while !said.contains("hashing v1") {
                assert_ne!(
                    stderr.read_line(&mut said).unwrap(),
                    0,
                    "{command:?}: {said}"
                );
            }
            signal(&child, told);
            stderr.read_to_string(&mut said).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(1), "{command:?}: {said}");
            assert!(said.contains("stopping"), "{said}");
            assert!(said.contains("error: cancelled\n"), "{said}");
        }
    }
    assert!(!world.path("store").exists());
    assert!(!world.path("out.json").exists());
    assert!(!world.path("dist").exists());
}
