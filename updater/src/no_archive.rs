//! What stands for a release ZIP where this crate is built without the feature `zip`.

use std::sync::Arc;

use downloader::{Downloader, HostPolicy, StallPolicy};
use manifest_core::{FileEntry, Manifest};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{Error, Updater};

/// There is none, ever.
#[derive(Clone, Debug, Default)]
pub(crate) struct Archive {}

#[expect(
    clippy::unused_self,
    clippy::unnecessary_wraps,
    reason = "the same methods as with the feature"
)]
impl Archive {
    pub(crate) fn open(
        &mut self,
        others: Arc<dyn Downloader>,
        _: StallPolicy,
    ) -> Result<Arc<dyn Downloader>, Error> {
        Ok(others)
    }

    pub(crate) fn among(&self, sources: Vec<Url>, _: &[&FileEntry]) -> Vec<Url> {
        sources
    }

    pub(crate) fn check_host(&self, _: &HostPolicy) -> Result<(), Error> {
        Ok(())
    }

    pub(crate) fn count(&self) -> u64 {
        0
    }
}

impl Updater {
    #[expect(clippy::unused_async, reason = "the same method as with the feature")]
    pub(crate) async fn archive_mismatch(
        &self,
        _: &Manifest,
        _: &CancellationToken,
    ) -> Option<String> {
        None
    }
}
