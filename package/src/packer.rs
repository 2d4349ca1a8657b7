use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use durable_fs::Disk;
use manifest_core::{FileEntry, MANIFEST_FILE_NAME, Sha256Digest};
use url::Url;

use crate::archive::{self, Member};
use crate::dist::{self, Dist};
use crate::method::is_stored;
use crate::names::asset_url;
use crate::ordered::cores;
use crate::progress::Watch;
use crate::release::Scanned;
use crate::report::warnings;
use crate::{
    Asset, Catalog, CatalogTool, Error, ErrorKind, Latest, PackProgress, Packed, PackedTool, Plan,
    PlannedTool, Release, Result, ToolFolder, frontend_asset_name, tool_asset_name,
};

/// What to do about an archive that is there already, with other content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Existing {
    /// Refuse to pack: somebody may have it.
    #[default]
    Refuse,
    /// Replace it.
    Replace,
}

/// Packs releases into a folder: archives, and the catalogue that names them.
#[derive(Clone, Debug)]
pub struct Packer {
    dist: PathBuf,
    disk: Disk,
    release_url: Option<Url>,
    existing: Existing,
    latest: Latest,
    threads: Option<NonZeroUsize>,
}

impl Packer {
    /// A packer into this folder, which is created when there is something to put into it.
    #[must_use]
    pub fn new(dist: impl Into<PathBuf>) -> Self {
        Self {
            dist: dist.into(),
            disk: Disk::real(),
            release_url: None,
            existing: Existing::default(),
            latest: Latest::default(),
            threads: None,
        }
    }

    /// The disk to read from and to write to.
    #[must_use]
    pub fn with_disk(mut self, disk: Disk) -> Self {
        self.disk = disk;
        self
    }

    /// Where the archives will be uploaded to, e.g. `https://github.com/o/r/releases/download/v1/`: the catalogue
    /// says for each archive where it is. Without, it does not.
    #[must_use]
    pub fn with_release_url(mut self, url: Url) -> Self {
        self.release_url = Some(url);
        self
    }

    /// What to do about an archive that is there already, with other content. Default: refuse.
    #[must_use]
    pub fn with_existing(mut self, existing: Existing) -> Self {
        self.existing = existing;
        self
    }

    /// Which release the catalogue names as the latest. Default: the one with the higher version.
    #[must_use]
    pub fn with_latest(mut self, latest: Latest) -> Self {
        self.latest = latest;
        self
    }

