//! What has to change between an installed release and a target?
//!
//! ```
//! use delta_engine::{Change, Delta, ReuseKind};
//! use manifest_core::{ManifestBuilder, Sha256Digest};
//!
//! let release = |version: &str, files: &[(&str, &str)]| {
//!     let mut builder = ManifestBuilder::new("sketcher".parse()?, version.parse()?);
//!     for &(path, text) in files {
//!         let digest = Sha256Digest::of(text.as_bytes());
//!         builder = builder.with_file(path.parse()?, digest, text.len() as u64, false);
//!     }
//!     builder.build()
//! };
//! let installed = release("1.0.0", &[("main.py", "one"), ("unet.bin", "weights")])?;
//! let target = release("1.1.0", &[("main.py", "two!"), ("models/unet.bin", "weights")])?;
//!
//! let delta = Delta::between(installed.files(), target.files());
//! assert_eq!(delta.downloads()[0].targets[0].change, Change::Modified); // main.py
//! assert_eq!(delta.reuses()[0].kind, ReuseKind::Moved); // unet.bin, by its content
//! assert_eq!(delta.deletions()[0].path().as_str(), "unet.bin");
//! assert_eq!(delta.totals().download_bytes, 4);
//! assert_eq!(delta.totals().saved_bytes(), 7);
//! # Ok::<(), manifest_core::Error>(())
//! ```
//!
//! # Ideas
//!
//! - **Content decides, not the name.** A file whose content lies anywhere in the installed release
//!   is reused, and a content that is nowhere is downloaded once, however many files hold it.
//! - **Every target file appears exactly once**, in a [`Download`] or as a [`Reuse`]. Carrying both
//!   out gives the target tree; what is in neither is in [`Delta::deletions`].
//! - **A digest is believed.** Whether an installed file still has the content that its manifest says, the caller has to know: leave out
//!   of the first list what is damaged.
//! - **Pure.** No disk, no clock, no I/O. Entries are borrowed, never copied; the result depends on
//!   nothing but the two lists.

mod delta;
mod plan;
mod totals;

pub use delta::Delta;
pub use plan::{Change, Download, Placement, Reuse, ReuseKind};
pub use totals::Totals;

// What programs rely on, checked by the compiler.
const _: () = {
    const fn cloned<T: Clone + Send + Sync + 'static>() {}
    cloned::<Delta<'static>>();
    cloned::<Totals>();
};
