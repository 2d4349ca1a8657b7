//! Rows 35 to 37, 43 and 45 over HTTP: what becomes of a partial file.

use downloader::{ErrorKind, HttpConfig, HttpDownloader};
use testkit::{Reply, ScriptedServer};

use crate::common::{Desk, fetcher, target, url};

const WANTED: &[u8] = b"0123456789";

fn http() -> HttpDownloader {
    HttpDownloader::new(HttpConfig::new()).unwrap()
}

fn ranges(server: &ScriptedServer) -> Vec<Option<String>> {
    server
        .requests()
        .iter()
        .map(|request| request.header("range").map(str::to_owned))
        .collect()
}

fn from(offsets: &[u64]) -> Vec<Option<String>> {
    offsets
        .iter()
        .map(|offset| (*offset > 0).then(|| format!("bytes={offset}-")))
        .collect()
}

#[tokio::test]
async fn c35_a_whole_answer_to_a_range_request_starts_the_file_anew() {
    for etag in ["\"v1\"", "\"v2\"", "W/\"v1\""] {
        let server = ScriptedServer::start([
            Reply::ok("abcdefghij").etag("\"v1\"").cut_after(4),
            Reply::ok(WANTED).etag(etag).cut_after(6),
            Reply::partial(6, WANTED).etag(etag),
        ])
        .await;
        let fetched = Desk::new()
            .fetch(&fetcher(http()), WANTED, &[url(&server.url("/x"))])
            .await
            .unwrap();
        server.assert_finished();
        assert_eq!(ranges(&server), from(&[0, 4, 6]));
        assert_eq!(fetched.bytes_transferred(), 14);
    }
}

#[tokio::test]
async fn c36_an_unsatisfiable_range_restarts_the_file() {
    let server = ScriptedServer::start([
        Reply::ok(WANTED).etag("\"v1\"").cut_after(4),
        Reply::status("416 Range Not Satisfiable").header("Content-Range", "bytes */3"),
        Reply::ok(WANTED),
    ])
    .await;
    Desk::new()
        .fetch(&fetcher(http()), WANTED, &[url(&server.url("/x"))])
        .await
        .unwrap();
    server.assert_finished();
    assert_eq!(ranges(&server), from(&[0, 4, 0]));
}

#[tokio::test]
async fn c36_a_partial_of_full_length_is_not_asked_for() {
    for (there, offsets) in [(&b"0123456789"[..], &[][..]), (b"0123456780", &[0])] {
        let mut desk = Desk::new();
        std::fs::write(desk.path(target(WANTED), "part"), there).unwrap();
        desk.reopen();
        let server = ScriptedServer::start([Reply::ok(WANTED)]).await;
        desk.fetch(&fetcher(http()), WANTED, &[url(&server.url("/x"))])
            .await
            .unwrap();
        assert_eq!(ranges(&server), from(offsets));
    }
}

#[tokio::test]
async fn c37_a_validator_that_changes_disappears_or_turns_weak_restarts_the_file() {
    for etag in [Some("\"v2\""), Some("W/\"v1\""), Some("v1"), None] {
        let tagged = |reply: Reply| {
            if let Some(etag) = etag {
                reply.etag(etag)
            } else {
                reply
            }
        };
        // This server ignores If-Range and would splice.
        let server = ScriptedServer::start([
            Reply::ok("abcdefghij").etag("\"v1\"").cut_after(4),
            tagged(Reply::partial(4, WANTED)),
            tagged(Reply::ok(WANTED)),
        ])
        .await;
        Desk::new()
            .fetch(&fetcher(http()), WANTED, &[url(&server.url("/x"))])
            .await
            .unwrap();
        server.assert_finished();
        assert_eq!(ranges(&server), from(&[0, 4, 0]), "{etag:?}");
        assert_eq!(server.requests()[1].header("if-range"), Some("\"v1\""));
        assert_eq!(server.requests()[2].header("if-range"), None);
    }
}

