//! Row 53 and row 60 many times: whoever comes second hears that it is busy, and readers see whole releases only.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use downloader::MemoryDownloader;
use updater::{CancellationToken, Downgrade, Error, ErrorKind, Updater};

use crate::support::{Release, apply, builder, write};

/// Tells a process of this test what to do.
const ROLE: &str = "LOCKSTEP_TOGETHER_ROLE";
const ROOT: &str = "LOCKSTEP_TOGETHER_ROOT";
/// Changes that each process gets done, however often it is refused as busy.
const ROUNDS: usize = 150;

/// Releases that follow each other in a circle, so that each time one has to be put together. The last two are one
/// version.
fn releases() -> Vec<Release> {
    let marked = |version: &str, marker: &str| {
        Release::new(version)
            .with_globs([".env"])
            .with_base(crate::support::url(&format!("http://{marker}.test/")))
            .file("marker", marker)
            .file("deep/marker", marker)
            .file("same", "the same in all")
    };
    vec![
        marked("1.0.0", "one"),
        marked("1.1.0", "two"),
        marked("1.2.0", "three"),
        marked("1.2.0", "four"),
    ]
}

fn updater(root: &Path) -> Updater {
    let memory = MemoryDownloader::new();
    for release in releases() {
        release.serve_at(&memory, release.base());
    }
    builder(root, Arc::new(memory))
        .with_downgrade(Downgrade::Allow)
        .build()
        .unwrap()
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(future)
}

/// Whether it was done; anything but that and Busy is a failure.
#[track_caller]
fn done_or_busy<T>(result: Result<T, Error>) -> bool {
    match result {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::Busy => false,
        Err(error) => panic!("{error:?}"),
    }
}

/// What a process of this test does. Without a role it is nothing to do.
#[test]
fn a_process_that_works_beside_others() {
    let (Some(role), Some(root)) = (std::env::var_os(ROLE), std::env::var_os(ROOT)) else {
        return;
    };
    let (role, updater) = (role.to_str().unwrap(), updater(Path::new(&root)));
    let (releases, cancel) = (releases(), CancellationToken::new());
    let (mut done, mut busy) = (0, 0);
    while done < ROUNDS {
        let is_done = match role {
            "prune" => done_or_busy(wait(updater.prune())),
            "repair" => done_or_busy(wait(updater.repair(&cancel))),
            "forwards" => done_or_busy(wait(apply(&updater, &releases[done % releases.len()]))),
            "backwards" => {
                let back = releases.len() - 1 - done % releases.len();
                done_or_busy(wait(apply(&updater, &releases[back])))
            }
            _ => panic!("{role}?"),
        };
        if is_done {
            done += 1;
        } else {
            busy += 1;
            std::thread::yield_now();
        }
    }
    println!("{role}: {done} done, {busy} times busy");
}

fn start(role: &str, root: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "together::a_process_that_works_beside_others"])
        .args(["--nocapture", "--test-threads=1"])
        .envs([(ROLE, role.as_ref()), (ROOT, root.as_os_str())])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads the active release as a program does that knows nothing of updates: resolve, then read. Returns the marker.
fn read_active(root: &Path) -> String {
    let current = || fs::read_to_string(root.join("current.txt")).unwrap();
    for _ in 0..1000 {
        let active = current();
        let folder = root.join("releases").join(&active);
        match fs::read_to_string(folder.join("marker")) {
            Ok(marker) => return marker,
            // It was deleted since: then another one is active, or was.
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}"),
        }
    }
    panic!("the active release is never there");
}

#[test]
fn d53_updaters_prune_repair_and_readers_together() {
    let folder = testkit::scratch();
    let root = folder.path().join("tool");
    let releases = releases();
    wait(apply(&updater(&root), &releases[0])).unwrap();
    let mine = root.join("releases/v1.0.0/notes.txt");
    write(&mine, "mine");

    let (over, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
    let markers = ["one", "two", "three", "four"];
    let mut done = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let marker = read_active(&root);
                assert!(markers.contains(&marker.as_str()), "{marker:?}");
                reads.fetch_add(1, Ordering::Relaxed);
            }
        });
        let roles = ["forwards", "backwards", "prune", "repair"];
        let processes: Vec<Child> = roles.map(|role| start(role, &root)).into();
        let outputs: Vec<_> = processes
            .into_iter()
            .map(|process| process.wait_with_output().unwrap())
            .collect();
        over.store(true, Ordering::Relaxed);
        for output in outputs {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{said}");
            done.extend(
                said.lines()
                    .find(|line| line.contains(" done, "))
                    .map(str::to_owned),
            );
        }
    });
    assert_eq!(done.len(), 4, "{done:?}");
    println!("{done:?}, {} reads", reads.load(Ordering::Relaxed));
    assert!(reads.load(Ordering::Relaxed) > 0);

    // Whoever was last: one whole release, the user's file in it, and nothing left over.
    let updater = updater(&root);
    let report = wait(updater.verify(&CancellationToken::new())).unwrap();
    assert!(report.is_intact(), "{:?}", report.findings);
    let active = fs::read_to_string(root.join("current.txt")).unwrap();
    let notes = root.join("releases").join(&active).join("notes.txt");
    assert_eq!(fs::read_to_string(notes).unwrap(), "mine");
    assert!(!root.join(".lockstep/kept").exists());
    let last = if active == "v1.0.0" {
        &releases[1]
    } else {
        &releases[0]
    };
    wait(apply(&updater, last)).unwrap();
    let left: Vec<_> = fs::read_dir(root.join("releases/.staging"))
        .unwrap()
        .collect();
    assert!(left.len() <= 1, "{left:?}");
}

#[test]
fn d53_the_lock_of_a_killed_process_is_taken_at_once() {
    let folder = testkit::scratch();
    let root = folder.path().join("tool");
    let releases = releases();
    wait(apply(&updater(&root), &releases[0])).unwrap();
    for round in 0..10_u32 {
        let mut process = start("forwards", &root);
        // Somewhere within its work: which step is not controlled here, but in `explore.rs`.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(u64::from(round * 7 % 40)) {
            read_active(&root);
        }
        process.kill().unwrap();
        process.wait().unwrap();
        let updater = updater(&root);
        let report = wait(updater.verify(&CancellationToken::new())).unwrap();
        assert!(report.is_intact(), "{:?}", report.findings);
        wait(apply(&updater, &releases[round as usize % releases.len()])).unwrap();
    }
}
