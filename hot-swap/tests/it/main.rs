//! The binary of a service is replaced.

#![cfg(all(unix, feature = "testing"))]

mod builds;
mod candidates;
mod container;
mod failing;
mod interrupted;
mod kept;
mod load;
mod process;
mod server;
mod swapping;
mod systemd;
mod watching;
mod world;
