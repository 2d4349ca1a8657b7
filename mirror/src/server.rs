use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::pin::pin;
use std::time::Duration;

use hyper_util::service::TowerToHyperService;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use url::Url;

use crate::connection::{self, Patience};
use crate::{Error, ErrorKind, Result, Store, router};

/// How long accepting rests after an error that does not pass by itself, such as too many open
/// files.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// A mirror that listens on an address.
///
/// It speaks HTTP/1.1, and HTTP/2 to clients that start with it. Clients that send their headers
/// too slowly, keep a connection without using it, or do not take their answer are closed.
///
/// ```
/// use durable_fs::Disk;
/// use mirror::{Server, Store};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let store = Store::open(&Disk::real(), folder.path())?;
/// let server = Server::bind(store, "127.0.0.1:0".parse()?)?.with_max_connections(64);
/// println!("{}", server.base_url()); // http://127.0.0.1:43210/api/v1/tools/
/// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
/// # stop.send(()).unwrap();
/// server.run(async { stopped.await.unwrap_or_default() }).await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a server serves only while it is run"]
pub struct Server {
    store: Store,
    listener: TcpListener,
    address: SocketAddr,
    patience: Patience,
    max_connections: usize,
    drain: Duration,
}

impl Server {
    /// Starts to listen. With port 0 the system chooses one: see [`local_addr`](Self::local_addr).
    ///
    /// Connections are answered once the server [runs](Self::run).
    ///
    /// # Errors
    /// [`ErrorKind::Bind`] if the address cannot be listened on.
    pub fn bind(store: Store, address: SocketAddr) -> Result<Self> {
        let bind = || -> io::Result<_> {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = bind().map_err(|error| bind_error(address, error))?;
        Ok(Self {
            store,
            listener,
            address,
            patience: Patience {
                headers: Duration::from_secs(30),
                stall: Duration::from_mins(1),
            },
            max_connections: 1024,
            drain: Duration::from_secs(30),
        })
    }

    /// How long a client may take for the headers of a request, and how long it may keep a
    /// connection without a request. 30 seconds unless set.
    pub fn with_header_timeout(mut self, timeout: Duration) -> Self {
        self.patience.headers = timeout;
        self
    }

    /// How long a client may take for each 256 KiB of an answer, roughly: what the operating system
    /// buffers counts as taken. 60 seconds unless set.
    pub fn with_stall_timeout(mut self, timeout: Duration) -> Self {
        self.patience.stall = timeout;
        self
    }

    /// How many connections are served at a time; further ones wait. 1024 unless set; at least 1.
    pub fn with_max_connections(mut self, count: usize) -> Self {
        self.max_connections = count.max(1);
        self
    }

    /// How long answers that are under way may take after the shutdown began. 30 seconds unless
    /// set.
    pub fn with_drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain = timeout;
        self
    }

    /// The address that is listened on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The base of the tools' URLs, as manifests and clients want it:
    /// `http://127.0.0.1:8080/api/v1/tools/`. A server that listens on every address is named by
    /// the loopback address.
    #[must_use]
    pub fn base_url(&self) -> Url {
        base_url(self.address)
    }

    /// Serves until `shutdown` completes. Then nothing new is accepted, idle connections are closed,
    /// and answers that are under way are finished, within the drain timeout.
    ///
    /// Needs a tokio runtime with I/O and time enabled.
    ///
    /// # Errors
    /// [`ErrorKind::Bind`] if the runtime cannot watch the listener. What goes wrong on one
    /// connection ends that connection only.
    ///
    /// # Cancel safety
    /// Dropping the future stops listening and cuts every answer off at once, without draining. The store is only
    /// read, and clients resume where they were cut off.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)
            .map_err(|error| bind_error(self.address, error))?;
        let router = TowerToHyperService::new(router(self.store));
        let (closing, is_closing) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        tracing::info!(address = %self.address, "the mirror is serving");
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(ended) = connections.join_next() => report_panic(ended),
                accepted = listener.accept(), if connections.len() < self.max_connections => match accepted {
                    Ok((stream, _)) => {
                        // A small answer must not wait for the client's acknowledgement.
                        if let Err(error) = stream.set_nodelay(true) {
                            tracing::debug!(%error, "TCP_NODELAY could not be set");
                        }
                        let serve = connection::serve(stream, router.clone(), self.patience, is_closing.clone());
                        connections.spawn(serve);
                    }
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) => {
                        tracing::warn!(%error, "connections cannot be accepted for the moment");
                        tokio::time::sleep(ACCEPT_REST).await;
                    }
                }
            }
        }
        drop(listener);
        // Fails only if nobody is left to be told.
        let _ = closing.send(true);
        let drained = async {
            while let Some(ended) = connections.join_next().await {
                report_panic(ended);
            }
        };
        if tokio::time::timeout(self.drain, drained).await.is_err() {
            tracing::warn!(
                count = connections.len(),
                "connections were cut off: draining took too long"
            );
            connections.shutdown().await;
        }
        Ok(())
    }

    /// Runs the server as a task of the current tokio runtime, for programs and tests that embed
    /// it.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn(self) -> RunningServer {
        let address = self.address;
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(self.run(async move {
            // A handle that was dropped is a shutdown too.
            let _ = stopped.await;
        }));
        RunningServer {
            address,
            stop,
            task,
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Server")
            .field("store", &self.store)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// A [`Server`] that was [spawned](Server::spawn). Dropping it starts the shutdown, without
/// waiting for its end.
#[derive(Debug)]
#[must_use = "dropping it shuts the server down"]
pub struct RunningServer {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<()>>,
}

impl RunningServer {
    /// The address that is listened on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// As [`Server::base_url`].
    #[must_use]
    pub fn base_url(&self) -> Url {
        base_url(self.address)
    }

    /// Drains and ends the server.
    ///
    /// # Errors
    /// As [`Server::run`]; [`ErrorKind::Io`] if its task was ended from outside.
    ///
    /// # Cancel safety
    /// The shutdown goes on without whoever waits for it.
    pub async fn shutdown(self) -> Result<()> {
        drop(self.stop);
        self.task.await.map_err(|error| {
            let message = format!("the server on {} ended before its shutdown", self.address);
            Error::new(ErrorKind::Io, message).with_source(error)
        })?
    }
}

fn base_url(mut address: SocketAddr) -> Url {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    // A scope id has no place in a URL.
    let address = SocketAddr::new(address.ip(), address.port());
    format!("http://{address}/api/v1/tools/")
        .parse()
        .expect("an IP address and a port always make a URL")
}

fn bind_error(address: SocketAddr, source: io::Error) -> Error {
    Error::new(
        ErrorKind::Bind,
        format!("cannot listen on {address}: choose another address or port"),
    )
    .with_source(source)
}

/// Whether accepting failed for one client, who went away, and not for all.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection ended abnormally");
    }
}
