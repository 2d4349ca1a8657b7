//! What git means by what it says.

use std::fmt;

use crate::text::without_secrets;
use crate::{Error, ErrorKind, RepoUrl};

/// The lines of git's complaint, without secrets; the cause of our errors.
#[derive(Debug)]
struct Said(String);

impl fmt::Display for Said {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "git said: {}", self.0)
    }
}

impl std::error::Error for Said {}

/// What went wrong, as far as it can be told from the texts of git, curl and ssh in the C locale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    NoSpace,
    NoLfs,
    Lfs,
    /// The server does not give out commits that no ref points to, or gives out nothing shallow.
    Unadvertised,
    NoCommit,
    NoRef,
    Gone,
    Auth,
    HostKey,
    Ownership,
    NotARepository,
    ObjectFormat,
    Certificate,
    Network,
    Denied,
    Other,
}

/// The first text that is found decides, so what is certain stands before what is vague.
const SIGNS: &[(&str, Cause)] = &[
    ("no space left on device", Cause::NoSpace),
    ("disk quota exceeded", Cause::NoSpace),
    ("file too large", Cause::NoSpace),
    ("git-lfs: not found", Cause::NoLfs),
    ("git-lfs: command not found", Cause::NoLfs),
    ("cannot run git-lfs", Cause::NoLfs),
    ("'git-lfs' is not recognized", Cause::NoLfs),
    ("'lfs' is not a git command", Cause::NoLfs),
    (
        "does not allow request for unadvertised object",
        Cause::Unadvertised,
    ),
    (
        "dumb http transport does not support shallow",
        Cause::Unadvertised,
    ),
    ("not our ref", Cause::NoCommit),
    ("couldn't find remote ref", Cause::NoRef),
    ("detected dubious ownership", Cause::Ownership),
    ("unsafe repository", Cause::Ownership),
    ("could not read username", Cause::Auth),
    ("could not read password", Cause::Auth),
    ("authentication failed", Cause::Auth),
    ("permission denied (", Cause::Auth),
    ("invalid credentials", Cause::Auth),
    ("requested url returned error: 401", Cause::Auth),
    ("requested url returned error: 403", Cause::Auth),
    ("access denied", Cause::Auth),
    ("host key verification failed", Cause::HostKey),
    ("smudge filter lfs failed", Cause::Lfs),
    ("external filter 'git-lfs", Cause::Lfs),
    ("error downloading object", Cause::Lfs),
    ("mismatched algorithms", Cause::ObjectFormat),
    ("unknown hash algorithm", Cause::ObjectFormat),
    ("' not found", Cause::Gone),
    ("repository not found", Cause::Gone),
    ("requested url returned error: 404", Cause::Gone),
    ("requested url returned error: 410", Cause::Gone),
    (
        "project you were looking for could not be found",
        Cause::Gone,
    ),
    ("is this a git repository?", Cause::NotARepository),
    (
        "does not appear to be a git repository",
        Cause::NotARepository,
    ),
    ("not a git repository", Cause::NotARepository),
    ("invalid server response", Cause::NotARepository),
    ("certificate", Cause::Certificate),
    ("could not resolve", Cause::Network),
    ("failed to connect", Cause::Network),
    ("unable to access", Cause::Network),
    ("connection refused", Cause::Network),
    ("connection reset", Cause::Network),
    ("connection closed", Cause::Network),
    ("connection timed out", Cause::Network),
    ("timed out", Cause::Network),
    ("network is unreachable", Cause::Network),
    ("no route to host", Cause::Network),
    ("temporary failure in name resolution", Cause::Network),
    ("name or service not known", Cause::Network),
    ("rpc failed", Cause::Network),
    ("early eof", Cause::Network),
    ("unexpected disconnect", Cause::Network),
    ("hung up unexpectedly", Cause::Network),
    ("bytes of body are still expected", Cause::Network),
    ("requested url returned error", Cause::Network),
    ("permission denied", Cause::Denied),
    ("read-only file system", Cause::Denied),
    ("could not read from remote repository", Cause::Network),
];

