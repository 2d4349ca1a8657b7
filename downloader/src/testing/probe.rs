//! How the rules ask, and how they say what came instead.

use std::any::Any;
use std::fmt::Write as _;
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use tokio::time::timeout;
use url::Url;

use super::reading::{Reading, Step};
use super::{Claims, Fixture, Outcome, Ranges, Rule, Verdict, Violation};
use crate::error::shown;
use crate::{Downloader, Error, ErrorKind, Request, Response, Validator};

/// For one rule. Only a backend that hangs needs it.
const DEADLINE: Duration = Duration::from_secs(30);

/// One rule's view of the backend. It knows what is being asked, for the message.
pub(super) struct Probe<'a> {
    fixture: &'a dyn Fixture,
    downloader: Arc<dyn Downloader>,
    claims: Claims,
    rule: Rule,
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    asked: String,
    /// Whose turn it is: a panic of the fixture is not the backend's.
    in_fixture: bool,
}

/// What an answer says before its body.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) start: u64,
    pub(super) total: Option<u64>,
    pub(super) validator: Option<Validator>,
}

impl<'a> Probe<'a> {
    pub(super) fn new(fixture: &'a dyn Fixture, rule: Rule) -> Self {
        Self {
            downloader: fixture.downloader(),
            claims: fixture.claims(),
            now: Mutex::default(),
            fixture,
            rule,
        }
    }

    pub(super) fn claims(&self) -> Claims {
        self.claims
    }

    pub(super) fn downloader(&self) -> &dyn Downloader {
        &*self.downloader
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a check to its end, or to that of the patience with it.
    pub(super) async fn judge(&self, check: impl Future<Output = Verdict>) -> Verdict {
        match timeout(DEADLINE, AssertUnwindSafe(check).catch_unwind()).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(panic)) if self.now().in_fixture => std::panic::resume_unwind(panic),
            Ok(Err(panic)) => self.broken("no panic", format!("the panic {:?}", said(&*panic))),
            Err(elapsed) if self.now().in_fixture => {
                panic!("the fixture of {} hangs: {elapsed}", self.rule)
            }
            Err(_elapsed) => self.broken(
                "something, soon",
                format!("nothing within {} s: it hangs", DEADLINE.as_secs()),
            ),
        }
    }

    /// The verdict that the rule is broken by what was asked last.
    pub(super) fn broken<T>(
        &self,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> Result<T, Violation> {
        let asked = self.now().asked.clone();
        Err(Violation::new(
            self.rule,
            asked,
            expected.into(),
            got.into(),
        ))
    }

    /// Says what is going on, for the message.
    pub(super) fn doing(&self, what: impl Into<String>) {
        self.now().asked = what.into();
    }

    async fn of_fixture<T>(&self, call: impl Future<Output = T>) -> T {
        self.now().in_fixture = true;
        let result = call.await;
        self.now().in_fixture = false;
        result
    }

    fn named(&self, name: &str) -> String {
        format!("{}-{name}", self.rule.name())
    }

    pub(super) async fn publish(&self, name: &str, content: &Bytes) -> Url {
        let name = self.named(name);
        self.of_fixture(self.fixture.publish(&name, content.clone()))
            .await
    }

    pub(super) async fn remove(&self, name: &str) {
        self.of_fixture(self.fixture.remove(&self.named(name)))
            .await;
    }

    /// The fixture opens here; a panic in it is left alone.
    pub(super) async fn open_breaking(
        &self,
        name: &str,
        content: &Bytes,
        after: u64,
    ) -> super::Breaking {
        self.doing(format!(
            "the whole of a content of {} bytes whose source breaks off near byte {after}",
            content.len()
        ));
        let name = self.named(name);
        self.of_fixture(self.fixture.open_breaking(&name, content.clone(), after))
            .await
    }

    pub(super) async fn open(&self, request: &Request, note: &str) -> Result<Response, Error> {
        self.doing(describe(request, note));
        self.downloader.open(request).await
    }

    /// An answer that must come, beginning where it must.
    pub(super) async fn answer(
        &self,
        request: &Request,
        note: &str,
        content: &Bytes,
        starts: &[u64],
    ) -> Result<(Head, Reading), Violation> {
        let expected = || format!("an answer that starts at byte {}", either(starts));
        let response = match self.open(request, note).await {
            Ok(response) => response,
            Err(error) => return self.broken(expected(), refused(&error)),
        };
        let start = response.start();
        let head = Head {
            start,
            total: response.total(),
            validator: response.validator().cloned(),
        };
        if !starts.contains(&start) {
            let got = format!("an answer that starts at byte {start}");
            return self.broken(expected(), got);
        }
        let asked = self.now().asked.clone();
        let body = response.into_body();
        Ok((head, Reading::new(asked, body, content, start)))
    }

    /// The same, read to its end.
    pub(super) async fn read(
        &self,
        request: &Request,
        note: &str,
        content: &Bytes,
        starts: &[u64],
    ) -> Result<Head, Violation> {
        let (head, mut reading) = self.answer(request, note, content, starts).await?;
        while reading.advance(self).await? == Step::More {}
        Ok(head)
    }

    /// The same for a request with a length.
    pub(super) async fn read_part(
        &self,
        request: &Request,
        note: &str,
        content: &Bytes,
        starts: &[u64],
    ) -> Result<Head, Violation> {
        let (head, mut reading) = self.answer(request, note, content, starts).await?;
        if let Some(length) = request.length() {
            reading.may_end_at(request.offset().saturating_add(length));
        }
        while reading.advance(self).await? == Step::More {}
        Ok(head)
    }

    /// A refusal that must come, of one of these kinds, for good.
    pub(super) async fn refusal(
        &self,
        request: &Request,
        note: &str,
        kinds: &[ErrorKind],
    ) -> Result<Error, Violation> {
        let named = |kind: &ErrorKind| format!("`{kind:?}`");
        let kinds_named: Vec<String> = kinds.iter().map(named).collect();
        let expected = format!("a permanent error of the kind {}", kinds_named.join(" or "));
        match self.open(request, note).await {
            Ok(response) => self.broken(expected, served(&response)),
            Err(error) if !kinds.contains(&error.kind()) || error.is_temporary() => {
                self.broken(expected, refused(&error))
            }
            Err(error) => Ok(error),
        }
    }

    /// Where an answer to a request with this offset may start.
    pub(super) fn starts(&self, offset: u64) -> Vec<u64> {
        match self.claims.ranges {
            Ranges::Honoured => vec![offset],
            Ranges::Ignored => vec![0, offset],
        }
    }
}

