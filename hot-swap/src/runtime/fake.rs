use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::{Executed, Runtime, ServiceState};
use crate::Error;

/// What a binary does when a [`FakeRuntime`] starts it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Behaviour {
    /// It runs.
    Works,
    /// It ends at once.
    Exits,
    /// It ends and is started again, for ever.
    CrashLoops,
    /// It is starting, for ever.
    Hangs,
    /// It cannot be started.
    CannotStart,
}

/// A service that runs in no process: for tests of programs that embed this crate.
///
/// When it is restarted, a function decides by the binary's content what becomes of it. Asked for its version, a binary prints its
/// first line. Clones are the same service.
///
/// ```
/// use hot_swap::{Behaviour, ErrorKind, FakeRuntime, HotSwap};
/// use subprocess::CancellationToken;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::tempdir()?;
/// let (server, next) = (folder.path().join("server"), folder.path().join("next"));
/// std::fs::write(&server, "1.0")?;
/// std::fs::write(&next, "1.1 crashes")?;
///
/// let service = FakeRuntime::new(|binary: &[u8]| match binary {
///     b"1.0" => Behaviour::Works,
///     _ => Behaviour::Exits,
/// });
/// let swap = HotSwap::new(&server, next).with_runtime(service.clone());
/// let error = swap.run(&CancellationToken::new()).await.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::RolledBack);
/// assert_eq!(service.running().as_deref(), Some(&b"1.0"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FakeRuntime {
    inner: Arc<Inner>,
}

type Judge = dyn Fn(&[u8]) -> Behaviour + Send + Sync;

struct Inner {
    behaviour: Box<Judge>,
    service: Mutex<Service>,
}

#[derive(Default)]
struct Service {
    starts: u64,
    looks: u64,
    started: Option<(Behaviour, Vec<u8>)>,
    log: Vec<String>,
}

impl FakeRuntime {
    /// A service that has not been started yet.
    pub fn new(behaviour: impl Fn(&[u8]) -> Behaviour + Send + Sync + 'static) -> Self {
        Self {
            inner: Arc::new(Inner {
                behaviour: Box::new(behaviour),
                service: Mutex::default(),
            }),
        }
    }

    /// A service that runs with whatever binary.
    #[must_use]
    pub fn working() -> Self {
        Self::new(|_| Behaviour::Works)
    }

    /// How often it was started, or tried to be.
    #[must_use]
    pub fn starts(&self) -> u64 {
        self.service().starts
    }

    /// The content of the binary that runs; `None` if none does.
    #[must_use]
    pub fn running(&self) -> Option<Vec<u8>> {
        match &self.service().started {
            Some((Behaviour::Works, binary)) => Some(binary.clone()),
            _ => None,
        }
    }

    fn service(&self) -> MutexGuard<'_, Service> {
        let service = self.inner.service.lock();
        service.unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for FakeRuntime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FakeRuntime")
            .finish_non_exhaustive()
    }
}

fn read(target: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(target).map_err(|error| {
        let path: PathBuf = target.into();
        Error::runtime(format!("{} cannot be run", path.display())).with_source(error)
    })
}

#[async_trait]
impl Runtime for FakeRuntime {
    fn describe(&self) -> String {
        "a fake service".to_owned()
    }

    async fn state(&self) -> Result<ServiceState, Error> {
        let mut service = self.service();
        service.looks += 1;
        let looks = service.looks;
        Ok(match &service.started {
            None => ServiceState::Stopped("it was never started".into()),
            Some((Behaviour::Works, _)) => ServiceState::Running(service.starts.to_string()),
            Some((Behaviour::CrashLoops, _)) => ServiceState::Running(format!("look {looks}")),
            Some((Behaviour::Hangs, _)) => ServiceState::Starting,
            Some((Behaviour::Exits | Behaviour::CannotStart, _)) => {
                ServiceState::Stopped("it ended with exit code 1".into())
            }
        })
    }

    async fn prepare(&self, _target: &Path) -> Result<(), Error> {
        Ok(())
    }

    async fn restart(&self, target: &Path, _patience: Duration) -> Result<(), Error> {
        let binary = read(target)?;
        let behaviour = (self.inner.behaviour)(&binary);
        let mut service = self.service();
        service.starts += 1;
        let line = format!("start {} with {}", service.starts, first_line(&binary));
        service.log.push(line);
        let can_start = behaviour != Behaviour::CannotStart;
        service.started = Some((behaviour, binary));
        if can_start {
            Ok(())
        } else {
            Err(Error::runtime("the service cannot be started"))
        }
    }

    async fn logs(&self, lines: usize) -> Result<Vec<String>, Error> {
        let log = &self.service().log;
        Ok(log[log.len().saturating_sub(lines)..].to_vec())
    }

    async fn execute(&self, target: &Path, _arguments: &[OsString]) -> Result<Executed, Error> {
        Ok(Executed {
            success: true,
            output: first_line(&read(target)?),
        })
    }
}

fn first_line(binary: &[u8]) -> String {
    let text = String::from_utf8_lossy(binary);
    text.lines().next().unwrap_or_default().to_owned()
}
