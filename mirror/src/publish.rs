use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, Read};
use std::ops::ControlFlow;

use durable_fs::{Dir, FileKind, Replace};
use manifest_core::{
    FileEntry, Limits, MANIFEST_FILE_NAME, Manifest, ScanProgress, Sha256Digest, Sha256Hasher,
};

use crate::store::{blob_path, disk_error, manifest_path};
use crate::{Error, ErrorKind, Result, Store};

/// Bytes copied and hashed at a time.
const BUFFER_LENGTH: usize = 256 * 1024;
/// The folder in `tmp` in which a publish collects its contents. It exists until the manifest
/// is in its place, so one that is found tells of an interrupted publish.
const INCOMING: &str = "incoming";

/// What publishing a release did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Contents that were copied into the store.
    pub new_blobs: usize,
    /// Contents that the store had. Equal files of a release are one content.
    pub reused_blobs: usize,
    /// Bytes of the new contents.
    pub bytes_written: u64,
    /// Whether this very release was there before. Then only contents that the store had lost are
    /// new.
    pub already_published: bool,
}

impl Store {
    /// Publishes a release: copies the contents that the store lacks out of `source`, then writes
    /// the manifest.
    ///
    /// Each copied content is hashed on the way; a content that the store has is not read again.
    /// All contents are durable before the manifest that names them appears, and the manifest is
    /// durable on return. After a failure or a crash at any moment the release is there as a whole
    /// or not at all, and publishing again finishes the job.
    ///
    /// Publishing a release again is fine: the manifest stays as it is (its date too), and contents
    /// that the store has lost, or holds with a wrong length, are put back.
    ///
    /// # Errors
    /// * [`ErrorKind::Busy`]: somebody else is publishing into the store.
    /// * [`ErrorKind::Conflict`]: this version is published with another manifest hash.
    /// * [`ErrorKind::Integrity`]: a file of `source` is missing, or is not what the manifest
    ///   says.
    /// * [`ErrorKind::NoSpace`]: the contents do not fit; nothing was written if that could be
    ///   known before.
    /// * [`ErrorKind::Manifest`]: the manifest, written out, is larger than readers accept.
    /// * [`ErrorKind::Corrupt`], [`ErrorKind::Io`]: the store is damaged, or the disk failed.
    pub fn publish(&self, manifest: &Manifest, source: &Dir) -> Result<Published> {
        self.publish_observed(manifest, source, |_| ControlFlow::Continue(()))
    }

