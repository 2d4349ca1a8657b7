//! A transport of one's own: [`Depot`], in under a hundred lines, checked by the conformance suite, then used by an updater.
//!
//! ```sh
//! cargo run -p lockstep-examples --example custom_backend
//! cargo test -p lockstep-examples --example custom_backend
//! ```
//!
//! The depot speaks a protocol of its own over TCP. One line is asked, one is answered, and bytes follow:
//!
//! ```text
//! > /sketcher/1.0.0/run.py 5 "5f"    path, offset, the validator of what is there already or `-`
//! < sends 5 12 "5f"                  first byte, size of the whole, validator; then bytes 5 to 11
//! < gone                             or: no such file
//! < behind                           or: no such byte
//! ```

use std::collections::HashMap;
use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use downloader::testing::{Breaking, Claims, Fixture, Rule, conformance};
use downloader::{Body, Downloader, Error, ErrorKind, Request, Response, Validator};
use futures::{StreamExt as _, stream};
use manifest_core::{ManifestBuilder, Sha256Digest, file_url};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use updater::{CancellationToken, TrustPolicy, Updater, Url};

type Result<T> = std::result::Result<T, Box<dyn StdError>>;

// The backend.

const HOST: &str = "depot.example";
const PIECE: usize = 64 * 1024;
const LONGEST_LINE: u64 = 2000;

/// Serves `https://depot.example/…`, as the URLs in manifests have to look. What they mean is the transport's own affair.
#[derive(Clone, Debug)]
struct Depot {
    address: SocketAddr,
}

#[async_trait]
impl Downloader for Depot {
    async fn open(&self, request: &Request) -> std::result::Result<Response, Error> {
        let url = request.url();
        let refusal = |kind, why: &str| Error::new(kind, why).with_url(url);
        if (url.scheme(), url.host_str()) != ("https", Some(HOST)) {
            return Err(refusal(ErrorKind::Unsupported, "this is not in the depot"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refusal(
                ErrorKind::Policy,
                "credentials do not belong into a URL",
            ));
        }
        let (stream, answer) = self.ask(request).await.map_err(|error| {
            refusal(ErrorKind::Network, "the depot does not answer").with_source(error)
        })?;
        let strange = || refusal(ErrorKind::Protocol, "the depot answers strangely");
        let words: Vec<&str> = answer.split_whitespace().collect();
        let (start, total, tag) = match words[..] {
            ["gone"] => return Err(refusal(ErrorKind::NotFound, "the depot has no such file")),
            ["behind"] => {
                let why = "the file has no such byte";
                return Err(refusal(ErrorKind::RangeNotSatisfiable, why));
            }
            ["sends", start, total, tag] => (start.parse::<u64>(), total.parse::<u64>(), tag),
            _ => return Err(strange()),
        };
        let (Ok(start), Ok(total)) = (start, total) else {
            return Err(strange());
        };
        if request
            .expected_size()
            .is_some_and(|expected| expected != total)
        {
            return Err(refusal(ErrorKind::Protocol, "the file has another size"));
        }
        let left = total.checked_sub(start).ok_or_else(strange)?;
        Ok(Response::new(start, body(stream, left, url.clone()))
            .with_total(Some(total))
            .with_validator(Validator::from_etag(tag)))
    }
}

impl Depot {
    async fn ask(&self, request: &Request) -> io::Result<(BufReader<TcpStream>, String)> {
        let mut stream = BufReader::new(TcpStream::connect(self.address).await?);
        let tag = request.if_range().map_or("-", Validator::as_str);
        let line = format!("{} {} {tag}\n", request.url().path(), request.offset());
        stream.write_all(line.as_bytes()).await?;
        let mut answer = String::new();
        (&mut stream)
            .take(LONGEST_LINE)
            .read_line(&mut answer)
            .await?;
        Ok((stream, answer))
    }
}

/// Exactly the bytes that are left, or an error.
fn body(stream: BufReader<TcpStream>, left: u64, url: Url) -> Body {
    let next = move |(mut stream, left): (BufReader<TcpStream>, u64)| {
        let url = url.clone();
        async move {
            if left == 0 {
                return Ok(None);
            }
            let broken = Error::new(ErrorKind::Network, "the depot hung up").with_url(&url);
            let mut piece = BytesMut::with_capacity(PIECE);
            match (&mut stream).take(left).read_buf(&mut piece).await {
                Ok(0) => Err(broken),
                Ok(read) => Ok(Some((piece.freeze(), (stream, left - read as u64)))),
                Err(error) => Err(broken.with_source(error)),
            }
        }
    };
    stream::try_unfold((stream, left), next).boxed()
}

// Its other end, which is there already in real life.

#[derive(Debug, Default)]
struct Files {
    by_path: Mutex<HashMap<String, Bytes>>,
    /// After how many bytes to hang up, once.
    hang_up: Mutex<HashMap<String, usize>>,
}

#[derive(Clone, Debug)]
struct Server {
    address: SocketAddr,
    files: Arc<Files>,
}

impl Server {
    /// Runs until the runtime ends.
    async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let files = Arc::new(Files::default());
        let served = Arc::clone(&files);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let files = Arc::clone(&served);
                // A client that goes away is no concern of the server's.
                tokio::spawn(async move { converse(stream, &files).await });
            }
        });
        Ok(Self { address, files })
    }

    fn put(&self, url: &Url, content: impl Into<Bytes>) {
        locked(&self.files.by_path).insert(url.path().to_owned(), content.into());
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn converse(stream: TcpStream, files: &Files) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    (&mut stream)
        .take(LONGEST_LINE)
        .read_line(&mut line)
        .await?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let [path, offset, tag] = words[..] else {
        return Ok(());
    };
    let content = locked(&files.by_path).get(path).cloned();
    let Some(content) = content else {
        return stream.write_all(b"gone\n").await;
    };
    let current = format!("\"{}\"", Sha256Digest::of(&content));
    let unchanged = tag == "-" || tag == current;
    let offset: u64 = if unchanged {
        offset.parse().unwrap_or(0)
    } else {
        0
    };
    if offset > 0 && offset >= content.len() as u64 {
        return stream.write_all(b"behind\n").await;
    }
    let head = format!("sends {offset} {} {current}\n", content.len());
    stream.write_all(head.as_bytes()).await?;
    let rest = content.slice(offset as usize..);
    let hang_up = locked(&files.hang_up).remove(path);
    let end = hang_up.unwrap_or(rest.len()).min(rest.len());
    stream.write_all(&rest[..end]).await?;
    stream.shutdown().await
}

