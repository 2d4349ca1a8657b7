//! Which names stand for which files and folders, and how that changes.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

/// A file, folder or link. Never used again, other than an inode number.
pub(super) type Id = usize;

pub(super) const ROOT: Id = 0;

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) dir: Id,
    pub(super) name: OsString,
}

/// One atomic change of names.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Add {
        at: Place,
        node: Id,
    },
    Remove {
        at: Place,
        node: Id,
    },
    Move {
        from: Place,
        to: Place,
        node: Id,
        replaced: Option<Id>,
    },
    Swap {
        one: Place,
        one_node: Id,
        other: Place,
        other_node: Id,
    },
}

impl Change {
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        let (first, second) = match self {
            Self::Add { at, .. } | Self::Remove { at, .. } => (at, None),
            Self::Move { from, to, .. } => (from, Some(to)),
            Self::Swap { one, other, .. } => (one, Some(other)),
        };
        std::iter::once(first).chain(second)
    }

    /// The folders whose sync makes it durable.
    pub(super) fn folders(&self) -> BTreeSet<Id> {
        self.places().map(|place| place.dir).collect()
    }

    /// Whether this cannot be on the disk without the earlier one: it changes the same name again, or
    /// removes the folder that the earlier one emptied.
    pub(super) fn needs(&self, earlier: &Self) -> bool {
        let gone = match self {
            Self::Remove { node, .. } => Some(*node),
            Self::Move { replaced, .. } => *replaced,
            _ => None,
        };
        earlier
            .places()
            .any(|place| gone == Some(place.dir) || self.places().any(|own| own == place))
    }
}

/// How strict to be about folders that are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A move into a folder that has no name itself is refused.
    Reachable,
    /// It is done: both folders were synced, and whoever forgot the one above loses the file.
    Any,
}

/// A tree of names. Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// By id; `None` for what is no folder.
    entries: Vec<Option<Arc<BTreeMap<OsString, Id>>>>,
    /// The folder that a folder is in.
    parents: Vec<Option<Id>>,
}

impl Names {
    /// Makes room for the next id.
    pub(super) fn push_file(&mut self) {
        self.entries.push(None);
        self.parents.push(None);
    }

    /// Makes room for the next id, an empty folder without a name.
    pub(super) fn push_dir(&mut self) {
        self.entries.push(Some(Arc::default()));
        self.parents.push(None);
    }

    pub(super) fn is_dir(&self, id: Id) -> bool {
        self.entries[id].is_some()
    }

    /// What a folder holds; empty for what is no folder.
    pub(super) fn list(&self, dir: Id) -> impl Iterator<Item = (&OsString, Id)> {
        let entries = self.entries[dir].as_deref().into_iter().flatten();
        entries.map(|(name, id)| (name, *id))
    }

    pub(super) fn get(&self, dir: Id, name: &OsStr) -> Option<Id> {
        self.entries[dir].as_ref()?.get(name).copied()
    }

    pub(super) fn at(&self, place: &Place) -> Option<Id> {
        self.get(place.dir, &place.name)
    }

    fn set(&mut self, place: &Place, node: Option<Id>) {
        let entries = self.entries[place.dir]
            .as_mut()
            .expect("names are only in folders");
        let entries = Arc::make_mut(entries);
        match node {
            Some(node) => {
                entries.insert(place.name.clone(), node);
                if self.is_dir(node) {
                    self.parents[node] = Some(place.dir);
                }
            }
            None => {
                entries.remove(&place.name);
            }
        }
    }

    fn is_empty_dir(&self, id: Id) -> bool {
        self.entries[id]
            .as_ref()
            .is_some_and(|entries| entries.is_empty())
    }

    /// The folder and those above it, up to the root or to one that has no name.
    fn upwards(&self, dir: Id) -> impl Iterator<Item = Id> {
        // A tree is not deeper than it has nodes; a circle would be.
        std::iter::successors(Some(dir), |dir| self.parents[*dir]).take(self.parents.len())
    }

    /// Whether a node may come to a folder: that is there, and not within the node.
    fn accepts(&self, dir: Id, node: Id, target: Target) -> bool {
        let (mut is_reachable, mut is_within) = (false, false);
        for above in self.upwards(dir) {
            is_reachable |= above == ROOT;
            is_within |= above == node;
        }
        !is_within && (is_reachable || target == Target::Any)
    }

