//! What a good archive gives.

use std::sync::Arc;

use downloader::{
    Downloader, Error, ErrorKind, FileDownloader, MemoryDownloader, Request, Response,
    ZipDownloader, ZipLimits,
};
use futures::TryStreamExt as _;
use testkit::{ZipEntry, zip, zip64};
use url::Url;

use crate::common::{Desk, content, fetcher, url};
use crate::fake::{Answer, Fake};

pub(crate) const ARCHIVE: &str = "memory://hq/tool_sketcher_1.0.0.zip";

pub(crate) async fn open(archive: impl Into<bytes::Bytes>) -> Result<ZipDownloader, Error> {
    opened(archive, ZipLimits::default()).await
}

pub(crate) async fn opened(
    archive: impl Into<bytes::Bytes>,
    limits: ZipLimits,
) -> Result<ZipDownloader, Error> {
    let memory = MemoryDownloader::new();
    memory.insert(url(ARCHIVE), archive);
    ZipDownloader::open(url(ARCHIVE), Arc::new(memory), limits).await
}

pub(crate) fn at(zip: &ZipDownloader, path: &str) -> Url {
    zip.url_of(&path.parse().unwrap())
}

pub(crate) async fn body(response: Response) -> Result<Vec<u8>, Error> {
    let pieces: Vec<bytes::Bytes> = response.into_body().try_collect().await?;
    Ok(pieces.concat())
}

pub(crate) async fn read(zip: &ZipDownloader, path: &str) -> Result<Vec<u8>, Error> {
    body(zip.open(&Request::new(at(zip, path))).await?).await
}

/// Compresses well, and is not the same everywhere.
pub(crate) fn lines(count: u32) -> Vec<u8> {
    (0..count)
        .flat_map(|number| format!("line {number} of a script\n").into_bytes())
        .collect()
}

#[tokio::test]
async fn every_way_of_writing_an_entry_is_read() {
    let (text, noise) = (lines(20_000), content(300_000));
    let entries = [
        ZipEntry::deflated("src/main.py", &text),
        ZipEntry::stored("models/unet.safetensors", &noise),
        ZipEntry::deflated("streamed.py", &text).with_descriptor(),
        ZipEntry::stored("streamed.bin", &noise).with_descriptor(),
        ZipEntry::deflated("wide.py", &text).with_zip64(),
        ZipEntry::stored("wide.bin", &noise).with_zip64(),
        ZipEntry::deflated("wide streamed.py", &text)
            .with_zip64()
            .with_descriptor(),
        ZipEntry::stored("ü/# 100%.txt", "odd name"),
        ZipEntry::stored("empty", ""),
        ZipEntry::deflated("empty.py", ""),
        ZipEntry::stored("folder/", ""),
        ZipEntry::stored("manifest.json", "{}"),
    ];
    for archive in [zip(&entries), zip64(&entries)] {
        let zip = open(archive).await.unwrap();
        for (path, wanted) in [
            ("src/main.py", &text[..]),
            ("models/unet.safetensors", &noise),
            ("streamed.py", &text),
            ("streamed.bin", &noise),
            ("wide.py", &text),
            ("wide.bin", &noise),
            ("wide streamed.py", &text),
            ("ü/# 100%.txt", b"odd name"),
            ("empty", b""),
            ("empty.py", b""),
        ] {
            let read = read(&zip, path).await;
            assert!(read.unwrap() == wanted, "{path} has other bytes");
        }
        assert_eq!(zip.paths().await.unwrap().len(), 10);
        let manifest = Request::new(zip.manifest_url());
        assert_eq!(
            body(zip.open(&manifest).await.unwrap()).await.unwrap(),
            b"{}"
        );
    }
}

#[tokio::test]
async fn an_archive_of_the_old_packer_is_read() {
    // Python's `zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)`, and its `open(…, force_zip64=True)` to a pipe.
    for (archive, paths) in [
        (
            &include_bytes!("../fixtures/zipfile.zip")[..],
            ["main.py", "ü.txt"],
        ),
        (
            include_bytes!("../fixtures/zipfile-streamed.zip"),
            ["main.py", "ü.txt"],
        ),
    ] {
        let zip = open(archive).await.unwrap();
        assert_eq!(
            read(&zip, paths[0]).await.unwrap(),
            b"print('hello')\n".repeat(20)
        );
        assert_eq!(read(&zip, paths[1]).await.unwrap(), b"grue");
    }
}

