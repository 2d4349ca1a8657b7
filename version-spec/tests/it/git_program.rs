//! The real `git` on repositories of the tests' own.

use std::path::Path;

use tempfile::TempDir;
use version_spec::{
    CancellationToken, CommitId, ErrorKind, Git as _, GitProgram, LfsFiles, RepoUrl,
};

use crate::git_repos::{Manners, Repo, Server, git, is_there};

async fn refs(git: &GitProgram, repo: &RepoUrl) -> Vec<(String, CommitId)> {
    let refs = git
        .remote_refs(repo, &CancellationToken::new())
        .await
        .unwrap();
    refs.into_iter()
        .map(|found| (found.name, found.commit))
        .collect()
}

async fn check_out(
    git: &GitProgram,
    repo: &RepoUrl,
    commit: &CommitId,
    from: Option<&str>,
) -> Result<TempDir, version_spec::Error> {
    let folder = tempfile::tempdir().unwrap();
    git.check_out(
        repo,
        commit,
        from,
        &folder.path().join("c"),
        &CancellationToken::new(),
    )
    .await?;
    Ok(folder)
}

fn text(folder: &TempDir, path: &str) -> String {
    std::fs::read_to_string(folder.path().join("c").join(path)).unwrap()
}

#[tokio::test]
async fn refs_are_those_that_git_lists() {
    let Some(git) = git() else { return };
    let repo = Repo::new();
    let first = repo.head();
    repo.run(&["tag", "light"]);
    repo.run(&["tag", "-m", "annotated", "heavy"]);
    let second = repo.commit(&[("node.py", "two\n")]);
    repo.run(&["branch", "light"]);
    let wanted = [
        ("HEAD", &second),
        ("refs/heads/light", &second),
        ("refs/heads/main", &second),
        ("refs/tags/heavy", &first),
        ("refs/tags/light", &first),
    ];
    let wanted: Vec<_> = wanted
        .map(|(name, commit)| (name.to_owned(), commit.clone()))
        .into();
    assert_eq!(refs(&git, &repo.plain()).await, wanted);
    assert_eq!(refs(&git, &repo.file_url()).await, wanted);
    let server = Server::start(&repo, Manners::Ordinary).await;
    assert_eq!(refs(&git, &server.url()).await, wanted);
    assert_eq!(refs(&git, &Repo::empty().plain()).await, []);
}

#[tokio::test]
async fn any_commit_is_checked_out_clean() {
    let Some(git) = git() else { return };
    let repo = Repo::new();
    let first = repo.head();
    let second = repo.commit(&[("node.py", "two\n")]);
    let gone = repo.commit(&[("node.py", "three\n")]);
    repo.run(&["reset", "--quiet", "--hard", second.as_str()]); // `gone` is on no branch any more
    let server = Server::start(&repo, Manners::Ordinary).await;
    for url in [repo.plain(), repo.file_url(), server.url()] {
        for (commit, wanted) in [(&first, "one\n"), (&second, "two\n"), (&gone, "three\n")] {
            let folder = check_out(&git, &url, commit, None).await.unwrap();
            assert_eq!(text(&folder, "node.py"), wanted, "{url}");
            let checkout = folder.path().join("c");
            let examined = git
                .examine(&checkout, &CancellationToken::new())
                .await
                .unwrap();
            assert_eq!(
                (&examined.commit, &examined.origin, &examined.changed),
                (commit, &Some(url.clone()), &vec![])
            );
            assert!(
                checkout.join(".git/shallow").exists() || *commit == first,
                "{url} was fetched whole"
            );
            assert!(!checkout.join(".git/hooks").exists());
        }
    }
}

#[tokio::test]
async fn what_the_user_has_new_repositories_be_is_not_for_ours() {
    let Some(git) = git() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    let settings = "[init]\n\tdefaultObjectFormat = sha256\n\tdefaultRefFormat = reftable\n[core]\n\teol = crlf\n";
    std::fs::write(&config, settings).unwrap();
    let git = git.with_variable("GIT_CONFIG_GLOBAL", &config);
    let repo = Repo::new();
    let commit = repo.commit(&[(".gitattributes", "* text\n"), ("node.py", "two\n")]);
    let folder = check_out(&git, &repo.plain(), &commit, None).await.unwrap();
    assert_eq!(text(&folder, "node.py"), "two\n");
    assert_eq!(text(&folder, ".git/HEAD").trim(), commit.as_str());
}

