//! A content comes to this machine.

use downloader::{Fetched, PartialStore, ProgressSink, Target};
use durable_fs::{Dir, Replace};
use manifest_core::Sha256Digest;
use url::Url;

use super::checks;
use super::civitai;
use super::endpoints::with_segments;
use super::hashing;
use super::layout::{Layout, Locking};
use super::records::Known;
use super::source::{Address, address, civitai_version, shown_url};
use super::store::{Content, Md5State, ModelStore};
use super::wanted::WantedModel;
use crate::{CancellationToken, Checksum, Error, ErrorKind};

/// No model is larger: 16 TiB.
const LARGEST: u64 = 16 << 40;

/// A content that came, whole and checked, and is not in the store yet.
pub(super) struct Arrived {
    pub(super) known: Known,
    pub(super) incoming: Dir,
}

/// What one download is about.
struct Job<'a> {
    wanted: &'a WantedModel<'a>,
    origin: Url,
    partials: PartialStore,
    progress: &'a dyn ProgressSink,
    cancel: &'a CancellationToken,
}

/// What came, and what is known of it beside its digest and size.
struct Come {
    target: Target,
    etag: Option<String>,
    is_pinned: bool,
}

impl ModelStore {
    /// Fetches what an entry names into the folder of downloads. The caller holds the lock of `key`.
    pub(super) async fn fetch(
        &self,
        wanted: &WantedModel<'_>,
        content: Option<Content>,
        key: Sha256Digest,
        progress: &dyn ProgressSink,
        cancel: &CancellationToken,
    ) -> Result<Arrived, Error> {
        let permit = cancel.run_until_cancelled(self.downloads().acquire()).await;
        let _permit = permit
            .ok_or_else(Error::cancelled)?
            .expect("the limit is never closed");
        let remembered = content.as_ref().and_then(|content| content.url.as_ref());
        let origin = self.origin(wanted, remembered, cancel).await?;
        if !self.may_ask(&origin) {
            return Err(offline(wanted));
        }
        let incoming = self
            .blocking(move |layout| layout.folder(&format!("incoming/{key}")))
            .await?;
        let folder = incoming.clone();
        let opened = self
            .blocking(move |_| Ok(PartialStore::open(folder)))
            .await?;
        let partials = opened.map_err(|error| self.failure(wanted, &origin, error))?;
        let job = Job {
            wanted,
            origin,
            partials,
            progress,
            cancel,
        };
        let come = match &content {
            Some(content) => self.fetch_pinned(&job, content).await?,
            None => self.fetch_unpinned(&job, None).await?,
        };
        let needs_md5 = content.is_none_or(|content| content.md5 == Md5State::Open);
        self.check_come(&job, &come, needs_md5).await?;
        let known = Known {
            url: shown_url(&job.origin),
            sha256: come.target.digest(),
            size: come.target.size(),
            etag: come.etag,
        };
        Ok(Arrived { known, incoming })
    }

    /// Where the bytes are.
    async fn origin(
        &self,
        wanted: &WantedModel<'_>,
        remembered: Option<&Url>,
        cancel: &CancellationToken,
    ) -> Result<Url, Error> {
        let document = match address(&wanted.entry.source, self.endpoints())? {
            Address::Direct(url) => return Ok(url),
            Address::CivitaiModel(document) => document,
        };
        // A pin says which version was the newest then.
        if let Some(url) = remembered.filter(|url| **url != document) {
            return Ok(url.clone());
        }
        if !self.may_ask(&document) {
            return Err(offline(wanted));
        }
        let asked = cancel
            .run_until_cancelled(self.fetcher().fetch_small(&document, civitai::LARGEST))
            .await;
        let bytes = asked
            .ok_or_else(Error::cancelled)?
            .map_err(|error| self.failure(wanted, &document, error))?;
        let newest = civitai::newest_version(&bytes).map_err(|why| {
            let message = format!("{}: {why}", wanted.entry.source);
            Error::new(ErrorKind::NotFound, message)
                .with_hint("name one version: `civitai://model-versions/<id>`")
        })?;
        civitai_version(newest, self.endpoints())
            .ok_or_else(|| Error::new(ErrorKind::Spec, "the address of Civitai cannot have a path"))
    }

    /// What the source says its size is.
    pub(super) async fn size_at_source(
        &self,
        wanted: &WantedModel<'_>,
        cancel: &CancellationToken,
    ) -> Result<Option<u64>, Error> {
        let origin = self.origin(wanted, None, cancel).await?;
        let probed = self.fetcher().probe(&origin, cancel).await;
        Ok(probed
            .map_err(|error| self.failure(wanted, &origin, error))?
            .size())
    }

