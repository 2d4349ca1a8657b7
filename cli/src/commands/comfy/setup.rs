//! From arguments and the environment to what the library needs.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use version_spec::{
    Bundle, Cache, CancellationToken, Comfy, ComfyBuilder, Endpoints, GitProgram, Home, HttpConfig,
    HttpDownloader, ModelsDir, Network, Parsed, Part, Spec, SpecReader, Tokens, UvProgram,
    VersionId,
};

use crate::args::comfy::{Folders, Places, Which};
use crate::exit::Failure;
use crate::progress::ComfyProgress;
use crate::signals;

/// A version, and everything to work on it.
pub(super) struct Session {
    pub(super) comfy: Comfy,
    pub(super) spec: Spec,
    pub(super) home: Home,
    pub(super) cancel: CancellationToken,
    pub(super) progress: ComfyProgress,
    /// What the spec was warned of.
    pub(super) warnings: Vec<String>,
}

impl Session {
    pub(super) fn open(version: &Which) -> Result<Self, Failure> {
        let progress = ComfyProgress::default();
        let (comfy, parsed) = if let Some(folder) = &version.bundle {
            let (comfy, id) = open_bundle(folder, &version.places, &progress)?;
            let parsed = comfy.spec(&id)?;
            (comfy, parsed)
        } else {
            let comfy = open(&version.places, &progress)?;
            let parsed = match (&version.version_id, &version.spec) {
                (Some(id), _) => comfy.spec(id)?,
                (None, Some(file)) => read_spec(file, &version.places.folders)?,
                (None, None) => unreachable!("clap asks for one of them"),
            };
            (comfy, parsed)
        };
        Ok(Self {
            comfy,
            home: home_of(&parsed.spec.version_id, version.target.as_deref())?,
            cancel: signals::cancellation(signals::STOPPING)?,
            progress,
            warnings: parsed.warnings.iter().map(ToString::to_string).collect(),
            spec: parsed.spec,
        })
    }
}

pub(super) fn home_of(id: &VersionId, target: Option<&Path>) -> Result<Home, Failure> {
    let home = Home::choose(id, target, |name| env::var_os(name), Path::is_dir)?;
    Ok(Home::new(absolute(home.path())?))
}

/// Everything to work on the version of a bundle.
fn open_bundle(
    folder: &Path,
    places: &Places,
    progress: &ComfyProgress,
) -> Result<(Comfy, VersionId), Failure> {
    let bundle = Bundle::open(absolute(folder)?)?;
    let mut builder =
        builder(places, bundle.cache(), &bundle.versions())?.with_network(Network::Forbidden);
    if places.folders.models_dir.is_none() {
        builder = builder.with_models_dir(bundle.cache().models());
    }
    if let Some(wheels) = bundle.wheels_dir() {
        builder = builder.with_wheels_dir(wheels);
    }
    Ok((
        builder.with_observer(progress.observer()).build(),
        bundle.version_id,
    ))
}

/// Everything to work on versions.
pub(super) fn open(places: &Places, progress: &ComfyProgress) -> Result<Comfy, Failure> {
    let cache = cache(places.cache.as_deref())?;
    Ok(builder(places, cache, &places.folders.versions_dir)?
        .with_observer(progress.observer())
        .build())
}

/// Only what specs need.
pub(super) fn specs(folders: &Folders, cache_root: Option<&Path>) -> Result<Comfy, Failure> {
    let cache = cache(cache_root)?;
    let models_dir = models_dir(folders, &cache)?;
    Ok(Comfy::builder(cache, &folders.versions_dir)
        .with_models_dir(models_dir)
        .build())
}

fn builder(places: &Places, cache: Cache, versions: &Path) -> Result<ComfyBuilder, Failure> {
    let endpoints = Endpoints::new();
    let tokens = Tokens::from_lookup(|name| env::var(name).ok());
    let http = HttpDownloader::new(tokens.configure(HttpConfig::new(), &endpoints))
        .map_err(|error| Failure::io("cannot fetch over HTTP".into(), &error))?;
    let models_dir = models_dir(&places.folders, &cache)?;
    let mut builder = Comfy::builder(cache, versions)
        .with_git(Arc::new(GitProgram::new("git")))
        .with_python(Arc::new(UvProgram::new("uv")))
        .with_downloader(Arc::new(http))
        .with_endpoints(endpoints)
        .with_tokens(tokens)
        .with_mirrors(places.mirrors.clone())
        .with_models_dir(models_dir);
    if places.offline {
        builder = builder.with_network(Network::Forbidden);
    }
    if places.skip_python {
        builder = builder.with_python_part(Part::Skip);
    }
    if places.skip_models {
        builder = builder.with_models_part(Part::Skip);
    }
    if let Some(folder) = &places.wheels_dir {
        builder = builder.with_wheels_dir(absolute(folder)?);
    }
    Ok(builder)
}

fn cache(root: Option<&Path>) -> Result<Cache, Failure> {
    let cache = Cache::choose(root, |name| env::var_os(name))?;
    Ok(Cache::new(absolute(cache.path())?))
}

fn models_dir(folders: &Folders, cache: &Cache) -> Result<ModelsDir, Failure> {
    let given = folders.models_dir.clone().or_else(|| {
        env::var_os("MODELS_DIR")
            .filter(|folder| !folder.is_empty())
            .map(PathBuf::from)
    });
    match given {
        Some(folder) => Ok(ModelsDir::new(absolute(&folder)?)),
        None => Ok(cache.models()),
    }
}

/// Links and other programs mean a path from elsewhere.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::io(format!("{} is no path", path.display()), &error))
}

pub(super) fn read_spec(file: &Path, folders: &Folders) -> Result<Parsed, Failure> {
    let bytes = read(file)?;
    let mut reader = SpecReader::new();
    if let Some(folder) = &folders.models_dir {
        reader = reader.with_models_dir(ModelsDir::new(absolute(folder)?));
    }
    reader
        .read(&bytes)
        .map_err(|invalid| version_spec::Error::from(invalid).into())
}

pub(super) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(file)
        .map_err(|error| Failure::io(format!("{} cannot be read", file.display()), &error))
}
