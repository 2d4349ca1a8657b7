//! A mirror in a temporary folder, and a client that is nothing but a socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use durable_fs::Disk;
use manifest_core::{Manifest, ManifestBuilder, ReleasePath, ReleaseVersion, Sha256Digest, ToolId};
use mirror::{Published, RunningServer, Server, Store};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A test that waits longer than this has found a hang.
const HANG: Duration = Duration::from_secs(30);

pub(crate) const TOOL: &str = "sketcher";
pub(crate) const VERSION: &str = "1.2.0";

pub(crate) fn tool() -> ToolId {
    TOOL.parse().unwrap()
}

pub(crate) fn version(text: &str) -> ReleaseVersion {
    text.parse().unwrap()
}

pub(crate) fn path(text: &str) -> ReleasePath {
    text.parse().unwrap()
}

/// A release's files, and the folder in which they lie.
pub(crate) struct Tree {
    pub(crate) folder: TempDir,
    pub(crate) manifest: Manifest,
}

pub(crate) fn tree(release: &str, files: &[(&str, &[u8])]) -> Tree {
    let folder = tempfile::tempdir().unwrap();
    let mut builder = ManifestBuilder::new(tool(), version(release));
    for (name, content) in files {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
        builder = builder.with_file(
            path(name),
            Sha256Digest::of(content),
            content.len() as u64,
            false,
        );
    }
    Tree {
        folder,
        manifest: builder.build().unwrap(),
    }
}

impl Tree {
    pub(crate) fn publish(&self, store: &Store) -> mirror::Result<Published> {
        let source = Disk::real().open_dir(self.folder.path()).unwrap();
        store.publish(&self.manifest, &source)
    }
}

/// Bytes that no two positions share by accident.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64 ^ length as u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .flatten()
    .take(length)
    .collect()
}

/// Where a content lies in a store.
pub(crate) fn blob(store: &Path, content: &[u8]) -> PathBuf {
    let name = Sha256Digest::of(content).to_string();
    store.join("blobs/sha256").join(&name[..2]).join(name)
}

/// A store in a temporary folder and a server over it.
pub(crate) struct Mirror {
    pub(crate) store: Store,
    pub(crate) server: RunningServer,
    pub(crate) runtime: Runtime,
    _folder: TempDir,
}

impl Mirror {
    pub(crate) fn new() -> Self {
        Self::with(|server| server)
    }

    pub(crate) fn with(configure: impl FnOnce(Server) -> Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Disk::real(), folder.path().join("store")).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let server = {
            let _context = runtime.enter();
            configure(Server::bind(store.clone(), "127.0.0.1:0".parse().unwrap()).unwrap()).spawn()
        };
        Self {
            store,
            server,
            runtime,
            _folder: folder,
        }
    }

    /// A mirror that has one release with these files.
    pub(crate) fn serving(files: &[(&str, &[u8])]) -> Self {
        let mirror = Self::new();
        tree(VERSION, files).publish(&mirror.store).unwrap();
        mirror
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.server.local_addr())
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.client().ask("GET", target, &[])
    }
}

/// The target of a file of the usual release; the path goes in as it is.
pub(crate) fn file(path: &str) -> String {
    format!("/api/v1/tools/{TOOL}/{VERSION}/files/{path}")
}

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a header that is there at most once.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self
            .headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(
            values.next().is_none(),
            "{name} is there twice: {:?}",
            self.headers
        );
        value
    }

    #[track_caller]
    pub(crate) fn error(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/json"));
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(json.as_object().unwrap().len(), 1);
        json["error"].as_str().unwrap().to_owned()
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        stream.set_write_timeout(Some(HANG)).unwrap();
        Self {
            stream: BufReader::new(stream),
        }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    pub(crate) fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.request(method, target, headers);
        self.answer(method)
    }

    pub(crate) fn request(&mut self, method: &str, target: &str, headers: &[(&str, &str)]) {
        use std::fmt::Write as _;
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: mirror\r\n");
        for (name, value) in headers {
            write!(request, "{name}: {value}\r\n").unwrap();
        }
        self.send(request + "\r\n");
    }

    /// Reads one answer, exactly as many bytes as it must have.
    pub(crate) fn answer(&mut self, method: &str) -> Answer {
        let status = self.line();
        let status = status
            .strip_prefix("HTTP/1.1 ")
            .unwrap_or_else(|| panic!("no status line: {status:?}"));
        let status = status[..3].parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap();
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut answer = Answer {
            status,
            headers,
            body: Vec::new(),
        };
        assert_eq!(answer.header("transfer-encoding"), None);
        if method != "HEAD" && status != 304 {
            let length = answer
                .header("content-length")
                .expect("every answer has a length")
                .parse()
                .unwrap();
            answer.body = vec![0; length];
            self.stream.read_exact(&mut answer.body).unwrap();
        }
        answer
    }

    /// Returns when the server has begun to answer. Nothing is taken.
    pub(crate) fn wait_for_first_byte(&mut self) {
        assert!(!self.stream.fill_buf().unwrap().is_empty());
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        assert!(line.ends_with("\r\n"), "the connection ended in {line:?}");
        line.truncate(line.len() - 2);
        line
    }

    /// Everything until the server closes, however it does.
    pub(crate) fn until_closed(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(
                error.kind(),
                std::io::ErrorKind::ConnectionReset,
                "the server did not close"
            ),
        }
        rest
    }

    /// The header block and the body of the first HTTP/2 answer.
    pub(crate) fn first_http_2_answer(&mut self) -> (Vec<u8>, Vec<u8>) {
        let (mut head, mut body) = (Vec::new(), Vec::new());
        loop {
            let mut frame = [0; 9];
            self.stream.read_exact(&mut frame).unwrap();
            let mut payload =
                vec![0; u32::from_be_bytes([0, frame[0], frame[1], frame[2]]) as usize];
            self.stream.read_exact(&mut payload).unwrap();
            match frame[3] {
                0 => body.append(&mut payload),
                1 => head.append(&mut payload),
                _ => continue,
            }
            if frame[4] & 1 != 0 {
                return (head, body);
            }
        }
    }
}