    /// As [`publish`](Self::publish), saying how far it is, and stopping when it is told to.
    ///
    /// `observe` hears [`ScanProgress::Found`] once, with the contents that the store lacks, then of each piece
    /// that was copied and hashed, and of each content that is complete. It is not asked any more when all
    /// contents are: making them durable and publishing them cannot be stopped.
    ///
    /// # Errors
    /// As [`publish`](Self::publish), and [`ErrorKind::Cancelled`] once `observe` has broken: the store is
    /// then as if nobody had published.
    pub fn publish_observed(
        &self,
        manifest: &Manifest,
        source: &Dir,
        observe: impl Fn(ScanProgress) -> ControlFlow<()> + Sync,
    ) -> Result<Published> {
        let (tool, version) = (manifest.tool_id(), manifest.tool_version());
        let bytes = manifest.to_bytes();
        let limits = Limits::default();
        if bytes.len() as u64 > limits.max_bytes {
            let message = format!(
                "the manifest of {tool} {version} has {} bytes; readers accept {}",
                bytes.len(),
                limits.max_bytes
            );
            return Err(Error::new(ErrorKind::Manifest, message));
        }

        let _lock = self.lock()?;
        self.clear_leftovers()?;
        let stored = self.manifest(tool, version)?;
        if let Some(stored) = &stored
            && stored.manifest().manifest_hash() != manifest.manifest_hash()
        {
            let message = format!(
                "{tool} {version} is published already, with the manifest hash {} instead of {}: \
                 give the new content a new version",
                stored.manifest().manifest_hash(),
                manifest.manifest_hash()
            );
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        let contents = distinct_contents(manifest)?;
        let missing = self.missing(&contents)?;
        let bytes_written = missing.iter().map(|entry| entry.size()).sum();
        say(
            &observe,
            ScanProgress::Found {
                files: missing.len() as u64,
                bytes: bytes_written,
            },
        )?;
        let intake = Intake {
            missing: &missing,
            manifest,
            bytes: stored.is_none().then_some(&bytes),
            observe: &observe,
        };
        if !missing.is_empty() || stored.is_none() {
            self.check_space(bytes_written)?;
            self.take_in(&intake, source)
                .inspect_err(|_| self.take_back(&intake))?;
        }
        if stored.is_some() {
            // Whoever published it may have died before its name was durable.
            self.sync_release(manifest).map_err(|error| {
                disk_error(
                    format!("the manifest of {tool} {version} cannot be synced"),
                    error,
                )
            })?;
        }
        Ok(Published {
            new_blobs: missing.len(),
            reused_blobs: contents.len() - missing.len(),
            bytes_written,
            already_published: stored.is_some(),
        })
    }

    /// Removes what an interrupted publish left, if there is anything and nobody is publishing.
    pub(crate) fn clear_at_open(&self) {
        let is_clear = || -> Result<bool> { Ok(self.leftovers()?.is_empty()) };
        let cleared = is_clear().and_then(|is_clear| {
            if is_clear {
                return Ok(());
            }
            let _lock = self.lock()?;
            self.clear_leftovers()
        });
        match cleared {
            Err(error) if error.kind() != ErrorKind::Busy => {
                tracing::warn!(
                    error = format_args!("{error:#}"),
                    "leftovers in the store could not be removed"
                );
            }
            _ => {}
        }
    }

    fn leftovers(&self) -> Result<Vec<durable_fs::DirEntry>> {
        let tmp = self.tmp();
        tmp.entries().map_err(|error| {
            disk_error(format!("{} cannot be listed", tmp.path().display()), error)
        })
    }

    /// Empties `tmp`. Only for who holds the lock.
    pub(crate) fn clear_leftovers(&self) -> Result<()> {
        let leftovers = self.leftovers()?;
        if leftovers.is_empty() {
            return Ok(());
        }
        let clear = || {
            // Contents that were renamed into place may not be durable under their names yet, and
            // the next publish would take them for granted.
            for entry in self.blobs().entries()? {
                if entry.kind == FileKind::Dir {
                    self.blobs().open_dir(&entry.name)?.sync()?;
                }
            }
            self.sync_layout()?;
            for leftover in &leftovers {
                if leftover.kind == FileKind::Dir {
                    self.tmp().open_dir(&leftover.name)?.sync()?;
                }
                self.tmp().remove_tree(&leftover.name)?;
            }
            self.tmp().sync()
        };
        clear().map_err(|error| {
            disk_error(
                format!("{} cannot be emptied", self.tmp().path().display()),
                error,
            )
        })
    }

    /// Makes the names of the store's own folders durable, whoever created them.
    fn sync_layout(&self) -> Result<(), durable_fs::Error> {
        self.blobs().sync()?;
        self.root().open_dir("blobs")?.sync()?;
        self.root().sync()
    }

    /// The contents that the store lacks, or holds with a wrong length.
    fn missing<'a>(
        &self,
        contents: &BTreeMap<Sha256Digest, &'a FileEntry>,
    ) -> Result<Vec<&'a FileEntry>> {
        let mut missing = Vec::new();
        for (digest, entry) in contents {
            let metadata = self.blobs().metadata(blob_path(*digest)).map_err(|error| {
                disk_error(format!("the content {digest} cannot be looked up"), error)
            })?;
            let is_whole = metadata.is_some_and(|metadata| {
                metadata.kind == FileKind::File && metadata.len == entry.size()
            });
            if !is_whole {
                missing.push(*entry);
            }
        }
        Ok(missing)
    }

    fn check_space(&self, needed: u64) -> Result<()> {
        let free = self.tmp().free_space().map_err(|error| {
            disk_error(
                format!("the free space of {} is not known", self.path().display()),
                error,
            )
        })?;
        match free {
            Some(free) if free < needed => {
                let message = format!(
                    "{} has {free} bytes free, but {needed} are needed: make room and publish again",
                    self.path().display()
                );
                Err(Error::new(ErrorKind::NoSpace, message))
            }
            _ => Ok(()),
        }
    }

    /// Collects everything in `tmp`, makes it durable, and renames it into place, the manifest last.
    fn take_in(&self, intake: &Intake<'_>, source: &Dir) -> Result<()> {
        let in_store = |error| {
            disk_error(
                format!("the store {} cannot be written", self.path().display()),
                error,
            )
        };
        self.tmp().create_dir(INCOMING).map_err(in_store)?;
        let incoming = self.tmp().open_dir(INCOMING).map_err(in_store)?;
        let mut buffer = vec![0; BUFFER_LENGTH];
        for entry in intake.missing {
            copy_and_verify(source, entry, &incoming, &mut buffer, intake.observe)?;
            say(intake.observe, ScanProgress::FileDone)?;
        }
        let place = || {
            if let Some(bytes) = intake.bytes {
                incoming
                    .create_file(MANIFEST_FILE_NAME)?
                    .write_bytes(bytes)?;
            }
            incoming.sync_tree()?;
            self.place_blobs(&incoming, intake.missing)?;
            if intake.bytes.is_some() {
                self.place_manifest(&incoming, intake.manifest)?;
            }
            Ok(())
        };
        place().map_err(in_store)?;
        if let Err(error) = self.tmp().remove_dir(INCOMING) {
            tracing::warn!(
                error = format_args!("{error:#}"),
                "an empty folder in the store is removed by the next publish"
            );
        }
        Ok(())
    }

    fn place_blobs(&self, incoming: &Dir, missing: &[&FileEntry]) -> Result<(), durable_fs::Error> {
        let mut prefixes = BTreeMap::new();
        for entry in missing {
            let name = entry.sha256().to_string();
            let prefix = name[..2].to_owned();
            let folder = match prefixes.entry(prefix) {
                Entry::Occupied(opened) => opened.into_mut(),
                Entry::Vacant(new) => {
                    let folder = self.blobs().create_dir_all(new.key())?;
                    new.insert(folder)
                }
            };
            // What is there already has a wrong length.
            incoming.rename(&name, folder, &name, Replace::Allow)?;
        }
        for folder in prefixes.values() {
            folder.sync()?;
        }
        // A rename is durable when both folders are.
        incoming.sync()?;
        self.sync_layout()
    }

    /// Publishes: the rename is the commit point.
    fn place_manifest(&self, incoming: &Dir, manifest: &Manifest) -> Result<(), durable_fs::Error> {
        let tool = self
            .releases_dir()
            .create_dir_all(manifest.tool_id().as_str())?;
        let release = tool.create_dir_all(manifest.tool_version().folder_name())?;
        self.releases_dir().sync()?;
        tool.sync()?;
        incoming.rename(
            MANIFEST_FILE_NAME,
            &release,
            MANIFEST_FILE_NAME,
            Replace::Refuse,
        )?;
        incoming.sync()?;
        release.sync()
    }

    fn sync_release(&self, manifest: &Manifest) -> Result<(), durable_fs::Error> {
        let tool = self.releases_dir().open_dir(manifest.tool_id().as_str())?;
        self.releases_dir().sync()?;
        tool.sync()?;
        tool.open_dir(manifest.tool_version().folder_name())?.sync()
    }

    /// Takes back what a failed publish brought in. After a failed sync it may not be on the disk
    /// although it can be read, so it must not be taken for granted by the next publish.
    fn take_back(&self, intake: &Intake<'_>) {
        let remove = || {
            if intake.bytes.is_some() {
                let (tool, version) = (intake.manifest.tool_id(), intake.manifest.tool_version());
                let path = manifest_path(tool, version);
                if self.releases_dir().metadata(&path)?.is_some() {
                    self.releases_dir().remove_tree(&path)?;
                    // Before its contents go: a power cut must not bring it back without them.
                    self.sync_release(intake.manifest)?;
                }
            }
            for entry in intake.missing {
                self.blobs().remove_tree(blob_path(entry.sha256()))?;
            }
            self.tmp().remove_tree(INCOMING)
        };
        if let Err(error) = remove() {
            tracing::warn!(
                error = format_args!("{error:#}"),
                "what a failed publish left is removed by the next one"
            );
        }
    }
}

