//! What the pages of `docs/` say, checked where a doctest cannot.

mod dependencies;
mod links;
mod old_updater;
mod pages;
