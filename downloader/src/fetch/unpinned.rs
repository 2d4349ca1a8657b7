//! A file whose digest nobody knows yet, whole and resumable.

use futures::StreamExt as _;
use manifest_core::Sha256Digest;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::fetcher::{Fetched, Fetcher, Target};
use super::journal::Journal;
use super::partial::{Found, Partial};
use super::pipeline::Pipeline;
use super::store::PartialStore;
use crate::blocking::blocking;
use crate::stall::Watch;
use crate::{Body, Error, ErrorKind, ProgressSink, Request, Response, Validator};

/// What is known of a source before its bytes are fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Probed {
    size: Option<u64>,
    validator: Option<Validator>,
}

impl Probed {
    /// The size in bytes, if the source says it.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// The strong validator, if the source gives one.
    #[must_use]
    pub fn validator(&self) -> Option<&Validator> {
        self.validator.as_ref()
    }
}

/// A file that was fetched without knowing its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unpinned {
    target: Target,
    validator: Option<Validator>,
    joined: bool,
    fetched: Fetched,
}

impl Unpinned {
    /// What it is: from now on it can be fetched as this target.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The strong validator of the answer that its last bytes came from.
    #[must_use]
    pub fn validator(&self) -> Option<&Validator> {
        self.validator.as_ref()
    }

    /// Whether it was joined from several answers: if a digest that is known by other means is not right, one in a piece may be.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.joined
    }

    /// What it cost.
    #[must_use]
    pub fn fetched(&self) -> &Fetched {
        &self.fetched
    }
}

enum Broken {
    /// The same request may succeed later.
    Passing(Error),
    /// What is there does not belong to what the source has now.
    StartOver(Error),
    Final(Error),
}

impl Fetcher {
    /// Asks what a source says of its file, and fetches no more than its first byte. Failures that may pass are tried again.
    ///
    /// # Errors
    ///
    /// Whatever the source fails with; `Cancelled`.
    pub async fn probe(&self, url: &Url, cancel: &CancellationToken) -> Result<Probed, Error> {
        let mut failures = 0;
        loop {
            let request = Request::new(url.clone()).with_length(Some(1));
            let mut watch = Watch::new(self.stall);
            let opened = cancel
                .run_until_cancelled(watch.wait(self.downloader.open(&request)))
                .await
                .ok_or_else(Error::cancelled)?;
            let error = match opened.and_then(|opened| opened) {
                Ok(response) => {
                    self.hosts.found(url);
                    return Ok(Probed {
                        size: response.total(),
                        validator: response.validator().cloned(),
                    });
                }
                // An empty content may be refused like this.
                Err(error) if error.kind() == ErrorKind::RangeNotSatisfiable => {
                    return Ok(Probed {
                        size: Some(0),
                        validator: None,
                    });
                }
                Err(error) => error.or_url(url),
            };
            failures += 1;
            if !error.is_temporary() || failures >= self.attempts_for(&error, url) {
                return Err(error);
            }
            let wait = self
                .retry
                .wait(failures, error.retry_after(), &*self.jitter);
            cancel
                .run_until_cancelled(tokio::time::sleep(wait))
                .await
                .ok_or_else(Error::cancelled)?;
        }
    }

    /// Brings what a URL names into the store, whatever it is, and computes its digest while it comes. When this returns, it lies there
    /// as [`PartialStore::file_name`] of the digest, and a later [`fetch`](Self::fetch) of the target finds it.
    ///
    /// What an interrupted run left of this URL is used if the source gave a strong validator then and gives the same now; otherwise it
    /// is fetched from the start. With no digest, nothing but the validator and TLS says that the bytes are right: whoever uses them
    /// checks them by other means, or trusts the source.
    ///
    /// # Errors
    ///
    /// `Limit` beyond `limit` bytes; whatever the source fails with after the last attempt; `Cancelled`; `NoSpace` and `Io` when the
    /// store cannot be written. What had arrived stays in the store, under a name that is made from the URL.
    ///
    /// # Cancel safety
    ///
    /// As [`fetch`](Self::fetch).
    pub async fn fetch_unpinned(
        &self,
        url: &Url,
        limit: u64,
        partials: &PartialStore,
        progress: &dyn ProgressSink,
        cancel: &CancellationToken,
    ) -> Result<Unpinned, Error> {
        let key = key_of(url);
        let target = Target::new(key, limit);
        let turn = cancel
            .run_until_cancelled(partials.turn(key))
            .await
            .ok_or_else(Error::cancelled)?;
        let partial = if partials.may_have_any(key) {
            let (store, stop) = (partials.clone(), cancel.clone());
            match blocking(move || Partial::find(store, target, turn, &stop)).await? {
                Found::Partial(partial) => partial,
                // No content has this digest, which is one of an address and a prefix.
                Found::Done => {
                    return Err(Error::new(
                        ErrorKind::Integrity,
                        "a download has the digest of its address",
                    ));
                }
            }
        } else {
            Box::new(Partial::fresh(partials.clone(), target, turn))
        };
        let journal = partial.journal().filter(|journal| journal.url == *url);
        let validator = journal.and_then(|journal| journal.validator.clone());
        let length = partial.length();
        let mut transfer = Transfer {
            fetcher: self,
            url,
            limit,
            pipeline: Pipeline::new(partial),
            progress,
            cancel,
            position: length,
            validator,
            answers: u32::from(length > 0),
            result: Fetched::default(),
        };
        if transfer.validator.is_some() {
            transfer.result.bytes_resumed = length;
            progress.resumed(length);
        } else {
            transfer.forget();
        }
        match transfer.run().await {
            Ok(()) => transfer.finish().await,
            Err(error) => {
                if let Err(unwritten) = transfer.pipeline.flush().await {
                    tracing::warn!(error = %unwritten, "the last bytes that came could not be kept");
                }
                Err(error)
            }
        }
    }
}

