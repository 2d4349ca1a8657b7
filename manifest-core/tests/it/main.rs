//! The crate as its users meet it.

mod checks;
mod fixtures;
mod folder;
mod golden;
mod hostile;
mod mutations;
mod progress;
mod round_trip;
#[cfg(feature = "schema")]
mod schema;
mod support;
