use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use activation::Staging;
use downloader::{PartialStore, ProgressSink, Target};
use durable_fs::Dir;
use futures::StreamExt as _;
use manifest_core::{FileEntry, Manifest, ReleasePath, Sha256Digest};
use tokio_util::sync::CancellationToken;

use crate::blocking::blocking;
use crate::error::During as _;
use crate::{Error, Event, Observer, Updater};

/// One content to fetch, and the files that it becomes.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) sha256: Sha256Digest,
    pub(crate) size: u64,
    /// At least one.
    pub(crate) targets: Vec<FileEntry>,
}

/// What fetching cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Transferred {
    pub(crate) contents: u64,
    pub(crate) bytes: u64,
    pub(crate) resumed: u64,
}

impl std::ops::AddAssign for Transferred {
    fn add_assign(&mut self, other: Self) {
        self.contents += other.contents;
        self.bytes += other.bytes;
        self.resumed += other.resumed;
    }
}

/// Groups entries by content, so that equal content is fetched once.
pub(crate) fn by_content(entries: impl IntoIterator<Item = FileEntry>) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = Vec::new();
    let mut positions = std::collections::HashMap::new();
    for entry in entries {
        let position = *positions.entry(entry.sha256()).or_insert_with(|| {
            wanted.push(Wanted {
                sha256: entry.sha256(),
                size: entry.size(),
                targets: Vec::new(),
            });
            wanted.len() - 1
        });
        wanted[position].targets.push(entry);
    }
    wanted
}

impl Updater {
    /// Says that these are to be fetched, beside what the plan says.
    pub(crate) fn expect(&self, wanted: &[Wanted]) {
        let bytes = wanted.iter().map(|wanted| wanted.size).sum();
        let progress = &self.settings().observer;
        progress.expect_files(wanted.len() as u64, bytes);
    }

    /// Fetches contents, several at a time, and hands each to `place` on a blocking thread as soon as
    /// it is verified.
    pub(crate) async fn transfer<P>(
        &self,
        manifest: &Manifest,
        mut wanted: Vec<Wanted>,
        partials: Dir,
        place: P,
        cancel: &CancellationToken,
    ) -> Result<Transferred, Error>
    where
        P: Fn(&Dir, &str, &[&FileEntry]) -> Result<(), Error> + Clone + Send + 'static,
    {
        if wanted.is_empty() {
            return Ok(Transferred::default());
        }
        let store = PartialStore::open(partials)
            .during(|| "cannot use the folder for partial files".into())?;
        // The largest first, so that none is left alone at the end.
        wanted.sort_by_key(|wanted| std::cmp::Reverse(wanted.size));
        let stop = &cancel.child_token();
        let transfers = futures::stream::iter(wanted).map(|wanted| {
            let (store, place) = (store.clone(), place.clone());
            async move {
                if stop.is_cancelled() {
                    return Err(Error::cancelled());
                }
                self.transfer_one(manifest, wanted, store, place, stop)
                    .await
            }
        });
        let mut transfers =
            std::pin::pin!(transfers.buffer_unordered(self.settings().parallel_downloads.get()));
        let mut result = Ok(Transferred::default());
        while let Some(one) = transfers.next().await {
            match (&mut result, one) {
                (Ok(sum), Ok(one)) => *sum += one,
                (Ok(_), Err(error)) => {
                    // The others write down what they have, and end: nothing may write on after this.
                    stop.cancel();
                    result = Err(error);
                }
                (Err(_), _) => {}
            }
        }
        result
    }

    async fn transfer_one<P>(
        &self,
        manifest: &Manifest,
        wanted: Wanted,
        store: PartialStore,
        place: P,
        cancel: &CancellationToken,
    ) -> Result<Transferred, Error>
    where
        P: Fn(&Dir, &str, &[&FileEntry]) -> Result<(), Error> + Send + 'static,
    {
        let targets: Vec<&FileEntry> = wanted.targets.iter().collect();
        let path = targets[0].path().clone();
        let sources = self.sources(manifest, &targets)?;
        self.notify(&Event::DownloadStarted {
            path: path.clone(),
            size: wanted.size,
        });
        let progress = Progress {
            path: path.clone(),
            observer: self.settings().observer.clone(),
        };
        let target = Target::new(wanted.sha256, wanted.size);
        let fetched = self
            .fetcher()
            .fetch(&target, &sources, &store, &progress, cancel)
            .await
            .during(|| format!("cannot fetch {path:?}"))?;
        self.notify(&Event::DownloadFinished {
            path: path.clone(),
            source: fetched.source().cloned(),
            retries: fetched.retries(),
        });
        blocking(move || {
            let targets: Vec<&FileEntry> = wanted.targets.iter().collect();
            place(
                store.dir(),
                &PartialStore::file_name(wanted.sha256),
                &targets,
            )
        })
        .await?;
        Ok(Transferred {
            // What an earlier run had finished was not fetched.
            contents: u64::from(fetched.source().is_some()),
            bytes: fetched.bytes_transferred(),
            resumed: fetched.bytes_resumed(),
        })
    }
}

/// What `transfer` does with a content of a new release.
pub(crate) fn into_staging(
    staging: &Arc<Staging>,
) -> impl Fn(&Dir, &str, &[&FileEntry]) -> Result<(), Error> + Clone + Send + 'static {
    let staging = staging.clone();
    move |from, name, targets| {
        staging
            .adopt(from, name, targets)
            .during(|| format!("cannot stage {:?}", targets[0].path()))
    }
}

struct Progress {
    path: ReleasePath,
    observer: Arc<dyn Observer>,
}

impl ProgressSink for Progress {
    fn resumed(&self, bytes: u64) {
        self.observer.notify(&Event::DownloadAdvanced {
            path: self.path.clone(),
            received: 0,
            resumed: bytes,
        });
    }

    fn received(&self, bytes: u64) {
        self.observer.notify(&Event::DownloadAdvanced {
            path: self.path.clone(),
            received: bytes,
            resumed: 0,
        });
    }

    fn discarded(&self, bytes: u64) {
        self.observer.notify(&Event::DownloadSetBack {
            path: self.path.clone(),
            bytes,
        });
    }

    fn waiting(&self, error: &downloader::Error, wait: Duration) {
        self.observer.notify(&Event::DownloadWaiting {
            path: self.path.clone(),
            reason: format!("{error:#}"),
            wait,
        });
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Progress").field(&self.path).finish()
    }
}