/// What a publish brings into the store.
struct Intake<'a> {
    missing: &'a [&'a FileEntry],
    manifest: &'a Manifest,
    /// The manifest as it is to be written, unless it is there already.
    bytes: Option<&'a Vec<u8>>,
    observe: &'a Observe<'a>,
}

type Observe<'a> = dyn Fn(ScanProgress) -> ControlFlow<()> + Sync + 'a;

fn say(observe: &Observe<'_>, progress: ScanProgress) -> Result<()> {
    match observe(progress) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::new(
            ErrorKind::Cancelled,
            "stopped as asked; nothing was published",
        )),
    }
}

/// One entry for each content. Two entries that give one digest two sizes cannot both be right.
fn distinct_contents(manifest: &Manifest) -> Result<BTreeMap<Sha256Digest, &FileEntry>> {
    let mut contents: BTreeMap<_, &FileEntry> = BTreeMap::new();
    for entry in manifest.files() {
        let first = contents.entry(entry.sha256()).or_insert(entry);
        if first.size() != entry.size() {
            let message = format!(
                "{} and {} have the same SHA-256 but not the same size in the manifest",
                first.path(),
                entry.path()
            );
            return Err(Error::new(ErrorKind::Integrity, message));
        }
    }
    Ok(contents)
}

fn copy_and_verify(
    source: &Dir,
    entry: &FileEntry,
    incoming: &Dir,
    buffer: &mut [u8],
    observe: &Observe<'_>,
) -> Result<()> {
    let path = entry.path();
    let shown = source.path().join(path.as_str());
    let shown = shown.display();
    let changed = |what: String| {
        let message =
            format!("{shown} is not what the manifest says: {what}; make the manifest again");
        Error::new(ErrorKind::Integrity, message)
    };
    let mut reader = source.open_file(path).map_err(|error| match error.kind() {
        durable_fs::ErrorKind::NotFound => changed("it is missing".into()).with_source(error),
        durable_fs::ErrorKind::NotRegular => {
            changed("it is no regular file".into()).with_source(error)
        }
        _ => disk_error(format!("{shown} cannot be opened"), error),
    })?;
    let unwritten = |error| disk_error(format!("{shown} cannot be copied into the store"), error);
    let mut writer = incoming
        .create_file(entry.sha256().to_string())
        .map_err(unwritten)?;
    let mut hasher = Sha256Hasher::new();
    let mut length = 0;
    loop {
        let count = match reader.read(buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::io(format!("{shown} cannot be read"), error)),
        };
        length += count as u64;
        if length > entry.size() {
            return Err(changed(format!("it has more than {} bytes", entry.size())));
        }
        hasher.update(&buffer[..count]);
        writer.write_bytes(&buffer[..count]).map_err(unwritten)?;
        say(observe, ScanProgress::Hashed(count as u64))?;
    }
    if length < entry.size() {
        return Err(changed(format!(
            "it has {length} bytes instead of {}",
            entry.size()
        )));
    }
    let digest = hasher.finalize();
    if digest != entry.sha256() {
        return Err(changed(format!(
            "its SHA-256 is {digest} instead of {}",
            entry.sha256()
        )));
    }
    Ok(())
}
