//! What this crate asks of git.

mod check_out;
mod command;
mod failure;
#[cfg(any(test, feature = "testing"))]
mod fake;
mod program;

#[cfg(any(test, feature = "testing"))]
pub use fake::{FakeCall, FakeGit};
pub use program::{GitProgram, LfsFiles};

use std::fmt;
use std::path::Path;

use async_trait::async_trait;

use crate::{CancellationToken, CommitId, Error, RepoUrl};

/// Repositories, near and far. [`GitProgram`] asks the `git` program; `FakeGit` (feature `testing`) serves tests.
#[async_trait]
pub trait Git: Send + Sync + fmt::Debug {
    /// The refs of a remote repository, as `git ls-remote` lists them, `HEAD` first.
    ///
    /// # Errors
    /// `NotFound`, `Auth`, `Git` (not a repository), `Network`, `Program`, `Cancelled`.
    async fn remote_refs(
        &self,
        repo: &RepoUrl,
        cancel: &CancellationToken,
    ) -> Result<Vec<RemoteRef>, Error>;

    /// Makes `into`, which must not exist, a clean checkout of exactly this commit with its submodules and LFS files, fetching as
    /// little as the server allows. `from` is the name of a ref that leads to the commit, in full or as people write it, if one is
    /// known; it matters only where a server gives out no commit by itself.
    ///
    /// # Errors
    /// As [`remote_refs`](Self::remote_refs), `NotFound` if the repository has no such commit, `NoSpace`, `Io`. What is in `into`
    /// then is of no use.
    async fn check_out(
        &self,
        repo: &RepoUrl,
        commit: &CommitId,
        from: Option<&str>,
        into: &Path,
        cancel: &CancellationToken,
    ) -> Result<(), Error>;

    /// What a checkout is: its commit, its origin, and which paths differ from the commit (untracked ones included, ignored ones not).
    ///
    /// # Errors
    /// `Git` if it is no checkout, `Program`, `Cancelled`.
    async fn examine(
        &self,
        checkout: &Path,
        cancel: &CancellationToken,
    ) -> Result<CheckedOut, Error>;
}

/// One ref of a remote repository.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteRef {
    /// The full name: `HEAD`, `refs/heads/main`, `refs/tags/v1`.
    pub name: String,
    /// The commit it means; for an annotated tag the one that the tag points to.
    pub commit: CommitId,
}

impl RemoteRef {
    /// A ref and the commit that it means.
    #[must_use]
    pub fn new(name: impl Into<String>, commit: CommitId) -> Self {
        Self {
            name: name.into(),
            commit,
        }
    }
}

/// What a checkout is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckedOut {
    /// The commit.
    pub commit: CommitId,
    /// Where it came from, if it says so.
    pub origin: Option<RepoUrl>,
    /// Paths that differ from the commit, sorted, with `/`.
    pub changed: Vec<String>,
}

impl CheckedOut {
    /// A clean checkout of this commit.
    #[must_use]
    pub fn new(commit: CommitId) -> Self {
        Self {
            commit,
            origin: None,
            changed: Vec::new(),
        }
    }
}
