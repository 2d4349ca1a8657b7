//! Rows 33, 34, 38 and 44: heads that lie or contradict themselves.

use downloader::{ErrorKind, HttpConfig, HttpDownloader};
use testkit::{Exchange, Reply, ScriptedServer};

use crate::common::{Desk, fetcher, target, url};

const WANTED: &[u8] = b"0123456789";

fn http() -> HttpDownloader {
    HttpDownloader::new(HttpConfig::new()).unwrap()
}

/// The error of a fetch from this one answer, which must be for good and leave nothing.
async fn refusal(answer: impl Into<Exchange>) -> downloader::Error {
    let server = ScriptedServer::start([answer]).await;
    let desk = Desk::new();
    let error = desk
        .fetch(&fetcher(http()), WANTED, &[url(&server.url("/x"))])
        .await
        .unwrap_err();
    server.assert_finished();
    assert!(!error.is_temporary(), "{error}");
    assert_eq!(desk.part(target(WANTED)), None, "{error}");
    error
}

fn raw(headers: &str, body: &str) -> Exchange {
    Exchange::new()
        .send(format!(
            "HTTP/1.1 200 OK\r\n{headers}Connection: close\r\n\r\n{body}"
        ))
        .close()
}

#[tokio::test]
async fn c33_a_content_length_that_is_wrong_doubled_or_beside_chunks_is_refused() {
    let chunked = "a\r\n0123456789\r\n0\r\n\r\n";
    for (headers, body) in [
        ("Content-Length: 9\r\n", "012345678"),
        ("Content-Length: 9\r\n", "0123456789"),
        ("Content-Length: 11\r\n", "0123456789"),
        ("Content-Length: 11\r\n", "01234567890"),
        ("Content-Length: 10\r\nContent-Length: 10\r\n", "0123456789"),
        ("Content-Length: 10\r\nContent-Length: 9\r\n", "0123456789"),
        ("Content-Length: 9\r\nContent-Length: 10\r\n", "0123456789"),
        ("Content-Length: 10, 10\r\n", "0123456789"),
        ("Content-Length: -10\r\n", "0123456789"),
        ("Content-Length: +10\r\n", "0123456789"),
        ("Content-Length: 0xa\r\n", "0123456789"),
        ("Content-Length: 99999999999999999999\r\n", "0123456789"),
        ("Content-Length: \r\n", "0123456789"),
        (
            "Content-Length: 10\r\nTransfer-Encoding: chunked\r\n",
            chunked,
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 10\r\n",
            chunked,
        ),
        ("Transfer-Encoding: gzip, chunked\r\n", chunked),
        ("Transfer-Encoding: identity\r\n", "0123456789"),
    ] {
        let error = refusal(raw(headers, body)).await;
        assert_eq!(error.kind(), ErrorKind::Protocol, "{headers:?}: {error}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    for answer in [
        "220 mail.example ESMTP\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
    ] {
        let error = refusal(Exchange::new().send(answer).close()).await;
        assert_eq!(error.kind(), ErrorKind::Protocol, "{answer:?}: {error}");
    }
}

#[tokio::test]
async fn c38_an_encoded_body_is_refused() {
    for coding in [
        "gzip",
        "br",
        "zstd",
        "deflate",
        "identity, gzip",
        "aes128gcm",
    ] {
        let error = refusal(Reply::ok(WANTED).header("Content-Encoding", coding)).await;
        assert_eq!(error.kind(), ErrorKind::Protocol, "{coding}");
    }
}

#[tokio::test]
async fn c44_an_error_page_with_status_200_is_never_taken_for_the_file() {
    let page = "<html>The portal wants you to log in</html>";
    assert_eq!(refusal(Reply::ok(page)).await.kind(), ErrorKind::Protocol);
    assert_eq!(
        refusal(Reply::ok(page).chunked()).await.kind(),
        ErrorKind::Limit
    );
    assert_eq!(
        refusal(Reply::ok("<html/>").chunked()).await.kind(),
        ErrorKind::Protocol
    );
    assert_eq!(
        refusal(Reply::ok("<p>Sorry</p>".get(..10).unwrap()))
            .await
            .kind(),
        ErrorKind::Integrity
    );
}

#[tokio::test]
async fn statuses_that_will_not_pass() {
    for (status, kind) in [
        ("204 No Content", ErrorKind::Protocol),
        ("203 Non-Authoritative Information", ErrorKind::Protocol),
        ("304 Not Modified", ErrorKind::Protocol),
        ("302 Found", ErrorKind::Protocol),
        ("400 Bad Request", ErrorKind::Status),
        ("401 Unauthorized", ErrorKind::Unauthorized),
        ("403 Forbidden", ErrorKind::Unauthorized),
        ("404 Not Found", ErrorKind::NotFound),
        ("410 Gone", ErrorKind::NotFound),
        ("416 Range Not Satisfiable", ErrorKind::RangeNotSatisfiable),
    ] {
        assert_eq!(
            refusal(Reply::status(status)).await.kind(),
            kind,
            "{status}"
        );
    }
}

#[tokio::test]
async fn c34_a_part_of_the_whole_is_no_answer_to_a_request_for_the_whole() {
    let part = Reply::status("206 Partial Content")
        .header("Content-Range", "bytes 0-9/10")
        .body(WANTED);
    assert_eq!(refusal(part).await.kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn c34_a_part_that_does_not_fit_is_refused_and_nothing_is_appended() {
    let part = || Reply::status("206 Partial Content");
    let at = |range: &str| part().header("Content-Range", range).body("456789");
    let fits = "bytes 4-9/10";
    for (name, answer) in [
        ("start before", at("bytes 3-9/10")),
        ("start behind", at("bytes 5-9/10")),
        ("end too early", at("bytes 4-8/10").body("45678")),
        ("end beyond", at("bytes 4-10/11")),
        ("total too small", at("bytes 4-9/9")),
        ("total too large", at("bytes 4-9/11")),
        ("other unit", at("items 4-9/10")),
        ("no range", at("bytes */10")),
        ("reversed", at("bytes 9-4/10")),
        ("overflow", at("bytes 4-18446744073709551616/10")),
        ("garbage", at("4-9/10")),
        ("missing", part().body("456789")),
        ("twice", at(fits).header("Content-Range", fits)),
        (
            "length differs",
            at(fits).header("Content-Length", "5").body("45678"),
        ),
        (
            "multipart",
            at(fits).header("Content-Type", "multipart/byteranges; boundary=b"),
        ),
        ("encoded", at(fits).header("Content-Encoding", "gzip")),
    ] {
        let server = ScriptedServer::start([
            Reply::ok(WANTED).etag("\"v1\"").cut_after(4),
            answer.etag("\"v1\""),
        ])
        .await;
        let desk = Desk::new();
        let error = desk
            .fetch(&fetcher(http()), WANTED, &[url(&server.url("/x"))])
            .await
            .unwrap_err();
        server.assert_finished();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{name}: {error}");
        assert_eq!(desk.part(target(WANTED)).unwrap(), b"0123", "{name}");
    }
}
