//! Repositories that the tests make with the real `git`, and a server for them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use version_spec::{CommitId, GitProgram, RepoUrl};

/// The real git without the configuration of who runs the tests; `None`, and a line that says so, where there is none.
pub(crate) fn git() -> Option<GitProgram> {
    if is_there("git") {
        return Some(
            GitProgram::new("git")
                .with_variable("GIT_CONFIG_GLOBAL", "/dev/null")
                .with_variable("GIT_CONFIG_NOSYSTEM", "1"),
        );
    }
    eprintln!("left out: the program `git` is missing");
    None
}

pub(crate) fn is_there(program: &str) -> bool {
    let tried = Command::new(program)
        .arg("version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}

/// A repository with a work tree, in a folder of its own.
pub(crate) struct Repo {
    pub(crate) folder: TempDir,
}

impl Repo {
    /// One commit on `main`.
    pub(crate) fn new() -> Self {
        let repo = Self::empty();
        repo.commit(&[("node.py", "one\n"), ("web/a.js", "a\n")]);
        repo
    }

    pub(crate) fn empty() -> Self {
        let repo = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        Self::git(&["init", "--quiet", "-b", "main", "r"], repo.folder.path());
        repo
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("r")
    }

    pub(crate) fn plain(&self) -> RepoUrl {
        self.path().to_str().unwrap().parse().unwrap()
    }

    pub(crate) fn file_url(&self) -> RepoUrl {
        format!("file://{}", self.path().display()).parse().unwrap()
    }

    fn git(arguments: &[&str], folder: &Path) -> String {
        let output = Command::new("git")
            .args([
                "-c",
                "protocol.file.allow=always",
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@t",
                "-c",
                "commit.gpgSign=false",
            ])
            .args(arguments)
            .current_dir(folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        Self::git(arguments, &self.path())
    }

    pub(crate) fn head(&self) -> CommitId {
        self.run(&["rev-parse", "HEAD"]).parse().unwrap()
    }

    pub(crate) fn commit(&self, files: &[(&str, &str)]) -> CommitId {
        for (path, text) in files {
            let path = self.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.run(&["add", "-A"]);
        self.run(&["commit", "--quiet", "--allow-empty", "-m", "c"]);
        self.head()
    }
}

/// How the server answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manners {
    Ordinary,
    /// Speaks the first protocol, in which only what a ref points to is given out.
    OnlyRefs,
    /// Wants `Authorization: Basic dTpw`.
    WantsPassword,
    /// Has web pages and nothing else.
    Pages,
    /// Answers every request by this status.
    Status(u16),
    /// Takes what is posted, and never answers.
    Hangs,
}

/// `git http-backend` behind a loopback port.
pub(crate) struct Server {
    port: u16,
    state: Arc<State>,
}

struct State {
    root: PathBuf,
    manners: std::sync::Mutex<Manners>,
    sent: AtomicU64,
    hangs: Notify,
    hung_up: Notify,
}

impl Server {
    pub(crate) async fn start(repo: &Repo, manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            root: repo.folder.path().to_owned(),
            manners: manners.into(),
            sent: AtomicU64::new(0),
            hangs: Notify::new(),
            hung_up: Notify::new(),
        });
        let serving = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&serving);
                tokio::spawn(async move {
                    // Clients hang up as they like.
                    let _ = state.answer(stream).await;
                });
            }
        });
        Self { port, state }
    }

    pub(crate) fn url(&self) -> RepoUrl {
        format!("http://127.0.0.1:{}/r", self.port).parse().unwrap()
    }

    pub(crate) fn behave(&self, manners: Manners) {
        *self.state.manners.lock().unwrap() = manners;
    }

    /// Bytes that were sent since this was last asked.
    pub(crate) fn sent(&self) -> u64 {
        self.state.sent.swap(0, Ordering::SeqCst)
    }

    /// Returns when a client waits for an answer that does not come.
    pub(crate) async fn hangs(&self) {
        self.state.hangs.notified().await;
    }

    /// Returns when that client is gone.
    pub(crate) async fn hung_up(&self) {
        self.state.hung_up.notified().await;
    }
}

impl State {
    async fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut request = Vec::new();
        let head_end = loop {
            if stream.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
            if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8_lossy(&request[..head_end]).into_owned();
        let header = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            lines
                .filter(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.to_owned())
                .next()
        };
        let mut body = request.split_off(head_end);
        let length: usize = header("content-length").map_or(0, |length| length.parse().unwrap());
        while body.len() < length {
            if stream.read_buf(&mut body).await? == 0 {
                return Ok(());
            }
        }
        let mut words = head.split(' ');
        let (method, target) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let manners = *self.manners.lock().unwrap();
        let refusal = match manners {
            Manners::WantsPassword if header("authorization").as_deref() != Some("Basic dTpw") => {
                Some("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"r\"".to_owned())
            }
            Manners::Pages => Some("200 OK\r\nContent-Type: text/html".to_owned()),
            Manners::Status(status) => Some(format!("{status} No")),
            _ => None,
        };
        if let Some(status) = refusal {
            let response = format!(
                "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 15\r\n\r\n<html>\n</html>\n"
            );
            return stream.write_all(response.as_bytes()).await;
        }
        if manners == Manners::Hangs
            && method == "POST"
            && String::from_utf8_lossy(&body).contains("want ")
        {
            self.hangs.notify_one();
            while stream.read_buf(&mut body).await? > 0 {}
            self.hung_up.notify_one();
            return Ok(());
        }
        let mut backend = tokio::process::Command::new("git");
        backend
            .args(["-c", "safe.directory=*", "http-backend"])
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env("REQUEST_METHOD", method)
            .env("CONTENT_TYPE", header("content-type").unwrap_or_default())
            .env("CONTENT_LENGTH", length.to_string())
            .env(
                "HTTP_CONTENT_ENCODING",
                header("content-encoding").unwrap_or_default(),
            )
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        match header("git-protocol") {
            Some(protocol) if manners != Manners::OnlyRefs => backend.env("GIT_PROTOCOL", protocol),
            _ => backend.env_remove("GIT_PROTOCOL"),
        };
        let mut backend = backend.spawn()?;
        let mut input = backend.stdin.take().unwrap();
        let feed = async {
            let _ = input.write_all(&body).await;
            drop(input);
        };
        let mut output = Vec::new();
        let mut pipe = backend.stdout.take().unwrap();
        let ((), read) = tokio::join!(feed, pipe.read_to_end(&mut output));
        read?;
        let text = String::from_utf8_lossy(&output[..output.len().min(200)]).into_owned();
        let status = text
            .strip_prefix("Status: ")
            .map_or("200 OK", |rest| rest.lines().next().unwrap());
        let mut response = format!("HTTP/1.1 {status}\r\nConnection: close\r\n").into_bytes();
        response.extend_from_slice(&output);
        self.sent.fetch_add(response.len() as u64, Ordering::SeqCst);
        stream.write_all(&response).await
    }
}
