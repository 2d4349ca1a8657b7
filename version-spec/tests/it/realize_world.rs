//! Repositories, packages and models that are made up, and a home to realize them in.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use downloader::MemoryDownloader;
use durable_fs::Disk;
use tempfile::TempDir;
use version_spec::{
    Cache, CancellationToken, Comfy, ComfyBuilder, Error, FakeGit, FakePython, Home, Lock, Network,
    Plan, Realized, Refresh, RepoUrl, Spec,
};

pub(crate) const CORE: &str = "https://host/ComfyUI";
pub(crate) const ONE: &str = "https://host/One";
pub(crate) const TWO: &str = "https://host/Two";
pub(crate) const MODEL: &str = "https://models/x.bin";

pub(crate) fn repo(text: &str) -> RepoUrl {
    text.parse().unwrap()
}

pub(crate) struct World {
    folder: TempDir,
    pub(crate) git: FakeGit,
    pub(crate) python: FakePython,
    pub(crate) net: MemoryDownloader,
}

impl World {
    /// ComfyUI, two nodes, of which `One` has an `install.py`, and a model.
    pub(crate) fn new() -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
            git: FakeGit::new(),
            python: FakePython::new()
                .with_package("torch", "2.1", &[])
                .with_package("numpy", "1.0", &[]),
            net: MemoryDownloader::new(),
        };
        world.commit(
            CORE,
            &[
                ("main.py", "print('one')\n"),
                ("requirements.txt", "torch\n"),
                ("comfy/old/gone.py", "pass\n"),
                ("comfy/ops.py", "one\n"),
                ("input/example.png", "picture\n"),
                ("models/checkpoints/put_checkpoints_here", ""),
            ],
        );
        world.commit(
            ONE,
            &[
                ("node.py", "one\n"),
                ("requirements.txt", "numpy\n"),
                ("install.py", "pass\n"),
            ],
        );
        world.commit(TWO, &[("node.py", "two\n")]);
        world
            .net
            .insert(MODEL.parse().unwrap(), &b"weights, sixteen"[..]);
        world
    }

    pub(crate) fn commit(&self, address: &str, files: &[(&str, &str)]) {
        let commit = self.git.commit(&repo(address), files);
        self.git.set_ref(&repo(address), "HEAD", &commit);
    }

    /// The second state of ComfyUI.
    pub(crate) fn move_core(&self) {
        self.commit(
            CORE,
            &[
                ("main.py", "print('two')\n"),
                ("requirements.txt", "torch\n"),
                ("comfy/ops.py", "two\n"),
                ("comfy/new.py", "new\n"),
                ("input/example.png", "another picture\n"),
                ("models/checkpoints/put_checkpoints_here", ""),
            ],
        );
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    pub(crate) fn home(&self) -> Home {
        Home::new(self.path("home"))
    }

    pub(crate) fn cache(&self) -> Cache {
        Cache::new(self.path("cache"))
    }

    pub(crate) fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Not through a link: what it leads to is not meant.
        if path.is_file() {
            fs::remove_file(&path).unwrap();
        }
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative))
            .unwrap_or_else(|error| panic!("{relative}: {error}"))
    }

    pub(crate) fn exists(&self, relative: &str) -> bool {
        self.path(relative).symlink_metadata().is_ok()
    }

    pub(crate) fn builder(&self) -> ComfyBuilder {
        self.builder_at(self.folder.path())
    }

    /// With a cache in another folder.
    pub(crate) fn builder_at(&self, root: &Path) -> ComfyBuilder {
        Comfy::builder(Cache::new(root.join("cache")), root.join("versions"))
            .with_git(Arc::new(self.git.clone()))
            .with_python(Arc::new(self.python.clone()))
            .with_downloader(Arc::new(self.net.clone()))
    }

    pub(crate) fn comfy(&self) -> Comfy {
        self.builder().build()
    }

    pub(crate) fn offline(&self) -> Comfy {
        self.builder().with_network(Network::Forbidden).build()
    }

    pub(crate) fn on(&self, disk: Disk) -> Comfy {
        self.builder().with_disk(disk).build()
    }

    /// What was asked of git, Python and the net, all in all.
    pub(crate) fn calls(&self) -> usize {
        self.git.calls().len() + self.python.calls().len() + self.net.requests().len()
    }

    /// Every path below a folder, with what it is.
    pub(crate) fn listing(&self, relative: &str) -> BTreeMap<PathBuf, String> {
        let mut listing = BTreeMap::new();
        list(&self.path(relative), &mut listing);
        listing
    }
}

fn list(folder: &Path, listing: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            list(&path, listing);
        }
        listing.insert(
            path,
            format!(
                "{:?} {} {:?}",
                metadata.file_type(),
                metadata.len(),
                metadata.modified().ok()
            ),
        );
    }
}

/// ComfyUI with these nodes and this model.
pub(crate) fn spec_of(id: &str, nodes: &[&str], models: &[&str]) -> Spec {
    let nodes: Vec<String> = nodes
        .iter()
        .map(|node| format!("{{\"repo\": \"{node}\"}}"))
        .collect();
    let model = |model: &&str| {
        let name = model.rsplit('/').next().unwrap();
        format!("{{\"source\": \"{model}\", \"name\": \"{name}\", \"target_subdir\": \"loras\"}}")
    };
    let models: Vec<String> = models.iter().map(model).collect();
    let text = format!(
        "{{\"schema_version\": 2, \"version_id\": \"{id}\", \"comfy\": {{\"repo\": \"{CORE}\"}}, \"custom_nodes\": [{}], \"models\": [{}]}}",
        nodes.join(","),
        models.join(",")
    );
    Spec::parse(text.as_bytes()).unwrap().spec
}

pub(crate) fn spec() -> Spec {
    spec_of("v1", &[ONE, TWO], &[MODEL])
}

pub(crate) async fn lock(comfy: &Comfy, spec: &Spec) -> Lock {
    comfy
        .resolve(spec, Refresh::No, &CancellationToken::new())
        .await
        .unwrap()
        .lock
}

pub(crate) async fn try_realize(
    comfy: &Comfy,
    spec: &Spec,
    home: &Home,
) -> Result<Realized, Error> {
    let cancel = CancellationToken::new();
    let lock = comfy.resolve(spec, Refresh::No, &cancel).await?.lock;
    comfy.realize(spec, &lock, home, &cancel).await
}

pub(crate) async fn realize(comfy: &Comfy, spec: &Spec, home: &Home) -> Realized {
    try_realize(comfy, spec, home)
        .await
        .unwrap_or_else(|error| panic!("{error:#}"))
}

pub(crate) async fn plan(comfy: &Comfy, spec: &Spec, home: &Home) -> Plan {
    let lock = lock(comfy, spec).await;
    comfy.plan(spec, &lock, home).unwrap()
}
