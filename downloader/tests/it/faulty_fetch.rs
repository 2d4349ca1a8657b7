//! What a `Fetcher` makes of each fault.

use std::time::Duration;

use downloader::testing::{Failure, Fault, Faulty, Plan, Point, Reply, ScriptedDownloader};
use downloader::{
    ErrorKind, Fetched, Fetcher, MemoryDownloader, RetryPolicy, StallPolicy, Validator,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::common::{Desk, fetcher, target, url};

const WANTED: &[u8] = b"0123456789ab";

/// Two sources of the same content, the first with faults.
struct World {
    memory: MemoryDownloader,
    faulty: Faulty<MemoryDownloader>,
    a: Url,
    b: Url,
}

impl World {
    fn new(plan: impl Into<Plan>) -> Self {
        let memory = MemoryDownloader::new();
        let (a, b) = (url("memory://a/x"), url("memory://b/x"));
        for source in [&a, &b] {
            memory.insert(source.clone(), WANTED);
        }
        Self {
            faulty: Faulty::new(memory.clone()).with_plan(&a, plan),
            memory,
            a,
            b,
        }
    }

    fn fetcher(&self) -> Fetcher {
        fetcher(self.faulty.clone())
    }

    /// Of the first source alone.
    async fn fetch(&self) -> Result<Fetched, downloader::Error> {
        self.fetch_from(std::slice::from_ref(&self.a)).await
    }

    async fn fetch_from(&self, sources: &[Url]) -> Result<Fetched, downloader::Error> {
        let fetched = Desk::new().fetch(&self.fetcher(), WANTED, sources).await;
        self.faulty.assert_played();
        assert_eq!(self.faulty.bodies_alive(&self.a), 0, "nothing is held");
        fetched
    }

    /// It succeeds with the first source alone, by requests for these offsets.
    async fn succeeds_by(&self, offsets: &[u64]) -> Fetched {
        let fetched = self.fetch().await.unwrap();
        assert_eq!(self.memory.offsets(&self.a), offsets);
        assert_eq!(fetched.retries() + 1, offsets.len() as u32);
        assert!(self.faulty.struck(&self.a) > 0, "nothing went wrong");
        fetched
    }

    /// It fails with the first source alone after so many requests.
    async fn fails_after(&self, opens: u64) -> ErrorKind {
        let error = self.fetch().await.unwrap_err();
        assert_eq!(self.faulty.opens(&self.a), opens, "{error}");
        assert!(error.to_string().contains("memory://a/x"), "{error}");
        error.kind()
    }

    /// It succeeds with the second source, which is asked for these offsets.
    async fn turns_to_the_other_by(&self, offsets: &[u64]) {
        let sources = [self.a.clone(), self.b.clone()];
        let fetched = self.fetch_from(&sources).await.unwrap();
        assert_eq!(fetched.source(), Some(&self.b));
        assert_eq!(self.memory.offsets(&self.b), offsets);
    }
}

#[tokio::test]
async fn a_break_that_may_pass_is_resumed() {
    for at in 0..WANTED.len() as u64 {
        let world = World::new(Fault::error_at(at, ErrorKind::Network));
        let fetched = world.succeeds_by(&[0, at]).await;
        assert_eq!(fetched.bytes_transferred(), 12);
    }
    let often = Plan::always(Fault::error_at(Point::After(3), ErrorKind::Network));
    let world = World::new(often);
    // The last one breaks when everything is there.
    assert_eq!(world.fetch().await.unwrap().retries(), 4);
    assert_eq!(world.memory.offsets(&world.a), [0, 3, 6, 9]);
}

#[tokio::test]
async fn a_break_that_never_passes_ends_after_three_attempts() {
    let world = World::new(Plan::always(Fault::error_at(4, ErrorKind::Network)));
    // The first brings bytes; only those that bring none count.
    assert_eq!(world.fails_after(3).await, ErrorKind::Network);
    let world = World::new(Plan::always(Fault::error_at(4, ErrorKind::Network)));
    world.turns_to_the_other_by(&[4]).await;
}

#[tokio::test]
async fn a_break_for_good_ends_with_this_source_and_its_bytes() {
    let broken = Fault::error_at(4, ErrorKind::Protocol);
    let world = World::new(broken.clone());
    assert_eq!(world.fails_after(1).await, ErrorKind::Protocol);
    World::new(broken).turns_to_the_other_by(&[0]).await;
}

#[tokio::test]
async fn a_silent_end_is_noticed_by_the_size() {
    for fault in [
        Fault::truncated_at(4),
        Fault::truncated_at(4).and(Fault::no_total()),
    ] {
        World::new(fault).succeeds_by(&[0, 4]).await;
    }
}

#[tokio::test]
async fn a_silent_end_of_a_document_is_noticed_only_by_a_total() {
    let world = World::new(Fault::truncated_at(4));
    let read = world.fetcher().fetch_small(&world.a, 100).await;
    assert_eq!(
        (read.unwrap().as_slice(), world.faulty.opens(&world.a)),
        (WANTED, 2)
    );
    // The harm that rule 13 names.
    let world = World::new(Fault::truncated_at(4).and(Fault::no_total()));
    let read = world.fetcher().fetch_small(&world.a, 100).await;
    assert_eq!(read.unwrap(), b"0123");
}

#[tokio::test]
async fn a_wrong_byte_in_one_piece_condemns_the_source() {
    let wrong = Fault::corrupt_at(5);
    assert_eq!(
        World::new(wrong.clone()).fails_after(1).await,
        ErrorKind::Integrity
    );
    World::new(wrong).turns_to_the_other_by(&[0]).await;
}

#[tokio::test]
async fn a_wrong_byte_in_joined_bytes_is_forgiven_once() {
    let wrong = || Fault::corrupt_at(5).and(Fault::error_at(8, ErrorKind::Network));
    let world = World::new(wrong());
    let fetched = world.fetch().await.unwrap();
    assert_eq!(world.memory.offsets(&world.a), [0, 8, 0]);
    assert_eq!((fetched.retries(), fetched.bytes_transferred()), (2, 24));
    let again = Plan::first([wrong(), Fault::none(), Fault::corrupt_at(5)]);
    assert_eq!(World::new(again).fails_after(3).await, ErrorKind::Integrity);
}

#[tokio::test(start_paused = true)]
async fn a_stall_is_resumed_and_in_the_end_has_its_kind() {
    for fault in [Fault::stalled_at(4), Fault::silent()] {
        let started = Instant::now();
        let world = World::new(fault.clone());
        world.fetch().await.unwrap();
        assert_eq!(started.elapsed().as_secs(), 30, "{fault:?}");
        assert_eq!(world.faulty.opens(&world.a), 2);
        let world = World::new(Plan::always(fault));
        assert_eq!(world.fails_after(3).await, ErrorKind::Stalled);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stall_is_as_long_as_the_policy_says() {
    let world = World::new(Plan::always(Fault::stalled_at(4)));
    let fetcher = world
        .fetcher()
        .with_retry(RetryPolicy::never())
        .with_stall(StallPolicy::new(1, Duration::from_secs(3)));
    let started = Instant::now();
    let failed = Desk::new()
        .fetch(&fetcher, WANTED, std::slice::from_ref(&world.a))
        .await;
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Stalled);
    // The bytes that came were enough for the first window.
    assert_eq!(started.elapsed().as_secs(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_stands_still_can_be_cancelled_and_dropped() {
    let world = World::new(Plan::always(Fault::stalled_at(4)));
    let (desk, cancel) = (Desk::new(), CancellationToken::new());
    let (fetcher, wanted, sources) = (world.fetcher(), target(WANTED), [world.a.clone()]);
    let stand_still = Duration::from_secs(1);
    let fetch = fetcher.fetch(&wanted, &sources, &desk.store, &(), &cancel);
    let dropped = tokio::time::timeout(stand_still, fetch).await;
    assert!(dropped.is_err());
    assert_eq!(world.faulty.bodies_alive(&world.a), 0);
    let fetch = fetcher.fetch(&wanted, &sources, &desk.store, &(), &cancel);
    let (cancelled, ()) = tokio::join!(fetch, async {
        tokio::time::sleep(stand_still).await;
        assert_eq!(world.faulty.bodies_alive(&world.a), 1);
        cancel.cancel();
    });
    assert_eq!(cancelled.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(world.faulty.bodies_alive(&world.a), 0);
}

#[tokio::test]
async fn another_validator_means_another_file() {
    let other = Validator::from_etag("\"other\"").unwrap();
    let breaks = Fault::error_at(4, ErrorKind::Network);
    // A source that splices: what it sends is thrown away, and the whole is asked for.
    let splices = Plan::first([breaks.clone(), Fault::other_validator(other.clone())]);
    World::new(splices).succeeds_by(&[0, 4, 0]).await;
    let forgets = Plan::first([breaks.clone(), Fault::no_validator()]);
    World::new(forgets).succeeds_by(&[0, 4, 0]).await;
    // A good source whose file changed: its answer is the whole already.
    let changed = Fault::other_validator(other).and(Fault::no_ranges());
    let world = World::new(Plan::first([breaks, changed]));
    let fetched = world.succeeds_by(&[0, 0]).await;
    assert_eq!(fetched.bytes_transferred(), 4 + 12);
}

#[tokio::test]
async fn without_a_validator_the_digest_alone_joins() {
    let fault = Fault::no_validator().and(Fault::error_at(4, ErrorKind::Network));
    let world = World::new(fault);
    world.succeeds_by(&[0, 4]).await;
    assert_eq!(world.memory.requests()[1].if_range(), None);
}

#[tokio::test]
async fn without_ranges_it_starts_over() {
    let breaks = Fault::error_at(4, ErrorKind::Network).and(Fault::no_ranges());
    let world = World::new(Plan::first([breaks]).then_always(Fault::no_ranges()));
    let fetched = world.succeeds_by(&[0, 0]).await;
    assert_eq!(fetched.bytes_transferred(), 4 + 12);
}

#[tokio::test]
async fn another_total_is_another_file() {
    let fault = Plan::always(Fault::other_total(13));
    assert_eq!(
        World::new(fault.clone()).fails_after(1).await,
        ErrorKind::Protocol
    );
    World::new(fault).turns_to_the_other_by(&[0]).await;
    World::new(Fault::no_total()).succeeds_by(&[0]).await;
}

#[tokio::test]
async fn a_refusal_for_good_is_not_asked_again() {
    for kind in [
        ErrorKind::NotFound,
        ErrorKind::Unauthorized,
        ErrorKind::Policy,
        ErrorKind::Unsupported,
        ErrorKind::Status,
    ] {
        let world = World::new(Plan::always(Fault::refused(kind)));
        assert_eq!(world.fails_after(1).await, kind);
        World::new(Fault::refused(kind))
            .turns_to_the_other_by(&[0])
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_may_pass_is_waited_for_as_long_as_it_says() {
    let busy = Failure::new(ErrorKind::Status)
        .temporary()
        .with_retry_after(Duration::from_secs(7));
    let world = World::new(Fault::refused(busy));
    let started = Instant::now();
    let policy = RetryPolicy::new().with_longest_retry_after(Duration::from_mins(1));
    let patient = world.fetcher().with_retry(policy);
    let fetched = Desk::new()
        .fetch(&patient, WANTED, std::slice::from_ref(&world.a))
        .await;
    assert_eq!(fetched.unwrap().retries(), 1);
    assert_eq!(started.elapsed().as_secs(), 7);
}

#[tokio::test]
async fn a_range_that_is_refused_starts_over() {
    let plan = Plan::first([
        Fault::error_at(4, ErrorKind::Network),
        Fault::refused(ErrorKind::RangeNotSatisfiable),
    ]);
    let world = World::new(plan);
    world.fetch().await.unwrap();
    assert_eq!(world.memory.offsets(&world.a), [0, 0]);
    assert_eq!(world.faulty.opens(&world.a), 3);
}

#[tokio::test]
async fn a_fetch_follows_a_script() {
    let scripted = ScriptedDownloader::new([
        Reply::refusal(ErrorKind::Network),
        Reply::content(WANTED).with_fault(Fault::error_at(7, ErrorKind::Network)),
        Reply::content("something else"),
        Reply::content(WANTED),
    ]);
    let sources = [url("https://a/x"), url("https://b/x")];
    let fetched = Desk::new()
        .fetch(&fetcher(scripted.clone()), WANTED, &sources)
        .await
        .unwrap();
    scripted.finish().unwrap();
    let requests = scripted.requests();
    let asked: Vec<(&str, u64)> = requests
        .iter()
        .map(|request| (request.url().host_str().unwrap(), request.offset()))
        .collect();
    assert_eq!(asked, [("a", 0), ("b", 0), ("b", 7), ("a", 7)]);
    assert_eq!(fetched.source(), Some(&sources[0]));
}
