use crate::{Error, ErrorKind};

/// Runs what waits for the disk where it may wait. A panic in it goes on here.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::new(
                ErrorKind::Cancelled,
                "the runtime was shut down",
            )),
        },
    }
}
