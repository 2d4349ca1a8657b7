//! What the crate does as a whole. The tests named after rows of the fault catalogue (`c32_…`) that need HTTP are compiled with the
//! feature `http`, which `cargo test --workspace` turns on.

mod common;
mod disk;
mod fake;
mod files;
mod partials;
mod sources;
mod time;

#[cfg(feature = "http")]
mod http_breaks;
#[cfg(feature = "http")]
mod http_heads;
#[cfg(feature = "http")]
mod http_limits;
#[cfg(feature = "http")]
mod http_ranges;
#[cfg(feature = "http")]
mod http_redirects;
#[cfg(feature = "http")]
mod http_requests;
#[cfg(feature = "mock")]
mod mock;
