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

use super::started::Started;
use super::system::{self, Process};
use super::{Executed, Runtime, ServiceState, execute_here};
use crate::blocking::blocking;
use crate::error::Doing as _;
use crate::state::split;
use crate::{Error, ErrorKind};

pub use super::system::Signal;

const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What was killed is gone within milliseconds, unless the kernel is stuck in it.
const KILLED_PATIENCE: Duration = Duration::from_secs(2);
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
/// A pid file can be out of date, and its number another process's by now. A command that was started here is known by the time of its
/// start, which is noted beside the pid file (`server.pid.started`); one that somebody else started is not known, and not ended. It is
/// ended with what it started: all of its process group. A supervised process is told nothing unless it runs the target or was called
/// with it.
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

    /// The folder in which a command is started. Default: that of this process.
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

    /// How long a command may take to end before it is killed, at most: it is half of what is left until the deadline, if that is
    /// less. Default: 10 s.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The number in the pid file.
    fn number(&self) -> Result<Option<u32>, Error> {
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
        text.parse()
            .map(Some)
            .map_err(|error: std::num::ParseIntError| {
                let text = format!("{} does not hold a number", self.pid_file.display());
                Error::runtime(text).with_source(error)
            })
    }

    /// The process that runs now, if one does.
    fn running(&self) -> Result<Option<Process>, Error> {
        match &self.start {
            Start::Command(..) => Ok(self.started()?.and_then(|started| started.process())),
            Start::BySupervisor(_) => Ok(self.number()?.and_then(system::look)),
        }
    }

    /// The last start of the command, as far as its processes may still live.
    fn started(&self) -> Result<Option<Started>, Error> {
        let Start::Command(program, arguments) = &self.start else {
            return Ok(None);
        };
        let (dir, name) = match self.pid_folder() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        match Started::read(&dir, &name)? {
            Some(started) if started.is_known() => Ok(Some(started)),
            // A crash came between the start and its note.
            Some(begun) => begun.find(program, arguments, &self.start_folder()?),
            None => Ok(None),
        }
    }

    fn start_folder(&self) -> Result<PathBuf, Error> {
        let folder = self.folder.as_deref().unwrap_or(Path::new("."));
        std::fs::canonicalize(folder).map_err(|error| {
            let text = format!("there is no folder {} to start in", folder.display());
            Error::new(ErrorKind::NotFound, text).with_source(error)
        })
    }

    fn pid_folder(&self) -> Result<(Dir, OsString), Error> {
        let (folder, name) = split(&self.pid_file)?;
        let dir = Disk::real().open_dir(folder);
        let dir = dir.doing(|| format!("cannot open the folder of {}", self.pid_file.display()))?;
        Ok((dir, name))
    }

    fn open_log(&self) -> Result<Option<File>, Error> {
        let Some(path) = &self.log else {
            return Ok(None);
        };
        let folder = split(path)?.0;
        let made = Disk::real().create_dir_all(&folder);
        made.doing(|| format!("cannot create the folder of {}", path.display()))?;
        // The service's own file: it may be a link, or a FIFO that somebody reads.
        let log = File::options().append(true).create(true).open(path);
        log.map(Some).map_err(|error| {
            let text = format!("the log {} cannot be written", path.display());
            Error::runtime(text).with_source(error)
        })
    }

    async fn stop(&self, patience: Duration) -> Result<(), Error> {
        let Some(started) = self.started()? else {
            return Ok(());
        };
        let Some(group) = started.group() else {
            return Ok(());
        };
        system::tell_group(group, Signal::Terminate).map_err(|error| {
            let text = format!("the processes of {group} cannot be told to end");
            Error::runtime(text).with_source(error)
        })?;
        let grace = self.grace.min(patience / 2);
        if tokio::time::timeout(grace, self.gone(group)).await.is_err() {
            tracing::warn!(group, "it does not end by itself, and is killed");
            system::kill_group(group);
            let gone = tokio::time::timeout(KILLED_PATIENCE, self.gone(group)).await;
            if gone.is_err() && started.process().is_some() {
                let text = format!("process {group} cannot be ended, not even killed");
                return Err(Error::runtime(text));
            }
        }
        Ok(())
    }

    async fn gone(&self, group: u32) {
        loop {
            self.ended(); // ours must be waited for, or it never is gone
            if !system::has_members(group) {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
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
        match self.open_log()? {
            Some(log) => {
                let second = log.try_clone().map_err(|error| {
                    Error::runtime("the log cannot be written").with_source(error)
                })?;
                command.stderr(second).stdout(log);
            }
            None => {
                command.stdout(Stdio::null()).stderr(Stdio::null());
            }
        }
        system::separate(&mut command);
        let (dir, name) = self.pid_folder()?;
        let begun = (dir.clone(), name.clone());
        blocking(move || Started::begin(&begun.0, &begun.1)).await?;
        let child = subprocess::start(&mut command).await.map_err(|failed| {
            let text = format!("{} cannot be started", Path::new(program).display());
            Error::runtime(text).with_source(failed)
        })?;
        let pid = child.id();
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        let during = format!("cannot write the pid file {}", self.pid_file.display());
        blocking(move || {
            let Some(pid) = pid else { return Ok(()) };
            Started::note(&dir, &name, pid)?;
            let line = format!("{pid}\n");
            dir.replace_file(&name, line.as_bytes()).doing(|| during)
        })
        .await
    }

    /// The supervised process: never a stranger's that has its number by now.
    fn supervised_process(&self, target: &Path) -> Result<Process, Error> {
        let file = self.pid_file.display();
        let Some(process) = self.running()? else {
            let text = format!("nobody runs the process of {file}: start its supervisor");
            return Err(Error::runtime(text));
        };
        let pid = process.pid;
        let what = match system::called(pid) {
            Some((program, arguments)) if is_called_with(&program, &arguments, target) => {
                return Ok(process);
            }
            Some((program, _)) => format!("runs {} and not", program.display()),
            None => "cannot be looked at, to see whether it runs".to_owned(),
        };
        let text = format!(
            "{file} names process {pid}, which {what} {}: it is left alone",
            target.display()
        );
        Err(Error::new(ErrorKind::Policy, text))
    }

    /// Until somebody has started it again, or it has replaced itself.
    async fn started_again(
        &self,
        before: &Process,
        ran_target: bool,
        target: &Path,
    ) -> Result<(), Error> {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let Some(process) = self.running()? else {
                continue;
            };
            let is_other = process != *before;
            let has_changed = !ran_target && system::runs(process.pid, target) == Some(true);
            if is_other || has_changed {
                return Ok(());
            }
        }
    }
}