    async fn fetch_pinned(&self, job: &Job<'_>, content: &Content) -> Result<Come, Error> {
        let mirrors: Vec<Url> = self
            .mirrors()
            .iter()
            .filter_map(|base| at_mirror(base, content.sha256))
            .collect();
        let come = |size, etag: Option<String>| Come {
            target: Target::new(content.sha256, size),
            etag,
            is_pinned: true,
        };
        if let Some(size) = content.size {
            let sources: Vec<Url> = mirrors.into_iter().chain([job.origin.clone()]).collect();
            self.fetch_target(job, content.sha256, size, &sources)
                .await?;
            return Ok(come(size, content.etag.clone()));
        }
        // A mirror that says a wrong size must not keep the origin from being asked.
        for mirror in &mirrors {
            let probed = self.once().probe(mirror, job.cancel).await;
            if let Ok(Some(size)) = probed.map(|probed| probed.size()) {
                match self
                    .fetch_target(job, content.sha256, size, std::slice::from_ref(mirror))
                    .await
                {
                    Ok(_) => return Ok(come(size, None)),
                    Err(error) if is_local(&error) => return Err(error),
                    Err(error) => {
                        tracing::warn!(%mirror, error = format_args!("{error:#}"), "the mirror is passed over");
                    }
                }
            }
        }
        let probed = self.fetcher().probe(&job.origin, job.cancel).await;
        let probed = probed.map_err(|error| self.failure(job.wanted, &job.origin, error))?;
        match probed.size() {
            Some(size) => {
                self.fetch_target(job, content.sha256, size, std::slice::from_ref(&job.origin))
                    .await?;
                Ok(come(size, probed.validator().map(ToString::to_string)))
            }
            None => self.fetch_unpinned(job, Some(content.sha256)).await,
        }
    }

    async fn fetch_target(
        &self,
        job: &Job<'_>,
        sha256: Sha256Digest,
        size: u64,
        sources: &[Url],
    ) -> Result<Fetched, Error> {
        let partials = job.partials.clone();
        self.blocking(move |layout| {
            layout.check_space(size.saturating_sub(partials.bytes_present(sha256)))
        })
        .await?;
        let target = Target::new(sha256, size);
        let fetched = self
            .fetcher()
            .fetch(&target, sources, &job.partials, job.progress, job.cancel)
            .await;
        match fetched {
            Ok(fetched) => Ok(fetched),
            Err(error) => Err(self.why(job, size, sources, error).await),
        }
    }

    /// Of several sources, the error is that of the first, a mirror, which need not have the model. The origin says what is wrong.
    async fn why(
        &self,
        job: &Job<'_>,
        size: u64,
        sources: &[Url],
        error: downloader::Error,
    ) -> Error {
        use downloader::ErrorKind as Cause;
        let is_clear = matches!(
            error.kind(),
            Cause::Cancelled
                | Cause::NoSpace
                | Cause::PermissionDenied
                | Cause::Io
                | Cause::Integrity
        );
        let is_of_one = sources.len() == 1 && error.kind() != Cause::Protocol;
        if is_clear || is_of_one || sources.last() != Some(&job.origin) {
            return self.failure(job.wanted, &job.origin, error);
        }
        match self.once().probe(&job.origin, job.cancel).await {
            Ok(probed) => match probed.size().filter(|now| *now != size) {
                Some(now) => {
                    let message = format!(
                        "{} has {now} bytes now, and {size} are pinned",
                        job.wanted.entry.source
                    );
                    let hint = "the model was replaced there: pin it anew, or write another source";
                    Error::new(ErrorKind::Integrity, message)
                        .at(job.wanted.pointer("source"))
                        .with_hint(hint)
                        .with_source(error)
                }
                None => self.failure(job.wanted, &job.origin, error),
            },
            Err(origin) => self.failure(job.wanted, &job.origin, origin),
        }
    }

    /// Fetches what the origin gives, and compares it with the digest if there is one.
    async fn fetch_unpinned(
        &self,
        job: &Job<'_>,
        expected: Option<Sha256Digest>,
    ) -> Result<Come, Error> {
        loop {
            let fetched = self
                .fetcher()
                .fetch_unpinned(
                    &job.origin,
                    LARGEST,
                    &job.partials,
                    job.progress,
                    job.cancel,
                )
                .await;
            let fetched = fetched.map_err(|error| self.failure(job.wanted, &job.origin, error))?;
            let actual = fetched.target().digest();
            let Some(expected) = expected.filter(|expected| *expected != actual) else {
                return Ok(Come {
                    target: *fetched.target(),
                    etag: fetched.validator().map(ToString::to_string),
                    is_pinned: expected.is_some(),
                });
            };
            self.discard(job, actual).await;
            if !fetched.is_joined() {
                let message = format!(
                    "{} gives a file of the SHA-256 {actual} instead of {expected}",
                    job.wanted.entry.source
                );
                return Err(
                    Error::new(ErrorKind::Integrity, message).at(job.wanted.pointer("checksum"))
                );
            }
        }
    }

