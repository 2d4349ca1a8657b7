//! Deflate, a piece at a time (RFC 1951).

use std::fmt;

use bytes::{Buf as _, Bytes};
use crc32fast::Hasher;
use flate2::{Decompress, FlushDecompress, Status};

use super::directory::Entry;
use super::fields::refused;
use crate::{Error, ErrorKind};

/// At most so many bytes come out of one step: a hostile entry turns 256 KiB into 256 MiB.
const CHUNK: u64 = 256 * 1024;

/// What a step brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The next bytes of the content.
    Bytes(Bytes),
    /// All of the input was used up without yielding anything.
    NeedsInput,
    /// The content is whole, and its checksum is right.
    End,
}

/// One entry on its way out of its compressed form. About 44 KiB, however large the entry.
pub(super) struct Inflater {
    state: Decompress,
    checksum: Hasher,
    size: u64,
    crc: u32,
    is_over: bool,
}

impl Inflater {
    pub(super) fn new(entry: &Entry) -> Self {
        Self {
            state: Decompress::new(false),
            checksum: Hasher::new(),
            size: entry.size,
            crc: entry.crc,
            is_over: false,
        }
    }

    /// Bytes of the whole content.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Compressed bytes that were used so far.
    pub(super) fn consumed(&self) -> u64 {
        self.state.total_in()
    }

    /// Bytes of the content that came out so far.
    pub(super) fn produced(&self) -> u64 {
        self.state.total_out()
    }

    /// Goes on with what is in front of `input`, and takes off what it used. `rest` is how many compressed bytes come after it.
    pub(super) fn step(&mut self, input: &mut Bytes, rest: u64) -> Result<Step, Error> {
        if self.is_over {
            return Ok(Step::End);
        }
        // One byte more than may come, so that too many are noticed.
        let room = CHUNK.min(self.size - self.produced() + 1);
        let mut output = Vec::with_capacity(room as usize);
        let before = self.consumed();
        let status = self
            .state
            .decompress_vec(input, &mut output, FlushDecompress::None)
            .map_err(|error| {
                let what = "the compressed bytes in the ZIP are damaged";
                Error::new(ErrorKind::Integrity, what).with_source(error)
            })?;
        let consumed = self.consumed() - before;
        input.advance(consumed as usize);
        if self.produced() > self.size {
            let text = format!(
                "the ZIP's entry inflates to more than the {} bytes that the directory states",
                self.size
            );
            return Err(Error::new(ErrorKind::Limit, text));
        }
        self.checksum.update(&output);
        if status == Status::StreamEnd {
            self.finish(input.len() as u64 + rest)?;
        } else if output.is_empty() && !input.is_empty() && consumed == 0 {
            return Err(refused("the compressed bytes in the ZIP lead nowhere"));
        }
        Ok(match (output.is_empty(), self.is_over) {
            (false, _) => Step::Bytes(output.into()),
            (true, false) => Step::NeedsInput,
            (true, true) => Step::End,
        })
    }

    fn finish(&mut self, left: u64) -> Result<(), Error> {
        self.is_over = true;
        if self.produced() != self.size || left > 0 {
            return Err(refused(format!(
                "the ZIP's entry inflates to {} bytes with {left} compressed ones left over; the directory states {}",
                self.produced(),
                self.size
            )));
        }
        check(&self.checksum, self.crc)
    }
}

/// Compares the checksum of a whole content with the directory's.
pub(super) fn check(checksum: &Hasher, wanted: u32) -> Result<(), Error> {
    let is = checksum.clone().finalize();
    if is == wanted {
        return Ok(());
    }
    let text = format!("the ZIP's entry has the CRC-32 {is:08x} instead of {wanted:08x}");
    Err(Error::new(ErrorKind::Integrity, text))
}

impl fmt::Debug for Inflater {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Inflater")
            .field("consumed", &self.consumed())
            .field("produced", &self.produced())
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}
