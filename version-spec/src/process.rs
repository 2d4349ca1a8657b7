//! Running a program: with bounded output, and gone together with what it started when nobody waits for it any more.

use std::fs::File;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use crate::CancellationToken;

/// What a program did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    /// The end of it.
    pub(crate) stderr: String,
}

/// Why there is nothing to say about what a program did.
#[derive(Debug)]
pub(crate) enum Failed {
    /// It could not be started, or not be waited for.
    Start(io::Error),
    /// It printed more than was allowed.
    TooLong,
    Cancelled,
}

/// Of what a program complains about, the end matters.
const KEPT_OF_STDERR: usize = 32 * 1024;
/// A daemon that the program left behind may hold the pipes open for ever (ssh with `ControlPersist` does).
const GRACE: Duration = Duration::from_secs(1);

/// Runs a program without input, in a process group of its own. Its output may have at most `limit` bytes.
///
/// If the token is cancelled the whole group is killed, and waited for as far as it is ours; if the future is dropped it is killed.
pub(crate) async fn run(
    command: &mut Command,
    limit: usize,
    cancel: &CancellationToken,
) -> Result<Ran, Failed> {
    if cancel.is_cancelled() {
        return Err(Failed::Cancelled);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    group::separate(command);
    let mut child = command.spawn().map_err(Failed::Start)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut group = Group(child);
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
                    group.0.wait().await.map_err(Failed::Start)
                }
                status = group.0.wait() => {
                    if let Ok(read) = tokio::time::timeout(GRACE, &mut both).await {
                        read?;
                    }
                    status.map_err(Failed::Start)
                }
            }
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Failed::Cancelled),
            finished = work => finished,
        }
    };
    match finished {
        Ok(status) => Ok(Ran {
            status,
            stdout: output,
            stderr: String::from_utf8_lossy(&said).into_owned(),
        }),
        Err(failed) => {
            group.kill();
            // Killed, it ends at once; a failure to wait changes nothing.
            let _ = group.0.wait().await;
            Err(failed)
        }
    }
}

/// As [`run`], with everything that the program prints going to a file.
pub(crate) async fn run_into(
    command: &mut Command,
    file: &File,
    cancel: &CancellationToken,
) -> Result<ExitStatus, Failed> {
    if cancel.is_cancelled() {
        return Err(Failed::Cancelled);
    }
    let (stdout, stderr) = (
        file.try_clone().map_err(Failed::Start)?,
        file.try_clone().map_err(Failed::Start)?,
    );
    command
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .kill_on_drop(true);
    group::separate(command);
    let mut group = Group(command.spawn().map_err(Failed::Start)?);
    let ended = tokio::select! {
        biased;
        () = cancel.cancelled() => None,
        status = group.0.wait() => Some(status),
    };
    if let Some(status) = ended {
        return status.map_err(Failed::Start);
    }
    group.kill();
    // Killed, it ends at once; a failure to wait changes nothing.
    let _ = group.0.wait().await;
    Err(Failed::Cancelled)
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

/// A process and what it started.
struct Group(Child);

impl Group {
    fn kill(&mut self) {
        // Once it was waited for, its number may be another's.
        if let Some(id) = self.0.id() {
            group::kill(id);
            let _ = self.0.start_kill(); // where there are no groups
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(unix)]
mod group {
    use rustix::process::{Pid, Signal, kill_process_group};
    use tokio::process::Command;

    pub(super) fn separate(command: &mut Command) {
        command.process_group(0);
    }

    pub(super) fn kill(id: u32) {
        if let Some(group) = i32::try_from(id).ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(not(unix))]
mod group {
    use tokio::process::Command;

    pub(super) fn separate(_command: &mut Command) {}

    pub(super) fn kill(_id: u32) {}
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn output_and_status_come_back() {
        let cancel = CancellationToken::new();
        let ran = run(&mut shell("echo out; echo err >&2; exit 3"), 100, &cancel)
            .await
            .unwrap();
        assert_eq!(
            (ran.status.code(), &*ran.stdout, &*ran.stderr),
            (Some(3), &b"out\n"[..], "err\n")
        );
        let much = run(
            &mut shell("head -c 300000 /dev/zero >&2; echo end >&2"),
            100,
            &cancel,
        )
        .await
        .unwrap();
        assert!(much.stderr.ends_with("end\n") && much.stderr.len() < 100_000);
        let failed = run(&mut shell("while echo more; do :; done"), 1000, &cancel).await;
        assert!(matches!(failed, Err(Failed::TooLong)));
        let failed = run(&mut Command::new("/nonexistent/program"), 1000, &cancel).await;
        assert!(matches!(failed, Err(Failed::Start(_))));
    }

    #[tokio::test]
    async fn a_daemon_that_keeps_the_pipes_is_not_waited_for() {
        let ran = run(
            &mut shell("sleep 1000 & echo $!"),
            100,
            &CancellationToken::new(),
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
        let ran = run(&mut shell(&script), 100, &cancel).await;
        assert!(matches!(ran, Err(Failed::Cancelled)));
        assert_eq!(reader.await.unwrap(), 0);
    }
}
