//! Work that blocks, off the async threads.

use tokio::task::JoinError;

use crate::{Error, ErrorKind};

/// Runs `work` on a blocking thread. A panic in it goes on here.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(stopped(error)))
}

/// What it means that blocking work did not come to its end.
pub(crate) fn stopped(error: JoinError) -> Error {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Error::new(ErrorKind::Cancelled, "the runtime is shutting down"),
    }
}
