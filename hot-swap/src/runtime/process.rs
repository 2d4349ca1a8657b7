use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use durable_fs::{Dir, Disk};
use subprocess::Command;
use tokio::process::Child;

use super::system::{self, Process};
use super::{Executed, Runtime, ServiceState, execute_here};
use crate::blocking::blocking;
use crate::error::Doing as _;
use crate::state::split;
use crate::{Error, ErrorKind};

pub use super::system::Signal;

const LOOK_EVERY: Duration = Duration::from_millis(20);
const MAX_PID_FILE: u64 = 4096;
/// Of a log, this much is looked at for its last lines.
const END_OF_LOG: u64 = 256 * 1024;

/// A process of this machine, known by its pid file.
///
/// ```
/// use hot_swap::{HotSwap, LocalProcess, Signal};
///
/// // Started by us, with a pid file that we write:
/// let server = LocalProcess::command("/srv/bin/server", ["--port", "8080"], "/run/server.pid")
///     .with_log("/var/log/server.log");
/// // Or told by a signal to end, and started again by somebody else:
/// let supervised = LocalProcess::supervised("/run/server.pid").with_signal(Signal::Hangup);
/// # let _ = (server, supervised);
/// ```
///
/// A pid file can be out of date, and its number another process's by now. Before a process is told anything, it must run the target,
/// or have been called with it. On Linux a command is also found without its pid file, if one process was called exactly so.
#[derive(Clone, Debug)]
pub struct LocalProcess {
    start: Start,
    pid_file: PathBuf,
    folder: Option<PathBuf>,
    log: Option<PathBuf>,
    grace: Duration,
    /// To know how a process ended that we started.
    child: Arc<Mutex<Option<Child>>>,
}

#[derive(Clone, Debug)]
enum Start {
    Command(OsString, Vec<OsString>),
    BySupervisor(Signal),
}

