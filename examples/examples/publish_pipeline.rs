//! A release job: from folders to archives and a catalogue, proved, and into HQ's store.
//!
//! ```sh
//! cargo run --release -p lockstep-examples --example publish_pipeline                 # with sample tools
//! cargo run --release -p lockstep-examples --example publish_pipeline -- DIST DIR...  # with folders of yours
//! ```
//!
//! Run it twice on the same folders: the archives are the same, byte for byte, and the second run says so.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::{env, io};

use lockstep_examples::{explain, human, write_sample};
use manifest_core::{Limits, Manifest, Sha256Digest, ToolJson, hash_file, hash_reader};
use mirror::Store;
use package::{Catalog, CatalogTool, PackProgress, Packed, Packer, ToolFolder};
use tempfile::TempDir;
use updater::Disk;
use zip::ZipArchive;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// Where the job will upload what it packs.
const RELEASE_URL: &str = "https://github.com/example/tools/releases/download/2026-03/";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", explain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let work = tempfile::tempdir()?; // removed at the end
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let (dist, folders) = match arguments.as_slice() {
        [] => (work.path().join("dist"), sample(&work)?),
        [dist, folders @ ..] if !folders.is_empty() => (dist.clone(), folders.to_vec()),
        _ => return Err("give DIST and one or more folders, or nothing".into()),
    };

    // What nobody should find out after minutes of packing.
    for folder in &folders {
        let tool = ToolJson::read(folder)?.unwrap_or_default();
        if tool.name.is_none() {
            println!("note: {} has no name for people", folder.display());
        }
    }

    let folders: Vec<ToolFolder> = folders.into_iter().map(ToolFolder::new).collect();
    let packed = pack(&dist, &folders)?;
    prove(&dist, &packed)?;
    publish(&work, &folders, &packed)
}

/// Scan, front end, manifest, archive, catalogue: one call.
fn pack(dist: &Path, folders: &[ToolFolder]) -> Result<Packed> {
    let log = Log::default();
    let packed = Packer::new(dist)
        .with_release_url(RELEASE_URL.parse()?)
        .pack(folders, |progress| log.hear(progress))?;
    for tool in &packed.tools {
        let (manifest, asset) = (&tool.release.manifest, &tool.asset);
        println!(
            "packed {} {}: {} files, {}, as {} of {} ({:?})",
            manifest.tool_id(),
            manifest.tool_version(),
            manifest.files().len(),
            human(manifest.total_size()),
            asset.name,
            human(asset.size),
            tool.state,
        );
        if let Some(frontend) = &tool.release.frontend {
            println!("  and its front end as {}", frontend.name);
        }
        println!("  manifest hash {}", manifest.manifest_hash());
    }
    for warning in &packed.warnings {
        println!("warning: {warning}");
    }
    Ok(packed)
}

/// What a job writes into its log. Packing stops when `hear` breaks, for instance when the job is cancelled.
#[derive(Default)]
struct Log(Mutex<Share>);

#[derive(Default)]
struct Share {
    bytes: u64,
    done: u64,
    said: u64,
}