#[tokio::test]
async fn what_was_written_into_a_checkout_is_found() {
    let Some(git) = git() else { return };
    let repo = Repo::new();
    repo.commit(&[
        (".gitignore", "*.log\n"),
        ("ä b.txt", "x"),
        ("gone.txt", "x"),
    ]);
    let folder = check_out(&git, &repo.plain(), &repo.head(), None)
        .await
        .unwrap();
    let checkout = folder.path().join("c");
    std::fs::write(checkout.join("ä b.txt"), "changed").unwrap();
    std::fs::write(checkout.join("x.log"), "ignored").unwrap();
    std::fs::create_dir(checkout.join("new")).unwrap();
    std::fs::write(checkout.join("new/file"), "new").unwrap();
    std::fs::remove_file(checkout.join("gone.txt")).unwrap();
    let examined = git
        .examine(&checkout, &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(examined.changed, ["gone.txt", "new/file", "ä b.txt"]);
    let error = git
        .examine(folder.path(), &CancellationToken::new())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Git);
}

#[tokio::test]
async fn a_server_that_gives_out_refs_alone_is_asked_for_more_and_more() {
    let Some(git) = git() else { return };
    let repo = Repo::new();
    let first = repo.head();
    for number in 0..3 {
        repo.commit(&[("node.py", &number.to_string())]);
    }
    let server = Server::start(&repo, Manners::OnlyRefs).await;
    // By the ref that led to it, by one that is gone, by a name that is none, and by nothing.
    for from in [
        Some("refs/heads/main"),
        Some("refs/heads/gone"),
        Some("--upload-pack=touch x"),
        None,
    ] {
        let folder = check_out(&git, &server.url(), &first, from).await.unwrap();
        assert_eq!(text(&folder, "node.py"), "one\n");
        let is_shallow = folder.path().join("c/.git/shallow").exists();
        assert!(
            !is_shallow,
            "{from:?}: the history has four commits, and all are needed"
        );
    }
    let head = repo.head();
    let folder = check_out(&git, &server.url(), &head, None).await.unwrap();
    assert!(
        folder.path().join("c/.git/shallow").exists(),
        "what a ref points to is given out by itself"
    );
    // A long history is not fetched for a commit near the end of it, however the ref is written, or if none is known.
    repo.run(&["checkout", "--quiet", "-b", "side"]);
    for _ in 0..60 {
        repo.commit(&[]);
    }
    let near = repo.run(&["rev-parse", "HEAD~1"]).parse().unwrap();
    repo.commit(&[]);
    repo.run(&["tag", "mark"]);
    for from in [Some("refs/heads/side"), Some("side"), Some("mark"), None] {
        let folder = check_out(&git, &server.url(), &near, from).await.unwrap();
        let is_shallow = folder.path().join("c/.git/shallow").exists();
        assert!(is_shallow, "{from:?}: all of it was fetched");
    }
    let lost = "1".repeat(40).parse().unwrap();
    let error = check_out(&git, &server.url(), &lost, Some("refs/heads/main"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_checkout_costs_no_more_than_a_shallow_clone() {
    let Some(git) = git() else { return };
    let repo = Repo::new();
    let noise = |seed: u64| -> String {
        let mut state = seed;
        (0..40_000)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                char::from(b' ' + (state >> 58) as u8)
            })
            .collect()
    };
    for number in 0..10 {
        repo.commit(&[("big.txt", &noise(number))]);
    }
    let server = Server::start(&repo, Manners::Ordinary).await;
    let clones = tempfile::tempdir().unwrap();
    let mut clone = tokio::process::Command::new("git");
    clone
        .args([
            "clone",
            "--quiet",
            "--depth=1",
            server.url().as_str(),
            "clone",
        ])
        .current_dir(&clones);
    assert!(clone.status().await.unwrap().success());
    let by_clone = server.sent();
    check_out(&git, &server.url(), &repo.head(), Some("refs/heads/main"))
        .await
        .unwrap();
    let by_us = server.sent();
    assert!(
        by_clone > 20_000 && by_us < by_clone * 12 / 10,
        "{by_us} bytes against {by_clone}"
    );
}

#[tokio::test]
async fn submodules_come_along_at_their_commits() {
    let Some(git) = git() else { return };
    let (inner, middle, outer) = (Repo::new(), Repo::new(), Repo::new());
    middle.run(&[
        "submodule",
        "--quiet",
        "add",
        inner.plain().as_str(),
        "inner",
    ]);
    middle.commit(&[]);
    outer.run(&[
        "submodule",
        "--quiet",
        "add",
        middle.file_url().as_str(),
        "libs/middle",
    ]);
    let commit = outer.commit(&[]);
    inner.commit(&[("node.py", "later\n")]);
    middle.commit(&[("node.py", "later\n")]);
    for url in [outer.plain(), outer.file_url()] {
        let folder = check_out(&git, &url, &commit, None).await.unwrap();
        assert_eq!(text(&folder, "libs/middle/node.py"), "one\n");
        assert_eq!(text(&folder, "libs/middle/inner/node.py"), "one\n");
        let renamed = folder.path().join("renamed");
        std::fs::rename(folder.path().join("c"), &renamed).unwrap();
        let examined = git
            .examine(&renamed, &CancellationToken::new())
            .await
            .unwrap();
        assert_eq!(examined.changed, Vec::<String>::new());
    }
    // A repository from the network does not get at folders of this machine (CVE-2022-39253).
    let server = Server::start(&outer, Manners::Ordinary).await;
    let error = check_out(&git, &server.url(), &commit, None)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Git, "{error}");
    assert!(error.to_string().contains("submodules"), "{error}");
}

