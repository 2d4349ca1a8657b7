//! Rows 39 to 41 over HTTP: too much, too slow, too often.

use std::time::Duration;

use downloader::{ErrorKind, Fetcher, HttpConfig, HttpDownloader, RetryPolicy, StallPolicy};
use testkit::{Exchange, Reply, ScriptedServer};

use crate::common::{Desk, fetcher, target, url};

const WANTED: &[u8] = b"0123456789";
const MS: Duration = Duration::from_millis(1);

fn http() -> HttpDownloader {
    HttpDownloader::new(HttpConfig::new()).unwrap()
}

/// No second attempt, and little patience.
fn impatient() -> Fetcher {
    fetcher(http())
        .with_retry(RetryPolicy::never())
        .with_stall(StallPolicy::new(10_000, 200 * MS))
}

#[tokio::test]
async fn c39_an_endless_body_ends_at_the_size() {
    let head = |headers: &str| Exchange::new().send(format!("HTTP/1.1 200 OK\r\n{headers}\r\n"));
    for (answer, kind) in [
        (
            head("Transfer-Encoding: chunked\r\n").repeat("5\r\nxxxxx\r\n"),
            ErrorKind::Limit,
        ),
        (head("").repeat("x".repeat(100_000)), ErrorKind::Limit),
        (
            head("Content-Length: 18446744073709551614\r\n").repeat("xxxxx"),
            ErrorKind::Protocol,
        ),
    ] {
        let server = ScriptedServer::start([answer]).await;
        let desk = Desk::new();
        let error = desk
            .fetch(&fetcher(http()), WANTED, &[url(&server.url("/x"))])
            .await
            .unwrap_err();
        server.assert_finished();
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(desk.part(target(WANTED)), None);
    }
}

#[tokio::test]
async fn c39_an_endless_head_ends() {
    let answer = Exchange::new()
        .send("HTTP/1.1 200 OK\r\n")
        .repeat("X-Filler: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n");
    let server = ScriptedServer::start([answer]).await;
    let error = Desk::new()
        .fetch(&fetcher(http()), WANTED, &[url(&server.url("/x"))])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
}

#[tokio::test]
async fn c40_what_stalls_is_left_soon() {
    let trickled = "HTTP/1.1 200 OK\r\nX-Filler: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    for (name, answer) in [
        ("silence", Exchange::new().hold()),
        (
            "a head that never ends",
            Exchange::new().trickle(trickled, 20 * MS).hold(),
        ),
        (
            "a body that never comes",
            Reply::ok(WANTED).hold_after(0).into(),
        ),
        ("a body that stops", Reply::ok(WANTED).hold_after(9).into()),
        (
            "drops",
            Exchange::new()
                .send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
                .trickle("0123456789", 100 * MS)
                .hold(),
        ),
    ] {
        let server = ScriptedServer::start([answer]).await;
        let error = Desk::new()
            .fetch(&impatient(), WANTED, &[url(&server.url("/x"))])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stalled, "{name}: {error}");
        assert!(error.to_string().contains(&server.url("/x")), "{error}");
    }
}

#[tokio::test]
async fn c40_a_stalled_body_is_resumed_from_where_it_stopped() {
    let server = ScriptedServer::start([
        Reply::ok(WANTED).etag("\"v1\"").hold_after(4),
        Reply::partial(4, WANTED).etag("\"v1\""),
    ])
    .await;
    let patient = fetcher(http()).with_stall(StallPolicy::new(1000, 1000 * MS));
    let fetched = Desk::new()
        .fetch(&patient, WANTED, &[url(&server.url("/x"))])
        .await
        .unwrap();
    server.assert_finished();
    assert_eq!((fetched.bytes_transferred(), fetched.retries()), (10, 1));
}

#[tokio::test]
async fn c41_a_storm_of_server_errors_is_weathered_up_to_a_bound() {
    let storm = [
        "500 Internal Server Error",
        "502 Bad Gateway",
        "503 Service Unavailable",
        "429 Too Many Requests",
        "408 Request Timeout",
    ];
    for status in storm {
        let busy = || Reply::status(status).header("Retry-After", "1000000000");
        let server = ScriptedServer::start([busy(), busy(), Reply::ok(WANTED)]).await;
        Desk::new()
            .fetch(&fetcher(http()), WANTED, &[url(&server.url("/x"))])
            .await
            .unwrap();
        server.assert_finished();

        let server = ScriptedServer::start([busy(), busy(), busy(), Reply::ok(WANTED)]).await;
        let error = Desk::new()
            .fetch(&fetcher(http()), WANTED, &[url(&server.url("/x"))])
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), server.remaining()),
            (ErrorKind::Status, 1),
            "{error}"
        );
        assert_eq!(
            error.retry_after(),
            Some(Duration::from_secs(1_000_000_000))
        );
    }
}
