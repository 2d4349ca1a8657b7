//! Row 32: connections that break.

use downloader::{ErrorKind, HttpConfig, HttpDownloader, RetryPolicy};
use testkit::{Exchange, Gate, Reply, ScriptedServer};
use tokio_util::sync::CancellationToken;

use crate::common::{At, Desk, content, fetcher, target, url};

const WANTED: &[u8] = b"0123456789ab";
const TAG: &str = "\"v1\"";

fn http() -> HttpDownloader {
    HttpDownloader::new(HttpConfig::new()).unwrap()
}

/// What a sound server answers to a request for the rest.
fn rest(at: usize) -> Reply {
    if at == 0 {
        Reply::ok(WANTED).etag(TAG)
    } else {
        Reply::partial(at, WANTED).etag(TAG)
    }
}

fn assert_resumed(server: &ScriptedServer, at: usize) {
    server.assert_finished();
    let asked = &server.requests()[1];
    if at == 0 {
        assert_eq!(
            (asked.header("range"), asked.header("if-range")),
            (None, None)
        );
    } else {
        assert_eq!(asked.header("range"), Some(&*format!("bytes={at}-")));
        assert_eq!(asked.header("if-range"), Some(TAG));
    }
}

#[tokio::test]
async fn c32_a_connection_closed_at_each_offset_is_resumed_from_there() {
    for at in 0..WANTED.len() {
        for chunked in [false, true] {
            let reply = Reply::ok(WANTED).etag(TAG).cut_after(at);
            let reply = if chunked { reply.chunked() } else { reply };
            let server = ScriptedServer::start([reply, rest(at)]).await;
            let fetched = Desk::new()
                .fetch(&fetcher(http()), WANTED, &[url(&server.url("/x"))])
                .await
                .unwrap();
            assert_eq!(
                (fetched.bytes_transferred(), fetched.retries()),
                (WANTED.len() as u64, 1),
                "{at} {chunked}"
            );
            assert_resumed(&server, at);
        }
    }
}

#[tokio::test]
async fn c32_a_body_without_any_length_is_resumed_too() {
    for at in 0..WANTED.len() {
        let server = ScriptedServer::start([
            Reply::ok(WANTED).etag(TAG).until_close().cut_after(at),
            rest(at),
        ])
        .await;
        Desk::new()
            .fetch(&fetcher(http()), WANTED, &[url(&server.url("/x"))])
            .await
            .unwrap();
        assert_resumed(&server, at);
    }
}

#[tokio::test]
async fn c32_a_connection_reset_at_each_offset_is_resumed_from_there() {
    for at in 0..WANTED.len() {
        // The reset comes after the client has taken the bytes; otherwise the kernel may throw them away.
        let gate = Gate::new();
        let head = format!(
            "HTTP/1.1 200 OK\r\nETag: {TAG}\r\nContent-Length: {}\r\n\r\n",
            WANTED.len()
        );
        let breaking = Exchange::new()
            .send(head)
            .send(&WANTED[..at])
            .wait(&gate)
            .reset();
        let server = ScriptedServer::start([breaking, rest(at).into()]).await;
        let (desk, wanted) = (Desk::new(), target(WANTED));
        let progress = At::new(at, || gate.open());
        if at == 0 {
            gate.open();
        }
        let fetched = fetcher(http())
            .fetch(
                &wanted,
                &[url(&server.url("/x"))],
                &desk.store,
                &progress,
                &CancellationToken::new(),
            )
            .await
            .unwrap();
        assert_eq!(fetched.bytes_transferred(), WANTED.len() as u64);
        assert!(desk.store.completed(wanted.digest()).is_some());
        assert_resumed(&server, at);
    }
}

#[tokio::test]
async fn c32_a_connection_that_breaks_within_the_head_is_tried_again() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n";
    for at in [0, 1, 8, 12, head.len()] {
        for breaking in [
            Exchange::new().send(&head[..at]).close(),
            Exchange::new().send(&head[..at]).reset(),
        ] {
            let server = ScriptedServer::start([breaking, rest(0).into()]).await;
            Desk::new()
                .fetch(&fetcher(http()), WANTED, &[url(&server.url("/x"))])
                .await
                .unwrap();
            server.assert_finished();
        }
    }
}

#[tokio::test]
async fn c32_a_large_body_breaks_many_times() {
    let content = content(3_000_000);
    let mut script = vec![];
    let mut at = 0;
    for step in [1, 100_000, 262_144, 700_000, 1_500_000] {
        let reply = if at == 0 {
            Reply::ok(&*content)
        } else {
            Reply::partial(at, &content)
        };
        script.push(reply.etag(TAG).cut_after(step));
        at += step;
    }
    script.push(Reply::partial(at, &content).etag(TAG));
    let server = ScriptedServer::start(script).await;
    let fetched = Desk::new()
        .fetch(&fetcher(http()), &content, &[url(&server.url("/x"))])
        .await
        .unwrap();
    server.assert_finished();
    assert_eq!(
        (fetched.bytes_transferred(), fetched.retries()),
        (3_000_000, 5)
    );
}

#[tokio::test]
async fn c32_after_a_restart_of_the_process_the_file_goes_on_under_the_same_condition() {
    let server = ScriptedServer::start([Reply::ok(WANTED).etag(TAG).cut_after(7), rest(7)]).await;
    let mut desk = Desk::new();
    let source = [url(&server.url("/x"))];
    let once = fetcher(http()).with_retry(RetryPolicy::never());
    let error = desk.fetch(&once, WANTED, &source).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert!(error.to_string().contains(&server.url("/x")), "{error}");

    desk.reopen();
    let fetched = desk.fetch(&fetcher(http()), WANTED, &source).await.unwrap();
    assert_eq!(
        (fetched.bytes_resumed(), fetched.bytes_transferred()),
        (7, 5)
    );
    assert_resumed(&server, 7);
}

#[tokio::test]
async fn nobody_listens() {
    let server = ScriptedServer::start(Vec::<Reply>::new()).await;
    let source = url(&server.url("/x"));
    drop(server);
    let error = Desk::new()
        .fetch(&fetcher(http()), WANTED, &[source])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert!(error.is_temporary());
}
