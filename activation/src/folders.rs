use std::path::{Path, PathBuf};

use durable_fs::{Dir, DirEntry, FileKind, TEMPORARY_PREFIX};
use manifest_core::ReleaseVersion;

use crate::error::Doing as _;
use crate::{Error, ErrorKind, layout};

/// The folders below the root that Lockstep writes to, held open.
#[derive(Debug)]
pub(crate) struct Folders {
    pub(crate) root: Dir,
    pub(crate) notes: Dir,
    pub(crate) releases: Dir,
    pub(crate) staging: Dir,
    pub(crate) trash: Dir,
}

impl Folders {
    /// Opens them, creating what is missing, and refuses what only a hostile hand or a strange mount
    /// can have made.
    pub(crate) fn open(root: Dir, notes: Dir) -> Result<Self, Error> {
        let create = |dir: &Dir, name: &str| {
            dir.create_dir_all(name)
                .doing(|| format!("cannot use {}", dir.path().join(name).display()))
        };
        let releases = create(&root, layout::RELEASES)?;
        let staging = create(&releases, layout::STAGING)?;
        let trash = create(&releases, layout::TRASH)?;
        let folders = Self {
            root,
            notes,
            releases,
            staging,
            trash,
        };
        folders.check_same_device()?;
        folders.check_history()?;
        Ok(folders)
    }

    /// A staged release becomes active by a rename, which does not cross file systems.
    fn check_same_device(&self) -> Result<(), Error> {
        let device = |dir: &Dir| {
            dir.device()
                .doing(|| format!("cannot look at {}", dir.path().display()))
        };
        let releases = device(&self.releases)?;
        for dir in [&self.staging, &self.trash] {
            if device(dir)? != releases {
                let text = format!(
                    "{} is on another file system than {}",
                    dir.path().display(),
                    self.releases.path().display()
                );
                return Err(Error::new(ErrorKind::Policy, text));
            }
        }
        Ok(())
    }

    /// The history is appended to after the switch, when it is too late to refuse.
    fn check_history(&self) -> Result<(), Error> {
        let history = self
            .notes
            .metadata(layout::HISTORY)
            .doing(|| "cannot look at the history".into())?;
        if history.is_some_and(|found| found.kind != FileKind::File || found.links > 1) {
            let path = self.notes.path().join(layout::HISTORY);
            let text = format!("{} is not a file of its own; move it away", path.display());
            return Err(Error::new(ErrorKind::Policy, text));
        }
        Ok(())
    }

    /// Removes temporary files and finishes deletions that a crash interrupted.
    pub(crate) fn clean(&self) -> Result<(), Error> {
        let carried = self.notes.open_dir(layout::CARRIED).ok();
        let own = [&self.root, &self.notes, &self.staging];
        for dir in own.into_iter().chain(&carried) {
            for entry in dir
                .entries()
                .doing(|| format!("cannot list {}", dir.path().display()))?
            {
                remove_if_temporary(dir, &entry)?;
            }
        }
        let carrying = self.staging.metadata(layout::CARRYING);
        if carrying
            .doing(|| "cannot look into the staging folder".into())?
            .is_some()
        {
            // Copies, whose originals are still in the active release.
            return self.discard(&self.staging, layout::CARRYING);
        }
        self.empty_trash()
    }

    pub(crate) fn empty_trash(&self) -> Result<(), Error> {
        for entry in self
            .trash
            .entries()
            .doing(|| "cannot list the trash".into())?
        {
            // A tool that ran as another user leaves files that only that user can delete. They are out
            // of the way, and the next session tries again.
            if let Err(error) = self.trash.remove_tree(&entry.name) {
                tracing::warn!(error = format_args!("{error:#}"), "cannot empty the trash");
            }
        }
        Ok(())
    }

    /// Renames into the trash, then deletes: a crash in between leaves nothing half deleted in view.
    pub(crate) fn discard(&self, dir: &Dir, name: impl AsRef<Path>) -> Result<(), Error> {
        let name = name.as_ref();
        dir.trash(name, &self.trash)
            .and_then(|()| self.trash.sync())
            .and_then(|()| dir.sync())
            .doing(|| format!("cannot discard {}", dir.path().join(name).display()))?;
        self.empty_trash()
    }

    /// The commit point: after this, `version` is the active release, durably.
    pub(crate) fn point_current_to(&self, version: &ReleaseVersion) -> Result<(), Error> {
        let folder = version.folder_name();
        self.root
            .replace_file(layout::CURRENT, folder.as_bytes())
            .doing(|| format!("cannot make {version} active"))
    }

    /// Creates or moves the symbolic link `current`, for programs that cannot read `current.txt`.
    pub(crate) fn point_link_to(&self, version: &ReleaseVersion) -> Result<(), Error> {
        self.root
            .replace_symlink(link_to(version), layout::CURRENT_LINK)
            .doing(|| "cannot point the link `current`".into())
    }

    /// Where the link `current` points, if it is one of ours.
    pub(crate) fn link_target(&self) -> Option<PathBuf> {
        let target = self.root.read_link(layout::CURRENT_LINK).ok()?;
        target.starts_with(layout::RELEASES).then_some(target)
    }

    /// Refuses to put the link where something else is.
    pub(crate) fn check_link(&self) -> Result<(), Error> {
        let found = self
            .root
            .metadata(layout::CURRENT_LINK)
            .doing(|| "cannot look at the link `current`".into())?;
        if found.is_none_or(|found| found.kind == FileKind::Symlink) {
            return Ok(());
        }
        let path = self.root.path().join(layout::CURRENT_LINK);
        let text = format!("{} is not a link; move it away", path.display());
        Err(Error::new(ErrorKind::Policy, text))
    }
}

/// Removes the temporary files that a crash left in a release.
pub(crate) fn clean_release(dir: &Dir) -> Result<(), Error> {
    for entry in dir
        .entries()
        .doing(|| format!("cannot list {}", dir.path().display()))?
    {
        if entry.kind == FileKind::Dir {
            let below = match dir.open_dir(&entry.name) {
                Err(error) if error.is_not_found() => continue,
                opened => opened.doing(|| format!("cannot open {}", entry.name.display()))?,
            };
            clean_release(&below)?;
        } else {
            remove_if_temporary(dir, &entry)?;
        }
    }
    Ok(())
}

fn remove_if_temporary(dir: &Dir, entry: &DirEntry) -> Result<(), Error> {
    let name = entry.name.as_encoded_bytes();
    if entry.kind == FileKind::Dir || !name.starts_with(TEMPORARY_PREFIX.as_bytes()) {
        return Ok(());
    }
    match dir.remove_file(&entry.name) {
        Err(error) if error.is_not_found() => Ok(()),
        removed => removed.doing(|| "cannot remove a temporary file".into()),
    }
}

pub(crate) fn link_to(version: &ReleaseVersion) -> String {
    format!("{}/{}", layout::RELEASES, version.folder_name())
}