#[tokio::test]
async fn a_local_archive_is_read_from_disk() {
    let folder = tempfile::tempdir().unwrap();
    let (text, noise) = (lines(50_000), content(1_300_000));
    let path = folder.path().join("a tool.zip");
    let archive = zip(&[
        ZipEntry::deflated("main.py", &text),
        ZipEntry::stored("model.bin", &noise),
    ]);
    std::fs::write(&path, &archive).unwrap();
    let archive_url = Url::from_file_path(&path).unwrap();
    let transport = Arc::new(FileDownloader::new());
    let zip = ZipDownloader::open(archive_url, transport, ZipLimits::default())
        .await
        .unwrap();
    for (path, wanted) in [("main.py", &text), ("model.bin", &noise)] {
        let source = [at(&zip, path)];
        let fetched = Desk::new()
            .fetch(&fetcher(zip.clone()), wanted, &source)
            .await
            .unwrap();
        assert_eq!(fetched.bytes_transferred(), wanted.len() as u64);
    }
    let overhead = zip.bytes_read() - archive.len() as u64;
    assert!(
        overhead < 67_000,
        "the end was read twice at most: {overhead}"
    );
}

#[tokio::test]
async fn an_answer_has_the_entrys_size_and_a_validator_of_its_own() {
    let entries = [
        ZipEntry::stored("a", "0123456789"),
        ZipEntry::deflated("b", "0123456789"),
    ];
    let zip = open(zip(&entries)).await.unwrap();
    let mut validators = Vec::new();
    for path in ["a", "b", "a"] {
        let response = zip.open(&Request::new(at(&zip, path))).await.unwrap();
        assert_eq!((response.start(), response.total()), (0, Some(10)));
        validators.push(response.validator().unwrap().clone());
    }
    assert_eq!(validators[0], validators[2]);
    assert_ne!(validators[0], validators[1]);
    // The same entries in another archive are another representation.
    let other = open(testkit::zip64(&entries)).await.unwrap();
    let response = other.open(&Request::new(at(&other, "a"))).await.unwrap();
    assert_ne!(response.validator(), validators.first());
}

#[tokio::test]
async fn a_stored_entry_is_read_from_any_offset_and_a_deflated_one_from_its_start() {
    let wanted = content(200_000);
    let zip = open(zip(&[
        ZipEntry::stored("stored", &wanted),
        ZipEntry::deflated("deflated", &wanted),
    ]))
    .await
    .unwrap();
    for offset in [1, 100_000, 199_999] {
        let request = |path| Request::new(at(&zip, path)).with_offset(offset);
        let response = zip.open(&request("stored")).await.unwrap();
        assert_eq!(
            (response.start(), response.total()),
            (offset, Some(200_000))
        );
        assert!(body(response).await.unwrap() == wanted[offset as usize..]);
        let response = zip.open(&request("deflated")).await.unwrap();
        assert_eq!((response.start(), response.total()), (0, Some(200_000)));
        assert!(body(response).await.unwrap() == wanted);
    }
}

