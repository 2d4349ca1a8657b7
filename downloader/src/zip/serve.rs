//! The answer to a request for one entry.

use futures::{StreamExt as _, TryStreamExt as _};

use super::body::{self, Incoming};
use super::directory::{Entry, LOCAL_HEADER, Method};
use super::index::Index;
use super::local::{self, Local};
use super::parked::Parked;
use super::source::{Failure, Source};
use crate::{Body, Error, ErrorKind, Request, Response};

pub(super) async fn answer(
    source: &Source,
    index: &Index,
    parked: &Parked,
    name: &str,
    request: &Request,
) -> Result<Response, Failure> {
    let entry = index
        .get(name)
        .ok_or_else(|| Error::new(ErrorKind::NotFound, "the ZIP has no such file"))?;
    let size = entry.size;
    if let Some(expected) = request.expected_size().filter(|&wanted| wanted != size) {
        let text = format!("the file has {size} bytes in the ZIP instead of {expected}");
        return Err(Error::new(ErrorKind::Protocol, text).into());
    }
    let validator = index.validator_of(entry);
    let is_same = request
        .if_range()
        .is_none_or(|wanted| Some(wanted) == validator.as_ref());
    let offset = if is_same { request.offset() } else { 0 };
    if offset > 0 && offset >= size {
        let text = format!("there is no byte {offset} in {size}");
        return Err(Error::new(ErrorKind::RangeNotSatisfiable, text).into());
    }
    let reading = Reading {
        source,
        index,
        name,
        entry,
    };
    let length = request.length().filter(|_| is_same);
    let (start, body) = match entry.method {
        Method::Stored => (offset, reading.stored(offset, length).await?),
        Method::Deflated => reading.deflated(offset, length, parked).await?,
    };
    // What fails on the way is this file's failure, whichever part of the archive it came from.
    let url = request.url().clone();
    let body = body.map_err(move |error| error.or_url(&url)).boxed();
    Ok(Response::new(start, body)
        .with_total(Some(size))
        .with_validator(validator))
}

#[derive(Clone, Copy)]
struct Reading<'a> {
    source: &'a Source,
    index: &'a Index,
    name: &'a str,
    entry: &'a Entry,
}

impl Reading<'_> {
    /// `wanted` compressed bytes from the one at `from` on.
    async fn compressed(self, from: u64, wanted: u64) -> Result<Incoming, Failure> {
        let identity = &self.index.identity;
        let contents = match self.index.contents_of(self.name) {
            Some(contents) => contents,
            None if from == 0 => {
                // One request for both.
                let (incoming, contents) =
                    Incoming::with_header(self.source, identity, self.name, self.entry, wanted)
                        .await?;
                self.index.set_contents_of(self.name, contents);
                return Ok(incoming);
            }
            None => self.contents().await?,
        };
        Incoming::at(self.source, identity, contents + from, wanted).await
    }

    /// Where the compressed bytes begin, which only the entry's own header says.
    async fn contents(self) -> Result<u64, Failure> {
        /// Extra fields are seldom longer.
        const LIKELY: u64 = 256;
        let (start, identity) = (self.entry.offset, &self.index.identity);
        let mut length = LOCAL_HEADER + self.name.len() as u64 + LIKELY;
        loop {
            let end = self.entry.end.min(start + length);
            let bytes = self.source.read(identity, start..end).await?;
            match local::read(&bytes, self.name, self.entry)? {
                Local::Needs(more) => length = more,
                Local::Whole(length) => {
                    self.index.set_contents_of(self.name, start + length);
                    return Ok(start + length);
                }
            }
        }
    }

    async fn stored(self, offset: u64, length: Option<u64>) -> Result<Body, Failure> {
        let rest = self.entry.size - offset;
        let wanted = length.map_or(rest, |length| length.min(rest));
        let incoming = self.compressed(offset, wanted).await?;
        let checksum = (wanted == self.entry.size).then_some(self.entry.crc);
        Ok(body::stored(incoming, checksum))
    }

    /// The body, and where it starts.
    async fn deflated(
        self,
        offset: u64,
        length: Option<u64>,
        parked: &Parked,
    ) -> Result<(u64, Body), Failure> {
        let validator = self.index.validator_of(self.entry);
        let left = validator
            .as_ref()
            .filter(|_| offset > 0)
            .and_then(|validator| parked.take(validator, offset));
        let (start, consumed) = left
            .as_ref()
            .map_or((0, 0), |held| (offset, held.consumed()));
        let rest = self.entry.compressed - consumed;
        let incoming = self.compressed(consumed, rest).await?;
        let held = left.unwrap_or_else(|| parked.fresh(self.entry, validator));
        let body = body::deflated(incoming, held);
        Ok(match length {
            None => (start, body),
            Some(length) => {
                let wanted = (offset - start).saturating_add(length);
                (start, body::cut(body, wanted))
            }
        })
    }
}
