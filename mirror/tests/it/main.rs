//! The mirror over raw sockets, and its store on a real disk.

mod answers;
mod contents;
#[cfg(unix)]
mod explore;
#[cfg(unix)]
mod garbage;
mod names;
mod patience;
mod publish;
mod ranges;
mod store;
mod support;
