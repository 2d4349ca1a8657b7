//! How much of an archive is believed.

/// Bounds on a ZIP archive. Each stops one attack by whoever made the archive; the defaults leave an order of magnitude over the
/// largest real releases. How large one entry may become is not among them: it is cut off where the directory, and before that the
/// request's expected size, says that it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ZipLimits {
    /// Entries (default 500,000): a directory of tiny entries that takes many times its length in memory.
    pub max_entries: u64,
    /// Bytes of the directory (default 64 MiB): one that fills the memory before any of it can be judged.
    pub max_directory_bytes: u64,
    /// Bytes of all entries together, inflated, as the directory states them (default 2^53 - 1): sums that overflow, and bombs of
    /// many entries for whoever takes out all of them.
    pub max_total_size: u64,
}

impl Default for ZipLimits {
    fn default() -> Self {
        Self {
            max_entries: 500_000,
            max_directory_bytes: 64 << 20,
            max_total_size: (1 << 53) - 1,
        }
    }
}

impl ZipLimits {
    /// Sets [`max_entries`](Self::max_entries).
    #[must_use]
    pub fn with_max_entries(mut self, entries: u64) -> Self {
        self.max_entries = entries;
        self
    }

    /// Sets [`max_directory_bytes`](Self::max_directory_bytes).
    #[must_use]
    pub fn with_max_directory_bytes(mut self, bytes: u64) -> Self {
        self.max_directory_bytes = bytes;
        self
    }

    /// Sets [`max_total_size`](Self::max_total_size).
    #[must_use]
    pub fn with_max_total_size(mut self, bytes: u64) -> Self {
        self.max_total_size = bytes;
        self
    }
}
