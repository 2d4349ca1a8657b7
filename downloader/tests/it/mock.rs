//! The exported mock.

use downloader::{ErrorKind, MockDownloader};

use crate::common::{Desk, fetcher, url};

#[tokio::test]
async fn the_mock_is_a_downloader() {
    let mut mock = MockDownloader::new();
    mock.expect_open().times(1).returning(|request| {
        Err(downloader::Error::new(ErrorKind::NotFound, "not here").with_url(request.url()))
    });
    let error = Desk::new()
        .fetch(&fetcher(mock), b"x", &[url("http://a/x")])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.to_string(), "http://a/x: not here");
}
