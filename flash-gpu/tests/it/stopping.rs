//! A warm-up that is stopped, takes too long, or is not alone.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flash_gpu::{CancellationToken, ErrorKind, FlashGpu, Outcome};

use crate::world::{World, exists, refuses, warm_up};

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
                assert!(!exists(world.path("cache/flash-gpu/.work")));
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
