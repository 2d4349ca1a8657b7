//! What a simulated disk knows: what is there, and what of it is durable.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::ThreadId;

use super::cut::{FileNode, Node, Pending, Stored};
use super::image::Item;
use super::names::{Change, Id, Names, Place, ROOT, Target};
use super::{Cut, Image};

#[derive(Debug)]
pub(super) struct State {
    pub(super) cut: Cut,
    /// The names as they are.
    pub(super) names: Names,
    pub(super) next_number: u64,
    /// Nodes that were found on the disk, before the effect that made them was over or without one.
    pub(super) found: HashSet<Id>,
    /// What had a path before it was renamed: open handles still tell that path.
    pub(super) former: HashMap<PathBuf, Id>,
    /// The effects under way.
    pub(super) under_way: HashMap<ThreadId, Mark>,
    pub(super) recorded: Option<Vec<(String, Cut)>>,
    pub(super) problem: Option<String>,
}

/// What an effect that syncs makes durable: what was there when it began.
#[derive(Debug, Default)]
pub(super) struct Mark {
    pub(super) next_number: u64,
    pub(super) stored: HashMap<Id, Stored>,
}

impl State {
    /// A folder with a tree in it, all of it durable.
    pub(super) fn new(mode: u32, tree: &Image) -> Self {
        let mut state = Self {
            cut: Cut::default(),
            names: Names::default(),
            next_number: 0,
            found: HashSet::new(),
            former: HashMap::new(),
            under_way: HashMap::new(),
            recorded: None,
            problem: None,
        };
        state.new_node(Node::Dir { mode });
        state.load(tree);
        state
    }

    pub(super) fn problem_text(&self) -> &str {
        self.problem.as_deref().unwrap_or_default()
    }

    pub(super) fn new_node(&mut self, node: Node) -> Id {
        if let Node::Dir { .. } = node {
            self.names.push_dir();
            self.cut.durable.push_dir();
        } else {
            self.names.push_file();
            self.cut.durable.push_file();
        }
        self.cut.nodes.push(node);
        self.cut.nodes.len() - 1
    }

    /// Takes over a tree as durable.
    fn load(&mut self, image: &Image) {
        let mut ids = BTreeMap::from([(PathBuf::new(), ROOT)]);
        let mut files = HashMap::new();
        for (path, item) in &image.0 {
            let id = match item {
                Item::Dir { mode } => self.new_node(Node::Dir { mode: *mode }),
                Item::Symlink(target) => self.new_node(Node::Symlink(target.clone())),
                Item::File {
                    number,
                    content,
                    mode,
                } => *files.entry(*number).or_insert_with(|| {
                    let mut file = FileNode::empty(*mode);
                    file.now.bytes = content.bytes.clone();
                    file.keep(file.now.clone());
                    self.new_node(Node::File(file))
                }),
            };
            ids.insert(path.clone(), id);
            let (parent, name) = path.parent().zip(path.file_name()).expect("a path below");
            let at = Place {
                dir: ids[parent],
                name: name.to_owned(),
            };
            let change = Change::Add { at, node: id };
            self.names.apply(&change, Target::Any);
            self.cut.durable.apply(&change, Target::Any);
        }
    }

    pub(super) fn names_walk(&self, from: Id, below: &Path) -> Option<Id> {
        below
            .iter()
            .try_fold(from, |dir, name| self.names.get(dir, name))
    }

    /// What had the path, or a folder above it, before it was renamed.
    pub(super) fn find_former(&self, below: &Path) -> Option<Id> {
        below.ancestors().find_map(|above| {
            let id = *self.former.get(above)?;
            self.names_walk(id, below.strip_prefix(above).ok()?)
        })
    }

    pub(super) fn remember(&mut self, below: Option<&Path>, id: impl Into<Option<Id>>) {
        if let Some((below, id)) = below.zip(id.into()) {
            self.former.insert(below.to_owned(), id);
        }
    }

