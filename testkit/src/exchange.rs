//! One request's answer as a list of raw steps.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Holds an exchange until the test opens it. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Notify>);

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets one waiting exchange go on; remembered when none waits yet.
    pub fn open(&self) {
        self.0.notify_one();
    }

    async fn wait(&self) {
        self.0.notified().await;
    }
}

#[derive(Clone, Debug)]
enum Step {
    Send(Vec<u8>),
    Trickle { bytes: Vec<u8>, every: Duration },
    Repeat(Vec<u8>),
    Wait(Gate),
    Hold,
    Reset,
    Close,
}

/// What the server does after it has read one request head. Without a final [`close`](Exchange::close),
/// [`reset`](Exchange::reset) or [`hold`](Exchange::hold) the connection stays open for the next request.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    steps: Vec<Step>,
}

/// Whether the connection can take another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    Open,
    Closed,
}

impl Exchange {
    /// An exchange that does nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Sends these bytes as they are.
    #[must_use]
    pub fn send(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.then(Step::Send(bytes.into()))
    }

    /// Sends these bytes one by one, with a pause before each.
    #[must_use]
    pub fn trickle(self, bytes: impl Into<Vec<u8>>, every: Duration) -> Self {
        self.then(Step::Trickle {
            bytes: bytes.into(),
            every,
        })
    }

    /// Sends these bytes again and again until the client goes away.
    #[must_use]
    pub fn repeat(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.then(Step::Repeat(bytes.into()))
    }

    /// Sends nothing until the test opens the gate.
    #[must_use]
    pub fn wait(self, gate: &Gate) -> Self {
        self.then(Step::Wait(gate.clone()))
    }

    /// Sends nothing more and keeps the connection open until the client goes away.
    #[must_use]
    pub fn hold(self) -> Self {
        self.then(Step::Hold)
    }

    /// Breaks the connection with a TCP reset.
    #[must_use]
    pub fn reset(self) -> Self {
        self.then(Step::Reset)
    }

    /// Closes the connection in order.
    #[must_use]
    pub fn close(self) -> Self {
        self.then(Step::Close)
    }

    pub(crate) async fn play(self, stream: &mut TcpStream) -> io::Result<Connection> {
        for step in self.steps {
            match step {
                Step::Send(bytes) => {
                    stream.write_all(&bytes).await?;
                    stream.flush().await?;
                }
                Step::Trickle { bytes, every } => {
                    for byte in bytes {
                        tokio::time::sleep(every).await;
                        stream.write_all(&[byte]).await?;
                    }
                }
                Step::Repeat(bytes) => loop {
                    stream.write_all(&bytes).await?;
                },
                Step::Wait(gate) => gate.wait().await,
                Step::Hold => {
                    let mut rest = [0; 1024];
                    while stream.read(&mut rest).await? > 0 {}
                    return Ok(Connection::Closed);
                }
                Step::Reset => {
                    stream.set_zero_linger()?;
                    return Ok(Connection::Closed);
                }
                Step::Close => {
                    stream.shutdown().await?;
                    return Ok(Connection::Closed);
                }
            }
        }
        Ok(Connection::Open)
    }
}
