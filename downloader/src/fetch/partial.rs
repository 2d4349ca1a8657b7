//! The file that is being filled. Everything here blocks.

use std::fs::File;
use std::io::{self, Read as _};

use bytes::Bytes;
use durable_fs::{Dir, ErrorKind as DiskKind, FileKind, FileWriter, Replace};
use manifest_core::{Sha256Digest, Sha256Hasher};
use tokio_util::sync::CancellationToken;

use super::fetcher::Target;
use super::journal::Journal;
use super::store::{self, PartialStore, Turn};
use crate::{Error, ErrorKind};

/// Small chunks are joined up to this; measured, larger writes gain nothing.
const WRITE: usize = 256 * 1024;

/// What is found of a content at the start.
pub(super) enum Found {
    /// The whole file, verified just now.
    Done,
    /// A beginning of it, perhaps an empty one.
    Partial(Box<Partial>),
}

/// Work for the disk, collected while it was busy.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Drop what there is and begin at zero.
    pub(super) restart: bool,
    /// Where the chunks come from, when that has changed.
    pub(super) journal: Option<Journal>,
    pub(super) chunks: Vec<Bytes>,
    pub(super) bytes: usize,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        !self.restart && self.chunks.is_empty()
    }
}

/// What the digest says at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sealed {
    /// The file is whole and has its final name.
    Done,
    /// All bytes are there, and they are not the right ones.
    Differs(Sha256Digest),
}

/// One content's `.part` file with the digest of what is in it.
#[derive(Debug)]
pub(super) struct Partial {
    store: PartialStore,
    target: Target,
    /// `None` until the first write.
    open: Option<Open>,
    /// What lies beside it on disk.
    journal: Option<Journal>,
    joined: Vec<u8>,
    _turn: Turn,
}

#[derive(Debug)]
struct Open {
    writer: FileWriter,
    hasher: Sha256Hasher,
    length: u64,
}

impl Partial {
    /// A file that does not exist yet.
    pub(super) fn fresh(store: PartialStore, target: Target, turn: Turn) -> Self {
        Self {
            store,
            target,
            open: None,
            journal: None,
            joined: Vec::new(),
            _turn: turn,
        }
    }

    /// Looks at what an earlier run left: a finished file is hashed, a partial one read once so that its digest can go on.
    pub(super) fn find(
        store: PartialStore,
        target: Target,
        turn: Turn,
        cancel: &CancellationToken,
    ) -> Result<Found, Error> {
        if finished(&store, target, cancel)? {
            store.verified(target.digest());
            return Ok(Found::Done);
        }
        let mut partial = Self::fresh(store, target, turn);
        partial.open = take_up(&partial.store, target, cancel)?;
        if partial.open.is_some() {
            partial.journal = Journal::read(
                partial.dir(),
                &store::journal_name(target.digest()),
                target.size(),
            );
        } else {
            partial.store.discard(target.digest())?;
        }
        Ok(Found::Partial(Box::new(partial)))
    }

    /// How many bytes are there.
    pub(super) fn length(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.length)
    }

    /// Where the last of them came from.
    pub(super) fn journal(&self) -> Option<&Journal> {
        self.journal.as_ref()
    }

    fn dir(&self) -> &Dir {
        self.store.dir()
    }

    /// Does the work of a batch.
    pub(super) fn apply(&mut self, batch: Batch) -> Result<(), Error> {
        if batch.restart {
            self.open = None;
            self.journal = None;
            self.store.discard(self.target.digest())?;
        }
        if batch.chunks.is_empty() {
            return Ok(());
        }
        // A file that is whole with this batch needs no journal: it is renamed next.
        let rest = self.length() + (batch.bytes as u64) < self.target.size();
        if let Some(journal) = batch
            .journal
            .filter(|journal| rest && self.journal.as_ref() != Some(journal))
        {
            let name = store::journal_name(self.target.digest());
            self.store.added(&name);
            journal.write(self.dir(), &name)?;
            self.journal = Some(journal);
        }
        self.write(&batch.chunks)
    }

    fn write(&mut self, chunks: &[Bytes]) -> Result<(), Error> {
        let mut joined = std::mem::take(&mut self.joined);
        let open = self.opened()?;
        for chunk in chunks {
            if !joined.is_empty() && joined.len() + chunk.len() > WRITE {
                open.append(&joined)?;
                joined.clear();
            }
            // One chunk alone, or a large one, needs no copy.
            if chunks.len() == 1 || chunk.len() >= WRITE {
                open.append(chunk)?;
            } else {
                joined.extend_from_slice(chunk);
            }
        }
        if !joined.is_empty() {
            open.append(&joined)?;
            joined.clear();
        }
        self.joined = joined;
        Ok(())
    }

    fn opened(&mut self) -> Result<&mut Open, Error> {
        if self.open.is_none() {
            let name = store::part_name(self.target.digest());
            self.store.added(&name);
            let writer = store::create_fresh(self.dir(), &name)?;
            self.open = Some(Open {
                writer,
                hasher: Sha256Hasher::new(),
                length: 0,
            });
        }
        Ok(self.open.as_mut().expect("it was opened just now"))
    }

    /// Judges the file by its digest, and gives it its final name if it is right.
    pub(super) fn seal(&mut self) -> Result<Sealed, Error> {
        let digest = self.target.digest();
        let open = self.opened()?;
        let actual = open.hasher.clone().finalize();
        if actual != digest {
            return Ok(Sealed::Differs(actual));
        }
        self.finish(digest)?;
        Ok(Sealed::Done)
    }

    /// Gives the file its final name, whatever its digest is.
    pub(super) fn keep(&mut self) -> Result<Target, Error> {
        let open = self.opened()?;
        let target = Target::new(open.hasher.clone().finalize(), open.length);
        self.finish(target.digest())?;
        Ok(target)
    }

    fn finish(&mut self, digest: Sha256Digest) -> Result<(), Error> {
        // The digest covers what we wrote; the length shows whether somebody else wrote too.
        let part = store::part_name(self.target.digest());
        let open = self.opened()?;
        if length_of(&open.writer, &part)? != open.length {
            let message = format!(
                "another process wrote to {part} in the download folder; run only one update at a time"
            );
            return Err(Error::new(ErrorKind::Io, message));
        }
        self.open = None;
        let done = store::done_name(digest);
        self.store.added(&done);
        let dir = self.dir();
        dir.rename(&part, dir, &done, Replace::Allow)
            .map_err(|error| {
                Error::disk(
                    format!("cannot rename {part} to {done} in the download folder"),
                    error,
                )
            })?;
        self.store.removed(&part);
        if self.journal.take().is_some() {
            self.store
                .remove(&store::journal_name(self.target.digest()))?;
        }
        self.store.verified(digest);
        Ok(())
    }
}