/// Whether a process runs a target, or was called with it, as an interpreter or a shell is.
fn is_called_with(program: &Path, arguments: &[String], target: &Path) -> bool {
    let target = std::path::absolute(target).unwrap_or_else(|_| target.to_owned());
    let real = std::fs::canonicalize(&target).unwrap_or_else(|_| target.clone());
    // proc_pid_exe(5): the path of a file that has been replaced goes on like this.
    let program = program.to_string_lossy();
    let program = Path::new(program.trim_end_matches(" (deleted)"));
    let mut called_with = arguments.iter().take(3).map(Path::new);
    program == target
        || program == real
        || called_with.any(|argument| argument == target || argument == real)
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

    async fn prepare(&self, target: &Path) -> Result<(), Error> {
        match &self.start {
            Start::Command(..) => {
                self.start_folder()?;
                let (folder, _) = split(&self.pid_file)?;
                let made = Disk::real().create_dir_all(folder);
                made.doing(|| format!("cannot create the folder of {}", self.pid_file.display()))?;
                self.started()?;
                self.open_log().map(drop)
            }
            Start::BySupervisor(_) => self.supervised_process(target).map(drop),
        }
    }

    async fn state(&self) -> Result<ServiceState, Error> {
        Ok(match self.running()? {
            Some(process) => ServiceState::Running(format!("{} {}", process.pid, process.started)),
            None => ServiceState::Stopped(match self.ended() {
                Some(status) => format!("it ended with {status}"),
                None => "it does not run".to_owned(),
            }),
        })
    }

    async fn restart(&self, target: &Path, patience: Duration) -> Result<(), Error> {
        match &self.start {
            Start::Command(program, arguments) => {
                self.stop(patience).await?;
                self.start(program, arguments).await
            }
            Start::BySupervisor(signal) => {
                let process = self.supervised_process(target)?;
                let ran_target = system::runs(process.pid, target) == Some(true);
                system::tell(process.pid, *signal).map_err(|error| {
                    let text = format!("process {} cannot be told to end", process.pid);
                    Error::runtime(text).with_source(error)
                })?;
                self.started_again(&process, ran_target, target).await
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
