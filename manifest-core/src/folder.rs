use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use crate::{
    Error, FileEntry, IgnoreGlobs, Manifest, ReleasePath, ScanOptions, ScanProgress, scan_observed,
};

/// A file of a folder that is not as a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// Which file.
    pub path: ReleasePath,
    /// In what it differs.
    pub kind: DifferenceKind,
}

/// In what a file differs from what a manifest says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DifferenceKind {
    /// It is listed and not there.
    Missing,
    /// It is there, not listed, and matched by no ignore glob.
    Extra,
    /// It has another length.
    WrongSize {
        /// Bytes that it has.
        found: u64,
    },
    /// It has the right length and other bytes.
    WrongContent,
    /// It should be a program and is not, or the other way round.
    WrongMode,
}

impl fmt::Display for DifferenceKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => formatter.write_str("missing"),
            Self::Extra => formatter.write_str("extra"),
            Self::WrongSize { found } => write!(formatter, "wrong size ({found} bytes)"),
            Self::WrongContent => formatter.write_str("wrong content"),
            Self::WrongMode => formatter.write_str("wrong executable bit"),
        }
    }
}

/// Hashes every file of a folder and says how it differs from a manifest, by path; empty if it does not.
///
/// For a publisher's folder: it is read as [`scan`](crate::scan) reads it. What the manifest's ignore globs
/// match, and runtime and user scope, make no difference. An installed release has the user's
/// files in it, too: `Updater::verify` of the crate `updater` verifies that.
///
/// # Errors
/// As [`scan`](crate::scan): what could not be published, such as a symbolic link, cannot be compared.
///
/// ```
/// use manifest_core::{DifferenceKind, ScanOptions, check_folder, scan};
///
/// let folder = tempfile::tempdir()?;
/// std::fs::write(folder.path().join("main.py"), "print()")?;
/// let options = ScanOptions::new().with_tool_id("sketcher".parse()?).with_tool_version("1.2.0".parse()?);
/// let manifest = scan(folder.path(), &options)?.manifest;
/// assert!(check_folder(&manifest, folder.path())?.is_empty());
///
/// std::fs::write(folder.path().join("main.py"), "PRINT()")?;
/// let differences = check_folder(&manifest, folder.path())?;
/// assert_eq!(differences[0].kind, DifferenceKind::WrongContent);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn check_folder(manifest: &Manifest, folder: &Path) -> Result<Vec<Difference>, Error> {
    check_folder_observed(manifest, folder, |_| ControlFlow::Continue(()))
}

/// As [`check_folder`], saying how far it is, and stopping when it is told to; see
/// [`scan_observed`].
///
/// # Errors
/// As [`scan_observed`].
pub fn check_folder_observed(
    manifest: &Manifest,
    folder: &Path,
    observe: impl Fn(ScanProgress) -> ControlFlow<()> + Sync,
) -> Result<Vec<Difference>, Error> {
    let globs = manifest.ignore_globs();
    let mut listed = manifest.files().iter();
    // A scan leaves out what the globs match, but a manifest may list it.
    let scanned_globs = if listed.any(|file| globs.is_match(file.path().as_str())) {
        IgnoreGlobs::new(Vec::<String>::new())?
    } else {
        globs.clone()
    };
    let options = ScanOptions::new()
        .with_tool_id(manifest.tool_id().clone())
        .with_tool_version(manifest.tool_version().clone())
        .with_ignore_globs(scanned_globs);
    let found = scan_observed(folder, &options, observe)?.manifest;

    let listed = manifest.files().iter().filter_map(|file| {
        let kind = difference(file, found.file(file.path().as_str()))?;
        Some((file.path(), kind))
    });
    let extra = found.files().iter().map(FileEntry::path).filter(|path| {
        let path = path.as_str();
        manifest.file(path).is_none() && !globs.is_match(path)
    });
    let mut differences: Vec<_> = listed
        .chain(extra.map(|path| (path, DifferenceKind::Extra)))
        .map(|(path, kind)| Difference {
            path: path.clone(),
            kind,
        })
        .collect();
    differences.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(differences)
}

fn difference(listed: &FileEntry, found: Option<&FileEntry>) -> Option<DifferenceKind> {
    let Some(found) = found else {
        return Some(DifferenceKind::Missing);
    };
    if found.size() != listed.size() {
        Some(DifferenceKind::WrongSize {
            found: found.size(),
        })
    } else if found.sha256() != listed.sha256() {
        Some(DifferenceKind::WrongContent)
    } else if found.executable() != listed.executable() {
        Some(DifferenceKind::WrongMode)
    } else {
        None
    }
}
