//! What packing did, or would do.

use std::cmp::Ordering;

use manifest_core::{ReleaseVersion, ToolId};
use serde::Serialize;

use crate::{Asset, Catalog, Listing, Release};

/// What [`Packer::pack`](crate::Packer::pack) did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Packed {
    /// The releases, in the order of the folders.
    pub tools: Vec<PackedTool>,
    /// The catalogue, as it is now.
    pub catalog: Catalog,
    /// What the publisher should know, one sentence each.
    pub warnings: Vec<String>,
}

/// A release that was packed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PackedTool {
    /// The release; its manifest is in the archive.
    pub release: Release,
    /// The archive of the release.
    pub asset: Asset,
    /// What became of that archive.
    pub state: AssetState,
    /// What became of the archive of the front end, if there is one.
    pub frontend_state: Option<AssetState>,
    /// What became of the release in the catalogue.
    pub listing: Listing,
}

/// What [`Packer::pack`](crate::Packer::pack) would do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// The releases, in the order of the folders.
    pub tools: Vec<PlannedTool>,
    /// What the publisher should know, one sentence each.
    pub warnings: Vec<String>,
}

/// A release that would be packed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlannedTool {
    /// The release.
    pub release: Release,
    /// The name of its archive.
    pub asset_name: String,
    /// The archives of this release that are there already: they would be compared.
    pub existing: Vec<String>,
    /// What would become of the release in the catalogue.
    pub listing: Listing,
}

/// What became of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AssetState {
    /// It was written.
    New,
    /// It was there already, byte for byte.
    Unchanged,
    /// It was written instead of another one.
    Replaced,
}

/// What a publisher should know about releases and what became of them in the catalogue.
pub(crate) fn warnings(tools: &[(&Release, &Listing)]) -> Vec<String> {
    let is_packed = |tool: &ToolId, version: &ReleaseVersion| {
        tools.iter().any(|(release, _)| {
            release.manifest.tool_id() == tool && release.manifest.tool_version() == version
        })
    };
    let mut warnings = Vec::new();
    for (release, listing) in tools {
        warnings.extend(release.warnings.iter().cloned());
        let (tool, version) = (release.manifest.tool_id(), release.manifest.tool_version());
        match listing {
            // Several versions at once, of which one is the latest, are no surprise.
            Listing::KeptNewer { latest } if !is_packed(tool, latest) => warnings.push(format!(
                "the catalogue goes on naming {tool} {latest}, which is newer than {version}"
            )),
            Listing::Updated { from } => match version.precedence(from) {
                Some(Ordering::Less) => warnings.push(format!(
                    "the catalogue names {tool} {version} now, which is older than {from}"
                )),
                None => warnings.push(format!(
                    "the catalogue names {tool} {version} now, instead of {from}: which is newer, their names do not say"
                )),
                Some(_) => {}
            },
            _ => {}
        }
    }
    warnings
}
