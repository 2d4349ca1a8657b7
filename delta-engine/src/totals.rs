/// A [`Delta`](crate::Delta) in figures.
///
/// Each file of the target counts in exactly one of `added`, `modified`, `moved`, `mode_changed` and
/// `unchanged`. Sums stop at `u64::MAX` instead of overflowing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Totals {
    /// Contents to download, each once.
    pub download_files: u64,
    /// Bytes of these.
    pub download_bytes: u64,
    /// Target files whose content is installed.
    pub reused_files: u64,
    /// Bytes of these.
    pub reused_bytes: u64,
    /// Downloaded files at paths where nothing is installed.
    pub added: u64,
    /// Downloaded files at paths where another content is installed.
    pub modified: u64,
    /// Reused files whose content comes from another path.
    pub moved: u64,
    /// Reused files that change nothing but their executable bit.
    pub mode_changed: u64,
    /// Reused files that do not change.
    pub unchanged: u64,
    /// Installed files whose path the target does not have.
    pub deleted_files: u64,
    /// Bytes of these.
    pub deleted_bytes: u64,
    /// Bytes of all files of the target.
    pub target_bytes: u64,
}

impl Totals {
    /// Bytes of the target that are not downloaded: installed already, or downloaded once for
    /// several files.
    #[must_use]
    pub fn saved_bytes(&self) -> u64 {
        self.target_bytes.saturating_sub(self.download_bytes)
    }
}

/// Adds without overflow: sizes are whatever a caller put into its entries.
pub(crate) fn add(sum: &mut u64, value: u64) {
    *sum = sum.saturating_add(value);
}
