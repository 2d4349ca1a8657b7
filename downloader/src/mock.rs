//! A `mockall` mock of the core trait.

#![allow(missing_docs, reason = "mockall generates the methods")]

use async_trait::async_trait;

use crate::{Downloader, Error, Request, Response};

mockall::mock! {
    /// A mock of [`Downloader`](trait@crate::Downloader): `expect_open()` says what it answers.
    #[derive(Debug)]
    pub Downloader {}

    #[async_trait]
    impl Downloader for Downloader {
        async fn open(&self, request: &Request) -> Result<Response, Error>;
    }
}