#[tokio::test]
async fn a_submodule_runs_no_commands() {
    let Some(git) = git() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    std::fs::write(&config, "[protocol \"ext\"]\n\tallow = always\n").unwrap();
    let git = git.with_variable("GIT_CONFIG_GLOBAL", &config);
    let proof = folder.path().join("proof");
    let command = format!("touch {}", proof.display());
    for (url, update) in [
        (format!("ext::{command}"), String::new()),
        (format!("--upload-pack={command}"), String::new()),
        ("/x".to_owned(), format!("\tupdate = !{command}\n")),
    ] {
        let repo = Repo::new();
        let entry = format!("160000,{},s", repo.head());
        let modules = format!("[submodule \"s\"]\n\tpath = s\n\turl = {url}\n{update}");
        std::fs::write(repo.path().join(".gitmodules"), modules).unwrap();
        repo.run(&["add", ".gitmodules"]);
        repo.run(&["update-index", "--add", "--cacheinfo", &entry]);
        repo.run(&["commit", "--quiet", "-m", "c"]);
        let error = check_out(&git, &repo.plain(), &repo.head(), None)
            .await
            .unwrap_err();
        assert!(!proof.exists(), "{url} was run");
        assert!(error.to_string().contains("submodules"), "{error}");
    }
}

#[tokio::test]
async fn files_in_lfs_are_fetched_or_missed_by_name() {
    let Some(git) = git() else { return };
    if !is_there("git-lfs") {
        eprintln!("left out: the program `git-lfs` is missing");
        return;
    }
    let repo = Repo::new();
    repo.run(&["lfs", "install", "--local"]);
    repo.run(&["lfs", "track", "*.bin"]);
    let commit = repo.commit(&[("model.bin", "the content")]);
    let folder = check_out(&git, &repo.file_url(), &commit, None)
        .await
        .unwrap();
    assert_eq!(text(&folder, "model.bin"), "the content");
    let pointers = git.clone().with_lfs(LfsFiles::Pointers);
    let folder = check_out(&pointers, &repo.file_url(), &commit, None)
        .await
        .unwrap();
    assert!(text(&folder, "model.bin").starts_with("version https://git-lfs"));

    let path = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|folder| folder.join("git"))
        .find(|path| path.exists());
    let nothing = tempfile::tempdir().unwrap();
    let without = GitProgram::new(path.unwrap()).with_variable("PATH", nothing.path());
    let error = check_out(&without, &repo.file_url(), &commit, None)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Program, "{error:?}");
    assert!(error.to_string().contains("git-lfs"), "{error}");
    std::fs::remove_dir_all(repo.path().join(".git/lfs")).unwrap();
    let error = check_out(&git, &repo.file_url(), &commit, None)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("Git LFS"), "{error:?}");
}

