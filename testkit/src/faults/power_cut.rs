use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use durable_fs::{Disk, Effect, Observer, Operation, Verdict};

use super::cut::{FileNode, Node};
use super::names::{Change, Id, Place, ROOT};
use super::state::{Mark, State};
use super::{CrashState, Cut, Image, without_root};

/// An [`Observer`] that knows what a power cut would leave of a folder.
///
/// At the start everything below the folder is durable. Then:
///
/// - a file's content and mode are durable when the file was synced;
/// - a name that was created, changed or removed is durable when its folder was synced, or both
///   folders, where there are two;
/// - a sync of the file system makes everything durable.
///
/// This is what POSIX promises and no more: real file systems keep more. A file that appears without an
/// effect (a lock) is lost unless its folder is synced.
///
/// # Panics
/// On an effect that it cannot follow: outside the folder, or through a handle of a folder that was
/// renamed, if what happened on the disk does not tell which one.
#[derive(Debug)]
pub struct PowerCut {
    pub(super) root: PathBuf,
    given: PathBuf,
    state: Mutex<State>,
}

impl PowerCut {
    /// Everything below `root` is durable.
    ///
    /// # Panics
    /// If the folder cannot be read.
    #[must_use]
    pub fn new(root: &Path) -> Arc<Self> {
        Self::start(root, None)
    }

    /// As [`new`](Self::new), and remembers the moment before each effect, for
    /// [`recorded`](Self::recorded).
    #[must_use]
    pub fn recording(root: &Path) -> Arc<Self> {
        Self::start(root, Some(Vec::new()))
    }

    fn start(root: &Path, recorded: Option<Vec<(String, Cut)>>) -> Arc<Self> {
        let mode = fs::metadata(root).expect("the folder is there").mode() & 0o7777;
        let mut state = State::new(mode, &Image::read(root));
        state.recorded = recorded;
        Arc::new(Self {
            root: root.canonicalize().expect("the folder is there"),
            given: root.to_owned(),
            state: Mutex::new(state),
        })
    }

    /// The real disk, with this in front of it.
    #[must_use]
    pub fn disk(self: &Arc<Self>) -> Disk {
        Disk::observed(self.clone())
    }

    /// This moment.
    ///
    /// # Panics
    /// If an effect before could not be followed.
    #[must_use]
    pub fn cut(&self) -> Cut {
        let state = self.state();
        assert!(state.problem.is_none(), "{}", state.problem_text());
        state.cut.clone()
    }

    /// Every state that a power cut at this moment may leave, as [`Cut::states`] without a limit.
    ///
    /// # Panics
    /// If an effect before could not be followed.
    #[must_use]
    pub fn crash_states(&self) -> Vec<CrashState> {
        self.cut().states(usize::MAX, 0).states
    }

    /// The moments before each effect so far, and which effect it was.
    ///
    /// # Panics
    /// If an effect before could not be followed.
    #[must_use]
    pub fn recorded(&self) -> Vec<(String, Cut)> {
        let mut state = self.state();
        assert!(state.problem.is_none(), "{}", state.problem_text());
        state.recorded.take().unwrap_or_default()
    }

