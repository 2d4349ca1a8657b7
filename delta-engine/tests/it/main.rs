//! Laws of the delta, on trees in memory.

mod large;
mod laws;