impl Log {
    fn hear(&self, progress: PackProgress<'_>) -> ControlFlow<()> {
        let Ok(mut share) = self.0.lock() else {
            return ControlFlow::Break(());
        };
        match progress {
            PackProgress::Scanning { folder } => println!("hashing {}", folder.display()),
            PackProgress::Archive { name, bytes } => {
                println!("packing {name}, {}", human(bytes));
                *share = Share {
                    bytes,
                    ..Share::default()
                };
            }
            PackProgress::Packed(bytes) => {
                share.done += bytes;
                let percent = 100 * share.done / share.bytes.max(1);
                if percent >= share.said + 25 {
                    share.said = percent / 25 * 25;
                    println!("  {percent} %");
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Trusts nothing of the above: reads the catalogue as whoever downloads it does, and every archive of this job that it names by
/// another implementation of ZIP.
fn prove(dist: &Path, packed: &Packed) -> Result<()> {
    let bytes = fs::read(dist.join("catalog.json"))?;
    let schema = package::schema();
    jsonschema::validate(&schema, &serde_json::from_slice(&bytes)?)
        .map_err(|error| format!("catalog.json: {error}"))?;
    let catalog = Catalog::parse(&bytes)?;
    for tool in catalog.tools() {
        let mut packed = packed.tools.iter().map(|packed| &packed.asset.name);
        if packed.all(|name| *name != tool.asset_name) {
            println!("left {} alone: another job packed it", tool.asset_name);
            continue;
        }
        let files = prove_archive(dist, tool)?;
        println!(
            "proved {}: {files} files are what its manifest says",
            tool.asset_name
        );
    }
    Ok(())
}

/// Compares each file of an archive with the manifest in it, and both with the catalogue.
fn prove_archive(dist: &Path, tool: &CatalogTool) -> Result<usize> {
    let refuse = |what: &str| format!("{}: {what}", tool.asset_name);
    let file = File::open(dist.join(&tool.asset_name))?;
    if hash_file(&file)?.0 != tool.sha256 {
        return Err(refuse("it is not the one that the catalogue names").into());
    }
    let mut archive = ZipArchive::new(file)?;
    let names = archive.file_names().map(|name| Ok(name?.into_owned()));
    let mut names: BTreeSet<String> = names.collect::<Result<_>>()?;
    let mut bytes = Vec::new();
    io::copy(&mut archive.by_name("manifest.json")?, &mut bytes)?;
    names.remove("manifest.json");
    let manifest = Manifest::parse(&bytes, &Limits::default())?;
    if manifest.manifest_hash() != tool.manifest_hash {
        return Err(refuse("its manifest is not the one that the catalogue names").into());
    }
    for listed in manifest.files() {
        let path = listed.path().as_str();
        let (sha256, _) = hash_reader(archive.by_name(path)?)?;
        if sha256 != listed.sha256() || !names.remove(path) {
            return Err(refuse(&format!("{path} is not what the manifest says")).into());
        }
    }
    if let Some(extra) = names.first() {
        return Err(refuse(&format!("{extra} is not in the manifest")).into());
    }
    if let Some(frontend) = manifest.frontend() {
        let archive = frontend.archive.as_deref().unwrap_or_default();
        let sha256 = Sha256Digest::of(&fs::read(dist.join(archive))?);
        if Some(sha256) != frontend.sha256 || Some(sha256) != tool.frontend_sha256 {
            return Err(refuse("its front end is another one").into());
        }
    }
    Ok(manifest.files().len())
}

/// The same release goes into HQ's store: with the manifest that was packed, so that every worker has the same manifest
/// hash, wherever it got its files.
fn publish(work: &TempDir, folders: &[ToolFolder], packed: &Packed) -> Result<()> {
    let disk = Disk::real();
    let store = Store::open(&disk, work.path().join("hq"))?;
    for (folder, tool) in folders.iter().zip(&packed.tools) {
        let manifest = &tool.release.manifest;
        let published = store.publish(manifest, &disk.open_dir(folder.path())?)?;
        println!(
            "published {} {} into the store: {} new contents, {} known before",
            manifest.tool_id(),
            manifest.tool_version(),
            published.new_blobs,
            published.reused_blobs,
        );
    }
    Ok(())
}

/// Two versions of a tool with a model, and another tool with a front end.
fn sample(work: &TempDir) -> Result<Vec<PathBuf>> {
    let folders = ["sketcher-1.0", "sketcher-1.1", "viewer"];
    let [old, new, viewer] = folders.map(|name| work.path().join(name));
    write_sample(&old, &new)?;
    fs::create_dir_all(viewer.join("frontend"))?;
    fs::write(
        viewer.join("tool.json"),
        r#"{"tool_id": "viewer", "version": "0.3.0", "name": "Viewer", "platforms": ["windows", "linux"]}"#,
    )?;
    fs::write(viewer.join("serve.py"), "print('serving')\n")?;
    fs::write(
        viewer.join("frontend/index.html"),
        "<!doctype html>\n<title>Viewer</title>\n",
    )?;
    Ok(vec![old, new, viewer])
}
