//! Files whose digest nobody knows before they are here.

use std::time::Duration;

use downloader::testing::{Failure, Fault, Faulty, Plan};
use downloader::{ErrorKind, Fetcher, MemoryDownloader, StallPolicy, Unpinned, Validator};
use manifest_core::Sha256Digest;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::common::{At, Counted, Desk, content, fetcher, target, url};

const LIMIT: u64 = 1 << 20;

struct World {
    memory: MemoryDownloader,
    faulty: Faulty<MemoryDownloader>,
    source: Url,
    content: Vec<u8>,
    desk: Desk,
}

impl World {
    fn new(plan: impl Into<Plan>) -> Self {
        let (memory, source) = (MemoryDownloader::new(), url("memory://a/x"));
        let content = content(300_000);
        memory.insert(source.clone(), content.clone());
        Self {
            faulty: Faulty::new(memory.clone()).with_plan(&source, plan),
            memory,
            source,
            content,
            desk: Desk::new(),
        }
    }

    fn fetcher(&self) -> Fetcher {
        fetcher(self.faulty.clone())
    }

    async fn fetch(&self) -> Result<Unpinned, downloader::Error> {
        let progress = Counted::default();
        let never = CancellationToken::new();
        let fetched = self
            .fetcher()
            .fetch_unpinned(&self.source, LIMIT, &self.desk.store, &progress, &never)
            .await;
        self.faulty.assert_played();
        assert_eq!(self.faulty.bodies_alive(&self.source), 0, "nothing is held");
        if let Ok(fetched) = &fetched {
            assert_eq!(
                progress.position.load(std::sync::atomic::Ordering::Relaxed),
                fetched.target().size()
            );
            let name = self
                .desk
                .store
                .completed(fetched.target().digest())
                .expect("it is there under its digest");
            let bytes = std::fs::read(self.desk.store.dir().path().join(name)).unwrap();
            assert_eq!(fetched.target().digest(), Sha256Digest::of(&bytes));
            assert_eq!(
                self.desk.names(),
                [format!("{}.done", fetched.target().digest())]
            );
        }
        fetched
    }

    async fn succeeds_by(&self, offsets: &[u64]) -> Unpinned {
        let fetched = self.fetch().await.unwrap();
        assert_eq!(fetched.target(), &target(&self.content));
        assert_eq!(self.memory.offsets(&self.source), offsets);
        fetched
    }
}