    /// Compares what this believes to be on the disk with what is. Files that appeared without an
    /// effect may be there if they are empty: that is how locks are.
    ///
    /// # Panics
    /// If something was changed without an effect.
    pub fn assert_matches_disk(&self) {
        let state = self.state();
        assert!(state.problem.is_none(), "{}", state.problem_text());
        let mut now = state.cut.clone();
        now.durable = state.names.clone();
        now.pending.clear();
        for node in &mut now.nodes {
            if let Node::File(file) = node {
                file.durable = file.now.clone();
            }
        }
        let believed = now.states(1, 0).states.remove(0);
        let known: HashSet<_> = believed.image().paths().map(Path::to_owned).collect();
        let real = Image::read(&self.root);
        let locks: HashSet<_> = real
            .paths()
            .filter(|path| !known.contains(*path) && real.bytes(path) == Some(b""))
            .map(Path::to_owned)
            .collect();
        let real = real.filtered(|path| !locks.contains(path));
        let differences = real.differences(believed.image());
        assert!(
            differences.is_empty(),
            "the disk was changed without an effect (disk / known): {differences:#?}"
        );
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn in_words(&self, effect: &Effect<'_>) -> String {
        without_root(&super::in_words(effect), &self.given)
    }

    /// A path as seen from the root.
    pub(super) fn below<'p>(&self, path: &'p Path) -> Option<&'p Path> {
        path.strip_prefix(&self.given)
            .or_else(|_| path.strip_prefix(&self.root))
            .ok()
    }

    /// The same path without symbolic links on the way, if it is below the root.
    pub(super) fn without_links(&self, path: &Path) -> Option<PathBuf> {
        let full = path.parent()?.canonicalize().ok()?.join(path.file_name()?);
        full.strip_prefix(&self.root).ok().map(Path::to_owned)
    }

    /// What a path stands for. What is on the disk without an effect becomes known.
    pub(super) fn find(&self, state: &mut State, path: &Path) -> Option<Id> {
        let below = self.below(path)?;
        if let Some(id) = state.names_walk(ROOT, below) {
            return Some(id);
        }
        if let Some(direct) = self.without_links(path).or_else(|| Some(below.to_owned())) {
            if let Some(id) = state.names_walk(ROOT, &direct) {
                return Some(id);
            }
            if let Some(id) = self.discover(state, &direct) {
                return Some(id);
            }
        }
        state.find_former(below)
    }

    /// The place that a path names, whether or not something is there.
    pub(super) fn place(&self, state: &mut State, path: &Path) -> Option<Place> {
        let dir = self.find(state, path.parent()?)?;
        let name = path.file_name()?.to_owned();
        state.names.is_dir(dir).then_some(Place { dir, name })
    }

    /// Makes something known that is on the disk: as created now, and not durable.
    fn discover(&self, state: &mut State, below: &Path) -> Option<Id> {
        let full = self.root.join(below);
        let metadata = fs::symlink_metadata(&full).ok()?;
        let (parent, name) = (below.parent()?, below.file_name()?.to_owned());
        let dir = match state.names_walk(ROOT, parent) {
            Some(dir) => dir,
            None => self.discover(state, parent)?,
        };
        if !state.names.is_dir(dir) {
            return None;
        }
        let mode = metadata.mode() & 0o7777;
        let node = if metadata.is_dir() {
            Node::Dir { mode }
        } else if metadata.is_symlink() {
            Node::Symlink(fs::read_link(&full).ok()?)
        } else if metadata.is_file() {
            let mut file = FileNode::empty(mode);
            file.now.bytes = Arc::new(fs::read(&full).ok()?);
            Node::File(file)
        } else {
            return None;
        };
        let id = state.new_node(node);
        state.found.insert(id);
        let at = Place { dir, name };
        state.change(
            Change::Add { at, node: id },
            &format!("found {}", below.display()),
        );
        Some(id)
    }

    /// Makes everything known that is in a folder, or below it.
    fn discover_all(&self, state: &mut State, dir: Id, deep: bool) {
        let Some(below) = state.path_of(dir) else {
            return;
        };
        let Ok(entries) = fs::read_dir(self.root.join(&below)) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let id = state
                .names
                .get(dir, &name)
                .or_else(|| self.discover(state, &below.join(name)));
            if let Some(id) = id
                && deep
                && state.names.is_dir(id)
            {
                self.discover_all(state, id, true);
            }
        }
    }
}

impl Observer for PowerCut {
    fn before(&self, effect: &Effect<'_>) -> Verdict {
        let state = &mut *self.state();
        let mut mark = Mark::default();
        let thread = std::thread::current().id();
        state.under_way.remove(&thread); // it failed
        let is_alone = state.under_way.is_empty();
        match effect.operation {
            Operation::SyncFile => {
                if let Some(id) = self.find(state, &effect.path) {
                    mark.stored = state.stored(Some(id));
                }
            }
            Operation::SyncDir => {
                if is_alone && let Some(dir) = self.find(state, &effect.path) {
                    self.discover_all(state, dir, false);
                }
            }
            Operation::SyncFilesystem => {
                if is_alone {
                    self.discover_all(state, ROOT, true);
                }
                mark.stored = state.stored(None);
            }
            // What is about to go or to change must be known.
            Operation::Rename | Operation::Exchange | Operation::HardLink => {
                self.find(state, &effect.path);
                if let Some(to) = &effect.to {
                    self.find(state, to);
                }
            }
            Operation::CreateFile | Operation::CreateDir | Operation::Symlink => {}
            _ => {
                self.find(state, &effect.path);
            }
        }
        mark.next_number = state.next_number;
        state.under_way.insert(thread, mark);
        if let Some(recorded) = &mut state.recorded {
            recorded.push((self.in_words(effect), state.cut.clone()));
        }
        Verdict::Proceed
    }

    fn after(&self, effect: &Effect<'_>) {
        let problem = {
            let state = &mut *self.state();
            let mark = state.under_way.remove(&std::thread::current().id());
            let followed = self
                .follow(state, effect, mark.unwrap_or_default())
                .and_then(|()| {
                    // Other effects under way may have reached the disk already.
                    if state.under_way.is_empty() {
                        self.check(state, effect)
                    } else {
                        Ok(())
                    }
                });
            let Err(reason) = followed else {
                return;
            };
            let problem = format!("cannot follow \"{}\": {reason}", self.in_words(effect));
            state.problem.get_or_insert(problem.clone());
            problem
        };
        panic!("{problem}");
    }
}
