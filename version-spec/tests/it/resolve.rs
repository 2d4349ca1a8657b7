//! From specs to locks, by a scripted git and by the real one.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use version_spec::{
    CancellationToken, CommitId, CustomNode, Error, ErrorKind, FakeCall, FakeGit, GitSource, Lock,
    LockDiff, RepoUrl, Resolution, Resolver, Revision, Spec,
};

fn repo(text: &str) -> RepoUrl {
    format!("https://host/{text}").parse().unwrap()
}

fn spec(comfy: (&RepoUrl, &str), nodes: &[(&RepoUrl, &str)]) -> Spec {
    let source = |(repo, revision): (&RepoUrl, &str)| {
        GitSource::new(repo.clone(), revision.parse::<Revision>().unwrap())
    };
    let mut spec = Spec::new("v1".parse().unwrap(), source(comfy));
    let node = |(index, it): (usize, &(&RepoUrl, &str))| {
        CustomNode::new(format!("n{index}").parse().unwrap(), source(*it))
    };
    spec.custom_nodes = nodes.iter().enumerate().map(node).collect();
    spec
}

async fn resolve(git: &FakeGit, spec: &Spec) -> Result<Resolution, Error> {
    Resolver::new(Arc::new(git.clone()))
        .resolve(spec, &CancellationToken::new())
        .await
}

/// Commits by name, and a repository that has them.
fn commits<'n>(git: &FakeGit, repo: &RepoUrl, names: &[&'n str]) -> HashMap<&'n str, CommitId> {
    names
        .iter()
        .map(|name| (*name, git.commit(repo, &[("name", name)])))
        .collect()
}

#[tokio::test]
async fn refs_mean_what_they_mean_to_git() {
    let (git, it) = (FakeGit::new(), repo("r"));
    let commits = commits(
        &git,
        &it,
        &["branch", "tag", "both-branch", "both-tag", "odd", "pull"],
    );
    for (name, commit) in [
        ("HEAD", "branch"),
        ("refs/heads/main", "branch"),
        ("refs/tags/v1", "tag"),
        ("refs/heads/both", "both-branch"),
        ("refs/tags/both", "both-tag"),
        ("refs/heads/refs/tags/v1", "odd"),
        ("refs/pull/1/head", "pull"),
    ] {
        git.set_ref(&it, name, &commits[commit]);
    }
    for (written, name, commit) in [
        ("HEAD", "HEAD", "branch"),
        ("main", "refs/heads/main", "branch"),
        ("v1", "refs/tags/v1", "tag"),
        ("refs/tags/v1", "refs/tags/v1", "tag"), // a ref in full wins over a branch that is called so
        ("refs/heads/both", "refs/heads/both", "both-branch"),
        ("refs/tags/both", "refs/tags/both", "both-tag"),
        ("tags/v1", "refs/tags/v1", "tag"),
        ("pull/1/head", "refs/pull/1/head", "pull"),
    ] {
        let resolution = resolve(&git, &spec((&it, written), &[])).await.unwrap();
        let comfy = resolution.lock.comfy;
        assert_eq!(
            (comfy.resolved_from.as_deref(), &comfy.commit),
            (Some(name), &commits[commit]),
            "{written}"
        );
        assert!(resolution.warnings.is_empty(), "{written}");
    }
    let resolution = resolve(&git, &spec((&it, "main"), &[(&it, "both")]))
        .await
        .unwrap();
    assert_eq!(
        resolution.lock.custom_nodes[0].source.commit,
        commits["both-branch"]
    );
    let [warning] = &*resolution.warnings else {
        panic!("{:?}", resolution.warnings)
    };
    assert_eq!(warning.pointer, "/custom_nodes/0/ref");
    assert!(warning.hint.contains("refs/tags/both"), "{warning}");
}