#[tokio::test]
async fn every_failure_has_its_kind() {
    let Some(git) = git() else { return };
    let (repo, cancel) = (Repo::new(), CancellationToken::new());
    let server = Server::start(&repo, Manners::Ordinary).await;
    let url = |text: String| text.parse::<RepoUrl>().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let port = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    for (manners, repo, kind) in [
        (
            Manners::Ordinary,
            url(format!("{}/none", server.url())),
            ErrorKind::NotFound,
        ),
        (Manners::WantsPassword, server.url(), ErrorKind::Auth),
        (Manners::Status(403), server.url(), ErrorKind::Auth),
        (Manners::Status(404), server.url(), ErrorKind::NotFound),
        (Manners::Status(500), server.url(), ErrorKind::Network),
        (Manners::Status(503), server.url(), ErrorKind::Network),
        (Manners::Pages, server.url(), ErrorKind::Git),
        (
            Manners::Ordinary,
            url(format!("http://127.0.0.1:{port}/r")),
            ErrorKind::Network,
        ),
        (
            Manners::Ordinary,
            url(folder.path().to_str().unwrap().to_owned()),
            ErrorKind::Git,
        ),
        (
            Manners::Ordinary,
            url(format!("file://{}", folder.path().display())),
            ErrorKind::Git,
        ),
        (
            Manners::Ordinary,
            url(format!("{}/gone", folder.path().display())),
            ErrorKind::NotFound,
        ),
        (
            Manners::Ordinary,
            url(format!("file://{}/gone", folder.path().display())),
            ErrorKind::NotFound,
        ),
    ] {
        server.behave(manners);
        let error = git.remote_refs(&repo, &cancel).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{repo}: {error:?}");
        assert!(
            error.to_string().contains(&repo.to_string()) && error.hint().is_some(),
            "{error:?}"
        );
        let commit = "1".repeat(40).parse().unwrap();
        let error = check_out(&git, &repo, &commit, None).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{repo}: {error:?}");
    }
    server.behave(Manners::Ordinary);
    for repo in [server.url(), repo.plain(), repo.file_url()] {
        let error = check_out(&git, &repo, &"1".repeat(40).parse().unwrap(), None)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{repo}: {error:?}");
        assert!(error.to_string().contains("commit"), "{error}");
    }
    repo.run(&["tag", "-m", "annotated", "heavy"]);
    let tag = repo.run(&["rev-parse", "heavy"]).parse().unwrap();
    let error = check_out(&git, &repo.plain(), &tag, None)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");

    let missing = GitProgram::new(folder.path().join("git"));
    let error = missing
        .remote_refs(&repo.plain(), &cancel)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Program);
    let other = GitProgram::new("true");
    assert_eq!(
        other.check(&cancel).await.unwrap_err().kind(),
        ErrorKind::Program
    );
}

#[tokio::test]
async fn a_secret_reaches_the_server_and_nothing_else() {
    let Some(git) = git() else { return };
    let repo = Repo::new();
    let server = Server::start(&repo, Manners::WantsPassword).await;
    let key = format!("http.{}.extraHeader", server.url());
    let git = git.with_secret(&key, "Authorization: Basic dTpw");
    assert_eq!(refs(&git, &server.url()).await[0].1, repo.head());
    let folder = check_out(&git, &server.url(), &repo.head(), None)
        .await
        .unwrap();
    assert!(!text(&folder, ".git/config").contains("dTpw"));
    assert!(!format!("{git:?}").contains("dTpw"));
}

#[tokio::test]
async fn a_repository_of_another_owner_is_no_obstacle() {
    let Some(git) = git() else { return };
    let repo = Repo::new();
    if std::os::unix::fs::chown(repo.path(), Some(12_345), None).is_err() {
        eprintln!("left out: who runs the tests cannot give away a folder");
        return;
    }
    std::os::unix::fs::chown(repo.path().join(".git"), Some(12_345), None).unwrap();
    for url in [repo.plain(), repo.file_url()] {
        assert_eq!(refs(&git, &url).await.len(), 2);
    }
    let head = std::fs::read_to_string(repo.path().join(".git/refs/heads/main")).unwrap();
    let folder = check_out(&git, &repo.plain(), &head.trim().parse().unwrap(), None)
        .await
        .unwrap();
    let checkout = folder.path().join("c");
    give_away(&checkout);
    let examined = git
        .examine(&checkout, &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(examined.changed, Vec::<String>::new());
}

fn give_away(folder: &Path) {
    std::os::unix::fs::chown(folder, Some(12_345), None).unwrap();
    std::os::unix::fs::chown(folder.join(".git"), Some(12_345), None).unwrap();
}

#[tokio::test]
async fn a_cancelled_git_is_gone_with_what_it_started() {
    let Some(git) = git() else { return };
    let repo = Repo::new();
    let server = Server::start(&repo, Manners::Hangs).await;
    let (head, url, cancel) = (repo.head(), server.url(), CancellationToken::new());
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("c");
    let (fetched, ()) = tokio::join!(git.check_out(&url, &head, None, &into, &cancel), async {
        server.hangs().await;
        cancel.cancel();
    });
    assert_eq!(fetched.unwrap_err().kind(), ErrorKind::Cancelled);
    // It is the grandchild that holds the connection.
    server.hung_up().await;

    let fresh = CancellationToken::new();
    let again = folder.path().join("again");
    tokio::select! {
        _ = git.check_out(&url, &head, None, &again, &fresh) => panic!("the server never answers"),
        () = server.hangs() => {} // and the future is dropped
    }
    server.hung_up().await;
}
