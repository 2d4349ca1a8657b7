use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use crate::group::Group;
use crate::run::GRACE;
use crate::{Failed, Until, end_of};

/// What a program did that was listened to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Streamed {
    /// How it ended.
    pub status: ExitStatus,
    /// The end of what it printed, 16 KiB at most.
    pub end: String,
}

impl Streamed {
    /// As [`Ran::how_it_ended`](crate::Ran::how_it_ended).
    #[must_use]
    pub fn how_it_ended(&self, bytes: usize) -> String {
        crate::text::how_it_ended(self.status, end_of(self.end.trim_end(), bytes))
    }
}

const KEPT: usize = 16 * 1024;
/// A line that is longer is handed on in pieces.
const LONGEST_LINE: usize = 16 * 1024;

/// Runs a program and hands on what it prints, line by line: stdout and stderr, as they come. A progress bar's `\r` ends a line, too.
///
/// Memory is bounded, whatever it prints. If it leaves something behind that holds its output open, that is not waited for.
///
/// # Errors
/// [`Failed::Start`], [`Failed::Cancelled`], [`Failed::Deadline`].
///
/// # Cancel safety
/// If the future is dropped, the program and what it started are killed.
pub async fn stream(
    command: &mut Command,
    until: &Until,
    mut line: impl FnMut(&str) + Send,
) -> Result<Streamed, Failed> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = Group::start(command, until).await?;
    let (stdout, stderr) = (group.leader.stdout.take(), group.leader.stderr.take());
    let mut end = String::new();
    let finished = {
        let mut keep = |text: &str| {
            line(text);
            end.push_str(text);
            end.push('\n');
            if end.len() > 2 * KEPT {
                end.drain(..end.len() - end_of(&end, KEPT).len());
            }
        };
        let work = async {
            let both = read_lines(stdout, stderr, &mut keep);
            tokio::pin!(both);
            tokio::select! {
                () = &mut both => group.wait().await,
                status = group.wait() => {
                    let _ = tokio::time::timeout(GRACE, &mut both).await;
                    status
                }
            }
        };
        until.wait_for(work).await
    };
    match finished {
        Ok(status) => Ok(Streamed {
            status,
            end: end_of(&end, KEPT).to_owned(),
        }),
        Err(failed) => {
            group.end().await;
            Err(failed)
        }
    }
}

async fn read_lines(
    stdout: Option<impl AsyncRead + Unpin>,
    stderr: Option<impl AsyncRead + Unpin>,
    line: &mut impl FnMut(&str),
) {
    let (mut stdout, mut stderr) = (Lines::new(stdout), Lines::new(stderr));
    while stdout.is_open() || stderr.is_open() {
        // Dropping a read that has not happened loses nothing.
        tokio::select! {
            () = stdout.fill(), if stdout.is_open() => stdout.take(line),
            () = stderr.fill(), if stderr.is_open() => stderr.take(line),
        }
    }
}

/// One of the two pipes, and the part of a line that has come so far.
struct Lines<R> {
    pipe: Option<R>,
    begun: Vec<u8>,
    buffer: Vec<u8>,
    filled: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(pipe: Option<R>) -> Self {
        Self {
            pipe,
            begun: Vec::new(),
            buffer: vec![0; 8 * 1024],
            filled: 0,
        }
    }

    fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    async fn fill(&mut self) {
        let Some(pipe) = &mut self.pipe else { return };
        // What cannot be read is not said.
        self.filled = pipe.read(&mut self.buffer).await.unwrap_or(0);
        if self.filled == 0 {
            self.pipe = None;
        }
    }

    fn take(&mut self, line: &mut impl FnMut(&str)) {
        for &byte in &self.buffer[..self.filled] {
            if byte == b'\n' || byte == b'\r' || self.begun.len() == LONGEST_LINE {
                hand_on(&mut self.begun, line);
            }
            if byte != b'\n' && byte != b'\r' {
                self.begun.push(byte);
            }
        }
        if self.pipe.is_none() {
            hand_on(&mut self.begun, line);
        }
    }
}

