//! What is wrong with an installation? Hashes every file of every release and lists what is missing, damaged, extra, a
//! link or open to others, beside the manifests' own hashes and the history. Reads only.
//!
//! ```sh
//! cargo run --release -p lockstep-examples --example verify_tree -- ROOT  # of a tool, e.g. /srv/tools/sketcher
//! cargo run --release -p lockstep-examples --example verify_tree          # with one that it installs and damages
//! ```
//!
//! Exit codes: 0 all is as it should be, 1 something is wrong, 2 it cannot be told.

use std::collections::BTreeSet;
use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::{env, io};

use activation::{Installation, Problem, Severity};
use downloader::MemoryDownloader;
use lockstep_examples::{explain, human};
use manifest_core::{
    Limits, MANIFEST_FILE_NAME, Manifest, ManifestBuilder, Sha256Digest, check_hash, file_url,
};
use updater::{CancellationToken, Disk, ReleaseVersion, TrustPolicy, Updater, Url};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let result = match arguments.as_slice() {
        [] => demonstrate().map(|()| true),
        [root] => examine(Path::new(root)).map(|found| found.is_clean()),
        _ => Err("give the ROOT of an installation, or nothing".into()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{}", explain(error.as_ref()));
            ExitCode::from(2)
        }
    }
}

/// What was found, in the order in which it was printed.
#[derive(Default)]
struct Found(Vec<(Severity, String)>);

impl Found {
    fn add(&mut self, severity: Severity, text: String) {
        println!("  {:7} {text}", format!("{severity:?}").to_uppercase());
        self.0.push((severity, text));
    }

    fn count(&self, wanted: Severity) -> usize {
        let same = |(severity, _): &&(Severity, String)| *severity == wanted;
        self.0.iter().filter(same).count()
    }

    fn is_clean(&self) -> bool {
        self.count(Severity::Error) + self.count(Severity::Warning) == 0
    }
}

fn examine(root: &Path) -> Result<Found> {
    let installation = Installation::open(&Disk::real(), root)?;
    let mut found = Found::default();

    println!("installation {}", root.display());
    let active = match installation.active_version() {
        Ok(Some(version)) => {
            println!("  current.txt names {}", version.folder_name());
            Some(version)
        }
        Ok(None) => {
            found.add(
                Severity::Error,
                "there is no current.txt: nothing is active".into(),
            );
            None
        }
        Err(error) => {
            found.add(Severity::Error, format!("{error:#}"));
            None
        }
    };
    let releases = installation.releases()?;
    if let Some(version) = active.as_ref().filter(|active| !releases.contains(active)) {
        found.add(
            Severity::Error,
            format!("the active release {version} is not installed"),
        );
    }
    look_for_strangers(&root.join("releases"), &releases, &mut found)?;
    show_history(&installation, root, &mut found)?;
    show_unfinished(root)?;
    for version in &releases {
        let is_active = active.as_ref() == Some(version);
        examine_release(&installation, root, version, is_active, &mut found)?;
    }

    let [errors, warnings, notes] =
        [Severity::Error, Severity::Warning, Severity::Note].map(|severity| found.count(severity));
    println!("{errors} errors, {warnings} warnings, {notes} notes\n");
    Ok(found)
}

/// Whatever else lies between the releases.
fn look_for_strangers(
    folder: &Path,
    releases: &[ReleaseVersion],
    found: &mut Found,
) -> io::Result<()> {
    let mut ours: BTreeSet<OsString> = [".staging".into(), ".trash".into()].into();
    ours.extend(releases.iter().map(|release| release.folder_name().into()));
    if folder.exists() {
        for entry in sorted(folder)? {
            if !entry.file_name().is_some_and(|name| ours.contains(name)) {
                let text = format!("{} is no release", entry.display());
                found.add(Severity::Note, text);
            }
        }
    }
    Ok(())
}

fn show_history(installation: &Installation, root: &Path, found: &mut Found) -> Result<()> {
    let history = installation.history()?;
    println!("history");
    for entry in &history {
        let from = entry.from_version.as_ref();
        let from = from.map_or(String::new(), |from| format!(" after {from}"));
        let note = entry.note.as_ref();
        let note = note.map_or(String::new(), |note| format!(", {note}"));
        println!(
            "  {} {:?} {}{from}{note}",
            entry.time, entry.event, entry.version
        );
    }
    // A line that a power cut halved is skipped by everybody who reads the history; here it counts.
    let path = root.join(".lockstep/history.jsonl");
    let lines = match fs::read(&path) {
        Ok(bytes) => bytes.split_inclusive(|byte| *byte == b'\n').count(),
        Err(_) => 0,
    };
    if lines > history.len() {
        let broken = lines - history.len();
        let text = format!("{broken} lines of {} cannot be read", path.display());
        found.add(Severity::Warning, text);
    }
    Ok(())
}

