use std::sync::Arc;

use activation::Watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::progress::Tracker;
use crate::{Error, ErrorKind, Event, Observer as _};

/// Runs what waits for the disk where it may wait.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    joined(tokio::task::spawn_blocking(work)).await
}

/// Runs what must come to an orderly end. If the caller goes away, the work is cancelled, and it keeps the
/// lock until it has written down what it has: nothing writes on after the lock is free.
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

/// Passes progress on, and stops when the token says so.
pub(crate) struct Hashing {
    pub(crate) observer: Arc<Tracker>,
    pub(crate) cancel: CancellationToken,
}

impl Watch for Hashing {
    fn found(&self, bytes: u64) {
        self.observer.expect_hashing(bytes);
    }

    fn advanced(&self, bytes: u64) {
        self.observer.notify(&Event::BytesVerified(bytes));
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}
