//! Repositories in memory, for tests.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use durable_fs::{Dir, Disk, FileKind};
use tokio::sync::Semaphore;

use super::{CheckedOut, Git, RemoteRef};
use crate::{CancellationToken, CommitId, Error, ErrorKind, RepoUrl};

/// Repositories that a test makes up: refs, the files of commits, and what shall fail. Clones share them.
///
/// A checkout has the commit's files and a `.git` with `HEAD` and `origin`; nothing else of git is there.
///
/// ```
/// use version_spec::{CancellationToken, FakeGit, Git as _, RepoUrl};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let git = FakeGit::new();
/// let repo: RepoUrl = "https://host/node".parse()?;
/// let commit = git.commit(&repo, &[("node.py", "pass")]);
/// git.set_ref(&repo, "refs/heads/main", &commit);
/// let refs = git.remote_refs(&repo, &CancellationToken::new()).await?;
/// assert_eq!(refs[0].commit, commit);
/// assert_eq!(git.calls().len(), 1);
/// # Ok::<(), version_spec::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct FakeGit(Arc<State>);

/// What was asked of a [`FakeGit`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FakeCall {
    /// [`Git::remote_refs`].
    RemoteRefs(RepoUrl),
    /// [`Git::check_out`].
    CheckOut(RepoUrl, CommitId),
    /// [`Git::examine`].
    Examine,
}

#[derive(Debug, Default)]
struct State {
    repos: Mutex<HashMap<RepoUrl, FakeRepo>>,
    calls: Mutex<Vec<FakeCall>>,
    busy: Mutex<Busy>,
}

#[derive(Debug, Default)]
struct FakeRepo {
    refs: BTreeMap<String, CommitId>,
    trees: HashMap<CommitId, BTreeMap<String, Vec<u8>>>,
    failure: Option<(ErrorKind, String)>,
}

#[derive(Debug, Default)]
struct Busy {
    now: usize,
    peak: usize,
    /// How many calls must have come together before the first goes on.
    meeting: usize,
    gate: Option<Arc<Semaphore>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeGit {
    /// No repositories.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a commit with these files, and the repository if there is none. Its id follows from the repository and the files.
    #[expect(
        clippy::must_use_candidate,
        reason = "a test may want the commit to be there, and no more"
    )]
    pub fn commit(&self, repo: &RepoUrl, files: &[(&str, &str)]) -> CommitId {
        let text = format!("{}\0{files:?}", repo.as_str());
        let digest = manifest_core::Sha256Digest::of(text.as_bytes()).to_string();
        let commit: CommitId = digest[..40]
            .parse()
            .expect("a digest has 64 hexadecimal digits");
        let tree = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
            .collect();
        locked(&self.0.repos)
            .entry(repo.clone())
            .or_default()
            .trees
            .insert(commit.clone(), tree);
        commit
    }

    /// Points a ref (`HEAD`, `refs/heads/main`, …) at a commit, and adds the repository if there is none.
    pub fn set_ref(&self, repo: &RepoUrl, name: &str, commit: &CommitId) {
        let mut repos = locked(&self.0.repos);
        repos
            .entry(repo.clone())
            .or_default()
            .refs
            .insert(name.to_owned(), commit.clone());
    }

    /// Deletes a ref.
    pub fn remove_ref(&self, repo: &RepoUrl, name: &str) {
        if let Some(repo) = locked(&self.0.repos).get_mut(repo) {
            repo.refs.remove(name);
        }
    }

    /// Deletes a repository.
    pub fn remove(&self, repo: &RepoUrl) {
        locked(&self.0.repos).remove(repo);
    }

    /// Lets every call that asks this repository fail like this; `None`: no more.
    pub fn fail(&self, repo: &RepoUrl, failure: Option<(ErrorKind, &str)>) {
        let failure = failure.map(|(kind, message)| (kind, message.to_owned()));
        locked(&self.0.repos)
            .entry(repo.clone())
            .or_default()
            .failure = failure;
    }

    /// Lets no call that asks a repository go on before this many have come together. With fewer, they wait for ever.
    pub fn let_meet(&self, calls: usize) {
        let mut busy = locked(&self.0.busy);
        busy.meeting = calls;
        busy.gate = Some(Arc::new(Semaphore::new(0)));
    }

    /// What was asked, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<FakeCall> {
        locked(&self.0.calls).clone()
    }

    /// How many calls asked a repository at one time, at most.
    #[must_use]
    pub fn peak(&self) -> usize {
        locked(&self.0.busy).peak
    }

    /// Counts a call in, and waits for the others if they are to meet.
    async fn enter(&self, call: FakeCall, cancel: &CancellationToken) -> Result<Inside, Error> {
        locked(&self.0.calls).push(call);
        let (gate, inside) = {
            let mut busy = locked(&self.0.busy);
            busy.now += 1;
            busy.peak = busy.peak.max(busy.now);
            if let Some(gate) = &busy.gate
                && busy.now >= busy.meeting
            {
                gate.close();
            }
            (busy.gate.clone(), Inside(Arc::clone(&self.0)))
        };
        // Whoever else is ready shall come in, too, before the first is done.
        tokio::task::yield_now().await;
        if let Some(gate) = gate {
            tokio::select! {
                biased;
                () = cancel.cancelled() => {}
                // It never has permits; it is closed when all are here.
                _ = gate.acquire() => {}
            }
        }
        if cancel.is_cancelled() {
            return Err(Error::cancelled());
        }
        Ok(inside)
    }

    fn ask<T>(
        &self,
        repo: &RepoUrl,
        answer: impl FnOnce(&FakeRepo) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let repos = locked(&self.0.repos);
        match repos.get(repo) {
            None => Err(Error::new(
                ErrorKind::NotFound,
                format!("{repo}: the server has no such repository"),
            )),
            Some(FakeRepo {
                failure: Some((kind, message)),
                ..
            }) => Err(Error::new(*kind, format!("{repo}: {message}"))),
            Some(repo) => answer(repo),
        }
    }
}

