//! What `Faulty` and `ScriptedDownloader` do, seen from beside them.

use std::time::Duration;

use bytes::Bytes;
use downloader::testing::{Failure, Fault, Faulty, Plan, Point, Reply, ScriptedDownloader};
use downloader::{Downloader, Error, ErrorKind, MemoryDownloader, Request, Response, Validator};
use futures::StreamExt as _;
use tokio::time::timeout;
use url::Url;

use crate::common::{content, url};

const WANTED: &[u8] = b"0123456789ab";

fn source() -> Url {
    url("memory://a/x")
}

fn faulty(plan: impl Into<Plan>) -> Faulty<MemoryDownloader> {
    let memory = MemoryDownloader::new();
    memory.insert(source(), WANTED);
    Faulty::new(memory).with_plan(&source(), plan)
}

fn from(offset: u64) -> Request {
    Request::new(source()).with_offset(offset)
}

/// What comes until the body ends or stalls, and the error that ended it.
async fn drain(response: Response) -> (Vec<u8>, Option<Error>) {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Ok(Some(item)) = timeout(Duration::from_secs(1), body.next()).await {
        match item {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(error) => return (bytes, Some(error)),
        }
    }
    (bytes, None)
}

async fn read(downloader: &impl Downloader, request: &Request) -> (Vec<u8>, Option<Error>) {
    drain(downloader.open(request).await.unwrap()).await
}

#[tokio::test]
async fn a_body_breaks_at_exactly_the_byte() {
    for at in 0..=WANTED.len() {
        for offset in 0..WANTED.len() {
            let faulty = faulty(Fault::error_at(at as u64, ErrorKind::Network));
            let (bytes, error) = read(&faulty, &from(offset as u64)).await;
            if offset > at {
                assert_eq!(bytes, WANTED[offset..], "{at} {offset}");
                assert!(error.is_none(), "it lies before the answer");
                assert_eq!(faulty.struck(&source()), 0);
                continue;
            }
            assert_eq!(bytes, WANTED[offset..at], "{at} {offset}");
            assert_eq!(
                error.unwrap().to_string(),
                format!("memory://a/x: a scripted fault: the body breaks off at byte {at}")
            );
            assert_eq!(faulty.bytes(&source()), (at - offset) as u64);
            assert_eq!(faulty.struck(&source()), 1);
        }
    }
}

#[tokio::test]
async fn a_point_in_the_middle_of_a_large_content() {
    let memory = MemoryDownloader::new();
    let bytes = content(300_000);
    memory.insert(source(), bytes.clone());
    let faulty = Faulty::new(memory).with_plan(
        &source(),
        Fault::error_at(200_001, ErrorKind::Network)
            .and(Fault::corrupt_at(0))
            .and(Fault::corrupt_at(65_536))
            .and(Fault::corrupt_at(250_000)),
    );
    let mut expected = bytes[..200_001].to_vec();
    expected[0] ^= 0xff;
    expected[65_536] ^= 0xff;
    assert!(read(&faulty, &from(0)).await.0 == expected);
    assert_eq!(
        faulty.struck(&source()),
        3,
        "the last byte was never reached"
    );
    assert!(read(&faulty, &from(0)).await.0 == bytes);
}

