//! What do the tests of this workspace share? Servers that play a script, release trees, disks that
//! fail or lose what was not synced.
//!
//! ```
//! use testkit::{Reply, ScriptedServer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let server = ScriptedServer::start([
//!     Reply::ok("hello world").etag("\"one\"").cut_after(5), // breaks off in the body
//!     Reply::partial(5, "hello world").etag("\"one\""),
//! ])
//! .await;
//! let url = server.url("/file"); // http://127.0.0.1:<free port>/file
//! # let _ = url;
//! assert_eq!(server.remaining(), 2);
//! # }
//! ```
//!
//! - A [`ScriptedServer`] is raw TCP: it can send what no HTTP library would agree to send, at the pace and with the breaks
//!   that the test wants. It plays one [`Exchange`] for each request, in order, and records every request.
//! - A [`FileServer`] serves files as a good server does, with ranges, and counts; [`zip`] makes archives, hostile ones too.
//! - A [`Reply`] writes the usual exchanges; [`Exchange`] writes the unusual ones byte by byte.

mod exchange;
#[cfg(unix)]
mod faults;
mod file_server;
mod reply;
mod server;
mod tree;
mod zip;

pub use exchange::{Exchange, Gate};
#[cfg(unix)]
pub use faults::{
    Case, CrashState, Cut, EIO, ENOSPC, Exploration, Explored, Failures, Faults, Image, Outcome,
    PowerCut, States, scratch,
};
pub use file_server::FileServer;
pub use reply::Reply;
pub use server::{RecordedRequest, ScriptedServer};
pub use tree::{Tree, TreeFile};
pub use zip::{ZipEntry, ZipHeader, zip, zip64};
