//! What the crate does as a whole. The tests named after rows of the fault catalogue (`c32_…`) that need HTTP are compiled with the
//! feature `http`, which `cargo test --workspace` turns on.

mod common;
#[cfg(feature = "testing")]
mod conformance;
#[cfg(all(feature = "testing", feature = "http"))]
mod conformance_http;
#[cfg(feature = "testing")]
mod conformance_liar;
#[cfg(feature = "testing")]
mod conformance_liars;
mod disk;
mod fake;
#[cfg(feature = "testing")]
mod faulty;
#[cfg(feature = "testing")]
mod faulty_fetch;
mod files;
mod partials;
mod sources;
mod time;
#[cfg(feature = "testing")]
mod unpinned;

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
#[cfg(all(feature = "zip", feature = "testing"))]
mod zip_conformance;
#[cfg(feature = "zip")]
mod zip_hostile;
#[cfg(feature = "zip")]
mod zip_reads;
#[cfg(all(feature = "zip", feature = "http"))]
mod zip_remote;
