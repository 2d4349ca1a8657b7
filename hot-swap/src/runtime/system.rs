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

    /// From proc_pid_stat(5), from the third field on: the state; the fifth is the group, the 22nd the time of the start. The second may
    /// hold spaces and brackets.
    fn fields(process: &str) -> Option<Vec<String>> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let (_, rest) = stat.rsplit_once(") ")?;
        Some(rest.split(' ').map(str::to_owned).collect())
    }

    /// Whether it has ended, and only waits for its parent to notice.
    fn is_over(fields: &[String]) -> bool {
        fields
            .first()
            .is_none_or(|state| state == "Z" || state == "X")
    }

    fn started(process: u32) -> Option<u64> {
        let fields = fields(&process.to_string())?;
        if is_over(&fields) {
            return None;
        }
        fields.get(19)?.parse().ok()
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

    /// In which folder a process is, and whose it is.
    pub(in crate::runtime) fn is_mine_in(process: u32, folder: &std::path::Path) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let place = std::fs::read_link(format!("/proc/{process}/cwd"));
        let owner = std::fs::metadata(format!("/proc/{process}")).map(|metadata| metadata.uid());
        place.is_ok_and(|place| place == folder)
            && owner.is_ok_and(|owner| owner == rustix::process::geteuid().as_raw())
    }

    /// What tells this start of the system from others: proc_sys_kernel(5), `random/boot_id`.
    pub(in crate::runtime) fn boot() -> String {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        id.trim().to_owned()
    }

    pub(in crate::runtime) fn tell(process: u32, signal: Signal) -> io::Result<()> {
        match pid(process) {
            Some(pid) => Ok(kill_process(pid, of_system(signal))?),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Tells all processes of a group that this process made, whether or not the one lives that it was made for.
    pub(in crate::runtime) fn tell_group(leader: u32, signal: Signal) -> io::Result<()> {
        match pid(leader).map(|leader| kill_process_group(leader, of_system(signal))) {
            // Nobody is left.
            None | Some(Err(rustix::io::Errno::SRCH)) => Ok(()),
            Some(told) => Ok(told?),
        }
    }

    pub(in crate::runtime) fn kill_group(leader: u32) {
        if let Some(leader) = pid(leader) {
            // What has ended by itself needs no more.
            let _ = kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }

    /// Whether anybody of a group lives.
    pub(in crate::runtime) fn has_members(leader: u32) -> bool {
        let left = pid(leader).map(rustix::process::test_kill_process_group);
        if matches!(left, None | Some(Err(rustix::io::Errno::SRCH))) {
            return false;
        }
        if look(leader).is_some() {
            return true;
        }
        // Those that have ended, and that nobody has waited for, count above.
        let Ok(processes) = std::fs::read_dir("/proc") else {
            return true;
        };
        processes.flatten().any(|entry| {
            let fields = fields(&entry.file_name().to_string_lossy());
            fields.is_some_and(|fields| {
                !is_over(&fields)
                    && fields
                        .get(2)
                        .is_some_and(|group| *group == leader.to_string())
            })
        })
    }

    fn of_system(signal: Signal) -> rustix::process::Signal {
        use rustix::process::Signal as Os;
        match signal {
            Signal::Terminate => Os::TERM,
            Signal::Interrupt => Os::INT,
            Signal::Hangup => Os::HUP,
            Signal::User1 => Os::USR1,
            Signal::User2 => Os::USR2,
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

    pub(in crate::runtime) fn is_mine_in(_: u32, _: &Path) -> bool {
        false
    }

    pub(in crate::runtime) fn boot() -> String {
        String::new()
    }

    pub(in crate::runtime) fn tell(_: u32, _: Signal) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in crate::runtime) fn tell_group(_: u32, _: Signal) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in crate::runtime) fn kill_group(_: u32) {}

    pub(in crate::runtime) fn has_members(_: u32) -> bool {
        false
    }

    pub(in crate::runtime) fn separate(_: &mut Command) {}
}
