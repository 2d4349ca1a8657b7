//! Files for a program to read, gone when it is done.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use durable_fs::{Dir, Disk, TEMPORARY_PREFIX};

use crate::Error;

/// Whatever needed a folder of ours this long ago is gone.
const ABANDONED: Duration = Duration::from_hours(24);

/// A folder of our own below another one; dropped, it is deleted.
#[derive(Debug)]
pub(super) struct Scratch {
    parent: Dir,
    name: String,
    dir: Dir,
    path: PathBuf,
}

impl Scratch {
    pub(super) fn below(folder: &Path) -> Result<Self, Error> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let prefix = format!("{TEMPORARY_PREFIX}python-");
        let create = || {
            let parent = Disk::real().create_dir_all(folder)?;
            sweep(&parent, &prefix);
            loop {
                let count = COUNT.fetch_add(1, Ordering::Relaxed);
                // Other machines may share the folder, and have a process of our number.
                let name = format!("{prefix}{}-{count}", std::process::id());
                match parent.create_dir(&name) {
                    Err(error) if error.is_already_exists() => {}
                    created => {
                        created?;
                        let dir = parent.open_dir(&name)?;
                        return Ok((parent, name, dir));
                    }
                }
            }
        };
        let failed =
            |error| Error::disk(format!("{} cannot be written to", folder.display()), error);
        let (parent, name, dir) = create().map_err(failed)?;
        let path = folder.join(&name);
        Ok(Self {
            parent,
            name,
            dir,
            path,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let written = self
            .dir
            .create_file(name)
            .and_then(|mut file| file.write_bytes(text.as_bytes()));
        let failed = |error| {
            Error::disk(
                format!("{} cannot be written to", self.path.display()),
                error,
            )
        };
        written.map_err(failed)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = self.parent.remove_tree(&self.name) {
            tracing::debug!(%error, "a folder of ours stays");
        }
    }
}

/// Deletes what killed processes left behind.
fn sweep(parent: &Dir, prefix: &str) {
    for entry in parent.entries().unwrap_or_default() {
        let abandoned = entry.name.to_string_lossy().starts_with(prefix)
            && parent
                .metadata(&entry.name)
                .ok()
                .flatten()
                .is_some_and(|metadata| {
                    metadata
                        .modified
                        .and_then(|modified| modified.elapsed().ok())
                        .is_some_and(|age| age > ABANDONED)
                });
        if abandoned {
            // Whoever else cleans up is welcome to it.
            let _ = parent.remove_tree(&entry.name);
        }
    }
}
