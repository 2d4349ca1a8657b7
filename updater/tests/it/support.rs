//! A worker's folder, and what a test looks at in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use downloader::{Downloader, MemoryDownloader};
use tempfile::TempDir;
use updater::{CancellationToken, Error, Report, RetryPolicy, Updater, UpdaterBuilder};
use url::Url;

pub(crate) use crate::fakes::{FaultyDisk, Gated, Heard, When};
pub(crate) use crate::release::Release;

pub(crate) const BASE: &str = "http://hq.test/api/v1/tools/";
pub(crate) const MIRROR: &str = "http://mirror.test/api/v1/tools/";

pub(crate) fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

/// Bytes that no compression and no luck makes equal.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(length)
    .collect()
}

pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Replaces a file as an editor does: what shares its bytes keeps them.
pub(crate) fn replace(path: &Path, content: impl AsRef<[u8]>) {
    fs::remove_file(path).unwrap();
    fs::write(path, content).unwrap();
}

#[cfg(unix)]
pub(crate) fn set_mode(path: &Path, executable: bool) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = if executable { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
pub(crate) fn set_mode(_: &Path, _: bool) {}

#[cfg(unix)]
pub(crate) fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).unwrap().permissions().mode() & 0o111 != 0
}

/// Every file below a folder with its content, by path.
pub(crate) fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(folder: &Path, prefix: &str, found: &mut BTreeMap<String, Vec<u8>>) {
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        for entry in entries {
            let entry = entry.unwrap();
            let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), &format!("{path}/"), found);
            } else {
                found.insert(path, fs::read(entry.path()).unwrap_or_default());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, "", &mut found);
    found
}

pub(crate) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A worker's machine, and a network that is only memory.
pub(crate) struct World {
    folder: TempDir,
    pub(crate) memory: MemoryDownloader,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            memory: MemoryDownloader::new(),
        }
    }

    /// A world in which this release is installed; the counters begin after that.
    pub(crate) async fn with(release: &Release) -> Self {
        let mut world = Self::new();
        world.install(release).await;
        world.memory = MemoryDownloader::new();
        world
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("tool")
    }

    /// Somewhere outside the tool's root.
    pub(crate) fn outside(&self) -> PathBuf {
        self.folder.path().join("outside")
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub(crate) fn installed(&self, release: &Release, path: &str) -> PathBuf {
        self.root()
            .join("releases")
            .join(release.folder_name())
            .join(path)
    }

    pub(crate) fn builder(&self) -> UpdaterBuilder {
        builder(&self.root(), Arc::new(self.memory.clone()))
    }

    pub(crate) fn updater(&self) -> Updater {
        self.builder().build().unwrap()
    }

    pub(crate) fn serve(&self, release: &Release) {
        release.serve_at(&self.memory, release.base());
    }

    /// Serves and applies; the report.
    pub(crate) async fn install(&self, release: &Release) -> Report {
        self.serve(release);
        apply(&self.updater(), release).await.unwrap()
    }

    pub(crate) fn current(&self) -> String {
        fs::read_to_string(self.path("current.txt")).unwrap()
    }

    pub(crate) fn requests(&self) -> usize {
        self.memory.requests().len()
    }

    /// The release is active, and its folder holds it, these files beside it, and nothing else.
    #[track_caller]
    pub(crate) fn assert_active(&self, release: &Release, others: &[(&str, &str)]) {
        assert_eq!(self.current(), release.folder_name());
        self.assert_installed(release, others);
    }

    #[track_caller]
    pub(crate) fn assert_installed(&self, release: &Release, others: &[(&str, &str)]) {
        let mut wanted: BTreeMap<String, Vec<u8>> = release
            .files()
            .iter()
            .map(|(path, (content, _))| (path.clone(), content.clone()))
            .collect();
        wanted.insert("manifest.json".into(), release.manifest().to_bytes());
        for (path, content) in others {
            wanted.insert((*path).into(), content.as_bytes().to_vec());
        }
        let found = tree(&self.installed(release, ""));
        let names = |tree: &BTreeMap<String, Vec<u8>>| tree.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&wanted));
        for (path, content) in wanted {
            assert!(found[&path] == content, "{path} has other bytes");
        }
        #[cfg(unix)]
        for (path, (_, executable)) in release.files() {
            let is = is_executable(&self.installed(release, path));
            assert_eq!(is, *executable, "mode of {path}");
        }
    }

    /// Nothing is left of the work on a release.
    #[track_caller]
    pub(crate) fn assert_tidy(&self) {
        for folder in ["releases/.staging", "releases/.trash"] {
            assert_eq!(tree(&self.path(folder)), BTreeMap::new(), "{folder}");
        }
        for entry in fs::read_dir(self.path("releases/.staging")).unwrap() {
            assert_eq!(entry.unwrap().file_name(), "partials");
        }
        let stray = |path: &&String| path.contains(".lockstep-") || path.contains(".json.new");
        assert_eq!(tree(&self.root()).keys().find(stray), None);
    }
}

pub(crate) fn builder(root: &Path, downloader: Arc<dyn Downloader>) -> UpdaterBuilder {
    Updater::builder(root)
        .with_downloader(downloader)
        .with_retry(quick())
}

/// Retries that a test need not wait for.
pub(crate) fn quick() -> RetryPolicy {
    RetryPolicy::new()
        .with_attempts(2)
        .with_base(Duration::ZERO)
        .with_longest(Duration::ZERO)
}

pub(crate) async fn apply(updater: &Updater, release: &Release) -> Result<Report, Error> {
    updater
        .apply(&release.trusted(), &CancellationToken::new())
        .await
}

/// Applies again and again while the lock is still held by a run that was given up.
pub(crate) async fn apply_when_free(updater: &Updater, release: &Release) -> Report {
    for _ in 0..2000 {
        match apply(updater, release).await {
            Err(error) if error.kind() == updater::ErrorKind::Busy => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            done => return done.unwrap(),
        }
    }
    panic!("the lock was never freed");
}