impl LocalProcess {
    /// A program that is started here, and its arguments. It goes on when this process ends.
    #[must_use]
    pub fn command(
        program: impl Into<OsString>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
        pid_file: impl Into<PathBuf>,
    ) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self::new(Start::Command(program.into(), arguments), pid_file.into())
    }

    /// A process that somebody else starts again as soon as it ends, and that writes its pid file itself, or has it written.
    #[must_use]
    pub fn supervised(pid_file: impl Into<PathBuf>) -> Self {
        Self::new(Start::BySupervisor(Signal::Terminate), pid_file.into())
    }

    fn new(start: Start, pid_file: PathBuf) -> Self {
        Self {
            start,
            pid_file,
            folder: None,
            log: None,
            grace: Duration::from_secs(10),
            child: Arc::default(),
        }
    }

    /// What a supervised process is told, instead of to terminate. A process that replaces itself by its binary as it is now is
    /// known by running that.
    #[must_use]
    pub fn with_signal(mut self, signal: Signal) -> Self {
        if let Start::BySupervisor(chosen) = &mut self.start {
            *chosen = signal;
        }
        self
    }

    /// The folder in which a command is started.
    #[must_use]
    pub fn with_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// The file to which what a command prints is added, or to which a supervised process writes its log.
    #[must_use]
    pub fn with_log(mut self, log: impl Into<PathBuf>) -> Self {
        self.log = Some(log.into());
        self
    }

    /// How long a command may take to end before it is killed. Default: 10 s.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The process that the pid file names, if it lives.
    fn named(&self) -> Result<Option<Process>, Error> {
        let (dir, name) = match self.pid_folder() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let during = || format!("cannot read the pid file {}", self.pid_file.display());
        let bytes = match dir.read(&name, MAX_PID_FILE) {
            Err(error) if error.is_not_found() => return Ok(None),
            read => read.doing(during)?,
        };
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim();
        if text.is_empty() {
            return Ok(None); // it is just being written
        }
        let pid = text.parse().map_err(|error: std::num::ParseIntError| {
            let text = format!("{} does not hold a number", self.pid_file.display());
            Error::runtime(text).with_source(error)
        })?;
        Ok(system::look(pid))
    }

    fn pid_folder(&self) -> Result<(Dir, OsString), Error> {
        let (folder, name) = split(&self.pid_file)?;
        let dir = Disk::real().open_dir(folder);
        let dir = dir.doing(|| format!("cannot open the folder of {}", self.pid_file.display()))?;
        Ok((dir, name))
    }

    /// The service's process: never a stranger's that has its number by now.
    fn service(&self, target: &Path) -> Result<Option<Process>, Error> {
        let Some(process) = self.named()? else {
            return self.called_so();
        };
        let Some((program, arguments)) = system::called(process.pid) else {
            return Ok(Some(process)); // the system does not show it
        };
        if self.is_ours(&program, &arguments, target) {
            return Ok(Some(process));
        }
        if matches!(self.start, Start::Command(..)) {
            // Written by us, and out of date.
            return self.called_so();
        }
        let text = format!(
            "{} names process {}, which runs {} and not {}: it is left alone",
            self.pid_file.display(),
            process.pid,
            program.display(),
            target.display()
        );
        Err(Error::new(ErrorKind::Policy, text))
    }

    fn is_ours(&self, program: &Path, arguments: &[String], target: &Path) -> bool {
        if let Start::Command(program, wanted) = &self.start
            && is_called(arguments, program, wanted)
        {
            return true;
        }
        let target = std::path::absolute(target).unwrap_or_else(|_| target.to_owned());
        let real = std::fs::canonicalize(&target).unwrap_or_else(|_| target.clone());
        // proc_pid_exe(5): the path of a file that has been replaced goes on like this.
        let program = program.to_string_lossy();
        let program = Path::new(program.trim_end_matches(" (deleted)"));
        // An interpreter, or a shell, is called with it.
        let mut called_with = arguments.iter().take(3).map(Path::new);
        [&target, &real].contains(&&program.to_owned())
            || called_with.any(|argument| argument == target || argument == real)
    }

    /// The one process that was called exactly as the command is: a crash between its start and its pid file must not leave two.
    fn called_so(&self) -> Result<Option<Process>, Error> {
        let Start::Command(program, wanted) = &self.start else {
            return Ok(None);
        };
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
            if called.is_some_and(|(_, arguments)| is_called(&arguments, program, wanted)) {
                found.extend(system::look(pid));
            }
        }
        if found.len() > 1 {
            let pids: Vec<_> = found.iter().map(|found| found.pid.to_string()).collect();
            let text = format!(
                "several processes were started like the service ({}), and {} names none of them",
                pids.join(", "),
                self.pid_file.display()
            );
            return Err(Error::new(ErrorKind::Policy, text));
        }
        Ok(found.pop())
    }

    async fn stop(&self, target: &Path) -> Result<(), Error> {
        let Some(process) = self.service(target)? else {
            return Ok(());
        };
        self.tell(&process, Signal::Terminate)?;
        let ended = async {
            while self.lives(&process) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        if tokio::time::timeout(self.grace, ended).await.is_err() {
            tracing::warn!(
                pid = process.pid,
                "it does not end by itself, and is killed"
            );
            system::kill(&process);
            while self.lives(&process) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }

    fn tell(&self, process: &Process, signal: Signal) -> Result<(), Error> {
        match system::tell(process, signal) {
            Err(error) if self.lives(process) => {
                let text = format!("process {} cannot be told to end", process.pid);
                Err(Error::runtime(text).with_source(error))
            }
            _ => Ok(()),
        }
    }

    fn lives(&self, process: &Process) -> bool {
        self.ended(); // ours must be waited for, or they never are gone
        system::look(process.pid).as_ref() == Some(process)
    }

    /// How the process ended that was started here last, if it has.
    fn ended(&self) -> Option<std::process::ExitStatus> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.as_mut()?.try_wait().ok().flatten()
    }

    async fn start(&self, program: &OsString, arguments: &[OsString]) -> Result<(), Error> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        match &self.log {
            Some(path) => {
                let cannot = |error: io::Error| {
                    let text = format!("cannot write the log {}", path.display());
                    Error::runtime(text).with_source(error)
                };
                let log = File::options().append(true).create(true).open(path);
                let log = log.map_err(cannot)?;
                command.stderr(log.try_clone().map_err(cannot)?).stdout(log);
            }
            None => {
                command.stdout(Stdio::null()).stderr(Stdio::null());
            }
        }
        system::separate(&mut command);
        let (dir, name) = self.pid_folder()?;
        let child = subprocess::start(&mut command).await.map_err(|failed| {
            let text = format!("{} cannot be started", Path::new(program).display());
            Error::runtime(text).with_source(failed)
        })?;
        let pid = child.id();
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        let during = format!("cannot write the pid file {}", self.pid_file.display());
        blocking(move || {
            let line = pid.map_or_else(String::new, |pid| format!("{pid}\n"));
            dir.replace_file(&name, line.as_bytes()).doing(|| during)
        })
        .await
    }

    /// Until somebody has started it again, or it has replaced itself.
    async fn started_again(&self, before: &Process, target: &Path) -> Result<(), Error> {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Some(process) = self.named()?
                && (process != *before || system::runs(process.pid, target) == Some(true))
            {
                return Ok(());
            }
        }
    }
}

