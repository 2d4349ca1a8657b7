//! The crate as its users meet it.

mod fixtures;
mod folder;
mod golden;
mod hostile;
mod mutations;
mod round_trip;
#[cfg(feature = "schema")]
mod schema;
mod support;
