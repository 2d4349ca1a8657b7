//! Small packages that the tests make, and the real `uv`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use testkit::{ZipEntry, zip};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use version_spec::{AskerRole, PythonRequest, Requirements, UvProgram};

/// The real uv, away from the indexes of who runs the tests; `None`, and a line that says so, where there is none.
pub(crate) fn uv() -> Option<UvProgram> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Ok(uv) = UvProgram::find(&path) else {
        eprintln!("left out: the program `uv` is missing");
        return None;
    };
    Some(
        uv.with_variable("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple")
            .with_variable("UV_HTTP_RETRIES", "0"),
    )
}

/// Folders for wheels, a cache, and an environment.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("wheels")).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn venv(&self) -> PathBuf {
        self.path("home/.venv")
    }

    /// Adds a wheel with one module, whose `v` is the version and whose text ends like this; one that is there is replaced.
    pub(crate) fn wheel(&self, name: &str, version: &str, needs: &[&str], text: &str) {
        let info = format!("{name}-{version}.dist-info");
        let mut metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
        for need in needs {
            writeln!(metadata, "Requires-Dist: {need}").unwrap();
        }
        let files = [
            (format!("{name}.py"), format!("v = '{version}'\n{text}\n")),
            (format!("{info}/METADATA"), metadata),
            (
                format!("{info}/WHEEL"),
                "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
                    .to_owned(),
            ),
        ];
        let mut record = format!("{info}/RECORD,,\n");
        for (path, _) in &files {
            record += path;
            record += ",,\n";
        }
        let mut entries: Vec<ZipEntry> = files
            .iter()
            .map(|(path, text)| ZipEntry::stored(path, text))
            .collect();
        entries.push(ZipEntry::stored(format!("{info}/RECORD"), record));
        std::fs::write(self.wheel_path(name, version), zip(&entries)).unwrap();
    }

    pub(crate) fn wheel_path(&self, name: &str, version: &str) -> PathBuf {
        self.path("wheels")
            .join(format!("{name}-{version}-py3-none-any.whl"))
    }

    /// A request of these askers, answered by the wheels alone. `ComfyUI` is the base.
    pub(crate) fn request(&self, askers: &[(&str, &[&str])]) -> PythonRequest {
        let request = PythonRequest::new(self.path("cache"))
            .with_wheels_dir(self.path("wheels"))
            .without_network();
        asked(request, askers)
    }
}

pub(crate) fn asked(request: PythonRequest, askers: &[(&str, &[&str])]) -> PythonRequest {
    askers.iter().fold(request, |request, (asker, lines)| {
        let role = if *asker == "ComfyUI" {
            AskerRole::Base
        } else {
            AskerRole::Node
        };
        request.with_requirements(Requirements::new(*asker, role, lines.iter().copied()))
    })
}

/// What a module of the environment is.
pub(crate) fn module(venv: &Path, name: &str) -> Option<String> {
    let lib = venv.join("lib").read_dir().ok()?;
    let python = lib
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with("python"))?;
    std::fs::read_to_string(python.path().join(format!("site-packages/{name}.py"))).ok()
}

/// Serves `/<index>/simple/<package>/` and the wheels of these places, and counts what was asked for.
pub(crate) struct Indexes {
    pub(crate) address: SocketAddr,
    requests: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

impl Indexes {
    pub(crate) async fn of(places: &[(&str, &Place)]) -> Self {
        let mut answers: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (index, place) in places {
            for file in place.path("wheels").read_dir().unwrap().flatten() {
                let name = file.file_name().into_string().unwrap();
                let package = name.split('-').next().unwrap();
                let page = answers
                    .entry(format!("/{index}/simple/{package}/"))
                    .or_default();
                page.extend(format!("<a href=\"/{index}/files/{name}\">{name}</a>\n").bytes());
                answers.insert(
                    format!("/{index}/files/{name}"),
                    std::fs::read(file.path()).unwrap(),
                );
            }
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        let server = tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 8192];
                let count = socket.read(&mut request).await.unwrap_or(0);
                counted.fetch_add(1, Ordering::SeqCst);
                let text = String::from_utf8_lossy(&request[..count]).into_owned();
                let path = text.split(' ').nth(1).unwrap_or_default();
                let (status, body) = match answers.get(path) {
                    Some(body) => ("200 OK", &body[..]),
                    None => ("404 Not Found", &b""[..]),
                };
                let kind = if path.ends_with('/') {
                    "text/html"
                } else {
                    "application/octet-stream"
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = socket.write_all(head.as_bytes()).await;
                if !text.starts_with("HEAD") {
                    let _ = socket.write_all(body).await;
                }
            }
        });
        Self {
            address,
            requests,
            server,
        }
    }

    pub(crate) fn url(&self, index: &str) -> String {
        format!("http://{}/{index}/simple", self.address)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Indexes {
    fn drop(&mut self) {
        self.server.abort();
    }
}
