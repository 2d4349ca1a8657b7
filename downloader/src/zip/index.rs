//! What is in an archive, read once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use manifest_core::Sha256Digest;

use super::directory::{self, Entries, Entry};
use super::end::{self, End};
use super::fields::refused;
use super::limits::ZipLimits;
use super::source::{Failure, Identity, Source};
use crate::{Error, ErrorKind, Validator};

/// The files of one archive, by name.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) identity: Identity,
    entries: Entries,
    /// Where the bytes of entries begin whose header was looked at.
    contents: Mutex<HashMap<Box<str>, u64>>,
}

impl Index {
    /// Reads and checks the directory: two small requests, and one more if it is larger than the last 66 KiB.
    pub(super) async fn read(source: &Source, limits: &ZipLimits) -> Result<Self, Error> {
        let (identity, first) = source.start().await?;
        let at_archive = |error: Error| error.or_url(&source.url);
        check_start(&first).map_err(at_archive)?;
        let part = async |range| match source.read(&identity, range).await {
            Ok(bytes) => Ok(bytes),
            Err(Failure::Failed(error)) => Err(at_archive(error)),
            Err(Failure::Changed) => {
                let text = "the ZIP was replaced while its directory was read";
                Err(at_archive(
                    Error::new(ErrorKind::Protocol, text).temporary(),
                ))
            }
        };
        let size = identity.size;
        let tail_start = size.saturating_sub(end::TAIL);
        let tail = if size == first.len() as u64 {
            first
        } else {
            part(tail_start..size).await?
        };
        let end = end::find(&tail, size)
            .and_then(|end| end.ok_or_else(|| refused("the ZIP is cut: its end is missing")))
            .map_err(at_archive)?;
        directory::admit(&end, limits).map_err(at_archive)?;
        let missing = end.directory.start..tail_start.max(end.directory.start);
        let directory = if missing.is_empty() {
            within(&tail, tail_start, &end)
        } else {
            let head = part(missing).await?;
            [head, within(&tail, tail_start, &end)].concat().into()
        };
        Ok(Self {
            identity,
            entries: directory::read(&directory, &end, limits).map_err(at_archive)?,
            contents: Mutex::default(),
        })
    }

    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(|name| &**name)
    }

    /// Where an entry's bytes begin, if its header was looked at.
    pub(super) fn contents_of(&self, name: &str) -> Option<u64> {
        let contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        contents.get(name).copied()
    }

    pub(super) fn set_contents_of(&self, name: &str, start: u64) {
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        contents.insert(name.into(), start);
    }

    /// Strong as the archive's own: none without it.
    pub(super) fn validator_of(&self, entry: &Entry) -> Option<Validator> {
        let archive = Sha256Digest::of(self.identity.validator.as_ref()?.as_str().as_bytes());
        Validator::from_etag(&format!(
            "\"{archive}-{:x}-{:x}-{:x}\"",
            entry.crc, entry.size, entry.offset
        ))
    }
}

/// The part of the directory that lies in the tail.
fn within(tail: &Bytes, tail_start: u64, end: &End) -> Bytes {
    let start = end.directory.start.max(tail_start) - tail_start;
    let stop = end.directory.end - tail_start;
    tail.slice(start as usize..stop as usize)
}

/// What begins as something else is said to be that.
fn check_start(first: &[u8]) -> Result<(), Error> {
    let text = first.trim_ascii_start();
    let begins = |with: &[u8]| first.starts_with(with);
    let why = match first {
        _ if begins(b"PK\x03\x04") || begins(b"PK\x05\x06") => return Ok(()),
        [] => "the file is empty; a ZIP was expected",
        _ if begins(b"PK\x07\x08") || begins(b"PK00PK\x03\x04") => {
            "the ZIP is one of several parts; only whole archives are read"
        }
        _ if text.starts_with(b"<") => {
            "this is a web page, not a ZIP; is it the address of the file itself?"
        }
        _ if begins(b"MZ") || begins(b"\x7FELF") || begins(b"#!") => {
            "this is a program; self-extracting archives are not read"
        }
        _ => "this is not a ZIP",
    };
    Err(refused(why))
}
