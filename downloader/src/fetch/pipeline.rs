//! Between the network and the disk: the network fills one batch while the disk works on the one before.

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::fetcher::Target;
use super::journal::Journal;
use super::partial::{Batch, Partial, Sealed};
use crate::Error;
use crate::blocking::stopped;

/// A batch this large is worth a hop to another thread.
const WORTHWHILE: usize = 256 * 1024;
/// While the disk is busy with one batch of this size, another may gather: 4 MiB in flight at most.
const FULL: usize = 2 * 1024 * 1024;

/// Owns the file while it is filled. Blocking threads are used only while there is work, never to wait for the network.
#[derive(Debug)]
pub(super) struct Pipeline {
    state: State,
    next: Batch,
}

#[derive(Debug)]
enum State {
    Idle(Box<Partial>),
    Busy(JoinHandle<Worked<()>>),
    /// The disk failed, or the work was lost with the runtime.
    Broken,
}

type Worked<T> = (Box<Partial>, Result<T, Error>);

impl Pipeline {
    pub(super) fn new(partial: Box<Partial>) -> Self {
        Self {
            state: State::Idle(partial),
            next: Batch::default(),
        }
    }

    /// Forgets what has come so far; the next bytes are the first ones.
    pub(super) fn restart(&mut self) {
        self.next = Batch {
            restart: true,
            ..Batch::default()
        };
    }

    /// Says where the next bytes come from.
    pub(super) fn set_origin(&mut self, journal: Journal) {
        self.next.journal = Some(journal);
    }

    /// Takes bytes. Waits only when the disk is behind.
    pub(super) async fn push(&mut self, chunk: Bytes) -> Result<(), Error> {
        self.next.bytes += chunk.len();
        self.next.chunks.push(chunk);
        if self.next.bytes < WORTHWHILE {
            return Ok(());
        }
        if self.next.bytes < FULL && matches!(&self.state, State::Busy(work) if !work.is_finished())
        {
            return Ok(());
        }
        let mut partial = self.idle().await?;
        let batch = std::mem::take(&mut self.next);
        self.state = State::Busy(tokio::task::spawn_blocking(move || {
            let result = partial.apply(batch);
            (partial, result)
        }));
        Ok(())
    }

    /// Brings everything that has come to the file.
    pub(super) async fn flush(&mut self) -> Result<(), Error> {
        if matches!(self.state, State::Broken) {
            return Ok(());
        }
        let partial = self.idle().await?;
        if self.next.is_empty() {
            self.state = State::Idle(partial);
            return Ok(());
        }
        self.work(partial, Partial::apply).await
    }

    /// The last step: writes what is left and judges the whole.
    pub(super) async fn seal(&mut self) -> Result<Sealed, Error> {
        let partial = self.idle().await?;
        self.work(partial, |partial, batch| {
            partial.apply(batch)?;
            partial.seal()
        })
        .await
    }

    /// The last step for a file that nobody knows the digest of: writes what is left, and names the file by its content.
    pub(super) async fn keep(&mut self) -> Result<Target, Error> {
        let partial = self.idle().await?;
        self.work(partial, |partial, batch| {
            partial.apply(batch)?;
            partial.keep()
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &mut self,
        mut partial: Box<Partial>,
        work: impl FnOnce(&mut Partial, Batch) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let batch = std::mem::take(&mut self.next);
        let task = tokio::task::spawn_blocking(move || {
            let result = work(&mut partial, batch);
            (partial, result)
        });
        let (partial, result) = task.await.map_err(stopped)?;
        if result.is_ok() {
            self.state = State::Idle(partial);
        }
        result
    }

    /// Waits for the disk and takes the file out; the state is `Broken` until it is put back.
    async fn idle(&mut self) -> Result<Box<Partial>, Error> {
        match std::mem::replace(&mut self.state, State::Broken) {
            State::Idle(partial) => Ok(partial),
            State::Busy(work) => {
                let (partial, result) = work.await.map_err(stopped)?;
                result.map(|()| partial)
            }
            State::Broken => Err(Error::new(
                crate::ErrorKind::Io,
                "the download folder failed before",
            )),
        }
    }
}