pub(super) fn cause_of(stderr: &str) -> Cause {
    let text = stderr.to_ascii_lowercase();
    let found = SIGNS.iter().find(|(sign, _)| text.contains(sign));
    found.map_or(Cause::Other, |(_, cause)| *cause)
}

/// The lines that say something, without progress, control characters and secrets.
pub(super) fn essence(stderr: &str) -> String {
    const LINES: usize = 6;
    const LONGEST: usize = 600;
    let spoken = |line: &&str| {
        let signs = [
            "fatal: ",
            "error: ",
            "remote: ",
            "ERROR: ",
            "warning: ",
            "ssh: ",
        ];
        signs.iter().any(|sign| line.starts_with(sign)) && !line.contains("% (")
    };
    let lines: Vec<&str> = stderr
        .split(['\n', '\r'])
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let mut chosen: Vec<&str> = lines.iter().copied().filter(spoken).collect();
    if chosen.is_empty() {
        chosen = lines;
    }
    let start = chosen.len().saturating_sub(LINES);
    let text = chosen[start..].join("; ");
    let text: String = text
        .chars()
        .filter(|letter| !letter.is_control())
        .take(LONGEST)
        .collect();
    without_secrets(&text).into_owned()
}

/// The error for what git complained about while it did something (`doing`: "cannot be listed").
pub(super) fn error_of(repo: &RepoUrl, doing: &str, stderr: &str) -> Error {
    error_for(cause_of(stderr), repo, doing, stderr)
}

