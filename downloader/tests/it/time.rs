//! Waits and stalls, on a clock that the test moves.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use downloader::{Error, ErrorKind, Fetcher, Jitter, RetryPolicy, StallPolicy};
use tokio_util::sync::CancellationToken;

use crate::common::{Desk, content, target, url};
use crate::fake::{Answer, Fake, Step, broken};

const WANTED: &[u8] = b"0123456789";

/// Always waits as long as it may, and remembers.
#[derive(Debug, Default)]
struct Longest(Mutex<Vec<Duration>>);

impl Jitter for Longest {
    fn pick(&self, upper: Duration) -> Duration {
        self.0.lock().unwrap().push(upper);
        upper
    }
}

fn fetcher(fake: &Fake) -> Fetcher {
    Fetcher::new(Arc::new(fake.clone())).with_random(Arc::new(Longest::default()))
}

fn refused(seconds: u64) -> Answer {
    let error = Error::new(ErrorKind::Status, "503").temporary();
    Answer::Refuse(error.with_retry_after((seconds > 0).then(|| Duration::from_secs(seconds))))
}

fn seconds(waits: &[Duration]) -> Vec<f32> {
    waits
        .iter()
        .map(Duration::as_secs_f32)
        .map(|wait| (wait * 10.0).round() / 10.0)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn c41_a_storm_of_errors_ends_after_growing_waits() {
    let fake = Fake::new((0..100).map(|_| refused(0)));
    let error = Desk::new()
        .fetch(&fetcher(&fake), WANTED, &[url("memory://a/x")])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Status);
    assert_eq!(
        seconds(&fake.waits()),
        [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    );
}

#[tokio::test(start_paused = true)]
async fn c41_retry_after_is_honoured_up_to_its_limit() {
    let fake = Fake::new([refused(7), refused(1_000_000_000), Answer::bytes(0, WANTED)]);
    Desk::new()
        .fetch(&fetcher(&fake), WANTED, &[url("memory://a/x")])
        .await
        .unwrap();
    assert_eq!(seconds(&fake.waits()), [7.5, 121.0]);
}

#[tokio::test(start_paused = true)]
async fn c41_while_one_source_must_wait_the_others_are_asked() {
    let fake = Fake::new([
        refused(60),
        refused(20),
        refused(40),
        Answer::bytes(0, WANTED),
    ]);
    let sources = ["a", "b", "c"].map(|host| url(&format!("memory://{host}/x")));
    Desk::new()
        .fetch(&fetcher(&fake), WANTED, &sources)
        .await
        .unwrap();
    assert_eq!(seconds(&fake.waits()), [0.0, 0.0, 20.5]);
    assert_eq!(
        fake.requests()[3].url(),
        &sources[1],
        "the one whose wait is over first"
    );
}

#[tokio::test(start_paused = true)]
async fn progress_starts_the_count_anew() {
    let mut script = vec![];
    for at in 0..9 {
        script.push(Answer::breaking(at, &WANTED[at..=at]));
        script.extend((0..6).map(|_| refused(0)));
    }
    script.push(Answer::bytes(9, b"9"));
    let fake = Fake::new(script);
    let fetched = Desk::new()
        .fetch(&fetcher(&fake), WANTED, &[url("memory://a/x")])
        .await
        .unwrap();
    assert_eq!((fetched.retries(), fetched.bytes_transferred()), (63, 10));
    assert_eq!(fake.remaining(), 0);
}

#[tokio::test(start_paused = true)]
async fn going_in_circles_is_no_progress() {
    // A server whose file changes with each answer: every attempt brings bytes, none brings the file further.
    let fake = Fake::new((0..100).map(|_| Answer::breaking(0, b"0123")));
    let error = Desk::new()
        .fetch(&fetcher(&fake), WANTED, &[url("memory://a/x")])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert_eq!(fake.requests().len(), 8);
}

#[tokio::test(start_paused = true)]
async fn the_total_of_retries_is_bounded_even_with_progress() {
    let content = content(500);
    let fake = Fake::new((0..500).map(|at| Answer::breaking(at, &content[at..=at])));
    let fetcher = fetcher(&fake).with_retry(RetryPolicy::new().with_total(100));
    let desk = Desk::new();
    desk.fetch(&fetcher, &content, &[url("memory://a/x")])
        .await
        .unwrap_err();
    assert_eq!(fake.requests().len(), 101);
    assert_eq!(
        desk.part(target(&content)).unwrap(),
        content[..101],
        "and what came is kept"
    );
}

#[tokio::test(start_paused = true)]
async fn c40_a_source_that_never_answers_is_left() {
    let fake = Fake::new([Answer::Silence, Answer::bytes(0, WANTED)]);
    let sources = [url("memory://a/x"), url("memory://b/x")];
    let fetched = Desk::new()
        .fetch(&fetcher(&fake), WANTED, &sources)
        .await
        .unwrap();
    assert_eq!(fetched.source(), Some(&sources[1]));
    assert_eq!(seconds(&fake.waits()), [30.0]);
}

#[tokio::test(start_paused = true)]
async fn c40_a_stalled_body_is_resumed_where_it_stopped() {
    let hour = Duration::from_hours(1);
    let fake = Fake::new([
        Answer::body(0, vec![Step::Bytes(b"0123".to_vec()), Step::Pause(hour)]).etag("\"v1\""),
        Answer::bytes(4, b"456789").etag("\"v1\""),
    ]);
    let fetched = Desk::new()
        .fetch(&fetcher(&fake), WANTED, &[url("memory://a/x")])
        .await
        .unwrap();
    assert_eq!((fetched.retries(), fetched.bytes_transferred()), (1, 10));
}

#[tokio::test(start_paused = true)]
async fn c40_one_byte_per_second_is_a_stall_and_a_slow_but_steady_body_is_not() {
    let content = content(100);
    let steps = || {
        let pause = || Step::Pause(Duration::from_secs(1));
        content
            .iter()
            .flat_map(|byte| [pause(), Step::Bytes(vec![*byte])])
            .collect()
    };
    let fake = Fake::new([Answer::body(0, steps())]);
    let once = fetcher(&fake).with_retry(RetryPolicy::never());
    let error = Desk::new()
        .fetch(&once, &content, &[url("memory://a/x")])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stalled);
    assert!(error.is_temporary());

    let fake = Fake::new([Answer::body(0, steps())]);
    let patient = fetcher(&fake).with_stall(StallPolicy::new(0, Duration::from_secs(5)));
    Desk::new()
        .fetch(&patient, &content, &[url("memory://a/x")])
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_wait_can_be_cancelled() {
    let (desk, cancel) = (Desk::new(), CancellationToken::new());
    let fake = Fake::new([refused(100), refused(100)]);
    let fetcher = fetcher(&fake);
    let (wanted, sources) = (target(WANTED), [url("memory://a/x")]);
    let (result, ()) = tokio::join!(
        fetcher.fetch(&wanted, &sources, &desk.store, &(), &cancel),
        async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            cancel.cancel();
        }
    );
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_cannot_be_reached_at_all() {
    let fake = Fake::new((0..100).map(|_| Answer::Refuse(broken())));
    let never = fetcher(&fake).with_retry(RetryPolicy::never());
    let error = Desk::new()
        .fetch(&never, WANTED, &[url("memory://a/x")])
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), fake.requests().len()),
        (ErrorKind::Network, 1)
    );
    assert_eq!(error.to_string(), "memory://a/x: the connection broke");
}