    /// A path that something has now.
    pub(super) fn path_of(&self, id: Id) -> Option<PathBuf> {
        fn search(names: &Names, dir: Id, wanted: Id) -> Option<PathBuf> {
            names.list(dir).find_map(|(name, id)| {
                if id == wanted {
                    return Some(name.into());
                }
                search(names, id, wanted).map(|below| Path::new(name).join(below))
            })
        }
        if id == ROOT {
            return Some(PathBuf::new());
        }
        search(&self.names, ROOT, id)
    }

    pub(super) fn file(&mut self, id: Id) -> Result<&mut FileNode, String> {
        match &mut self.cut.nodes[id] {
            Node::File(file) => Ok(file),
            _ => Err("it is not a file".into()),
        }
    }

    pub(super) fn do_change(&mut self, change: Change, text: &str) -> Result<(), String> {
        let is_done = self.change(change, text);
        is_done.then_some(()).ok_or_else(|| {
            "it is not possible after the effects so far; was a folder renamed while it was open?".into()
        })
    }

    pub(super) fn change(&mut self, change: Change, text: &str) -> bool {
        if !self.names.apply(&change, Target::Any) {
            return false;
        }
        self.cut.pending.push(Pending {
            unsynced: change.folders(),
            change: Arc::new(change),
            number: self.next_number,
            text: text.into(),
        });
        self.next_number += 1;
        true
    }

    pub(super) fn stored(&self, only: Option<Id>) -> HashMap<Id, Stored> {
        let nodes = self.cut.nodes.iter().enumerate();
        nodes
            .filter(|(id, _)| only.is_none_or(|only| only == *id))
            .filter_map(|(id, node)| match node {
                Node::File(file) => Some((id, file.now.clone())),
                _ => None,
            })
            .collect()
    }

    /// Contents are durable.
    pub(super) fn keep(&mut self, stored: HashMap<Id, Stored>, only: Option<Id>) {
        for (id, stored) in stored {
            if let Node::File(file) = &mut self.cut.nodes[id]
                && only.is_none_or(|only| only == id)
            {
                file.keep(stored);
            }
        }
    }

    /// Names that were changed before are durable: those in one folder, or all.
    pub(super) fn keep_names(&mut self, before: u64, only: Option<Id>) -> Result<(), String> {
        let pending = &mut self.cut.pending;
        for change in pending.iter_mut().filter(|change| change.number < before) {
            match only {
                Some(dir) => {
                    change.unsynced.remove(&dir);
                }
                None => change.unsynced.clear(),
            }
        }
        // What a durable change needs is durable too.
        let mut is_kept: Vec<bool> = pending.iter().map(|one| one.unsynced.is_empty()).collect();
        for index in (0..pending.len()).rev() {
            if is_kept[index] {
                let change = pending[index].change.clone();
                for earlier in 0..index {
                    is_kept[earlier] |= change.needs(&pending[earlier].change);
                }
            }
        }
        let mut left = Vec::new();
        for (is_kept, change) in is_kept.into_iter().zip(std::mem::take(pending)) {
            if !is_kept {
                left.push(change);
            } else if !self.cut.durable.apply(&change.change, Target::Any) {
                return Err(format!("\"{}\" cannot be made durable", change.text));
            }
        }
        self.cut.pending = left;
        Ok(())
    }
}

impl FileNode {
    pub(super) fn empty(mode: u32) -> Self {
        let empty = Stored {
            bytes: Arc::default(),
            mode,
        };
        Self {
            now: empty.clone(),
            durable: empty,
            untouched: 0,
        }
    }

    pub(super) fn keep(&mut self, stored: Stored) {
        let unchanged = stored.bytes.iter().zip(self.now.bytes.iter());
        self.untouched = if Arc::ptr_eq(&stored.bytes, &self.now.bytes) {
            stored.bytes.len()
        } else {
            unchanged.take_while(|(one, two)| one == two).count()
        };
        self.durable = stored;
    }
}