// Where all wait for each other, the paused clock runs on to the timeout at once.
#[tokio::test(start_paused = true)]
async fn repositories_are_asked_at_one_time_and_once_each() {
    let git = FakeGit::new();
    let repos: Vec<RepoUrl> = (0..50).map(|number| repo(&format!("r{number}"))).collect();
    for repo in &repos {
        let commit = git.commit(repo, &[("a", "a")]);
        git.set_ref(repo, "refs/heads/main", &commit);
        git.set_ref(repo, "refs/heads/dev", &commit);
    }
    let nodes: Vec<_> = repos
        .iter()
        .flat_map(|repo| [(repo, "main"), (repo, "dev")])
        .collect();
    let spec = spec((&repos[0], "main"), &nodes);
    // None gets an answer before all have asked: it does not end if they ask in turn.
    git.let_meet(50);
    let resolver =
        Resolver::new(Arc::new(git.clone())).with_at_once(NonZeroUsize::new(50).unwrap());
    let in_time = tokio::time::timeout(
        Duration::from_mins(1),
        resolver.resolve(&spec, &CancellationToken::new()),
    )
    .await;
    assert_eq!(
        in_time
            .expect("they ask in turn")
            .unwrap()
            .lock
            .custom_nodes
            .len(),
        100
    );
    assert_eq!((git.calls().len(), git.peak()), (50, 50));

    let git = FakeGit::new();
    for repo in &repos {
        git.set_ref(repo, "refs/heads/main", &git.commit(repo, &[]));
        git.set_ref(repo, "refs/heads/dev", &git.commit(repo, &[]));
    }
    resolve(&git, &spec).await.unwrap();
    assert_eq!((git.calls().len(), git.peak()), (50, 32));
}

#[tokio::test]
async fn a_commit_needs_no_network() {
    let (git, commit) = (FakeGit::new(), "a".repeat(40));
    let lock = resolve(
        &git,
        &spec((&repo("gone"), &commit), &[(&repo("x"), &commit)]),
    )
    .await
    .unwrap()
    .lock;
    assert_eq!(git.calls(), []);
    assert_eq!(
        (lock.comfy.commit.as_str(), &lock.comfy.resolved_from),
        (&*commit, &None)
    );
}

#[tokio::test]
async fn a_ref_beside_a_commit_is_noted_and_decides_nothing() {
    let commit = "a".repeat(40);
    let with = |name: &str| {
        let mut spec = spec((&repo("x"), &commit), &[]);
        spec.comfy.named_ref = Some(name.parse().unwrap());
        spec
    };
    let git = FakeGit::new();
    let [main, dev] = [with("main"), with("dev")];
    let main = resolve(&git, &main).await.unwrap().lock;
    let dev = resolve(&git, &dev).await.unwrap().lock;
    assert_eq!(git.calls(), []);
    let named = main.comfy.named_ref.as_ref().map(ToString::to_string);
    assert_eq!(named.as_deref(), Some("main"));
    assert_eq!(Lock::parse(&main.to_json()).unwrap(), main);
    assert!(LockDiff::between(&main, &dev).is_empty());
}

#[tokio::test]
async fn every_entry_that_fails_is_named() {
    let git = FakeGit::new();
    let (good, gone, shut, empty) = (repo("good"), repo("gone"), repo("shut"), repo("empty"));
    let commit = git.commit(&good, &[]);
    git.set_ref(&good, "refs/heads/main", &commit);
    git.commit(&empty, &[]);
    git.fail(
        &shut,
        Some((ErrorKind::Auth, "the server wants credentials")),
    );
    let nodes = [
        (&gone, "main"),
        (&good, "main"),
        (&good, "nope"),
        (&shut, "v1"),
        (&empty, "HEAD"),
        (&good, "abc1234"),
        (&gone, "dev"),
    ];
    let error = resolve(&git, &spec((&good, "master"), &nodes))
        .await
        .unwrap_err();
    let found: Vec<_> = error
        .problems()
        .iter()
        .map(|problem| (&*problem.pointer, problem.kind))
        .collect();
    let wanted = [
        ("/comfy/ref", ErrorKind::NotFound),
        ("/custom_nodes/0/repo", ErrorKind::NotFound),
        ("/custom_nodes/2/ref", ErrorKind::NotFound),
        ("/custom_nodes/3/repo", ErrorKind::Auth),
        ("/custom_nodes/4/repo", ErrorKind::NotFound),
        ("/custom_nodes/5/ref", ErrorKind::NotFound),
        ("/custom_nodes/6/repo", ErrorKind::NotFound),
    ];
    assert_eq!(found, wanted);
    let text = error.to_string();
    assert!(
        wanted.iter().all(|(pointer, _)| text.contains(pointer)),
        "{text}"
    );
    let hint = |index: usize| &error.problems()[index].hint;
    assert_eq!(hint(0), "write \"main\"");
    assert!(hint(5).contains("all 40 digits"), "{}", hint(5));

    let error = resolve(
        &git,
        &spec((&good, "main"), &[(&good, "main"), (&shut, "main")]),
    )
    .await
    .unwrap_err();
    assert_eq!(
        (error.kind(), error.pointer()),
        (ErrorKind::Auth, Some("/custom_nodes/1/repo"))
    );
    assert_eq!(
        error.to_string(),
        "/custom_nodes/1/repo: https://host/shut: the server wants credentials"
    );
}

