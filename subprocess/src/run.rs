use std::fs::File;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use crate::group::Group;
use crate::{Failed, Until};

/// What a program did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// The end of what it complained about, 32 KiB at least if it was that much.
    pub stderr: String,
}

impl Ran {
    /// The end of what it said, at most so many bytes: what it complained about, or else what it printed.
    #[must_use]
    pub fn last_words(&self, bytes: usize) -> String {
        let stdout = String::from_utf8_lossy(&self.stdout);
        let said = match self.stderr.trim_end() {
            "" => stdout.trim_end(),
            stderr => stderr,
        };
        crate::end_of(said, bytes).to_owned()
    }

    /// How it ended, with its [last words](Self::last_words) if there are any: `ended with exit status: 1: no such file`.
    #[must_use]
    pub fn how_it_ended(&self, bytes: usize) -> String {
        crate::text::how_it_ended(self.status, &self.last_words(bytes))
    }
}

/// Of what a program complains about, the end matters.
const KEPT_OF_STDERR: usize = 32 * 1024;
/// A daemon that the program left behind may hold the pipes open for ever (ssh with `ControlPersist` does).
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// Runs a program to its end, whatever that is. What it prints may have at most `limit` bytes; of what it complains about, the end is kept.
///
/// If it leaves something behind that holds its output open, that is not waited for.
///
/// # Errors
/// [`Failed::Start`], [`Failed::TooLong`], [`Failed::Cancelled`], [`Failed::Deadline`].
///
/// # Cancel safety
/// If the future is dropped, the program and what it started are killed.
pub async fn run(command: &mut Command, limit: usize, until: &Until) -> Result<Ran, Failed> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = Group::start(command, until).await?;
    let (stdout, stderr) = (group.leader.stdout.take(), group.leader.stderr.take());
    let (mut output, mut said) = (Vec::new(), Vec::new());
    let finished = {
        let read_stdout = read_all(stdout, &mut output, limit);
        let read_stderr = read_end(stderr, &mut said);
        let work = async {
            let both = async { tokio::join!(read_stdout, read_stderr).0 };
            tokio::pin!(both);
            tokio::select! {
                read = &mut both => {
                    read?;
                    group.wait().await
                }
                status = group.wait() => {
                    if let Ok(read) = tokio::time::timeout(GRACE, &mut both).await {
                        read?;
                    }
                    status
                }
            }
        };
        until.wait_for(work).await
    };
    match finished {
        Ok(status) => Ok(Ran {
            status,
            stdout: output,
            stderr: String::from_utf8_lossy(&said).into_owned(),
        }),
        Err(failed) => {
            group.end().await;
            Err(failed)
        }
    }
}

/// As [`run`], with everything that the program prints going to a file. Returns how it ended.
///
/// # Errors
/// As [`run`], without [`Failed::TooLong`].
pub async fn run_into(
    command: &mut Command,
    file: &File,
    until: &Until,
) -> Result<ExitStatus, Failed> {
    let (stdout, stderr) = (
        file.try_clone().map_err(Failed::Start)?,
        file.try_clone().map_err(Failed::Start)?,
    );
    command.stdout(stdout).stderr(stderr);
    let mut group = Group::start(command, until).await?;
    let ended = async { group.wait().await };
    let ended = until.wait_for(ended).await;
    if ended.is_err() {
        group.end().await;
    }
    ended
}

async fn read_all(
    pipe: Option<impl AsyncRead + Unpin>,
    into: &mut Vec<u8>,
    limit: usize,
) -> Result<(), Failed> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = pipe.read(&mut buffer).await.map_err(Failed::Start)?;
        if count == 0 {
            return Ok(());
        }
        if into.len() + count > limit {
            return Err(Failed::TooLong);
        }
        into.extend_from_slice(&buffer[..count]);
    }
}

