//! The note beside a pid file that says which process was started, so that nobody else with its number is taken for it.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use durable_fs::Dir;
use serde::{Deserialize, Serialize};

use super::system::{self, Process};
use crate::error::Doing as _;
use crate::{Error, ErrorKind};

const MAX_LENGTH: u64 = 4096;

/// A process that was started, or is about to be.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Started {
    /// Of the system: numbers start anew with it.
    boot: String,
    /// `None` from just before the start until just after.
    pid: Option<u32>,
    /// In the system's own count.
    time: u64,
}

impl Started {
    fn name(pid_file: &OsStr) -> OsString {
        let mut name = pid_file.to_owned();
        name.push(".started");
        name
    }

    /// A damaged note says nothing.
    pub(super) fn read(dir: &Dir, pid_file: &OsStr) -> Result<Option<Self>, Error> {
        match dir.read(Self::name(pid_file), MAX_LENGTH) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error).doing(|| "cannot read which process was started".into()),
        }
    }

    /// Before the start: a crash must not leave a process that nobody knows of.
    pub(super) fn begin(dir: &Dir, pid_file: &OsStr) -> Result<(), Error> {
        let begun = Self {
            boot: system::boot(),
            pid: None,
            time: 0,
        };
        begun.write(dir, pid_file)
    }

    /// After the start.
    pub(super) fn note(dir: &Dir, pid_file: &OsStr, pid: u32) -> Result<(), Error> {
        let started = Self {
            boot: system::boot(),
            pid: Some(pid),
            // If it has ended already, what it started may still live.
            time: system::look(pid).map_or(0, |process| process.started),
        };
        started.write(dir, pid_file)
    }

    fn write(&self, dir: &Dir, pid_file: &OsStr) -> Result<(), Error> {
        let during = || "cannot note which process is started".to_owned();
        let bytes = serde_json::to_vec(self)
            .map_err(|error| Error::new(ErrorKind::Io, during()).with_source(error))?;
        dir.replace_file(Self::name(pid_file), &bytes).doing(during)
    }

    /// Whether the start came to its note.
    pub(super) fn is_known(&self) -> bool {
        self.pid.is_some()
    }

    /// The process, if it lives.
    pub(super) fn process(&self) -> Option<Process> {
        let process = system::look(self.pid?)?;
        (self.boot == system::boot() && process.started == self.time).then_some(process)
    }

    /// The group that it was made the leader of, unless that number is somebody else's by now. As long as anybody of the group lives, the
    /// kernel gives the number to no other process.
    pub(super) fn group(&self) -> Option<u32> {
        let pid = self.pid.filter(|_| self.boot == system::boot())?;
        match system::look(pid) {
            Some(process) if process.started != self.time => None,
            _ => Some(pid),
        }
    }

    /// The one process that was called so, in this folder and by this user, if the start was not noted.
    pub(super) fn find(
        self,
        program: &OsString,
        arguments: &[OsString],
        folder: &Path,
    ) -> Result<Option<Self>, Error> {
        if self.boot != system::boot() {
            return Ok(None);
        }
        let Ok(processes) = std::fs::read_dir("/proc") else {
            return Ok(None);
        };
        let mut found = Vec::new();
        for entry in processes.flatten() {
            let pid = entry.file_name().to_string_lossy().parse().ok();
            let Some(pid) = pid.filter(|pid| *pid != std::process::id()) else {
                continue;
            };
            let called = system::called(pid);
            let is_called = |(_, called): (_, Vec<String>)| was_called(&called, program, arguments);
            if called.is_some_and(is_called) && system::is_mine_in(pid, folder) {
                found.extend(system::look(pid));
            }
        }
        if found.len() > 1 {
            let pids: Vec<_> = found.iter().map(|found| found.pid.to_string()).collect();
            let text = format!(
                "an earlier start was interrupted, and several processes look like it ({}): end all but the right one",
                pids.join(", ")
            );
            return Err(Error::new(ErrorKind::Policy, text));
        }
        Ok(found.pop().map(|process| Self {
            pid: Some(process.pid),
            time: process.started,
            ..self
        }))
    }
}

/// proc_pid_cmdline(5). An interpreter stands before the script that names it.
fn was_called(called: &[String], program: &OsString, arguments: &[OsString]) -> bool {
    let wanted: Option<Vec<&str>> = std::iter::once(program)
        .chain(arguments)
        .map(|argument| argument.to_str())
        .collect();
    let called: Vec<&str> = called.iter().map(String::as_str).collect();
    wanted.is_some_and(|wanted| called.ends_with(&wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_called_through_its_interpreter() {
        let called = |words: &str| -> Vec<String> { words.split(' ').map(str::to_owned).collect() };
        let (program, arguments) = ("./app".into(), ["serve".into()]);
        assert!(was_called(&called("./app serve"), &program, &arguments));
        assert!(was_called(
            &called("/bin/sh ./app serve"),
            &program,
            &arguments
        ));
        for other in ["./app serve more", "./app", "/x/./app serve x", "app serve"] {
            assert!(!was_called(&called(other), &program, &arguments), "{other}");
        }
    }
}
