//! Python environments in a test: packages that it makes up, and folders that look like environments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use durable_fs::{Disk, Executable};
use manifest_core::Sha256Digest;

use super::environment::{self, Found};
use super::fake_solver::{Index, Version, solve};
use super::locked::{name_of, normalised, pins};
use super::{PythonEnv, PythonRequest, SyncOutcome, conflict};
use crate::{CancellationToken, Error, ErrorKind};

/// Packages that a test makes up, and what shall fail. Clones share them.
///
/// Requirements are names with specifiers of numbers; extras and markers are not looked at. Every package has one hash.
///
/// ```
/// use version_spec::{AskerRole, CancellationToken, FakePython, PythonRequest, Requirements, lock_together};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let python = FakePython::new().with_package("torch", "2.1", &[]).with_package("torch", "2.0", &[]);
/// let request = PythonRequest::new("cache")
///     .with_requirements(Requirements::new("ComfyUI", AskerRole::Base, ["torch"]))
///     .with_requirements(Requirements::new("Old", AskerRole::Node, ["torch<2.1"]));
/// let error = lock_together(&python, &request, &CancellationToken::new()).await.unwrap_err();
/// assert!(error.to_string().starts_with("Old would replace the base's torch 2.1 by 2.0"));
/// # });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct FakePython(Arc<State>);

/// What was asked of a [`FakePython`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FakePythonCall {
    /// [`PythonEnv::lock`].
    Lock(PythonRequest),
    /// [`PythonEnv::sync`], with the lock.
    Sync(PathBuf, String),
    /// [`PythonEnv::installed`].
    Installed(PathBuf),
    /// [`PythonEnv::run`]: the script, the folder, and the variables.
    Run(PathBuf, PathBuf, Vec<(String, String)>),
}

#[derive(Debug, Default)]
struct State {
    index: Mutex<Index>,
    calls: Mutex<Vec<FakePythonCall>>,
    failures: Mutex<Failures>,
    writes: Mutex<BTreeMap<String, String>>,
}

#[derive(Debug, Default)]
struct Failures {
    lock: Option<(ErrorKind, String)>,
    sync: Option<(ErrorKind, String)>,
    scripts: BTreeMap<PathBuf, String>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakePython {
    /// No packages.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a version of a package, and what it needs.
    #[must_use]
    pub fn with_package(self, name: &str, version: &str, needs: &[&str]) -> Self {
        self.add_package(name, version, needs);
        self
    }

    /// Adds a version of a package, and what it needs.
    pub fn add_package(&self, name: &str, version: &str, needs: &[&str]) {
        let needs = needs.iter().map(|line| (*line).to_owned()).collect();
        let mut index = locked(&self.0.index);
        let versions = index.entry(normalised(name)).or_default();
        versions.insert(Version(version.to_owned()), needs);
    }

    /// Lets [`PythonEnv::lock`] fail like this; `None`: no more.
    pub fn fail_lock(&self, failure: Option<(ErrorKind, &str)>) {
        locked(&self.0.failures).lock = failure.map(|(kind, text)| (kind, text.to_owned()));
    }

    /// Lets [`PythonEnv::sync`] fail like this in the middle, with one package installed and the environment unfinished; `None`: no
    /// more.
    pub fn fail_sync(&self, failure: Option<(ErrorKind, &str)>) {
        locked(&self.0.failures).sync = failure.map(|(kind, text)| (kind, text.to_owned()));
    }

    /// Lets the script at this path print a text and end with code 1.
    pub fn fail_script(&self, script: &Path, prints: &str) {
        let mut failures = locked(&self.0.failures);
        failures
            .scripts
            .insert(script.to_owned(), prints.to_owned());
    }

    /// Lets every script write this file into the folder that it runs in, as an `install.py` does.
    pub fn let_scripts_write(&self, name: &str, text: &str) {
        locked(&self.0.writes).insert(name.to_owned(), text.to_owned());
    }

    /// What was asked, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<FakePythonCall> {
        locked(&self.0.calls).clone()
    }

    fn enter(&self, call: FakePythonCall, cancel: &CancellationToken) -> Result<(), Error> {
        locked(&self.0.calls).push(call);
        if cancel.is_cancelled() {
            return Err(Error::cancelled());
        }
        Ok(())
    }
}

/// The hash of a package of ours.
fn hash_of(name: &str, version: &str) -> String {
    let digest = Sha256Digest::of(format!("{name} {version}").as_bytes());
    format!("sha256:{digest}")
}

fn failed(failure: Option<&(ErrorKind, String)>) -> Result<(), Error> {
    match failure {
        Some((kind, text)) => Err(Error::new(*kind, text)),
        None => Ok(()),
    }
}

