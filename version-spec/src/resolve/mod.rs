//! From the revisions that a spec names to commits.

mod choose;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::sync::Arc;

use futures::StreamExt as _;

use crate::{
    CancellationToken, CommitId, Error, ErrorKind, Git, GitSource, Lock, LockedNode, LockedSource,
    RemoteRef, RepoUrl, Revision, Spec, SpecProblem,
};

/// Resolves specs by asking their repositories, all at one time.
#[derive(Clone, Debug)]
pub struct Resolver {
    git: Arc<dyn Git>,
    at_once: NonZeroUsize,
}

/// What a spec means today.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resolution {
    /// The commits. No model and no package is pinned yet; [`Lock::keep_pins_of`] takes over those of an older lock.
    pub lock: Lock,
    /// What may not be meant: a name that is both a branch and a tag.
    pub warnings: Vec<SpecProblem>,
}

/// More connections at one time than any spec has repositories; a bound for hostile specs.
const AT_ONCE: NonZeroUsize = NonZeroUsize::new(32).expect("it is not 0");

type Refs = Result<Vec<RemoteRef>, Arc<Error>>;

impl Resolver {
    /// Asks by this git, at most 32 repositories at one time.
    #[must_use]
    pub fn new(git: Arc<dyn Git>) -> Self {
        Self {
            git,
            at_once: AT_ONCE,
        }
    }

    /// Asks at most this many repositories at one time.
    #[must_use]
    pub fn with_at_once(mut self, at_once: NonZeroUsize) -> Self {
        self.at_once = at_once;
        self
    }

    /// Finds the commit of every repository of the spec. Each repository is asked once; one whose commit the spec names is not asked
    /// at all, so whether the commit exists shows when it is fetched.
    ///
    /// # Errors
    /// `NotFound` (repository, branch, tag), `Auth`, `Git`, `Network`, `Program`: of the first entry that fails, whose JSON pointer it
    /// has; all of them are in [`Error::problems`] and in the text. `Cancelled`.
    pub async fn resolve(
        &self,
        spec: &Spec,
        cancel: &CancellationToken,
    ) -> Result<Resolution, Error> {
        let entries = entries_of(spec);
        let refs = self.ask(&entries, cancel).await;
        if cancel.is_cancelled() {
            return Err(Error::cancelled());
        }
        let mut warnings = Vec::new();
        let mut failures = Vec::new();
        let mut locked = Vec::with_capacity(entries.len());
        for (pointer, source) in &entries {
            match lock_source(source, pointer, &refs, &mut warnings) {
                Ok(source) => locked.push(source),
                Err(failure) => failures.push(failure),
            }
        }
        if !failures.is_empty() {
            return Err(all_of(failures));
        }
        let mut locked = locked.into_iter();
        let comfy = locked.next().expect("the first entry is ComfyUI");
        let mut lock = Lock::new(spec, comfy);
        let nodes = spec.custom_nodes.iter().zip(locked);
        lock.custom_nodes = nodes
            .map(|(node, source)| LockedNode::new(node.name.clone(), source))
            .collect();
        Ok(Resolution { lock, warnings })
    }

    async fn ask(
        &self,
        entries: &[(String, &GitSource)],
        cancel: &CancellationToken,
    ) -> BTreeMap<RepoUrl, Refs> {
        let mut repos: Vec<&RepoUrl> = entries
            .iter()
            .filter(|(_, source)| source.revision.commit().is_none())
            .map(|(_, source)| &source.repo)
            .collect();
        repos.sort_unstable();
        repos.dedup();
        let ask = |repo: RepoUrl| async move {
            let refs = self.git.remote_refs(&repo, cancel).await.map_err(Arc::new);
            (repo, refs)
        };
        let asked = futures::stream::iter(repos.into_iter().cloned().map(ask));
        asked.buffer_unordered(self.at_once.get()).collect().await
    }
}

/// ComfyUI first, then the nodes, with their pointers.
fn entries_of(spec: &Spec) -> Vec<(String, &GitSource)> {
    let nodes = spec.custom_nodes.iter().enumerate();
    let nodes = nodes.map(|(index, node)| (format!("/custom_nodes/{index}"), &node.source));
    std::iter::once(("/comfy".to_owned(), &spec.comfy))
        .chain(nodes)
        .collect()
}

/// What keeps one entry from being resolved.
struct Failure {
    problem: SpecProblem,
    source: Option<Arc<Error>>,
}

fn lock_source(
    source: &GitSource,
    pointer: &str,
    refs: &BTreeMap<RepoUrl, Refs>,
    warnings: &mut Vec<SpecProblem>,
) -> Result<LockedSource, Failure> {
    if let Revision::Commit(commit) = &source.revision {
        let locked = LockedSource::new(source.repo.clone(), commit.clone());
        return Ok(locked.with_named_ref(source.named_ref.clone()));
    }
    let failed = |field: &str, error: &Error| {
        let hint = error.hint().unwrap_or_default();
        SpecProblem::new(
            error.kind(),
            format!("{pointer}/{field}"),
            error.message(),
            hint,
        )
    };
    let refs = match refs.get(&source.repo) {
        Some(Ok(refs)) => refs,
        Some(Err(error)) => {
            return Err(Failure {
                problem: failed("repo", error),
                source: Some(Arc::clone(error)),
            });
        }
        None => unreachable!("every repository without a commit was asked"),
    };
    let chosen = choose::choose(&source.repo, &source.revision, refs).map_err(|error| Failure {
        problem: failed(
            if source.revision == Revision::Head {
                "repo"
            } else {
                "ref"
            },
            &error,
        ),
        source: None,
    })?;
    if let Some(tag) = chosen.hidden_tag {
        let message = format!(
            "{} has both a branch and a tag {}; the branch is meant",
            source.repo, source.revision
        );
        let hint = format!("write \"{}\" or \"{}\"", chosen.name, tag);
        warnings.push(SpecProblem::new(
            ErrorKind::Spec,
            format!("{pointer}/ref"),
            message,
            hint,
        ));
    }
    let commit: CommitId = chosen.commit;
    Ok(LockedSource::new(source.repo.clone(), commit).with_resolved_from(chosen.name))
}

/// One error for all entries that failed, of the kind of the first.
fn all_of(mut failures: Vec<Failure>) -> Error {
    let source = failures[0].source.take();
    let problems: Vec<SpecProblem> = failures
        .into_iter()
        .map(|failure| failure.problem)
        .collect();
    let first = &problems[0];
    let mut error = match &*problems {
        [_] => Error::new(first.kind, &first.message).at(&first.pointer),
        problems => {
            let mut text = format!("{} entries of the spec cannot be resolved:", problems.len());
            for problem in problems {
                let _ = write!(text, "\n  {problem}"); // to a text it cannot fail
            }
            Error::new(first.kind, text)
        }
    };
    if problems.len() == 1 && !first.hint.is_empty() {
        error = error.with_hint(&first.hint);
    }
    // What git said belongs to one entry; with several it would seem to explain all of them.
    if let (1, Some(source)) = (problems.len(), source) {
        error = error.with_source_of(&source);
    }
    error.with_problems(problems)
}
