//! Where things are on this machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::{CommitId, Error, ErrorKind, RepoUrl, VersionId};

macro_rules! place {
    ($(#[$docs:meta])* $name:ident) => {
        $(#[$docs])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(PathBuf);

        impl $name {
            /// This folder, which need not exist yet.
            #[must_use]
            pub fn new(path: impl Into<PathBuf>) -> Self {
                Self(path.into())
            }

            /// The folder.
            #[must_use]
            pub fn path(&self) -> &Path {
                &self.0
            }
        }
    };
}

place! {
    /// `COMFY_HOME`: the checkout that ComfyUI runs from, with the user's inputs and outputs.
    Home
}

place! {
    /// The cache root: `comfy/`, `custom_nodes/`, `models/`, `resolved/`, `wheels/`; shared by versions and processes.
    Cache
}

place! {
    /// `MODELS_DIR`: the one place of all models.
    ModelsDir
}

impl Cache {
    /// `comfy/<repo>@<commit>`.
    #[must_use]
    pub fn comfy(&self, repo: &RepoUrl, commit: &CommitId) -> PathBuf {
        self.0.join("comfy").join(checkout_name(repo, commit))
    }

    /// `custom_nodes/<repo>@<commit>`.
    #[must_use]
    pub fn node(&self, repo: &RepoUrl, commit: &CommitId) -> PathBuf {
        self.0
            .join("custom_nodes")
            .join(checkout_name(repo, commit))
    }

    /// Whether a path is that of a node in some cache.
    pub(crate) fn is_node(path: &Path) -> bool {
        let is_hex = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let name = path.file_name().and_then(|name| name.to_str());
        let is_checkout =
            name.and_then(|name| name.rsplit_once('@'))
                .is_some_and(|(name, commit)| {
                    let digest = name.rsplit_once('-').map(|(_, digest)| digest);
                    is_hex(commit, 40) && digest.is_some_and(|digest| is_hex(digest, 8))
                });
        is_checkout
            && path
                .parent()
                .is_some_and(|parent| parent.ends_with("custom_nodes"))
    }

    /// `resolved/<version_id>.lock.json`.
    #[must_use]
    pub fn lock(&self, version: &VersionId) -> PathBuf {
        self.resolved().join(format!("{version}.lock.json"))
    }

    /// Where the locks of versions are.
    pub(crate) fn resolved(&self) -> PathBuf {
        self.0.join("resolved")
    }

    /// Where Python packages are kept.
    #[must_use]
    pub fn wheels(&self) -> PathBuf {
        self.0.join("wheels")
    }

    /// The default of [`ModelsDir`].
    #[must_use]
    pub fn models(&self) -> ModelsDir {
        ModelsDir(self.0.join("models"))
    }
}

/// The last part of the address, made safe, with enough of the address' digest that two repositories of one name stay apart.
fn checkout_name(repo: &RepoUrl, commit: &CommitId) -> String {
    let text = repo.as_str().trim_end_matches('/').trim_end_matches(".git");
    let last = text.rsplit(['/', ':']).next().unwrap_or_default();
    let safe: String = last
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(*letter))
        .collect();
    let digest = manifest_core::Sha256Digest::of(text.as_bytes()).to_string();
    format!("{}-{}@{commit}", safe.trim_matches('.'), &digest[..8])
}

impl Home {
    /// The home of a version: `target`, else `$COMFY_HOME`, else `/runpod-volume/comfy-<id>` where that volume is, else
    /// `/workspace/comfy-<id>` where that is, else `~/comfy-<id>`.
    ///
    /// `variable` is asked for the environment's `COMFY_HOME` and `HOME` (on Windows `USERPROFILE`), `is_dir` for the two volumes.
    /// Relative paths stay relative. Empty variables count as not set.
    ///
    /// ```
    /// use version_spec::Home;
    ///
    /// let variable = |name: &str| (name == "HOME").then(|| "/root".into());
    /// let id = "wan22".parse()?;
    /// let home = Home::choose(&id, None, variable, |path| path == std::path::Path::new("/workspace"))?;
    /// assert_eq!(home.path(), std::path::Path::new("/workspace/comfy-wan22"));
    /// let home = Home::choose(&id, None, variable, |_| false)?;
    /// assert_eq!(home.path(), std::path::Path::new("/root/comfy-wan22"));
    /// # Ok::<(), version_spec::Error>(())
    /// ```
    ///
    /// # Errors
    /// `NotFound` if nothing of that leads to a folder.
    pub fn choose(
        version: &VersionId,
        target: Option<&Path>,
        variable: impl Fn(&str) -> Option<OsString>,
        is_dir: impl Fn(&Path) -> bool,
    ) -> Result<Self, Error> {
        if let Some(target) = target {
            return Ok(Self::new(target));
        }
        if let Some(home) = set(&variable, "COMFY_HOME") {
            return Ok(Self(home));
        }
        let name = format!("comfy-{version}");
        let volume = ["/runpod-volume", "/workspace"]
            .into_iter()
            .map(Path::new)
            .find(|volume| is_dir(volume));
        let parent = volume
            .map(Path::to_owned)
            .or_else(|| user_folder(&variable));
        match parent {
            Some(parent) => Ok(Self(parent.join(name))),
            None => Err(Error::new(
                ErrorKind::NotFound,
                "there is no folder to realize a version in",
            )
            .with_hint("name one by --target")),
        }
    }
}

impl Cache {
    /// The cache root: `root`, else `$COMFY_CACHE_ROOT`, else `~/.comfy-cache`. As [`Home::choose`].
    ///
    /// # Errors
    /// `NotFound` if nothing of that leads to a folder.
    pub fn choose(
        root: Option<&Path>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Error> {
        let chosen = root
            .map(Path::to_owned)
            .or_else(|| set(&variable, "COMFY_CACHE_ROOT"));
        match chosen.or_else(|| user_folder(&variable).map(|folder| folder.join(".comfy-cache"))) {
            Some(root) => Ok(Self(root)),
            None => Err(
                Error::new(ErrorKind::NotFound, "there is no folder for the cache")
                    .with_hint("name one by COMFY_CACHE_ROOT"),
            ),
        }
    }
}

fn set(variable: impl Fn(&str) -> Option<OsString>, name: &str) -> Option<PathBuf> {
    variable(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

fn user_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    set(&variable, "HOME").or_else(|| set(&variable, "USERPROFILE"))
}
