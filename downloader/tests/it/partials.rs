//! What stays in the store, and what is made of it later.

use std::collections::HashSet;
use std::slice;

use downloader::{ErrorKind, MemoryDownloader, PartialStore};
use manifest_core::Sha256Digest;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::common::{At, Desk, content, fetcher, target, url};
use crate::fake::{Answer, Fake};

pub(crate) fn memory(content: &[u8]) -> (MemoryDownloader, Url) {
    let (memory, source) = (MemoryDownloader::new(), url("memory://a/x"));
    memory.insert(source.clone(), content.to_vec());
    (memory, source)
}

#[tokio::test]
async fn contents_of_every_size_arrive() {
    for size in [1, 65_536, 262_144, 262_145, 3_000_000, 9_000_001] {
        let content = content(size);
        let (memory, source) = memory(&content);
        let fetched = Desk::new()
            .fetch(&fetcher(memory.clone()), &content, slice::from_ref(&source))
            .await
            .unwrap();
        assert_eq!(fetched.bytes_transferred(), size as u64);
        assert_eq!(
            (fetched.bytes_resumed(), fetched.retries(), fetched.source()),
            (0, 0, Some(&source))
        );
        assert_eq!(memory.requests().len(), 1);
    }
}

#[tokio::test]
async fn an_empty_content_asks_nobody() {
    let fetched = Desk::new()
        .fetch(&fetcher(Fake::new([])), b"", &[])
        .await
        .unwrap();
    assert_eq!((fetched.bytes_transferred(), fetched.source()), (0, None));
}

#[tokio::test]
async fn an_empty_content_with_another_digest_is_refused() {
    let desk = Desk::new();
    let wrong = downloader::Target::new(Sha256Digest::of(b"x"), 0);
    let result = fetcher(Fake::new([]))
        .fetch(&wrong, &[], &desk.store, &(), &CancellationToken::new())
        .await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Integrity);
}

