//! Any backend, with faults.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use url::Url;

use super::play::{Counts, play};
use super::{Fault, Plan};
use crate::{Downloader, Error, Request, Response};

/// Another downloader with faults in its answers, exactly as planned: for tests of how a program fails. Clones share plans and
/// counts.
///
/// ```
/// use downloader::testing::{Fault, Faulty};
/// use downloader::{Downloader, ErrorKind, MemoryDownloader, Request};
/// use futures::StreamExt as _;
/// use url::Url;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let memory = MemoryDownloader::new();
/// let url = Url::parse("https://hq.example/model")?;
/// memory.insert(url.clone(), "0123456789");
///
/// // The first `open` of this URL breaks at byte 4; then all is well.
/// let faulty = Faulty::new(memory).with_plan(&url, Fault::error_at(4, ErrorKind::Network));
///
/// let mut body = faulty.open(&Request::new(url.clone())).await?.into_body();
/// assert_eq!(body.next().await.unwrap()?, "0123");
/// assert_eq!(body.next().await.unwrap().unwrap_err().kind(), ErrorKind::Network);
/// assert!(body.next().await.is_none());
///
/// assert_eq!((faulty.opens(&url), faulty.bytes(&url), faulty.struck(&url)), (1, 4, 1));
/// faulty.assert_played();
/// # Ok(())
/// # }
/// ```
///
/// Each `open` takes the next fault of its URL's plan when it is first polled, whether or not what is planned can still happen: an error
/// at byte 10 never strikes in a content of 5 bytes. [`struck`](Self::struck) counts what did.
#[derive(Clone, Debug)]
pub struct Faulty<D> {
    inner: D,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// For URLs that have no plan of their own.
    everywhere: Plan,
    urls: HashMap<Url, PerUrl>,
}

#[derive(Debug, Default)]
struct PerUrl {
    plan: Option<Plan>,
    counts: Arc<Counts>,
}

impl<D> Faulty<D> {
    /// No faults yet.
    pub fn new(inner: D) -> Self {
        Self {
            inner,
            shared: Arc::default(),
        }
    }

    /// With this plan for this URL, in place of an earlier one. A plain [`Fault`] is one for the first `open`.
    #[must_use]
    pub fn with_plan(self, url: &Url, plan: impl Into<Plan>) -> Self {
        self.set_plan(url, plan);
        self
    }

    /// With this plan for each URL that has none of its own and was not opened before; each follows it from its beginning.
    #[must_use]
    pub fn with_plan_everywhere(self, plan: impl Into<Plan>) -> Self {
        self.state().everywhere = plan.into();
        self
    }

    /// From now on this plan for this URL, in place of an earlier one.
    pub fn set_plan(&self, url: &Url, plan: impl Into<Plan>) {
        let mut state = self.state();
        state.urls.entry(url.clone()).or_default().plan = Some(plan.into());
    }

    /// How often this URL was opened, refused requests included.
    #[must_use]
    pub fn opens(&self, url: &Url) -> u64 {
        self.count(url, |counts| &counts.opens)
    }

    /// How many bytes of bodies this URL gave.
    #[must_use]
    pub fn bytes(&self, url: &Url) -> u64 {
        self.count(url, |counts| &counts.bytes)
    }

    /// How many faults of this URL took effect: refusals, silences, ends, inverted bytes, and things said otherwise than they are.
    #[must_use]
    pub fn struck(&self, url: &Url) -> u64 {
        self.count(url, |counts| &counts.struck)
    }

    /// How many bodies of this URL were handed out and not dropped yet.
    #[must_use]
    pub fn bodies_alive(&self, url: &Url) -> u64 {
        self.count(url, |counts| &counts.bodies)
    }

    /// The URLs with faults for single `open`s that never came, and how many. Lasting faults are not among them, and a plan for
    /// everywhere counts only for URLs that were opened.
    #[must_use]
    pub fn unplayed(&self) -> Vec<(Url, usize)> {
        let state = self.state();
        let left = state.urls.iter().filter_map(|(url, one)| {
            let left = one.plan.as_ref().map_or(0, Plan::left);
            (left > 0).then(|| (url.clone(), left))
        });
        let mut left: Vec<_> = left.collect();
        left.sort();
        left
    }

    /// Checks that nothing is [unplayed](Self::unplayed): a fault that never came proves nothing.
    ///
    /// # Panics
    ///
    /// When something is.
    #[track_caller]
    pub fn assert_played(&self) {
        let mut text = String::new();
        for (url, left) in self.unplayed() {
            let _ = write!(text, "\n  {url}: {left} more `open` planned");
        }
        assert!(text.is_empty(), "faults that were never played:{text}");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, url: &Url, which: impl Fn(&Counts) -> &AtomicU64) -> u64 {
        let state = self.state();
        let one = state.urls.get(url);
        one.map_or(0, |one| which(&one.counts).load(Ordering::Relaxed))
    }

    fn next(&self, url: &Url) -> (Fault, Arc<Counts>) {
        let state = &mut *self.state();
        let one = state.urls.entry(url.clone()).or_default();
        one.counts.opens.fetch_add(1, Ordering::Relaxed);
        let plan = one.plan.get_or_insert_with(|| state.everywhere.clone());
        (plan.next(), Arc::clone(&one.counts))
    }
}

#[async_trait]
impl<D: Downloader> Downloader for Faulty<D> {
    async fn open(&self, request: &Request) -> Result<Response, Error> {
        let (fault, counts) = self.next(request.url());
        play(fault, &self.inner, request, &counts).await
    }
}
