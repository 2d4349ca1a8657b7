//! What a publisher makes.

use std::collections::BTreeMap;
use std::path::Path;

use downloader::MemoryDownloader;
use manifest_core::{DeletePolicy, IgnoreGlobs, Manifest, ManifestBuilder, Sha256Digest, file_url};
use updater::{TrustPolicy, TrustedManifest};
use url::Url;

use crate::support::{BASE, set_mode, url, write};

/// What a publisher has: files with their contents.
#[derive(Clone)]
pub(crate) struct Release {
    tool: String,
    version: String,
    base: Url,
    policy: DeletePolicy,
    globs: Option<IgnoreGlobs>,
    files: BTreeMap<String, (Vec<u8>, bool)>,
}

impl Release {
    pub(crate) fn new(version: &str) -> Self {
        Self {
            tool: "sketcher".into(),
            version: version.into(),
            base: url(BASE),
            policy: DeletePolicy::Safe,
            globs: None,
            files: BTreeMap::new(),
        }
    }

    /// The next release, which starts out with the same files.
    pub(crate) fn next(&self, version: &str) -> Self {
        Self {
            version: version.into(),
            ..self.clone()
        }
    }

    pub(crate) fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref().to_vec();
        self.files.insert(path.into(), (content, false));
        self
    }

    pub(crate) fn program(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref().to_vec();
        self.files.insert(path.into(), (content, true));
        self
    }

    pub(crate) fn without(mut self, path: &str) -> Self {
        self.files.remove(path).expect("only what is there");
        self
    }

    pub(crate) fn of_tool(mut self, tool: &str) -> Self {
        self.tool = tool.into();
        self
    }

    pub(crate) fn with_policy(mut self, policy: DeletePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// With these ignore globs instead of the usual ones.
    pub(crate) fn with_globs<const N: usize>(mut self, globs: [&str; N]) -> Self {
        self.globs = Some(IgnoreGlobs::new(globs).unwrap());
        self
    }

    pub(crate) fn with_base(mut self, base: Url) -> Self {
        self.base = base;
        self
    }

    pub(crate) fn manifest(&self) -> Manifest {
        let mut builder =
            ManifestBuilder::new(self.tool.parse().unwrap(), self.version.parse().unwrap())
                .with_base_url(self.base.clone())
                .with_delete_policy(self.policy);
        if let Some(globs) = &self.globs {
            builder = builder.with_ignore_globs(globs);
        }
        for (path, (content, executable)) in &self.files {
            let digest = Sha256Digest::of(content);
            let size = content.len() as u64;
            builder = builder.with_file(path.parse().unwrap(), digest, size, *executable);
        }
        builder.build().unwrap()
    }

    pub(crate) fn trusted(&self) -> TrustedManifest {
        TrustPolicy::Unsigned.trust(self.manifest()).unwrap()
    }

    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    pub(crate) fn files(&self) -> &BTreeMap<String, (Vec<u8>, bool)> {
        &self.files
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.manifest().total_size()
    }

    pub(crate) fn content(&self, path: &str) -> &[u8] {
        &self.files[path].0
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        self.url_at(&self.base, path)
    }

    pub(crate) fn url_at(&self, base: &Url, path: &str) -> Url {
        let manifest = self.manifest();
        let path = path.parse().unwrap();
        file_url(base, manifest.tool_id(), manifest.tool_version(), &path).unwrap()
    }

    pub(crate) fn folder_name(&self) -> String {
        format!("v{}", self.version)
    }

    pub(crate) fn serve_at(&self, memory: &MemoryDownloader, base: &Url) {
        for (path, (content, _)) in &self.files {
            memory.insert(self.url_at(base, path), content.clone());
        }
    }

    /// Writes the files as a publisher has them.
    pub(crate) fn write_to(&self, folder: &Path) {
        for (path, (content, executable)) in &self.files {
            write(&folder.join(path), content);
            set_mode(&folder.join(path), *executable);
        }
    }
}
