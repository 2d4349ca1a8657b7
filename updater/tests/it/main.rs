//! The whole way of a release: from sources, through the downloader and the delta, to an installation.

mod care;
mod dropping;
mod events;
mod examine;
#[cfg(unix)]
mod explore;
mod fakes;
mod faults;
mod health;
mod hq;
#[cfg(unix)]
mod planted;
mod progress;
mod refusals;
mod release;
mod sources;
mod stopping;
mod support;
#[cfg(unix)]
mod together;
mod update;
mod users_files;
#[cfg(feature = "zip")]
mod zip;
