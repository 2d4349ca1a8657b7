use std::collections::HashMap;

use manifest_core::{FileEntry, Sha256Digest};

use crate::totals::add;
use crate::{Change, Download, Placement, Reuse, ReuseKind, Totals};

/// What has to change for an installed release to become the target, borrowing the entries of both.
///
/// ```
/// use delta_engine::Delta;
/// use manifest_core::{FileEntry, Sha256Digest};
///
/// let file = |path: &str, content: &[u8]| {
///     let digest = Sha256Digest::of(content);
///     let url = format!("https://hq.example/{path}");
///     Ok::<_, manifest_core::Error>(FileEntry::new(path.parse()?, digest, content.len() as u64, url))
/// };
/// let target = [file("a.bin", b"same")?, file("b.bin", b"same")?];
///
/// let first = Delta::between(&[], &target);
/// assert_eq!(first.downloads().len(), 1); // one content, which becomes two files
/// assert_eq!(first.downloads()[0].targets.len(), 2);
/// assert!(Delta::between(&target, &target).is_empty());
/// # Ok::<(), manifest_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delta<'a> {
    downloads: Vec<Download<'a>>,
    reuses: Vec<Reuse<'a>>,
    deletions: Vec<&'a FileEntry>,
    totals: Totals,
}

impl<'a> Delta<'a> {
    /// Compares what is installed with what should be.
    ///
    /// Both lists are sorted by path and have no path twice, as
    /// [`Manifest::files`](manifest_core::Manifest::files) gives them; with others the result is
    /// meaningless (debug builds panic). `installed` may be filtered, e.g. without files that were
    /// found damaged; it is empty where nothing is installed.
    ///
    /// A target file takes its content from the installed file at the same path if that holds it;
    /// else from an installed file with the same executable bit; else from any other. Among several
    /// the first by path is taken. Contents are equal if digest *and* size are: a list that gives
    /// one digest two sizes is wrong somewhere, and no wrong size is reused.
    ///
    /// Takes time linear in the number of entries, about a second for a million on each side.
    #[must_use]
    pub fn between(installed: &'a [FileEntry], target: &'a [FileEntry]) -> Self {
        debug_assert!(is_sorted(installed), "the installed entries are not sorted");
        debug_assert!(is_sorted(target), "the target entries are not sorted");

        let mut delta = Self::default();
        let unmatched = delta.match_paths(installed, target);
        delta.match_contents(installed, &unmatched);
        delta.count(target);
        delta
    }

    /// What is nowhere in the installed release: one download per content, in the order of their
    /// first files.
    #[must_use]
    pub fn downloads(&self) -> &[Download<'a>] {
        &self.downloads
    }

    /// The target files whose content is installed, sorted by target path.
    #[must_use]
    pub fn reuses(&self) -> &[Reuse<'a>] {
        &self.reuses
    }

    /// The installed files whose path the target does not have, sorted by path.
    ///
    /// Paths are compared by their bytes: after a case-only rename the old spelling is listed here,
    /// and on a file system that ignores case it names the new file. So build the target beside
    /// what is installed, instead of deleting in place. A deleted file may be the source of a reuse.
    #[must_use]
    pub fn deletions(&self) -> &[&'a FileEntry] {
        &self.deletions
    }

