//! Do the faults of `testkit` find what they are there to find?
#![cfg(unix)]

mod durable;
mod explore;
mod power_cut;
