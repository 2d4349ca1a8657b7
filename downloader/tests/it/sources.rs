//! Several sources, and wrong bytes.

use downloader::{ErrorKind, MemoryDownloader};
use manifest_core::Sha256Digest;

use crate::common::{Desk, content, fetcher, target, url};
use crate::fake::{Answer, Fake, broken};

const WANTED: &[u8] = b"0123456789";
const WRONG: &[u8] = b"0123456780";

fn hosts(fake: &Fake) -> Vec<(String, u64)> {
    fake.requests()
        .iter()
        .map(|request| {
            (
                request.url().host_str().unwrap().to_owned(),
                request.offset(),
            )
        })
        .collect()
}

fn named(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
    pairs
        .iter()
        .map(|(host, offset)| ((*host).to_owned(), *offset))
        .collect()
}

#[tokio::test]
async fn c45_the_second_source_goes_on_in_the_middle_of_the_file() {
    let fake = Fake::new([
        Answer::breaking(0, b"0123").etag("\"a\""),
        Answer::Refuse(broken()),
        Answer::bytes(4, b"456789").etag("\"b\""),
    ]);
    let sources = [url("memory://a/x"), url("memory://b/x")];
    let fetched = Desk::new()
        .fetch(&fetcher(fake.clone()), WANTED, &sources)
        .await
        .unwrap();
    assert_eq!(hosts(&fake), named(&[("a", 0), ("a", 4), ("b", 4)]));
    assert_eq!(fake.requests()[1].if_range().unwrap().as_str(), "\"a\"");
    assert_eq!(
        fake.requests()[2].if_range(),
        None,
        "the content's digest, not a's validator, joins two sources"
    );
    assert_eq!(
        (fetched.bytes_transferred(), fetched.source()),
        (10, Some(&sources[1]))
    );
}

#[tokio::test]
async fn c45_a_source_that_fails_for_good_is_not_asked_again() {
    for kind in [
        ErrorKind::NotFound,
        ErrorKind::Protocol,
        ErrorKind::Policy,
        ErrorKind::Unauthorized,
    ] {
        let fake = Fake::new([
            Answer::Refuse(downloader::Error::new(kind, "no")),
            Answer::breaking(0, b"0123"),
            Answer::breaking(4, b""),
            Answer::bytes(4, b"456789"),
        ]);
        Desk::new()
            .fetch(
                &fetcher(fake.clone()),
                WANTED,
                &[url("memory://a/x"), url("memory://b/x")],
            )
            .await
            .unwrap();
        assert_eq!(
            hosts(&fake),
            named(&[("a", 0), ("b", 0), ("b", 4), ("b", 4)])
        );
    }
}

#[tokio::test]
async fn c45_wrong_bytes_of_one_source_are_replaced_by_the_other() {
    let fake = Fake::new([Answer::bytes(0, WRONG), Answer::bytes(0, WANTED)]);
    let fetched = Desk::new()
        .fetch(
            &fetcher(fake.clone()),
            WANTED,
            &[url("memory://a/x"), url("memory://b/x")],
        )
        .await
        .unwrap();
    assert_eq!(hosts(&fake), named(&[("a", 0), ("b", 0)]));
    assert_eq!((fetched.bytes_transferred(), fetched.retries()), (20, 1));
}

#[tokio::test]
async fn c43_one_corrupt_byte_is_an_integrity_error_with_both_digests() {
    let (desk, fake) = (Desk::new(), Fake::new([Answer::bytes(0, WRONG)]));
    let error = desk
        .fetch(&fetcher(fake.clone()), WANTED, &[url("memory://a/x")])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    for part in [
        Sha256Digest::of(WANTED).to_string(),
        Sha256Digest::of(WRONG).to_string(),
        "memory://a/x".to_owned(),
    ] {
        assert!(error.to_string().contains(&part), "{error}");
    }
    assert_eq!(fake.requests().len(), 1, "a clean fetch is not repeated");
    assert_eq!(desk.part(target(WANTED)), None, "wrong bytes are not kept");
}