struct Inside(Arc<State>);

impl Drop for Inside {
    fn drop(&mut self) {
        locked(&self.0.busy).now -= 1;
    }
}

#[async_trait]
impl Git for FakeGit {
    async fn remote_refs(
        &self,
        repo: &RepoUrl,
        cancel: &CancellationToken,
    ) -> Result<Vec<RemoteRef>, Error> {
        let _inside = self
            .enter(FakeCall::RemoteRefs(repo.clone()), cancel)
            .await?;
        self.ask(repo, |found| {
            let refs = found
                .refs
                .iter()
                .map(|(name, commit)| RemoteRef::new(name.as_str(), commit.clone()));
            Ok(refs.collect())
        })
    }

    async fn check_out(
        &self,
        repo: &RepoUrl,
        commit: &CommitId,
        _from: Option<&str>,
        into: &Path,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let _inside = self
            .enter(FakeCall::CheckOut(repo.clone(), commit.clone()), cancel)
            .await?;
        let tree = self.ask(repo, |found| {
            let gone = || {
                Error::new(
                    ErrorKind::NotFound,
                    format!("{repo} has no commit {commit}"),
                )
            };
            found.trees.get(commit).cloned().ok_or_else(gone)
        })?;
        let written = (|| {
            let folder = Disk::real().create_dir_all(into)?;
            let write = |path: &str, bytes: &[u8]| {
                if let Some((parent, _)) = path.rsplit_once('/') {
                    folder.create_dir_all(parent)?;
                }
                folder.create_file(path)?.write_bytes(bytes)
            };
            write(".git/HEAD", format!("{commit}\n").as_bytes())?;
            write(".git/origin", repo.as_str().as_bytes())?;
            tree.iter().try_for_each(|(path, bytes)| write(path, bytes))
        })();
        written.map_err(|error| Error::disk(format!("{repo} cannot be checked out"), error))
    }

    async fn examine(
        &self,
        checkout: &Path,
        cancel: &CancellationToken,
    ) -> Result<CheckedOut, Error> {
        let _inside = self.enter(FakeCall::Examine, cancel).await?;
        let none = || {
            Error::new(
                ErrorKind::Git,
                format!("{} is no git checkout", checkout.display()),
            )
        };
        let failed = |error| Error::disk(format!("{} cannot be read", checkout.display()), error);
        let folder = Disk::real().open_dir(checkout).map_err(|_| none())?;
        let text = |name: &str| String::from_utf8(folder.read(name, 4096).ok()?).ok();
        let commit: CommitId = text(".git/HEAD")
            .and_then(|text| text.trim().parse().ok())
            .ok_or_else(none)?;
        let origin: Option<RepoUrl> = text(".git/origin").and_then(|text| text.parse().ok());
        let repos = locked(&self.0.repos);
        let tree = origin
            .as_ref()
            .and_then(|origin| repos.get(origin)?.trees.get(&commit))
            .ok_or_else(none)?;
        let mut found = BTreeMap::new();
        read_all(&folder, "", &mut found).map_err(failed)?;
        let differs = |path: &&String| found.get(*path) != tree.get(*path);
        let mut checked_out = CheckedOut::new(commit.clone());
        checked_out.changed = found
            .keys()
            .chain(tree.keys())
            .filter(differs)
            .cloned()
            .collect();
        checked_out.changed.sort_unstable();
        checked_out.changed.dedup();
        checked_out.origin = origin;
        Ok(checked_out)
    }
}

fn read_all(
    folder: &Dir,
    below: &str,
    found: &mut BTreeMap<String, Vec<u8>>,
) -> durable_fs::Result<()> {
    for entry in folder.entries()? {
        let path = format!("{below}{}", entry.name.to_string_lossy());
        match entry.kind {
            FileKind::Dir if path != ".git" => {
                read_all(&folder.open_dir(&entry.name)?, &format!("{path}/"), found)?;
            }
            FileKind::File => drop(found.insert(path, folder.read(&entry.name, u64::MAX)?)),
            _ => {}
        }
    }
    Ok(())
}
