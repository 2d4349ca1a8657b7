//! The loop over attempts that makes one file.

use futures::StreamExt as _;
use manifest_core::Sha256Digest;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::fetcher::{Fetched, Fetcher, Target};
use super::journal::Journal;
use super::partial::Sealed;
use super::pipeline::Pipeline;
use super::sources::Sources;
use crate::stall::Watch;
use crate::{Body, Error, ErrorKind, ProgressSink, Request, Response, Validator};

/// How often a host is asked for whose name cannot be resolved and that never answered. A wrong name stays wrong; one that was right
/// before gets all the attempts that the policy allows, since then it is the network that is gone.
const UNKNOWN_HOST_ATTEMPTS: u32 = 2;

impl Fetcher {
    /// How often a source that failed like this is asked in a row.
    pub(super) fn attempts_for(&self, error: &Error, url: &Url) -> u32 {
        let attempts = self.retry.attempts();
        if error.kind() == ErrorKind::UnknownHost && !self.hosts.was_found(url) {
            attempts.min(UNKNOWN_HOST_ATTEMPTS)
        } else {
            attempts
        }
    }
}

/// Why an attempt ended before the file was whole.
enum Broken {
    /// The source's fault.
    Source(Error),
    /// What was there cannot go on with what the source has: the same source, from zero.
    StartOver(Error),
    /// Nobody can help: the local disk, or the caller cancelled.
    Fatal(Error),
}

/// One file on its way.
pub(super) struct Fetch<'a> {
    fetcher: &'a Fetcher,
    target: Target,
    pipeline: Pipeline,
    progress: &'a dyn ProgressSink,
    cancel: &'a CancellationToken,
    sources: Sources,
    /// How many bytes of the file are there.
    position: u64,
    /// The furthest that it ever was: only beyond it is there progress.
    furthest: u64,
    /// Where the last bytes came from.
    last: Option<Journal>,
    /// The source of the last bytes, if it was asked in this run.
    current: Option<usize>,
    /// How many answers the bytes come from; an earlier run counts as one.
    answers: u32,
    result: Fetched,
}

impl<'a> Fetch<'a> {
    pub(super) fn new(
        fetcher: &'a Fetcher,
        target: Target,
        sources: &[Url],
        pipeline: Pipeline,
        progress: &'a dyn ProgressSink,
        cancel: &'a CancellationToken,
    ) -> Self {
        Self {
            fetcher,
            target,
            pipeline,
            progress,
            cancel,
            sources: Sources::new(sources, fetcher.retry.attempts()),
            position: 0,
            furthest: 0,
            last: None,
            current: None,
            answers: 0,
            result: Fetched::default(),
        }
    }

    /// Goes on after what an earlier run left.
    pub(super) fn with_found(mut self, length: u64, journal: Option<Journal>) -> Self {
        self.position = length;
        self.furthest = length;
        self.result.bytes_resumed = length;
        self.answers = u32::from(length > 0);
        self.last = journal;
        self
    }

    /// Tries until the file is whole and right, or nobody is left to ask.
    pub(super) async fn run(mut self) -> Result<Fetched, Error> {
        match self.attempts().await {
            Ok(()) => Ok(self.result),
            Err(error) => {
                if let Err(unwritten) = self.pipeline.flush().await {
                    tracing::warn!(error = %unwritten, "the last bytes that came could not be kept");
                }
                // The sources know more than the last attempt.
                Err(error.unwrap_or_else(|| self.sources.into_error()))
            }
        }
    }

