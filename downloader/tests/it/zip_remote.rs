//! Archives behind HTTP: what is transferred, what is resumed, and servers that do not know ranges.

use std::sync::Arc;

use downloader::{
    Downloader as _, ErrorKind, HttpConfig, HttpDownloader, Request, Validator, ZipDownloader,
    ZipLimits,
};
use testkit::{FileServer, Reply, ScriptedServer, ZipEntry, zip};
use tokio_util::sync::CancellationToken;

use crate::common::{At, Desk, content, fetcher, target, url};
use crate::zip_reads::{at, body, lines, read};

/// Of the header of an entry whose name has seven letters.
const HEADER: u64 = 37;
const PATH: &str = "/o/r/releases/tool_sketcher_1.0.0.zip";

fn http() -> Arc<HttpDownloader> {
    Arc::new(HttpDownloader::new(HttpConfig::new()).unwrap())
}

async fn open(server: &FileServer) -> ZipDownloader {
    ZipDownloader::open(url(&server.url(PATH)), http(), ZipLimits::default())
        .await
        .unwrap()
}

/// A server of an archive with a large model, and two scripts.
async fn served(script: &[u8]) -> (FileServer, Vec<u8>) {
    let model = content(5_000_000);
    let server = FileServer::start().await;
    server.insert(
        PATH,
        zip(&[
            ZipEntry::deflated("first.py", script),
            ZipEntry::stored("model.safetensors", &model),
            ZipEntry::deflated("last.py", script),
        ]),
    );
    (server, model)
}

#[tokio::test]
async fn opening_a_large_archive_takes_two_small_requests() {
    let (server, _) = served(b"print()").await;
    let zip = open(&server).await;
    assert_eq!(server.requests().len(), 2);
    assert!(server.bytes_sent() < 67_000, "{}", server.bytes_sent());
    assert_eq!(server.bytes_sent(), zip.bytes_read());
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_directory_beyond_the_tail_takes_one_more() {
    let server = FileServer::start().await;
    let entries: Vec<_> = (0..2000)
        .map(|number| ZipEntry::stored(format!("folder/file number {number}.txt"), "x"))
        .collect();
    server.insert(PATH, zip(&entries));
    let zip = open(&server).await;
    assert_eq!(server.requests().len(), 3);
    assert_eq!(zip.paths().await.unwrap().len(), 2000);
    assert_eq!(
        read(&zip, "folder/file number 1234.txt").await.unwrap(),
        b"x"
    );
    let directory = 2000 * (46 + 28);
    assert!(server.bytes_sent() < directory + 67_000);
}

#[tokio::test]
async fn an_entry_is_one_request_for_its_bytes_alone_on_a_kept_connection() {
    let script = lines(10_000);
    let (server, _) = served(&script).await;
    let zip = open(&server).await;
    let before = server.bytes_sent();
    assert!(read(&zip, "first.py").await.unwrap() == script);
    let compressed = server.bytes_sent() - before;
    for path in ["last.py", "first.py"] {
        assert!(read(&zip, path).await.unwrap() == script);
    }
    assert!(
        compressed < script.len() as u64 / 3,
        "{compressed} of {}",
        script.len()
    );
    assert_eq!(server.requests().len(), 2 + 3);
    assert_eq!(server.connections(), 1);
    assert_eq!(server.bytes_sent(), zip.bytes_read());
    let request = &server.requests()[2];
    let range = format!("bytes=0-{}", compressed - 1);
    assert_eq!(request.header("range"), Some(&*range));
    assert_eq!(request.header("if-range"), Some("\"v1\""));
}

#[tokio::test]
async fn a_stored_entry_that_breaks_off_is_resumed_where_it_broke() {
    let (server, model) = served(b"print()").await;
    let zip = open(&server).await;
    let before = server.bytes_sent();
    server.break_after(3_000_000);
    let source = [at(&zip, "model.safetensors")];
    let fetched = Desk::new()
        .fetch(&fetcher(zip.clone()), &model, &source)
        .await
        .unwrap();
    assert_eq!(
        (fetched.retries(), fetched.bytes_transferred()),
        (1, 5_000_000)
    );
    let overhead = server.bytes_sent() - before - 5_000_000;
    assert!(overhead < 1000, "{overhead}");
}

#[tokio::test]
async fn a_stored_entry_is_resumed_by_another_process() {
    let (server, model) = served(b"print()").await;
    let mut desk = Desk::new();
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let progress = At::new(2_000_000, move || stop.cancel());
    let zip = open(&server).await;
    let source = [at(&zip, "model.safetensors")];
    let error = fetcher(zip)
        .fetch(&target(&model), &source, &desk.store, &progress, &cancel)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);

    desk.reopen();
    let before = server.bytes_sent();
    let zip = open(&server).await;
    let fetched = desk.fetch(&fetcher(zip), &model, &source).await.unwrap();
    let resumed = fetched.bytes_resumed();
    assert!(resumed >= 2_000_000, "{resumed}");
    let sent = server.bytes_sent() - before;
    assert!(sent < 5_000_000 - resumed + 68_000, "{sent}");
}