/// The journals of work that was interrupted. Whoever takes the lock next goes on with it.
fn show_unfinished(root: &Path) -> io::Result<()> {
    println!("unfinished work");
    let mut files = Vec::new();
    for folder in ["releases/.staging", "releases/.trash"] {
        walk(&root.join(folder), &mut files)?;
    }
    for name in ["trial.json", "pending-deletions.json"] {
        let path = root.join(".lockstep").join(name);
        files.extend(
            path.symlink_metadata()
                .ok()
                .map(|metadata| (path, metadata)),
        );
    }
    for (path, metadata) in &files {
        let path = path.strip_prefix(root).unwrap_or(path);
        println!("  {} ({})", path.display(), human(metadata.len()));
    }
    if files.is_empty() {
        println!("  none");
    }
    Ok(())
}

fn examine_release(
    installation: &Installation,
    root: &Path,
    version: &ReleaseVersion,
    is_active: bool,
    found: &mut Found,
) -> Result<()> {
    // Nobody runs the files of another release than the active one, but a rollback would need them.
    let (bad, name) = if is_active {
        (Severity::Error, " (active)")
    } else {
        (Severity::Warning, "")
    };
    println!("release {version}{name}");
    let folder = root.join("releases").join(version.folder_name());
    let bytes = fs::read(folder.join(MANIFEST_FILE_NAME))?;
    match check_hash(&bytes, &Limits::default()) {
        Ok(hash) if hash.is_right() => println!("  manifest hash {}, recomputed", hash.computed),
        Ok(hash) => {
            let stated = hash.stated.as_deref().unwrap_or("nothing");
            let text = format!(
                "{MANIFEST_FILE_NAME} says {stated}, but its hash is {}",
                hash.computed
            );
            found.add(bad, text);
        }
        Err(error) => found.add(bad, format!("{error:#}")),
    }
    let release = match installation.release(version) {
        Ok(Some(release)) => release,
        Ok(None) => return Ok(()), // removed just now
        Err(error) => {
            found.add(bad, format!("its files cannot be judged: {error:#}"));
            return Ok(());
        }
    };
    let manifest = release.manifest();
    if manifest.tool_version() != version {
        let text = format!("the manifest is of release {}", manifest.tool_version());
        found.add(bad, text);
    }

    let verification = release.verify(&())?;
    println!(
        "  {} of {} files are right ({} hashed)",
        verification.verified,
        manifest.files().len(),
        human(manifest.total_size())
    );
    for finding in &verification.findings {
        let path = folder.join(finding.path.as_str());
        let link = fs::read_link(&path)
            .ok()
            .filter(|_| finding.problem == Problem::NotAFile);
        let text = match link {
            Some(target) => format!("{} is a link to {}", finding.path, target.display()),
            None => format!("{}: {}", finding.path, finding.problem),
        };
        found.add(bad, text);
    }
    look_beside(&folder, manifest, found)?;
    Ok(())
}

/// What is in the release's folder and not in its manifest, and who may write to what is.
fn look_beside(folder: &Path, manifest: &Manifest, found: &mut Found) -> io::Result<()> {
    let mut files = Vec::new();
    walk(folder, &mut files)?;
    for (path, metadata) in files {
        let path = path.strip_prefix(folder).unwrap_or(&path).to_path_buf();
        let shown = path.display();
        let is_listed = path
            .to_str()
            .is_some_and(|path| path == MANIFEST_FILE_NAME || manifest.file(path).is_some());
        if metadata.is_symlink() && !is_listed {
            let target = fs::read_link(folder.join(&path))?;
            let text = format!("{shown} is a link to {}, not listed", target.display());
            found.add(Severity::Warning, text);
        } else if !metadata.is_file() && !is_listed {
            found.add(Severity::Warning, format!("{shown} is no file, not listed"));
        } else if !is_listed {
            let size = human(metadata.len());
            let text = format!("{shown} is extra ({size}): the user's or the tool's, and kept");
            found.add(Severity::Note, text);
        }
        if metadata.is_file() && anybody_may_write(&metadata) {
            let text = format!("{shown} may be written by anybody");
            found.add(Severity::Warning, text);
        }
    }
    Ok(())
}

/// Everything below a folder that is no folder, by path. Links are not followed.
fn walk(folder: &Path, files: &mut Vec<(PathBuf, Metadata)>) -> io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for path in sorted(folder)? {
        let metadata = path.symlink_metadata()?;
        if metadata.is_dir() {
            walk(&path, files)?;
        } else {
            files.push((path, metadata));
        }
    }
    Ok(())
}

fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = entries.collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(unix)]
fn anybody_may_write(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o002 != 0
}

#[cfg(not(unix))]
fn anybody_may_write(_: &Metadata) -> bool {
    false
}

// The demonstration.