    /// Refuses, and throws away, what is no model or has not the MD5 of the entry.
    async fn check_come(&self, job: &Job<'_>, come: &Come, needs_md5: bool) -> Result<(), Error> {
        let (digest, size, is_pinned) = (come.target.digest(), come.target.size(), come.is_pinned);
        let (entry, folder, cancel) = (
            job.wanted.entry.clone(),
            job.partials.dir().clone(),
            job.cancel.clone(),
        );
        let fault = self.blocking(move |_| {
            let name = PartialStore::file_name(digest);
            let path = folder.path().join(&name);
            let open = || {
                folder.open_file(&name).map_err(|error| {
                    Error::disk(format!("{} cannot be read", path.display()), error)
                })
            };
            if !is_pinned && let Some(fault) = checks::fault(&mut open()?, size, &entry.target)? {
                return Ok(Some(("source", fault)));
            }
            match &entry.checksum {
                Some(checksum @ Checksum::Md5(expected)) if needs_md5 => {
                    let actual = hashing::md5(&mut open()?, &path, &cancel)?;
                    let fault = || {
                        (
                            "checksum",
                            format!(
                                "it gives a file of {} instead of {checksum}",
                                Checksum::Md5(actual)
                            ),
                        )
                    };
                    Ok((actual != *expected).then(fault))
                }
                _ => Ok(None),
            }
        });
        let Some((field, fault)) = fault.await? else {
            return Ok(());
        };
        self.discard(job, digest).await;
        let error = Error::new(
            ErrorKind::Integrity,
            format!("{}: {fault}", job.wanted.entry.source),
        )
        .at(job.wanted.pointer(field));
        Err(
            match self
                .advice(job.wanted, &job.origin, ErrorKind::Integrity)
                .filter(|_| field == "source")
            {
                Some(advice) => error.with_hint(advice),
                None => error,
            },
        )
    }

    async fn discard(&self, job: &Job<'_>, digest: Sha256Digest) {
        let partials = job.partials.clone();
        let discarded = self.blocking(move |_| Ok(partials.discard(digest))).await;
        if let Ok(Err(error)) = discarded {
            tracing::debug!(%error, "a bad download stays for now");
        }
    }
}

/// Whether asking somebody else would not help.
fn is_local(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Cancelled | ErrorKind::NoSpace | ErrorKind::PermissionDenied | ErrorKind::Io
    )
}

fn at_mirror(base: &Url, digest: Sha256Digest) -> Option<Url> {
    with_segments(
        base,
        ["api", "v1", "contents", "sha256", &digest.to_string()],
    )
}

fn offline(wanted: &WantedModel<'_>) -> Error {
    let message = format!(
        "{} is not here, and no network is to be used",
        wanted.entry.source
    );
    Error::new(ErrorKind::Offline, message)
        .with_hint("run it once with a network, or from a bundle")
}

impl Layout {
    /// Refuses what cannot fit, before it is fetched.
    fn check_space(&self, bytes: u64) -> Result<(), Error> {
        match self.root().free_space() {
            Ok(Some(free)) if free < bytes => {
                let path = self.root().path().display();
                let message = format!("{path} has {free} bytes left, and the model needs {bytes}");
                Err(Error::new(ErrorKind::NoSpace, message)
                    .with_hint("free some space, or choose another folder of models"))
            }
            _ => Ok(()),
        }
    }

    /// Takes what was fetched into the store. Durable on return. The caller holds the lock of `key`.
    pub(super) fn take_in(
        &self,
        incoming: &Dir,
        known: &Known,
        key: Sha256Digest,
    ) -> Result<(), Error> {
        let failed = |error| {
            Error::disk(
                "a model that was fetched cannot be taken into the store",
                error,
            )
        };
        let name = PartialStore::file_name(known.sha256);
        let shard = self.shard(known.sha256)?;
        if self.stored(known.sha256) != Some(known.size) {
            incoming.sync_file(&name).map_err(failed)?;
            let place = known.sha256.to_string();
            // What is there has another length, and is damaged.
            incoming
                .rename(&name, &shard, &place, Replace::Allow)
                .map_err(failed)?;
            shard.sync().map_err(failed)?;
        }
        // The folders on the way may be new, too.
        self.folder("sha256")?.sync().map_err(failed)?;
        self.discard_incoming(key);
        Ok(())
    }

    /// Removes what interrupted runs left of a content that is here. The caller holds the lock of `digest`; under the key of its source
    /// somebody may be at work who does not know yet what it is.
    pub(super) fn clear_incoming(&self, digest: Sha256Digest, source: Sha256Digest) {
        self.discard_incoming(digest);
        let is_left = self
            .root()
            .metadata(format!(".store/incoming/{source}"))
            .is_ok_and(|found| found.is_some());
        if is_left && let Ok(Locking::Locked(_lock)) = self.try_lock(source) {
            self.discard_incoming(source);
        }
    }

    fn discard_incoming(&self, key: Sha256Digest) {
        if let Err(error) = self.root().remove_tree(format!(".store/incoming/{key}")) {
            tracing::debug!(%error, "a folder of downloads stays");
        }
    }
}
