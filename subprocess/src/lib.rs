//! How does another program run here? Its output bounded, in a process group of its own, and gone when nobody waits for it.
//!
//! ```
//! use std::time::Duration;
//!
//! use subprocess::{CancellationToken, Command, Until};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cancel = CancellationToken::new();
//! let until = Until::cancelled(&cancel).or_after(Duration::from_secs(10));
//! # if cfg!(unix) {
//! let ran = subprocess::run(Command::new("uname").arg("-s"), 1024, &until).await?;
//! assert!(ran.status.success() && !ran.stdout.is_empty());
//! # }
//! # Ok(())
//! # }
//! ```
//!
//! - [`run`] collects what a program prints, [`run_into`] sends it to a file, [`stream`] hands it on line by line.
//! - A program has no standard input. It is the leader of a group: what it started is killed with it when [`Until`] says so, or when
//!   the future is dropped.
//! - A program that is just being written by somebody (`ETXTBSY`) is started again for a while.
//!
//! # What is not guaranteed
//!
//! If this process is killed, the programs that it runs are not. On systems other than Unix there are no groups: only the program
//! itself is killed.

mod error;
mod group;
mod run;
mod start;
mod stream;
mod text;
mod until;

pub use error::Failed;
pub use run::{Ran, run, run_into};
pub use start::start;
pub use stream::{Streamed, stream};
pub use text::end_of;
pub use tokio::process::Command;
pub use tokio_util::sync::CancellationToken;
pub use until::Until;