#[tokio::test]
async fn a_deflated_entry_that_breaks_off_goes_on_in_this_process() {
    let script = lines(300_000);
    let (server, _) = served(&script).await;
    let zip = open(&server).await;
    let before = server.bytes_sent();
    assert!(read(&zip, "last.py").await.unwrap() == script);
    let compressed = server.bytes_sent() - before;
    assert!(compressed > 400_000, "{compressed}");

    // First the connection breaks, then the one who reads drops the body.
    let before = server.bytes_sent();
    server.break_after(compressed as usize / 3);
    let source = [at(&zip, "last.py")];
    let fetched = Desk::new()
        .fetch(&fetcher(zip.clone()), &script, &source)
        .await
        .unwrap();
    assert_eq!(
        (fetched.retries(), fetched.bytes_transferred()),
        (1, script.len() as u64)
    );
    assert_eq!(
        server.bytes_sent() - before,
        compressed - HEADER,
        "each byte came once"
    );

    let response = zip.open(&Request::new(at(&zip, "last.py"))).await.unwrap();
    let (mut pieces, validator) = (Vec::new(), response.validator().cloned());
    let mut left = response.into_body();
    while pieces.len() < 1_000_000 {
        use futures::StreamExt as _;
        pieces.extend(left.next().await.unwrap().unwrap());
    }
    drop(left);
    let request = Request::new(at(&zip, "last.py"))
        .with_offset(pieces.len() as u64)
        .with_if_range(validator);
    let resumed = zip.open(&request).await.unwrap();
    assert_eq!(resumed.start(), pieces.len() as u64);
    pieces.extend(body(resumed).await.unwrap());
    assert!(pieces == script);
    // Only the one position is known.
    let elsewhere = Request::new(at(&zip, "last.py")).with_offset(1_000);
    assert_eq!(zip.open(&elsewhere).await.unwrap().start(), 0);
}

#[tokio::test]
async fn a_source_that_fails_for_a_while_is_asked_again() {
    let script = lines(100);
    let archive = zip(&[
        ZipEntry::deflated("a", &script),
        ZipEntry::stored("b", content(500)),
    ]);
    let part = |first: usize, end: usize| {
        let range = format!("bytes {first}-{}/{}", end - 1, archive.len());
        Reply::status("206 Partial Content")
            .header("Content-Range", &range)
            .etag("\"one\"")
            .body(&archive[first..end])
    };
    let second = archive
        .windows(4)
        .rposition(|bytes| bytes == b"PK\x03\x04")
        .unwrap();
    let server = ScriptedServer::start([
        Reply::status("503 Service Unavailable"),
        part(0, 256),
        Reply::status("503 Service Unavailable"),
        // The directory is begun anew: nothing of it was kept.
        part(0, 256),
        part(0, archive.len()),
        part(0, second).cut_after(20),
        part(0, second),
    ])
    .await;
    let zip = ZipDownloader::new(url(&server.url("/x.zip")), http()).unwrap();
    let source = [at(&zip, "a")];
    let fetcher = fetcher(zip).with_retry(
        downloader::RetryPolicy::new()
            .with_attempts(5)
            .with_base(std::time::Duration::ZERO),
    );
    Desk::new().fetch(&fetcher, &script, &source).await.unwrap();
    server.assert_finished();
}