    /// `Err(None)`: all sources have failed.
    async fn attempts(&mut self) -> Result<(), Option<Error>> {
        loop {
            if self.cancel.is_cancelled() {
                return Err(Some(Error::cancelled()));
            }
            if self.position == self.target.size() {
                match self.pipeline.seal().await? {
                    Sealed::Done => {
                        self.result.source =
                            self.current.map(|source| self.sources.url(source).clone());
                        return Ok(());
                    }
                    Sealed::Differs(actual) if self.target.size() == 0 => {
                        return Err(Some(self.digest_error(actual)));
                    }
                    Sealed::Differs(actual) => self.wrong_digest(actual),
                }
            }
            let source = self.sources.choose(&self.fetcher.hosts).ok_or(None)?;
            let ready = sleep_until(self.sources.ready_at(source));
            self.cancel
                .run_until_cancelled(ready)
                .await
                .ok_or_else(Error::cancelled)?;
            let broken = match self.attempt(source).await {
                Ok(()) => continue,
                Err(Broken::Fatal(error)) => return Err(Some(error)),
                Err(broken) => broken,
            };
            self.result.retries += 1;
            match broken {
                _ if self.result.retries > self.fetcher.retry.total() => {
                    return Err(Some(broken.into_error()));
                }
                Broken::StartOver(error) => {
                    tracing::debug!(error = format_args!("{error:#}"), "starting over");
                    self.restart();
                    self.sources.prefer(source);
                }
                Broken::Source(error) | Broken::Fatal(error) => self.source_failed(source, error),
            }
        }
    }

    /// One request, and as much of its body as comes.
    async fn attempt(&mut self, source: usize) -> Result<(), Broken> {
        let url = self.sources.url(source).clone();
        let outcome = self.transfer(source, &url).await;
        outcome.map_err(|broken| match broken {
            // Backends name the URL themselves; what is found out here does not.
            Broken::Source(error) => Broken::Source(error.or_url(&url)),
            broken => broken,
        })
    }

    async fn transfer(&mut self, source: usize, url: &Url) -> Result<(), Broken> {
        let mut watch = Watch::new(self.fetcher.stall);
        let opened = self.open(url, &mut watch).await;
        if let Err(Broken::Source(error)) = &opened {
            self.fetcher.hosts.failed(url, error);
        }
        let response = opened?;
        self.fetcher.hosts.found(url);
        let expected = self.last_validator(url);
        if let Some(total) = response
            .total()
            .filter(|total| *total != self.target.size())
        {
            let message = format!(
                "the source has a file of {total} bytes instead of {}",
                self.target.size()
            );
            return Err(Broken::Source(Error::new(ErrorKind::Protocol, message)));
        }
        if response.start() != self.position {
            if response.start() != 0 {
                let message = format!(
                    "the answer starts at byte {} instead of {}",
                    response.start(),
                    self.position
                );
                return Err(Broken::Source(Error::new(ErrorKind::Protocol, message)));
            }
            self.restart();
        } else if self.position > 0
            && expected.is_some()
            && response.validator() != expected.as_ref()
        {
            return Err(Broken::StartOver(
                Error::new(ErrorKind::Protocol, "the file changed at the source").with_url(url),
            ));
        }
        let validator = response.validator().cloned();
        let journal = Journal {
            url: url.clone(),
            validator,
            size: self.target.size(),
        };
        let received = self
            .receive(response.into_body(), &mut watch, source, journal)
            .await;
        if matches!(&received, Err(Broken::Source(error)) if !error.is_temporary()) {
            // Nothing that came from such a body can be trusted.
            self.restart();
        }
        received
    }

    async fn open(&mut self, url: &Url, watch: &mut Watch) -> Result<Response, Broken> {
        let request = Request::new(url.clone())
            .with_offset(self.position)
            .with_if_range(self.last_validator(url))
            .with_expected_size(Some(self.target.size()));
        let opened = self
            .cancel
            .run_until_cancelled(watch.wait(self.fetcher.downloader.open(&request)))
            .await;
        match opened
            .ok_or_else(|| Broken::Fatal(Error::cancelled()))?
            .map_err(Broken::Source)?
        {
            Ok(response) => Ok(response),
            Err(error) if error.kind() == ErrorKind::RangeNotSatisfiable && self.position > 0 => {
                Err(Broken::StartOver(error))
            }
            Err(error) => Err(Broken::Source(error)),
        }
    }

