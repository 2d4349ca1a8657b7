//! What each effect does to what a simulated disk knows.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable_fs::{Effect, Operation};

use super::PowerCut;
use super::cut::{FileNode, Node};
use super::names::{Change, Id, Place, ROOT};
use super::state::{Mark, State};

impl PowerCut {
    pub(super) fn follow(
        &self,
        state: &mut State,
        effect: &Effect<'_>,
        mark: Mark,
    ) -> Result<(), String> {
        let path = &effect.path;
        let to = effect.to.as_deref().unwrap_or(path);
        let text = self.in_words(effect);
        match effect.operation {
            Operation::CreateFile | Operation::CreateDir | Operation::Symlink => {
                let at = self.known_place(state, path)?;
                if let Some(there) = state.names.at(&at)
                    && state.found.remove(&there)
                {
                    return Ok(()); // another thread's sync has seen it already
                }
                let mode = || mode_of(&self.real(state, &at));
                let node = match effect.operation {
                    Operation::CreateFile => Node::File(FileNode::empty(mode()?)),
                    Operation::CreateDir => Node::Dir { mode: mode()? },
                    _ => Node::Symlink(to.to_owned()),
                };
                let node = state.new_node(node);
                state.do_change(Change::Add { at, node }, &text)?;
            }
            Operation::HardLink => {
                let (node, at) = (self.known(state, path)?, self.known_place(state, to)?);
                state.do_change(Change::Add { at, node }, &text)?;
            }
            Operation::Rename => {
                let (from, to) = (self.known_place(state, path)?, self.known_place(state, to)?);
                let node = state.names.at(&from).ok_or_else(|| unknown(path))?;
                let replaced = state.names.at(&to);
                if replaced == Some(node) {
                    return Ok(()); // two names of one file stay
                }
                state.remember(self.below(path), node);
                state.remember(self.below(effect.to.as_deref().unwrap_or(path)), replaced);
                let change = Change::Move {
                    from,
                    to,
                    node,
                    replaced,
                };
                state.do_change(change, &text)?;
            }
            Operation::Exchange => {
                let (one, other) = (self.known_place(state, path)?, self.known_place(state, to)?);
                let one_node = state.names.at(&one).ok_or_else(|| unknown(path))?;
                let other_node = state.names.at(&other).ok_or_else(|| unknown(to))?;
                let change = Change::Swap {
                    one,
                    one_node,
                    other,
                    other_node,
                };
                state.do_change(change, &text)?;
            }
            Operation::RemoveFile | Operation::RemoveDir => {
                let at = self.known_place(state, path)?;
                let node = state.names.at(&at).ok_or_else(|| unknown(path))?;
                state.remember(self.below(path), node);
                state.do_change(Change::Remove { at, node }, &text)?;
            }
            _ => self.follow_content(state, effect, mark)?,
        }
        Ok(())
    }

    /// What changes no names.
    fn follow_content(
        &self,
        state: &mut State,
        effect: &Effect<'_>,
        mark: Mark,
    ) -> Result<(), String> {
        let path = &effect.path;
        match effect.operation {
            Operation::Write => {
                let id = self.known(state, path)?;
                let file = state.file(id)?;
                Arc::make_mut(&mut file.now.bytes).extend_from_slice(effect.data);
            }
            Operation::Truncate => {
                let id = self.known(state, path)?;
                let real = state.path_of(id).map(|below| self.root.join(below));
                let real = real.ok_or("a file without a name was truncated")?;
                let length = fs::symlink_metadata(&real)
                    .map_err(|error| format!("{}: {error}", real.display()))?
                    .len() as usize;
                let file = state.file(id)?;
                file.untouched = file.untouched.min(length);
                Arc::make_mut(&mut file.now.bytes).resize(length, 0);
            }
            Operation::Reflink => {
                let to = effect.to.as_deref().unwrap_or(path);
                let (source, clone) = (self.known(state, path)?, self.known(state, to)?);
                let bytes = state.file(source)?.now.bytes.clone();
                let clone = state.file(clone)?;
                clone.untouched = 0;
                clone.now.bytes = bytes;
            }
            Operation::SetMode => {
                let id = self.known(state, path)?;
                let real = state.path_of(id).map(|below| self.root.join(below));
                let mode = mode_of(&real.ok_or("the mode of a file without a name was changed")?)?;
                state.file(id)?.now.mode = mode;
            }
            Operation::SyncFile => {
                let id = self.known(state, path)?;
                state.file(id)?;
                state.keep(mark.stored, Some(id));
            }
            Operation::SyncDir => {
                // Above the root everything is durable.
                if self.below(path).is_some() || !self.root.starts_with(path) {
                    let dir = self.known(state, path)?;
                    state.keep_names(mark.next_number, Some(dir))?;
                }
            }
            Operation::SyncFilesystem => {
                state.keep(mark.stored, None);
                state.keep_names(mark.next_number, None)?;
            }
            other => return Err(format!("{other:?} is not modelled")),
        }
        Ok(())
    }

    /// Where a place is on the disk.
    fn real(&self, state: &State, place: &Place) -> PathBuf {
        let below = state.path_of(place.dir).unwrap_or_default();
        self.root.join(below).join(&place.name)
    }

    /// Whether the disk agrees with what is believed about the paths of an effect.
    pub(super) fn check(&self, state: &State, effect: &Effect<'_>) -> Result<(), String> {
        let to = match effect.operation {
            Operation::Symlink => None,
            _ => effect.to.as_deref(),
        };
        for below in std::iter::once(&*effect.path)
            .chain(to)
            .filter_map(|path| self.below(path))
        {
            let real = fs::symlink_metadata(self.root.join(below)).ok();
            let known = state
                .names_walk(ROOT, below)
                .or_else(|| {
                    let direct = self.without_links(&self.root.join(below))?;
                    state.names_walk(ROOT, &direct)
                })
                .map(|id| &state.cut.nodes[id]);
            let agrees = match (&real, known) {
                (Some(real), Some(Node::File(file))) => {
                    real.is_file() && real.len() == file.now.bytes.len() as u64
                }
                (Some(real), Some(Node::Dir { .. })) => real.is_dir(),
                (Some(real), Some(Node::Symlink(_))) => real.is_symlink(),
                (None, None) => true,
                _ => false,
            };
            if !agrees {
                return Err(format!(
                    "{} is not what the effects so far say; was a folder renamed while it was open, \
                     or the disk changed without an effect?",
                    below.display()
                ));
            }
        }
        Ok(())
    }

    fn known(&self, state: &mut State, path: &Path) -> Result<Id, String> {
        self.find(state, path).ok_or_else(|| unknown(path))
    }

    fn known_place(&self, state: &mut State, path: &Path) -> Result<Place, String> {
        self.place(state, path).ok_or_else(|| unknown(path))
    }
}

fn unknown(path: &Path) -> String {
    format!("nothing known has the path {}", path.display())
}

fn mode_of(path: &Path) -> Result<u32, String> {
    let metadata = fs::symlink_metadata(path);
    let metadata = metadata.map_err(|_| {
        format!(
            "{} is not there; was a folder renamed while it was open?",
            path.display()
        )
    })?;
    Ok(metadata.mode() & 0o7777)
}
