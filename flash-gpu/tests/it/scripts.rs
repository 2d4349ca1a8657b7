//! What scripts do wrong.

use std::sync::Arc;

use durable_fs::{Disk, Effect, Observer, Verdict};
use flash_gpu::{
    CancellationToken, Error, ErrorKind, Event, FlashGpu, GpuProbe, GpuStack, Outcome, Rerun,
    Warmth,
};

use crate::world::{COUNT, World, l4, refuses, warm_up};

async fn is_cold(flash: &FlashGpu) -> bool {
    let check = flash.check(&CancellationToken::new()).await.unwrap();
    matches!(check.warmth, Warmth::Cold { .. })
}

#[tokio::test]
async fn an_exit_code_is_told_with_what_the_script_said() {
    let world = World::of("echo it is broken >&2; exit 3", &["cache/**"]);
    let error = world.refuses(ErrorKind::ScriptFailed).await;
    let log = world.path("cache/flash-gpu/last.log");
    assert_eq!(
        error.to_string(),
        format!(
            "src/warm.py ended with exit status: 3; what it printed is in {}",
            log.display()
        )
    );
    assert_eq!(error.log_tail(), Some("it is broken\n"));
    assert_eq!(error.log(), Some(&*log));
    assert_eq!(std::fs::read_to_string(log).unwrap(), "it is broken\n");
    assert!(is_cold(&world.flash()).await);
    assert_eq!(world.kept().paths(), ["last.log", "lock"]);
}

#[tokio::test]
async fn a_signal_is_told() {
    let world = World::of("kill -9 $$", &[]);
    let error = world.refuses(ErrorKind::ScriptFailed).await;
    assert!(error.to_string().contains("signal: 9"), "{error}");
}

#[tokio::test]
async fn a_failure_leaves_what_was_warm() {
    let world = World::of(
        "[ -e \"$LOCKSTEP_ROOT/fail\" ] && exit 1; mkdir -p cache; echo x > cache/a.bin",
        &["cache/**"],
    );
    world.warm_up().await.unwrap();
    world.write("fail", "");
    refuses(
        world.flash().with_rerun(Rerun::Always),
        ErrorKind::ScriptFailed,
    )
    .await;
    assert_eq!(world.warm_up().await.unwrap().outcome, Outcome::AlreadyWarm);
}

#[tokio::test]
async fn only_an_object_is_an_output() {
    for (script, said) in [
        ("exit 0", "wrote no output file"),
        ("echo '[1]' > \"$4\"; exit", "holds no JSON object"),
        ("echo '{\"a\": ' > \"$4\"; exit", "is no JSON"),
        ("printf '\\377' > \"$4\"; exit", "is no JSON"),
        (
            "head -c 2000000 /dev/zero > \"$4\"; exit",
            "more than 1048576 bytes",
        ),
        ("mkdir \"$4\"; exit", "its output is no file"),
        (
            "echo '{}' > there; ln -s \"$PWD/there\" \"$4\"; exit",
            "its output",
        ),
        ("mkfifo \"$4\"; exit", "its output is no file"),
    ] {
        let world = World::of(&format!("{COUNT}; echo said; {script}"), &[]);
        let error = world.refuses(ErrorKind::InvalidOutput).await;
        assert!(error.to_string().contains(said), "{script}: {error:?}");
        assert_eq!(error.log_tail(), Some("said\n"));
        assert_eq!(world.runs(), 1);
        assert!(is_cold(&world.flash()).await);
        // The folder of the warm-up is gone, whatever was in it.
        assert_eq!(world.works(), [""; 0], "{script}");
    }
}

#[tokio::test]
async fn a_script_that_leaves_nothing_is_an_error() {
    let world = World::of("echo done", &["cache/**/*.gguf", "cache/*.bin"]);
    let error = world.refuses(ErrorKind::NoArtifacts).await;
    assert!(
        error.to_string().contains("(cache/**/*.gguf, cache/*.bin)"),
        "{error}"
    );
    assert_eq!(error.log_tail(), Some("done\n"));
    assert!(is_cold(&world.flash()).await);
    assert_eq!(world.kept().paths(), ["last.log", "lock"]);
}

#[tokio::test]
async fn of_much_output_the_end_is_kept() {
    let world = World::of("seq 1 600000", &[]);
    let report = world.warm_up().await.unwrap();
    let log = std::fs::read_to_string(report.log.unwrap()).unwrap();
    assert!(log.starts_with("[what came before is left out]\n"));
    assert!(log.ends_with("\n599999\n600000\n") && log.len() < 1_100_000);
}

/// A disk that does not take the log.
#[derive(Debug)]
struct NoLog;

impl Observer for NoLog {
    fn before(&self, effect: &Effect<'_>) -> Verdict {
        match &effect.to {
            Some(to) if to.ends_with("last.log") => {
                Verdict::Fail(std::io::ErrorKind::StorageFull.into())
            }
            _ => Verdict::Proceed,
        }
    }

    fn after(&self, _: &Effect<'_>) {}
}

#[tokio::test]
async fn a_log_that_cannot_be_written_is_a_warning() {
    let unwritten = |world: &World| world.flash().with_disk(Disk::observed(Arc::new(NoLog)));
    let world = World::of("echo said; exit 3", &[]);
    let error = refuses(unwritten(&world), ErrorKind::ScriptFailed).await;
    assert_eq!(error.to_string(), "src/warm.py ended with exit status: 3");
    assert_eq!((error.log(), error.log_tail()), (None, Some("said\n")));

    let world = World::of("echo said", &[]);
    let report = warm_up(&unwritten(&world)).await.unwrap();
    assert_eq!((report.outcome, report.log), (Outcome::WarmedUp, None));
    let log = world.path("cache/flash-gpu/last.log");
    let expected = format!("cannot write {}", log.display());
    assert!(
        report.warnings[0].starts_with(&expected),
        "{:?}",
        report.warnings
    );
}

/// Answers the third question with more memory, and lets the script go on.
#[derive(Debug)]
struct Sampled {
    asked: std::sync::atomic::AtomicUsize,
    fifo: std::path::PathBuf,
}

#[async_trait::async_trait]
impl GpuProbe for Sampled {
    async fn detect(&self) -> Result<GpuStack, Error> {
        let number = self
            .asked
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut stack = l4();
        stack.gpus[0].memory_used = Some([10, 30, 900, 20][number.min(3)]);
        if number == 3 {
            // The script has it open for reading.
            std::fs::write(&self.fifo, "go on\n").unwrap();
        }
        Ok(stack)
    }
}

#[tokio::test]
async fn the_peak_is_seen_while_the_script_runs() {
    let world = World::of("read line < \"$LOCKSTEP_ROOT/fifo\"", &[]);
    let fifo = world.path("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = heard.clone();
    let flash = world
        .flash()
        .with_probe(Sampled {
            asked: 0.into(),
            fifo,
        })
        .with_sampling(std::time::Duration::from_millis(1))
        .with_observer(move |event: &Event| {
            if let Event::MemoryUsed(bytes) = event {
                seen.lock().unwrap().push(*bytes);
            }
        });
    let memory = warm_up(&flash).await.unwrap().memory;
    assert_eq!(
        (memory.before, memory.peak, memory.after),
        (Some(10), Some(900), Some(20))
    );
    assert_eq!(heard.lock().unwrap()[..3], [30, 900, 20]);
}
