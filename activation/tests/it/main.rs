//! The layout, the crash rows and the hostile rows need a system with links, FIFOs and modes.
#![cfg(unix)]

mod carry;
mod common;
mod crash;
mod delete;
mod displaced;
mod examine;
mod hostile;
mod lock;
mod order;
mod readers;
mod recovery;
mod repair;
mod retain;
mod rollback;
mod staging;
mod update;
mod verify;
