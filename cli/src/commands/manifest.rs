use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use manifest_core::{
    Difference, Limits, MANIFEST_FILE_NAME, Manifest, ScanOptions, check_folder_observed,
    check_hash, problems, schema,
};
use package::{ErrorKind, PackProgress, Release, ToolFolder};
use serde_json::Value;
use updater::{CancellationToken, Disk};

use crate::args::{ManifestCommand, Source};
use crate::commands::block_on;
use crate::exit::{Exit, Failure};
use crate::output::{Reply, human, json};
use crate::progress::FolderProgress;
use crate::signals;

pub(crate) fn run(command: ManifestCommand) -> Result<Reply, Failure> {
    match command {
        ManifestCommand::Create { source, output } => block_on(async { create(&source, &output) }),
        ManifestCommand::Verify { file, dir, .. } => verify(&file, dir.as_deref()),
        ManifestCommand::Hash { file, .. } => hash(&file),
        ManifestCommand::Schema => Ok(Reply::text(format!("{:#}\n", schema()))),
    }
}

/// Refuses to write into the folder that is read: the next run would find it there, as a part of the
/// release.
pub(crate) fn refuse_inside(folder: &Path, written: &Path, what: &str) -> Result<(), Failure> {
    let resolved = |path: &Path| {
        // What does not exist yet is where its parent is.
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        std::fs::canonicalize(path)
            .or_else(|_| std::fs::canonicalize(parent.unwrap_or(Path::new("."))))
            .unwrap_or_else(|_| path.to_owned())
    };
    let (folder_at, written_at) = (resolved(folder), resolved(written));
    let is_own_manifest = written_at == folder_at.join(MANIFEST_FILE_NAME)
        || written_at == folder_at && written.file_name() == Some(MANIFEST_FILE_NAME.as_ref());
    if !written_at.starts_with(&folder_at) || is_own_manifest {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{} lies in {}: {what} would become a part of the release; choose a place outside",
        written.display(),
        folder.display()
    )))
}

pub(crate) fn refuse_installation(dir: &Path) -> Result<(), Failure> {
    if dir.join("current.txt").is_file() && dir.join("releases").is_dir() {
        return Err(Failure::usage(format!(
            "{} is an installation, not a release; give the folder of a release",
            dir.display()
        )));
    }
    Ok(())
}

/// Reads the folder as a release of now.
pub(crate) fn scan_source(source: &Source, cancel: &CancellationToken) -> Result<Release, Failure> {
    refuse_installation(&source.dir)?;
    let now = jiff::Timestamp::now()
        .round(jiff::Unit::Second)
        .unwrap_or_default();
    let mut options = ScanOptions::new().with_created_at(now.to_string());
    if let Some(id) = &source.tool_id {
        options = options.with_tool_id(id.clone());
    }
    if let Some(version) = &source.tool_version {
        options = options.with_tool_version(version.clone());
    }
    if let Some(base) = &source.base_url {
        options = options.with_base_url(base.clone());
    }
    tracing::info!("hashing {}", source.dir.display());
    let hashing = FolderProgress::new("hashing", cancel);
    let folder = ToolFolder::new(&source.dir).with_scan_options(options);
    let described = package::describe(&folder, |progress| match progress {
        PackProgress::Scanned(scanned) => hashing.hear(scanned),
        _ => hashing.go_on(),
    });
    described.map_err(|error| {
        let is_unnamed = source.tool_id.is_none() || source.tool_version.is_none();
        if error.kind() == ErrorKind::Tool && is_unnamed {
            return Failure::from(error).with_hint(
                "say it with --tool-id and --tool-version, or with \"tool_id\" and \"version\" in a tool.json \
                 in the folder",
            );
        }
        error.into()
    })
}

/// Blocks; the runtime that it is called in hears the signals.
fn create(source: &Source, output: &Path) -> Result<Reply, Failure> {
    if output != Path::new("-") {
        refuse_inside(&source.dir, output, "the manifest")?;
    }
    let cancel = signals::cancellation(signals::STOPPING)?;
    let scan = scan_source(source, &cancel)?;
    let bytes = scan.manifest.to_bytes();
    let reply = if output == Path::new("-") {
        Reply::text(String::from_utf8(bytes).expect("JSON is UTF-8"))
    } else {
        write(output, &bytes)?;
        let text = format!(
            "{}: {}\nmanifest hash {}\n",
            output.display(),
            human::release(&scan.manifest),
            scan.manifest.manifest_hash()
        );
        Reply::report(&text, Value::Null)
    };
    Ok(reply.with_warnings(scan.warnings))
}

/// Replaces a file as a whole, so that nobody reads half a manifest.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let cannot = |error: &dyn std::error::Error| {
        Failure::io(format!("cannot write {}", path.display()), error)
    };
    // Through a link, to the file that is meant.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = target
        .file_name()
        .filter(|_| target.is_file() || !target.exists())
        .ok_or_else(|| cannot(&io::Error::other("what has this name is no file")))?;
    let folder = match target.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    Disk::real()
        .open_dir(folder)
        .and_then(|folder| folder.replace_file(name, bytes))
        .map_err(|error| cannot(&error))
}

fn read(file: &Path, limits: &Limits) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    // One more, so that the parser sees that it is too much.
    let limit = limits.max_bytes + 1;
    let read = if file == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(file).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::io(format!("cannot read {}", file.display()), &error))?;
    Ok(bytes)
}

fn verify(file: &Path, dir: Option<&Path>) -> Result<Reply, Failure> {
    let limits = Limits::default();
    let bytes = read(file, &limits)?;
    let Ok(manifest) = Manifest::parse(&bytes, &limits) else {
        let problems = problems(&bytes, &limits);
        let text = human::invalid_manifest(file, &problems);
        return Ok(Reply::report(&text, json::invalid_manifest(&problems)).with_exit(Exit::Failed));
    };
    let compared = match dir {
        Some(dir) => Some((dir, block_on(async { compare(&manifest, dir) })?)),
        None => None,
    };
    let differences = compared.as_ref().map(|(_, found)| found.as_slice());
    let exit = match differences {
        Some([_, ..]) => Exit::Failed,
        _ => Exit::Done,
    };
    let text = human::valid_manifest(file, &manifest, dir.zip(differences));
    Ok(
        Reply::report(&text, json::valid_manifest(&manifest, differences))
            .with_warnings(manifest.warnings().to_vec())
            .with_exit(exit),
    )
}

/// How a folder differs from a manifest. Blocks; the runtime that it is called in hears the signals.
fn compare(manifest: &Manifest, dir: &Path) -> Result<Vec<Difference>, Failure> {
    let cancel = signals::cancellation(signals::STOPPING)?;
    tracing::info!("hashing {}", dir.display());
    let hashing = FolderProgress::new("hashing", &cancel);
    Ok(check_folder_observed(manifest, dir, |progress| {
        hashing.hear(progress)
    })?)
}

fn hash(file: &Path) -> Result<Reply, Failure> {
    let limits = Limits::default();
    let check = check_hash(&read(file, &limits)?, &limits).map_err(|error| {
        Failure::from(error)
            .under(format!("{} is not a manifest", file.display()))
            .with_hint("`lockstep manifest verify` lists everything that is wrong")
    })?;
    let note = match &check.stated {
        Some(_) if check.is_right() => "the manifest states the same hash".to_owned(),
        Some(stated) => format!("the manifest states another hash: {stated}"),
        None => "the manifest states no hash".to_owned(),
    };
    Ok(Reply::report(&format!("{}\n", check.computed), json::hash(&check)).with_notes(vec![note]))
}