#[tokio::test(start_paused = true)]
async fn it_comes_whole_with_its_digest_and_validator() {
    let world = World::new(Fault::none());
    let fetched = world.succeeds_by(&[0]).await;
    assert_eq!(fetched.fetched().bytes_transferred(), 300_000);
    assert!(!fetched.is_joined() && fetched.validator().is_some());
    // From now on it is a target like any other.
    let again = world
        .desk
        .fetch(
            &world.fetcher(),
            &world.content,
            std::slice::from_ref(&world.source),
        )
        .await
        .unwrap();
    assert_eq!(again.bytes_transferred(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_empty_one_is_a_file_too() {
    let mut world = World::new(Fault::none());
    world.content.clear();
    world.memory.insert(world.source.clone(), &b""[..]);
    assert_eq!(world.succeeds_by(&[0]).await.target().size(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_broken_body_goes_on_where_it_broke_if_the_validator_says_so() {
    let broken = || Fault::error_at(100_000, ErrorKind::Network);
    let fetched = World::new(broken()).succeeds_by(&[0, 100_000]).await;
    assert!(fetched.is_joined());
    assert_eq!(fetched.fetched().bytes_transferred(), 300_000);
    World::new(Fault::truncated_at(100_000))
        .succeeds_by(&[0, 100_000])
        .await;
    World::new(Fault::stalled_at(100_000))
        .succeeds_by(&[0, 100_000])
        .await;
    // Nothing says that the rest would belong to the beginning.
    let fetched = World::new(broken().and(Fault::no_validator()))
        .succeeds_by(&[0, 0])
        .await;
    assert!(!fetched.is_joined());
}

#[tokio::test(start_paused = true)]
async fn bytes_of_two_contents_are_never_joined() {
    let other = Validator::from_etag("\"other\"").unwrap();
    let broken = Fault::error_at(100_000, ErrorKind::Network);
    // The content changed, and the source answers with the whole of the new one; or wrongly with a part.
    let plan = Plan::first([
        broken.clone(),
        Fault::other_validator(other.clone()).and(Fault::no_ranges()),
    ]);
    assert!(!World::new(plan).succeeds_by(&[0, 0]).await.is_joined());
    let plan = Plan::first([broken, Fault::other_validator(other)]);
    assert!(
        !World::new(plan)
            .succeeds_by(&[0, 100_000, 0])
            .await
            .is_joined()
    );
}

#[tokio::test(start_paused = true)]
async fn a_source_without_sizes_is_believed_when_its_body_ends() {
    World::new(Fault::no_total()).succeeds_by(&[0]).await;
}

#[tokio::test(start_paused = true)]
async fn no_source_sends_more_than_is_allowed_or_than_it_said() {
    for plan in [Fault::no_total(), Fault::none()] {
        let mut world = World::new(plan);
        world.content = content(LIMIT as usize + 1);
        world
            .memory
            .insert(world.source.clone(), world.content.clone());
        assert_eq!(world.fetch().await.unwrap_err().kind(), ErrorKind::Limit);
    }
    let error = World::new(Fault::other_total(299_999))
        .fetch()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
}

#[tokio::test(start_paused = true)]
async fn refusals_are_final_unless_they_may_pass() {
    for kind in [
        ErrorKind::Unauthorized,
        ErrorKind::NotFound,
        ErrorKind::Policy,
    ] {
        let world = World::new(Fault::refused(kind));
        let error = world.fetch().await.unwrap_err();
        assert_eq!((error.kind(), world.faulty.opens(&world.source)), (kind, 1));
        assert!(error.to_string().contains("memory://a/x"), "{error}");
    }
    let busy = || Fault::refused(Failure::new(ErrorKind::Status).temporary());
    World::new(Plan::first([busy(), busy()]))
        .succeeds_by(&[0])
        .await;
    let world = World::new(Plan::first([busy(), busy(), busy()]));
    assert_eq!(world.fetch().await.unwrap_err().kind(), ErrorKind::Status);
    assert_eq!(world.faulty.opens(&world.source), 3);
}

#[tokio::test(start_paused = true)]
async fn silence_ends() {
    let world = World::new(Plan::first([
        Fault::silent(),
        Fault::silent(),
        Fault::silent(),
    ]));
    let patience = StallPolicy::new(1000, Duration::from_secs(5));
    let never = CancellationToken::new();
    let fetched = world
        .fetcher()
        .with_stall(patience)
        .fetch_unpinned(&world.source, LIMIT, &world.desk.store, &(), &never)
        .await;
    assert_eq!(fetched.unwrap_err().kind(), ErrorKind::Stalled);
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_run_is_resumed_by_the_next() {
    let mut world = World::new(Fault::none());
    let cancel = CancellationToken::new();
    let at = At::new(150_000, || cancel.cancel());
    let fetched = world
        .fetcher()
        .fetch_unpinned(&world.source, LIMIT, &world.desk.store, &at, &cancel)
        .await;
    assert_eq!(fetched.unwrap_err().kind(), ErrorKind::Cancelled);
    let names = world.desk.names();
    assert!(
        names.len() == 2 && names[0].contains(".json") && names[1].contains(".part"),
        "{names:?}"
    );
    world.desk.reopen();
    let fetched = world.fetch().await.unwrap();
    assert_eq!(fetched.target(), &target(&world.content));
    let resumed = fetched.fetched().bytes_resumed();
    assert!(resumed >= 150_000, "{resumed}");
    assert_eq!(world.memory.offsets(&world.source), [0, resumed]);
    assert!(fetched.is_joined());
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_run_of_what_has_changed_since_starts_over() {
    let mut world = World::new(Fault::error_at(100_000, ErrorKind::Unauthorized));
    // A refusal in the body throws away what it gave; one that may pass does not.
    assert!(world.fetch().await.is_err());
    assert!(!world.desk.names().iter().any(|name| name.contains(".part")));
    let broken = || Fault::error_at(100_000, ErrorKind::Network);
    world.faulty.set_plan(
        &world.source,
        Plan::first([broken(), Fault::refused(ErrorKind::NotFound)]),
    );
    assert_eq!(world.fetch().await.unwrap_err().kind(), ErrorKind::NotFound);
    world.desk.reopen();
    world.content = content(200_000).into_iter().rev().collect();
    world
        .memory
        .insert(world.source.clone(), world.content.clone());
    let fetched = world.fetch().await.unwrap();
    assert_eq!(fetched.target(), &target(&world.content));
    assert!(!fetched.is_joined());
}

/// The process died between the last byte and the renaming.
#[tokio::test(start_paused = true)]
async fn a_whole_file_of_an_interrupted_run_is_not_fetched_again() {
    let mut world = World::new(Plan::first([
        Fault::no_total().and(Fault::error_at(300_000, ErrorKind::Network)),
        Fault::refused(ErrorKind::NotFound),
    ]));
    assert_eq!(world.fetch().await.unwrap_err().kind(), ErrorKind::NotFound);
    world.desk.reopen();
    let fetched = world.fetch().await.unwrap();
    assert_eq!(fetched.target(), &target(&world.content));
    assert_eq!(fetched.fetched().bytes_transferred(), 0);
    assert_eq!(world.memory.offsets(&world.source), [0, 300_000, 299_999]);
}

#[tokio::test(start_paused = true)]
async fn a_probe_asks_for_one_byte_and_is_patient() {
    let world = World::new(Fault::refused(ErrorKind::Network));
    let never = CancellationToken::new();
    let probed = world.fetcher().probe(&world.source, &never).await.unwrap();
    assert_eq!(probed.size(), Some(300_000));
    assert!(probed.validator().is_some());
    assert_eq!(world.memory.requests()[0].length(), Some(1));
    world.memory.insert(world.source.clone(), &b""[..]);
    assert_eq!(
        world
            .fetcher()
            .probe(&world.source, &never)
            .await
            .unwrap()
            .size(),
        Some(0)
    );
    let missing = world
        .fetcher()
        .probe(&url("memory://a/missing"), &never)
        .await
        .unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    never.cancel();
    assert_eq!(
        world
            .fetcher()
            .probe(&world.source, &never)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Cancelled
    );
}

#[cfg(feature = "http")]
#[tokio::test]
async fn over_http_a_break_is_resumed_under_the_tag_and_an_untagged_one_is_not() {
    use downloader::{HttpConfig, HttpDownloader};
    use testkit::{Reply, ScriptedServer};

    let body = content(50_000);
    for (tag, second) in [
        (
            Some("\"one\""),
            Reply::partial(20_000, &body).etag("\"one\""),
        ),
        (None, Reply::ok(body.clone())),
    ] {
        let first = Reply::ok(body.clone()).cut_after(20_000);
        let first = match tag {
            Some(tag) => first.etag(tag),
            None => first,
        };
        let server = ScriptedServer::start([first, second]).await;
        let desk = Desk::new();
        let http = HttpDownloader::new(HttpConfig::new()).unwrap();
        let fetched = fetcher(std::sync::Arc::new(http))
            .fetch_unpinned(
                &url(&server.url("/x")),
                LIMIT,
                &desk.store,
                &(),
                &CancellationToken::new(),
            )
            .await
            .unwrap();
        assert_eq!(fetched.target(), &target(&body));
        assert_eq!(fetched.is_joined(), tag.is_some());
        let requests = server.requests();
        assert_eq!(requests[1].header("if-range"), tag);
        assert_eq!(requests[1].header("range").is_some(), tag.is_some());
    }
}
