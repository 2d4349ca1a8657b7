/// Bounds on a manifest. Each stops one attack by a hostile publisher; the defaults leave an order
/// of magnitude over the largest real releases.
///
/// ```
/// use manifest_core::{ErrorKind, Limits, Manifest};
///
/// let mut limits = Limits::default();
/// limits.max_bytes = 64 * 1024;
/// let error = Manifest::parse(&[b' '; 100_000], &limits).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Limit);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of JSON (default 64 MiB): an endless document that fills the memory.
    pub max_bytes: u64,
    /// Entries in `files` (default 250,000): a document of tiny entries that exhausts memory,
    /// inodes or patience.
    pub max_files: usize,
    /// JSON values outside the known fields of the files (default 500,000): a short document that
    /// takes a hundred times its length in memory.
    pub max_values: usize,
    /// Bytes of one file and of all files together (default 2^53 - 1, the largest exact JSON
    /// integer): sums that overflow.
    pub max_total_size: u64,
    /// Number of `ignore_globs` (default 1,000): a pattern set that takes for ever to compile.
    pub max_globs: usize,
    /// Bytes of one glob (default 1,024): likewise.
    pub max_glob_length: usize,
}

/// The largest integer that every JSON reader keeps exactly (RFC 7493, section 2.2).
pub(crate) const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            max_files: 250_000,
            max_values: 500_000,
            max_total_size: MAX_SAFE_INTEGER,
            max_globs: 1_000,
            max_glob_length: 1_024,
        }
    }
}

impl Limits {
    /// Sets [`max_bytes`](Self::max_bytes).
    #[must_use]
    pub fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets [`max_files`](Self::max_files).
    #[must_use]
    pub fn with_max_files(mut self, files: usize) -> Self {
        self.max_files = files;
        self
    }

    /// Sets [`max_total_size`](Self::max_total_size).
    #[must_use]
    pub fn with_max_total_size(mut self, bytes: u64) -> Self {
        self.max_total_size = bytes;
        self
    }
}
