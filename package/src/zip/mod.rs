//! The ZIP format, as far as it is written here (PKWARE's APPNOTE.TXT, version 6.3.10).
//!
//! Every byte is decided by the names, contents and executable bits: one date, two modes, the method by a
//! fixed rule, ZIP64 fields only where a number needs them. Sizes and checksums stand in front of the data,
//! never behind it, so that an archive can be written without going back and read from a pipe.

mod deflate;
mod record;
mod writer;

pub(crate) use deflate::Deflate;
pub(crate) use record::{Entry, Method};
pub(crate) use writer::{Sink, ZipWriter};
