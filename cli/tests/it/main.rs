//! The binary, as its users run it.

mod doctor;
mod failures;
mod installation;
mod manifest;
mod serve;
#[cfg(unix)]
mod signals;
mod update;
mod world;