#[tokio::test]
async fn c37_a_change_between_two_runs_restarts_the_file() {
    let server = ScriptedServer::start([
        Reply::ok("abcdefghij").etag("\"v1\"").cut_after(4),
        Reply::status("404 Not Found"),
        Reply::partial(4, WANTED).etag("\"v2\""),
        Reply::ok(WANTED).etag("\"v2\""),
    ])
    .await;
    let mut desk = Desk::new();
    let source = [url(&server.url("/x"))];
    assert_eq!(
        desk.fetch(&fetcher(http()), WANTED, &source)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::NotFound
    );
    desk.reopen();
    desk.fetch(&fetcher(http()), WANTED, &source).await.unwrap();
    server.assert_finished();
    assert_eq!(ranges(&server), from(&[0, 4, 4, 0]));
    assert_eq!(server.requests()[2].header("if-range"), Some("\"v1\""));
}

#[tokio::test]
async fn c37_a_weak_validator_is_never_sent() {
    let server = ScriptedServer::start([
        Reply::ok(WANTED).etag("W/\"v1\"").cut_after(4),
        Reply::partial(4, WANTED).etag("W/\"v1\""),
    ])
    .await;
    Desk::new()
        .fetch(&fetcher(http()), WANTED, &[url(&server.url("/x"))])
        .await
        .unwrap();
    assert_eq!(ranges(&server), from(&[0, 4]));
    assert_eq!(server.requests()[1].header("if-range"), None);
}

#[tokio::test]
async fn c43_corrupt_bytes_are_never_installed() {
    let server = ScriptedServer::start([Reply::ok("0123456780")]).await;
    let desk = Desk::new();
    let error = desk
        .fetch(&fetcher(http()), WANTED, &[url(&server.url("/x"))])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    server.assert_finished();

    // A corrupt beginning, joined with a good rest: fetched once more in one piece.
    let server = ScriptedServer::start([
        Reply::ok("x123456789").etag("\"v1\"").cut_after(4),
        Reply::partial(4, WANTED).etag("\"v1\""),
        Reply::ok(WANTED).etag("\"v1\""),
    ])
    .await;
    desk.fetch(&fetcher(http()), WANTED, &[url(&server.url("/x"))])
        .await
        .unwrap();
    server.assert_finished();
    assert_eq!(ranges(&server), from(&[0, 4, 0]));
}

#[tokio::test]
async fn c45_another_server_goes_on_in_the_middle_of_the_file() {
    let bad = ScriptedServer::start([
        Reply::ok(WANTED).etag("\"a\"").cut_after(4),
        Reply::status("404 Not Found"),
    ])
    .await;
    let good = ScriptedServer::start([Reply::partial(4, WANTED).etag("\"b\"")]).await;
    let sources = [url(&bad.url("/x")), url(&good.url("/y"))];
    let fetched = Desk::new()
        .fetch(&fetcher(http()), WANTED, &sources)
        .await
        .unwrap();
    bad.assert_finished();
    good.assert_finished();
    assert_eq!(good.requests()[0].header("range"), Some("bytes=4-"));
    assert_eq!(good.requests()[0].header("if-range"), None);
    assert_eq!(
        (fetched.bytes_transferred(), fetched.source()),
        (10, Some(&sources[1]))
    );
}

#[tokio::test]
async fn a_part_cut_by_something_in_between_is_resumed() {
    // A proxy that ends a broken part properly.
    let cut = Reply::status("206 Partial Content")
        .header("Content-Range", "bytes 4-9/10")
        .body("456")
        .chunked();
    let server = ScriptedServer::start([
        Reply::ok(WANTED).cut_after(4),
        cut,
        Reply::partial(7, WANTED),
    ])
    .await;
    Desk::new()
        .fetch(&fetcher(http()), WANTED, &[url(&server.url("/x"))])
        .await
        .unwrap();
    server.assert_finished();
    assert_eq!(ranges(&server), from(&[0, 4, 7]));
}