#[tokio::test]
async fn no_source_is_an_error() {
    let error = Desk::new()
        .fetch(&fetcher(Fake::new([])), b"x", &[])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn c32_a_partial_and_its_validator_survive_the_process() {
    let mut desk = Desk::new();
    let source = url("memory://a/x");
    let first = Fake::new([Answer::breaking(0, b"01234").etag("\"v1\"")]);
    desk.fetch(&fetcher(first), b"0123456789", slice::from_ref(&source))
        .await
        .unwrap_err();
    assert_eq!(desk.part(target(b"0123456789")).unwrap(), b"01234");

    desk.reopen();
    assert_eq!(desk.store.bytes_present(Sha256Digest::of(b"0123456789")), 5);
    let second = Fake::new([Answer::bytes(5, b"56789").etag("\"v1\"")]);
    let fetched = desk
        .fetch(&fetcher(second.clone()), b"0123456789", &[source])
        .await
        .unwrap();
    assert_eq!(
        (fetched.bytes_transferred(), fetched.bytes_resumed()),
        (5, 5)
    );
    let request = &second.requests()[0];
    assert_eq!(
        (request.offset(), request.if_range().unwrap().as_str()),
        (5, "\"v1\"")
    );
}

#[tokio::test]
async fn another_source_after_a_restart_gets_no_validator_of_the_first() {
    let mut desk = Desk::new();
    let first = Fake::new([Answer::breaking(0, b"01234").etag("\"v1\"")]);
    desk.fetch(&fetcher(first), b"0123456789", &[url("memory://a/x")])
        .await
        .unwrap_err();
    desk.reopen();
    let second = Fake::new([Answer::bytes(5, b"56789").etag("\"v2\"")]);
    desk.fetch(
        &fetcher(second.clone()),
        b"0123456789",
        &[url("memory://b/x")],
    )
    .await
    .unwrap();
    assert_eq!(
        (
            second.requests()[0].offset(),
            second.requests()[0].if_range()
        ),
        (5, None)
    );
}

#[tokio::test]
async fn a_damaged_or_foreign_journal_costs_only_the_condition() {
    for journal in [
        "",
        "{",
        "[1]",
        r#"{"url":"memory://a/x","validator":"\"v1\"","size":11}"#,
    ] {
        let mut desk = Desk::new();
        let wanted = target(b"0123456789");
        std::fs::write(desk.path(wanted, "part"), b"01234").unwrap();
        std::fs::write(desk.path(wanted, "json"), journal).unwrap();
        desk.reopen();
        let fake = Fake::new([Answer::bytes(5, b"56789")]);
        // A foreign journal is not removed by the fetch, so look at the requests instead of the folder.
        let progress = ();
        fetcher(fake.clone())
            .fetch(
                &wanted,
                &[url("memory://a/x")],
                &desk.store,
                &progress,
                &CancellationToken::new(),
            )
            .await
            .unwrap();
        assert_eq!(
            (fake.requests()[0].offset(), fake.requests()[0].if_range()),
            (5, None),
            "{journal}"
        );
    }
}

#[tokio::test]
async fn c43_a_corrupt_prefix_is_dropped_and_fetched_once_more() {
    let mut desk = Desk::new();
    let content = content(100_000);
    std::fs::write(desk.path(target(&content), "part"), vec![0; 70_000]).unwrap();
    desk.reopen();
    let (memory, source) = memory(&content);
    let fetched = desk
        .fetch(&fetcher(memory.clone()), &content, slice::from_ref(&source))
        .await
        .unwrap();
    assert_eq!(memory.offsets(&source), [70_000, 0]);
    assert_eq!(
        (fetched.bytes_transferred(), fetched.bytes_resumed()),
        (130_000, 0)
    );
}

#[tokio::test]
async fn c36_a_partial_of_full_length_is_judged_by_its_digest_without_a_request() {
    let mut desk = Desk::new();
    std::fs::write(desk.path(target(b"0123456789"), "part"), b"0123456789").unwrap();
    desk.reopen();
    let fake = Fake::new([]);
    let fetched = desk
        .fetch(
            &fetcher(fake.clone()),
            b"0123456789",
            &[url("memory://a/x")],
        )
        .await
        .unwrap();
    assert_eq!((fetched.bytes_resumed(), fake.requests().len()), (10, 0));

    let mut desk = Desk::new();
    std::fs::write(desk.path(target(b"0123456789"), "part"), b"9876543210").unwrap();
    desk.reopen();
    let (memory, source) = memory(b"0123456789");
    desk.fetch(
        &fetcher(memory.clone()),
        b"0123456789",
        slice::from_ref(&source),
    )
    .await
    .unwrap();
    assert_eq!(memory.offsets(&source), [0]);
}

#[tokio::test]
async fn d55_a_partial_larger_than_the_file_is_dropped() {
    let mut desk = Desk::new();
    std::fs::write(desk.path(target(b"0123456789"), "part"), b"01234567890").unwrap();
    desk.reopen();
    let (memory, source) = memory(b"0123456789");
    desk.fetch(
        &fetcher(memory.clone()),
        b"0123456789",
        slice::from_ref(&source),
    )
    .await
    .unwrap();
    assert_eq!(memory.offsets(&source), [0]);
}

#[tokio::test]
async fn a_finished_file_of_an_earlier_run_is_hashed_again() {
    let mut desk = Desk::new();
    let wanted = target(b"0123456789");
    std::fs::write(desk.path(wanted, "done"), b"0123456789").unwrap();
    desk.reopen();
    assert_eq!(
        desk.store.completed(wanted.digest()),
        None,
        "not trusted before it was hashed"
    );
    let fetched = desk
        .fetch(&fetcher(Fake::new([])), b"0123456789", &[])
        .await
        .unwrap();
    assert_eq!(
        (fetched.bytes_transferred(), fetched.bytes_resumed()),
        (0, 10)
    );

    for damaged in [&b"0123456780"[..], b"01234", b"01234567890", b""] {
        std::fs::write(desk.path(wanted, "done"), damaged).unwrap();
        desk.reopen();
        let (memory, source) = memory(b"0123456789");
        let fetched = desk
            .fetch(&fetcher(memory), b"0123456789", &[source])
            .await
            .unwrap();
        assert_eq!(fetched.bytes_transferred(), 10);
    }
}

#[tokio::test]
async fn a_file_that_the_caller_took_away_is_fetched_again() {
    let desk = Desk::new();
    let (memory, source) = memory(b"0123456789");
    let fetcher = fetcher(memory.clone());
    desk.fetch(&fetcher, b"0123456789", slice::from_ref(&source))
        .await
        .unwrap();
    std::fs::remove_file(desk.path(target(b"0123456789"), "done")).unwrap();
    assert_eq!(desk.store.completed(target(b"0123456789").digest()), None);
    desk.fetch(&fetcher, b"0123456789", &[source])
        .await
        .unwrap();
    assert_eq!(memory.requests().len(), 2);
}

#[tokio::test]
async fn cancelling_keeps_what_has_come() {
    let desk = Desk::new();
    let wanted = target(b"0123456789");
    let cancel = CancellationToken::new();
    let progress = At::new(4, || cancel.cancel());
    let fake = Fake::new([Answer::body(
        0,
        vec![
            crate::fake::Step::Bytes(b"0123".to_vec()),
            crate::fake::Step::Pause(std::time::Duration::from_hours(1)),
        ],
    )]);
    let source = [url("memory://a/x")];
    let error = fetcher(fake)
        .fetch(&wanted, &source, &desk.store, &progress, &cancel)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(desk.part(wanted).unwrap(), b"0123");

    let error = fetcher(Fake::new([]))
        .fetch(&wanted, &source, &desk.store, &(), &cancel)
        .await
        .unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Cancelled,
        "a token that was cancelled before"
    );
    let fake = Fake::new([Answer::bytes(4, b"456789")]);
    desk.fetch(&fetcher(fake), b"0123456789", &source)
        .await
        .unwrap();
}

