//! The bytes of one entry, as they come.

use bytes::Bytes;
use crc32fast::Hasher;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::directory::{Entry, LOCAL_HEADER};
use super::fields::refused;
use super::inflate::{Step, check};
use super::local::{self, Local};
use super::parked::Held;
use super::source::{Failure, Identity, Source, ended_early};
use crate::blocking::blocking;
use crate::{Body, Error};

/// Smaller contents are inflated where they arrive: changing the thread would cost more.
const WORTH_A_HOP: u64 = 64 * 1024;

/// Compressed bytes of one entry on their way from the archive.
pub(super) struct Incoming {
    body: Body,
    /// Came with the header.
    waiting: Bytes,
    /// Not taken yet, those that wait included.
    left: u64,
}

impl Incoming {
    /// The first `wanted` bytes of an entry, together with its header; and where in the archive they begin.
    pub(super) async fn with_header(
        source: &Source,
        identity: &Identity,
        name: &str,
        entry: &Entry,
        wanted: u64,
    ) -> Result<(Self, u64), Failure> {
        /// How long the extra fields may be, which nobody knows yet.
        const MOST: u64 = 0xFFFF;
        let most = (LOCAL_HEADER + name.len() as u64 + MOST).saturating_add(wanted);
        let length = most.min(entry.end - entry.offset);
        let mut body = source.open(identity, entry.offset, length).await?;
        let mut head = Bytes::new();
        let length = loop {
            match local::read(&head, name, entry)? {
                Local::Whole(length) => break length,
                Local::Needs(_) => {
                    let piece = body.next().await.ok_or_else(ended_early)??;
                    head = if head.is_empty() {
                        piece
                    } else {
                        [head, piece].concat().into()
                    };
                }
            }
        };
        let incoming = Self {
            body,
            waiting: head.split_off(length as usize),
            left: wanted,
        };
        Ok((incoming, entry.offset + length))
    }

    /// `length` bytes of the archive from `start` on.
    pub(super) async fn at(
        source: &Source,
        identity: &Identity,
        start: u64,
        length: u64,
    ) -> Result<Self, Failure> {
        let body = if length == 0 {
            stream::empty().boxed()
        } else {
            source.open(identity, start, length).await?
        };
        Ok(Self {
            body,
            waiting: Bytes::new(),
            left: length,
        })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut piece = std::mem::take(&mut self.waiting);
        while piece.is_empty() {
            piece = self.body.next().await.ok_or_else(ended_early)??;
        }
        piece.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= piece.len() as u64;
        Ok(Some(piece))
    }
}

/// Bytes that are stored as they are. With a checksum they are the whole entry, and are compared with it.
pub(super) fn stored(incoming: Incoming, checksum: Option<u32>) -> Body {
    let state = (incoming, checksum.map(|wanted| (Hasher::new(), wanted)));
    stream::try_unfold(state, async |(mut incoming, mut checksum)| {
        let piece = incoming.next().await?;
        if let Some((hasher, wanted)) = &mut checksum {
            match &piece {
                Some(piece) => hasher.update(piece),
                None => check(hasher, *wanted)?,
            }
        }
        Ok(piece.map(|piece| (piece, (incoming, checksum))))
    })
    .boxed()
}

/// Bytes that are inflated as they come.
pub(super) fn deflated(incoming: Incoming, held: Held) -> Body {
    let state = Deflated {
        incoming,
        input: Bytes::new(),
        held,
    };
    stream::try_unfold(state, async |mut state| {
        Ok(state.next().await?.map(|piece| (piece, state)))
    })
    .boxed()
}

/// No more than so many bytes of a body.
pub(super) fn cut(body: Body, length: u64) -> Body {
    stream::try_unfold((body, length), async |(mut body, left)| {
        let next = if left == 0 {
            None
        } else {
            body.try_next().await?
        };
        Ok(next.map(|mut piece| {
            piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            let left = left - piece.len() as u64;
            (piece, (body, left))
        }))
    })
    .boxed()
}

struct Deflated {
    incoming: Incoming,
    input: Bytes,
    held: Held,
}

impl Deflated {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(mut inflater) = self.held.take() {
            let rest = self.incoming.left;
            let step = if inflater.size() < WORTH_A_HOP {
                inflater.step(&mut self.input, rest)?
            } else {
                let mut input = std::mem::take(&mut self.input);
                let work = blocking(move || {
                    let step = inflater.step(&mut input, rest)?;
                    Ok((inflater, input, step))
                });
                let step;
                (inflater, self.input, step) = work.await?;
                step
            };
            match step {
                Step::End => break,
                Step::Bytes(bytes) => {
                    self.held.put(inflater);
                    return Ok(Some(bytes));
                }
                Step::NeedsInput if rest == 0 => {
                    return Err(refused("the compressed bytes in the ZIP are cut short"));
                }
                Step::NeedsInput => {
                    self.held.put(inflater);
                    self.input = self.incoming.next().await?.unwrap_or_default();
                }
            }
        }
        Ok(None)
    }
}