    /// The reused files whose executable bit changes, moved ones included.
    pub fn mode_changes(&self) -> impl Iterator<Item = &Reuse<'a>> {
        self.reuses.iter().filter(|reuse| reuse.changes_mode())
    }

    /// The delta in figures.
    #[must_use]
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Whether nothing has to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let unchanged = |reuse: &Reuse<'_>| reuse.kind == ReuseKind::Unchanged;
        self.downloads.is_empty() && self.deletions.is_empty() && self.reuses.iter().all(unchanged)
    }

    /// Walks both lists at once: finds what stays and what goes, and returns the target files that
    /// need a content from elsewhere.
    fn match_paths(
        &mut self,
        installed: &'a [FileEntry],
        target: &'a [FileEntry],
    ) -> Vec<Placement<'a>> {
        let mut unmatched = Vec::new();
        let mut remaining = installed.iter().peekable();
        for entry in target {
            while let Some(gone) = remaining.next_if(|source| source.path() < entry.path()) {
                self.deletions.push(gone);
            }
            let Some(source) = remaining.next_if(|source| source.path() == entry.path()) else {
                let change = Change::Added;
                unmatched.push(Placement { entry, change });
                continue;
            };
            if content(source) == content(entry) {
                let kind = if source.executable() == entry.executable() {
                    ReuseKind::Unchanged
                } else {
                    ReuseKind::ModeChanged
                };
                self.reuses.push(Reuse {
                    source,
                    target: entry,
                    kind,
                });
            } else {
                let change = Change::Modified;
                unmatched.push(Placement { entry, change });
            }
        }
        self.deletions.extend(remaining);
        unmatched
    }

    /// Finds an installed source for each content that is needed; downloads the rest.
    fn match_contents(&mut self, installed: &'a [FileEntry], unmatched: &[Placement<'a>]) {
        if unmatched.is_empty() {
            return;
        }
        // Keyed by what is needed, not by what is installed: an update usually needs little.
        let mut needed: HashMap<Content, Supply<'a>> = HashMap::with_capacity(unmatched.len());
        for placement in unmatched {
            needed.entry(content(placement.entry)).or_default();
        }
        for source in installed {
            if let Some(supply) = needed.get_mut(&content(source)) {
                supply.sources[usize::from(source.executable())].get_or_insert(source);
            }
        }
        for &placement in unmatched {
            let target = placement.entry;
            let Some(supply) = needed.get_mut(&content(target)) else {
                continue; // every content was put in above
            };
            let bit = usize::from(target.executable());
            if let Some(source) = supply.sources[bit].or(supply.sources[1 - bit]) {
                self.reuses.push(Reuse {
                    source,
                    target,
                    kind: ReuseKind::Moved,
                });
            } else if let Some(index) = supply.download {
                self.downloads[index].targets.push(placement);
            } else {
                supply.download = Some(self.downloads.len());
                self.downloads.push(Download {
                    sha256: target.sha256(),
                    size: target.size(),
                    targets: vec![placement],
                });
            }
        }
        // Two sorted runs; the stable sort merges them in linear time.
        self.reuses
            .sort_by(|one, other| one.target.path().cmp(other.target.path()));
    }

    fn count(&mut self, target: &[FileEntry]) {
        let mut totals = Totals {
            download_files: self.downloads.len() as u64,
            reused_files: self.reuses.len() as u64,
            deleted_files: self.deletions.len() as u64,
            ..Totals::default()
        };
        for download in &self.downloads {
            add(&mut totals.download_bytes, download.size);
            for placement in &download.targets {
                match placement.change {
                    Change::Added => totals.added += 1,
                    Change::Modified => totals.modified += 1,
                }
            }
        }
        for reuse in &self.reuses {
            add(&mut totals.reused_bytes, reuse.target.size());
            match reuse.kind {
                ReuseKind::Unchanged => totals.unchanged += 1,
                ReuseKind::ModeChanged => totals.mode_changed += 1,
                ReuseKind::Moved => totals.moved += 1,
            }
        }
        for entry in &self.deletions {
            add(&mut totals.deleted_bytes, entry.size());
        }
        for entry in target {
            add(&mut totals.target_bytes, entry.size());
        }
        self.totals = totals;
    }
}

type Content = (Sha256Digest, u64);

fn content(entry: &FileEntry) -> Content {
    (entry.sha256(), entry.size())
}

/// Where a needed content comes from.
#[derive(Default)]
struct Supply<'a> {
    /// The first installed file that holds it, without and with the executable bit.
    sources: [Option<&'a FileEntry>; 2],
    /// Its position in `downloads`, once it is there.
    download: Option<usize>,
}

fn is_sorted(entries: &[FileEntry]) -> bool {
    entries.is_sorted_by(|one, other| one.path() < other.path())
}

#[cfg(test)]
mod tests;