fn unknown() -> Answer {
    Answer::Refuse(Error::new(ErrorKind::UnknownHost, "no such host"))
}

#[tokio::test(start_paused = true)]
async fn a_host_that_nobody_knows_is_given_up_soon() {
    let fake = Fake::new((0..100).map(|_| unknown()));
    let error = Desk::new()
        .fetch(&fetcher(&fake), WANTED, &[url("memory://a/x")])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownHost);
    assert_eq!(seconds(&fake.waits()), [0.5]);
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_a_wrong_mirror_is_not_hidden_behind_an_unknown_host() {
    let missing = Error::new(ErrorKind::NotFound, "404").with_url(&url("memory://mirror/x"));
    let fake = Fake::new([Answer::Refuse(missing), unknown(), unknown()]);
    let sources = ["mirror", "hq"].map(|host| url(&format!("memory://{host}/x")));
    let error = Desk::new()
        .fetch(&fetcher(&fake), WANTED, &sources)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        error.to_string(),
        "all 2 sources failed: memory://mirror/x: 404; memory://hq/x: no such host"
    );
    assert_eq!(seconds(&fake.waits()), [0.0, 0.5]);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_answered_before_is_waited_for_when_the_network_goes() {
    let fetched = [Answer::bytes(0, b"first")];
    let fake = Fake::new(fetched.into_iter().chain((0..100).map(|_| unknown())));
    let patient = fetcher(&fake);
    Desk::new()
        .fetch(&patient, b"first", &[url("memory://a/first")])
        .await
        .unwrap();
    // Another file, and so another count, of the same host.
    let error = Desk::new()
        .fetch(&patient.clone(), WANTED, &[url("memory://a/x")])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownHost);
    assert_eq!(fake.requests().len(), 1 + 8);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_gave_no_answer_is_not_waited_for_with_every_file() {
    let other = |start: u8| Answer::bytes(0, &[start; 10]);
    let fake = Fake::new([
        unknown(),
        other(b'0'),
        other(b'1'),
        other(b'2'),
        other(b'3'),
    ]);
    let shared = fetcher(&fake);
    let fetch = async |content: u8| {
        let sources = ["hq", "mirror"].map(|host| url(&format!("memory://{host}/x")));
        let fetched = Desk::new().fetch(&shared, &[content; 10], &sources).await;
        let source = fetched.unwrap().source().unwrap().clone();
        source.host_str().unwrap().to_owned()
    };
    assert_eq!(fetch(b'0').await, "mirror");
    assert_eq!(fetch(b'1').await, "mirror");
    assert_eq!(fake.requests().len(), 3, "hq was asked once");
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(fetch(b'2').await, "hq");
    assert_eq!(fetch(b'3').await, "hq");
}
