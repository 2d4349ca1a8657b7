use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use durable_fs::{Dir, Disk, FileWriter};
use manifest_core::{
    Frontend, FrontendType, Manifest, ManifestBuilder, Scan, ScanOptions, Sha256Digest, ToolJson,
    scan_observed,
};
use serde::Serialize;

use crate::ordered::cores;
use crate::progress::Watch;
use crate::{Error, ErrorKind, PackProgress, Result, archive, frontend, frontend_asset_name};

/// A folder that holds the files of one release of a tool.
#[derive(Clone, Debug)]
pub struct ToolFolder {
    path: PathBuf,
    options: ScanOptions,
}

impl ToolFolder {
    /// A folder whose `tool.json` says what the tool is.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            options: ScanOptions::new(),
        }
    }

    /// How to read it: another id or version, where the files will be served, what to leave out.
    ///
    /// Leave the date away if the same files are to give the same archive tomorrow.
    #[must_use]
    pub fn with_scan_options(mut self, options: ScanOptions) -> Self {
        self.options = options;
        self
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// An archive, by what identifies it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Asset {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// The digest of the whole archive.
    pub sha256: Sha256Digest,
}

/// A release, as it would be packed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Release {
    /// What the release is, its front end included.
    pub manifest: Manifest,
    /// What the folder's `tool.json` says.
    pub tool: ToolJson,
    /// The archive of the front end, if there is one.
    pub frontend: Option<Asset>,
    /// What was kept in spite of an ignore glob, one sentence each.
    pub warnings: Vec<String>,
}

/// Describes a folder as the release that [`Packer`](crate::Packer) would pack, and writes nothing.
///
/// The manifest says which archive the front end is, by its digest. [`manifest_core::scan`] alone does not know
/// archives, so that the manifest of a tool with a front end, and its hash, would be another one. Publish what this
/// returns wherever the release is published, too.
///
/// `observe` hears how far it is, from several threads, and stops it by breaking.
///
/// # Errors
/// [`ErrorKind::Tool`], [`ErrorKind::Policy`], [`ErrorKind::NotFound`], [`ErrorKind::Integrity`],
/// [`ErrorKind::Cancelled`], [`ErrorKind::Io`].
pub fn describe(
    folder: &ToolFolder,
    observe: impl Fn(PackProgress<'_>) -> ControlFlow<()> + Sync,
) -> Result<Release> {
    let watch = Watch::new(&observe);
    Scanned::read(&Disk::real(), folder, &watch)?.describe(cores(), &watch, |_| Ok(None))
}

/// A folder that was scanned, held open.
pub(crate) struct Scanned<'a> {
    pub(crate) folder: &'a ToolFolder,
    pub(crate) dir: Dir,
    pub(crate) scan: Scan,
}

impl<'a> Scanned<'a> {
    pub(crate) fn read(disk: &Disk, folder: &'a ToolFolder, watch: &Watch<'_>) -> Result<Self> {
        let path = folder.path();
        let cannot = || format!("{} cannot be described as a release", path.display());
        let dir = disk
            .open_dir(path)
            .map_err(|error| Error::disk(cannot(), error))?;
        watch.say(PackProgress::Scanning { folder: path })?;
        let scan = scan_observed(path, &folder.options, |progress| {
            watch.hand_on(PackProgress::Scanned(progress))
        })
        .map_err(|error| Error::release(cannot(), error))?;
        if scan.manifest.files().is_empty() {
            let text = format!("{} holds no file of a release", path.display());
            return Err(Error::new(ErrorKind::Tool, text));
        }
        Ok(Self { folder, dir, scan })
    }

    /// Packs the front end into what `create` opens for an archive of that name, and says so in the manifest.
    pub(crate) fn describe(
        &self,
        threads: usize,
        watch: &Watch<'_>,
        create: impl FnOnce(&str) -> Result<Option<FileWriter>>,
    ) -> Result<Release> {
        let Scan {
            manifest,
            tool,
            warnings,
            ..
        } = &self.scan;
        let mut release = Release {
            manifest: manifest.clone(),
            tool: tool.clone(),
            frontend: None,
            warnings: warnings.clone(),
        };
        let Some(found) = frontend::find(tool, manifest, self.folder.path())? else {
            return Ok(release);
        };
        let name = frontend_asset_name(manifest.tool_id(), manifest.tool_version());
        watch.say(PackProgress::Archive {
            name: &name,
            bytes: found.members.iter().map(|member| member.file.size()).sum(),
        })?;
        let out = create(&name)?;
        let written = archive::pack(&self.dir, &found.members, None, out, threads, watch)?;
        let frontend = Frontend {
            kind: FrontendType::Web,
            entry: Some(found.entry),
            archive: Some(name.clone()),
            sha256: Some(written.sha256),
        };
        release.manifest = ManifestBuilder::from_manifest(manifest)
            .with_frontend(&frontend)
            .build()
            .map_err(|error| {
                let path = self.folder.path().display();
                Error::release(format!("{path} cannot be described as a release"), error)
            })?;
        release.frontend = Some(Asset {
            name,
            size: written.size,
            sha256: written.sha256,
        });
        Ok(release)
    }
}
