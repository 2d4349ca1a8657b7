//! What happens if an effect fails, the process stops, or the power goes?

mod cut;
mod explore;
mod follow;
mod image;
mod names;
mod plan;
mod power_cut;
mod report;
mod run;
mod sample;
mod state;

pub use cut::{CrashState, Cut, States};
pub use explore::Exploration;
pub use image::Image;
pub use plan::{EIO, ENOSPC, Faults};
pub use power_cut::PowerCut;
pub use report::{Case, Explored, Failures, Outcome};

use durable_fs::{Effect, Operation};

/// An empty folder, in memory where the system has such a place: syncing costs nothing there.
///
/// # Panics
/// If no folder can be created.
#[must_use]
pub fn scratch() -> tempfile::TempDir {
    let mut builder = tempfile::Builder::new();
    builder.prefix("faults-");
    builder
        .tempdir_in("/dev/shm")
        .or_else(|_| builder.tempdir())
        .expect("a temporary folder can be created")
}

/// An effect in words: `rename a to b`.
fn in_words(effect: &Effect<'_>) -> String {
    let path = effect.path.display();
    let operation = effect.operation;
    match (&effect.to, operation) {
        (Some(target), Operation::Symlink) => {
            format!("{operation} {path} that points to {}", target.display())
        }
        (Some(to), Operation::Exchange) => format!("{operation} {path} and {}", to.display()),
        (Some(to), _) => format!("{operation} {path} to {}", to.display()),
        (None, Operation::Write) => format!("{operation} {path}, {} bytes", effect.data.len()),
        (None, Operation::SyncDir) => format!("{operation} the folder {path}"),
        (None, _) => format!("{operation} {path}"),
    }
}

/// Paths below a folder as seen from there.
fn without_root(text: &str, root: &std::path::Path) -> String {
    text.replace(&format!("{}/", root.display()), "")
}
