//! An HTTP server for whole files that knows ranges, and counts what it sends.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::server::{RecordedRequest, read_head};

#[derive(Debug, Default)]
struct State {
    files: HashMap<String, (Vec<u8>, String)>,
    requests: Vec<RecordedRequest>,
    connections: usize,
    bytes_sent: u64,
    version: u64,
    break_after: Option<usize>,
    ignores_ranges: bool,
    has_no_tags: bool,
}

/// Serves the files that a test puts there, by path, with `Range` and `If-Range` (RFC 9110), strong tags and kept connections; for
/// what no such server would do there is [`ScriptedServer`](crate::ScriptedServer). Stops when it is dropped.
#[derive(Debug)]
pub struct FileServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl FileServer {
    /// Starts on a free port of 127.0.0.1, with no files.
    ///
    /// # Panics
    ///
    /// When no port can be bound.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a loopback port can be bound");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let state = Arc::new(Mutex::new(State::default()));
        let task = tokio::spawn(serve(listener, Arc::clone(&state)));
        Self {
            address,
            state,
            task,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// `http://127.0.0.1:<port>` and this path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Serves these bytes at this path from now on, under another tag than before.
    pub fn insert(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        let mut state = self.state();
        state.version += 1;
        let tag = format!("\"v{}\"", state.version);
        state.files.insert(path.to_owned(), (bytes.into(), tag));
    }

    /// Breaks the connection after so many bytes of the next body that has more of them.
    pub fn break_after(&self, bytes: usize) {
        self.state().break_after = Some(bytes);
    }

    /// Answers every request with the whole file from now on.
    pub fn ignore_ranges(&self) {
        self.state().ignores_ranges = true;
    }

    /// Sends no `ETag` from now on.
    pub fn send_no_tags(&self) {
        self.state().has_no_tags = true;
    }

    /// The requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.state().requests.clone()
    }

    /// How many connections were made so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state().connections
    }

    /// How many bytes of bodies were handed to the network so far.
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        self.state().bytes_sent
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    // Dropping the set with the task ends the connections too.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        lock(&state).connections += 1;
        connections.spawn(converse(stream, Arc::clone(&state)));
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(mut stream: TcpStream, state: Arc<Mutex<State>>) -> io::Result<()> {
    /// Small, so that a client that goes away is noticed.
    const PIECE: usize = 16 * 1024;
    stream.set_nodelay(true)?;
    while let Some(request) = read_head(&mut stream).await? {
        let (head, mut body, breaks) = {
            let mut state = lock(&state);
            let (head, mut body) = answer(&state, &request);
            state.requests.push(request);
            let breaks = state.break_after.filter(|&bytes| bytes < body.len());
            if let Some(bytes) = breaks {
                state.break_after = None;
                body.truncate(bytes);
            }
            (head, body, breaks.is_some())
        };
        stream.write_all(head.as_bytes()).await?;
        while !body.is_empty() {
            let rest = body.split_off(body.len().min(PIECE));
            stream.write_all(&body).await?;
            lock(&state).bytes_sent += body.len() as u64;
            body = rest;
        }
        if breaks {
            stream.shutdown().await?;
            break;
        }
    }
    Ok(())
}

fn answer(state: &State, request: &RecordedRequest) -> (String, Vec<u8>) {
    let Some((bytes, tag)) = state.files.get(&request.target) else {
        let head = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        return (head.to_owned(), Vec::new());
    };
    let total = bytes.len();
    let is_same = request
        .header("if-range")
        .is_none_or(|wanted| wanted == tag);
    let range = request.header("range").and_then(range);
    let tag = if state.has_no_tags {
        String::new()
    } else {
        format!("ETag: {tag}\r\n")
    };
    match range.filter(|_| is_same && !state.ignores_ranges) {
        None => {
            let head = format!("HTTP/1.1 200 OK\r\n{tag}Content-Length: {total}\r\n\r\n");
            (head, bytes.clone())
        }
        Some((first, _)) if first >= total => {
            let head = format!(
                "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */{total}\r\nContent-Length: 0\r\n\r\n"
            );
            (head, Vec::new())
        }
        Some((first, last)) => {
            let last = last.min(total - 1);
            let head = format!(
                "HTTP/1.1 206 Partial Content\r\n{tag}Content-Range: bytes {first}-{last}/{total}\r\n\
                 Content-Length: {}\r\n\r\n",
                last + 1 - first
            );
            (head, bytes[first..=last].to_vec())
        }
    }
}

/// `bytes=4-` and `bytes=4-9`.
fn range(header: &str) -> Option<(usize, usize)> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    let last = if last.is_empty() {
        usize::MAX
    } else {
        last.parse().ok()?
    };
    Some((first.parse().ok()?, last))
}