/// The name of a URL's partial file: no content has it.
pub(super) fn key_of(url: &Url) -> Sha256Digest {
    Sha256Digest::of(format!("lockstep: unpinned {url}").as_bytes())
}

struct Transfer<'a> {
    fetcher: &'a Fetcher,
    url: &'a Url,
    limit: u64,
    pipeline: Pipeline,
    progress: &'a dyn ProgressSink,
    cancel: &'a CancellationToken,
    /// How many bytes are there.
    position: u64,
    /// Of the bytes that are there.
    validator: Option<Validator>,
    answers: u32,
    result: Fetched,
}

impl Transfer<'_> {
    async fn run(&mut self) -> Result<(), Error> {
        let (mut failures, mut furthest) = (0, self.position);
        loop {
            let broken = match self.attempt().await {
                Ok(()) => return Ok(()),
                Err(broken) => broken,
            };
            self.result.retries += 1;
            let error = match broken {
                Broken::Final(error) => return Err(error),
                Broken::Passing(error) | Broken::StartOver(error)
                    if self.result.retries > self.fetcher.retry.total() =>
                {
                    return Err(error);
                }
                Broken::StartOver(error) => {
                    tracing::debug!(error = format_args!("{error:#}"), "starting over");
                    self.restart();
                    furthest = 0;
                    // Twice in a row it is the source's way.
                    failures += 1;
                    if failures >= self.fetcher.retry.attempts() {
                        return Err(error);
                    }
                    continue;
                }
                Broken::Passing(error) => error,
            };
            tracing::debug!(
                error = format_args!("{error:#}"),
                position = self.position,
                "an attempt failed"
            );
            if self.position > furthest {
                (furthest, failures) = (self.position, 0);
            }
            if self.validator.is_none() {
                // Nothing would say that the rest belongs to it.
                self.restart();
            }
            failures += 1;
            if failures >= self.fetcher.attempts_for(&error, self.url) {
                return Err(error);
            }
            let wait =
                self.fetcher
                    .retry
                    .wait(failures, error.retry_after(), &*self.fetcher.jitter);
            self.progress.waiting(&error, wait);
            let ready = sleep_until(Instant::now() + wait);
            self.cancel
                .run_until_cancelled(ready)
                .await
                .ok_or_else(Error::cancelled)?;
        }
    }

    /// One request, and as much of its body as comes.
    async fn attempt(&mut self) -> Result<(), Broken> {
        let mut watch = Watch::new(self.fetcher.stall);
        let request = Request::new(self.url.clone())
            .with_offset(self.position)
            .with_if_range(self.validator.clone().filter(|_| self.position > 0));
        let response = match self.open(&request, &mut watch).await {
            Err(Broken::Final(error))
                if error.kind() == ErrorKind::RangeNotSatisfiable && self.position > 0 =>
            {
                return if self.is_whole(&mut watch).await? {
                    Ok(())
                } else {
                    Err(Broken::StartOver(error))
                };
            }
            opened => opened?,
        };
        self.fetcher.hosts.found(self.url);
        if response.start() != self.position {
            if response.start() != 0 {
                let message = format!(
                    "the answer starts at byte {} instead of {}",
                    response.start(),
                    self.position
                );
                return Err(self.fault(ErrorKind::Protocol, message));
            }
            self.restart();
        } else if self.position > 0 && response.validator() != self.validator.as_ref() {
            return Err(Broken::StartOver(
                self.error(ErrorKind::Protocol, "the file changed at the source"),
            ));
        }
        let total = response.total();
        if let Some(total) = total.filter(|total| *total > self.limit) {
            return Err(self.too_large(&format!("the file has {total} bytes")));
        }
        let validator = response.validator().cloned();
        let received = self
            .receive(response.into_body(), total, validator, &mut watch)
            .await;
        if matches!(&received, Err(Broken::Final(error)) if is_of_the_source(error)) {
            // Nothing that came from such a body can be trusted.
            self.restart();
        }
        received
    }

    async fn open(&self, request: &Request, watch: &mut Watch) -> Result<Response, Broken> {
        let opened = self
            .cancel
            .run_until_cancelled(watch.wait(self.fetcher.downloader.open(request)))
            .await;
        let opened = opened.ok_or_else(|| Broken::Final(Error::cancelled()))?;
        opened
            .and_then(|opened| opened)
            .map_err(|error| self.broken(error))
    }

    /// Whether the source has nothing behind what is there because that is all: an earlier run ended after the last byte.
    async fn is_whole(&self, watch: &mut Watch) -> Result<bool, Broken> {
        let request = Request::new(self.url.clone())
            .with_offset(self.position - 1)
            .with_length(Some(1))
            .with_if_range(self.validator.clone());
        let response = self.open(&request, watch).await?;
        Ok(response.start() == self.position - 1
            && response.total() == Some(self.position)
            && self.validator.is_some()
            && response.validator() == self.validator.as_ref())
    }

    async fn receive(
        &mut self,
        mut body: Body,
        total: Option<u64>,
        validator: Option<Validator>,
        watch: &mut Watch,
    ) -> Result<(), Broken> {
        let journal = Journal {
            url: self.url.clone(),
            validator: validator.clone(),
            size: self.limit,
        };
        let mut origin = Some(journal);
        loop {
            let next = self
                .cancel
                .run_until_cancelled(watch.wait(body.next()))
                .await;
            let next = next.ok_or_else(|| Broken::Final(Error::cancelled()))?;
            let Some(chunk) = next.map_err(|error| self.broken(error))? else {
                break;
            };
            let chunk = chunk.map_err(|error| self.broken(error))?;
            let length = chunk.len() as u64;
            watch.received(length);
            self.result.bytes_transferred += length;
            self.progress.received(length);
            if length > total.unwrap_or(self.limit) - self.position {
                self.progress.discarded(length);
                return Err(match total {
                    Some(total) => self.fault(
                        ErrorKind::Limit,
                        format!("the source sends more than the {total} bytes of the file"),
                    ),
                    None => self.too_large("the source sends more"),
                });
            }
            if length == 0 {
                continue;
            }
            if let Some(journal) = origin.take() {
                self.pipeline.set_origin(journal);
                self.validator.clone_from(&validator);
                self.answers += 1;
            }
            self.position += length;
            self.pipeline.push(chunk).await.map_err(Broken::Final)?;
        }
        self.validator = validator;
        if let Some(total) = total.filter(|total| self.position < *total) {
            let message = format!("the body ended at byte {} of {total}", self.position);
            return Err(Broken::Passing(self.error(ErrorKind::Network, message)));
        }
        Ok(())
    }

    /// Gives the whole file the name of its content.
    async fn finish(mut self) -> Result<Unpinned, Error> {
        let target = self.pipeline.keep().await?;
        self.result.source = (self.result.bytes_transferred > 0).then(|| self.url.clone());
        Ok(Unpinned {
            target,
            validator: self.validator,
            joined: self.answers > 1,
            fetched: self.result,
        })
    }

    fn restart(&mut self) {
        self.progress.discarded(self.position);
        self.forget();
    }

    fn forget(&mut self) {
        if self.position > 0 {
            self.pipeline.restart();
        }
        self.position = 0;
        self.validator = None;
        self.answers = 0;
        self.result.bytes_resumed = 0;
    }

    fn broken(&self, error: Error) -> Broken {
        let error = error.or_url(self.url);
        if error.is_temporary() {
            Broken::Passing(error)
        } else {
            Broken::Final(error)
        }
    }

    fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, message).with_url(self.url)
    }

    fn fault(&self, kind: ErrorKind, message: impl Into<String>) -> Broken {
        Broken::Final(self.error(kind, message))
    }

    fn too_large(&self, what: &str) -> Broken {
        self.fault(
            ErrorKind::Limit,
            format!("{what}, and {} are allowed", self.limit),
        )
    }
}

/// Whether the source is to blame, and not the local disk or the caller.
fn is_of_the_source(error: &Error) -> bool {
    !matches!(
        error.kind(),
        ErrorKind::NoSpace | ErrorKind::PermissionDenied | ErrorKind::Io | ErrorKind::Cancelled
    )
}
