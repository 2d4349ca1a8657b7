//! What is a release when it travels as a file? ZIP archives and the catalogue.
//!
//! ```
//! use std::ops::ControlFlow;
//!
//! use package::{Packer, ToolFolder};
//!
//! # let folder = tempfile::tempdir()?;
//! # let (tool, dist) = (folder.path().join("sketcher"), folder.path().join("dist"));
//! # std::fs::create_dir(&tool)?;
//! # std::fs::write(tool.join("main.py"), "print('hello')\n")?;
//! std::fs::write(tool.join("tool.json"), r#"{"tool_id": "sketcher", "version": "1.2.0"}"#)?;
//!
//! let packed = Packer::new(&dist)
//!     .with_release_url("https://github.com/o/sketcher/releases/download/v1.2.0/".parse()?)
//!     .pack(&[ToolFolder::new(&tool)], |_| ControlFlow::Continue(()))?;
//!
//! let archive = &packed.tools[0].asset;
//! assert_eq!(archive.name, "tool_sketcher_1.2.0.zip");
//! assert_eq!(dist.join(&archive.name).metadata()?.len(), archive.size);
//! let listed = &packed.catalog.tools()[0];
//! assert_eq!((listed.latest.as_str(), listed.sha256), ("1.2.0", archive.sha256));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Ideas
//!
//! - **The same files give the same bytes**: on every run, in every folder, with any number of threads. Names,
//!   contents and executable bits are all that counts. Each file is dated 1980-01-01 and has the mode 0755 or 0644;
//!   the manifest has no date unless the caller gives one.
//! - **An archive is what the manifest says.** Every file is hashed again while it is packed. One that has changed
//!   since it was scanned is an error, and nothing is left behind.
//! - **A release never changes.** An archive that is there already stays, or the whole run is refused.
//! - **[`Packer`] takes many folders to one [`Catalog`]**, which keeps what it lists of other tools, and does not go
//!   back to an older version by itself.
//! - **The front end is a part of the release and an archive of its own.** It is what is below `frontend/`, if
//!   `tool.json` says `"frontend": {"type": "web"}`, or says nothing and there is a `frontend/index.html`. In its
//!   archive, names begin behind `frontend/`, and so does the manifest's `frontend.entry`. The manifest holds the
//!   archive's name and digest, so that it is [`describe`] which says what release a folder is.
//!
//! # The archives
//!
//! `tool_<id>_<version>.zip` holds the files of the release in the order of their paths, and then `manifest.json`.
//! That is the last file before the central directory, so that a reader of ranges gets the directory and the
//! manifest by one request for the end of the archive.
//!
//! Models and what is compressed already (`.safetensors`, `.gguf`, `.png`, `.whl`, …) are stored, so that a part of
//! them can be fetched, and resumed, by Range. Other files are compressed by Deflate where that makes them smaller.
//! Sizes and checksums stand in front of each content: no reader has to guess where it ends, and an archive can be
//! unpacked from a pipe. ZIP64 is used where a number needs it, and only there.
//!
//! # What is not guaranteed
//!
//! - Another version of this crate may compress otherwise. A test holds the bytes of this one.
//! - Where the file system keeps no executable bits, only `.ps1`, `.sh` and `.py` are programs. A release with other
//!   programs must be packed where it does.
//! - A file that is changed and changed back between two readings is packed as the manifest says.
//! - A power cut while archives are put in their places can leave whole archives that the catalogue does not name, or
//!   names by the digests of those that they [replace](Existing::Replace). Packing again finishes the job.
//!
//! # Features
//!
//! - `schema` (off by default, since it brings the `schemars` crate and more): the JSON Schema of the catalogue.

mod archive;
mod catalog;
mod content;
mod dist;
mod error;
mod frontend;
mod method;
mod names;
mod ordered;
mod output;
mod packer;
mod progress;
mod release;
mod report;
#[cfg(feature = "schema")]
mod schema;
mod zip;

pub use catalog::{Catalog, CatalogTool, Latest, Listing};
pub use error::{Error, ErrorKind, Result};
pub use names::{CATALOG_FILE_NAME, frontend_asset_name, tool_asset_name};
pub use packer::{Existing, Packer};
pub use progress::PackProgress;
pub use release::{Asset, Release, ToolFolder, describe};
pub use report::{AssetState, Packed, PackedTool, Plan, PlannedTool};
#[cfg(feature = "schema")]
pub use schema::schema;
