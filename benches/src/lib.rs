//! How fast are the crates? Contents, folders and ways of hashing to measure with.
//!
//! `cargo bench -p lockstep-benches` measures the parts, each beside something that does the same another way;
//! `scripts/profile-hashing` measures hashing alone, on the reader's machine. `docs/profile-hashing.md` says how to read both.

mod contents;
mod hashing;

pub use contents::{content, manifest, path, write_tree};
pub use hashing::{Access, Algorithm, FileHasher, hash_all};

/// 2²⁰ bytes.
pub const MIB: usize = 1 << 20;

/// A number of bytes for people: `4 KiB`, `1 MiB`; exact for whole KiB, MiB and GiB.
#[must_use]
pub fn size_label(bytes: usize) -> String {
    let kib = bytes / 1024;
    if kib > 0 && kib.is_multiple_of(MIB) {
        format!("{} GiB", kib / MIB)
    } else if kib > 0 && kib.is_multiple_of(1024) {
        format!("{} MiB", kib / 1024)
    } else {
        format!("{kib} KiB")
    }
}
