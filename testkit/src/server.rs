//! A raw TCP server on a free loopback port that plays a script.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::exchange::{Connection, Exchange};
use crate::reply::Reply;

/// More than any request head of our clients; keeps a runaway client from filling the memory.
const HEAD_LIMIT: usize = 64 * 1024;

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRequest {
    /// `GET`, `HEAD`, …
    pub method: String,
    /// The request target as it was sent.
    pub target: String,
    /// Names as they were sent, in order.
    pub headers: Vec<(String, String)>,
    /// The whole head, with the empty line.
    pub raw: Vec<u8>,
}

impl RecordedRequest {
    /// The value of the first header of this name, whatever its case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    fn parse(raw: Vec<u8>) -> Option<Self> {
        let text = String::from_utf8_lossy(&raw).into_owned();
        let mut lines = text.split("\r\n");
        let mut request_line = lines.next()?.split(' ');
        let method = request_line.next()?.to_owned();
        let target = request_line.next()?.to_owned();
        let headers = lines
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Some(Self {
            method,
            target,
            headers,
            raw,
        })
    }
}

#[derive(Debug, Default)]
struct Shared {
    script: Mutex<VecDeque<Exchange>>,
    requests: Mutex<Vec<RecordedRequest>>,
    unexpected: Mutex<usize>,
    connections: Mutex<usize>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Plays one [`Exchange`] per request, in order; a request beyond the script's end gets `501 Script Exhausted`.
///
/// It runs on the runtime of the test and stops when it is dropped. It reads request heads only, no bodies.
#[derive(Debug)]
pub struct ScriptedServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl ScriptedServer {
    /// Starts on a free port of 127.0.0.1.
    ///
    /// # Panics
    ///
    /// When no port can be bound.
    pub async fn start<E: Into<Exchange>>(script: impl IntoIterator<Item = E>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a loopback port can be bound");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let shared = Arc::new(Shared::default());
        lock(&shared.script).extend(script.into_iter().map(Into::into));
        let task = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            task,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:<port>` and this path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Adds an exchange at the script's end.
    pub fn push(&self, exchange: impl Into<Exchange>) {
        lock(&self.shared.script).push_back(exchange.into());
    }

    /// The requests so far, in the order in which they arrived.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        lock(&self.shared.requests).clone()
    }

    /// How many connections were made so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        *lock(&self.shared.connections)
    }

    /// How many exchanges have not been played.
    #[must_use]
    pub fn remaining(&self) -> usize {
        lock(&self.shared.script).len()
    }

    /// Checks that the whole script was played, and nothing else was asked.
    ///
    /// # Panics
    ///
    /// When it was not.
    #[track_caller]
    pub fn assert_finished(&self) {
        assert_eq!(self.remaining(), 0, "exchanges that nobody asked for");
        assert_eq!(
            *lock(&self.shared.unexpected),
            0,
            "requests beyond the script: {:#?}",
            self.requests()
        );
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // Dropping the set with the task ends the connections too.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        *lock(&shared.connections) += 1;
        connections.spawn(converse(stream, Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(mut stream: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    while let Some(request) = read_head(&mut stream).await? {
        lock(&shared.requests).push(request);
        let next = lock(&shared.script).pop_front();
        let exchange = next.unwrap_or_else(|| {
            *lock(&shared.unexpected) += 1;
            Reply::status("501 Script Exhausted").into()
        });
        if exchange.play(&mut stream).await? == Connection::Closed {
            break;
        }
    }
    Ok(())
}

pub(crate) async fn read_head(stream: &mut TcpStream) -> io::Result<Option<RecordedRequest>> {
    let mut head = Vec::new();
    let mut byte = [0; 1];
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_LIMIT {
        // One byte at a time: nothing of a next request may be taken along.
        if stream.read(&mut byte).await? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    Ok(RecordedRequest::parse(head))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;
    use crate::Gate;

    async fn ask(server: &ScriptedServer, path: &str) -> (io::Result<usize>, String) {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer).await;
        (end, String::from_utf8(answer).unwrap())
    }

    #[tokio::test]
    async fn plays_the_script_in_order_and_records() {
        let server = ScriptedServer::start([Reply::ok("one"), Reply::ok("two").cut_after(1)]).await;
        assert!(ask(&server, "/a").await.1.ends_with("\r\n\r\none"));
        assert!(ask(&server, "/b").await.1.ends_with("\r\n\r\nt"));
        server.assert_finished();
        let requests = server.requests();
        assert_eq!(requests[1].target, "/b");
        assert_eq!(requests[1].header("a"), Some("b"));
    }

    #[tokio::test]
    async fn a_request_beyond_the_script_is_an_error() {
        let server = ScriptedServer::start(Vec::<Exchange>::new()).await;
        assert!(ask(&server, "/").await.1.starts_with("HTTP/1.1 501 "));
        assert_eq!(server.requests().len(), 1);
    }

    #[tokio::test]
    async fn a_reset_is_an_error_to_the_client() {
        let server = ScriptedServer::start([Exchange::new().reset()]).await;
        assert_eq!(
            ask(&server, "/").await.0.unwrap_err().kind(),
            io::ErrorKind::ConnectionReset
        );
    }

    #[tokio::test]
    async fn a_gate_holds_the_answer_back() {
        let gate = Gate::new();
        let server =
            ScriptedServer::start([Exchange::new().wait(&gate).send("late").close()]).await;
        let (answer, ()) = tokio::join!(ask(&server, "/"), async { gate.open() });
        assert_eq!(answer.1, "late");
    }

    #[tokio::test]
    async fn two_requests_on_one_connection() {
        let server = ScriptedServer::start([Reply::ok("one").keep_alive(), Reply::ok("two")]).await;
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream
            .write_all(b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.contains("one") && answer.ends_with("two"),
            "{answer}"
        );
        server.assert_finished();
    }
}