#[tokio::test]
async fn a_server_that_ignores_ranges_is_named() {
    let (server, _) = served(b"print()").await;
    server.ignore_ranges();
    for tags in [true, false] {
        if !tags {
            server.send_no_tags();
        }
        let error = ZipDownloader::open(url(&server.url(PATH)), http(), ZipLimits::default())
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.is_temporary()),
            (ErrorKind::Archive, false)
        );
        let text = error.to_string();
        assert!(
            text.contains("ignores Range") && text.contains("download it first"),
            "{text}"
        );
    }
    // Without a stated length, too.
    let archive = zip(&[ZipEntry::stored("a", content(1000))]);
    let server = ScriptedServer::start([Reply::ok(archive).chunked()]).await;
    let error = ZipDownloader::open(url(&server.url(PATH)), http(), ZipLimits::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("download it first"), "{error}");
}

#[tokio::test]
async fn an_archive_without_a_tag_is_read_and_a_changed_size_is_noticed() {
    let (server, model) = served(b"print()").await;
    server.send_no_tags();
    let zip = open(&server).await;
    let response = zip.open(&Request::new(at(&zip, "first.py"))).await.unwrap();
    assert_eq!(response.validator(), None);
    assert_eq!(body(response).await.unwrap(), b"print()");
    server.insert(
        PATH,
        testkit::zip(&[ZipEntry::stored("model.safetensors", &model)]),
    );
    assert!(read(&zip, "model.safetensors").await.unwrap() == model);
    assert_eq!(
        read(&zip, "first.py").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn an_archive_that_is_replaced_on_the_server_is_never_mixed() {
    let (server, model) = served(b"print()").await;
    let zip = open(&server).await;
    let mut other = model.clone();
    other.reverse();
    let source = [at(&zip, "model.safetensors")];
    let replaced = testkit::zip(&[
        ZipEntry::stored("front", "moves all the others"),
        ZipEntry::stored("model.safetensors", &other),
    ]);
    server.break_after(3_000_000);
    let server = Arc::new(server);
    let replace = {
        let server = server.clone();
        At::new(1_000_000, move || server.insert(PATH, replaced.clone()))
    };
    let desk = Desk::new();
    fetcher(zip)
        .fetch(
            &target(&other),
            &source,
            &desk.store,
            &replace,
            &CancellationToken::new(),
        )
        .await
        .unwrap();
    assert!(std::fs::read(desk.path(target(&other), "done")).unwrap() == other);
}

#[tokio::test]
async fn an_empty_file_and_a_missing_one_are_told_apart() {
    let server = FileServer::start().await;
    let open = async |path: &str| {
        ZipDownloader::open(url(&server.url(path)), http(), ZipLimits::default())
            .await
            .unwrap_err()
    };
    assert_eq!(open("/missing.zip").await.kind(), ErrorKind::NotFound);
    server.insert("/empty.zip", "");
    let error = open("/empty.zip").await;
    assert_eq!(error.kind(), ErrorKind::Archive);
    assert!(error.to_string().contains("is empty"), "{error}");
}

#[tokio::test]
async fn a_request_with_a_length_asks_for_that_part_and_leaves_the_connection() {
    let server = FileServer::start().await;
    server.insert("/x", content(1_000_000));
    let wanted = content(1_000_000);
    let validator = Validator::from_etag("\"v1\"");
    let cases = [
        (0, 10),
        (500_000, 10),
        (999_995, 5),
        (999_995, 100),
        (0, 1_000_000),
        (0, 2_000_000),
    ];
    let http = http();
    for (offset, length) in cases {
        let request = Request::new(url(&server.url("/x")))
            .with_offset(offset)
            .with_length(Some(length))
            .with_if_range(validator.clone());
        let response = http.open(&request).await.unwrap();
        assert_eq!(
            (response.start(), response.total()),
            (offset, Some(1_000_000))
        );
        let end = wanted.len().min((offset + length) as usize);
        assert!(body(response).await.unwrap() == wanted[offset as usize..end]);
        let asked = format!("bytes={offset}-{}", offset + length - 1);
        assert_eq!(
            server.requests().last().unwrap().header("range"),
            Some(&*asked)
        );
    }
    assert_eq!(server.connections(), 1);
    // Another validator: all of it, from the start.
    let request = Request::new(url(&server.url("/x")))
        .with_length(Some(10))
        .with_if_range(Validator::from_etag("\"other\""));
    let response = http.open(&request).await.unwrap();
    assert_eq!(response.validator(), validator.as_ref());
    assert_eq!(body(response).await.unwrap().len(), 1_000_000);
}
