//! A verified file out of unreliable sources.

mod attempt;
mod fetcher;
mod hosts;
mod journal;
mod partial;
mod pipeline;

mod small;
mod sources;
mod store;
mod unpinned;

pub use fetcher::{Fetched, Fetcher, Target};
pub use store::PartialStore;
pub use unpinned::{Probed, Unpinned};
