//! Which source to ask next.

use tokio::time::Instant;
use url::Url;

use crate::{Error, ErrorKind};

/// The sources of one file and what they did so far.
#[derive(Debug)]
pub(super) struct Sources {
    all: Vec<Source>,
    /// Asked again first, as long as it may be.
    preferred: Option<usize>,
    attempts: u32,
}

#[derive(Debug)]
struct Source {
    url: Url,
    /// Without progress, in a row.
    failures: u32,
    ready_at: Instant,
    dropped: bool,
    refetched: bool,
    last_error: Option<Error>,
}

impl Sources {
    pub(super) fn new(urls: &[Url], attempts: u32) -> Self {
        let now = Instant::now();
        let source = |url: &Url| Source {
            url: url.clone(),
            failures: 0,
            ready_at: now,
            dropped: false,
            refetched: false,
            last_error: None,
        };
        Self {
            all: urls.iter().map(source).collect(),
            preferred: None,
            attempts,
        }
    }

    pub(super) fn url(&self, index: usize) -> &Url {
        &self.all[index].url
    }

    pub(super) fn ready_at(&self, index: usize) -> Instant {
        self.all[index].ready_at
    }

    fn usable(&self, index: usize) -> bool {
        let source = &self.all[index];
        !source.dropped && source.failures < self.attempts
    }

    /// The preferred one; else the first that need not wait and has failed least; else the one with the shortest wait. `None`: all
    /// have failed.
    pub(super) fn choose(&mut self) -> Option<usize> {
        if let Some(preferred) = self.preferred.take().filter(|index| self.usable(*index)) {
            return Some(preferred);
        }
        let now = Instant::now();
        let usable = (0..self.all.len()).filter(|index| self.usable(*index));
        usable.min_by_key(|index| {
            (
                self.all[*index].ready_at.max(now),
                self.all[*index].failures,
            )
        })
    }

    pub(super) fn prefer(&mut self, index: usize) {
        self.preferred = Some(index);
    }

    /// New bytes came: nobody's earlier failures count any more.
    pub(super) fn progressed(&mut self) {
        for source in &mut self.all {
            source.failures = 0;
        }
    }

    /// Counts a failure that may pass and returns how many there were in a row.
    pub(super) fn failed(&mut self, index: usize) -> u32 {
        self.all[index].failures += 1;
        self.all[index].failures
    }

    pub(super) fn wait_until(&mut self, index: usize, ready_at: Instant, error: Error) {
        self.all[index].ready_at = ready_at;
        self.all[index].last_error = Some(error);
    }

    /// Never asks this one again for this file.
    pub(super) fn drop_source(&mut self, index: usize, error: Error) {
        tracing::warn!(%error, "a source is given up for this file");
        self.all[index].dropped = true;
        self.all[index].last_error = Some(error);
    }

    /// True once per source: it may try the whole file again although the digest was wrong.
    pub(super) fn may_refetch(&mut self, index: usize) -> bool {
        !std::mem::replace(&mut self.all[index].refetched, true)
    }

    /// One error for all of them: wrong bytes weigh most, then what the last source said. The others are named too.
    pub(super) fn into_error(self) -> Error {
        let mut errors: Vec<Error> = self
            .all
            .into_iter()
            .filter_map(|source| source.last_error)
            .collect();
        let heaviest = errors
            .iter()
            .position(|error| error.kind() == ErrorKind::Integrity)
            .unwrap_or(errors.len().saturating_sub(1));
        if errors.is_empty() {
            return Error::new(ErrorKind::NotFound, "no source was given for a file");
        }
        let main = errors.remove(heaviest);
        errors
            .iter()
            .fold(main, |main, other| main.also(&format!("; {other}")))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sources(count: usize) -> Sources {
        let urls: Vec<_> = (0..count)
            .map(|index| Url::parse(&format!("memory://{index}/x")).unwrap())
            .collect();
        Sources::new(&urls, 2)
    }

    fn fail(sources: &mut Sources, index: usize, wait: u64) {
        sources.failed(index);
        sources.wait_until(
            index,
            Instant::now() + Duration::from_secs(wait),
            Error::new(ErrorKind::Network, "broke"),
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_one_that_need_not_wait() {
        let mut sources = sources(3);
        assert_eq!(sources.choose(), Some(0));
        fail(&mut sources, 0, 5);
        assert_eq!(sources.choose(), Some(1));
        fail(&mut sources, 1, 3);
        fail(&mut sources, 2, 4);
        assert_eq!(sources.choose(), Some(1), "the shortest wait");
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(sources.choose(), Some(0), "all are ready again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_preference_holds_once() {
        let mut sources = sources(2);
        sources.prefer(1);
        assert_eq!((sources.choose(), sources.choose()), (Some(1), Some(0)));
        sources.prefer(1);
        sources.drop_source(1, Error::new(ErrorKind::NotFound, "gone"));
        assert_eq!(sources.choose(), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_add_up_until_there_is_progress() {
        let mut sources = sources(1);
        fail(&mut sources, 0, 0);
        sources.progressed();
        fail(&mut sources, 0, 0);
        assert_eq!(sources.choose(), Some(0));
        fail(&mut sources, 0, 0);
        assert_eq!(sources.choose(), None);
        assert_eq!(sources.into_error().to_string(), "broke");
    }

    #[tokio::test]
    async fn the_error_names_every_source_and_wrong_bytes_first() {
        let mut sources = sources(2);
        sources.drop_source(0, Error::new(ErrorKind::Integrity, "wrong digest"));
        sources.drop_source(1, Error::new(ErrorKind::NotFound, "gone"));
        let error = sources.into_error();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::Integrity, "wrong digest; gone")
        );
    }

    #[tokio::test]
    async fn no_source_is_an_error_too() {
        assert_eq!(sources(0).into_error().kind(), ErrorKind::NotFound);
    }
}
