//! What a caller hears while a file comes.

use std::fmt;
use std::time::Duration;

use crate::Error;

/// Hears how far a file is. `resumed + received - discarded` is the position in the file. Called often and from an async task:
/// it must be quick.
pub trait ProgressSink: Send + Sync + fmt::Debug {
    /// This many bytes were there from an earlier run.
    fn resumed(&self, bytes: u64);
    /// This many more bytes came from a source.
    fn received(&self, bytes: u64);
    /// This many of the bytes reported so far turned out to be of no use.
    fn discarded(&self, bytes: u64);
    /// A source failed in a way that may pass. It is asked again after this wait, unless another one has the file.
    fn waiting(&self, error: &Error, wait: Duration);
}

/// Does not listen.
impl ProgressSink for () {
    fn resumed(&self, _bytes: u64) {}
    fn received(&self, _bytes: u64) {}
    fn discarded(&self, _bytes: u64) {}
    fn waiting(&self, _error: &Error, _wait: Duration) {}
}
