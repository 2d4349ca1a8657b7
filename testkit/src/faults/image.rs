use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Everything below a folder, in memory: contents, modes, links, and which names are one file.
///
/// Two images are equal if the trees are: times and inode numbers do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image(pub(super) BTreeMap<PathBuf, Item>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Item {
    Dir {
        mode: u32,
    },
    File {
        /// Names with the same number are one file. Numbered in the order of the paths.
        number: usize,
        content: Content,
        mode: u32,
    },
    Symlink(PathBuf),
}

/// A file's bytes, with a digest that is computed once.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) bytes: Arc<Vec<u8>>,
    digest: u64,
}

impl Content {
    pub(super) fn new(bytes: Arc<Vec<u8>>) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(&bytes);
        let digest = hasher.finish();
        Self { bytes, digest }
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest && self.bytes == other.bytes
    }
}

impl Eq for Content {}

impl Hash for Content {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl Image {
    /// What is below a folder.
    ///
    /// # Panics
    /// If something cannot be read, or is no file, folder or symbolic link.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let mut image = Self::default();
        let mut found = HashMap::new();
        image.add(root, Path::new(""), &mut found);
        image.renumber();
        image
    }

    fn add(&mut self, folder: &Path, below: &Path, found: &mut HashMap<u64, (usize, Content)>) {
        for entry in fs::read_dir(folder).expect("a folder can be listed") {
            let entry = entry.expect("a folder can be listed");
            let path = below.join(entry.file_name());
            let metadata = entry.metadata().expect("an entry has metadata");
            let mode = metadata.mode() & 0o7777;
            let item = if metadata.is_dir() {
                self.add(&entry.path(), &path, found);
                Item::Dir { mode }
            } else if metadata.is_symlink() {
                Item::Symlink(fs::read_link(entry.path()).expect("a link can be read"))
            } else {
                assert!(metadata.is_file(), "{} is not a file", path.display());
                let next = found.len();
                let (number, content) = found.entry(metadata.ino()).or_insert_with(|| {
                    let bytes = fs::read(entry.path()).expect("a file can be read");
                    (next, Content::new(Arc::new(bytes)))
                });
                Item::File {
                    number: *number,
                    content: content.clone(),
                    mode,
                }
            };
            self.0.insert(path, item);
        }
    }

    fn renumber(&mut self) {
        let mut numbers = HashMap::new();
        for item in self.0.values_mut() {
            if let Item::File { number, .. } = item {
                let next = numbers.len();
                *number = *numbers.entry(*number).or_insert(next);
            }
        }
    }

    /// Makes a folder that is empty or missing hold this tree.
    ///
    /// # Panics
    /// If the disk refuses.
    pub fn write_to(&self, root: &Path) {
        fs::create_dir_all(root).expect("a folder can be created");
        let mut first_names = HashMap::new();
        for (path, item) in &self.0 {
            let full = root.join(path);
            match item {
                Item::Dir { .. } => fs::create_dir(&full).expect("a folder can be created"),
                Item::Symlink(target) => symlink(target, &full).expect("a link can be created"),
                Item::File {
                    number,
                    content,
                    mode,
                } => {
                    if let Some(first) = first_names.get(number) {
                        fs::hard_link(first, &full).expect("a file can be linked");
                        continue;
                    }
                    let mut options = fs::OpenOptions::new();
                    options.write(true).create_new(true).mode(*mode);
                    let mut file = options.open(&full).expect("a file can be created");
                    file.write_all(&content.bytes)
                        .expect("a file can be written");
                    file.set_permissions(fs::Permissions::from_mode(*mode))
                        .expect("a mode can be set");
                    first_names.insert(number, full);
                }
            }
        }
        // A folder that may not be written to was filled first.
        for (path, item) in self.0.iter().rev() {
            if let Item::Dir { mode } = item {
                fs::set_permissions(root.join(path), fs::Permissions::from_mode(*mode))
                    .expect("a mode can be set");
            }
        }
    }

    /// Only the paths that `keep` agrees to, with what is below them.
    #[must_use]
    pub fn filtered(mut self, mut keep: impl FnMut(&Path) -> bool) -> Self {
        self.0.retain(|path, _| {
            path.ancestors()
                .all(|part| part == Path::new("") || keep(part))
        });
        self.renumber();
        self
    }