#[tokio::test]
async fn hints_name_what_is_meant() {
    let (git, it) = (FakeGit::new(), repo("r"));
    let commit = git.commit(&it, &[]);
    for name in [
        "refs/heads/main",
        "refs/heads/Dev",
        "refs/tags/v1.2",
        "refs/tags/3.0",
    ] {
        git.set_ref(&it, name, &commit);
    }
    for (written, hint) in [
        ("dev", "write \"Dev\""),
        ("origin/main", "write \"main\""),
        ("1.2", "write \"v1.2\""),
        ("v3.0", "write \"3.0\""),
        ("master", "write \"main\""),
        ("what", "its branches are \"Dev\", \"main\""),
        ("HEAD", "add a `ref`; its branches are \"Dev\", \"main\""),
    ] {
        let error = resolve(&git, &spec((&it, written), &[])).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.hint()),
            (ErrorKind::NotFound, Some(hint)),
            "{written}"
        );
    }
}

#[tokio::test]
async fn resolving_can_be_cancelled() {
    let (git, it) = (FakeGit::new(), repo("r"));
    git.set_ref(&it, "HEAD", &git.commit(&it, &[]));
    git.let_meet(2);
    let (spec, cancel) = (spec((&it, "HEAD"), &[]), CancellationToken::new());
    let resolver = Resolver::new(Arc::new(git.clone()));
    let resolving = resolver.resolve(&spec, &cancel);
    tokio::pin!(resolving);
    assert!(futures::poll!(&mut resolving).is_pending());
    assert_eq!(git.calls(), [FakeCall::RemoteRefs(it)]);
    cancel.cancel();
    assert_eq!(resolving.await.unwrap_err().kind(), ErrorKind::Cancelled);
}

#[cfg(unix)]
#[tokio::test]
async fn the_real_git_says_the_same() {
    use crate::git_repos::{Repo, git};
    let Some(git) = git() else { return };
    let repo = Repo::new();
    let first = repo.head();
    repo.run(&["tag", "-m", "annotated", "v1"]);
    repo.run(&["branch", "both"]);
    let second = repo.commit(&[("node.py", "two\n")]);
    repo.run(&["tag", "both"]);
    let url = repo.plain();
    let resolver = Resolver::new(Arc::new(git));
    let wanted = spec(
        (&url, "HEAD"),
        &[
            (&url, "v1"),
            (&url, "both"),
            (&url, "main"),
            (&repo.file_url(), "refs/tags/both"),
        ],
    );
    let resolution = resolver
        .resolve(&wanted, &CancellationToken::new())
        .await
        .unwrap();
    let commits: Vec<_> = resolution
        .lock
        .sources()
        .map(|source| source.commit.clone())
        .collect();
    assert_eq!(
        commits,
        [&second, &first, &first, &second, &second].map(CommitId::clone)
    );
    assert_eq!(resolution.warnings.len(), 1);
    // The branch moves, and so does the lock; nothing else does.
    let third = repo.commit(&[("node.py", "three\n")]);
    let again = resolver
        .resolve(&wanted, &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(
        (
            &again.lock.comfy.commit,
            &again.lock.custom_nodes[2].source.commit
        ),
        (&third, &third)
    );
    let diff = version_spec::LockDiff::between(&resolution.lock, &again.lock);
    let named: Vec<String> = diff.to_string().lines().map(str::to_owned).collect();
    assert_eq!(
        named,
        [
            format!(
                "ComfyUI: {} → {} (HEAD moved)",
                second.short(),
                third.short()
            ),
            format!(
                "n2: {} → {} (refs/heads/main moved)",
                second.short(),
                third.short()
            ),
        ]
    );
}
