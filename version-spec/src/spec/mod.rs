//! What a version is: the file, and what it means.

mod checksums;
mod document;
mod draft;
mod environment;
mod expand;
mod fields;
mod git;
mod json;
mod lines;
mod migrate;
mod models;
mod nodes;
mod notes;
mod packages;
mod place;
mod problem;
mod read;
mod requirement;
#[cfg(feature = "schema")]
mod schema;
mod snapshot;
mod source;
mod source_text;
mod store;
mod target;
mod types;
mod web;

pub use draft::SpecDraft;
pub use migrate::{COMFY_REPO, migrate, version_of_lock_file};
pub use problem::{InvalidSpec, SpecProblem};
pub use read::SpecReader;
#[cfg(feature = "schema")]
pub use schema::schema;
pub use source::{CivitaiModel, ModelSource};
pub use store::{Existing, SpecStore, StoredSpec};
pub use types::{
    CustomNode, GitSource, InstallRequirements, ModelEntry, Options, Spec, TorchChange,
};

/// A spec, and what of the file may not be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parsed {
    /// What the file means.
    pub spec: Spec,
    /// Loose forms that were understood, unknown fields, and what is not safe to rely on; in the order of the file.
    pub warnings: Vec<SpecProblem>,
}