pub(super) fn error_for(cause: Cause, repo: &RepoUrl, doing: &str, stderr: &str) -> Error {
    let gone_locally = repo.local_path().is_some_and(|path| !path.exists());
    let (kind, reason, hint) = match cause {
        Cause::NoSpace => (
            ErrorKind::NoSpace,
            "the disk is full",
            "make room, and run it again",
        ),
        Cause::NoLfs => (
            ErrorKind::Program,
            "it keeps files in Git LFS, and the program `git-lfs` is missing",
            "install git-lfs, or have the pointers left in place of the files",
        ),
        Cause::Lfs => (
            ErrorKind::Git,
            "a file that it keeps in Git LFS cannot be had",
            "see whether the LFS server has it and lets you read it, or have the pointers left in place of the files",
        ),
        Cause::NoCommit | Cause::Unadvertised => (
            ErrorKind::NotFound,
            "the server does not have the commit",
            "it may have been removed by a forced push; resolve again, or name another commit",
        ),
        Cause::NoRef => (
            ErrorKind::NotFound,
            "the branch or tag does not exist there any more",
            "resolve again, or name another one",
        ),
        _ if gone_locally => (
            ErrorKind::NotFound,
            "the folder does not exist",
            "see whether it was moved, or is not mounted",
        ),
        Cause::Gone => (
            ErrorKind::NotFound,
            "the server has no such repository",
            "see whether it was moved, deleted, or made private; a private one needs a credential helper",
        ),
        Cause::Auth => (
            ErrorKind::Auth,
            "the server wants credentials that git does not have",
            "give git a credential helper or an ssh key that may read it; some servers ask for one, too, when a repository does not exist",
        ),
        Cause::HostKey => (
            ErrorKind::Auth,
            "ssh does not know the server's host key",
            "connect to it once by ssh and accept the key",
        ),
        Cause::Ownership => (
            ErrorKind::Git,
            "the repository belongs to another user, and git refuses it",
            "if you trust it: `git config --global --add safe.directory` and its path",
        ),
        Cause::NotARepository => (
            ErrorKind::Git,
            "what is there is no git repository",
            "check the address; it is the one that `git clone` takes",
        ),
        Cause::ObjectFormat => (
            ErrorKind::Git,
            "its objects are named by SHA-256, which is not supported",
            "use a repository with SHA-1 names",
        ),
        Cause::Certificate => (
            ErrorKind::Network,
            "the server's certificate is not trusted",
            "set the clock, or tell git of the authority (`http.sslCAInfo`)",
        ),
        Cause::Network => (
            ErrorKind::Network,
            "the server cannot be reached, or broke off",
            "see whether the network is there, and run it again",
        ),
        Cause::Denied => (
            ErrorKind::PermissionDenied,
            "the operating system refused access",
            "see who owns the folder, and whether it can be written to",
        ),
        Cause::Other => (ErrorKind::Git, "git refused", ""),
    };
    let mut error = Error::new(kind, format!("{repo} {doing}: {reason}"));
    if !hint.is_empty() {
        error = error.with_hint(hint);
    }
    error.with_source(Said(essence(stderr)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_curl_and_ssh_say_is_understood() {
        for (said, cause) in [
            (
                "fatal: could not read Username for 'https://github.com': terminal prompts disabled",
                Cause::Auth,
            ),
            (
                "remote: Invalid username or token.\nfatal: Authentication failed for 'https://h/r/'",
                Cause::Auth,
            ),
            (
                "git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.",
                Cause::Auth,
            ),
            (
                "Host key verification failed.\nfatal: Could not read from remote repository.",
                Cause::HostKey,
            ),
            (
                "ERROR: Repository not found.\nfatal: Could not read from remote repository.",
                Cause::Gone,
            ),
            (
                "remote: Repository not found.\nfatal: repository 'https://h/r/' not found",
                Cause::Gone,
            ),
            (
                "fatal: unable to access 'https://h/r/': Could not resolve host: h",
                Cause::Network,
            ),
            (
                "ssh: connect to host h port 22: Connection refused\nfatal: Could not read from remote repository.",
                Cause::Network,
            ),
            (
                "fatal: unable to access 'https://h/r/': The requested URL returned error: 503",
                Cause::Network,
            ),
            (
                "fatal: unable to access 'https://h/r/': The requested URL returned error: 403",
                Cause::Auth,
            ),
            (
                "error: RPC failed; curl 18 transfer closed\nfatal: early EOF",
                Cause::Network,
            ),
            (
                "fatal: unable to access 'https://h/r/': SSL certificate problem: self-signed certificate",
                Cause::Certificate,
            ),
            (
                "fatal: write error: No space left on device\nfatal: fetch-pack: invalid index-pack output",
                Cause::NoSpace,
            ),
            (
                "error: file write error: Disk quota exceeded",
                Cause::NoSpace,
            ),
            (
                "fatal: remote error: upload-pack: not our ref 1111",
                Cause::NoCommit,
            ),
            (
                "error: Server does not allow request for unadvertised object 1111",
                Cause::Unadvertised,
            ),
            (
                "fatal: dumb http transport does not support shallow capabilities",
                Cause::Unadvertised,
            ),
            ("fatal: couldn't find remote ref refs/heads/x", Cause::NoRef),
            (
                "fatal: detected dubious ownership in repository at '/r'\nfatal: Could not read from remote repository.",
                Cause::Ownership,
            ),
            (
                "fatal: 'x' does not appear to be a git repository\nfatal: Could not read from remote repository.",
                Cause::NotARepository,
            ),
            ("fatal: cannot mkdir /r/c: Permission denied", Cause::Denied),
            ("fatal: something new", Cause::Other),
        ] {
            assert_eq!(cause_of(said), cause, "{said}");
        }
    }

    #[test]
    fn no_secret_and_no_progress_is_repeated() {
        let said = "Receiving objects:  50% (1/2)\rReceiving objects: 100% (2/2)\nfatal: unable to access 'https://me:secret@h/r/': \x1b[1mno\n";
        let repo: RepoUrl = "https://h/r".parse().unwrap();
        let error = error_of(&repo, "cannot be fetched", said);
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(
            cause,
            "git said: fatal: unable to access 'https://…@h/r/': [1mno"
        );
        assert!(!format!("{error:?}{error}").contains("secret"));
        assert!(essence(&"x".repeat(100_000)).len() <= 600);
        assert_eq!(essence("no prefix\n\n"), "no prefix");
    }
}