fn demonstrate() -> Result<()> {
    let work = tempfile::tempdir()?; // removed at the end
    let root = work.path().join("sketcher");
    let install = install_two_releases(&root);
    tokio::runtime::Runtime::new()?.block_on(install)?;

    println!("== Just installed ==\n");
    let found = examine(&root)?;
    check(
        found.0.is_empty(),
        "something is wrong with a new installation",
    )?;

    println!("== Damaged in every way ==\n");
    let active = root.join("releases/v1.1.0");
    replace(&active.join("model.safetensors"), &[8; 10_000])?;
    replace(&active.join("main.py"), b"print(")?;
    fs::remove_file(active.join("convert.py"))?;
    fs::write(active.join("my-notes.txt"), "keep the blue one")?;
    replace(
        &root.join("releases/v1.0.0/manifest.json"),
        &edited(&root.join("releases/v1.0.0/manifest.json"))?,
    )?;
    let mut history = fs::read(root.join(".lockstep/history.jsonl"))?;
    history.extend_from_slice(b"{\"time\":\"2026-");
    fs::write(root.join(".lockstep/history.jsonl"), history)?;
    fs::create_dir(root.join("releases/backup of mine"))?;
    let mut expected = vec![
        "model.safetensors: wrong content",
        "main.py: wrong size (6 bytes)",
        "convert.py: missing",
        "my-notes.txt is extra (17 B)",
        "its hash is",
        "its files cannot be judged",
        "1 lines of",
        "backup of mine is no release",
    ];
    if cfg!(unix) {
        damage_links_and_modes(&active)?;
        expected.extend([
            "upscale.py is a link to /etc/hosts",
            "loop is a link to ., not listed",
            "run.sh: wrong executable bit",
            "readme.txt may be written by anybody",
        ]);
    }

    let found = examine(&root)?;
    for text in &expected {
        let is_found = found.0.iter().any(|(_, found)| found.contains(text));
        check(is_found, &format!("not found: {text:?}"))?;
    }
    check(
        found.0.len() == expected.len(),
        "more was found than was damaged",
    )?;
    println!("all that was damaged was found");
    Ok(())
}

/// Installs two releases of a tool, without a network.
async fn install_two_releases(root: &Path) -> Result<()> {
    let base: Url = "https://hq.example/api/v1/tools/".parse()?;
    let memory = MemoryDownloader::new();
    let updater = Updater::builder(root)
        .with_downloader(Arc::new(memory.clone()))
        .build()?;
    for version in ["1.0.0", "1.1.0"] {
        let main = format!("print('{version}')\n");
        let files: [(&str, &[u8], bool); 6] = [
            ("main.py", main.as_bytes(), false),
            ("convert.py", b"print('convert')\n", false),
            ("upscale.py", b"print('upscale')\n", false),
            ("run.sh", b"#!/bin/sh\n", true),
            ("readme.txt", b"Run run.sh.\n", false),
            ("model.safetensors", &[7; 10_000], false),
        ];
        let (tool, version) = ("sketcher".parse()?, version.parse()?);
        let mut builder = ManifestBuilder::new(tool, version).with_base_url(base.clone());
        for (path, content, is_program) in files {
            let digest = Sha256Digest::of(content);
            let size = content.len() as u64;
            builder = builder.with_file(path.parse()?, digest, size, is_program);
        }
        let manifest = builder.build()?;
        for (path, content, _) in files {
            let (tool, version) = (manifest.tool_id(), manifest.tool_version());
            let url = file_url(&base, tool, version, &path.parse()?)?;
            memory.insert(url, content.to_vec());
        }
        let trusted = TrustPolicy::Unsigned.trust(manifest)?;
        updater.apply(&trusted, &CancellationToken::new()).await?;
    }
    Ok(())
}

/// As an editor does, so that the other release, which may share the file's bytes, keeps its own.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    fs::remove_file(path)?;
    fs::write(path, content)
}

/// A manifest that somebody edited by hand, and that still is JSON.
fn edited(path: &Path) -> Result<Vec<u8>> {
    let text = fs::read_to_string(path)?;
    Ok(text.replace("convert.py", "c0nvert.py").into_bytes())
}

#[cfg(unix)]
fn damage_links_and_modes(release: &Path) -> io::Result<()> {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fs::remove_file(release.join("upscale.py"))?;
    symlink("/etc/hosts", release.join("upscale.py"))?;
    symlink(".", release.join("loop"))?;
    for (name, content, mode) in [
        ("run.sh", &b"#!/bin/sh\n"[..], 0o644),
        ("readme.txt", b"Run run.sh.\n", 0o666),
    ] {
        replace(&release.join(name), content)?;
        fs::set_permissions(release.join(name), fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn damage_links_and_modes(_: &Path) -> io::Result<()> {
    Ok(())
}

fn check(holds: bool, otherwise: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}
