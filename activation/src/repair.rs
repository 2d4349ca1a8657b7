use std::time::SystemTime;

use durable_fs::{Dir, Executable, FileKind, LinkPolicy, Replace};
use manifest_core::FileEntry;

use crate::error::Doing as _;
use crate::folders::clean_release;
use crate::history::{Event, HistoryEntry};
use crate::{Error, InstalledRelease, Session, retire};

impl Session {
    /// Replaces damaged files of a release, all of one content, by one that was fetched and verified:
    /// each atomically. A folder or link that has a file's name is moved to `.lockstep/kept/`. Durable
    /// after [`finish_repair`](Self::finish_repair).
    ///
    /// # Errors
    /// `NoSpace`, `Io`.
    pub fn repair_files(
        &self,
        release: &InstalledRelease,
        files: &[&FileEntry],
        from: &Dir,
        name: &str,
    ) -> Result<(), Error> {
        for (index, file) in files.iter().enumerate() {
            let doing = || format!("cannot repair {:?}", file.path());
            // What stands there is not ours to delete, unless it is a file.
            retire::clear_the_way(
                self.folders(),
                release.dir(),
                release.version(),
                file.path().as_str(),
                FileKind::File,
            )?;
            let folder = release
                .dir()
                .create_dir_all(file.path().parent().unwrap_or_default())
                .doing(doing)?;
            if index + 1 == files.len() {
                put(from, name, file, &folder).doing(doing)?;
            } else {
                put_copy(from, name, file, from, &folder).doing(doing)?;
            }
        }
        Ok(())
    }

    /// Gives a file of a release its executable bit, or takes it. The file is copied first, so that
    /// another release that shares it keeps its own.
    ///
    /// # Errors
    /// `NoSpace`, `Io`.
    pub fn repair_mode(&self, release: &InstalledRelease, file: &FileEntry) -> Result<(), Error> {
        let doing = || format!("cannot repair the mode of {:?}", file.path());
        let folder = release
            .dir()
            .open_dir(file.path().parent().unwrap_or_default())
            .doing(doing)?;
        let name = file.path().file_name();
        put_copy(&folder, name, file, &self.partials()?, &folder).doing(doing)
    }

    /// Makes repairs durable and writes them into the history.
    ///
    /// # Errors
    /// `NoSpace`, `Io`.
    pub fn finish_repair(
        &self,
        release: &InstalledRelease,
        files: usize,
        now: SystemTime,
    ) -> Result<(), Error> {
        clean_release(release.dir())?;
        release
            .dir()
            .sync_tree()
            .doing(|| "cannot make the repairs durable".into())?;
        let mut entry = HistoryEntry::new(now, Event::Repaired, release.version());
        entry.manifest_hash = Some(release.manifest().manifest_hash());
        entry.note = Some(format!("{files} files"));
        self.record(&entry)
    }
}

/// Moves a file to its place, with its mode. Its content is durable before: a file in its place is what
/// it was or what it should be, also after a power cut.
fn put(from: &Dir, name: &str, file: &FileEntry, folder: &Dir) -> durable_fs::Result<()> {
    let mode = if file.executable() {
        Executable::Yes
    } else {
        Executable::No
    };
    from.set_executable(name, mode)?;
    from.sync_file(name)?;
    from.rename(name, folder, file.path().file_name(), Replace::Allow)
}

/// As [`put`], by way of a copy in `aside`; the source stays as it is.
fn put_copy(
    from: &Dir,
    name: &str,
    file: &FileEntry,
    aside: &Dir,
    folder: &Dir,
) -> durable_fs::Result<()> {
    let copy = format!("{}.copy", file.sha256());
    aside.remove_tree(&copy)?; // of a repair that was stopped
    from.place(name, aside, &copy, LinkPolicy::Independent)?;
    put(aside, &copy, file, folder)
}
