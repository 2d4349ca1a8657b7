use std::io;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::Failed;

/// A handle for writing that another thread's child holds between its fork and its exec is gone within milliseconds.
const BUSY_TRIES: u32 = 100;
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// Starts a program. If somebody has it open for writing (`ETXTBSY`), that is tried again for two seconds.
///
/// What its input and output are, and what becomes of it when the child is dropped, is as the command says.
///
/// # Errors
/// [`Failed::Start`].
pub async fn start(command: &mut Command) -> Result<Child, Failed> {
    let mut tries = 0;
    loop {
        match command.spawn() {
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES =>
            {
                tries += 1;
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            spawned => return spawned.map_err(Failed::Start),
        }
    }
}