/// proc_pid_cmdline(5). A file that is looked for on `PATH` keeps the name that it was called by.
fn is_called(arguments: &[String], program: &OsString, wanted: &[OsString]) -> bool {
    let wanted = std::iter::once(program).chain(wanted);
    arguments
        .iter()
        .map(String::as_str)
        .eq(wanted.map(|argument| argument.to_str().unwrap_or("\0")))
}

#[async_trait]
impl Runtime for LocalProcess {
    fn describe(&self) -> String {
        match &self.start {
            Start::Command(program, _) => {
                format!("the process {}", Path::new(program).display())
            }
            Start::BySupervisor(_) => format!("the process of {}", self.pid_file.display()),
        }
    }

    async fn state(&self) -> Result<ServiceState, Error> {
        let ended = self.ended();
        Ok(match self.named()? {
            Some(process) => ServiceState::Running(format!("{} {}", process.pid, process.started)),
            None => ServiceState::Stopped(match ended {
                Some(status) => format!("it ended with {status}"),
                None => "it does not run".to_owned(),
            }),
        })
    }

    async fn restart(&self, target: &Path) -> Result<(), Error> {
        match &self.start {
            Start::Command(program, arguments) => {
                self.stop(target).await?;
                self.start(program, arguments).await
            }
            Start::BySupervisor(signal) => {
                let Some(process) = self.service(target)? else {
                    let text = format!(
                        "nobody runs the process of {}: start its supervisor",
                        self.pid_file.display()
                    );
                    return Err(Error::runtime(text));
                };
                self.tell(&process, *signal)?;
                self.started_again(&process, target).await
            }
        }
    }

    async fn logs(&self, lines: usize) -> Result<Vec<String>, Error> {
        let Some(path) = self.log.clone() else {
            return Ok(Vec::new());
        };
        blocking(move || {
            let end = end_of_file(&path).map_err(|error| {
                let text = format!("cannot read the log {}", path.display());
                Error::runtime(text).with_source(error)
            })?;
            let all: Vec<_> = end.lines().map(str::to_owned).collect();
            Ok(all[all.len().saturating_sub(lines)..].to_vec())
        })
        .await
    }

    async fn execute(&self, target: &Path, arguments: &[OsString]) -> Result<Executed, Error> {
        execute_here(target, arguments).await
    }
}

fn end_of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END_OF_LOG)))?;
    let mut bytes = Vec::new();
    file.take(END_OF_LOG).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
