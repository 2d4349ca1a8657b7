//! Processes of this machine, as far as the operating system shows them. What differs between systems is here and nowhere else.

#[cfg(unix)]
pub(super) use unix::*;

#[cfg(not(unix))]
pub(super) use other::*;

/// What is known of a process that lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// When it was started, in the system's own count; 0 where that is not shown. A number that was given to another process since
    /// has another one.
    pub(super) started: u64,
}

/// What a process can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// `SIGTERM`
    Terminate,
    /// `SIGINT`
    Interrupt,
    /// `SIGHUP`
    Hangup,
    /// `SIGUSR1`
    User1,
    /// `SIGUSR2`
    User2,
}

#[cfg(unix)]
mod unix {
    use std::io;
    use std::path::PathBuf;

    use rustix::process::{Pid, kill_process, kill_process_group, test_kill_process};
    use subprocess::Command;

    use super::{Process, Signal};

    fn pid(process: u32) -> Option<Pid> {
        i32::try_from(process).ok().and_then(Pid::from_raw)
    }

    /// The process with a number, if it lives.
    pub(in crate::runtime) fn look(process: u32) -> Option<Process> {
        let pid = pid(process)?;
        if cfg!(target_os = "linux") {
            let started = started(process)?;
            return Some(Process {
                pid: process,
                started,
            });
        }
        // Not permitted to be told anything, it lives all the same.
        match test_kill_process(pid) {
            Ok(()) | Err(rustix::io::Errno::PERM) => Some(Process {
                pid: process,
                started: 0,
            }),
            Err(_) => None,
        }
    }

    /// From proc_pid_stat(5): the third field is the state, the 22nd the time of the start. The second may hold spaces and brackets.
    fn started(process: u32) -> Option<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let (_, rest) = stat.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        match fields.next()? {
            "Z" | "X" => None, // it has ended, and waits for its parent to notice
            _ => fields.nth(18)?.parse().ok(),
        }
    }

    /// The file that a process runs, and how it was called.
    pub(in crate::runtime) fn called(process: u32) -> Option<(PathBuf, Vec<String>)> {
        let program = std::fs::read_link(format!("/proc/{process}/exe")).ok()?;
        let arguments = std::fs::read(format!("/proc/{process}/cmdline")).ok()?;
        let arguments = String::from_utf8_lossy(&arguments);
        let arguments = arguments.split_terminator('\0').map(str::to_owned);
        Some((program, arguments.collect()))
    }

    /// Whether a process runs the file that has this path now.
    pub(in crate::runtime) fn runs(process: u32, target: &std::path::Path) -> Option<bool> {
        use std::os::unix::fs::MetadataExt as _;
        let running = std::fs::metadata(format!("/proc/{process}/exe")).ok()?;
        let target = std::fs::metadata(target).ok()?;
        Some((running.dev(), running.ino()) == (target.dev(), target.ino()))
    }

    pub(in crate::runtime) fn tell(process: &Process, signal: Signal) -> io::Result<()> {
        use rustix::process::Signal as Os;
        let signal = match signal {
            Signal::Terminate => Os::TERM,
            Signal::Interrupt => Os::INT,
            Signal::Hangup => Os::HUP,
            Signal::User1 => Os::USR1,
            Signal::User2 => Os::USR2,
        };
        let Some(pid) = pid(process.pid) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        Ok(kill_process(pid, signal)?)
    }

    /// With what it started, if it leads a group of its own.
    pub(in crate::runtime) fn kill(process: &Process) {
        if let Some(pid) = pid(process.pid) {
            // What has ended by itself needs no more.
            let _ = kill_process_group(pid, rustix::process::Signal::KILL);
            let _ = kill_process(pid, rustix::process::Signal::KILL);
        }
    }

    /// Ctrl-C at our terminal is not meant for the service.
    pub(in crate::runtime) fn separate(command: &mut Command) {
        command.process_group(0);
    }
}

#[cfg(not(unix))]
mod other {
    use std::io;
    use std::path::{Path, PathBuf};

    use subprocess::Command;

    use super::{Process, Signal};

    pub(in crate::runtime) fn look(_: u32) -> Option<Process> {
        None
    }

    pub(in crate::runtime) fn called(_: u32) -> Option<(PathBuf, Vec<String>)> {
        None
    }

    pub(in crate::runtime) fn runs(_: u32, _: &Path) -> Option<bool> {
        None
    }

    pub(in crate::runtime) fn tell(_: &Process, _: Signal) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in crate::runtime) fn kill(_: &Process) {}

    pub(in crate::runtime) fn separate(_: &mut Command) {}
}
