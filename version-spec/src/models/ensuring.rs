//! A model comes to its target.

use downloader::ProgressSink;
use futures::StreamExt as _;
use manifest_core::Sha256Digest;

use super::fetching::Arrived;
use super::hashing;
use super::layout::Layout;
use super::records::{Known, key_of_source};
use super::source::{Address, address, shown_url};
use super::store::{
    Content, Md5State, ModelStore, WantedModelOwned, content_of, is_stored, remember,
};
use super::target::{AtTarget, ForeignFile};
use super::wanted::WantedModel;
use crate::{CancellationToken, Checksum, Error, ErrorKind, LockedModel};

/// Enough that waiting for somebody else's download does not keep ours from going on; downloads have a limit of their own.
const AT_ONCE: usize = 64;

/// What to do with a file of another content that the user put at a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conflict {
    Refuse,
    KeepAside,
}

/// What there is to do, as the folder tells.
enum Next {
    Nothing(Known),
    Fetch(Option<Content>),
    /// A file of this size is at the target, and nothing says what it has to be: the source is asked for its size.
    Compare(u64),
}

impl ModelStore {
    /// Brings a model to its target, and returns what to pin. One that is there costs a look; one whose content the store has, a link.
    ///
    /// A download that was interrupted is resumed. If another process is fetching the same content, this waits for it. The model is
    /// durable on return.
    ///
    /// # Errors
    /// Each names the field of the entry. `Auth`, `NotFound` and `Network` as the source answers, with a hint what to set or accept;
    /// `Integrity` if the content is not what is pinned, or plainly no model; `Exists` if another file is at the target;
    /// `Offline`; `Name` for a target among the store's own files; `Damaged` for one behind a link; `NoSpace`, `PermissionDenied`, `Io`,
    /// `Cancelled`. After each, nothing is at the target that was not there before, and what has come is kept.
    pub async fn ensure(
        &self,
        wanted: &WantedModel<'_>,
        progress: &dyn ProgressSink,
        cancel: &CancellationToken,
    ) -> Result<LockedModel, Error> {
        self.ensure_or(Conflict::Refuse, wanted, progress, cancel)
            .await
    }

