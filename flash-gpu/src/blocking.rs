use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Error, ErrorKind};

/// Runs what waits for the disk where it may wait.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    joined(tokio::task::spawn_blocking(work)).await
}

/// Runs what must come to an orderly end. If the caller goes away, the work is cancelled, and it keeps the lock until it has
/// stopped: nothing writes on after the lock is free.
pub(crate) async fn to_its_end<T, F>(
    cancel: &CancellationToken,
    work: impl FnOnce(CancellationToken) -> F,
) -> Result<T, Error>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let stop = cancel.child_token();
    let _gone = stop.clone().drop_guard();
    joined(tokio::spawn(work(stop))).await
}

async fn joined<T>(task: JoinHandle<Result<T, Error>>) -> Result<T, Error> {
    match task.await {
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

/// `work`, unless the caller cancels before it is done.
pub(crate) async fn unless_cancelled<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Error::cancelled()),
        done = work => done,
    }
}
