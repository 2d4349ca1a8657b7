//! Single files out of a ZIP archive that lies somewhere else.
//!
//! The format's reader is our own. The ready-made ones (`zip`, `async_zip`, `rc-zip`) read what other programs write as tolerantly as
//! they can: the first wants `Read + Seek`, and all of them pick one reading where an archive has several, do not compare the
//! directory with the local headers, or take archives with something in front. Here, an archive must have exactly one reading,
//! names must be safe, and memory is bounded before anything is parsed; the few records that a release needs are little code. Inflating
//! is `flate2` in its Rust form. The format: APPNOTE.TXT 6.3.10, <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>.

mod body;
mod directory;
mod end;
mod fields;
mod index;
mod inflate;
mod limits;
mod local;
mod parked;
mod serve;
mod source;
mod zip_downloader;

pub use limits::ZipLimits;
pub use zip_downloader::ZipDownloader;
