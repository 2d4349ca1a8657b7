use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Image;
use super::image::{Content, Item};
use super::names::{Change, Id, Names, ROOT, Target};
use super::sample::Random;

/// The disk at one moment: what is durable, and what may be.
#[derive(Clone, Debug, Default)]
pub struct Cut {
    pub(super) nodes: Vec<Node>,
    pub(super) durable: Names,
    pub(super) pending: Vec<Pending>,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    Dir { mode: u32 },
    Symlink(PathBuf),
    File(FileNode),
}

#[derive(Clone, Debug)]
pub(super) struct FileNode {
    pub(super) now: Stored,
    pub(super) durable: Stored,
    /// So many bytes of the durable content were not touched since.
    pub(super) untouched: usize,
}

/// What an inode holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) mode: u32,
}

/// A change of names that is not known to be durable.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) change: Arc<Change>,
    /// The folders that have to be synced for it.
    pub(super) unsynced: BTreeSet<Id>,
    pub(super) number: u64,
    pub(super) text: Arc<str>,
}

/// States that a power cut at one moment may leave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct States {
    /// How many combinations of what was lost there are. Several may leave the same state.
    pub possible: usize,
    /// The states, each once; a choice if there are too many combinations.
    pub states: Vec<CrashState>,
}

/// A state that a power cut may leave.
#[derive(Clone, Debug)]
pub struct CrashState {
    image: Image,
    text: String,
    digest: u64,
}

impl CrashState {
    /// Makes a folder that is empty or missing hold this state.
    ///
    /// # Panics
    /// If the disk refuses.
    pub fn write_to(&self, folder: &Path) {
        self.image.write_to(folder);
    }

    /// The tree.
    #[must_use]
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// What was lost, in words.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.text
    }

    /// A number that differs, almost certainly, if the trees do.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }
}

/// Up to so many changes of names, every subset of them is tried.
const ALL_SUBSETS: usize = 6;

/// Which pending changes of names reached the disk.
#[derive(Clone, Copy, Debug)]
enum Kept {
    First(usize),
    AllBut(usize),
    Only(usize),
    Subset(u64),
}

impl Kept {
    fn keeps(self, index: usize) -> bool {
        match self {
            Self::First(count) => index < count,
            Self::AllBut(lost) => index != lost,
            Self::Only(kept) => index == kept,
            Self::Subset(bits) => bits >> index & 1 == 1,
        }
    }
}

/// What reached the disk of contents and modes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unsynced {
    Lost,
    Zeros,
    Half,
    There,
    /// The contents, but not the modes.
    ModesLost,
    /// Everything but one file's.
    LostIn(Id),
}

impl Cut {
    /// States that a power cut at this moment may leave: of the names that were changed since the last
    /// sync, none, all, the first few, all but one, only one or, if there are few, every subset; of
    /// contents nothing, zeros, half, or everything.
    ///
    /// From more than `at_most` combinations a choice is made, the same one for the same `seed`; none and
    /// all are always among them.
    #[must_use]
    pub fn states(&self, at_most: usize, seed: u64) -> States {
        let unsynced: Vec<Id> = (0..self.nodes.len())
            .filter(|id| self.dirty(*id).is_some())
            .collect();
        let mut ways = Vec::new();
        if !unsynced.is_empty() {
            ways.extend([Unsynced::Lost, Unsynced::Zeros, Unsynced::Half]);
        }
        ways.push(Unsynced::There);
        if unsynced
            .iter()
            .filter_map(|id| self.dirty(*id))
            .any(|file| file.now.mode != file.durable.mode)
        {
            ways.push(Unsynced::ModesLost);
        }

        // All names and none, then with all names each file alone, then the rest.
        let mut combinations = Vec::new();
        let (extremes, others) = self.subsets();
        let always = extremes.len() * ways.len();
        let of = |kept: Kept| ways.iter().map(move |way| (kept, *way));
        combinations.extend(extremes.iter().copied().flat_map(of));
        if unsynced.len() > 1 {
            let alone = unsynced
                .iter()
                .map(|id| (extremes[0], Unsynced::LostIn(*id)));
            combinations.extend(alone);
        }
        combinations.extend(others.into_iter().flat_map(of));
        let possible = combinations.len();
        let combinations = Random::new(seed).choose(combinations, always, at_most);

        let mut contents = Contents::default();
        let mut known = HashSet::new();
        let mut states = Vec::new();
        for (kept, way) in combinations {
            let (names, lost) = self.names(kept);
            let image = self.image(&names, way, &mut contents);
            let digest = image.digest();
            if known.insert(digest) {
                let text = self.in_words(&lost, way);
                states.push(CrashState {
                    image,
                    text,
                    digest,
                });
            }
        }
        States { possible, states }
    }

    /// A file whose content or mode is not durable.
    fn dirty(&self, id: Id) -> Option<&FileNode> {
        match &self.nodes[id] {
            Node::File(file) => {
                let is_cut = file.untouched < file.durable.bytes.len();
                (is_cut || file.now != file.durable).then_some(file)
            }
            _ => None,
        }
    }