#[tokio::test]
async fn dropping_the_future_is_safe() {
    let desk = Desk::new();
    let content = content(2_000_000);
    let wanted = target(&content);
    let reached = tokio::sync::Notify::new();
    let progress = At::new(1_000_000, || reached.notify_one());
    let fake = Fake::new([Answer::body(
        0,
        content[..1_000_000]
            .chunks(10_000)
            .map(|chunk| crate::fake::Step::Bytes(chunk.to_vec()))
            .chain([crate::fake::Step::Pause(std::time::Duration::from_hours(1))])
            .collect(),
    )]);
    let source = [url("memory://a/x")];
    let (fetcher_of_fake, cancel) = (fetcher(fake), CancellationToken::new());
    tokio::select! {
        _ = fetcher_of_fake.fetch(&wanted, &source, &desk.store, &progress, &cancel) => unreachable!(),
        () = reached.notified() => {}
    }
    let (memory, source) = memory(&content);
    let fetched = desk
        .fetch(&fetcher(memory.clone()), &content, slice::from_ref(&source))
        .await
        .unwrap();
    assert!(
        memory.offsets(&source)[0] >= 262_144,
        "{:?}",
        memory.offsets(&source)
    );
    assert_eq!(
        fetched.bytes_resumed() + fetched.bytes_transferred(),
        2_000_000
    );
}

#[tokio::test]
async fn two_fetches_of_one_content_take_turns() {
    let desk = Desk::new();
    let content = content(1_000_000);
    let (memory, source) = memory(&content);
    let (fetcher, sources) = (fetcher(memory.clone()), [source]);
    let (one, two) = tokio::join!(
        desk.fetch(&fetcher, &content, &sources),
        desk.fetch(&fetcher, &content, &sources)
    );
    assert_eq!(
        one.unwrap().bytes_transferred() + two.unwrap().bytes_transferred(),
        1_000_000
    );
    assert_eq!(memory.requests().len(), 1);
}

#[tokio::test]
async fn clearing_keeps_what_is_asked_and_what_is_not_ours() {
    let mut desk = Desk::new();
    let (keep, drop) = (target(b"keep"), target(b"drop"));
    for wanted in [keep, drop] {
        for ending in ["part", "json", "json.new", "done"] {
            std::fs::write(desk.path(wanted, ending), b"x").unwrap();
        }
    }
    std::fs::write(desk.path(keep, "part").with_file_name("foreign.part"), b"x").unwrap();
    desk.reopen();
    desk.store
        .clear_except(&HashSet::from([keep.digest()]))
        .unwrap();
    assert_eq!(desk.names().len(), 5);
    assert!(desk.names().contains(&"foreign.part".to_owned()));
    desk.store.discard(keep.digest()).unwrap();
    assert_eq!(desk.names(), ["foreign.part"]);
    assert_eq!(desk.store.bytes_present(keep.digest()), 0);
    assert_eq!(
        PartialStore::file_name(keep.digest()),
        format!("{}.done", keep.digest())
    );
}
