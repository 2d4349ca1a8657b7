//! Row 42: where a redirect may lead, and what goes along.

use downloader::{ErrorKind, HostPolicy, HttpConfig, HttpDownloader, RedirectPolicy};
use testkit::{Reply, ScriptedServer};
use url::Url;

use crate::common::{Desk, fetcher, url};

const WANTED: &[u8] = b"0123456789";

async fn fetch(config: HttpConfig, source: Url) -> Result<downloader::Fetched, downloader::Error> {
    Desk::new()
        .fetch(
            &fetcher(HttpDownloader::new(config).unwrap()),
            WANTED,
            &[source],
        )
        .await
}

/// The same server under another name.
fn by_name(server: &ScriptedServer, path: &str) -> String {
    format!("http://localhost:{}{path}", server.address().port())
}

#[tokio::test]
async fn redirects_within_a_host_are_followed_with_the_range() {
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "303 See Other",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let hop = |location: &str| Reply::status(status).header("Location", location);
        let server = ScriptedServer::start([
            hop("/b?c"),
            hop("d"),
            Reply::ok(WANTED).etag("\"v1\"").cut_after(4),
            hop("/d"),
            Reply::partial(4, WANTED).etag("\"v1\""),
        ])
        .await;
        fetch(HttpConfig::new(), url(&server.url("/a/a")))
            .await
            .unwrap();
        server.assert_finished();
        let targets: Vec<_> = server
            .requests()
            .into_iter()
            .map(|request| request.target)
            .collect();
        assert_eq!(targets, ["/a/a", "/b?c", "/d", "/a/a", "/d"]);
        assert_eq!(server.requests()[4].header("range"), Some("bytes=4-"));
        assert_eq!(server.requests()[4].header("if-range"), Some("\"v1\""));
    }
}

#[tokio::test]
async fn c42_a_redirect_loop_ends() {
    let server = ScriptedServer::start((0..20).map(|_| Reply::redirect("/x"))).await;
    let error = fetch(HttpConfig::new(), url(&server.url("/x")))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), server.requests().len()),
        (ErrorKind::Policy, 11),
        "{error}"
    );

    let server = ScriptedServer::start((0..20).map(|_| Reply::redirect("/x"))).await;
    let error = fetch(
        HttpConfig::new().with_max_redirects(0),
        url(&server.url("/x")),
    )
    .await
    .unwrap_err();
    assert_eq!(
        (error.kind(), server.requests().len()),
        (ErrorKind::Policy, 1),
        "{error}"
    );
}

#[tokio::test]
async fn c42_a_redirect_to_another_scheme_is_refused() {
    for location in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "data:text/plain,0123456789",
        "javascript:x",
    ] {
        let server = ScriptedServer::start([Reply::redirect(location)]).await;
        let config = HttpConfig::new().with_redirects(RedirectPolicy::AnyHost);
        let error = fetch(config, url(&server.url("/x"))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Policy, "{location}: {error}");
    }
}

#[tokio::test]
async fn c42_a_redirect_to_another_host_needs_the_policy() {
    let other = ScriptedServer::start([Reply::ok(WANTED), Reply::ok(WANTED)]).await;
    let server =
        ScriptedServer::start((0..4).map(|_| Reply::redirect(&by_name(&other, "/y")))).await;
    let source = url(&server.url("/x"));

    let error = fetch(HttpConfig::new(), source.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Policy, "{error}");
    let listed = HttpConfig::new()
        .with_redirects(RedirectPolicy::AnyHost)
        .with_hosts(HostPolicy::only(["127.0.0.1"]));
    assert_eq!(
        fetch(listed, source.clone()).await.unwrap_err().kind(),
        ErrorKind::Policy
    );
    assert_eq!(other.requests().len(), 0);

    fetch(
        HttpConfig::new().with_redirects(RedirectPolicy::AnyHost),
        source.clone(),
    )
    .await
    .unwrap();
    let hosts = RedirectPolicy::Hosts(["localhost".to_owned()].into());
    fetch(HttpConfig::new().with_redirects(hosts), source)
        .await
        .unwrap();
}

#[tokio::test]
async fn c42_credentials_do_not_go_along() {
    // Another host, and another port of the same host: both are other origins.
    let other = ScriptedServer::start([Reply::ok(WANTED), Reply::ok(WANTED)]).await;
    let server = ScriptedServer::start([
        Reply::redirect(&by_name(&other, "/y")),
        Reply::redirect(&other.url("/y")),
    ])
    .await;
    let config = HttpConfig::new()
        .with_redirects(RedirectPolicy::AnyHost)
        .with_bearer(&url(&server.url("/")), "s3cret");
    for _ in 0..2 {
        fetch(config.clone(), url(&server.url("/x"))).await.unwrap();
    }
    for request in server.requests() {
        assert_eq!(request.header("authorization"), Some("Bearer s3cret"));
    }
    for request in other.requests() {
        assert!(!String::from_utf8_lossy(&request.raw).contains("s3cret"));
        assert_eq!(request.header("referer"), None);
    }
    assert_eq!(other.requests().len(), 2);
}

#[tokio::test]
async fn c42_user_information_in_a_redirect_is_refused() {
    let server = ScriptedServer::start(Vec::<Reply>::new()).await;
    let location = format!("http://me:word@{}/y", server.address());
    server.push(Reply::redirect(&location));
    let error = fetch(HttpConfig::new(), url(&server.url("/x")))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Policy);
    assert!(!error.to_string().contains("word"), "{error}");
}

#[tokio::test]
async fn c42_a_redirect_needs_one_readable_location() {
    let found = || Reply::status("302 Found");
    for reply in [
        found(),
        found().header("Location", "/a").header("Location", "/b"),
        found().header("Location", "http://["),
    ] {
        let server = ScriptedServer::start([reply]).await;
        assert_eq!(
            fetch(HttpConfig::new(), url(&server.url("/x")))
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::Protocol
        );
    }
}