// What the suite needs to know.

struct DepotFixture(Server);

fn url_of(name: &str) -> Url {
    Url::parse(&format!("https://{HOST}/{name}")).expect("names are plain")
}

#[async_trait]
impl Fixture for DepotFixture {
    fn downloader(&self) -> Arc<dyn Downloader> {
        Arc::new(Depot {
            address: self.0.address,
        })
    }

    fn claims(&self) -> Claims {
        Claims::all()
    }

    async fn publish(&self, name: &str, content: Bytes) -> Url {
        self.0.put(&url_of(name), content);
        url_of(name)
    }

    async fn remove(&self, name: &str) {
        locked(&self.0.files.by_path).remove(url_of(name).path());
    }

    async fn open_breaking(&self, name: &str, content: Bytes, after: u64) -> Breaking {
        let url = self.publish(name, content).await;
        locked(&self.0.files.hang_up).insert(url.path().to_owned(), after as usize);
        Breaking::Opened(self.downloader().open(&Request::new(url)).await)
    }
}

// Both together.

/// The backend keeps every rule; if it did not, this would say which, and what was asked.
async fn the_depot_conforms() -> Result<usize> {
    let report = conformance(&DepotFixture(Server::start().await?)).await;
    assert_eq!(report.unchecked(), [], "all of them were checked");
    Ok(report.kept().len())
}

/// An updater that fetches through it.
async fn an_updater_uses_it() -> Result<updater::Report> {
    let server = Server::start().await?;
    let base = url_of("tools/");
    let contents = [
        ("run.py", b"print('hello')\n".to_vec()),
        ("model.bin", b"weights ".repeat(100_000)),
    ];
    let mut builder =
        ManifestBuilder::new("sketcher".parse()?, "1.0.0".parse()?).with_base_url(base.clone());
    for (path, content) in &contents {
        let (digest, size) = (Sha256Digest::of(content), content.len() as u64);
        builder = builder.with_file(path.parse()?, digest, size, false);
    }
    let manifest = builder.build()?;
    for (path, content) in contents {
        let (tool, version) = (manifest.tool_id(), manifest.tool_version());
        server.put(&file_url(&base, tool, version, &path.parse()?)?, content);
    }
    let manifest_url = base.join("sketcher/1.0.0/manifest.json")?;
    server.put(&manifest_url, manifest.to_bytes());

    let root = tempfile::tempdir()?; // removed at the end
    let depot = Depot {
        address: server.address,
    };
    let updater = Updater::builder(root.path())
        .with_downloader(Arc::new(depot))
        .build()?;
    let trust = TrustPolicy::Pinned(manifest.manifest_hash());
    Ok(updater
        .update(&manifest_url, &trust, &CancellationToken::new())
        .await?)
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", lockstep_examples::explain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let kept = the_depot_conforms().await?;
        println!(
            "the depot keeps all {kept} rules of `Downloader` ({} there are)",
            Rule::ALL.len()
        );
        let report = an_updater_uses_it().await?;
        println!(
            "an updater installed {} through it: {report}",
            report.to_version
        );
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::Result;

    #[tokio::test]
    async fn the_depot_conforms() -> Result<()> {
        super::the_depot_conforms().await.map(drop)
    }

    #[tokio::test]
    async fn an_updater_uses_it() -> Result<()> {
        assert_eq!(super::an_updater_uses_it().await?.downloaded, 2);
        Ok(())
    }
}
