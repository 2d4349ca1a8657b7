//! The checkouts of a cache, by a scripted git and by the real one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable_fs::Disk;
use tempfile::TempDir;
use version_spec::{
    Cache, CancellationToken, Checkouts, CommitId, Ensured, Error, ErrorKind, FakeCall, FakeGit,
    LockedSource, RepoUrl,
};

struct Setup {
    folder: TempDir,
    git: FakeGit,
    checkouts: Checkouts,
    source: LockedSource,
}

impl Setup {
    fn new() -> Self {
        let git = FakeGit::new();
        let repo: RepoUrl = "https://host/node".parse().unwrap();
        let commit = git.commit(
            &repo,
            &[
                ("node.py", "one\n"),
                ("web/js/a.js", "a\n"),
                ("README.md", "read me\n"),
            ],
        );
        Self {
            folder: tempfile::tempdir().unwrap(),
            checkouts: Checkouts::new(Disk::real(), Arc::new(git.clone())),
            source: LockedSource::new(repo, commit),
            git,
        }
    }

    fn cache(&self) -> Cache {
        Cache::new(self.folder.path().join("cache"))
    }

    fn path(&self) -> PathBuf {
        self.cache().node(&self.source.repo, &self.source.commit)
    }

    async fn ensure(&self) -> Result<Ensured, Error> {
        self.checkouts
            .ensure(&self.path(), &self.source, &CancellationToken::new())
            .await
    }

    fn changed(&self) -> Vec<String> {
        self.checkouts.changed(&self.path()).unwrap()
    }

