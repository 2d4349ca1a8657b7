use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::task::JoinHandle;

/// Bytes read and handed on at a time: large enough that system calls cost nothing, small enough to
/// stay in the cache.
const CHUNK_LENGTH: u64 = 256 * 1024;

/// Opens the body of `length` bytes of `file` from `first` on, and reads its first chunk.
///
/// Blocks; a short file is read as a whole here. The rest of a long one is read on blocking
/// threads, one chunk ahead of the connection and no further: a slow reader holds two chunks of
/// memory and no thread.
///
/// # Errors
/// Reading failed, or the file ends too early.
pub(crate) fn file_body(mut file: File, first: u64, length: u64) -> io::Result<Body> {
    if first > 0 {
        file.seek(SeekFrom::Start(first))?;
    }
    let chunk = read_chunk(&file, length.min(CHUNK_LENGTH))?;
    let unread = length - chunk.len() as u64;
    if unread == 0 {
        return Ok(Body::from(chunk));
    }
    Ok(Body::new(FileBody {
        file: Arc::new(file),
        next: Next::Chunk(chunk),
        unread,
        unsent: length,
    }))
}

struct FileBody {
    file: Arc<File>,
    next: Next,
    unread: u64,
    unsent: u64,
}

enum Next {
    Chunk(Bytes),
    Reading(JoinHandle<io::Result<Bytes>>),
    Nothing,
}

impl FileBody {
    fn read_ahead(&mut self) {
        let length = self.unread.min(CHUNK_LENGTH);
        self.unread -= length;
        self.next = if length == 0 {
            Next::Nothing
        } else {
            let file = Arc::clone(&self.file);
            Next::Reading(tokio::task::spawn_blocking(move || {
                read_chunk(&file, length)
            }))
        };
    }
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let chunk = match &mut self.next {
            Next::Nothing => return Poll::Ready(None),
            Next::Chunk(chunk) => Ok(std::mem::take(chunk)),
            Next::Reading(reading) => ready!(Pin::new(reading).poll(context))
                .map_err(io::Error::other)
                .flatten(),
        };
        match chunk {
            Ok(chunk) => {
                self.unsent -= chunk.len() as u64;
                self.read_ahead();
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
            // The length was promised: the connection is broken off, so that no client takes
            // the part for the whole.
            Err(error) => {
                tracing::error!(%error, "a file broke off while it was served");
                self.next = Next::Nothing;
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.unsent == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.unsent)
    }
}

fn read_chunk(file: &File, length: u64) -> io::Result<Bytes> {
    let mut chunk = Vec::with_capacity(length as usize);
    file.take(length).read_to_end(&mut chunk)?;
    if (chunk.len() as u64) < length {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the file became shorter while it was read",
        ));
    }
    Ok(chunk.into())
}
