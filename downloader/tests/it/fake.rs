//! A downloader that plays a script, for tests with a paused clock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use downloader::{Downloader, Error, ErrorKind, Request, Response, Validator};
use futures::stream::{self, StreamExt as _};
use tokio::time::{Instant, sleep};

#[derive(Debug)]
pub(crate) enum Step {
    Bytes(Vec<u8>),
    Pause(Duration),
    Fail(Error),
}

#[derive(Debug)]
pub(crate) enum Answer {
    Refuse(Error),
    Silence,
    Body {
        start: u64,
        total: Option<u64>,
        validator: Option<Validator>,
        steps: Vec<Step>,
    },
}

impl Answer {
    /// A body from `start` on, then a broken connection.
    pub(crate) fn breaking(start: usize, bytes: &[u8]) -> Self {
        Self::body(
            start,
            vec![Step::Bytes(bytes.to_vec()), Step::Fail(broken())],
        )
    }

    pub(crate) fn bytes(start: usize, bytes: &[u8]) -> Self {
        Self::body(start, vec![Step::Bytes(bytes.to_vec())])
    }

    pub(crate) fn body(start: usize, steps: Vec<Step>) -> Self {
        Self::Body {
            start: start as u64,
            total: None,
            validator: None,
            steps,
        }
    }

    pub(crate) fn etag(mut self, etag: &str) -> Self {
        if let Self::Body { validator, .. } = &mut self {
            *validator = Validator::from_etag(etag);
        }
        self
    }
}

pub(crate) fn broken() -> Error {
    Error::new(ErrorKind::Network, "the connection broke")
}

/// Answers in order; clones share the script. An empty script refuses for good.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fake {
    script: Arc<Mutex<VecDeque<Answer>>>,
    requests: Arc<Mutex<Vec<(Request, Instant)>>>,
}

impl Fake {
    pub(crate) fn new(script: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            script: Arc::new(Mutex::new(script.into_iter().collect())),
            requests: Arc::default(),
        }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests
            .lock()
            .unwrap()
            .iter()
            .map(|(request, _)| request.clone())
            .collect()
    }

    /// The time between each request and the next.
    pub(crate) fn waits(&self) -> Vec<Duration> {
        self.requests
            .lock()
            .unwrap()
            .windows(2)
            .map(|pair| pair[1].1 - pair[0].1)
            .collect()
    }

    pub(crate) fn remaining(&self) -> usize {
        self.script.lock().unwrap().len()
    }
}

#[async_trait]
impl Downloader for Fake {
    async fn open(&self, request: &Request) -> Result<Response, Error> {
        self.requests
            .lock()
            .unwrap()
            .push((request.clone(), Instant::now()));
        let answer = self.script.lock().unwrap().pop_front();
        match answer {
            None => {
                Err(Error::new(ErrorKind::NotFound, "the script is over").with_url(request.url()))
            }
            Some(Answer::Refuse(error)) => Err(error),
            Some(Answer::Silence) => std::future::pending().await,
            Some(Answer::Body {
                start,
                total,
                validator,
                steps,
            }) => {
                let body = stream::iter(steps).filter_map(async |step| match step {
                    Step::Bytes(bytes) => Some(Ok(Bytes::from(bytes))),
                    Step::Fail(error) => Some(Err(error)),
                    Step::Pause(duration) => {
                        sleep(duration).await;
                        None
                    }
                });
                Ok(Response::new(start, body.boxed())
                    .with_total(total)
                    .with_validator(validator))
            }
        }
    }
}
