use std::cmp::Ordering;

use manifest_core::{ReleaseVersion, Sha256Digest, ToolId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::{Error, ErrorKind, Result};

/// The only version of the format that there is.
const VERSION: &str = "1.0";

/// A list of tools, each with its latest release: what HQ shows, and where it finds the archives.
///
/// Fields that are not known are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(title = "Lockstep catalogue 1.0")
)]
pub struct Catalog {
    /// The version of this format.
    #[serde(rename = "catalog_version")]
    #[cfg_attr(feature = "schema", schemars(extend("const" = "1.0")))]
    version: String,
    /// The tools, each once, ordered by their id.
    tools: Vec<CatalogTool>,
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    unknown: Map<String, Value>,
}

/// A tool, with its latest release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
#[non_exhaustive]
pub struct CatalogTool {
    /// The tool's id.
    pub tool_id: ToolId,
    /// The tool's name, for people.
    pub name: String,
    /// The version of the latest release, without a leading `v`.
    pub latest: ReleaseVersion,
    /// The name of the archive that holds it.
    pub asset_name: String,
    /// The digest of that archive.
    pub sha256: Sha256Digest,
    /// What the tool runs on, e.g. `windows`. Empty if nobody said.
    pub platforms: Vec<String>,
    /// Under what to list the tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The identity of the release.
    pub manifest_hash: Sha256Digest,
    /// Where the archive is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "Option<String>", extend("format" = "uri"))
    )]
    pub download_url: Option<Url>,
    /// Whether the tool has pages for a browser.
    pub has_frontend: bool,
    /// Where the archive with these is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "Option<String>", extend("format" = "uri"))
    )]
    pub frontend_url: Option<Url>,
    /// The digest of that archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frontend_sha256: Option<Sha256Digest>,
    /// The contract of the tool's interface, e.g. `runtime/1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[a-z]+/[0-9]+$")))]
    pub api_contract: Option<String>,
    /// Whether the tool can keep its models on the GPU between two jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supports_gpu_persistence: Option<bool>,
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    unknown: Map<String, Value>,
}

/// Which of two releases of a tool a catalogue names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Latest {
    /// The one with the higher version; the new one where versions have no order.
    #[default]
    Highest,
    /// The new one, also if its version is lower.
    Packed,
}

/// What became of a release in a catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "change")]
#[non_exhaustive]
pub enum Listing {
    /// The tool is new.
    Added,
    /// It is the latest release now.
    Updated {
        /// What was the latest before.
        from: ReleaseVersion,
    },
    /// Its version was the latest before.
    Same,
    /// A higher version is listed, and stays.
    KeptNewer {
        /// Which.
        latest: ReleaseVersion,
    },
}

impl CatalogTool {
    /// A tool about which only the necessary is known.
    #[must_use]
    pub fn new(
        tool_id: ToolId,
        latest: ReleaseVersion,
        asset_name: impl Into<String>,
        sha256: Sha256Digest,
        manifest_hash: Sha256Digest,
    ) -> Self {
        Self {
            name: tool_id.to_string(),
            tool_id,
            latest,
            asset_name: asset_name.into(),
            sha256,
            platforms: Vec::new(),
            category: None,
            manifest_hash,
            download_url: None,
            has_frontend: false,
            frontend_url: None,
            frontend_sha256: None,
            api_contract: None,
            supports_gpu_persistence: None,
            unknown: Map::new(),
        }
    }
}

impl Default for Catalog {
    fn default() -> Self {
        Self {
            version: VERSION.to_owned(),
            tools: Vec::new(),
            unknown: Map::new(),
        }
    }
}

impl Catalog {
    /// A catalogue without tools.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a catalogue.
    ///
    /// # Errors
    /// [`ErrorKind::Catalog`], with the place of what is wrong as a JSON pointer: a field that is missing or of
    /// another type, another version of the format, a tool that is listed twice, an archive name that is no plain
    /// file name.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        /// Another version may be anything else.
        #[derive(Deserialize)]
        struct Versioned {
            catalog_version: String,
        }
        let refused = |pointer: &str, reason: String| {
            let place = if pointer.is_empty() {
                String::new()
            } else {
                format!("{pointer}: ")
            };
            Error::new(ErrorKind::Catalog, format!("{place}{reason}"))
        };
        if let Ok(Versioned { catalog_version }) = serde_json::from_slice(bytes)
            && catalog_version != VERSION
        {
            let reason = format!(
                "catalogue version {catalog_version:?} is not known; this program reads {VERSION:?}"
            );
            return Err(refused("/catalog_version", reason));
        }
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let mut catalog: Self = serde_path_to_error::deserialize(&mut reader).map_err(
            |error: serde_path_to_error::Error<serde_json::Error>| {
                let pointer = pointer_of(error.path());
                refused(&pointer, error.inner().to_string())
            },
        )?;
        reader
            .end()
            .map_err(|error| refused("", error.to_string()))?;
        for (index, tool) in catalog.tools.iter().enumerate() {
            let is_listed = |before: &CatalogTool| is_same(&before.tool_id, &tool.tool_id);
            if catalog.tools[..index].iter().any(is_listed) {
                let reason = format!("{} is listed twice", tool.tool_id);
                return Err(refused(&format!("/tools/{index}/tool_id"), reason));
            }
            if !is_plain(&tool.asset_name) {
                let reason = format!("{:?} is no plain file name", tool.asset_name);
                return Err(refused(&format!("/tools/{index}/asset_name"), reason));
            }
        }
        catalog.sort();
        Ok(catalog)
    }

    /// The tools, ordered by their id.
    #[must_use]
    pub fn tools(&self) -> &[CatalogTool] {
        &self.tools
    }

    /// The tool with this id.
    #[must_use]
    pub fn tool(&self, id: &ToolId) -> Option<&CatalogTool> {
        self.tools.iter().find(|tool| is_same(&tool.tool_id, id))
    }

    /// Lists a release, instead of the one that is listed of the same tool, unless that is the later one.
    /// What other programs wrote into the old entry goes with it.
    pub fn list(&mut self, tool: CatalogTool, latest: Latest) -> Listing {
        let same = |listed: &&mut CatalogTool| is_same(&listed.tool_id, &tool.tool_id);
        let Some(listed) = self.tools.iter_mut().find(same) else {
            self.tools.push(tool);
            self.sort();
            return Listing::Added;
        };
        if latest == Latest::Highest
            && tool.latest.precedence(&listed.latest) == Some(Ordering::Less)
        {
            return Listing::KeptNewer {
                latest: listed.latest.clone(),
            };
        }
        let before = std::mem::replace(listed, tool).latest;
        if before == listed.latest {
            return Listing::Same;
        }
        Listing::Updated { from: before }
    }

    /// The catalogue as JSON, for a `catalog.json`: indented, with a newline at the end. Equal catalogues give
    /// equal bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes =
            serde_json::to_vec_pretty(self).expect("text, lists and flags always serialise");
        bytes.push(b'\n');
        bytes
    }

    fn sort(&mut self) {
        self.tools
            .sort_by(|one, other| one.tool_id.cmp(&other.tool_id));
    }
}

/// Two ids that differ only in case name one file on Windows and macOS.
fn is_same(one: &ToolId, other: &ToolId) -> bool {
    one.as_str().eq_ignore_ascii_case(other.as_str())
}

/// Whether a name can be looked for in a folder without leaving it.
fn is_plain(name: &str) -> bool {
    !name.contains('/') && name.parse::<manifest_core::ReleasePath>().is_ok()
}

fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        pointer += "/";
        pointer += &match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.clone(),
            other => other.to_string(),
        };
    }
    pointer
}
