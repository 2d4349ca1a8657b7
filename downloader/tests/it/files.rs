//! `file://` URLs.

use downloader::{Downloader as _, ErrorKind, FileDownloader, Request};
use futures::TryStreamExt as _;
use url::Url;

use crate::common::{Desk, content, fetcher, url};

async fn read(request: &Request) -> Result<Vec<u8>, downloader::Error> {
    let response = FileDownloader::new().open(request).await?;
    let chunks: Vec<bytes::Bytes> = response.into_body().try_collect().await?;
    Ok(chunks.concat())
}

fn file(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> Url {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    Url::from_file_path(path).unwrap()
}

#[tokio::test]
async fn a_local_file_is_fetched_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    for size in [0, 1, 1_300_000] {
        let content = content(size);
        let source = file(&folder, "a name with spaces", &content);
        Desk::new()
            .fetch(&fetcher(FileDownloader::new()), &content, &[source])
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn an_offset_starts_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let content = content(1_300_000);
    let request = Request::new(file(&folder, "x", &content)).with_offset(600_001);
    assert!(read(&request).await.unwrap() == content[600_001..]);
}

#[tokio::test]
async fn a_changed_file_is_sent_whole() {
    let folder = tempfile::tempdir().unwrap();
    let source = file(&folder, "x", b"0123456789");
    let validator = FileDownloader::new()
        .open(&Request::new(source.clone()))
        .await
        .unwrap()
        .validator()
        .cloned();
    let request = Request::new(source).with_offset(4).with_if_range(validator);
    assert_eq!(read(&request).await.unwrap(), b"456789");
    file(&folder, "x", b"changed, and longer");
    assert_eq!(read(&request).await.unwrap(), b"changed, and longer");
}

#[tokio::test]
async fn what_is_no_readable_file_has_a_kind() {
    let folder = tempfile::tempdir().unwrap();
    let there = file(&folder, "x", b"0123456789");
    let missing = Url::from_file_path(folder.path().join("missing")).unwrap();
    let dir = Url::from_directory_path(folder.path()).unwrap();
    for (request, kind) in [
        (Request::new(missing), ErrorKind::NotFound),
        (Request::new(dir), ErrorKind::Policy),
        (
            Request::new(there.clone()).with_offset(10),
            ErrorKind::RangeNotSatisfiable,
        ),
        (
            Request::new(there).with_expected_size(Some(11)),
            ErrorKind::Protocol,
        ),
        (
            Request::new(url("http://127.0.0.1:9/x")),
            ErrorKind::Unsupported,
        ),
        (Request::new(url("file://elsewhere/x")), ErrorKind::Policy),
    ] {
        let error = read(&request).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(!error.is_temporary());
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_fifo_is_refused_and_never_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    let request = Request::new(Url::from_file_path(path).unwrap());
    assert_eq!(read(&request).await.unwrap_err().kind(), ErrorKind::Policy);
}
