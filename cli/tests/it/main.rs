//! The binary, as its users run it.

#[cfg(unix)]
mod book;
mod comfy;
mod doctor;
mod failures;
#[cfg(unix)]
mod flash_gpu;
#[cfg(unix)]
mod hot_swap;
mod installation;
mod manifest;
mod pack;
mod serve;
#[cfg(unix)]
mod signals;
mod update;
mod world;
mod zip;
