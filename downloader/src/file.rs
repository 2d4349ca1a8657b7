//! `file://` URLs.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use bytes::Bytes;
use durable_fs::Disk;
use futures::stream::{self, StreamExt as _};
use url::Url;

use crate::blocking::blocking;
use crate::{Downloader, Error, ErrorKind, Request, Response, Validator};

/// Large enough that hopping between threads costs little, small enough that memory stays flat.
const CHUNK: usize = 512 * 1024;

/// Reads local files. Only regular files: a FIFO, socket or device is refused, and opening one never blocks.
///
/// The path may lead through symbolic links; whoever may name `file:` URLs may name any file that this process can read, so do not
/// hand it URLs from a manifest. The validator is made of size and modification time: a file that is written anew with the same size
/// within one tick of its file system's clock, some milliseconds, is not noticed. A digest does.
#[derive(Clone, Debug, Default)]
pub struct FileDownloader {
    disk: Disk,
}

impl FileDownloader {
    /// A downloader of local files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Downloader for FileDownloader {
    async fn open(&self, request: &Request) -> Result<Response, Error> {
        let (disk, request) = (self.disk.clone(), request.clone());
        blocking(move || open(&disk, &request)).await
    }
}

fn open(disk: &Disk, request: &Request) -> Result<Response, Error> {
    let url = request.url();
    let failed = |kind, why: String| Error::new(kind, why).with_url(url);
    let path = local_path(url)?;
    let mut file = open_regular(disk, &path).map_err(|error| error.with_url(url))?;
    let metadata = file.metadata().map_err(|error| {
        failed(ErrorKind::Io, "cannot be examined".to_owned()).with_source(error)
    })?;
    let total = metadata.len();
    if let Some(expected) = request
        .expected_size()
        .filter(|expected| *expected != total)
    {
        return Err(failed(
            ErrorKind::Protocol,
            format!("the file has {total} bytes instead of {expected}"),
        ));
    }
    let validator = metadata
        .modified()
        .ok()
        .and_then(|modified| modified.duration_since(UNIX_EPOCH).ok())
        .and_then(|age| Validator::from_etag(&format!("\"{total:x}-{:x}\"", age.as_nanos())));
    let unchanged = request
        .if_range()
        .is_none_or(|wanted| Some(wanted) == validator.as_ref());
    let start = if unchanged { request.offset() } else { 0 };
    if start > 0 && start >= total {
        return Err(failed(
            ErrorKind::RangeNotSatisfiable,
            format!("there is no byte {start} in {total}"),
        ));
    }
    file.seek(SeekFrom::Start(start))
        .map_err(|error| failed(ErrorKind::Io, "cannot be read".to_owned()).with_source(error))?;
    let wanted = request.length().filter(|_| unchanged).unwrap_or(total);
    let mut reader = Reader {
        file,
        left: (total - start).min(wanted),
        url: url.clone(),
    };
    // The first bytes come along from here: a small file costs one hop.
    let first = reader.next()?;
    let rest = stream::try_unfold(reader, |mut reader| async {
        if reader.left == 0 {
            return Ok(None); // without a hop
        }
        blocking(move || Ok(reader.next()?.map(|chunk| (chunk, reader)))).await
    });
    let body = stream::iter(first.map(Ok)).chain(rest).boxed();
    Ok(Response::new(start, body)
        .with_total(Some(total))
        .with_validator(validator))
}

struct Reader {
    file: File,
    left: u64,
    url: Url,
}

impl Reader {
    /// The next bytes; `None` at the end. One that comes early is an error: the file has become shorter.
    fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut chunk = Vec::with_capacity(self.left.min(CHUNK as u64) as usize);
        let read = (&mut self.file)
            .take(self.left.min(CHUNK as u64))
            .read_to_end(&mut chunk);
        let read = read.map_err(|error| {
            Error::new(ErrorKind::Io, "cannot be read")
                .with_url(&self.url)
                .with_source(error)
        })?;
        if read == 0 {
            let message = format!(
                "became shorter while it was read: {} bytes are missing",
                self.left
            );
            // Whoever shortened it may be writing it anew.
            return Err(Error::new(ErrorKind::Io, message)
                .temporary()
                .with_url(&self.url));
        }
        self.left -= read as u64;
        Ok(Some(chunk.into()))
    }
}

fn local_path(url: &Url) -> Result<PathBuf, Error> {
    if url.scheme() != "file" {
        return Err(
            Error::new(ErrorKind::Unsupported, "only file: URLs are read from disk").with_url(url),
        );
    }
    url.to_file_path().map_err(|()| {
        Error::new(ErrorKind::Policy, "this file: URL names no local path").with_url(url)
    })
}

fn open_regular(disk: &Disk, path: &Path) -> Result<File, Error> {
    let path = path.canonicalize().map_err(|error| {
        let kind = if error.kind() == std::io::ErrorKind::NotFound {
            ErrorKind::NotFound
        } else {
            ErrorKind::Io
        };
        Error::new(kind, "cannot be found").with_source(error)
    })?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::new(ErrorKind::Policy, "names no file"));
    };
    let open = || disk.open_dir(folder)?.open_file(name);
    open().map_err(|error| {
        let kind = match error.kind() {
            durable_fs::ErrorKind::NotFound => ErrorKind::NotFound,
            durable_fs::ErrorKind::NotRegular => ErrorKind::Policy,
            _ => ErrorKind::Io,
        };
        Error::new(kind, "cannot be opened as a regular file").with_source(error)
    })
}
