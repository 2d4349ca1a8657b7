//! How do bytes get here, verified, from sources that may be slow, broken or hostile?
//!
//! ```
//! use std::sync::Arc;
//!
//! use downloader::{Fetcher, MemoryDownloader, PartialStore, Target};
//! use manifest_core::Sha256Digest;
//! use tokio_util::sync::CancellationToken;
//! use url::Url;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let content = b"a model of several gigabytes";
//! let source = Url::parse("memory://mirror/model.safetensors")?;
//! let memory = MemoryDownloader::new();
//! memory.insert(source.clone(), &content[..]);
//!
//! let folder = tempfile::tempdir()?;
//! let store = PartialStore::open(durable_fs::Disk::real().open_dir(folder.path())?)?;
//! let target = Target::new(Sha256Digest::of(content), content.len() as u64);
//! let fetched = Fetcher::new(Arc::new(memory))
//!     .fetch(&target, &[source], &store, &(), &CancellationToken::new())
//!     .await?;
//!
//! assert_eq!(fetched.bytes_transferred(), 28);
//! let name = store.completed(target.digest()).expect("it was fetched just now");
//! assert_eq!(std::fs::read(folder.path().join(name))?, content);
//! # Ok(())
//! # }
//! ```
//!
//! # Two layers
//!
//! - [`Downloader`] is one method: open a URL at an offset, get a stream of bytes and what the source said about them. Backends:
//!   `HttpDownloader`, [`FileDownloader`], [`MemoryDownloader`], `ZipDownloader` on top of any of them, and [`SchemeRouter`] to use several.
//! - [`Fetcher`] makes a verified file out of any `Downloader`: it resumes, retries, changes the source, limits and watches. A new
//!   transport or a fake gets all of that.
//!
//! # What can be relied on
//!
//! - The digest decides. A file gets its final name only when size and SHA-256 are right; until then it is a partial one in the
//!   [`PartialStore`]. The digest is computed while the bytes are written, so nothing is read twice.
//! - Bytes are joined only under a strong [`Validator`] of the same URL, or across sources, where the digest is the identity. If the joined
//!   bytes turn out wrong, they are dropped and fetched once more in one piece; if those are wrong too, the source is bad.
//! - No source can make us write more than the file's size. Memory stays flat: 4 MiB per file in flight at most.
//! - There is no limit on the time of a transfer, but one on its slowness: [`StallPolicy`].
//! - A source that fails in a way that may pass is asked again after a random, growing wait ([`RetryPolicy`]), beginning where it broke; one
//!   that fails for good, or lies, is not asked again for this file.
//!
//! # What is not
//!
//! Files are not synced to disk; the caller does that once for all of them. Two names for one content are one fetch only
//! if the caller asks once.
//!
//! # Features
//!
//! - `http`: `HttpDownloader`, by reqwest with rustls (ring, the platform's root certificates) and HTTP/2. Off by default, so that a program
//!   with its own transport does not pay for it.
//! - `mock`: `MockDownloader`, a `mockall` mock of the trait, for tests of programs that embed this crate.
//! - `testing`: the module `testing`. For whoever writes a [`Downloader`]: a suite that checks each rule of the trait. For programs that use
//!   one: `Faulty`, any downloader with faults at exact bytes, and `ScriptedDownloader`, which is told each answer. It needs no other crate.
//! - `zip`: `ZipDownloader`, which takes single files out of a ZIP archive, local or at a server that knows Range requests. Off by default;
//!   it brings `flate2` with `miniz_oxide`, and `crc32fast`.

mod blocking;
mod downloader;
mod error;
mod fetch;
mod file;
#[cfg(feature = "http")]
mod http;
mod memory;
#[cfg(feature = "mock")]
mod mock;
mod policy;
mod progress;
mod retry;
mod router;
mod stall;
#[cfg(feature = "testing")]
pub mod testing;
mod validator;
#[cfg(feature = "zip")]
mod zip;

pub use downloader::{Body, Downloader, Request, Response};
pub use error::{Error, ErrorKind};
pub use fetch::{Fetched, Fetcher, PartialStore, Probed, Target, Unpinned};
pub use file::FileDownloader;
#[cfg(feature = "http")]
pub use http::{HttpConfig, HttpDownloader};
pub use memory::MemoryDownloader;
#[cfg(feature = "mock")]
pub use mock::MockDownloader;
pub use policy::{HostPolicy, RedirectPolicy};
pub use progress::ProgressSink;
pub use retry::{Jitter, RandomJitter, RetryPolicy};
pub use router::SchemeRouter;
pub use stall::StallPolicy;
pub use validator::Validator;
#[cfg(feature = "zip")]
pub use zip::{ZipDownloader, ZipLimits};

// What programs rely on, checked by the compiler.
const _: () = {
    const fn shared<T: Send + Sync + 'static>() {}
    const fn cloned<T: Clone + Send + Sync + 'static>() {}
    const fn sent<T: Send + 'static>() {}
    cloned::<Fetcher>();
    cloned::<Fetched>();
    cloned::<PartialStore>();
    cloned::<Target>();
    cloned::<Request>();
    cloned::<FileDownloader>();
    cloned::<MemoryDownloader>();
    cloned::<SchemeRouter>();
    cloned::<HostPolicy>();
    cloned::<RetryPolicy>();
    cloned::<StallPolicy>();
    cloned::<Validator>();
    shared::<Error>();
    sent::<Response>();
    #[cfg(feature = "http")]
    cloned::<HttpDownloader>();
    #[cfg(feature = "zip")]
    cloned::<ZipDownloader>();
};

// Every future can be spawned.
const _: () = {
    fn spawned<F: Future + Send + 'static>(_: F) {}
    fn futures(fetcher: Fetcher, target: Target, store: PartialStore, url: url::Url) {
        spawned(async move {
            let never = tokio_util::sync::CancellationToken::new();
            let sources = [url];
            let small = fetcher.fetch_small(&sources[0], 0).await;
            let file = fetcher.fetch(&target, &sources, &store, &(), &never).await;
            small.map(|_| file)
        });
    }
    let _ = futures;
};