/// Empty lines say nothing.
fn hand_on(begun: &mut Vec<u8>, line: &mut impl FnMut(&str)) {
    if !begun.is_empty() {
        line(&String::from_utf8_lossy(begun));
        begun.clear();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::CancellationToken;

    async fn lines(script: &str, until: &Until) -> (Vec<String>, Result<Streamed, Failed>) {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let streamed = stream(&mut command, until, |line| lines.push(line.to_owned())).await;
        (lines, streamed)
    }

    fn forever() -> Until {
        Until::cancelled(&CancellationToken::new())
    }

    #[tokio::test]
    async fn lines_come_one_by_one_and_the_end_is_kept() {
        let script = "echo one; printf '10%%\\r20%%\\r\\n\\n'; printf last; exit 3";
        let (lines, streamed) = lines(script, &forever()).await;
        assert_eq!(lines, ["one", "10%", "20%", "last"]);
        let streamed = streamed.unwrap();
        assert_eq!(streamed.status.code(), Some(3));
        assert_eq!(streamed.end, "one\n10%\n20%\nlast\n");
    }

    #[tokio::test]
    async fn both_pipes_are_heard() {
        let (mut lines, streamed) = lines("echo out; echo err >&2", &forever()).await;
        lines.sort();
        assert_eq!(lines, ["err", "out"]);
        assert!(streamed.unwrap().status.success());
    }

    #[tokio::test]
    async fn memory_is_bounded_whatever_is_printed() {
        let script = "head -c 200000 /dev/zero | tr '\\0' x; seq 1 30000";
        let (lines, streamed) = lines(script, &forever()).await;
        assert!(lines.iter().all(|line| line.len() <= LONGEST_LINE));
        let bytes: usize = lines.iter().map(String::len).sum();
        assert!(bytes > 300_000, "{bytes}");
        let end = streamed.unwrap().end;
        assert!(end.len() <= KEPT && end.ends_with("\n29999\n30000\n"));
    }

    #[tokio::test]
    async fn a_deadline_kills_the_program() {
        let until = forever().or_after(Duration::from_millis(50));
        let (lines, streamed) = lines("echo begun; exec sleep 1000", &until).await;
        assert!(matches!(streamed, Err(Failed::Deadline(_))));
        assert!(lines.len() <= 1);
    }

    #[tokio::test]
    async fn a_daemon_that_keeps_the_pipes_is_not_waited_for() {
        let (lines, streamed) = lines("sleep 1000 & echo $!", &forever()).await;
        assert!(streamed.unwrap().status.success());
        let ended = std::process::Command::new("kill")
            .arg(&lines[0])
            .status()
            .unwrap();
        assert!(ended.success(), "it lives on");
    }

    #[tokio::test]
    async fn what_is_left_behind_ends_if_it_is_to() {
        let until = forever().and_what_it_started();
        let (lines, streamed) = lines("sleep 1000 & echo $!; exit 3", &until).await;
        assert_eq!(streamed.unwrap().status.code(), Some(3));
        let is_there = || {
            let state = std::fs::read_to_string(format!("/proc/{}/stat", lines[0]));
            state.is_ok_and(|state| !state.contains(") Z"))
        };
        while is_there() {
            tokio::task::yield_now().await; // the kernel is at it
        }
    }

    #[tokio::test]
    async fn a_file_is_held_open_as_long_as_the_program_runs() {
        use std::io::{Seek as _, Write as _};
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"held\n").unwrap();
        file.rewind().unwrap();
        let until = forever().holding(file.try_clone().unwrap());
        let (read, streamed) = lines("cat", &until).await;
        assert_eq!(read, ["held"]);
        assert!(streamed.unwrap().status.success());
    }
}