#[tokio::test]
async fn counted_from_where_the_answer_starts() {
    let faulty = faulty(Plan::always(Fault::truncated_at(Point::After(5))));
    for (offset, expected) in [(0, &WANTED[..5]), (5, &WANTED[5..10]), (10, &WANTED[10..])] {
        let (bytes, error) = read(&faulty, &from(offset)).await;
        assert_eq!((bytes.as_slice(), error.is_none()), (expected, true));
    }
    assert_eq!(faulty.struck(&source()), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_body_gives_nothing_more_until_it_is_dropped() {
    let faulty = faulty(Fault::stalled_at(4));
    let mut body = faulty.open(&from(0)).await.unwrap().into_body();
    assert_eq!(body.next().await.unwrap().unwrap(), "0123");
    for _ in 0..3 {
        let waited = timeout(Duration::from_hours(1), body.next()).await;
        assert!(waited.is_err());
    }
    assert_eq!(
        (faulty.bodies_alive(&source()), faulty.struck(&source())),
        (1, 1)
    );
    drop(body);
    assert_eq!(faulty.bodies_alive(&source()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_never_answered_or_is_refused_asks_nobody() {
    let memory = MemoryDownloader::new();
    let wait = Duration::from_secs(7);
    let refusal = Failure::new(ErrorKind::Status)
        .temporary()
        .with_retry_after(wait);
    let faulty = Faulty::new(memory.clone()).with_plan(
        &source(),
        Plan::first([
            Fault::silent(),
            Fault::refused(refusal),
            Fault::refused(Failure::new(ErrorKind::Network).permanent()),
        ]),
    );
    assert!(timeout(wait, faulty.open(&from(0))).await.is_err());
    let error = faulty.open(&from(0)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.is_temporary()),
        (ErrorKind::Status, true)
    );
    assert_eq!(error.retry_after(), Some(wait));
    let error = faulty.open(&from(0)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.is_temporary()),
        (ErrorKind::Network, false)
    );
    assert_eq!((faulty.opens(&source()), memory.requests().len()), (3, 0));
}

#[tokio::test]
async fn what_an_answer_says_can_be_changed() {
    let other = Validator::from_etag("\"other\"").unwrap();
    for (fault, start, total, validator) in [
        (Fault::none(), 4, Some(12), None),
        (Fault::no_ranges(), 0, Some(12), None),
        (Fault::other_total(99), 4, Some(99), None),
        (Fault::no_total(), 4, None, None),
        (
            Fault::other_validator(other.clone()),
            4,
            Some(12),
            Some(Some(&other)),
        ),
        (Fault::no_validator(), 4, Some(12), Some(None)),
    ] {
        let own = Faulty::new(faulty(Fault::none()))
            .open(&from(0))
            .await
            .unwrap();
        let faulty = faulty(fault.clone());
        let response = faulty.open(&from(4).with_length(Some(3))).await.unwrap();
        let expected = validator.unwrap_or(own.validator());
        assert_eq!(
            (response.start(), response.total(), response.validator()),
            (start, total, expected),
            "{fault:?}"
        );
        assert_eq!(faulty.struck(&source()), u64::from(fault != Fault::none()));
        let end = if start == 0 { 12 } else { 7 };
        assert_eq!(drain(response).await.0, WANTED[start as usize..end]);
    }
}

#[tokio::test]
async fn each_url_has_its_own_turn() {
    let memory = MemoryDownloader::new();
    let (own, one, two) = (source(), url("memory://a/1"), url("memory://a/2"));
    for url in [&own, &one, &two] {
        memory.insert(url.clone(), WANTED);
    }
    let plan = Plan::first([Fault::none(), Fault::refused(ErrorKind::Status)]);
    let faulty = Faulty::new(memory)
        .with_plan(&own, Plan::default())
        .with_plan_everywhere(plan.then_always(Fault::refused(ErrorKind::NotFound)));
    let kind = async |url: &Url| {
        let opened = faulty.open(&Request::new(url.clone())).await;
        opened.err().map(|error| error.kind())
    };
    for url in [&one, &two] {
        assert_eq!(kind(url).await, None);
        assert_eq!(kind(&own).await, None);
    }
    assert_eq!(faulty.unplayed(), [(one.clone(), 1), (two.clone(), 1)]);
    let refused = std::panic::catch_unwind(|| faulty.assert_played());
    let text = *refused.unwrap_err().downcast::<String>().unwrap();
    assert!(
        text.contains("memory://a/2: 1 more `open` planned"),
        "{text}"
    );
    for url in [&one, &two] {
        assert_eq!(kind(url).await, Some(ErrorKind::Status));
        assert_eq!(kind(url).await, Some(ErrorKind::NotFound));
        assert_eq!(kind(url).await, Some(ErrorKind::NotFound));
    }
    faulty.assert_played();
    assert_eq!((faulty.opens(&one), faulty.opens(&own)), (4, 2));
    assert_eq!(faulty.opens(&url("memory://a/never")), 0);
}

#[tokio::test]
async fn a_plan_can_be_replaced_while_it_runs() {
    let faulty = faulty(Plan::always(Fault::refused(ErrorKind::NotFound)));
    let shared = faulty.clone();
    assert!(faulty.open(&from(0)).await.is_err());
    shared.set_plan(&source(), Plan::default());
    assert!(faulty.open(&from(0)).await.is_ok());
    assert_eq!(shared.opens(&source()), 2);
}

#[tokio::test]
async fn a_script_is_answered_in_order_and_as_a_good_source_would() {
    let scripted = ScriptedDownloader::new([Reply::content(WANTED), Reply::content("changed")]);
    let first = scripted.open(&from(0)).await.unwrap();
    let again = from(4).with_if_range(first.validator().cloned());
    assert_eq!(drain(first).await.0, WANTED);
    let second = scripted.open(&again).await.unwrap();
    assert_eq!((second.start(), second.total()), (0, Some(7)));
    assert_eq!(drain(second).await.0, b"changed");
    scripted.push(
        Reply::from_fn(|request| {
            let body = futures::stream::iter([Ok(Bytes::from_static(b"elsewhere"))]);
            Ok(Response::new(request.offset() + 1, body.boxed()))
        })
        .with_fault(Fault::truncated_at(Point::After(4)))
        .with_url(source()),
    );
    let third = scripted.open(&from(5)).await.unwrap();
    assert_eq!(third.start(), 6);
    assert_eq!(drain(third).await.0, b"else");
    scripted.finish().unwrap();
    assert_eq!(scripted.requests(), [from(0), again, from(5)]);
}

#[tokio::test]
async fn a_script_that_is_not_followed_says_so() {
    let elsewhere = url("memory://b/y");
    let scripted = ScriptedDownloader::new([
        Reply::content(WANTED).with_url(elsewhere),
        Reply::refusal(ErrorKind::NotFound),
    ]);
    assert_eq!(
        scripted.open(&from(0)).await.unwrap_err().to_string(),
        "memory://a/x: the script has another URL here"
    );
    assert_eq!(scripted.remaining(), 1);
    let unfinished = scripted.finish().unwrap_err();
    assert_eq!(
        (unfinished.unused().len(), unfinished.unscripted().len()),
        (1, 1)
    );
    let error = scripted.open(&from(0)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = scripted.open(&from(0)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.is_temporary()),
        (ErrorKind::Protocol, false)
    );
    assert_eq!(
        format!("{:?}", scripted.finish().unwrap_err()),
        "the script was not followed\n\
         \x20 not scripted: request 1, memory://a/x: the script has memory://b/y here\n\
         \x20 not scripted: request 3, memory://a/x: the script is over"
    );
}

#[test]
fn a_script_that_nobody_finished_is_told_of_when_it_is_dropped() {
    let scripted = ScriptedDownloader::new([Reply::content(WANTED)]);
    let clone = scripted.clone();
    drop(clone); // not the last one
    let dropped = std::panic::catch_unwind(move || drop(scripted));
    let text = *dropped.unwrap_err().downcast::<String>().unwrap();
    assert!(
        text.starts_with("a ScriptedDownloader was dropped: the script was not followed\n  nobody asked for: Reply"),
        "{text}"
    );

    let asked = ScriptedDownloader::new([Reply::content(WANTED)]);
    asked.finish().unwrap_err();
    drop(asked); // was told already
}
