//! The binary, as its users run it.

#[cfg(unix)]
mod book;
mod comfy;
mod doctor;
mod failures;
mod installation;
mod manifest;
mod pack;
mod serve;
#[cfg(unix)]
mod signals;
mod update;
mod world;
mod zip;
