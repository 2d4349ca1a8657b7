//! A checkout of one commit, with as few bytes as the server allows.

use std::path::Path;

use durable_fs::Disk;

use super::failure::{self, Cause};
use super::program::GitProgram;
use crate::{CancellationToken, CommitId, Error, ErrorKind, RefName, RepoUrl};

const DOING: &str = "cannot be checked out";
/// How far back to look for a commit that a server does not give out by itself, before its whole history is fetched.
const STEPS: [&str; 3] = ["--depth=1", "--deepen=50", "--deepen=1000"];

pub(super) struct CheckOut<'a> {
    git: &'a GitProgram,
    repo: &'a RepoUrl,
    commit: &'a CommitId,
    into: &'a Path,
    cancel: &'a CancellationToken,
}

impl<'a> CheckOut<'a> {
    pub(super) fn new(
        git: &'a GitProgram,
        repo: &'a RepoUrl,
        commit: &'a CommitId,
        into: &'a Path,
        cancel: &'a CancellationToken,
    ) -> Self {
        Self {
            git,
            repo,
            commit,
            into,
            cancel,
        }
    }

    pub(super) async fn run(&self, from: Option<&str>) -> Result<(), Error> {
        self.init().await?;
        self.fetch(from).await?;
        self.must(&[
            "checkout",
            "--quiet",
            "--force",
            "--detach",
            self.commit.as_str(),
        ])
        .await?;
        let head = self
            .open()?
            .read("HEAD", 4096)
            .map_err(|error| self.disk(error))?;
        if head.trim_ascii() != self.commit.as_str().as_bytes() {
            let message = format!(
                "{} {DOING}: {} is no commit there, but another object",
                self.repo, self.commit
            );
            return Err(Error::new(ErrorKind::NotFound, message)
                .with_hint("name the commit that the tag points to"));
        }
        if self.into.join(".gitmodules").exists() {
            self.submodules().await?;
        }
        Ok(())
    }

    async fn init(&self) -> Result<(), Error> {
        let mut command = self.git.command();
        command
            .args(["init", "--quiet", "--template=", "--"])
            .arg(self.into);
        let ran = self.git.run(&mut command, self.cancel).await?;
        if !ran.status.success() {
            let cause = failure::cause_of(&ran.stderr);
            return Err(failure::error_for(cause, self.repo, DOING, &ran.stderr));
        }
        // What submodules with relative addresses, Git LFS and people go by. There is no secret in an address.
        let url = self
            .repo
            .as_str()
            .replace('\\', "\\\\")
            .replace('"', "\\\"");
        let config = format!("[core]\n\tautocrlf = false\n[remote \"origin\"]\n\turl = \"{url}\"");
        self.open()?
            .append_line("config", config.as_bytes())
            .map_err(|error| self.disk(error))
    }

    async fn fetch(&self, from: Option<&str>) -> Result<(), Error> {
        match self
            .fetch_some(&["--depth=1"], &[self.commit.as_str()])
            .await
        {
            Err((Some(Cause::Unadvertised), _)) => {}
            fetched => return fetched.map_err(|(_, error)| error),
        }
        for name in names_of(from) {
            for step in STEPS {
                match self.fetch_some(&[step], &[&name]).await {
                    Ok(()) if self.has_commit().await? => return Ok(()),
                    Ok(()) => {}
                    // It was deleted, or nothing is given out shallow: the last resort may still find the commit.
                    Err((Some(Cause::NoRef | Cause::Unadvertised), _)) => break,
                    Err((_, error)) => return Err(error),
                }
            }
        }
        tracing::info!(repo = %self.repo, commit = self.commit.short(), "the server gives out no single commits; fetching all of it");
        let is_shallow = self.into.join(".git").join("shallow").exists();
        let depth: &[&str] = if is_shallow { &["--unshallow"] } else { &[] };
        let fetched = self
            .fetch_some(
                depth,
                &[
                    "+refs/heads/*:refs/remotes/origin/*",
                    "+refs/tags/*:refs/tags/*",
                ],
            )
            .await;
        fetched.map_err(|(_, error)| error)?;
        if self.has_commit().await? {
            return Ok(());
        }
        Err(failure::error_for(
            Cause::NoCommit,
            self.repo,
            DOING,
            "no branch and no tag leads to it",
        ))
    }