    fn names_beside(&self) -> Vec<String> {
        names(self.path().parent().unwrap())
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_checkout_is_made_once() {
    let setup = Setup::new();
    assert!(!setup.checkouts.is_present(&setup.path()));
    assert_eq!(setup.ensure().await.unwrap(), Ensured::Fetched);
    assert!(setup.checkouts.is_present(&setup.path()));
    setup.git.remove(&setup.source.repo); // the repository is gone, and it still works
    assert_eq!(setup.ensure().await.unwrap(), Ensured::Present);
    assert_eq!(
        setup.git.calls(),
        [FakeCall::CheckOut(
            setup.source.repo.clone(),
            setup.source.commit.clone()
        )]
    );
    assert_eq!(setup.changed(), Vec::<String>::new());
    let name = setup
        .path()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        setup.names_beside(),
        [
            name.clone(),
            format!("{name}.files.json"),
            format!("{name}.lock")
        ]
    );
}

#[tokio::test]
async fn many_that_want_one_checkout_get_it_from_one() {
    let setup = Setup::new();
    let all = (0..20).map(|_| setup.ensure());
    let ensured = futures::future::try_join_all(all).await.unwrap();
    assert_eq!(
        ensured
            .iter()
            .filter(|ensured| **ensured == Ensured::Fetched)
            .count(),
        1
    );
    assert_eq!(setup.git.calls().len(), 1);
    assert_eq!(setup.names_beside().len(), 3);
}

#[tokio::test]
async fn what_was_written_is_noticed_and_kept() {
    let setup = Setup::new();
    setup.ensure().await.unwrap();
    let path = setup.path();
    std::fs::write(path.join("node.py"), "two\n").unwrap(); // the same size
    std::fs::write(path.join("web/new.js"), "new").unwrap();
    std::fs::create_dir_all(path.join("build/lib")).unwrap();
    for folder in ["__pycache__", "web/__pycache__"] {
        std::fs::create_dir(path.join(folder)).unwrap();
        std::fs::write(path.join(folder).join("x.pyc"), "x").unwrap();
    }
    assert_eq!(setup.changed(), ["build/", "node.py", "web/new.js"]);
    assert_eq!(setup.ensure().await.unwrap(), Ensured::Present);
    assert_eq!(
        std::fs::read_to_string(path.join("node.py")).unwrap(),
        "two\n"
    );

    setup
        .checkouts
        .renew(&path, &setup.source, &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(setup.changed(), Vec::<String>::new());
    assert_eq!(
        std::fs::read_to_string(path.join("node.py")).unwrap(),
        "one\n"
    );
    assert_eq!(setup.names_beside().len(), 3);
}

#[tokio::test]
async fn times_alone_are_no_change() {
    let setup = Setup::new();
    setup.ensure().await.unwrap();
    // As in a copy of the cache.
    std::fs::write(setup.path().join("node.py"), "one\n").unwrap();
    std::fs::write(setup.path().join("web/js/a.js"), "b\n").unwrap();
    assert_eq!(setup.changed(), ["web/js/a.js"]);
}

#[tokio::test]
async fn a_damaged_checkout_is_made_again() {
    let damages: [fn(&Path); 7] = [
        |path| std::fs::remove_file(path.join("node.py")).unwrap(),
        |path| std::fs::remove_dir_all(path.join("web")).unwrap(),
        |path| std::fs::remove_file(path.join(".git/HEAD")).unwrap(),
        |path| std::fs::write(path.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap(),
        |path| std::fs::remove_file(beside(path, ".files.json")).unwrap(),
        |path| std::fs::write(beside(path, ".files.json"), "{").unwrap(),
        |path| {
            std::fs::remove_dir_all(path).unwrap();
            std::fs::write(path, "a file").unwrap();
        },
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let setup = Setup::new();
        setup.ensure().await.unwrap();
        damage(&setup.path());
        assert!(
            !setup.checkouts.is_present(&setup.path()),
            "damage {number}"
        );
        setup
            .git
            .fail(&setup.source.repo, Some((ErrorKind::Network, "no network")));
        let error = setup.ensure().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "damage {number}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("no network"), "{cause}");
        setup.git.fail(&setup.source.repo, None);
        assert_eq!(
            setup.ensure().await.unwrap(),
            Ensured::Fetched,
            "damage {number}"
        );
        assert_eq!(setup.changed(), Vec::<String>::new(), "damage {number}");
        assert_eq!(setup.names_beside().len(), 3);
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", path.display()))
}

#[tokio::test]
async fn a_failure_leaves_nothing_behind() {
    let setup = Setup::new();
    for kind in [ErrorKind::Auth, ErrorKind::NotFound, ErrorKind::NoSpace] {
        setup.git.fail(&setup.source.repo, Some((kind, "no")));
        assert_eq!(setup.ensure().await.unwrap_err().kind(), kind);
    }
    setup.git.fail(&setup.source.repo, None);
    let other = LockedSource::new(setup.source.repo.clone(), "1".repeat(40).parse().unwrap());
    let error = setup
        .checkouts
        .ensure(&setup.path(), &other, &CancellationToken::new())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(!setup.checkouts.is_present(&setup.path()));
    assert_eq!(setup.names_beside().len(), 1, "the lock, and nothing else");
    assert_eq!(
        setup.checkouts.changed(&setup.path()).unwrap_err().kind(),
        ErrorKind::Damaged
    );
}

#[tokio::test]
async fn who_waits_can_be_cancelled() {
    let setup = Setup::new();
    let parent = Disk::real()
        .create_dir_all(setup.path().parent().unwrap())
        .unwrap();
    let lock = format!(
        "{}.lock",
        setup.path().file_name().unwrap().to_str().unwrap()
    );
    let held = parent.try_lock(&lock).unwrap().unwrap();
    let cancel = CancellationToken::new();
    let (path, waiting) = (setup.path(), setup.checkouts.clone());
    let waiter = waiting.ensure(&path, &setup.source, &cancel);
    tokio::pin!(waiter);
    assert!(futures::poll!(&mut waiter).is_pending());
    cancel.cancel();
    assert_eq!(waiter.await.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(setup.git.calls(), []);
    // Who is not cancelled gets on when the lock is free.
    let waiter = setup.ensure();
    tokio::pin!(waiter);
    assert!(futures::poll!(&mut waiter).is_pending());
    drop(held);
    assert_eq!(waiter.await.unwrap(), Ensured::Fetched);
}

#[tokio::test]
async fn what_an_interrupted_run_left_is_removed_and_that_of_others_is_not() {
    let setup = Setup::new();
    setup.git.let_meet(2); // it never gets on
    let cancel = CancellationToken::new();
    {
        let path = setup.path();
        let making = setup.checkouts.ensure(&path, &setup.source, &cancel);
        tokio::pin!(making);
        while setup.git.calls().is_empty() {
            assert!(futures::poll!(&mut making).is_pending());
            tokio::task::yield_now().await;
        }
        // Dropped as if the process had been killed.
    }
    let parent = setup.path().parent().unwrap().to_owned();
    let other = parent.join(".lockstep-0123456789abcdef-1-0-0");
    std::fs::create_dir(&other).unwrap();
    let again = Setup {
        git: setup.git.clone(),
        ..setup
    };
    let fresh = FakeGit::new();
    let commit = fresh.commit(
        &again.source.repo,
        &[
            ("node.py", "one\n"),
            ("web/js/a.js", "a\n"),
            ("README.md", "read me\n"),
        ],
    );
    assert_eq!(commit, again.source.commit);
    // What the temporary folder of a killed git looks like.
    let digest =
        version_spec::Sha256Digest::of(again.path().file_name().unwrap().as_encoded_bytes())
            .to_string();
    let left = parent.join(format!(".lockstep-{}-1-0-0", &digest[..16]));
    std::fs::create_dir_all(left.join(".git/objects")).unwrap();
    std::fs::write(left.join(".git/shallow.lock"), "x").unwrap();
    let checkouts = Checkouts::new(Disk::real(), Arc::new(fresh));
    assert_eq!(
        checkouts
            .ensure(&again.path(), &again.source, &CancellationToken::new())
            .await
            .unwrap(),
        Ensured::Fetched
    );
    assert!(!left.exists() && other.exists());
    assert_eq!(names(&parent).len(), 4);
}

#[tokio::test]
async fn a_removed_checkout_is_gone() {
    let setup = Setup::new();
    let cancel = CancellationToken::new();
    setup
        .checkouts
        .remove(&setup.path(), &setup.source, &cancel)
        .await
        .unwrap();
    setup.ensure().await.unwrap();
    setup
        .checkouts
        .remove(&setup.path(), &setup.source, &cancel)
        .await
        .unwrap();
    assert!(!setup.checkouts.is_present(&setup.path()));
    assert_eq!(setup.names_beside().len(), 1);
    assert_eq!(setup.ensure().await.unwrap(), Ensured::Fetched);
}

#[cfg(unix)]
mod real {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::git_repos::{Manners, Repo, Server, git};

    fn checkouts(git: version_spec::GitProgram) -> Checkouts {
        Checkouts::new(Disk::real(), Arc::new(git))
    }

    /// What the processes do that the tests below start; of its own accord it does nothing.
    #[tokio::test]
    async fn as_another_process() {
        let Ok(arguments) = std::env::var("CHECKOUT_FOR") else {
            return;
        };
        let [cache, repo, commit] = arguments.split('|').collect::<Vec<_>>().try_into().unwrap();
        let (repo, commit): (RepoUrl, CommitId) = (repo.parse().unwrap(), commit.parse().unwrap());
        let path = Cache::new(cache).node(&repo, &commit);
        let source = LockedSource::new(repo, commit);
        let ensured = checkouts(git().unwrap())
            .ensure(&path, &source, &CancellationToken::new())
            .await
            .unwrap();
        println!("ensured: {ensured:?}");
    }

    fn another_process(cache: &Path, source: &LockedSource) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([
                "--exact",
                "--nocapture",
                "checkouts::real::as_another_process",
            ])
            .env(
                "CHECKOUT_FOR",
                format!(
                    "{}|{}|{}",
                    cache.display(),
                    source.repo.as_str(),
                    source.commit
                ),
            )
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    #[tokio::test]
    async fn several_processes_share_a_cache() {
        if git().is_none() {
            return;
        }
        let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
        let source = LockedSource::new(repo.file_url(), repo.head());
        let children: Vec<_> = (0..4)
            .map(|_| another_process(cache.path(), &source).spawn().unwrap())
            .collect();
        let said: Vec<String> = children
            .into_iter()
            .map(|child| {
                let output = child.wait_with_output().unwrap();
                assert!(
                    output.status.success(),
                    "{}",
                    String::from_utf8_lossy(&output.stderr)
                );
                String::from_utf8(output.stdout).unwrap()
            })
            .collect();
        assert_eq!(
            said.iter()
                .filter(|said| said.contains("ensured: Fetched"))
                .count(),
            1,
            "{said:?}"
        );
        assert_eq!(
            said.iter()
                .filter(|said| said.contains("ensured: Present"))
                .count(),
            3,
            "{said:?}"
        );
        assert_eq!(names(&cache.path().join("custom_nodes")).len(), 3);
    }

    #[tokio::test]
    async fn a_killed_process_is_followed_by_one_that_finishes() {
        let Some(git) = git() else { return };
        let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
        let server = Server::start(&repo, Manners::Hangs).await;
        let source = LockedSource::new(server.url(), repo.head());
        let mut child = another_process(cache.path(), &source).spawn().unwrap();
        server.hangs().await;
        let nodes = cache.path().join("custom_nodes");
        assert!(
            names(&nodes)
                .iter()
                .any(|name| name.starts_with(".lockstep-"))
        );
        child.kill().unwrap();
        child.wait().unwrap();
        server.behave(Manners::Ordinary);
        let path = Cache::new(cache.path()).node(&source.repo, &source.commit);
        let checkouts = checkouts(git);
        assert!(!checkouts.is_present(&path));
        assert_eq!(
            checkouts
                .ensure(&path, &source, &CancellationToken::new())
                .await
                .unwrap(),
            Ensured::Fetched
        );
        assert_eq!(
            std::fs::read_to_string(path.join("node.py")).unwrap(),
            "one\n"
        );
        assert_eq!(checkouts.changed(&path).unwrap(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_checkout_outlives_its_repository() {
        let Some(git) = git() else { return };
        let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
        let source =
            LockedSource::new(repo.plain(), repo.head()).with_resolved_from("refs/heads/main");
        let path = Cache::new(cache.path()).comfy(&source.repo, &source.commit);
        let (checkouts, cancel) = (checkouts(git), CancellationToken::new());
        assert_eq!(
            checkouts.ensure(&path, &source, &cancel).await.unwrap(),
            Ensured::Fetched
        );
        drop(repo);
        assert_eq!(
            checkouts.ensure(&path, &source, &cancel).await.unwrap(),
            Ensured::Present
        );
        assert_eq!(checkouts.changed(&path).unwrap(), Vec::<String>::new());
        std::fs::remove_file(path.join("node.py")).unwrap();
        assert_eq!(
            checkouts
                .ensure(&path, &source, &cancel)
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::Damaged
        );
        assert!(path.join("web/a.js").exists(), "what is left stays");
    }
}