#[async_trait]
impl PythonEnv for FakePython {
    async fn lock(
        &self,
        request: &PythonRequest,
        cancel: &CancellationToken,
    ) -> Result<String, Error> {
        self.enter(FakePythonCall::Lock(request.clone()), cancel)?;
        failed(locked(&self.0.failures).lock.as_ref())?;
        let lines = request.requirements.iter().flat_map(|asker| &asker.lines);
        let lines: Vec<String> = lines
            .filter(|line| name_of(line).is_some())
            .cloned()
            .collect();
        let solved = solve(&locked(&self.0.index), &lines, &request.constraints);
        let solved = solved.map_err(|reason| conflict::error(request, &reason))?;
        let pinned = solved.iter().map(|(name, version)| {
            let hash = hash_of(name, &version.0);
            format!("{name}=={} \\\n    --hash={hash}\n", version.0)
        });
        Ok(pinned.collect())
    }

    async fn sync(
        &self,
        venv: &Path,
        locked_text: &str,
        request: &PythonRequest,
        cancel: &CancellationToken,
    ) -> Result<SyncOutcome, Error> {
        let call = FakePythonCall::Sync(venv.to_owned(), locked_text.to_owned());
        self.enter(call, cancel)?;
        match environment::look(venv)? {
            Found::Foreign => return Err(environment::foreign(venv)),
            Found::Unfinished => environment::discard(venv)?,
            Found::Finished(_) | Found::Nothing => {}
        }
        let before = environment::installed(venv).unwrap_or_default();
        let dir = environment::begin(venv)?;
        let disk = |error| Error::disk(format!("{} cannot be synced", venv.display()), error);
        let site = "lib/python3.11/site-packages";
        let prepare = || {
            dir.replace_file("pyvenv.cfg", b"version_info = 3.11.0\n")?;
            dir.create_dir_all("bin")?
                .replace_file("python", b"#!/bin/sh\nexit 1\n")?;
            dir.set_executable("bin/python", Executable::Yes)?;
            dir.create_dir_all(site)
        };
        let site = prepare().map_err(disk)?;
        let pins = pins(locked_text);
        for (index, pin) in pins.iter().enumerate() {
            if pin.hashes != [hash_of(&pin.name, pin.version())] {
                let message = format!("{} has another hash than the lock says", pin.requirement);
                return Err(Error::new(ErrorKind::Integrity, message));
            }
            if index == 1 || pins.len() == 1 {
                failed(locked(&self.0.failures).sync.as_ref())?;
            }
            let folder = format!("{}-{}.dist-info", pin.name.replace('-', "_"), pin.version());
            site.create_dir_all(folder).map_err(disk)?;
        }
        for (name, version) in &before {
            if !pins
                .iter()
                .any(|pin| pin.name == *name && pin.version() == version)
            {
                let folder = format!("{}-{version}.dist-info", name.replace('-', "_"));
                site.remove_tree(folder).map_err(disk)?;
            }
        }
        environment::finish(venv, locked_text, request)?;
        Ok(environment::difference(
            &before,
            &environment::installed(venv)?,
        ))
    }

    async fn installed(
        &self,
        venv: &Path,
        cancel: &CancellationToken,
    ) -> Result<Vec<(String, String)>, Error> {
        self.enter(FakePythonCall::Installed(venv.to_owned()), cancel)?;
        environment::installed(venv)
    }

    async fn run(
        &self,
        venv: &Path,
        script: &Path,
        folder: &Path,
        variables: &[(String, String)],
        log: &Path,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let call = FakePythonCall::Run(script.to_owned(), folder.to_owned(), variables.to_vec());
        self.enter(call, cancel)?;
        if !environment::interpreter(venv).exists() {
            let message = format!("{} is no Python environment", venv.display());
            return Err(Error::new(ErrorKind::Python, message));
        }
        let printed = locked(&self.0.failures).scripts.get(script).cloned();
        let text = printed
            .clone()
            .unwrap_or_else(|| format!("ran {}\n", script.display()));
        let written =
            environment::create_log(log).and_then(|mut file| file.write_bytes(text.as_bytes()));
        written
            .map_err(|error| Error::disk(format!("{} cannot be written", log.display()), error))?;
        if printed.is_some() {
            return Err(environment::script_failed(
                script,
                log,
                "ended with code 1",
                &text,
            ));
        }
        for (name, text) in &*locked(&self.0.writes) {
            let written = Disk::real()
                .open_dir(folder)
                .and_then(|dir| dir.replace_file(name, text.as_bytes()));
            written.map_err(|error| Error::disk(format!("{name} cannot be written"), error))?;
        }
        Ok(())
    }
}
