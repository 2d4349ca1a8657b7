//! Which source to ask next.

use tokio::time::Instant;
use url::Url;

use super::hosts::Hosts;
use crate::{Error, ErrorKind};

/// How many sources an error names. A content that many files have is at as many places.
const NAMED: usize = 8;

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

    /// The preferred one; else the first that need not wait, whose host did not just fail, and that has failed least; else the one with
    /// the shortest wait. `None`: all have failed.
    pub(super) fn choose(&mut self, hosts: &Hosts) -> Option<usize> {
        if let Some(preferred) = self.preferred.take().filter(|index| self.usable(*index)) {
            return Some(preferred);
        }
        let now = Instant::now();
        let usable = (0..self.all.len()).filter(|index| self.usable(*index));
        usable.min_by_key(|index| {
            let source = &self.all[*index];
            (
                source.ready_at.max(now),
                hosts.is_avoided(&source.url),
                source.failures,
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
        tracing::warn!(
            error = format_args!("{error:#}"),
            "a source is given up for this file"
        );
        self.all[index].dropped = true;
        self.all[index].last_error = Some(error);
    }

    /// True once per source: it may try the whole file again although the digest was wrong.
    pub(super) fn may_refetch(&mut self, index: usize) -> bool {
        !std::mem::replace(&mut self.all[index].refetched, true)
    }

    /// One error for all of them, which says what each source answered. Its kind is that of the first source that may yet have the
    /// file (a host that nobody knows will hardly), else of the first one at all; but wrong bytes weigh more than anything else.
    pub(super) fn into_error(self) -> Error {
        let errors = self.all.into_iter().filter_map(|source| source.last_error);
        let mut errors: Vec<Error> = errors.collect();
        let Some(first) = errors.first() else {
            return Error::new(ErrorKind::NotFound, "no source was given for a file");
        };
        if errors.len() == 1 {
            return errors.remove(0);
        }
        let wrong = |error: &&Error| error.kind() == ErrorKind::Integrity;
        let passing =
            |error: &&Error| error.is_temporary() && error.kind() != ErrorKind::UnknownHost;
        let weightiest = errors.iter().find(wrong);
        let weightiest = weightiest.or_else(|| errors.iter().find(passing));
        let kind = weightiest.unwrap_or(first).kind();
        let mut said: Vec<String> = errors.iter().take(NAMED).map(Error::brief).collect();
        if errors.len() > NAMED {
            said.push(format!("and {} more", errors.len() - NAMED));
        }
        let message = format!("all {} sources failed: {}", errors.len(), said.join("; "));
        let error = Error::new(kind, message);
        if errors.iter().any(Error::is_temporary) {
            error.temporary()
        } else {
            error.permanent()
        }
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

    fn choose(sources: &mut Sources) -> Option<usize> {
        sources.choose(&Hosts::default())
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
        assert_eq!(choose(&mut sources), Some(0));
        fail(&mut sources, 0, 5);
        assert_eq!(choose(&mut sources), Some(1));
        fail(&mut sources, 1, 3);
        fail(&mut sources, 2, 4);
        assert_eq!(choose(&mut sources), Some(1), "the shortest wait");
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(choose(&mut sources), Some(0), "all are ready again");
    }

    #[tokio::test(start_paused = true)]
    async fn hosts_that_gave_no_answer_come_last_for_a_while() {
        let hosts = Hosts::default();
        let silent = Error::new(ErrorKind::Network, "refused");
        hosts.failed(&Url::parse("memory://0/other").unwrap(), &silent);
        assert_eq!(sources(2).choose(&hosts), Some(1));
        assert_eq!(sources(1).choose(&hosts), Some(0), "there is no other");
        let mut waiting = sources(2);
        fail(&mut waiting, 1, 5);
        assert_eq!(waiting.choose(&hosts), Some(0), "the other must wait");
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(sources(2).choose(&hosts), Some(0));
        hosts.failed(&Url::parse("memory://0:81/x").unwrap(), &silent);
        assert_eq!(sources(2).choose(&hosts), Some(0), "that is another server");
        let answer = Error::new(ErrorKind::NotFound, "404");
        hosts.failed(&Url::parse("memory://0/other").unwrap(), &answer);
        assert_eq!(sources(2).choose(&hosts), Some(0), "it did answer");
    }

    #[tokio::test(start_paused = true)]
    async fn a_preference_holds_once() {
        let mut sources = sources(2);
        sources.prefer(1);
        assert_eq!(
            (choose(&mut sources), choose(&mut sources)),
            (Some(1), Some(0))
        );
        sources.prefer(1);
        sources.drop_source(1, Error::new(ErrorKind::NotFound, "gone"));
        assert_eq!(choose(&mut sources), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_add_up_until_there_is_progress() {
        let mut sources = sources(1);
        fail(&mut sources, 0, 0);
        sources.progressed();
        fail(&mut sources, 0, 0);
        assert_eq!(choose(&mut sources), Some(0));
        fail(&mut sources, 0, 0);
        assert_eq!(choose(&mut sources), None);
        assert_eq!(sources.into_error().to_string(), "broke");
    }

    #[tokio::test]
    async fn the_error_names_every_source_and_wrong_bytes_weigh_most() {
        let mut sources = sources(2);
        sources.drop_source(0, Error::new(ErrorKind::Integrity, "wrong digest"));
        sources.drop_source(1, Error::new(ErrorKind::NotFound, "gone"));
        let error = sources.into_error();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (
                ErrorKind::Integrity,
                "all 2 sources failed: wrong digest; gone"
            )
        );
        assert!(!error.is_temporary());
    }

    #[tokio::test]
    async fn the_error_has_the_kind_of_a_source_that_may_come_back_and_the_cause_of_each() {
        let mut sources = sources(10);
        for index in (0..10).rev() {
            let url = sources.url(index).clone();
            let error = match index {
                0 => Error::new(ErrorKind::NotFound, "404"),
                _ => Error::new(ErrorKind::Network, "broke").with_source(
                    Error::new(ErrorKind::Network, "outer")
                        .with_source(std::io::Error::other("reset")),
                ),
            };
            sources.drop_source(index, error.with_url(&url));
        }
        let error = sources.into_error();
        assert_eq!(error.kind(), ErrorKind::Network);
        assert!(error.is_temporary(), "the others may come back");
        let text = error.to_string();
        let start = "all 10 sources failed: memory://0/x: 404; memory://1/x: broke (reset); ";
        assert!(text.starts_with(start), "{text}");
        assert!(
            text.ends_with("memory://7/x: broke (reset); and 2 more"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn no_source_is_an_error_too() {
        assert_eq!(sources(0).into_error().kind(), ErrorKind::NotFound);
    }
}