    /// How many files to compress at a time. Default: one for each core. The bytes are the same.
    #[must_use]
    pub fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Packs each folder as a release.
    ///
    /// For each: the archive of the front end, the manifest that names it, the archive of the release; at last the
    /// catalogue. All of it is made under other names in the folder, and is durable before it gets its own. After a
    /// failure or when it was stopped, nothing is there that was not there before. Packing again what is there
    /// already is fine.
    ///
    /// `observe` hears how far it is, from several threads and often, and stops it by breaking: then it ends after at
    /// most one piece of a file per thread.
    ///
    /// Memory is some 10 MB for each thread, and a few hundred bytes for each file, whatever the sizes.
    ///
    /// # Errors
    /// * [`ErrorKind::Tool`], [`ErrorKind::Policy`], [`ErrorKind::NotFound`]: a folder is no release.
    /// * [`ErrorKind::Duplicate`]: two folders have the same archive.
    /// * [`ErrorKind::Place`]: the folder to pack into lies in one that is packed.
    /// * [`ErrorKind::Integrity`]: a file changed meanwhile.
    /// * [`ErrorKind::Conflict`]: an archive of this name is there, with other content.
    /// * [`ErrorKind::Catalog`]: the catalogue that is there cannot be read.
    /// * [`ErrorKind::Busy`]: another process is packing into the folder.
    /// * [`ErrorKind::Cancelled`], [`ErrorKind::NoSpace`], [`ErrorKind::PermissionDenied`], [`ErrorKind::Io`].
    pub fn pack(
        &self,
        folders: &[ToolFolder],
        observe: impl Fn(PackProgress<'_>) -> ControlFlow<()> + Sync,
    ) -> Result<Packed> {
        let watch = Watch::new(&observe);
        let scanned = self.scan(folders, &watch)?;
        let dist = Dist::open(&self.disk, &self.dist)?;
        let mut catalog = dist.catalog()?;
        let mut tools = Vec::new();
        let mut assets = Vec::new();
        for scanned in &scanned {
            let release = scanned.describe(self.threads(), &watch, |name| {
                dist.create(name, 0).map(Some)
            })?;
            let asset = self.pack_tool(scanned, &release, &dist, &watch)?;
            let state = dist.state_of(&asset, self.existing, &watch)?;
            assets.push((asset.clone(), state));
            let mut frontend_state = None;
            if let Some(frontend) = &release.frontend {
                let state = dist.state_of(frontend, self.existing, &watch)?;
                assets.push((frontend.clone(), state));
                frontend_state = Some(state);
            }
            let entry = self.catalog_tool(&release, &asset.name, asset.sha256)?;
            let listing = catalog.list(entry, self.latest);
            tools.push(PackedTool {
                release,
                asset,
                state,
                frontend_state,
                listing,
            });
        }
        watch.say(PackProgress::Committing)?;
        dist.commit(&assets, &catalog)?;
        let listed: Vec<_> = tools
            .iter()
            .map(|tool| (&tool.release, &tool.listing))
            .collect();
        let warnings = warnings(&listed);
        Ok(Packed {
            tools,
            catalog,
            warnings,
        })
    }

    /// Says what [`pack`](Self::pack) would do, as far as that is known without making the archives. Writes nothing.
    ///
    /// Every file is hashed, and front ends are compressed, since the manifest holds the digest of their archive.
    ///
    /// # Errors
    /// As [`pack`](Self::pack).
    pub fn plan(
        &self,
        folders: &[ToolFolder],
        observe: impl Fn(PackProgress<'_>) -> ControlFlow<()> + Sync,
    ) -> Result<Plan> {
        let watch = Watch::new(&observe);
        let scanned = self.scan(folders, &watch)?;
        let cannot = |error| Error::disk(format!("cannot read {}", self.dist.display()), error);
        let dist = match self.disk.open_dir(&self.dist) {
            Err(error) if error.is_not_found() => None,
            opened => Some(opened.map_err(cannot)?),
        };
        let mut catalog = match &dist {
            Some(dist) => dist::read_catalog(dist)?,
            None => Catalog::new(),
        };
        let mut tools = Vec::new();
        for scanned in &scanned {
            let release = scanned.describe(self.threads(), &watch, |_| Ok(None))?;
            let asset_name = asset_name(scanned);
            let frontend = release.frontend.as_ref().map(|asset| asset.name.clone());
            let mut existing = Vec::new();
            for name in [asset_name.clone()].into_iter().chain(frontend) {
                if let Some(dist) = &dist
                    && dist.metadata(&name).map_err(cannot)?.is_some()
                {
                    existing.push(name);
                }
            }
            // The digest of the archive is not known, and makes no difference to where it is listed.
            let hash = release.manifest.manifest_hash();
            let listing =
                catalog.list(self.catalog_tool(&release, &asset_name, hash)?, self.latest);
            tools.push(PlannedTool {
                release,
                asset_name,
                existing,
                listing,
            });
        }
        let listed: Vec<_> = tools
            .iter()
            .map(|tool| (&tool.release, &tool.listing))
            .collect();
        let warnings = warnings(&listed);
        Ok(Plan { tools, warnings })
    }

    fn threads(&self) -> usize {
        self.threads.map_or_else(cores, NonZeroUsize::get)
    }

    /// Reads all folders before anything is written, so that what can be refused is refused at once.
    fn scan<'f>(&self, folders: &'f [ToolFolder], watch: &Watch<'_>) -> Result<Vec<Scanned<'f>>> {
        for folder in folders {
            self.check_place(folder.path())?;
        }
        let mut scanned: Vec<Scanned<'_>> = Vec::new();
        // Where case does not count, these would be one file.
        let mut names = BTreeMap::new();
        for folder in folders {
            let read = Scanned::read(&self.disk, folder, watch)?;
            let name = asset_name(&read);
            if let Some(other) = names.insert(name.to_ascii_lowercase(), folder.path()) {
                let text = format!(
                    "{} and {} would both become {name}: give each its own tool_id and version",
                    other.display(),
                    folder.path().display()
                );
                return Err(Error::new(ErrorKind::Duplicate, text));
            }
            scanned.push(read);
        }
        Ok(scanned)
    }

    /// What is packed must not grow by being packed.
    fn check_place(&self, folder: &Path) -> Result<()> {
        let resolved = folder
            .canonicalize()
            .map_err(|error| Error::io(format!("cannot pack {}", folder.display()), error))?;
        if !resolve(&self.dist).starts_with(&resolved) {
            return Ok(());
        }
        let text = format!(
            "{} lies in {}: what is packed would become a part of the release; choose a place outside",
            self.dist.display(),
            folder.display()
        );
        Err(Error::new(ErrorKind::Place, text))
    }

    fn pack_tool(
        &self,
        scanned: &Scanned<'_>,
        release: &Release,
        dist: &Dist,
        watch: &Watch<'_>,
    ) -> Result<Asset> {
        let name = asset_name(scanned);
        let manifest = &release.manifest;
        let members = manifest.files().iter().map(|file| Member {
            name: file.path().as_str(),
            file,
        });
        let members: Vec<_> = members.collect();
        watch.say(PackProgress::Archive {
            name: &name,
            bytes: manifest.total_size(),
        })?;
        let stored = manifest
            .files()
            .iter()
            .filter(|file| is_stored(file.path().as_str()));
        let at_least = stored.map(FileEntry::size).sum();
        let written = archive::pack(
            &scanned.dir,
            &members,
            Some((MANIFEST_FILE_NAME, manifest.to_bytes())),
            Some(dist.create(&name, at_least)?),
            self.threads(),
            watch,
        )?;
        Ok(Asset {
            name,
            size: written.size,
            sha256: written.sha256,
        })
    }

    fn catalog_tool(
        &self,
        release: &Release,
        asset_name: &str,
        sha256: Sha256Digest,
    ) -> Result<CatalogTool> {
        let Release { manifest, tool, .. } = release;
        let (id, version) = (manifest.tool_id(), manifest.tool_version());
        let hash = manifest.manifest_hash();
        let mut entry = CatalogTool::new(id.clone(), version.clone(), asset_name, sha256, hash);
        if let Some(name) = &tool.name {
            entry.name.clone_from(name);
        }
        entry.platforms = tool.platforms.clone().unwrap_or_default();
        entry.category.clone_from(&tool.category);
        entry.api_contract = manifest.api_contract().map(str::to_owned);
        entry.supports_gpu_persistence = tool.supports_gpu_persistence;
        entry.has_frontend = release.frontend.is_some();
        entry.frontend_sha256 = release.frontend.as_ref().map(|asset| asset.sha256);
        if let Some(base) = &self.release_url {
            entry.download_url = Some(asset_url(base, asset_name)?);
            if entry.has_frontend {
                entry.frontend_url = Some(asset_url(base, &frontend_asset_name(id, version))?);
            }
        }
        Ok(entry)
    }
}

fn asset_name(scanned: &Scanned<'_>) -> String {
    let manifest = &scanned.scan.manifest;
    tool_asset_name(manifest.tool_id(), manifest.tool_version())
}

/// The path without links, as far as it exists.
fn resolve(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute
        .ancestors()
        .find_map(|above| {
            let below = absolute.strip_prefix(above).ok()?;
            Some(above.canonicalize().ok()?.join(below))
        })
        .unwrap_or(absolute)
}
