//! The `git` program.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::OnceCell;

use super::failure::{self, Cause};
use super::{CheckedOut, Git, RemoteRef};
use crate::{CancellationToken, CommitId, Error, ErrorKind, RepoUrl};

/// What to do about files that a repository keeps in Git LFS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LfsFiles {
    /// They are fetched; it is an error if the program `git-lfs` is missing then.
    #[default]
    Fetch,
    /// The pointers stay in their place.
    Pointers,
}

/// The `git` program, with the user's own credential helpers, ssh keys and proxies.
///
/// It never asks a person for anything, runs no hooks, and is killed together with what it started when it is cancelled or nobody waits
/// for it any more.
#[derive(Clone, Debug)]
pub struct GitProgram {
    pub(super) program: PathBuf,
    pub(super) variables: Vec<(OsString, OsString)>,
    pub(super) secrets: Vec<(String, Secret)>,
    pub(super) lfs: LfsFiles,
    checked: Arc<OnceCell<()>>,
}

#[derive(Clone)]
pub(super) struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("…")
    }
}

/// `submodule update --depth` with commits that no branch ends in, and all else that is used here.
const OLDEST: (u32, u32) = (2, 25);
/// `--config-env`.
const OLDEST_WITH_SECRETS: (u32, u32) = (2, 31);

impl GitProgram {
    /// The program at a path, or by a name that the operating system looks up on `PATH`. Which version it is is looked up once, at the
    /// first use.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            variables: Vec::new(),
            secrets: Vec::new(),
            lfs: LfsFiles::Fetch,
            checked: Arc::default(),
        }
    }

    /// Sets an environment variable for git beside the inherited ones, e.g. `GIT_SSH_COMMAND`.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Sets a configuration value that is a secret, e.g. `http.https://host/.extraHeader` to `Authorization: …`. It reaches git by the
    /// environment: it is in no process arguments, checkout, log or error. Needs git 2.31.
    #[must_use]
    pub fn with_secret(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.secrets.push((key.into(), Secret(value.into())));
        self
    }

    /// Sets what to do about files in Git LFS.
    #[must_use]
    pub fn with_lfs(mut self, lfs: LfsFiles) -> Self {
        self.lfs = lfs;
        self
    }

    /// Looks whether the program is there and new enough, once.
    ///
    /// # Errors
    /// `Program` if not; `Cancelled`.
    pub async fn check(&self, cancel: &CancellationToken) -> Result<(), Error> {
        self.checked
            .get_or_try_init(|| self.check_version(cancel))
            .await
            .copied()
    }

    async fn check_version(&self, cancel: &CancellationToken) -> Result<(), Error> {
        let mut command = subprocess::Command::new(&self.program);
        let ran = self.run(command.arg("version"), cancel).await?;
        let text = String::from_utf8_lossy(&ran.stdout);
        let Some(version) = version_of(&text).filter(|_| ran.status.success()) else {
            let message = format!(
                "{} does not say which version of git it is",
                self.program.display()
            );
            return Err(Error::new(ErrorKind::Program, message)
                .with_hint("install git, or say where it is"));
        };
        let oldest = if self.secrets.is_empty() {
            OLDEST
        } else {
            OLDEST_WITH_SECRETS
        };
        if version < oldest {
            let message = format!(
                "{} is git {}.{}, and {}.{} is needed",
                self.program.display(),
                version.0,
                version.1,
                oldest.0,
                oldest.1
            );
            return Err(Error::new(ErrorKind::Program, message).with_hint("install a newer git"));
        }
        tracing::debug!(version = text.trim(), "git");
        Ok(())
    }
}

