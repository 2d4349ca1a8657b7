use activation::InstalledRelease;
use durable_fs::Dir;
use manifest_core::{FileEntry, Manifest};
use tokio_util::sync::CancellationToken;

use crate::hash::hash;
use crate::patterns::{Patterns, shown};
use crate::record::Place;
use crate::version::Dotted;
use crate::{Error, ErrorKind};

/// What the active release wants.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) release: InstalledRelease,
    pub(crate) script: FileEntry,
    pub(crate) patterns: Patterns,
    pub(crate) needs: Needs,
}

/// The least versions of what it needs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needs {
    pub(crate) cuda: Option<Dotted>,
    pub(crate) python: Option<Dotted>,
}

impl Wanted {
    /// # Errors
    /// `NotConfigured`, `Manifest`.
    pub(crate) fn of(release: InstalledRelease) -> Result<Self, Error> {
        let manifest = release.manifest();
        let version = release.version();
        let not_configured = |why: &str| {
            let text = format!("release {version} wants no warm-up: {why}");
            Error::new(ErrorKind::NotConfigured, text)
        };
        let config = manifest
            .flash_gpu_config()
            .ok_or_else(|| not_configured("its manifest has no flash_gpu_config"))?;
        if !config.enabled {
            return Err(not_configured("flash_gpu_config.enabled is false"));
        }
        let script = config
            .warmup_script
            .as_deref()
            .ok_or_else(|| not_configured("flash_gpu_config names no warmup_script"))?;
        let script = manifest.file(script).cloned().ok_or_else(|| {
            let text = format!(
                "flash_gpu_config.warmup_script of release {version} names {script}, which is no file of the release"
            );
            Error::new(ErrorKind::Manifest, text)
        })?;
        Ok(Self {
            patterns: Patterns::new(&config.cache_artifacts)?,
            needs: Needs::of(manifest)?,
            script,
            release,
        })
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        self.release.manifest()
    }

    /// The folder of a place.
    pub(crate) fn dir<'d>(&'d self, root: &'d Dir, place: Place) -> &'d Dir {
        match place {
            Place::Release => self.release.dir(),
            Place::Root => root,
        }
    }

    /// Hashes the script.
    ///
    /// # Errors
    /// `Damaged` if it is not what the manifest says.
    pub(crate) fn verify_script(&self, cancel: &CancellationToken) -> Result<(), Error> {
        let path = self.script.path();
        let damaged = |why: String| {
            let text = format!(
                "{path} of release {} is damaged: {why}; repair the installation",
                self.release.version()
            );
            Err(Error::new(ErrorKind::Damaged, text))
        };
        let opened = self.release.dir().open_file_with_metadata(path);
        let (file, metadata) = match opened {
            Ok(opened) => opened,
            Err(error) => return damaged(format!("{error:#}")),
        };
        if metadata.len != self.script.size() {
            return damaged(format!("wrong size ({} bytes)", metadata.len));
        }
        match hash(&file, cancel) {
            _ if cancel.is_cancelled() => Err(Error::cancelled()),
            Ok((digest, _)) if digest == self.script.sha256() => Ok(()),
            Ok(_) => damaged("wrong content".into()),
            Err(error) => damaged(format!("cannot be read: {error}")),
        }
    }
}

impl Needs {
    pub(crate) fn of(manifest: &Manifest) -> Result<Self, Error> {
        let least = |name: &str, text: Option<&String>| {
            let parse = |text: &String| {
                Dotted::parse(text).ok_or_else(|| {
                    let text = format!(
                        "dependencies.{name} is \"{}\", which is no version of numbers and dots",
                        shown(text)
                    );
                    Error::new(ErrorKind::Manifest, text)
                })
            };
            text.map(parse).transpose()
        };
        let dependencies = manifest.dependencies();
        Ok(Self {
            cuda: least(
                "cuda_min",
                dependencies.and_then(|needs| needs.cuda_min.as_ref()),
            )?,
            python: least(
                "python_min",
                dependencies.and_then(|needs| needs.python_min.as_ref()),
            )?,
        })
    }
}