impl Open {
    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.writer.write_bytes(bytes).map_err(|error| {
            Error::disk("cannot write to the download folder; what has arrived is kept, mend the disk and run again", error)
        })?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }
}

/// Whether the finished file of an earlier run is what its name says. If not, it is removed.
fn finished(
    store: &PartialStore,
    target: Target,
    cancel: &CancellationToken,
) -> Result<bool, Error> {
    let name = store::done_name(target.digest());
    if !store.may_have(&name) {
        return Ok(false);
    }
    let opened = match store.dir().open_file(&name) {
        Ok(file) => Some(file),
        // Renamed away by the caller, or something planted: either way not our file.
        Err(error) if matches!(error.kind(), DiskKind::NotFound | DiskKind::NotRegular) => None,
        Err(error) => {
            return Err(Error::disk(
                format!("cannot open {name} in the download folder"),
                error,
            ));
        }
    };
    // A second name of a file elsewhere would be taken over together with its other name.
    let is_of_its_own = store
        .dir()
        .metadata(&name)
        .is_ok_and(|found| found.is_some_and(|found| found.links <= 1));
    if let Some(mut file) = opened.filter(|_| is_of_its_own) {
        let mut hasher = Sha256Hasher::new();
        let length = file
            .metadata()
            .map_err(|error| unreadable(&name, error))?
            .len();
        if length == target.size()
            && hash(&mut file, &mut hasher, cancel, &name)? == length
            && hasher.finalize() == target.digest()
        {
            // A crash between the renaming and the removal of the journal leaves the latter.
            store.remove(&store::journal_name(target.digest()))?;
            return Ok(true);
        }
        tracing::warn!(name, "a finished download is damaged and is fetched again");
    }
    store.remove(&name)?;
    Ok(false)
}

/// Opens the partial file of an earlier run for appending; `None` when it is of no use.
fn take_up(
    store: &PartialStore,
    target: Target,
    cancel: &CancellationToken,
) -> Result<Option<Open>, Error> {
    let name = store::part_name(target.digest());
    let dir = store.dir();
    let usable = match dir.metadata(&name) {
        // A second name elsewhere would let our writes reach a file that is not ours.
        Ok(Some(found)) => {
            found.kind == FileKind::File
                && found.links <= 1
                && (1..=target.size()).contains(&found.len)
        }
        Ok(None) => false,
        Err(error) => {
            return Err(Error::disk(
                format!("cannot examine the partial file {name}"),
                error,
            ));
        }
    };
    if !usable {
        return Ok(None);
    }
    let opened = dir
        .open_file(&name)
        .and_then(|file| Ok((file, dir.append_file(&name)?)));
    let (mut file, writer) = opened
        .map_err(|error| Error::disk(format!("cannot open the partial file {name}"), error))?;
    let mut hasher = Sha256Hasher::new();
    let length = hash(&mut file, &mut hasher, cancel, &name)?;
    let undisturbed = length <= target.size() && length == length_of(&writer, &name)?;
    Ok(undisturbed.then_some(Open {
        writer,
        hasher,
        length,
    }))
}

/// Reads to the end, unless cancelled in between.
fn hash(
    file: &mut File,
    hasher: &mut Sha256Hasher,
    cancel: &CancellationToken,
    name: &str,
) -> Result<u64, Error> {
    let mut buffer = vec![0; WRITE];
    let mut length = 0;
    loop {
        if cancel.is_cancelled() {
            return Err(Error::cancelled());
        }
        match file.read(&mut buffer) {
            Ok(0) => return Ok(length),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                length += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(name, error)),
        }
    }
}

fn length_of(writer: &FileWriter, name: &str) -> Result<u64, Error> {
    writer
        .file()
        .metadata()
        .map(|metadata| metadata.len())
        .map_err(|error| unreadable(name, error))
}

fn unreadable(name: &str, error: io::Error) -> Error {
    Error::new(
        ErrorKind::Io,
        format!("cannot read {name} in the download folder"),
    )
    .with_source(error)
}
