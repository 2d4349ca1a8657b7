use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::Failed;

/// How long somebody waits for a program.
#[derive(Clone, Debug)]
#[must_use]
pub struct Until {
    cancel: CancellationToken,
    deadline: Option<Duration>,
}

impl Until {
    /// Until it ends or the token is cancelled.
    pub fn cancelled(cancel: &CancellationToken) -> Self {
        Self {
            cancel: cancel.clone(),
            deadline: None,
        }
    }

    /// Also not longer than this, counted from the program's start.
    pub fn or_after(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    pub(crate) fn check(&self) -> Result<(), Failed> {
        if self.cancel.is_cancelled() {
            return Err(Failed::Cancelled);
        }
        Ok(())
    }

    /// What `work` comes to, unless the wait is over before.
    pub(crate) async fn wait_for<T>(
        &self,
        work: impl Future<Output = Result<T, Failed>>,
    ) -> Result<T, Failed> {
        let late = async {
            match self.deadline {
                Some(deadline) => {
                    tokio::time::sleep(deadline).await;
                    deadline
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Failed::Cancelled),
            done = work => done,
            deadline = late => Err(Failed::Deadline(deadline)),
        }
    }
}