    /// All and none; and the others.
    fn subsets(&self) -> (Vec<Kept>, Vec<Kept>) {
        let count = self.pending.len();
        let mut extremes = vec![Kept::First(count)];
        if count > 0 {
            extremes.push(Kept::First(0));
        }
        let others = if count <= ALL_SUBSETS {
            let between = 1..(1_u64 << count).saturating_sub(1);
            between.map(Kept::Subset).collect()
        } else {
            (1..count)
                .map(Kept::First)
                .chain((0..count).map(Kept::AllBut))
                .chain((0..count).map(Kept::Only))
                .collect()
        };
        (extremes, others)
    }

    /// The names if only some of the pending changes reached the disk, and which did not.
    fn names(&self, kept: Kept) -> (Names, Vec<usize>) {
        let mut names = self.durable.clone();
        let mut lost = Vec::new();
        for (index, pending) in self.pending.iter().enumerate() {
            // What is not possible without a change that was lost, is lost too.
            if !kept.keeps(index) || !names.apply(&pending.change, Target::Reachable) {
                lost.push(index);
            }
        }
        (names, lost)
    }

    fn image(&self, names: &Names, way: Unsynced, contents: &mut Contents) -> Image {
        let mut tree = Tree {
            cut: self,
            names,
            way,
            contents,
            numbers: HashMap::new(),
            items: BTreeMap::new(),
        };
        tree.add(ROOT, Path::new(""));
        let mut items = tree.items;
        // Numbered in the order of the paths, as every image.
        let mut numbers = HashMap::new();
        for item in items.values_mut() {
            if let Item::File { number, .. } = item {
                let next = numbers.len();
                *number = *numbers.entry(*number).or_insert(next);
            }
        }
        Image(items)
    }

    fn in_words(&self, lost: &[usize], way: Unsynced) -> String {
        let mut text = String::from(match way {
            Unsynced::Lost => "what was not synced is lost",
            Unsynced::Zeros => "what was not synced is zeros",
            Unsynced::Half => "half of what was not synced is there",
            Unsynced::There => "contents are there",
            Unsynced::ModesLost => "contents are there, modes not",
            Unsynced::LostIn(_) => "what was not synced is lost in one file",
        });
        if let Unsynced::LostIn(id) = way {
            let _ = write!(text, " ({} bytes now)", self.length(id));
        }
        let of = self.pending.len();
        if lost.is_empty() {
            let _ = write!(text, "; all {of} unsynced names are there");
        } else if lost.len() == of {
            let _ = write!(text, "; none of {of} unsynced names is there");
        } else {
            let _ = write!(text, "; {} of {of} unsynced names are lost:", lost.len());
            for index in lost.iter().take(8) {
                let _ = write!(text, " [{}]", self.pending[*index].text);
            }
        }
        text
    }

    fn length(&self, id: Id) -> usize {
        self.dirty(id).map_or(0, |file| file.now.bytes.len())
    }
}

/// Contents whose digests are known, so that each is computed once per cut: lost, zeros, half, there.
type Contents = HashMap<(Id, u8), Content>;

struct Tree<'c> {
    cut: &'c Cut,
    names: &'c Names,
    way: Unsynced,
    contents: &'c mut Contents,
    numbers: HashMap<Id, usize>,
    items: BTreeMap<PathBuf, Item>,
}

impl Tree<'_> {
    fn add(&mut self, dir: Id, below: &Path) {
        let names = self.names;
        for (name, id) in names.list(dir) {
            let path = below.join(name);
            let item = match &self.cut.nodes[id] {
                Node::Dir { mode } => {
                    self.add(id, &path);
                    Item::Dir { mode: *mode }
                }
                Node::Symlink(target) => Item::Symlink(target.clone()),
                Node::File(file) => self.file(id, file),
            };
            self.items.insert(path, item);
        }
    }

    fn file(&mut self, id: Id, file: &FileNode) -> Item {
        let (variant, mode) = match self.way {
            Unsynced::Lost => (0, file.durable.mode),
            Unsynced::LostIn(lost) if lost == id => (0, file.durable.mode),
            Unsynced::Zeros => (1, file.now.mode),
            Unsynced::Half => (2, file.durable.mode),
            Unsynced::There | Unsynced::LostIn(_) => (3, file.now.mode),
            Unsynced::ModesLost => (3, file.durable.mode),
        };
        let content = self.contents.entry((id, variant)).or_insert_with(|| {
            Content::new(match variant {
                0 => file.durable.bytes.clone(),
                1 => file.cut_short(file.untouched, file.now.bytes.len()),
                2 => {
                    let half = usize::midpoint(file.untouched, file.now.bytes.len());
                    file.cut_short(half, half)
                }
                _ => file.now.bytes.clone(),
            })
        });
        let next = self.numbers.len();
        Item::File {
            number: *self.numbers.entry(id).or_insert(next),
            content: content.clone(),
            mode,
        }
    }
}

impl FileNode {
    /// The first bytes, and zeros up to a length.
    fn cut_short(&self, length: usize, with_zeros: usize) -> Arc<Vec<u8>> {
        if length == self.now.bytes.len() {
            return self.now.bytes.clone();
        }
        let mut bytes = self.now.bytes[..length].to_vec();
        bytes.resize(with_zeros, 0);
        Arc::new(bytes)
    }
}
