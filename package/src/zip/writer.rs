use super::record::{self, Entry};
use crate::Result;

/// Where the bytes of an archive go, in order.
pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]) -> Result<()>;
}

/// Writes an archive from its beginning to its end. Keeps the central directory in memory, some 100 bytes
/// for each file.
pub(crate) struct ZipWriter<S> {
    sink: S,
    offset: u64,
    directory: Vec<u8>,
    entries: u64,
}

impl<S: Sink> ZipWriter<S> {
    pub(crate) fn new(sink: S) -> Self {
        Self {
            sink,
            offset: 0,
            directory: Vec::new(),
            entries: 0,
        }
    }

    /// Adds a file, whose content `write` puts into the sink: as many bytes as the entry says.
    pub(crate) fn add(
        &mut self,
        entry: &Entry<'_>,
        write: impl FnOnce(&mut dyn Sink) -> Result<()>,
    ) -> Result<()> {
        let start = self.offset;
        self.put(&entry.local())?;
        let content = self.offset;
        write(self)?;
        assert_eq!(
            self.offset - content,
            entry.compressed,
            "whoever writes a content has compared its length"
        );
        self.directory.extend(entry.central(start));
        self.entries += 1;
        Ok(())
    }

    /// Writes the central directory. Returns the sink, and how many bytes the archive has.
    pub(crate) fn finish(mut self) -> Result<(S, u64)> {
        let (offset, directory) = (self.offset, std::mem::take(&mut self.directory));
        self.put(&directory)?;
        self.put(&record::end(self.entries, offset, directory.len() as u64))?;
        Ok((self.sink, self.offset))
    }
}

impl<S: Sink> Sink for ZipWriter<S> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.sink.put(bytes)?;
        self.offset += bytes.len() as u64;
        Ok(())
    }
}