/// `git version 2.47.3`, `git version 2.39.5 (Apple Git-154)`, `git version 2.45.1.windows.1`.
fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().strip_prefix("git version ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[async_trait]
impl Git for GitProgram {
    async fn remote_refs(
        &self,
        repo: &RepoUrl,
        cancel: &CancellationToken,
    ) -> Result<Vec<RemoteRef>, Error> {
        self.check(cancel).await?;
        let mut command = self.command();
        command.arg("ls-remote");
        if repo.local_path().is_some() {
            command.arg(self.upload_pack());
        }
        let ran = self
            .run(command.args(["--", repo.as_str()]), cancel)
            .await?;
        if !ran.status.success() {
            return Err(failure::error_of(
                repo,
                "cannot be asked for its branches and tags",
                &ran.stderr,
            ));
        }
        refs_of(&ran.stdout).ok_or_else(|| {
            let doing = "cannot be asked for its branches and tags";
            failure::error_for(Cause::ObjectFormat, repo, doing, &ran.stderr)
        })
    }

    async fn check_out(
        &self,
        repo: &RepoUrl,
        commit: &CommitId,
        from: Option<&str>,
        into: &Path,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        self.check(cancel).await?;
        super::check_out::CheckOut::new(self, repo, commit, into, cancel)
            .run(from)
            .await
    }

    async fn examine(
        &self,
        checkout: &Path,
        cancel: &CancellationToken,
    ) -> Result<CheckedOut, Error> {
        self.check(cancel).await?;
        let refused = |stderr: &str| {
            let message = format!("{} is no checkout that git can read", checkout.display());
            Error::new(ErrorKind::Git, message).with_source(failure::essence(stderr))
        };
        if !checkout.join(".git").exists() {
            return Err(Error::new(
                ErrorKind::Git,
                format!("{} is no git checkout", checkout.display()),
            ));
        }
        let mut status = self.command_in(checkout);
        // Another process may be reading the same checkout.
        status.env("GIT_OPTIONAL_LOCKS", "0");
        status.args([
            "-c",
            "filter.lfs.required=false",
            "status",
            "--porcelain=v2",
            "--branch",
            "-z",
            "--no-renames",
        ]);
        let ran = self
            .run(status.arg("--untracked-files=all"), cancel)
            .await?;
        if !ran.status.success() {
            return Err(refused(&ran.stderr));
        }
        let mut checked_out =
            status_of(&ran.stdout).ok_or_else(|| refused("there is no commit in it"))?;
        let mut origin = self.command_in(checkout);
        let ran = self
            .run(
                origin.args(["config", "--local", "--get", "remote.origin.url"]),
                cancel,
            )
            .await?;
        checked_out.origin = String::from_utf8(ran.stdout)
            .ok()
            .and_then(|url| url.trim_end().parse().ok());
        Ok(checked_out)
    }
}

/// `<commit>\t<name>`, an annotated tag followed by `<name>^{}` with the commit. `None` if there is something else.
fn refs_of(stdout: &[u8]) -> Option<Vec<RemoteRef>> {
    let mut refs: Vec<RemoteRef> = Vec::new();
    for line in String::from_utf8_lossy(stdout).lines() {
        let (commit, name) = line.split_once('\t')?;
        let commit: CommitId = commit.parse().ok()?;
        match (name.strip_suffix("^{}"), refs.last_mut()) {
            (Some(tag), Some(last)) if last.name == tag => last.commit = commit,
            _ => refs.push(RemoteRef::new(name, commit)),
        }
    }
    Some(refs)
}

/// `git status --porcelain=v2 --branch -z`. `None` if there is no commit yet.
fn status_of(stdout: &[u8]) -> Option<CheckedOut> {
    let text = String::from_utf8_lossy(stdout);
    let mut commit = None;
    let mut changed = Vec::new();
    let mut records = text.split('\0');
    while let Some(record) = records.next() {
        if let Some(oid) = record.strip_prefix("# branch.oid ") {
            commit = oid.parse::<CommitId>().ok();
            continue;
        }
        let fields = match record.as_bytes().first() {
            Some(b'?') => 2,
            Some(b'1') => 9,
            Some(b'2') => 10,
            Some(b'u') => 11,
            _ => continue,
        };
        changed.extend(
            record
                .splitn(fields, ' ')
                .nth(fields - 1)
                .map(str::to_owned),
        );
        if fields == 10 {
            changed.extend(records.next().map(str::to_owned)); // where it was renamed from
        }
    }
    changed.sort_unstable();
    changed.dedup();
    let mut checked_out = CheckedOut::new(commit?);
    checked_out.changed = changed;
    Some(checked_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        for (text, version) in [
            ("git version 2.47.3\n", Some((2, 47))),
            ("git version 2.39.5 (Apple Git-154)", Some((2, 39))),
            ("git version 2.45.1.windows.1", Some((2, 45))),
            ("git version 3.0", Some((3, 0))),
            ("git version x", None),
            ("", None),
        ] {
            assert_eq!(version_of(text), version, "{text}");
        }
    }

    #[test]
    fn lines_that_are_no_refs_are_refused() {
        let commit = "a".repeat(40);
        let refs = refs_of(format!("{commit}\tHEAD\n").as_bytes()).unwrap();
        assert_eq!(refs, [RemoteRef::new("HEAD", commit.parse().unwrap())]);
        assert_eq!(refs_of(b""), Some(Vec::new()));
        for text in ["x", "x\tHEAD", &format!("{}\tHEAD", "a".repeat(64))] {
            assert_eq!(refs_of(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn every_kind_of_change_has_its_path() {
        let oid = "b".repeat(40);
        let text = [
            format!("# branch.oid {oid}"),
            "# branch.head (detached)".into(),
            format!("1 .M N... 100644 100644 100644 {oid} {oid} with space"),
            format!("2 R. N... 100644 100644 100644 {oid} {oid} R100 new"),
            "old".into(),
            format!("u UU N... 100644 100644 100644 100644 {oid} {oid} {oid} both"),
            "? untracked/é".into(),
            "! ignored".into(),
        ];
        let status = status_of(text.join("\0").as_bytes()).unwrap();
        assert_eq!(status.commit.as_str(), oid);
        assert_eq!(
            status.changed,
            ["both", "new", "old", "untracked/é", "with space"]
        );
        assert_eq!(status_of(b"# branch.oid (initial)\0"), None);
    }
}
