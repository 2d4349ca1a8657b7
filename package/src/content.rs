//! The bytes of one file on their way into an archive: read, proved, compressed.

use std::fs::File;
use std::io::{self, Read as _};

use durable_fs::Dir;
use manifest_core::{FileEntry, Sha256Hasher};

use crate::method::is_stored;
use crate::progress::Watch;
use crate::zip::{Deflate, Method, Sink};
use crate::{Error, ErrorKind, PackProgress, Result};

/// Bytes read at a time. The compressor always gets so many, whatever a read returns.
const PIECE: usize = 256 * 1024;
/// What is no longer than this, compressed or not, is kept until it is its turn to be written. The rest is
/// read twice: its header, which comes first, must say the checksum and the length.
const HELD: u64 = 4 << 20;

/// A file of the release, and where it is.
pub(crate) struct Source<'a> {
    pub(crate) folder: &'a Dir,
    pub(crate) file: &'a FileEntry,
}

/// What the header of a file must say before its content follows.
pub(crate) struct Prepared {
    pub(crate) method: Method,
    pub(crate) crc: u32,
    pub(crate) compressed: u64,
    body: Body,
}

enum Body {
    Held(Vec<u8>),
    /// Read it again.
    OnDisk,
}

/// What a thread needs for any number of files.
pub(crate) struct Scratch {
    buffer: Vec<u8>,
    deflate: Deflate,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self {
            buffer: vec![0; PIECE],
            deflate: Deflate::new(),
        }
    }
}

impl Prepared {
    /// Compresses what is in memory, unless that makes it no smaller.
    pub(crate) fn of(content: Vec<u8>, scratch: &mut Scratch) -> Result<Self> {
        let crc = crc32fast::hash(&content);
        let mut compressed = Vec::with_capacity(content.len() / 2);
        scratch.deflate.reset();
        for piece in content.chunks(PIECE) {
            scratch.deflate.update(piece, |bytes| {
                compressed.extend_from_slice(bytes);
                Ok(())
            })?;
        }
        scratch.deflate.finish(|bytes| {
            compressed.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(if compressed.len() < content.len() {
            Self::held(Method::Deflated, crc, compressed)
        } else {
            Self::held(Method::Stored, crc, content)
        })
    }

    /// Writes a content that is in memory; `None` if it is not.
    pub(crate) fn write_held(&self, sink: &mut dyn Sink) -> Option<Result<()>> {
        match &self.body {
            Body::Held(content) => Some(sink.put(content)),
            Body::OnDisk => None,
        }
    }

    fn held(method: Method, crc: u32, content: Vec<u8>) -> Self {
        Self {
            method,
            crc,
            compressed: content.len() as u64,
            body: Body::Held(content),
        }
    }
}

impl Source<'_> {
    /// Reads the file, proves it, and finds what its header must say. A small one is compressed here.
    pub(crate) fn prepare(&self, scratch: &mut Scratch, watch: &Watch<'_>) -> Result<Prepared> {
        let is_stored = is_stored(self.file.path().as_str());
        if self.file.size() <= HELD {
            let mut content = Vec::with_capacity(self.file.size() as usize);
            self.read(&mut scratch.buffer, Expect::Digest, |piece| {
                content.extend_from_slice(piece);
                watch.say(PackProgress::Packed(piece.len() as u64))
            })?;
            return if is_stored {
                let crc = crc32fast::hash(&content);
                Ok(Prepared::held(Method::Stored, crc, content))
            } else {
                Prepared::of(content, scratch)
            };
        }
        if is_stored {
            self.prepare_stored(&mut scratch.buffer, watch)
        } else {
            self.prepare_deflated(scratch, watch)
        }
    }

    /// Only the checksum is needed; the digest is asked for when the bytes are written.
    fn prepare_stored(&self, buffer: &mut [u8], watch: &Watch<'_>) -> Result<Prepared> {
        let mut crc = crc32fast::Hasher::new();
        self.read(buffer, Expect::Length, |piece| {
            crc.update(piece);
            watch.say(PackProgress::ReadAhead(piece.len() as u64))
        })?;
        Ok(Prepared {
            method: Method::Stored,
            crc: crc.finalize(),
            compressed: self.file.size(),
            body: Body::OnDisk,
        })
    }

    fn prepare_deflated(&self, scratch: &mut Scratch, watch: &Watch<'_>) -> Result<Prepared> {
        let mut crc = crc32fast::Hasher::new();
        let mut compressed = 0;
        let mut held = Vec::new();
        let Scratch { buffer, deflate } = scratch;
        deflate.reset();
        let mut put = |bytes: &[u8]| {
            compressed += bytes.len() as u64;
            if compressed <= HELD {
                held.extend_from_slice(bytes);
            } else {
                held = Vec::new();
            }
            Ok(())
        };
        self.read(buffer, Expect::Digest, |piece| {
            crc.update(piece);
            deflate.update(piece, &mut put)?;
            watch.say(PackProgress::ReadAhead(piece.len() as u64))
        })?;
        deflate.finish(&mut put)?;
        if compressed <= HELD {
            watch.say(PackProgress::Packed(self.file.size()))?;
            return Ok(Prepared::held(Method::Deflated, crc.finalize(), held));
        }
        let is_smaller = compressed < self.file.size();
        Ok(Prepared {
            method: if is_smaller {
                Method::Deflated
            } else {
                Method::Stored
            },
            crc: crc.finalize(),
            compressed: if is_smaller {
                compressed
            } else {
                self.file.size()
            },
            body: Body::OnDisk,
        })
    }

    /// Writes the content that `prepared` is about, and proves what is read again.
    pub(crate) fn write(
        &self,
        prepared: &Prepared,
        scratch: &mut Scratch,
        watch: &Watch<'_>,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        if let Some(written) = prepared.write_held(sink) {
            return written;
        }
        let mut crc = crc32fast::Hasher::new();
        let mut compressed = 0;
        let Scratch { buffer, deflate } = scratch;
        deflate.reset();
        let mut put = |bytes: &[u8]| {
            compressed += bytes.len() as u64;
            if compressed > prepared.compressed {
                return Err(self.changed("it changed while it was packed"));
            }
            sink.put(bytes)
        };
        self.read(buffer, Expect::Digest, |piece| {
            crc.update(piece);
            match prepared.method {
                Method::Stored => put(piece)?,
                Method::Deflated => deflate.update(piece, &mut put)?,
            }
            watch.say(PackProgress::Packed(piece.len() as u64))
        })?;
        if prepared.method == Method::Deflated {
            deflate.finish(&mut put)?;
        }
        if compressed != prepared.compressed || crc.finalize() != prepared.crc {
            return Err(self.changed("it changed while it was packed"));
        }
        Ok(())
    }