async fn read_end(pipe: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = vec![0; 16 * 1024];
    // What cannot be read is not said.
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        into.extend_from_slice(&buffer[..count]);
        if into.len() > 2 * KEPT_OF_STDERR {
            into.drain(..into.len() - KEPT_OF_STDERR);
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::CancellationToken;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn output_and_status_come_back() {
        let until = Until::cancelled(&CancellationToken::new());
        let ran = run(&mut shell("echo out; echo err >&2; exit 3"), 100, &until)
            .await
            .unwrap();
        assert_eq!(
            (ran.status.code(), &*ran.stdout, &*ran.stderr),
            (Some(3), &b"out\n"[..], "err\n")
        );
        let much = run(
            &mut shell("head -c 300000 /dev/zero >&2; echo end >&2"),
            100,
            &until,
        )
        .await
        .unwrap();
        assert!(much.stderr.ends_with("end\n") && much.stderr.len() < 100_000);
        let failed = run(&mut shell("while echo more; do :; done"), 1000, &until).await;
        assert!(matches!(failed, Err(Failed::TooLong)));
        let failed = run(&mut Command::new("/nonexistent/program"), 1000, &until).await;
        assert!(matches!(failed, Err(Failed::Start(_))));
    }

    #[tokio::test]
    async fn a_daemon_that_keeps_the_pipes_is_not_waited_for() {
        let ran = run(
            &mut shell("sleep 1000 & echo $!"),
            100,
            &Until::cancelled(&CancellationToken::new()),
        )
        .await
        .unwrap();
        let daemon = String::from_utf8(ran.stdout).unwrap();
        let ended = std::process::Command::new("kill")
            .arg(daemon.trim())
            .status()
            .unwrap();
        assert!(ended.success(), "it lives on");
    }

    #[tokio::test]
    async fn what_was_started_is_killed_too() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .unwrap()
                .success()
        );
        // The grandchild holds the FIFO open, so that reading it ends when the grandchild does.
        let script = format!("(echo here; exec sleep 1000) > '{}' & wait", fifo.display());
        let cancel = CancellationToken::new();
        let reader = tokio::task::spawn_blocking({
            let cancel = cancel.clone();
            move || {
                use std::io::Read as _;
                let mut file = std::fs::File::open(fifo).unwrap();
                let mut text = [0; 5];
                file.read_exact(&mut text).unwrap();
                cancel.cancel();
                file.read_to_end(&mut Vec::new()).unwrap()
            }
        });
        let ran = run(&mut shell(&script), 100, &Until::cancelled(&cancel)).await;
        assert!(matches!(ran, Err(Failed::Cancelled)));
        assert_eq!(reader.await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_takes_too_long_is_killed_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!(
            "sleep 1000 & echo $! > '{}.new'; mv '{0}.new' '{0}'; wait",
            pid.display()
        );
        let until = Until::cancelled(&CancellationToken::new())
            .or_after(std::time::Duration::from_millis(500));
        let ran = run(&mut shell(&script), 100, &until).await;
        assert!(matches!(ran, Err(Failed::Deadline(_))), "{ran:?}");
        // On a busy machine it may not have come to that.
        let Ok(pid) = std::fs::read_to_string(pid) else {
            return;
        };
        let lives = || {
            let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
            // A zombie has ended, and nobody has waited for it yet.
            state.is_ok_and(|state| !state.contains(") Z"))
        };
        while lives() {
            tokio::task::yield_now().await; // the kernel is at it
        }
    }

    #[test]
    fn last_words_are_the_complaints_if_there_are_any() {
        use std::os::unix::process::ExitStatusExt as _;
        let ran = |stdout: &str, stderr: &str| Ran {
            status: ExitStatus::from_raw(0),
            stdout: stdout.into(),
            stderr: stderr.into(),
        };
        assert_eq!(ran("out\n", "\n").last_words(100), "out");
        assert_eq!(ran("out\n", "some err\n").last_words(3), "err");
        assert_eq!(ran("", "").how_it_ended(9), "ended with exit status: 0");
        assert_eq!(
            ran("", "err\n").how_it_ended(9),
            "ended with exit status: 0: err"
        );
    }

    #[tokio::test]
    async fn a_program_that_is_still_being_written_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        std::fs::copy("/bin/true", &program).unwrap();
        let writing = std::fs::OpenOptions::new().append(true).open(&program);
        let mut writing = Some(writing.unwrap());
        let mut command = Command::new(&program);
        assert_eq!(
            command.spawn().unwrap_err().kind(),
            std::io::ErrorKind::ExecutableFileBusy
        );
        let until = Until::cancelled(&CancellationToken::new());
        let ran = run(&mut command, 100, &until);
        tokio::pin!(ran);
        // The first try fails; then nobody writes any more.
        assert!(poll_once(ran.as_mut()).await.is_none());
        drop(writing.take());
        assert!(ran.await.unwrap().status.success());
    }

    /// Polls once.
    async fn poll_once<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
        std::future::poll_fn(|context| {
            let polled = std::pin::Pin::new(&mut future).poll(context);
            std::task::Poll::Ready(match polled {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