    /// As [`ensure`](Self::ensure) for each, 8 downloads at a time; the results are in the order of the models.
    pub async fn ensure_all(
        &self,
        wanted: &[WantedModel<'_>],
        progress: &dyn ProgressSink,
        cancel: &CancellationToken,
    ) -> Vec<Result<LockedModel, Error>> {
        let all = wanted
            .iter()
            .map(|wanted| self.ensure(wanted, progress, cancel));
        futures::stream::iter(all).buffered(AT_ONCE).collect().await
    }

    pub(super) async fn ensure_or(
        &self,
        conflict: Conflict,
        wanted: &WantedModel<'_>,
        progress: &dyn ProgressSink,
        cancel: &CancellationToken,
    ) -> Result<LockedModel, Error> {
        Self::check(wanted)?;
        let made = self.make(conflict, wanted, progress, cancel).await;
        let known = made.map_err(|error| match error.kind() {
            ErrorKind::Exists | ErrorKind::Damaged => error.at(wanted.pointer("target_path")),
            ErrorKind::Cancelled => error,
            _ => error.at(wanted.pointer("source")),
        })?;
        let source = wanted.entry.source.to_string();
        Ok(LockedModel::new(source, known.url, known.sha256, known.size).with_etag(known.etag))
    }

    async fn make(
        &self,
        conflict: Conflict,
        wanted: &WantedModel<'_>,
        progress: &dyn ProgressSink,
        cancel: &CancellationToken,
    ) -> Result<Known, Error> {
        let owned = WantedModelOwned::of(wanted);
        let (store, model) = (self.clone(), owned.clone());
        let first = self
            .blocking(move |layout| store.first_look(layout, &model.borrowed()))
            .await?;
        let key = match first {
            First::Done(known) => return Ok(known),
            First::Work(key) => key,
        };
        let _lock = self.lock(key, cancel).await?;
        let (store, model, stop) = (self.clone(), owned.clone(), cancel.clone());
        let next = self
            .blocking(move |layout| store.next(layout, &model, conflict, &stop))
            .await?;
        let content = match next {
            Next::Nothing(known) => return Ok(known),
            Next::Fetch(content) => content,
            Next::Compare(size) => {
                if self.size_at_source(wanted, cancel).await? == Some(size) {
                    tracing::info!(target = %wanted.entry.target, "the file that is there has the size of the source's, and is taken as the model");
                    return self.take_as_it_is(owned, cancel).await;
                }
                let model = owned.clone();
                self.blocking(move |layout| {
                    resolve(
                        layout,
                        &model.borrowed(),
                        conflict,
                        "has another size than the model",
                    )
                })
                .await?;
                None
            }
        };
        let arrived = self.fetch(wanted, content, key, progress, cancel).await?;
        self.blocking(move |layout| {
            let Arrived { known, incoming } = arrived;
            layout.take_in(&incoming, &known, key)?;
            remember(layout, &owned, &known)?;
            layout.place(&owned.entry.target, known.sha256)?;
            Ok(known)
        })
        .await
    }

    /// Without a lock: whether there is nothing to do, and which lock is needed otherwise.
    fn first_look(&self, layout: &Layout, wanted: &WantedModel<'_>) -> Result<First, Error> {
        let Some(content) = content_of(layout, wanted) else {
            return Ok(First::Work(key_of_source(&wanted.entry.source)));
        };
        let is_right = matches!(
            layout.look(&wanted.entry.target, Some(content.sha256))?,
            AtTarget::Right
        );
        if is_right && content.md5 == Md5State::Settled {
            return self.describe(layout, wanted, content).map(First::Done);
        }
        Ok(First::Work(content.sha256))
    }

    /// Under the lock: everything that can be done without fetching is done.
    fn next(
        &self,
        layout: &Layout,
        model: &WantedModelOwned,
        conflict: Conflict,
        cancel: &CancellationToken,
    ) -> Result<Next, Error> {
        let wanted = &model.borrowed();
        let target = &wanted.entry.target;
        let mut content = content_of(layout, wanted);
        if let Some(found) = content
            .as_mut()
            .filter(|content| content.md5 == Md5State::Open && is_stored(layout, content))
        {
            if stored_has_md5(layout, found.sha256, wanted, cancel)? {
                found.md5 = Md5State::Settled;
                remember(
                    layout,
                    model,
                    &self.describe(layout, wanted, found.clone())?,
                )?;
            } else {
                // The pin is older than the checksum.
                content = None;
            }
        }
        let sha256 = content.as_ref().map(|content| content.sha256);
        match layout.look(target, sha256)? {
            AtTarget::Foreign(file) if !file.is_stored => {
                match self.judge(model, content.as_ref(), &file, cancel)? {
                    Judged::Right(digest) => {
                        layout.adopt(target, &file, digest)?;
                        let content = content
                            .filter(|content| content.sha256 == digest)
                            .unwrap_or_else(|| Content::new(digest));
                        let known = self.describe(layout, wanted, content)?;
                        remember(layout, model, &known)?;
                        return Ok(Next::Nothing(known));
                    }
                    Judged::Unclear => return Ok(Next::Compare(file.metadata.len)),
                    Judged::Wrong => {
                        resolve(layout, wanted, conflict, "is a file of another content")?;
                    }
                }
            }
            AtTarget::NoFile => resolve(layout, wanted, conflict, "is no file")?,
            _ => {}
        }
        match content {
            Some(content)
                if content.md5 == Md5State::Settled
                    && (is_stored(layout, &content) || is_right(layout, wanted, &content)?) =>
            {
                layout.place(target, content.sha256)?;
                layout.clear_incoming(content.sha256, key_of_source(&wanted.entry.source));
                let known = self.describe(layout, wanted, content)?;
                remember(layout, model, &known)?;
                Ok(Next::Nothing(known))
            }
            content => Ok(Next::Fetch(content)),
        }
    }

    /// Whether a file of the user's is the model.
    fn judge(
        &self,
        model: &WantedModelOwned,
        content: Option<&Content>,
        file: &ForeignFile,
        cancel: &CancellationToken,
    ) -> Result<Judged, Error> {
        let md5 = match &model.entry.checksum {
            Some(Checksum::Md5(md5)) => Some(md5),
            _ => None,
        };
        let is_of_other_size = content
            .and_then(|content| content.size)
            .is_some_and(|size| size != file.metadata.len);
        if is_of_other_size {
            return Ok(Judged::Wrong);
        }
        let is_offline =
            self.is_offline() && !matches!(model.entry.source, crate::ModelSource::File(_));
        if content.is_none() && md5.is_none() && !is_offline {
            return Ok(Judged::Unclear);
        }
        tracing::info!(path = %file.path().display(), "hashing a file that was not placed by us");
        let (mut opened, _) = file.open()?;
        if let Some(md5) = md5 {
            if hashing::md5(&mut opened, &file.path(), cancel)? != *md5 {
                return Ok(Judged::Wrong);
            }
            opened = file.open()?.0;
        }
        let (actual, _) = hashing::sha256(&mut opened, &file.path(), cancel)?;
        // With its MD5, it is what the spec says, whatever an older pin says.
        let is_right = md5.is_some() || content.is_none_or(|content| content.sha256 == actual);
        Ok(if is_right {
            Judged::Right(actual)
        } else {
            Judged::Wrong
        })
    }

    /// Takes the user's file as the model, whatever it is.
    async fn take_as_it_is(
        &self,
        model: WantedModelOwned,
        cancel: &CancellationToken,
    ) -> Result<Known, Error> {
        let (store, cancel) = (self.clone(), cancel.clone());
        self.blocking(move |layout| {
            let wanted = &model.borrowed();
            let target = &wanted.entry.target;
            let AtTarget::Foreign(file) = layout.look(target, None)? else {
                return Err(layout.occupied(target, "changed while it was looked at"));
            };
            let (mut opened, _) = file.open()?;
            let (digest, _) = hashing::sha256(&mut opened, &file.path(), &cancel)?;
            layout.adopt(target, &file, digest)?;
            let known = store.describe(layout, wanted, Content::new(digest))?;
            remember(layout, &model, &known)?;
            Ok(known)
        })
        .await
    }

    /// What is known of a content that is here.
    fn describe(
        &self,
        layout: &Layout,
        wanted: &WantedModel<'_>,
        content: Content,
    ) -> Result<Known, Error> {
        let at_target = || match layout.placed(&wanted.entry.target) {
            Some(record) if record.sha256 == content.sha256 => Some(record.stamp.size),
            _ => None,
        };
        let size = layout
            .stored(content.sha256)
            .or_else(at_target)
            .or(content.size);
        let url = match content.url {
            Some(url) => url,
            None => match address(&wanted.entry.source, self.endpoints())? {
                Address::Direct(url) | Address::CivitaiModel(url) => shown_url(&url),
            },
        };
        Ok(Known {
            url,
            sha256: content.sha256,
            size: size.unwrap_or_default(),
            etag: content.etag,
        })
    }
}

enum First {
    Done(Known),
    Work(Sha256Digest),
}

enum Judged {
    Right(Sha256Digest),
    Wrong,
    Unclear,
}

fn is_right(layout: &Layout, wanted: &WantedModel<'_>, content: &Content) -> Result<bool, Error> {
    Ok(matches!(
        layout.look(&wanted.entry.target, Some(content.sha256))?,
        AtTarget::Right
    ))
}

/// Refuses what is at a target, or moves it aside.
fn resolve(
    layout: &Layout,
    wanted: &WantedModel<'_>,
    conflict: Conflict,
    why: &str,
) -> Result<(), Error> {
    let target = &wanted.entry.target;
    match conflict {
        Conflict::Refuse => Err(layout.occupied(target, why)),
        Conflict::KeepAside => {
            let aside = layout.keep_aside(target)?;
            tracing::warn!(%target, aside, "what was there is kept beside it");
            Ok(())
        }
    }
}

fn stored_has_md5(
    layout: &Layout,
    digest: Sha256Digest,
    wanted: &WantedModel<'_>,
    cancel: &CancellationToken,
) -> Result<bool, Error> {
    let Some(Checksum::Md5(md5)) = &wanted.entry.checksum else {
        return Ok(true);
    };
    let path = super::layout::content_path(digest);
    let mut file = layout
        .root()
        .open_file(&path)
        .map_err(|error| layout.failed(&path, "read", error))?;
    Ok(hashing::md5(&mut file, &layout.root().path().join(&path), cancel)? == *md5)
}
