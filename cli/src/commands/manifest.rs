use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use manifest_core::{
    ErrorKind, FileEntry, IgnoreGlobs, Limits, MANIFEST_FILE_NAME, Manifest, Scan, ScanOptions,
    Sha256Digest, canonical_json, problems, scan, schema,
};
use serde_json::{Map, Value};
use updater::Disk;

use crate::args::{ManifestCommand, Source};
use crate::exit::{Exit, Failure};
use crate::output::{Reply, human};
use crate::progress;

pub(crate) fn run(command: ManifestCommand) -> Result<Reply, Failure> {
    match command {
        ManifestCommand::Create { source, output } => create(&source, &output),
        ManifestCommand::Verify { file, dir } => verify(&file, dir.as_deref()),
        ManifestCommand::Hash { file } => hash(&file),
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

/// Reads the folder as a release of now.
pub(crate) fn scan_source(source: &Source) -> Result<Scan, Failure> {
    if source.dir.join("current.txt").is_file() && source.dir.join("releases").is_dir() {
        return Err(Failure::usage(format!(
            "{} is an installation, not a release; give the folder of a release",
            source.dir.display()
        )));
    }
    let _busy = progress::busy(&format!("hashing {}", source.dir.display()));
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
    scan(&source.dir, &options).map_err(|error| {
        let is_unnamed = source.tool_id.is_none() || source.tool_version.is_none();
        if error.kind() == ErrorKind::Manifest && is_unnamed {
            return Failure::from(error).with_hint(
                "say it with --tool-id and --tool-version, or with \"tool_id\" and \"version\" in a tool.json \
                 in the folder",
            );
        }
        error.into()
    })
}

fn create(source: &Source, output: &Path) -> Result<Reply, Failure> {
    if output != Path::new("-") {
        refuse_inside(&source.dir, output, "the manifest")?;
    }
    let scan = scan_source(source)?;
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
        let mut text = format!(
            "{}: {}\n",
            file.display(),
            human::count(problems.len() as u64, "problem")
        );
        for problem in problems {
            let place = if problem.pointer.is_empty() {
                "the document"
            } else {
                &problem.pointer
            };
            let _ = writeln!(text, "  {place}: {}", problem.message);
        }
        return Ok(Reply::report(&text, Value::Null).with_exit(Exit::Failed));
    };
    let mut text = format!("{}: valid, {}\n", file.display(), human::release(&manifest));
    let mut exit = Exit::Done;
    if let Some(dir) = dir {
        let differences = compare(&manifest, dir)?;
        if differences.is_empty() {
            let _ = writeln!(text, "{}: exactly what the manifest says", dir.display());
        } else {
            let _ = writeln!(
                text,
                "{}: {}",
                dir.display(),
                human::count(differences.len() as u64, "difference")
            );
            for (path, what) in differences {
                let _ = writeln!(text, "  {path}: {what}");
            }
            exit = Exit::Failed;
        }
    }
    let _ = writeln!(text, "manifest hash {}", manifest.manifest_hash());
    let warnings = manifest.warnings().to_vec();
    Ok(Reply::report(&text, Value::Null)
        .with_warnings(warnings)
        .with_exit(exit))
}

/// How a folder differs from a manifest, by path.
fn compare<'m>(
    manifest: &'m Manifest,
    dir: &Path,
) -> Result<BTreeMap<String, &'static str>, Failure> {
    let globs = manifest.ignore_globs();
    let lists_ignored = manifest
        .files()
        .iter()
        .any(|file| globs.is_match(file.path().as_str()));
    let options = ScanOptions::new()
        .with_tool_id(manifest.tool_id().clone())
        .with_tool_version(manifest.tool_version().clone())
        .with_ignore_globs(if lists_ignored {
            IgnoreGlobs::new(Vec::<String>::new())?
        } else {
            globs.clone()
        });
    let busy = progress::busy(&format!("hashing {}", dir.display()));
    let found = scan(dir, &options)?.manifest;
    drop(busy);

    let wrong = |listed: &'m FileEntry| match found.file(listed.path().as_str()) {
        None => Some("missing"),
        Some(file) if file.size() != listed.size() => Some("wrong size"),
        Some(file) if file.sha256() != listed.sha256() => Some("wrong content"),
        Some(file) if file.executable() != listed.executable() => Some("wrong executable bit"),
        Some(_) => None,
    };
    let listed = manifest
        .files()
        .iter()
        .filter_map(|file| Some((file.path().to_string(), wrong(file)?)));
    let extra = found
        .files()
        .iter()
        .map(|file| file.path().as_str())
        .filter(|path| manifest.file(path).is_none() && !globs.is_match(path))
        .map(|path| (path.to_owned(), "extra"));
    Ok(listed.chain(extra).collect())
}

fn hash(file: &Path) -> Result<Reply, Failure> {
    let bytes = read(file, &Limits::default())?;
    let cannot = |error: &dyn std::error::Error| {
        Failure::io(format!("{} is not a manifest", file.display()), error)
            .with_hint("`lockstep manifest verify` lists everything that is wrong")
    };
    let mut document: Map<String, Value> =
        serde_json::from_slice(&bytes).map_err(|error| cannot(&error))?;
    let stated = document.remove("manifest_hash");
    document.remove("created_at");
    document.remove("signature");
    let canonical = canonical_json(&Value::Object(document)).map_err(|error| cannot(&error))?;
    let computed = Sha256Digest::of(&canonical).to_string();
    let note = match stated.as_ref().and_then(Value::as_str) {
        Some(stated) if stated == computed => "the manifest states the same hash".to_owned(),
        Some(stated) => format!("the manifest states another hash: {stated}"),
        None => "the manifest states no hash".to_owned(),
    };
    Ok(Reply::text(format!("{computed}\n")).with_notes(vec![note]))
}
