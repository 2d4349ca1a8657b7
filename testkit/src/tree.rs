use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use manifest_core::{Manifest, ManifestBuilder, Sha256Digest};

/// The files of a release, or of any folder: bytes and executable bit by path.
///
/// ```
/// use testkit::Tree;
///
/// let folder = tempfile::tempdir()?;
/// let tree = Tree::new().with("a/b.txt", "hello").with_program("run.sh", "#!/bin/sh");
/// tree.write_to(folder.path());
/// assert_eq!(Tree::read(folder.path()), tree);
/// assert_eq!(tree.manifest("tool", "1.0.0").files().len(), 2);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<String, TreeFile>);

/// One file of a [`Tree`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeFile {
    /// Its content.
    pub bytes: Vec<u8>,
    /// Whether it is a program.
    pub executable: bool,
}

impl Tree {
    /// No files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With a file that is no program, instead of what had the path.
    #[must_use]
    pub fn with(self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.with_file(path, bytes.into(), false)
    }

    /// With a program, instead of what had the path.
    #[must_use]
    pub fn with_program(self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.with_file(path, bytes.into(), true)
    }

    fn with_file(mut self, path: &str, bytes: Vec<u8>, executable: bool) -> Self {
        self.0
            .insert(path.to_owned(), TreeFile { bytes, executable });
        self
    }

    /// Without a file.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        self.0.remove(path);
        self
    }

    /// A file, if there is one with this path.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&TreeFile> {
        self.0.get(path)
    }

    /// The files, by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &TreeFile)> {
        self.0.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// The paths.
    #[must_use]
    pub fn paths(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// The content that has a digest.
    #[must_use]
    pub fn content(&self, digest: Sha256Digest) -> Option<&[u8]> {
        self.0
            .values()
            .map(|file| &*file.bytes)
            .find(|bytes| Sha256Digest::of(bytes) == digest)
    }

    /// A manifest of these files, to add more to.
    ///
    /// # Panics
    /// If the id, the version or a path is not valid.
    #[must_use]
    pub fn builder(&self, tool_id: &str, version: &str) -> ManifestBuilder {
        let valid = "a test names valid things";
        let new =
            ManifestBuilder::new(tool_id.parse().expect(valid), version.parse().expect(valid));
        self.files().fold(new, |builder, (path, file)| {
            builder.with_file(
                path.parse().expect(valid),
                Sha256Digest::of(&file.bytes),
                file.bytes.len() as u64,
                file.executable,
            )
        })
    }

    /// The manifest of these files.
    ///
    /// # Panics
    /// If they cannot be a release.
    #[must_use]
    pub fn manifest(&self, tool_id: &str, version: &str) -> Manifest {
        self.builder(tool_id, version)
            .build()
            .expect("the files can be a release")
    }

    /// Writes the files below a folder, creating folders as needed.
    ///
    /// # Panics
    /// If the disk refuses.
    pub fn write_to(&self, folder: &Path) {
        for (path, file) in self.files() {
            let path = folder.join(path);
            let parent = path.parent().expect("a joined path has a parent");
            fs::create_dir_all(parent).expect("a folder can be created");
            fs::write(&path, &file.bytes).expect("a file can be written");
            set_executable(&path, file.executable);
        }
    }

    /// Every file below a folder. Links and folders without files are left out.
    ///
    /// # Panics
    /// If something cannot be read.
    #[must_use]
    pub fn read(folder: &Path) -> Self {
        let mut tree = Self::new();
        tree.add(folder, "");
        tree
    }

    fn add(&mut self, folder: &Path, prefix: &str) {
        for entry in fs::read_dir(folder).expect("a folder can be listed") {
            let entry = entry.expect("a folder can be listed");
            let name = entry.file_name();
            let path = format!("{prefix}{}", name.to_str().expect("names are UTF-8"));
            let kind = entry.file_type().expect("an entry has a type");
            if kind.is_dir() {
                self.add(&entry.path(), &format!("{path}/"));
            } else if kind.is_file() {
                let bytes = fs::read(entry.path()).expect("a file can be read");
                let executable = is_executable(&entry.path());
                self.0.insert(path, TreeFile { bytes, executable });
            }
        }
    }
}

#[cfg(unix)]
fn set_executable(path: &Path, executable: bool) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = if executable { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode can be set");
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = fs::metadata(path).expect("a file has metadata");
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn set_executable(_: &Path, _: bool) {}

#[cfg(not(unix))]
fn is_executable(_: &Path) -> bool {
    false
}