/// Polls a future so many times at most, then drops it.
pub(super) async fn polled<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|context| {
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Bytes without a period, other ones for each seed.
pub(super) fn content(seed: &str, size: usize) -> Bytes {
    let mut state = seed.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    bytes.truncate(size);
    bytes.into()
}

pub(super) fn unchecked(why: &str) -> Outcome {
    Outcome::Unchecked(why.to_owned())
}

pub(super) fn refused(error: &Error) -> String {
    let lasting = if error.is_temporary() {
        "temporary"
    } else {
        "permanent"
    };
    format!(
        "the {lasting} error of the kind `{:?}`, {:?}",
        error.kind(),
        format!("{error:#}")
    )
}

pub(super) fn served(response: &Response) -> String {
    let total = response.total().map_or_else(
        || "no total".to_owned(),
        |total| format!("the total {total}"),
    );
    format!(
        "an answer that starts at byte {}, with {total}",
        response.start()
    )
}

fn either(starts: &[u64]) -> String {
    let starts: Vec<String> = starts.iter().map(u64::to_string).collect();
    starts.join(" or at byte ")
}

fn describe(request: &Request, note: &str) -> String {
    let mut text = format!("open {}", shown(request.url()));
    if request.offset() > 0 {
        let _ = write!(text, ", offset {}", request.offset());
    }
    if let Some(length) = request.length() {
        let _ = write!(text, ", length {length}");
    }
    if let Some(validator) = request.if_range() {
        let _ = write!(text, ", if_range {validator}");
    }
    if let Some(size) = request.expected_size() {
        let _ = write!(text, ", expected_size {size}");
    }
    if !note.is_empty() {
        let _ = write!(text, " ({note})");
    }
    text
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a text")
}
