use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use downloader::{Downloader, Request};
use subprocess::Command;
use url::Url;

use crate::runtime::call;

const SHOWN_OUTPUT: usize = 2_000;
const MOST_OUTPUT: usize = 16 << 20;

/// Says whether the service works with the binary that is in place now.
///
/// It is asked again and again until it says yes or the deadline has passed, since a service needs a moment to start; if the service ends
/// meanwhile, the answer is not waited for. [`CommandProbe`], [`UrlProbe`] and [`ProbeFn`] are ready-made.
#[async_trait]
pub trait HealthProbe: Send + Sync + fmt::Debug {
    /// Looks once at the service that runs `target`.
    ///
    /// # Errors
    /// [`Unhealthy`] with the reason, for people.
    ///
    /// # Cancel safety
    /// The future is dropped when the deadline has passed and when the swap is cancelled: what it has started must end then.
    async fn check(&self, target: &Path) -> Result<(), Unhealthy>;
}

/// Why a service does not work, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unhealthy(String);

impl Unhealthy {
    /// A reason, for people.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Unhealthy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Unhealthy {}

/// A program that ends with exit code 0 if the service works. It is run with `LOCKSTEP_TARGET` set and without input.
#[derive(Clone, Debug)]
pub struct CommandProbe {
    program: OsString,
    arguments: Vec<OsString>,
}

impl CommandProbe {
    /// A program, found as the operating system finds it, and its arguments.
    #[must_use]
    pub fn new(
        program: impl Into<OsString>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
        }
    }
}

#[async_trait]
impl HealthProbe for CommandProbe {
    async fn check(&self, target: &Path) -> Result<(), Unhealthy> {
        let program = PathBuf::from(&self.program);
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env("LOCKSTEP_TARGET", target);
        match call(&mut command, MOST_OUTPUT).await {
            Ok(ran) if ran.status.success() => Ok(()),
            Ok(ran) => Err(Unhealthy(format!(
                "{} {}",
                program.display(),
                ran.how_it_ended(SHOWN_OUTPUT)
            ))),
            Err(failed) => Err(Unhealthy(format!(
                "{} cannot be run: {failed}",
                program.display()
            ))),
        }
    }
}

/// A URL that answers with success if the service works.
#[derive(Clone, Debug)]
pub struct UrlProbe {
    url: Url,
    downloader: Arc<dyn Downloader>,
}

impl UrlProbe {
    /// A URL, and what fetches it.
    #[must_use]
    pub fn new(url: Url, downloader: Arc<dyn Downloader>) -> Self {
        Self { url, downloader }
    }
}

#[async_trait]
impl HealthProbe for UrlProbe {
    async fn check(&self, _target: &Path) -> Result<(), Unhealthy> {
        let answer = self.downloader.open(&Request::new(self.url.clone())).await;
        answer
            .map(drop)
            .map_err(|error| Unhealthy(format!("{error:#}")))
    }
}

/// Makes a [`HealthProbe`] of a function that looks at the target and returns at once.
pub struct ProbeFn<F>(pub F);

impl<F> fmt::Debug for ProbeFn<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ProbeFn")
    }
}

#[async_trait]
impl<F> HealthProbe for ProbeFn<F>
where
    F: Fn(&Path) -> Result<(), Unhealthy> + Send + Sync,
{
    async fn check(&self, target: &Path) -> Result<(), Unhealthy> {
        (self.0)(target)
    }
}