    /// The paths of everything in it, folders before what is in them.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// The content of a file, if the path is one's.
    #[must_use]
    pub fn bytes(&self, path: impl AsRef<Path>) -> Option<&[u8]> {
        match self.0.get(path.as_ref()) {
            Some(Item::File { content, .. }) => Some(&content.bytes),
            _ => None,
        }
    }

    /// A number that differs, almost certainly, if the trees do. Not the same in other builds.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (path, item) in &self.0 {
            path.hash(&mut hasher);
            item.hash(&mut hasher);
        }
        hasher.finish()
    }

    /// What another image has otherwise, in words, by path. Empty if they are equal.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut paths: Vec<_> = self.0.keys().chain(other.0.keys()).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
            .into_iter()
            .filter_map(|path| {
                let (one, two) = (self.0.get(path), other.0.get(path));
                let in_words = |item: Option<&Item>| item.map_or("nothing".into(), Item::in_words);
                (one != two)
                    .then(|| format!("{}: {} / {}", path.display(), in_words(one), in_words(two)))
            })
            .collect()
    }
}

impl Item {
    fn in_words(&self) -> String {
        match self {
            Self::Dir { mode } => format!("folder, mode {mode:o}"),
            Self::Symlink(target) => format!("link to {}", target.display()),
            Self::File {
                number,
                content,
                mode,
            } => {
                let start = &content.bytes[..content.bytes.len().min(24)];
                let start = start.escape_ascii();
                let length = content.bytes.len();
                format!("file {number}, mode {mode:o}, {length} bytes \"{start}\"")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch;

    #[test]
    fn a_tree_that_is_written_again_is_the_same() {
        let folder = scratch();
        let path = |name: &str| folder.path().join("tree").join(name);
        fs::create_dir_all(path("a/empty")).unwrap();
        fs::write(path("a/one"), "content").unwrap();
        fs::set_permissions(path("a/one"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::hard_link(path("a/one"), path("two")).unwrap();
        fs::write(path("three"), "content").unwrap();
        symlink("../nowhere", path("link")).unwrap();
        let image = Image::read(&path(""));

        let copy = folder.path().join("copy");
        image.write_to(&copy);
        assert_eq!(Image::read(&copy), image);
        let inode = |path: PathBuf| fs::metadata(path).unwrap().ino();
        assert_eq!(inode(copy.join("a/one")), inode(copy.join("two")));
        assert_ne!(inode(copy.join("three")), inode(copy.join("two")));

        // Each kind of change is seen.
        let changes: [fn(&Path); 6] = [
            |copy| fs::write(copy.join("two"), "other").unwrap(),
            |copy| fs::remove_dir(copy.join("a/empty")).unwrap(),
            |copy| {
                fs::set_permissions(copy.join("three"), fs::Permissions::from_mode(0o600)).unwrap();
            },
            |copy| {
                fs::remove_file(copy.join("three")).unwrap();
                fs::hard_link(copy.join("two"), copy.join("three")).unwrap();
            },
            |copy| {
                fs::remove_file(copy.join("link")).unwrap();
                symlink("elsewhere", copy.join("link")).unwrap();
            },
            |copy| fs::write(copy.join("new"), "").unwrap(),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let copy = folder.path().join(index.to_string());
            image.write_to(&copy);
            change(&copy);
            let other = Image::read(&copy);
            assert_ne!(other, image, "change {index}");
            assert_ne!(other.digest(), image.digest());
            assert!(!other.differences(&image).is_empty());
        }
    }

    #[test]
    fn a_filter_takes_what_is_below_along() {
        let folder = scratch();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        fs::write(folder.path().join("a/b/c"), "").unwrap();
        fs::write(folder.path().join("d"), "x").unwrap();
        let image = Image::read(folder.path()).filtered(|path| path != Path::new("a"));
        assert_eq!(image.paths().collect::<Vec<_>>(), [Path::new("d")]);
        assert_eq!(image.bytes("d"), Some(&b"x"[..]));
    }
}
