//! The HTTP backend runs the conformance suite, against a server that has much to offer and against one that has little.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use downloader::testing::{
    Breaking, Claims, Fixture, Ranges, Rule, Totals, Validators, conformance,
};
use downloader::{Downloader, HttpConfig, HttpDownloader, Request, SchemeRouter};
use manifest_core::Sha256Digest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use url::Url;

use crate::common::url;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Manners {
    /// Ranges, entity tags, lengths.
    Rich,
    /// Nothing but a chunked body.
    Poor,
}

#[derive(Default)]
struct Contents {
    by_path: Mutex<HashMap<String, Bytes>>,
    /// After how many bytes the next body of a path is cut.
    cuts: Mutex<HashMap<String, usize>>,
}

/// A server of its own, since a script has no place for requests that the test does not know.
struct Site {
    address: SocketAddr,
    contents: Arc<Contents>,
    manners: Manners,
    backend: Arc<dyn Downloader>,
    task: JoinHandle<()>,
}

impl Site {
    async fn start(manners: Manners) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let contents = Arc::new(Contents::default());
        let served = Arc::clone(&contents);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that goes away is no concern of the server's.
                tokio::spawn(converse(stream, Arc::clone(&served), manners));
            }
        });
        Self {
            address,
            contents,
            manners,
            backend: Arc::new(HttpDownloader::new(HttpConfig::new()).unwrap()),
            task,
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(
    mut stream: TcpStream,
    contents: Arc<Contents>,
    manners: Manners,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap();
    let path = path.split('?').next().unwrap().to_owned();
    let content = contents.by_path.lock().unwrap().get(&path).cloned();
    let cut = contents.cuts.lock().unwrap().remove(&path);
    let Some(content) = content else {
        let answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return stream.write_all(answer.as_bytes()).await;
    };
    let (head, body) = match manners {
        Manners::Rich => rich(&head, &content),
        Manners::Poor => {
            let head =
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n".into();
            (head, chunked(&content))
        }
    };
    stream.write_all(head.as_bytes()).await?;
    let end = cut.unwrap_or(body.len()).min(body.len());
    stream.write_all(&body[..end]).await?;
    stream.shutdown().await
}

fn rich(head: &str, content: &Bytes) -> (String, Bytes) {
    let header = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
    };
    let tag = format!("\"{}\"", Sha256Digest::of(content));
    let current = header("if-range").is_none_or(|wanted| wanted == tag);
    let size = content.len() as u64;
    let range = header("range").filter(|_| current).map(|range| {
        let range = range.strip_prefix("bytes=").unwrap();
        let (first, last) = range.split_once('-').unwrap();
        let last = last.parse().unwrap_or(u64::MAX);
        (
            first.parse::<u64>().unwrap(),
            last.min(size.saturating_sub(1)),
        )
    });
    let mut answer = String::from("HTTP/1.1 ");
    let body = match range {
        Some((first, _)) if first >= size => {
            write!(
                answer,
                "416 Range Not Satisfiable\r\nContent-Range: bytes */{size}"
            )
            .unwrap();
            Bytes::new()
        }
        Some((first, last)) => {
            write!(
                answer,
                "206 Partial Content\r\nContent-Range: bytes {first}-{last}/{size}"
            )
            .unwrap();
            content.slice(first as usize..=last as usize)
        }
        None => {
            answer.push_str("200 OK");
            content.clone()
        }
    };
    write!(
        answer,
        "\r\nETag: {tag}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )
    .unwrap();
    (answer, body)
}

fn chunked(content: &[u8]) -> Bytes {
    let mut framed = Vec::new();
    for chunk in content.chunks(10_000) {
        framed.extend(format!("{:x}\r\n", chunk.len()).bytes());
        framed.extend(chunk);
        framed.extend(b"\r\n");
    }
    framed.extend(b"0\r\n\r\n");
    framed.into()
}

#[async_trait]
impl Fixture for Site {
    fn downloader(&self) -> Arc<dyn Downloader> {
        Arc::clone(&self.backend)
    }

    fn claims(&self) -> Claims {
        match self.manners {
            Manners::Rich => Claims::all(),
            Manners::Poor => Claims::all()
                .with_ranges(Ranges::Ignored)
                .with_validators(Validators::Absent)
                .with_totals(Totals::Unknown),
        }
    }

    async fn publish(&self, name: &str, content: Bytes) -> Url {
        let path = format!("/{name}");
        let source = url(&format!("http://{}{path}", self.address));
        self.contents.by_path.lock().unwrap().insert(path, content);
        source
    }

    async fn remove(&self, name: &str) {
        let path = format!("/{name}");
        self.contents.by_path.lock().unwrap().remove(&path);
    }

    async fn open_breaking(&self, name: &str, content: Bytes, after: u64) -> Breaking {
        let url = self.publish(name, content).await;
        let path = url.path().to_owned();
        self.contents
            .cuts
            .lock()
            .unwrap()
            .insert(path, after as usize);
        Breaking::Opened(self.backend.open(&Request::new(url)).await)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_conforms() {
    let report = conformance(&Site::start(Manners::Rich).await).await;
    assert_eq!(report.kept(), Rule::ALL);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_conforms_with_a_server_that_offers_little() {
    let report = conformance(&Site::start(Manners::Poor).await).await;
    assert_eq!(report.unchecked(), [Rule::IfRangeSame, Rule::Validator]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_behind_a_router_conforms() {
    let mut site = Site::start(Manners::Rich).await;
    site.backend = Arc::new(SchemeRouter::new().with_scheme("http", Arc::clone(&site.backend)));
    let report = conformance(&site).await;
    assert_eq!(report.kept(), Rule::ALL);
}
