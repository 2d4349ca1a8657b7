//! One answer with its fault.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::stream::{Stream, StreamExt as _};

use super::fault::{Asked, Change, Ending, Fault, Opening, Point};
use crate::{Body, Downloader, Error, Request, Response};

/// What is counted of one URL.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) opens: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) struck: AtomicU64,
    pub(super) bodies: AtomicU64,
}

impl Counts {
    fn strike(&self) {
        self.struck.fetch_add(1, Ordering::Relaxed);
    }
}

/// Asks the backend behind, or does not, and spoils what it answers.
pub(super) async fn play(
    fault: Fault,
    inner: &dyn Downloader,
    request: &Request,
    counts: &Arc<Counts>,
) -> Result<Response, Error> {
    match &fault.opening {
        Opening::Answered => {}
        Opening::Refused(failure) => {
            counts.strike();
            return Err(failure.error(request, "the request is refused"));
        }
        Opening::Silent => {
            counts.strike();
            return std::future::pending().await;
        }
    }
    let is_part = request.offset() > 0 || request.length().is_some();
    let response = if fault.ranges == Asked::ForTheWhole && is_part {
        counts.strike();
        let whole = Request::new(request.url().clone());
        inner
            .open(&whole.with_expected_size(request.expected_size()))
            .await?
    } else {
        inner.open(request).await?
    };
    let start = response.start();
    let total = changed(fault.total, response.total(), counts);
    let validator = changed(fault.validator, response.validator().cloned(), counts);
    let ending = fault.ending.and_then(|(point, ending)| {
        let at = match point {
            Point::Byte(byte) => byte,
            Point::After(bytes) => start.saturating_add(bytes),
        };
        (at >= start).then_some((at, ending))
    });
    counts.bodies.fetch_add(1, Ordering::Relaxed);
    let spoiled = Spoiled {
        body: Some(response.into_body()),
        position: start,
        ahead: Bytes::new(),
        corrupt: fault.corrupt,
        ending,
        request: request.clone(),
        counts: Arc::clone(counts),
    };
    Ok(Response::new(start, spoiled.boxed())
        .with_total(total)
        .with_validator(validator))
}

fn changed<T: PartialEq>(change: Change<T>, own: Option<T>, counts: &Counts) -> Option<T> {
    let new = match change {
        Change::Kept => return own,
        Change::Dropped => None,
        Change::Replaced(other) => Some(other),
    };
    if new != own {
        counts.strike();
    }
    new
}

/// A body that is cut, held or changed at exact bytes.
struct Spoiled {
    /// Gone when it has ended.
    body: Option<Body>,
    position: u64,
    /// What came of the body and was not handed out yet.
    ahead: Bytes,
    corrupt: Vec<u64>,
    ending: Option<(u64, Ending)>,
    request: Request,
    counts: Arc<Counts>,
}

impl Spoiled {
    /// How many bytes may come before the body is ended; `None` when it is not.
    fn allowed(&self) -> Option<usize> {
        let (at, _) = self.ending.as_ref()?;
        Some(usize::try_from(at - self.position).unwrap_or(usize::MAX))
    }

    fn corrupted(&self, piece: Bytes) -> Bytes {
        let end = self.position + piece.len() as u64;
        let inside = |byte: &&u64| (self.position..end).contains(*byte);
        if !self.corrupt.iter().any(|byte| inside(&byte)) {
            return piece;
        }
        let mut piece = piece.to_vec();
        for byte in self.corrupt.iter().filter(inside) {
            piece[(byte - self.position) as usize] ^= 0xff;
            self.counts.strike();
        }
        piece.into()
    }

    fn end(&mut self, ending: Ending) -> Poll<Option<Result<Bytes, Error>>> {
        match ending {
            Ending::Silence => {
                // Stays where it is: the next poll comes here again.
                if self.body.take().is_some() {
                    self.counts.strike();
                }
                Poll::Pending
            }
            Ending::End => {
                self.counts.strike();
                self.close();
                Poll::Ready(None)
            }
            Ending::Error(failure) => {
                self.counts.strike();
                self.close();
                let what = format!("the body breaks off at byte {}", self.position);
                Poll::Ready(Some(Err(failure.error(&self.request, &what))))
            }
        }
    }

    fn close(&mut self) {
        self.body = None;
        self.ending = None;
        self.ahead = Bytes::new();
    }
}

impl Stream for Spoiled {
    type Item = Result<Bytes, Error>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        let this = &mut *self;
        if this.allowed() == Some(0)
            && let Some((_, ending)) = this.ending.clone()
        {
            return this.end(ending);
        }
        if this.ahead.is_empty() {
            let Some(body) = &mut this.body else {
                return Poll::Ready(None);
            };
            match ready!(body.poll_next_unpin(context)) {
                Some(Ok(piece)) => this.ahead = piece,
                Some(Err(error)) => {
                    this.close();
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    this.close();
                    return Poll::Ready(None);
                }
            }
        }
        let length = this.ahead.len().min(this.allowed().unwrap_or(usize::MAX));
        let piece = this.ahead.split_to(length);
        let piece = this.corrupted(piece);
        this.position += length as u64;
        this.counts
            .bytes
            .fetch_add(length as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(piece)))
    }
}

impl Drop for Spoiled {
    fn drop(&mut self) {
        self.counts.bodies.fetch_sub(1, Ordering::Relaxed);
    }
}
