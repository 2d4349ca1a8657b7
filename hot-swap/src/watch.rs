//! Swap again whenever something changes: edit, swap, look.

use async_trait::async_trait;
use subprocess::CancellationToken;

#[cfg(feature = "watch")]
pub use self::notified::SourceChanges;
use crate::{Error, HotSwap, Report};

/// Says when there is something new. `SourceChanges` (feature `watch`) is ready-made.
#[async_trait]
pub trait Changes: Send {
    /// Returns when there is something new since it returned last, or since it was created.
    ///
    /// # Errors
    /// If nobody can say any more; that ends the watch.
    ///
    /// # Cancel safety
    /// If the future is dropped, what it has noticed may be lost.
    async fn next(&mut self) -> Result<(), Error>;
}

impl HotSwap {
    /// [`run`](Self::run)s, and runs again whenever there are changes, until it is cancelled. `each` hears how each run ended: a failed
    /// one does not end the watch. What changes during a run is the next one's.
    ///
    /// # Errors
    /// Those of `changes`.
    pub async fn watch(
        &self,
        changes: &mut dyn Changes,
        mut each: impl FnMut(Result<Report, Error>) + Send,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        while !cancel.is_cancelled() {
            each(Box::pin(self.run(cancel)).await);
            match cancel.run_until_cancelled(changes.next()).await {
                Some(next) => next?,
                None => break,
            }
        }
        Ok(())
    }
}

#[cfg(feature = "watch")]
mod notified {
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use async_trait::async_trait;
    use ignore::gitignore::{Gitignore, GitignoreBuilder};
    use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
    use tokio::sync::mpsc;

    use super::Changes;
    use crate::blocking::blocking;
    use crate::{Error, ErrorKind, sources};

    /// An editor writes a file in several steps, and a checkout many files.
    const QUIET: Duration = Duration::from_millis(200);

    /// Notices that files in a folder have other contents or names than before. What `.gitignore` excludes does not count.
    #[derive(Debug)]
    pub struct SourceChanges {
        folder: PathBuf,
        known: String,
        noticed: mpsc::Receiver<()>,
        _watcher: RecommendedWatcher,
    }

    impl SourceChanges {
        /// Watches a folder and all below it, from now on. Hashes what is there.
        ///
        /// # Errors
        /// [`ErrorKind::NotFound`] if there is no such folder, `Io` if it cannot be watched or read.
        pub fn of(folder: impl Into<PathBuf>) -> Result<Self, Error> {
            let folder = folder.into();
            let failed = |error: notify::Error| {
                let kind = match error.kind {
                    notify::ErrorKind::PathNotFound => ErrorKind::NotFound,
                    _ => ErrorKind::Io,
                };
                let text = format!("{} cannot be watched", folder.display());
                Error::new(kind, text).with_source(error)
            };
            if !folder.is_dir() {
                let text = format!("there is no folder {} to watch", folder.display());
                return Err(Error::new(ErrorKind::NotFound, text));
            }
            // One that waits to be heard stands for all that come meanwhile.
            let (notice, noticed) = mpsc::channel(1);
            let ignored = ignored(&folder);
            let mut watcher =
                notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                    let counts = match event {
                        Ok(event) => {
                            !event.kind.is_access()
                                && event.paths.iter().any(|path| counts(&ignored, path))
                        }
                        // Events may have been lost.
                        Err(_) => true,
                    };
                    if counts {
                        let _ = notice.try_send(());
                    }
                })
                .map_err(failed)?;
            watcher
                .watch(&folder, RecursiveMode::Recursive)
                .map_err(failed)?;
            let known = sources::digest(&folder)?;
            Ok(Self {
                folder,
                known,
                noticed,
                _watcher: watcher,
            })
        }
    }

    /// What the folder's own `.gitignore` says: what those below it say is left to the hashing.
    fn ignored(folder: &Path) -> Gitignore {
        // The paths of events are absolute.
        let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        let mut builder = GitignoreBuilder::new(&folder);
        // A file that is not there, or not readable, ignores nothing.
        let _ = builder.add(folder.join(".gitignore"));
        let _ = builder.add_line(None, ".git/");
        builder.build().unwrap_or_else(|_| Gitignore::empty())
    }

    fn counts(ignored: &Gitignore, path: &Path) -> bool {
        let is_below = path.starts_with(ignored.path());
        !is_below
            || !ignored
                .matched_path_or_any_parents(path, path.is_dir())
                .is_ignore()
    }

    #[async_trait]
    impl Changes for SourceChanges {
        async fn next(&mut self) -> Result<(), Error> {
            loop {
                if self.noticed.recv().await.is_none() {
                    let text = format!("{} is not watched any more", self.folder.display());
                    return Err(Error::new(ErrorKind::Io, text));
                }
                while let Ok(Some(())) = tokio::time::timeout(QUIET, self.noticed.recv()).await {}
                let folder = self.folder.clone();
                match blocking(move || sources::digest(&folder)).await {
                    Ok(now) if now == self.known => {}
                    Ok(now) => {
                        self.known = now;
                        return Ok(());
                    }
                    // A file that was there is gone: something else will be noticed.
                    Err(error) => tracing::debug!(%error, "the sources are changing"),
                }
            }
        }
    }
}