#[tokio::test]
async fn a_length_ends_the_body_early() {
    let wanted = content(200_000);
    let zip = open(zip(&[
        ZipEntry::stored("stored", &wanted),
        ZipEntry::deflated("deflated", &wanted),
    ]))
    .await
    .unwrap();
    for path in ["stored", "deflated"] {
        for (offset, length) in [(0, 10), (0, 200_000), (0, 300_000), (50, 10), (199_999, 10)] {
            let request = Request::new(at(&zip, path))
                .with_offset(offset)
                .with_length(Some(length));
            let response = zip.open(&request).await.unwrap();
            assert_eq!(response.total(), Some(200_000));
            let start = response.start() as usize;
            let end = wanted.len().min((offset + length) as usize);
            assert!(
                body(response).await.unwrap() == wanted[start..end],
                "{path} {offset} {length}"
            );
        }
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let zip = open(zip(&[ZipEntry::stored("a", "0123456789")]))
        .await
        .unwrap();
    let a = at(&zip, "a");
    let userinfo = Url::parse(&a.as_str().replace("zip://", "zip://me:word@")).unwrap();
    for (request, kind) in [
        (Request::new(at(&zip, "b")), ErrorKind::NotFound),
        (Request::new(zip.manifest_url()), ErrorKind::NotFound),
        (
            Request::new(url("zip://elsewhere/x.zip!/a")),
            ErrorKind::NotFound,
        ),
        (
            Request::new(a.clone()).with_offset(10),
            ErrorKind::RangeNotSatisfiable,
        ),
        (
            Request::new(a.clone()).with_expected_size(Some(9)),
            ErrorKind::Protocol,
        ),
        (Request::new(url(ARCHIVE)), ErrorKind::Unsupported),
        (Request::new(userinfo), ErrorKind::Policy),
    ] {
        let error = zip.open(&request).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(!error.is_temporary());
        assert!(!error.to_string().contains("word"), "{error}");
    }
    let transport = Arc::new(MemoryDownloader::new());
    let error = ZipDownloader::new(url("data:,x"), transport).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_changed_validator_means_the_whole_entry() {
    let zip = open(zip(&[ZipEntry::stored("a", "0123456789")]))
        .await
        .unwrap();
    let whole = zip.open(&Request::new(at(&zip, "a"))).await.unwrap();
    let validator = whole.validator().cloned();
    let other = downloader::Validator::from_etag("\"other\"");
    for (validator, offset, start) in [(validator, 4, 4), (other.clone(), 4, 0), (other, 40, 0)] {
        let request = Request::new(at(&zip, "a"))
            .with_offset(offset)
            .with_if_range(validator);
        assert_eq!(zip.open(&request).await.unwrap().start(), start);
    }
}

#[tokio::test]
async fn an_archive_that_is_replaced_is_read_again_and_never_mixed() {
    let memory = MemoryDownloader::new();
    let insert = |content: &[u8]| {
        let first = ZipEntry::stored("first", content);
        memory.insert(
            url(ARCHIVE),
            zip(&[first, ZipEntry::deflated("a", content)]),
        );
    };
    // One has the same size, so that nothing but the validator tells; one has another.
    for next in [&b"9876543210"[..], b"much shorter"] {
        insert(b"0123456789");
        let transport = Arc::new(memory.clone());
        let zip = ZipDownloader::open(url(ARCHIVE), transport, ZipLimits::default())
            .await
            .unwrap();
        assert_eq!(read(&zip, "a").await.unwrap(), b"0123456789");
        let request = Request::new(at(&zip, "a")).with_offset(4);
        let validator = zip.open(&request).await.unwrap().validator().cloned();
        insert(next);
        let resumed = zip.open(&request.with_if_range(validator)).await.unwrap();
        assert_eq!(resumed.start(), 0);
        assert_eq!(body(resumed).await.unwrap(), next);
        assert_eq!(read(&zip, "first").await.unwrap(), next);
    }
}

#[tokio::test]
async fn an_archive_that_always_changes_is_a_failure_that_may_pass() {
    let bytes = zip(&[ZipEntry::stored("a", "0123456789")]);
    let total = bytes.len() as u64;
    let answers = (0..10).map(|number| {
        let Answer::Body { start, steps, .. } = Answer::bytes(0, &bytes) else {
            unreachable!("it is a body")
        };
        let validator = downloader::Validator::from_etag(&format!("\"{number}\""));
        Answer::Body {
            start,
            total: Some(total),
            validator,
            steps,
        }
    });
    let fake = Fake::new(answers);
    let zip = ZipDownloader::new(url(ARCHIVE), Arc::new(fake.clone())).unwrap();
    let error = zip.open(&Request::new(at(&zip, "a"))).await.unwrap_err();
    assert!(
        error.is_temporary() && error.to_string().contains("replaced"),
        "{error}"
    );
    assert_eq!(fake.remaining(), 6, "the directory was read twice");
}