    /// The cause stands beside the error where git ran and refused.
    async fn fetch_some(&self, how: &[&str], what: &[&str]) -> Result<(), (Option<Cause>, Error)> {
        let mut command = self.git.command_in(self.into);
        // Its progress keeps nobody informed, but lets a git whose caller was killed notice that.
        command.args(["fetch", "--progress", "--no-tags"]).args(how);
        if self.repo.local_path().is_some() {
            command.arg(self.git.upload_pack());
        }
        command.args(["--", "origin"]).args(what);
        let ran = self
            .git
            .run(&mut command, self.cancel)
            .await
            .map_err(|error| (None, error))?;
        if ran.status.success() {
            return Ok(());
        }
        let cause = failure::cause_of(&ran.stderr);
        let mut error = failure::error_for(cause, self.repo, DOING, &ran.stderr);
        if matches!(cause, Cause::NoCommit) {
            let message = format!("{} has no commit {}", self.repo, self.commit);
            error = Error::new(ErrorKind::NotFound, message)
                .with_hint("it may have been removed by a forced push; resolve again, or name another commit")
                .with_source(failure::essence(&ran.stderr));
        }
        Err((Some(cause), error))
    }

    async fn has_commit(&self) -> Result<bool, Error> {
        let mut command = self.git.command_in(self.into);
        command.args(["cat-file", "-e", &format!("{}^{{commit}}", self.commit)]);
        Ok(self
            .git
            .run(&mut command, self.cancel)
            .await?
            .status
            .success())
    }

    async fn submodules(&self) -> Result<(), Error> {
        const UPDATE: [&str; 6] = [
            "submodule",
            "--quiet",
            "update",
            "--init",
            "--recursive",
            "--jobs=8",
        ];
        let shallow = [&UPDATE[..], &["--depth=1"]].concat();
        match self.try_it(&shallow).await? {
            // A server that gives out nothing shallow, or only what a branch ends in.
            Some(stderr)
                if !matches!(
                    failure::cause_of(&stderr),
                    Cause::Auth | Cause::Gone | Cause::NoSpace | Cause::NoLfs
                ) =>
            {
                self.must(&UPDATE).await
            }
            Some(stderr) => Err(self.submodule_error(&stderr)),
            None => Ok(()),
        }
    }

    fn submodule_error(&self, stderr: &str) -> Error {
        failure::error_of(
            self.repo,
            "cannot be checked out with its submodules",
            stderr,
        )
    }

    async fn must(&self, arguments: &[&str]) -> Result<(), Error> {
        match self.try_it(arguments).await? {
            None => Ok(()),
            Some(stderr) if arguments[0] == "submodule" => Err(self.submodule_error(&stderr)),
            Some(stderr) => Err(failure::error_of(self.repo, DOING, &stderr)),
        }
    }

    /// What git complained about, if it failed.
    async fn try_it(&self, arguments: &[&str]) -> Result<Option<String>, Error> {
        let mut command = self.git.command_in(self.into);
        if self.repo.local_path().is_some() {
            // Submodules of a local repository may be local; those of a remote one may not (CVE-2022-39253).
            command.args(["-c", "protocol.file.allow=always"]);
        }
        let ran = self.git.run(command.args(arguments), self.cancel).await?;
        Ok((!ran.status.success()).then_some(ran.stderr))
    }

    fn open(&self) -> Result<durable_fs::Dir, Error> {
        let folder = Disk::real().open_dir(self.into.join(".git"));
        folder.map_err(|error| self.disk(error))
    }

    fn disk(&self, error: durable_fs::Error) -> Error {
        Error::disk(format!("{} {DOING}", self.repo), error)
    }
}

/// Where the commit may be found: what the ref is in full, as git looks for it, or `HEAD` if none is known.
fn names_of(from: Option<&str>) -> Vec<String> {
    // The name may come from a lock, which may have been tampered with.
    match from.map(str::parse::<RefName>) {
        None => vec!["HEAD".into()],
        Some(Ok(name)) if name.is_full() || name.as_str() == "HEAD" => vec![name.to_string()],
        Some(Ok(name)) => vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")],
        Some(Err(_)) => Vec::new(),
    }
}
