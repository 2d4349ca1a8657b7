//! A warm-up that is stopped, takes too long, or is not alone.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flash_gpu::{CancellationToken, ErrorKind, FlashGpu, Outcome};

use crate::world::{Machine, World, exists, flash, l4, refuses, warm_up};

pub(crate) fn make_fifo(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

/// The script starts a program that holds a FIFO open, and waits for ever: reading the FIFO ends when that program does.
fn hanging() -> (World, PathBuf) {
    let script = "[ -e \"$LOCKSTEP_ROOT/quick\" ] || {
        (echo here; exec sleep 1000) > \"$LOCKSTEP_ROOT/fifo\" &
        echo started
        wait
    }";
    let world = World::of(script, &[]);
    let fifo = world.path("fifo");
    make_fifo(&fifo);
    (world, fifo)
}

/// Calls `then` when the script's child runs, and returns when it is gone.
fn watch(fifo: PathBuf, then: impl FnOnce() + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::task::spawn_blocking(move || {
        let mut file = fs::File::open(fifo).unwrap();
        file.read_exact(&mut [0; 5]).unwrap();
        then();
        assert_eq!(file.read_to_end(&mut Vec::new()).unwrap(), 0);
    })
}

/// Whoever gave up has left nothing in the way.
async fn finishes(world: &World) {
    world.write("quick", "");
    for _ in 0..5_000 {
        match world.warm_up().await {
            Err(error) if error.kind() == ErrorKind::Busy => tokio::task::yield_now().await,
            done => {
                assert_eq!(done.unwrap().outcome, Outcome::WarmedUp);
                assert_eq!(world.works(), [""; 0]);
                return;
            }
        }
    }
    panic!("the lock was never freed");
}

#[tokio::test]
async fn a_deadline_kills_the_script_and_what_it_started() {
    let (world, fifo) = hanging();
    let gone = watch(fifo, || ());
    let flash = world.flash().with_deadline(Duration::from_millis(500));
    let error = refuses(flash, ErrorKind::Deadline).await;
    gone.await.unwrap();
    assert!(
        error
            .to_string()
            .contains("src/warm.py did not end within 0.5 s"),
        "{error}"
    );
    assert_eq!(error.log_tail(), Some("started\n"));
    assert_eq!(world.read("cache/flash-gpu/last.log"), "started\n");
    finishes(&world).await;
}

#[tokio::test]
async fn cancelling_kills_the_script_and_what_it_started() {
    let (world, fifo) = hanging();
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let gone = watch(fifo, move || stop.cancel());
    let error = world.flash().warm_up(&cancel).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    gone.await.unwrap();
    finishes(&world).await;
}

#[tokio::test]
async fn dropping_the_future_does_too() {
    let (world, fifo) = hanging();
    let (send, started) = tokio::sync::oneshot::channel();
    let gone = watch(fifo, move || send.send(()).unwrap());
    let flash = world.flash();
    tokio::select! {
        done = warm_up(&flash) => panic!("{done:?}"),
        started = started => started.unwrap(),
    }
    gone.await.unwrap();
    finishes(&world).await;
}

#[tokio::test]
async fn what_is_cancelled_before_does_nothing() {
    let world = World::of("", &[]);
    let cancel = CancellationToken::new();
    cancel.cancel();
    let error = world.flash().warm_up(&cancel).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    let error = world.flash().check(&cancel).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(!exists(world.path("cache")));
}

const ROOT_OF_CHILD: &str = "LOCKSTEP_ROOT_OF_CHILD";

/// Not a test: what the child process of the next one runs, until it is killed.
#[tokio::test]
async fn child_that_warms_up() {
    let Some(root) = std::env::var_os(ROOT_OF_CHILD) else {
        return;
    };
    let flash = flash(Path::new(&root)).with_probe(Machine::new(l4()));
    warm_up(&flash).await.unwrap();
}

#[tokio::test]
async fn nobody_warms_up_beside_the_script_of_one_that_was_killed() {
    let script = "[ -e \"$LOCKSTEP_ROOT/quick\" ] || read go_on < \"$LOCKSTEP_ROOT/fifo\"
        dirname \"$4\" >> \"$LOCKSTEP_ROOT/works\"";
    let world = World::of(script, &[]);
    let fifo = world.path("fifo");
    make_fifo(&fifo);
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "stopping::child_that_warms_up"])
        .env(ROOT_OF_CHILD, world.root())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // Opening it waits for the script to open its other end.
    let opened = tokio::task::spawn_blocking(|| fs::File::options().write(true).open(fifo));
    let opened = opened.await.unwrap().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let impatient = world.flash().with_deadline(Duration::from_secs(5));
    let error = refuses(impatient, ErrorKind::Busy).await;
    assert!(
        error
            .to_string()
            .contains("the script of an interrupted warm-up may still be running"),
        "{error}"
    );
    let left = world.works();
    assert_eq!(left.len(), 1);
    drop(opened);
    finishes(&world).await;
    let works = world.read("works");
    let works: Vec<&str> = works.lines().collect();
    assert!(works.len() == 2 && works[0] != works[1], "{works:?}");
    assert!(works[0].ends_with(&left[0]));
}

#[tokio::test]
async fn a_worker_that_the_script_leaves_behind_ends_with_it() {
    let script = "(echo here; exec sleep 1000) > \"$LOCKSTEP_ROOT/fifo\" &
        read go_on < \"$LOCKSTEP_ROOT/go\"";
    let world = World::of(script, &[]);
    let (fifo, go) = (world.path("fifo"), world.path("go"));
    make_fifo(&fifo);
    make_fifo(&go);
    let gone = watch(fifo, move || fs::write(go, "on\n").unwrap());
    assert_eq!(world.warm_up().await.unwrap().outcome, Outcome::WarmedUp);
    gone.await.unwrap();
}

#[tokio::test]
async fn one_warm_up_runs_at_a_time() {
    let (world, fifo) = hanging();
    let cancel = CancellationToken::new();
    let (send, started) = tokio::sync::oneshot::channel();
    let gone = watch(fifo, move || send.send(()).unwrap());
    let (flash, stop) = (world.flash(), cancel.clone());
    let first = tokio::spawn(async move { flash.warm_up(&stop).await });
    started.await.unwrap();
    let error = world.refuses(ErrorKind::Busy).await;
    assert!(
        error.to_string().contains("is being warmed up by"),
        "{error}"
    );
    // Looking needs no lock.
    let flash: FlashGpu = world.flash();
    flash.check(&CancellationToken::new()).await.unwrap();
    cancel.cancel();
    first.await.unwrap().unwrap_err();
    gone.await.unwrap();
    finishes(&world).await;
}
