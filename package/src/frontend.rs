//! What is a tool's front end?

use std::path::Path;

use manifest_core::{FrontendType, Manifest, TOOL_JSON_FILE_NAME, ToolJson};

use crate::archive::Member;
use crate::{Error, ErrorKind, Result};

/// The folder of a release that is its front end.
const FOLDER: &str = "frontend/";
/// The page to open when nothing else is said.
const PAGE: &str = "index.html";

/// The files of a front end.
pub(crate) struct FrontendFiles<'m> {
    /// The page to open, as it is called in the archive.
    pub(crate) entry: String,
    pub(crate) members: Vec<Member<'m>>,
}

/// Finds the front end of a release: what is below `frontend/`, if `tool.json` says that there is one, or says
/// nothing and there is a `frontend/index.html`.
///
/// The files keep their place in the release; in the archive they are named from `frontend/` on.
pub(crate) fn find<'m>(
    tool: &ToolJson,
    manifest: &'m Manifest,
    folder: &Path,
) -> Result<Option<FrontendFiles<'m>>> {
    let stated = tool.frontend.as_ref();
    if stated.is_some_and(|frontend| frontend.kind == FrontendType::None) {
        return Ok(None);
    }
    let entry = stated.and_then(|frontend| frontend.entry.as_deref());
    let entry = entry.unwrap_or(PAGE);
    let entry = entry.strip_prefix(FOLDER).unwrap_or(entry);
    if manifest.file(&format!("{FOLDER}{entry}")).is_none() {
        if stated.is_none() {
            return Ok(None);
        }
        let text = format!(
            "/frontend/entry: {} says that there is a front end, but the release has no {:?}",
            folder.join(TOOL_JSON_FILE_NAME).display(),
            format!("{FOLDER}{entry}"),
        );
        return Err(Error::new(ErrorKind::Tool, text));
    }
    let members = manifest.files().iter().filter_map(|file| {
        let name = file.path().as_str().strip_prefix(FOLDER)?;
        Some(Member { name, file })
    });
    Ok(Some(FrontendFiles {
        entry: entry.to_owned(),
        members: members.collect(),
    }))
}