    /// The validator of what is there, if this URL gave it.
    fn last_validator(&self, url: &Url) -> Option<Validator> {
        let last = self
            .last
            .as_ref()
            .filter(|last| self.position > 0 && last.url == *url)?;
        last.validator.clone()
    }

    async fn receive(
        &mut self,
        mut body: Body,
        watch: &mut Watch,
        source: usize,
        journal: Journal,
    ) -> Result<(), Broken> {
        let mut origin = Some(journal);
        loop {
            let next = self
                .cancel
                .run_until_cancelled(watch.wait(body.next()))
                .await;
            let Some(chunk) = next
                .ok_or_else(|| Broken::Fatal(Error::cancelled()))?
                .map_err(Broken::Source)?
            else {
                break;
            };
            let chunk = chunk.map_err(Broken::Source)?;
            let length = chunk.len() as u64;
            watch.received(length);
            self.result.bytes_transferred += length;
            self.progress.received(length);
            if length > self.target.size() - self.position {
                self.progress.discarded(length);
                let message = format!(
                    "the source sends more than the {} bytes of the file",
                    self.target.size()
                );
                return Err(Broken::Source(Error::new(ErrorKind::Limit, message)));
            }
            if length == 0 {
                continue;
            }
            // Only an answer that gave bytes is where bytes came from.
            if let Some(journal) = origin.take() {
                self.pipeline.set_origin(journal.clone());
                self.last = Some(journal);
                self.current = Some(source);
                self.answers += 1;
            }
            self.position += length;
            self.pipeline.push(chunk).await.map_err(Broken::Fatal)?;
        }
        if self.position < self.target.size() {
            let message = format!(
                "the body ended at byte {} of {}",
                self.position,
                self.target.size()
            );
            return Err(Broken::Source(Error::new(ErrorKind::Network, message)));
        }
        Ok(())
    }

    fn source_failed(&mut self, source: usize, error: Error) {
        tracing::debug!(
            error = format_args!("{error:#}"),
            position = self.position,
            "an attempt failed"
        );
        if !error.is_temporary() {
            self.sources.drop_source(source, error);
            return;
        }
        if self.position > self.furthest {
            self.furthest = self.position;
            self.sources.progressed();
            // It was good until now, and only it can say whether the file is still the same.
            self.sources.prefer(source);
        }
        let failures = self.sources.failed(source);
        if error.kind() == ErrorKind::UnknownHost
            && failures >= self.fetcher.attempts_for(&error, self.sources.url(source))
        {
            self.sources.drop_source(source, error);
            return;
        }
        let wait =
            self.fetcher
                .retry
                .wait(failures, error.retry_after(), self.fetcher.jitter.as_ref());
        self.progress.waiting(&error, wait);
        self.sources
            .wait_until(source, Instant::now() + wait, error);
    }

    /// All bytes are there and they are wrong: perhaps parts were joined that do not belong together, perhaps the source is bad.
    fn wrong_digest(&mut self, actual: Sha256Digest) {
        let joined = self.answers > 1 || self.current.is_none();
        if let Some(source) = self.current {
            if joined && self.sources.may_refetch(source) {
                self.sources.prefer(source);
            } else {
                let error = self.digest_error(actual).with_url(self.sources.url(source));
                self.sources.drop_source(source, error);
            }
        }
        self.result.retries += 1;
        self.furthest = 0;
        self.restart();
    }

    fn digest_error(&self, actual: Sha256Digest) -> Error {
        let message = format!(
            "the bytes have the digest {actual} instead of {}",
            self.target.digest()
        );
        Error::new(ErrorKind::Integrity, message)
    }

    fn restart(&mut self) {
        self.progress.discarded(self.position);
        self.pipeline.restart();
        self.position = 0;
        self.result.bytes_resumed = 0;
        self.last = None;
        self.current = None;
        self.answers = 0;
    }
}

impl Broken {
    fn into_error(self) -> Error {
        match self {
            Self::Source(error) | Self::StartOver(error) | Self::Fatal(error) => error,
        }
    }
}
