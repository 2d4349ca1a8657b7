//! What is a release? The manifest and everything that it consists of.
//!
//! ```
//! use manifest_core::{Limits, Manifest, ManifestBuilder, Sha256Digest};
//!
//! let manifest = ManifestBuilder::new("sketcher".parse()?, "1.2.0".parse()?)
//!     .with_file("src/main.py".parse()?, Sha256Digest::of(b"print()"), 7, true)
//!     .build()?;
//!
//! // The only way in for bytes: everything is checked, the hash is recomputed.
//! let received = Manifest::parse(&manifest.to_bytes(), &Limits::default())?;
//! assert_eq!(received.manifest_hash(), manifest.manifest_hash());
//! assert_eq!(received.file("src/main.py").map(|file| file.size()), Some(7));
//! # Ok::<(), manifest_core::Error>(())
//! ```
//!
//! # Ideas
//!
//! - **A [`Manifest`] is always valid.** [`Manifest::parse`] bounds what it reads ([`Limits`]),
//!   refuses duplicate keys, unsafe paths and colliding names, and recomputes the hash.
//! - **A name is safe once it has a type.** [`ReleasePath`], [`ToolId`] and [`ReleaseVersion`] can
//!   be joined to a folder on every platform without leaving it.
//! - **The hash is the identity.** `manifest_hash` is SHA-256 over the canonical JSON (RFC 8785) of
//!   everything but the date and the signature, unknown fields included. Two machines with equal
//!   hashes run the same release.
//! - **[`scan`] turns a folder into a manifest**, hashing one file per core.
//!
//! # Features
//!
//! - `schema` (off by default, since it brings the `jsonschema` and `schemars` crates): the JSON
//!   Schema of the format, and a report of *every* problem of a document.

mod builder;
mod canonical;
mod collisions;
mod digest;
mod document;
mod entry;
mod error;
mod globs;
mod identity;
mod limits;
mod manifest;
mod parse;
mod path;
mod rules;
mod scan;
#[cfg(feature = "schema")]
mod schema;

pub use builder::{DEFAULT_BASE_URL, ManifestBuilder, file_url};
pub use canonical::canonical_json;
pub use digest::{Sha256Digest, Sha256Hasher, blake3_reader, hash_file, hash_reader};
pub use document::{DeletePolicy, Dependencies, FlashGpuConfig, Frontend, FrontendType, Signature};
pub use entry::FileEntry;
pub use error::{Error, ErrorKind};
pub use globs::{DEFAULT_IGNORE_GLOBS, IgnoreGlobs, is_model, is_runtime_or_user_scope};
pub use identity::{ReleaseVersion, ToolId};
pub use limits::Limits;
pub use manifest::Manifest;
pub use path::{MANIFEST_FILE_NAME, ReleasePath};
pub use scan::{Scan, ScanOptions, scan};
#[cfg(feature = "schema")]
pub use schema::{Problem, problems, schema};
