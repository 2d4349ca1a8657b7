use std::io::{self, Read};

/// Hears of progress, and may stop an operation. Implemented by callers; `()` hears nothing.
pub trait Watch: Sync {
    /// So many bytes are about to be read that the caller could not know of: what an interrupted run left in staging.
    fn found(&self, bytes: u64);
    /// So many more bytes were read, linked or copied and verified.
    fn advanced(&self, bytes: u64);
    /// Asked often; after `true` the operation ends with
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled), leaving what it did for the next run.
    fn is_cancelled(&self) -> bool;
}

impl Watch for () {
    fn found(&self, _: u64) {}

    fn advanced(&self, _: u64) {}

    fn is_cancelled(&self) -> bool {
        false
    }
}

/// A reader whose every read is seen by a [`Watch`].
pub(crate) struct Watched<'w, R> {
    pub(crate) reader: R,
    pub(crate) watch: &'w dyn Watch,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.watch.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        let count = self.reader.read(buffer)?;
        self.watch.advanced(count as u64);
        Ok(count)
    }
}
