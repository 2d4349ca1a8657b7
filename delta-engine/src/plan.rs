use manifest_core::{FileEntry, Sha256Digest};

/// One content that the installed release does not have, and the files that it becomes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Download<'a> {
    /// What is downloaded.
    pub sha256: Sha256Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Where it goes: at least one file, sorted by path. Any of their URLs serves the content.
    pub targets: Vec<Placement<'a>>,
}

/// One file that a [`Download`] becomes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Placement<'a> {
    /// The file, as the target lists it.
    pub entry: &'a FileEntry,
    /// What the installed release has at its path.
    pub change: Change,
}

/// Whether a downloaded file is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// Nothing is installed at its path.
    Added,
    /// Another content is installed at its path.
    Modified,
}

/// One target file whose content is installed.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Reuse<'a> {
    /// The installed file that holds the content.
    pub source: &'a FileEntry,
    /// The file to be, as the target lists it.
    pub target: &'a FileEntry,
    /// How the two differ.
    pub kind: ReuseKind,
}

impl Reuse<'_> {
    /// Whether the executable bit of the target is not that of the source.
    ///
    /// The mode belongs to the inode: such a file must be a copy (or a reflink), since a hard link
    /// would change the installed file too. True for every [`ReuseKind::ModeChanged`], and for a
    /// [`ReuseKind::Moved`] where no source has the right bit.
    #[must_use]
    pub fn changes_mode(&self) -> bool {
        self.source.executable() != self.target.executable()
    }
}

/// How a reused file differs from its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReuseKind {
    /// Not at all.
    Unchanged,
    /// Same path and content, another executable bit.
    ModeChanged,
    /// The content comes from another path: moved, or copied if the source stays. The executable
    /// bit may differ too; see [`Reuse::changes_mode`].
    Moved,
}
