//! A verified file out of unreliable sources.

mod attempt;
mod fetcher;
mod journal;
mod partial;
mod pipeline;

mod small;
mod sources;
mod store;

pub use fetcher::{Fetched, Fetcher, Target};
pub use store::PartialStore;
