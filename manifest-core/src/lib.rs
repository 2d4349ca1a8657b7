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
//! - **[`scan`] turns a folder into a manifest**, hashing one file per core. [`scan_observed`] also says how
//!   far it is, and can be stopped.
//!
//! # Overview
//!
//! | to | use |
//! |---|---|
//! | read a manifest | [`Manifest::parse`], which says the first thing that is wrong; the feature `schema` has all of them |
//! | describe a folder | [`scan`] with [`ScanOptions`], and its `tool.json` with [`ToolJson`] |
//! | describe what is not a folder | [`ManifestBuilder`] |
//! | compare a folder with a manifest | [`check_folder`] |
//! | hash | [`Sha256Digest`], [`hash_reader`], [`hash_file`]; piece by piece [`Sha256Hasher`] |
//! | take a name from outside | [`ReleasePath`], [`ToolId`], [`ReleaseVersion`], all by `parse` |
//! | know what is never part of a release | [`IgnoreGlobs`], [`is_runtime_or_user_scope`], [`is_model`] |
//! | find a file at a mirror | [`file_url`] |
//!
//! # What is not guaranteed
//!
//! - Who made a manifest. Everybody can compute a hash; a [`Signature`] is kept and handed on, not verified.
//! - That a folder is what [`scan`] described. It reads each file once; who publishes the files has to hash them again.
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
mod folder;
mod globs;
mod hash;
mod identity;
mod limits;
mod manifest;
mod parse;
mod path;
mod progress;
mod rules;
mod scan;
#[cfg(feature = "schema")]
mod schema;
mod tool_json;

pub use builder::{DEFAULT_BASE_URL, ManifestBuilder, file_url};
pub use canonical::canonical_json;
pub use digest::{Sha256Digest, Sha256Hasher, blake3_reader, hash_file, hash_reader};
pub use document::{DeletePolicy, Dependencies, FlashGpuConfig, Frontend, FrontendType, Signature};
pub use entry::FileEntry;
pub use error::{Error, ErrorKind};
pub use folder::{Difference, DifferenceKind, check_folder, check_folder_observed};
pub use globs::{DEFAULT_IGNORE_GLOBS, IgnoreGlobs, is_model, is_runtime_or_user_scope};
pub use hash::{HashCheck, check_hash};
pub use identity::{ReleaseVersion, ToolId};
pub use limits::Limits;
pub use manifest::Manifest;
pub use path::{MANIFEST_FILE_NAME, ReleasePath};
pub use progress::ScanProgress;
pub use scan::{Scan, ScanOptions, scan, scan_observed};
#[cfg(feature = "schema")]
pub use schema::{Problem, problems, schema};
pub use tool_json::{TOOL_JSON_FILE_NAME, ToolJson};

// What programs rely on, checked by the compiler.
const _: () = {
    const fn shared<T: Send + Sync + 'static>() {}
    const fn cloned<T: Clone + Send + Sync + 'static>() {}
    cloned::<Manifest>();
    cloned::<ManifestBuilder>();
    cloned::<FileEntry>();
    cloned::<ReleasePath>();
    cloned::<ReleaseVersion>();
    cloned::<ToolId>();
    cloned::<Sha256Digest>();
    cloned::<IgnoreGlobs>();
    cloned::<Limits>();
    cloned::<ScanOptions>();
    cloned::<Scan>();
    shared::<Error>();
};
