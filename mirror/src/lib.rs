//! HQ's mirror: publish releases into a content-addressed store and serve them.
//!
//! ```
//! use durable_fs::Disk;
//! use manifest_core::{ManifestBuilder, Sha256Digest};
//! use mirror::{Server, Store};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let release = folder.path().join("release");
//! std::fs::create_dir(&release)?;
//! std::fs::write(release.join("main.py"), "print('hello')\n")?;
//! let digest = Sha256Digest::of(b"print('hello')\n");
//! let manifest = ManifestBuilder::new("sample".parse()?, "1.0.0".parse()?)
//!     .with_file("main.py".parse()?, digest, 15, false)
//!     .build()?;
//!
//! let disk = Disk::real();
//! let store = Store::open(&disk, folder.path().join("store"))?;
//! let published = store.publish(&manifest, &disk.open_dir(&release)?)?;
//! assert_eq!(published.new_blobs, 1);
//!
//! let runtime = tokio::runtime::Runtime::new()?;
//! runtime.block_on(async {
//!     let server = Server::bind(store, "127.0.0.1:0".parse().unwrap())?.spawn();
//!     println!("{}sample/1.0.0/manifest.json", server.base_url());
//!     server.shutdown().await
//! })?;
//! # Ok(())
//! # }
//! ```
//!
//! # Ideas
//!
//! * A [`Store`] keeps each content once, under its SHA-256, whatever the number of releases,
//!   tools and paths that have it. A release is its manifest: it is written last, so a release
//!   is there as a whole or not at all, also after a crash.
//! * Every content was hashed by this crate while it was copied into the store. Nothing that
//!   differs from its manifest gets in.
//! * A release that nobody needs any more is removed by [`Store::remove_release`], and the contents that no
//!   other one has by [`Store::collect_garbage`]. Who is reading one of them reads it to its end.
//! * A released file never changes. Its strong `ETag` is its digest, it may be cached for ever,
//!   and ranges can be resumed with `If-Range` after any time.
//! * A [`Server`] trusts no client: each wait has a limit, memory per connection is bounded, and
//!   no path of a request reaches the file system. It is looked up in the manifest, and the digest
//!   found there names the blob; or it is a digest itself.
//!
//! # What is not here
//!
//! TLS, users and limits on rates: put a proxy in front. Contents are not hashed again when they are served; a client of ours does that.
//!
//! # Routes
//!
//! | route | answer |
//! |---|---|
//! | `GET`, `HEAD` `/api/v1/tools/{tool_id}/{version}/manifest.json` | the manifest, to be revalidated by its `ETag` |
//! | `GET`, `HEAD` `/api/v1/tools/{tool_id}/{version}/files/{path}` | one file, with ranges, `ETag` and `X-File-SHA256` |
//! | `GET`, `HEAD` `/api/v1/contents/sha256/{digest}` | a content that any release has, alike: for who knows its digest from elsewhere |
//! | `GET`, `HEAD` `/healthz` | `ok` |
//!
//! `{version}` may be written with or without a leading `v`. Errors are JSON:
//! `{"error": "what was asked, and why there is no answer"}`.

mod body;
mod cache;
mod conditional;
mod connection;
mod content_type;
mod error;
mod garbage;
mod publish;
mod range;
mod response;
mod routes;
mod server;
mod store;

pub use error::{Error, ErrorKind, Result};
pub use garbage::Collected;
pub use publish::Published;
pub use routes::router;
pub use server::{RunningServer, Server};
pub use store::{Store, StoredFile, StoredManifest, StoredRelease};

// What programs rely on, checked by the compiler.
const _: () = {
    const fn shared<T: Send + Sync + 'static>() {}
    const fn cloned<T: Clone + Send + Sync + 'static>() {}
    cloned::<Store>();
    cloned::<StoredRelease>();
    cloned::<Published>();
    shared::<Error>();
    shared::<Server>();
    shared::<RunningServer>();
};

// Every future can be spawned.
const _: () = {
    fn spawned<F: Future + Send + 'static>(_: F) {}
    fn futures(server: Server, running: RunningServer) {
        spawned(server.run(std::future::pending()));
        spawned(running.shutdown());
    }
    let _ = futures;
};