    /// Reads the whole file in pieces, all but the last of one length.
    fn read(
        &self,
        buffer: &mut [u8],
        expect: Expect,
        mut take: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut file = self.open()?;
        let mut hasher = Sha256Hasher::new();
        let mut length = 0;
        loop {
            let count = fill(&mut file, buffer)
                .map_err(|error| Error::io(format!("cannot read {}", self.shown()), error))?;
            if count == 0 {
                break;
            }
            length += count as u64;
            if length > self.file.size() {
                return Err(self.changed(&format!("it has more than {} bytes", self.file.size())));
            }
            if expect == Expect::Digest {
                hasher.update(&buffer[..count]);
            }
            take(&buffer[..count])?;
        }
        if length < self.file.size() {
            let what = format!("it has {length} bytes instead of {}", self.file.size());
            return Err(self.changed(&what));
        }
        let is_right = expect == Expect::Length || hasher.finalize() == self.file.sha256();
        if is_right {
            Ok(())
        } else {
            Err(self.changed("it has another SHA-256"))
        }
    }

    fn open(&self) -> Result<File> {
        self.folder
            .open_file(self.file.path())
            .map_err(|error| match error.kind() {
                durable_fs::ErrorKind::NotFound | durable_fs::ErrorKind::NotRegular => {
                    self.changed("it is no file any more").with_source(error)
                }
                _ => Error::disk(format!("cannot open {}", self.shown()), error),
            })
    }

    fn shown(&self) -> String {
        let path = self.folder.path().join(self.file.path().as_str());
        path.display().to_string()
    }

    fn changed(&self, what: &str) -> Error {
        let text = format!(
            "{} is not what was scanned: {what}; leave the folder alone and pack it again",
            self.shown()
        );
        Error::new(ErrorKind::Integrity, text)
    }
}

/// What a file that is read must agree in with the manifest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Length,
    Digest,
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