    /// Applies a change. `false`, and nothing done, if it is not possible here.
    pub(super) fn apply(&mut self, change: &Change, target: Target) -> bool {
        match change {
            Change::Add { at, node } => {
                if self.at(at).is_some() {
                    return false;
                }
                self.set(at, Some(*node));
            }
            Change::Remove { at, node } => {
                let is_full = self.is_dir(*node) && !self.is_empty_dir(*node);
                if self.at(at) != Some(*node) || is_full {
                    return false;
                }
                self.set(at, None);
                self.parents[*node] = None;
            }
            Change::Move { from, to, node, .. } => {
                let fits = match self.at(to) {
                    None => true,
                    Some(there) if self.is_dir(*node) => self.is_empty_dir(there),
                    Some(there) => !self.is_dir(there),
                };
                if self.at(from) != Some(*node) || !fits || !self.accepts(to.dir, *node, target) {
                    return false;
                }
                if let Some(replaced) = self.at(to) {
                    self.parents[replaced] = None;
                }
                self.set(from, None);
                self.set(to, Some(*node));
            }
            Change::Swap {
                one,
                one_node,
                other,
                other_node,
            } => {
                if self.at(one) != Some(*one_node)
                    || self.at(other) != Some(*other_node)
                    || !self.accepts(other.dir, *one_node, target)
                    || !self.accepts(one.dir, *other_node, target)
                {
                    return false;
                }
                self.set(one, Some(*other_node));
                self.set(other, Some(*one_node));
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(dir: Id, name: &str) -> Place {
        Place {
            dir,
            name: name.into(),
        }
    }

    /// The root, the folders 1 and 2 without names, and the file 3.
    fn names() -> Names {
        let mut names = Names::default();
        for _ in 0..3 {
            names.push_dir();
        }
        names.push_file();
        names
    }

    fn add(at: Place, node: Id) -> Change {
        Change::Add { at, node }
    }

    fn moved(from: Place, to: Place, node: Id) -> Change {
        Change::Move {
            from,
            to,
            node,
            replaced: None,
        }
    }

    #[test]
    fn what_no_file_system_would_do_is_refused() {
        let mut names = names();
        let mut apply = |change| names.apply(&change, Target::Reachable);
        assert!(apply(add(place(ROOT, "file"), 3)));
        assert!(!apply(add(place(ROOT, "file"), 1)), "taken");
        assert!(
            !apply(moved(place(ROOT, "file"), place(1, "file"), 3)),
            "no such folder"
        );
        assert!(apply(add(place(ROOT, "one"), 1)));
        assert!(apply(add(place(1, "two"), 2)));
        assert!(
            !apply(moved(place(ROOT, "one"), place(2, "one"), 1)),
            "into itself"
        );
        assert!(
            !apply(moved(place(ROOT, "file"), place(ROOT, "one"), 3)),
            "over a folder"
        );
        assert!(
            !apply(moved(place(ROOT, "one"), place(ROOT, "file"), 1)),
            "over a file"
        );
        let remove = |at, node| Change::Remove { at, node };
        assert!(!apply(remove(place(ROOT, "one"), 1)), "not empty");
        assert!(!apply(remove(place(ROOT, "file"), 1)), "another file");
        assert!(apply(moved(place(ROOT, "file"), place(2, "file"), 3)));
        assert_eq!(names.at(&place(2, "file")), Some(3));
        assert_eq!(names.at(&place(ROOT, "file")), None);
    }

    #[test]
    fn a_removed_folder_needs_what_emptied_it() {
        let emptied = Change::Remove {
            at: place(1, "file"),
            node: 3,
        };
        let removed = Change::Remove {
            at: place(ROOT, "one"),
            node: 1,
        };
        assert!(removed.needs(&emptied));
        assert!(!emptied.needs(&removed));
        let elsewhere = add(place(2, "file"), 3);
        assert!(!removed.needs(&elsewhere));
        assert!(emptied.needs(&add(place(1, "file"), 3)), "the same name");
    }
}