#[tokio::test]
async fn c43_joined_bytes_that_are_wrong_are_fetched_once_more_in_one_piece() {
    let fake = Fake::new([
        Answer::breaking(0, b"01x3"),
        Answer::bytes(4, b"456789"),
        Answer::bytes(0, WANTED),
    ]);
    Desk::new()
        .fetch(&fetcher(fake.clone()), WANTED, &[url("memory://a/x")])
        .await
        .unwrap();
    assert_eq!(hosts(&fake), named(&[("a", 0), ("a", 4), ("a", 0)]));
}

#[tokio::test]
async fn c43_the_clean_refetch_happens_only_once() {
    let mut script = vec![];
    for _ in 0..10 {
        script.extend([Answer::breaking(0, b"01x3"), Answer::bytes(4, b"456789")]);
    }
    let fake = Fake::new(script);
    let error = Desk::new()
        .fetch(&fetcher(fake.clone()), WANTED, &[url("memory://a/x")])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert_eq!(
        hosts(&fake),
        named(&[("a", 0), ("a", 4), ("a", 0), ("a", 4)])
    );
}

#[tokio::test]
async fn c45_a_bad_prefix_of_one_source_does_not_condemn_the_other() {
    let fake = Fake::new([
        Answer::breaking(0, b"01x3"),
        Answer::Refuse(downloader::Error::new(ErrorKind::NotFound, "gone")),
        Answer::bytes(4, b"456789"),
        Answer::bytes(0, WANTED),
    ]);
    Desk::new()
        .fetch(
            &fetcher(fake.clone()),
            WANTED,
            &[url("memory://a/x"), url("memory://b/x")],
        )
        .await
        .unwrap();
    assert_eq!(
        hosts(&fake),
        named(&[("a", 0), ("a", 4), ("b", 4), ("b", 0)])
    );
}

#[tokio::test]
async fn c45_when_all_sources_are_bad_the_error_names_them() {
    let memory = MemoryDownloader::new();
    let sources = [
        url("memory://a/x"),
        url("memory://b/x"),
        url("memory://c/x"),
    ];
    memory.insert(sources[0].clone(), WRONG);
    memory.insert(sources[1].clone(), &b"another length"[..]);
    let error = Desk::new()
        .fetch(&fetcher(memory.clone()), WANTED, &sources)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    for source in &sources {
        assert!(error.to_string().contains(source.as_str()), "{error}");
        assert_eq!(memory.offsets(source), [0]);
    }
}

#[tokio::test]
async fn c37_a_backend_that_splices_is_caught() {
    for etag in ["\"v2\"", "W/\"v1\"", ""] {
        let fake = Fake::new([
            Answer::breaking(0, b"abcd").etag("\"v1\""),
            Answer::bytes(4, b"456789").etag(etag),
            Answer::bytes(0, WANTED).etag("\"v2\""),
        ]);
        Desk::new()
            .fetch(&fetcher(fake.clone()), WANTED, &[url("memory://a/x")])
            .await
            .unwrap();
        assert_eq!(
            hosts(&fake),
            named(&[("a", 0), ("a", 4), ("a", 0)]),
            "{etag}"
        );
    }
}

#[tokio::test]
async fn c34_an_answer_from_another_place_is_refused() {
    for start in [3, 5, 10, usize::MAX] {
        let desk = Desk::new();
        let fake = Fake::new([
            Answer::breaking(0, b"0123"),
            Answer::bytes(start, b"456789"),
        ]);
        let error = desk
            .fetch(&fetcher(fake), WANTED, &[url("memory://a/x")])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert_eq!(desk.part(target(WANTED)).unwrap(), b"0123");
    }
}

#[tokio::test]
async fn c39_bytes_beyond_the_size_are_never_written() {
    let content = content(1_000_000);
    let long = [&content[..], b"x"].concat();
    for pieces in [
        vec![&long[..]],
        long.chunks(100_000).collect(),
        vec![&content[..], b"x"],
    ] {
        let desk = Desk::new();
        let steps = pieces
            .iter()
            .map(|piece| crate::fake::Step::Bytes(piece.to_vec()))
            .collect();
        let error = desk
            .fetch(
                &fetcher(Fake::new([Answer::body(0, steps)])),
                &content,
                &[url("memory://a/x")],
            )
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);
        assert_eq!(desk.part(target(&content)), None);
    }
}
