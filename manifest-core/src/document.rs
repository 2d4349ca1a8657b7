//! The fields of a manifest besides `files`, as they are on the wire.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Sha256Digest;
#[cfg(feature = "schema")]
use crate::{ReleaseVersion, ToolId};

/// Which files an update may delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum DeletePolicy {
    /// Only files that the old manifest lists.
    Safe,
    /// Everything that is neither listed nor matched by an ignore glob.
    Aggressive,
    /// Nothing, until somebody confirms it.
    Manual,
}

/// The least versions of what a tool needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
pub struct Dependencies {
    /// Python, e.g. `3.11`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_min: Option<String>,
    /// CUDA, e.g. `12.1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cuda_min: Option<String>,
}

/// How to warm up a GPU for the tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
pub struct FlashGpuConfig {
    /// Whether the tool wants a warm-up.
    pub enabled: bool,
    /// The script to run, relative to the release: safe as the path of a file on every platform.
    #[cfg_attr(
        feature = "schema",
        schemars(
            length(min = 1, max = 1024),
            regex(
                pattern = r#"^[^/\\:<>"|?*\u0000-\u001f\u007f]+(/[^/\\:<>"|?*\u0000-\u001f\u007f]+)*$"#
            )
        )
    )]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup_script: Option<String>,
    /// Globs of what the script leaves in `cache/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cache_artifacts: Vec<String>,
}

/// What kind of front end a tool has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum FrontendType {
    /// Pages for a browser.
    Web,
    /// None.
    None,
}

/// The tool's front end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
pub struct Frontend {
    /// What kind it is.
    #[serde(rename = "type")]
    pub kind: FrontendType,
    /// The page to open: safe as the path of a file on every platform.
    #[cfg_attr(
        feature = "schema",
        schemars(
            length(min = 1, max = 1024),
            regex(
                pattern = r#"^[^/\\:<>"|?*\u0000-\u001f\u007f]+(/[^/\\:<>"|?*\u0000-\u001f\u007f]+)*$"#
            )
        )
    )]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// The archive that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// The archive's digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256Digest>,
}

/// A signature over the manifest hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
pub struct Signature {
    /// Always `Ed25519`.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "Ed25519")))]
    pub algorithm: String,
    /// Which key signed.
    pub public_key_id: String,
    /// The signature itself.
    pub signature: String,
}

/// What one release of a tool is: its files and how to treat them. Unknown fields are allowed, kept
/// and covered by `manifest_hash`.
// Every field but `files`. Texts come first as texts, so that a name that is refused is
// `ErrorKind::Path` and not a type error.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "schema",
    schemars(title = "Lockstep manifest 1.0", rename = "Manifest")
)]
pub(crate) struct Head {
    /// The version of this format.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "1.0")))]
    #[expect(
        dead_code,
        reason = "checked by its rule, and stated here for the schema"
    )]
    pub(crate) manifest_version: String,
    /// The tool that this is a release of, safe as the name of a folder on every platform.
    #[cfg_attr(feature = "schema", schemars(with = "ToolId"))]
    pub(crate) tool_id: String,
    /// The version of the release, safe as the name of a folder on every platform. A leading `v`
    /// makes no difference.
    #[cfg_attr(feature = "schema", schemars(with = "ReleaseVersion"))]
    pub(crate) tool_version: String,
    /// SHA-256 over the canonical JSON (RFC 8785) of this object without `manifest_hash`,
    /// `created_at` and `signature`.
    pub(crate) manifest_hash: Sha256Digest,
    /// Which files an update may delete: `safe` only those that the old manifest lists,
    /// `aggressive` everything that is neither listed nor ignored, `manual` nothing until somebody
    /// confirms it.
    pub(crate) delete_policy: DeletePolicy,
    /// What an update never deletes. A glob without `/` matches a name at any depth, others are
    /// anchored at the root of the release; `*` and `?` stop at `/`, `**` does not.
    pub(crate) ignore_globs: Vec<String>,
    /// When the release was made, in RFC 3339 with a zone. Not covered by the hash.
    #[cfg_attr(feature = "schema", schemars(extend("format" = "date-time")))]
    pub(crate) created_at: Option<String>,
    /// The least versions of what the tool needs.
    pub(crate) dependencies: Option<Dependencies>,
    /// How to warm up a GPU for the tool.
    pub(crate) flash_gpu_config: Option<FlashGpuConfig>,
    /// The tool's front end.
    pub(crate) frontend: Option<Frontend>,
    /// The contract of the tool's interface, e.g. `runtime/1`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[a-z]+/[0-9]+$")))]
    pub(crate) api_contract: Option<String>,
    /// What the tool says that it can do.
    pub(crate) capabilities: Option<Vec<String>>,
    /// A signature over the manifest hash. Not covered by the hash.
    pub(crate) signature: Option<Signature>,
}

/// One file of the release.
// As it is written; reading is in `parse`.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "FileEntry"))]
pub(crate) struct FileRecord<'a> {
    /// Relative to the release, separated by `/`. No component is empty, `.`, `..`, longer than 255
    /// bytes, a device name of Windows, or ends in a dot or a space.
    #[cfg_attr(
        feature = "schema",
        schemars(
            length(min = 1, max = 1024),
            regex(
                pattern = r#"^[^/\\:<>"|?*\u0000-\u001f\u007f]+(/[^/\\:<>"|?*\u0000-\u001f\u007f]+)*$"#
            )
        )
    )]
    pub(crate) path: &'a str,
    pub(crate) sha256: Sha256Digest,
    /// Its length in bytes, written without `.` or `e`.
    #[cfg_attr(
        feature = "schema",
        schemars(range(min = 0, max = 9_007_199_254_740_991_u64))
    )]
    pub(crate) size: u64,
    /// Where the publisher serves it: an absolute `http` or `https` URL without user information.
    #[cfg_attr(
        feature = "schema",
        schemars(
            regex(pattern = "^[Hh][Tt][Tt][Pp][Ss]?://"),
            extend("format" = "uri")
        )
    )]
    pub(crate) url: &'a str,
    /// Whether the file is a program. Absent means no.
    #[cfg_attr(feature = "schema", schemars(with = "bool", default))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) executable: Option<bool>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub(crate) unknown: Option<&'a serde_json::Map<String, Value>>,
}
