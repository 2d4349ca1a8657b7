//! What goes out: headers, connections, refused URLs.

use std::time::Duration;

use downloader::{Downloader as _, ErrorKind, HostPolicy, HttpConfig, HttpDownloader, Request};
use futures::TryStreamExt as _;
use testkit::{Reply, ScriptedServer};

use crate::common::{Desk, fetcher, url};

const WANTED: &[u8] = b"0123456789";

#[tokio::test]
async fn a_request_asks_for_plain_bytes_and_nothing_more() {
    let server = ScriptedServer::start([Reply::ok(WANTED)]).await;
    let http = HttpDownloader::new(HttpConfig::new().with_user_agent("worker/1")).unwrap();
    Desk::new()
        .fetch(&fetcher(http), WANTED, &[url(&server.url("/a%20b?c=d#e"))])
        .await
        .unwrap();
    let request = &server.requests()[0];
    assert_eq!(
        (request.method.as_str(), request.target.as_str()),
        ("GET", "/a%20b?c=d")
    );
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    assert_eq!(request.header("user-agent"), Some("worker/1"));
    for absent in ["range", "if-range", "authorization", "referer", "cookie"] {
        assert_eq!(request.header(absent), None, "{absent}");
    }
}

#[tokio::test]
async fn connections_are_kept_and_reused() {
    let server = ScriptedServer::start([
        Reply::ok(WANTED).keep_alive(),
        Reply::ok(WANTED).keep_alive(),
    ])
    .await;
    let http = HttpDownloader::new(HttpConfig::new()).unwrap();
    for _ in 0..2 {
        let response = http
            .open(&Request::new(url(&server.url("/x"))))
            .await
            .unwrap();
        assert_eq!(response.total(), Some(10));
        let chunks: Vec<bytes::Bytes> = response.into_body().try_collect().await.unwrap();
        assert_eq!(chunks.concat(), WANTED);
    }
    server.assert_finished();
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn refused_urls_are_never_asked() {
    let server = ScriptedServer::start(Vec::<Reply>::new()).await;
    let http = HttpDownloader::new(HttpConfig::new().with_hosts(HostPolicy::only(["hq.example"])))
        .unwrap();
    let user = format!("http://me:word@{}/x", server.address());
    for source in [server.url("/x"), user, "file:///etc/passwd".to_owned()] {
        let error = Desk::new()
            .fetch(&fetcher(http.clone()), WANTED, &[url(&source)])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Policy, "{source}: {error}");
    }
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_proxy_is_used_when_it_is_given() {
    let proxy = ScriptedServer::start([Reply::ok(WANTED)]).await;
    let http = HttpDownloader::new(HttpConfig::new().with_proxy(url(&proxy.url("/")))).unwrap();
    Desk::new()
        .fetch(&fetcher(http), WANTED, &[url("http://hq.invalid/x")])
        .await
        .unwrap();
    assert_eq!(proxy.requests()[0].target, "http://hq.invalid/x");
}

#[tokio::test]
async fn https_to_something_else_fails_without_bytes() {
    let server = ScriptedServer::start(Vec::<Reply>::new()).await;
    let http =
        HttpDownloader::new(HttpConfig::new().with_connect_timeout(Duration::from_millis(100)))
            .unwrap();
    let source = url(&server.url("/x").replace("http:", "https:"));
    let error = Desk::new()
        .fetch(&fetcher(http), WANTED, &[source])
        .await
        .unwrap_err();
    assert!(error.is_temporary());
    assert_eq!(error.kind(), ErrorKind::Network, "{error}");
}

#[tokio::test]
async fn a_host_name_that_cannot_be_resolved_is_said_to_be_so() {
    // No name server is asked for a label of more than 63 bytes (RFC 1035, section 2.3.4).
    let host = format!("http://{}.invalid/x", "x".repeat(64));
    let http = HttpDownloader::new(HttpConfig::new()).unwrap();
    let error = http.open(&Request::new(url(&host))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownHost, "{error:?}");
    assert!(error.is_temporary());
    assert!(error.to_string().contains(&host), "{error}");
}
