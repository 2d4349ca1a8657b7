//! The crate as its users meet it.

mod archives;
mod catalogue;
#[cfg(unix)]
mod explore;
mod folders;
mod frontends;
mod progress;
mod reproducible;
#[cfg(feature = "schema")]
mod schema;
mod support;
