//! Putting a [`Comfy`] together.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use downloader::{Downloader, FileDownloader};
use durable_fs::Disk;
use url::Url;

use super::{Comfy, Event, Inner};
use crate::{
    Cache, CancellationToken, CheckedOut, CommitId, Endpoints, Error, ErrorKind, Git, ModelsDir,
    PythonEnv, PythonRequest, RemoteRef, RepoUrl, SyncOutcome, Tokens,
};

/// Whether the network may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Network {
    /// It may.
    #[default]
    Allowed,
    /// It may not: what is here is used, and what is missing is told.
    Forbidden,
}

/// Whether a part of a version is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part {
    /// It is.
    #[default]
    Make,
    /// It is left alone, whatever is there.
    Skip,
}

/// A [`Comfy`] in the making.
#[derive(Debug)]
#[must_use = "it is made by `build`"]
pub struct ComfyBuilder(Inner);

impl ComfyBuilder {
    pub(super) fn new(cache: Cache, versions: PathBuf) -> Self {
        Self(Inner {
            disk: Disk::real(),
            models_dir: cache.models(),
            cache,
            versions,
            git: Arc::new(Missing),
            python: Arc::new(Missing),
            downloader: Arc::new(FileDownloader::new()),
            tokens: Tokens::none(),
            endpoints: Endpoints::default(),
            mirrors: Vec::new(),
            wheels_dir: None,
            network: Network::Allowed,
            python_part: Part::Make,
            models_part: Part::Make,
            observer: Arc::new(|_| {}),
        })
    }

    /// Asks this git. Without, what needs git fails with `Program`.
    pub fn with_git(mut self, git: Arc<dyn Git>) -> Self {
        self.0.git = git;
        self
    }

    /// Asks this Python. Without, what needs Python fails with `Program`.
    pub fn with_python(mut self, python: Arc<dyn PythonEnv>) -> Self {
        self.0.python = python;
        self
    }

    /// Fetches models by this. Without, only models of this machine (`file:`) can be had.
    pub fn with_downloader(mut self, downloader: Arc<dyn Downloader>) -> Self {
        self.0.downloader = downloader;
        self
    }

    /// Has these tokens for the hosts of models.
    pub fn with_tokens(mut self, tokens: Tokens) -> Self {
        self.0.tokens = tokens;
        self
    }

    /// Asks the services of models at these addresses.
    pub fn with_endpoints(mut self, endpoints: Endpoints) -> Self {
        self.0.endpoints = endpoints;
        self
    }

    /// Asks these mirrors, which keep models by their SHA-256, before the sources of models.
    pub fn with_mirrors(mut self, mirrors: Vec<Url>) -> Self {
        self.0.mirrors = mirrors;
        self
    }

    /// Keeps models there; the default is `models/` in the cache.
    pub fn with_models_dir(mut self, models_dir: ModelsDir) -> Self {
        self.0.models_dir = models_dir;
        self
    }

    /// Takes Python packages from this folder and from no index.
    pub fn with_wheels_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.0.wheels_dir = Some(folder.into());
        self
    }

    /// Sets whether the network may be used. A spec whose `options` say `offline` does without it in any case.
    pub fn with_network(mut self, network: Network) -> Self {
        self.0.network = network;
        self
    }

    /// Sets whether packages are locked, the environment is made, and `install.py` of nodes is run.
    pub fn with_python_part(mut self, part: Part) -> Self {
        self.0.python_part = part;
        self
    }

    /// Sets whether models are fetched and placed. A spec whose `options` say `skip_models` does without them in any case.
    pub fn with_models_part(mut self, part: Part) -> Self {
        self.0.models_part = part;
        self
    }

    /// Calls this for every event, often and from async tasks: it must be quick.
    pub fn with_observer(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.0.observer = Arc::new(observer);
        self
    }

    /// Works on this disk.
    pub fn with_disk(mut self, disk: Disk) -> Self {
        self.0.disk = disk;
        self
    }

    /// What was put together.
    #[must_use]
    pub fn build(self) -> Comfy {
        Comfy(Arc::new(self.0))
    }
}

/// In the place of a program that nobody gave.
#[derive(Debug)]
struct Missing;

fn missing<T>(what: &str) -> Result<T, Error> {
    Err(Error::new(
        ErrorKind::Program,
        format!("no {what} was given to do this with"),
    ))
}

#[async_trait]
impl Git for Missing {
    async fn remote_refs(
        &self,
        _: &RepoUrl,
        _: &CancellationToken,
    ) -> Result<Vec<RemoteRef>, Error> {
        missing("git")
    }

    async fn check_out(
        &self,
        _: &RepoUrl,
        _: &CommitId,
        _: Option<&str>,
        _: &std::path::Path,
        _: &CancellationToken,
    ) -> Result<(), Error> {
        missing("git")
    }

    async fn examine(
        &self,
        _: &std::path::Path,
        _: &CancellationToken,
    ) -> Result<CheckedOut, Error> {
        missing("git")
    }
}

#[async_trait]
impl PythonEnv for Missing {
    async fn lock(&self, _: &PythonRequest, _: &CancellationToken) -> Result<String, Error> {
        missing("Python")
    }

    async fn sync(
        &self,
        _: &std::path::Path,
        _: &str,
        _: &PythonRequest,
        _: &CancellationToken,
    ) -> Result<SyncOutcome, Error> {
        missing("Python")
    }

    async fn installed(
        &self,
        _: &std::path::Path,
        _: &CancellationToken,
    ) -> Result<Vec<(String, String)>, Error> {
        missing("Python")
    }

    async fn run(
        &self,
        _: &std::path::Path,
        _: &std::path::Path,
        _: &std::path::Path,
        _: &[(String, String)],
        _: &std::path::Path,
        _: &CancellationToken,
    ) -> Result<(), Error> {
        missing("Python")
    }
}
