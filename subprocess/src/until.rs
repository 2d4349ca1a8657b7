use std::fs::File;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::Failed;

/// How long somebody waits for a program, and what is over with it.
#[derive(Clone, Debug)]
#[must_use]
pub struct Until {
    cancel: CancellationToken,
    deadline: Option<Duration>,
    held: Option<Arc<File>>,
    pub(crate) leftovers_end: bool,
}

impl Until {
    /// Until it ends or the token is cancelled.
    pub fn cancelled(cancel: &CancellationToken) -> Self {
        Self {
            cancel: cancel.clone(),
            deadline: None,
            held: None,
            leftovers_end: false,
        }
    }

    /// Also not longer than this, counted from the program's start.
    pub fn or_after(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// When it ends by itself, what it started is killed with it, as far as that has stayed in its group. Otherwise it may leave
    /// something behind.
    pub fn and_what_it_started(mut self) -> Self {
        self.leftovers_end = true;
        self
    }

    /// The program holds a file open as well, as its standard input, from which it can read: who else looks for a lock on it finds it locked
    /// until the program ends, even if this process is killed.
    pub fn holding(mut self, file: File) -> Self {
        self.held = Some(Arc::new(file));
        self
    }

    pub(crate) fn input(&self) -> Result<Stdio, Failed> {
        match &self.held {
            Some(file) => Ok(file.try_clone().map_err(Failed::Start)?.into()),
            None => Ok(Stdio::null()),
        }
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
