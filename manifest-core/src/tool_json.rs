use std::fmt::Display;
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::pointer_of;
use crate::{
    Dependencies, Error, ErrorKind, FlashGpuConfig, Frontend, ReleaseVersion, ToolId, rules,
};

/// The name of the file in a tool's folder that says what the tool is.
pub const TOOL_JSON_FILE_NAME: &str = "tool.json";

/// What a tool's `tool.json` says about it. Nothing in it is required; what else it has is for other
/// readers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ToolJson {
    /// The tool's id.
    pub tool_id: Option<ToolId>,
    /// The tool's name, for people.
    pub name: Option<String>,
    /// The version of the release that the folder holds.
    pub version: Option<ReleaseVersion>,
    /// Under what a catalogue lists the tool.
    pub category: Option<String>,
    /// What the tool runs on, e.g. `windows`.
    pub platforms: Option<Vec<String>>,
    /// What starts the tool on Windows, relative to the release.
    pub entrypoint_windows: Option<String>,
    /// Whether the tool can keep its models on the GPU between two jobs.
    pub supports_gpu_persistence: Option<bool>,
    /// The contract of the tool's interface, e.g. `runtime/1`.
    pub api_contract: Option<String>,
    /// The least versions of what the tool needs.
    pub dependencies: Option<Dependencies>,
    /// How to warm up a GPU for the tool.
    pub flash_gpu_config: Option<FlashGpuConfig>,
    /// The tool's front end.
    pub frontend: Option<Frontend>,
    /// What the tool says that it can do.
    pub capabilities: Option<Vec<String>>,
}

impl ToolJson {
    /// Reads the `tool.json` of a folder; `None` if it has no such file. [`scan`](crate::scan) does so
    /// itself, and hands on what it read.
    ///
    /// # Errors
    /// [`ErrorKind::Manifest`], with the place of the field that is wrong; [`ErrorKind::Io`].
    pub fn read(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join(TOOL_JSON_FILE_NAME);
        let failed = |error| Error::io(format!("cannot read {}", path.display()), error);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => {}
            // Reading a FIFO would wait for ever; a scan names it.
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        }
        let bytes = fs::read(&path).map_err(failed)?;
        let cannot_use = |cause: &dyn Display| {
            let text = format!("cannot use {}: {cause}", path.display());
            Error::new(ErrorKind::Manifest, text)
        };
        Self::parse(&bytes, cannot_use).map(Some)
    }

    fn parse(bytes: &[u8], cannot_use: impl Fn(&dyn Display) -> Error) -> Result<Self, Error> {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes); // PowerShell writes one
        let document: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|error| cannot_use(&error))?;
        if let Some(error) = rules::check_objects(&document).next() {
            let pointer = error.pointer().unwrap_or_default().to_owned();
            return Err(cannot_use(&error.without_pointer()).at(pointer));
        }
        serde_path_to_error::deserialize(&document).map_err(
            |error: serde_path_to_error::Error<serde_json::Error>| {
                cannot_use(error.inner()).at(pointer_of(error.path()))
            },
        )
    }
}
