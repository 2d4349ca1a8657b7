//! A tool's root in a folder of its own, and an update as a caller would write it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use activation::{
    Activation, CurrentLink, Error, ErrorKind, Event, Installation, InstalledRelease, ReuseItem,
    Session,
};
use durable_fs::{Disk, LinkPolicy};
use manifest_core::{FileEntry, Manifest, ReleaseVersion, Sha256Digest};
use tempfile::TempDir;
use testkit::Tree;

pub(crate) const TOOL: &str = "sketcher";

pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_hours(500_000)
}

pub(crate) fn version(text: &str) -> ReleaseVersion {
    text.parse().unwrap()
}

pub(crate) struct Root {
    folder: TempDir,
}

impl Root {
    /// In memory where there is such a folder: syncing a disk takes most of a test's time otherwise.
    pub(crate) fn new() -> Self {
        let folder = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new());
        Self {
            folder: folder.unwrap(),
        }
    }

    /// With the first release installed and active.
    pub(crate) fn with(tree: &Tree, version: &str) -> Self {
        let root = Self::new();
        root.install(tree, version);
        root
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn installation(&self) -> Installation {
        Installation::create(&Disk::real(), self.path()).unwrap()
    }

    pub(crate) fn lock(&self) -> Result<Session, Error> {
        self.installation().lock()
    }

    pub(crate) fn session(&self) -> Session {
        self.lock().unwrap()
    }

    /// Updates to a release, in a session of its own.
    pub(crate) fn install(&self, tree: &Tree, version: &str) -> Activation {
        let manifest = tree.manifest(TOOL, version);
        update(&self.session(), tree, &manifest).unwrap()
    }

    pub(crate) fn active(&self) -> InstalledRelease {
        self.installation().active().unwrap().unwrap()
    }

    pub(crate) fn current(&self) -> String {
        fs::read_to_string(self.at("current.txt")).unwrap()
    }

    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        fs::symlink_metadata(self.at(path)).is_ok()
    }

    pub(crate) fn releases(&self) -> Vec<String> {
        let versions = self.installation().releases().unwrap();
        versions.iter().map(ToString::to_string).collect()
    }

    /// Every file that was kept, below `.lockstep/kept`.
    pub(crate) fn kept(&self) -> Vec<String> {
        let kept = self.at(".lockstep/kept");
        if !kept.exists() {
            return Vec::new();
        }
        let tree = Tree::read(&kept);
        tree.paths().into_iter().map(str::to_owned).collect()
    }

    pub(crate) fn is_tidy(&self) {
        let names = |path: &str| -> Vec<_> {
            let entries = fs::read_dir(self.at(path)).unwrap();
            entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter(|name| name != "partials")
                .collect()
        };
        assert_eq!(names("releases/.staging"), [""; 0], "staging");
        assert_eq!(names("releases/.trash"), [""; 0], "trash");
        for folder in ["", ".lockstep", ".lockstep/carried"] {
            if self.exists(folder) {
                let temporary = names(folder);
                assert!(
                    !temporary.iter().any(|name| name.starts_with(".lockstep-")),
                    "{temporary:?}"
                );
            }
        }
    }
}

/// What an updater does: reuse what the active release has, "fetch" the rest, carry, seal, activate.
pub(crate) fn update(
    session: &Session,
    tree: &Tree,
    manifest: &Manifest,
) -> Result<Activation, Error> {
    let active = match session.installation().active() {
        Err(error) if error.kind() == ErrorKind::NoActiveRelease => None,
        Err(error) if error.kind() == ErrorKind::Manifest => session
            .installation()
            .active_without_manifest(manifest.tool_id())?,
        active => active?,
    };
    let staging = session.stage(manifest, &())?;
    let mut to_fetch: BTreeMap<Sha256Digest, Vec<&FileEntry>> = BTreeMap::new();
    let mut to_reuse = Vec::new();
    for target in manifest.files() {
        if staging.has(target.path()) {
            continue;
        }
        let source = active.as_ref().and_then(|active| {
            let mut files = active.manifest().files().iter();
            files.find(|file| file.sha256() == target.sha256())
        });
        match source {
            Some(source) => to_reuse.push(ReuseItem { source, target }),
            None => to_fetch.entry(target.sha256()).or_default().push(target),
        }
    }
    if let Some(active) = &active {
        let reused = staging.reuse(active, to_reuse, LinkPolicy::Share, &())?;
        for target in reused.damaged {
            to_fetch.entry(target.sha256()).or_default().push(target);
        }
    }
    for (digest, targets) in to_fetch {
        let partials = session.partials()?;
        fetch(session, tree, digest);
        staging.adopt(&partials, &digest.to_string(), &targets)?;
    }
    let plan = match &active {
        Some(active) => {
            let plan = session.installation().plan_carry(active, manifest)?;
            Some((active, plan))
        }
        None => None,
    };
    staging.seal(plan)?.activate(CurrentLink::default(), now())
}

/// Not through the session's disk: the downloader's writing has tests of its own.
pub(crate) fn fetch(session: &Session, tree: &Tree, digest: Sha256Digest) {
    let partials = session
        .installation()
        .root()
        .path()
        .join("releases/.staging/partials");
    fs::create_dir_all(&partials).unwrap();
    let content = tree.content(digest).expect("the tree has the content");
    fs::write(partials.join(digest.to_string()), content).unwrap();
}

pub(crate) fn inode(path: impl AsRef<Path>) -> u64 {
    std::os::unix::fs::MetadataExt::ino(&fs::symlink_metadata(path).unwrap())
}

pub(crate) fn is_executable(path: impl AsRef<Path>) -> bool {
    let permissions = fs::metadata(path).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o111 != 0
}

pub(crate) fn make_fifo(path: impl AsRef<Path>) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(
        CWD,
        path.as_ref(),
        FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
}

pub(crate) use std::os::unix::fs::symlink;

/// Goes back to a release that is installed, as a caller would write it.
pub(crate) fn roll_back(session: &Session, to: &ReleaseVersion) -> Result<Activation, Error> {
    let target = session.installation().release(to)?.unwrap();
    let verification = target.verify(&())?;
    session.switch_to(&target, &verification, Event::RolledBack, now())
}
