//! Each rule of [`Downloader`](crate::Downloader) as a function of its own, to run one alone.
//!
//! Each returns how the rule is broken as a [`Violation`](super::Violation), whose `Debug` form is the whole message: `.unwrap()` is
//! all that a test needs. A check that hangs ends after 30 s.

mod bodies;
mod content;
mod ranges;
mod refusals;
mod validators;

pub use bodies::{broken_body, concurrent, dropped_body, dropped_open};
pub use content::{chunks, empty, total, whole};
pub use ranges::{length, range_not_satisfiable, start};
pub use refusals::{expected_size, foreign_scheme, not_found, secrets, user_information};
pub use validators::{if_range_changed, if_range_same, validator};
