//! A backend that is told each of its answers.

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use url::Url;

use super::fault::{Failure, Fault};
use super::play::{Counts, play};
use crate::{Downloader, Error, ErrorKind, MemoryDownloader, Request, Response};

/// Answers each `open` as it was told, in order, and records the requests. Clones share the script.
///
/// ```
/// use downloader::testing::{Fault, Reply, ScriptedDownloader};
/// use downloader::{Downloader, ErrorKind, Request};
/// use url::Url;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let scripted = ScriptedDownloader::new([
///     Reply::refusal(ErrorKind::Unauthorized),
///     Reply::content("0123456789").with_fault(Fault::no_validator()),
/// ]);
/// let request = Request::new(Url::parse("https://hq.example/x")?);
///
/// assert_eq!(scripted.open(&request).await.unwrap_err().kind(), ErrorKind::Unauthorized);
/// assert_eq!(scripted.open(&request).await?.total(), Some(10));
/// scripted.finish()?; // everything was used, and nothing else was asked
/// assert_eq!(scripted.requests(), [request.clone(), request]);
/// # Ok(())
/// # }
/// ```
///
/// [`finish`](Self::finish) says whether the script was followed. If nobody asked it, dropping the last clone does, by a panic.
///
/// One script serves all URLs: for a program that fetches several files at once, whose order is open, [`Faulty`](super::Faulty) is the
/// better tool.
#[derive(Clone, Debug, Default)]
pub struct ScriptedDownloader {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    script: VecDeque<Reply>,
    requests: Vec<Request>,
    unscripted: Vec<String>,
    finished: bool,
}

/// What a [`ScriptedDownloader`] answers to one `open`.
pub struct Reply {
    answer: Answer,
    fault: Fault,
    url: Option<Url>,
}

enum Answer {
    Content(Bytes),
    Made(Make),
}

type Make = Box<dyn FnOnce(&Request) -> Result<Response, Error> + Send>;

impl Reply {
    /// As a good source of this content does, by the request's offset and `if_range`. It is a [`MemoryDownloader`].
    #[must_use]
    pub fn content(content: impl Into<Bytes>) -> Self {
        Self::new(Answer::Content(content.into()))
    }

    /// This error.
    #[must_use]
    pub fn refusal(failure: impl Into<Failure>) -> Self {
        Self::content(Bytes::new()).with_fault(Fault::refused(failure))
    }

    /// Whatever this makes of the request, be it against every rule.
    #[must_use]
    pub fn from_fn(
        make: impl FnOnce(&Request) -> Result<Response, Error> + Send + 'static,
    ) -> Self {
        Self::new(Answer::Made(Box::new(make)))
    }

    fn new(answer: Answer) -> Self {
        Self {
            answer,
            fault: Fault::none(),
            url: None,
        }
    }

    /// With a fault in it, beside those that it has.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.fault = self.fault.and(fault);
        self
    }

    /// Only to a request for this URL; [`ScriptedDownloader::finish`] tells of another.
    #[must_use]
    pub fn with_url(mut self, url: Url) -> Self {
        self.url = Some(url);
        self
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = match &self.answer {
            Answer::Content(content) => format!("content of {} bytes", content.len()),
            Answer::Made(_) => "made by a function".to_owned(),
        };
        formatter
            .debug_struct("Reply")
            .field("answer", &answer)
            .field("fault", &self.fault)
            .field("url", &self.url.as_ref().map(Url::as_str))
            .finish()
    }
}

impl ScriptedDownloader {
    /// With this script.
    #[must_use]
    pub fn new(script: impl IntoIterator<Item = Reply>) -> Self {
        let scripted = Self::default();
        scripted.state().script.extend(script);
        scripted
    }

    /// Adds a reply at the script's end.
    pub fn push(&self, reply: Reply) {
        let mut state = self.state();
        state.script.push_back(reply);
        state.finished = false;
    }

    /// All requests so far, unscripted ones included.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// How many replies have not been used.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.state().script.len()
    }

    /// Passes when every reply was used and nothing else was asked. Dropping is silent after this.
    ///
    /// # Errors
    ///
    /// What was not used, and what was asked beyond the script or with another URL.
    pub fn finish(&self) -> Result<(), Unfinished> {
        let mut state = self.state();
        state.finished = true;
        state.judge()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    fn next(&self, request: &Request) -> Result<Reply, Error> {
        let mut state = self.state();
        state.requests.push(request.clone());
        let unexpected = |what: String| {
            // Permanent: a retry would only take the next reply.
            Error::new(ErrorKind::Protocol, what).with_url(request.url())
        };
        let number = state.requests.len();
        let Some(reply) = state.script.pop_front() else {
            let asked = format!("request {number}, {}: the script is over", request.url());
            state.unscripted.push(asked);
            return Err(unexpected("the script has no reply left for this".into()));
        };
        match &reply.url {
            Some(url) if url != request.url() => {
                let asked = format!(
                    "request {number}, {}: the script has {url} here",
                    request.url()
                );
                state.unscripted.push(asked);
                Err(unexpected("the script has another URL here".into()))
            }
            _ => Ok(reply),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn judge(&self) -> Result<(), Unfinished> {
        if self.script.is_empty() && self.unscripted.is_empty() {
            return Ok(());
        }
        Err(Unfinished {
            unused: self
                .script
                .iter()
                .map(|reply| format!("{reply:?}"))
                .collect(),
            unscripted: self.unscripted.clone(),
        })
    }
}

#[async_trait]
impl Downloader for ScriptedDownloader {
    async fn open(&self, request: &Request) -> Result<Response, Error> {
        let Reply { answer, fault, .. } = self.next(request)?;
        let inner: Box<dyn Downloader> = match answer {
            Answer::Content(content) => {
                let memory = MemoryDownloader::new();
                memory.insert(request.url().clone(), content);
                Box::new(memory)
            }
            Answer::Made(make) => Box::new(Once(Mutex::new(Some(make(request))))),
        };
        play(fault, &*inner, request, &Arc::new(Counts::default())).await
    }
}

/// An answer that is there already.
#[derive(Debug)]
struct Once(Mutex<Option<Result<Response, Error>>>);

#[async_trait]
impl Downloader for Once {
    async fn open(&self, _: &Request) -> Result<Response, Error> {
        let answer = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        answer.expect("it is opened once, right after it was made")
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let state = self.lock();
        if !state.finished && !std::thread::panicking() {
            let verdict = state.judge();
            drop(state);
            if let Err(unfinished) = verdict {
                panic!("a ScriptedDownloader was dropped: {unfinished}");
            }
        }
    }
}

/// That a script was not followed. The `Debug` form is the whole message, so that `unwrap` in a test shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Unfinished {
    unused: Vec<String>,
    unscripted: Vec<String>,
}

impl Unfinished {
    /// The replies that nobody asked for.
    #[must_use]
    pub fn unused(&self) -> &[String] {
        &self.unused
    }

    /// The requests that had no reply.
    #[must_use]
    pub fn unscripted(&self) -> &[String] {
        &self.unscripted
    }
}

impl fmt::Display for Unfinished {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the script was not followed")?;
        for unused in &self.unused {
            write!(formatter, "\n  nobody asked for: {unused}")?;
        }
        for unscripted in &self.unscripted {
            write!(formatter, "\n  not scripted: {unscripted}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Unfinished {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

impl StdError for Unfinished {}
