//! Models: one place for all versions, each content once.

mod checks;
mod civitai;
mod endpoints;
mod ensuring;
mod failures;
mod fetching;
mod hashing;
mod layout;
mod placing;
mod records;
mod source;
mod store;
mod target;
mod tokens;
mod usage;
mod verifying;
mod wanted;

pub use endpoints::Endpoints;
pub use store::ModelStore;
pub use tokens::Tokens;
pub use usage::{ModelUsage, UnusedModels};
pub use wanted::{ModelState, Presence, WantedModel};
