use std::collections::HashSet;

use durable_fs::{Dir, Executable, FileKind, LinkPolicy, Operation, Placed, Replace};
use manifest_core::{FileEntry, MANIFEST_FILE_NAME, Manifest, ReleasePath, Sha256Digest};

use crate::carry::CarryPlan;
use crate::error::Doing as _;
use crate::release::{Problem, check_file, looks_right, verify_files};
use crate::{Error, ErrorKind, InstalledRelease, Session, Watch, layout, work};

/// A release that is being put together, beside the installed ones and invisible to them.
///
/// An update that brings one new file, and takes the model from the release before:
///
/// ```
/// use activation::{CurrentLink, Installation, ReuseItem};
/// use durable_fs::{Disk, LinkPolicy};
/// use manifest_core::{FileEntry, ManifestBuilder, Sha256Digest};
/// use std::time::SystemTime;
///
/// # let folder = tempfile::tempdir()?;
/// let session = Installation::create(&Disk::real(), folder.path())?.lock()?;
/// let release = |version: &str, script: &[u8]| {
///     ManifestBuilder::new("sketcher".parse()?, version.parse()?)
///         .with_file("main.py".parse()?, Sha256Digest::of(script), script.len() as u64, false)
///         .with_file("model.bin".parse()?, Sha256Digest::of(b"weights"), 7, false)
///         .build()
/// };
/// # let old = release("1.0.0", b"old")?;
/// # let staging = session.stage(&old, &())?;
/// # for (name, content) in [("main.py", &b"old"[..]), ("model.bin", b"weights")] {
/// #     session.partials()?.create_file("x")?.write_bytes(content)?;
/// #     staging.adopt(&session.partials()?, "x", &[old.file(name).unwrap()])?;
/// # }
/// # staging.seal(None)?.activate(CurrentLink::default(), SystemTime::now())?;
/// let installed = session.installation().active()?.expect("1.0.0 was installed before");
/// let target = release("1.1.0", b"new")?;
/// let (script, model): (&FileEntry, &FileEntry) = (&target.files()[0], &target.files()[1]);
///
/// let staging = session.stage(&target, &())?;
/// let reuse = ReuseItem { source: &installed.manifest().files()[1], target: model };
/// staging.reuse(&installed, [reuse], LinkPolicy::Share, &())?; // and hashed, where it lies now
/// let partials = session.partials()?;
/// partials.create_file("script")?.write_bytes(b"new")?;
/// staging.adopt(&partials, "script", &[script])?;
///
/// let carry = session.installation().plan_carry(&installed, &target)?; // the user's files
/// let activation = staging.seal(Some((&installed, carry)))?.activate(CurrentLink::default(), SystemTime::now())?;
/// assert_eq!(activation.release.version().as_str(), "1.1.0");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Staging {
    session: Session,
    dir: Dir,
    name: String,
    manifest: Manifest,
    present: HashSet<ReleasePath>,
}

/// A staged release that is complete and durable. Only such a one can become active.
#[derive(Debug)]
pub struct Sealed {
    pub(crate) session: Session,
    pub(crate) name: String,
    pub(crate) manifest: Manifest,
    /// What `manifest.json` holds.
    pub(crate) written: Sha256Digest,
    pub(crate) carried: CarryPlan,
}

/// A file of the target whose content an installed release has.
#[derive(Clone, Copy, Debug)]
pub struct ReuseItem<'f> {
    /// Where the installed release has it.
    pub source: &'f FileEntry,
    /// Where the target wants it.
    pub target: &'f FileEntry,
}

/// What [`Staging::reuse`] did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Reused<'f> {
    /// Files that were placed and verified.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// How many of them share their bytes with the installed release (hard link or clone).
    pub shared: usize,
    /// Targets whose source is missing or is not what the installed manifest says. They have to be
    /// fetched.
    pub damaged: Vec<&'f FileEntry>,
}

impl Staging {
    pub(crate) fn open(
        session: &Session,
        manifest: &Manifest,
        watch: &dyn Watch,
    ) -> Result<Self, Error> {
        let folders = session.folders();
        let hash = manifest.manifest_hash().to_string();
        let name = format!("{}-{}", manifest.tool_version().folder_name(), &hash[..16]);
        for entry in folders
            .staging
            .entries()
            .doing(|| "cannot list the staging folder".into())?
        {
            if entry.name == *name || entry.name == *layout::PARTIALS {
                continue;
            }
            // An update that was given up. What it carried over is still in the active release.
            folders.discard(&folders.staging, &entry.name)?;
        }
        let dir = folders
            .staging
            .create_dir_all(&name)
            .doing(|| "cannot create the staging folder".into())?;
        let mut staging = Self {
            session: session.clone(),
            dir,
            name,
            manifest: manifest.clone(),
            present: HashSet::new(),
        };
        staging.take_stock(watch)?;
        Ok(staging)
    }

    /// Removes what is not part of the release, and hashes what is: the last run may have ended in a
    /// power cut.
    fn take_stock(&mut self, watch: &dyn Watch) -> Result<(), Error> {
        let mut found = Vec::new();
        remove_foreign(&self.dir, "", &self.manifest, &mut found)?;
        let files: Vec<&FileEntry> = found
            .iter()
            .filter_map(|path| self.manifest.file(path))
            .collect();
        watch.found(files.iter().map(|file| file.size()).sum());
        let verification = verify_files(&self.dir, files.iter().copied(), watch)?;
        let mut present: HashSet<ReleasePath> =
            files.iter().map(|file| file.path().clone()).collect();
        for finding in verification.findings {
            present.remove(&finding.path);
            self.remove(&finding.path)?;
        }
        self.present = present;
        Ok(())
    }

    fn remove(&self, path: &ReleasePath) -> Result<(), Error> {
        self.dir
            .remove_tree(path)
            .doing(|| format!("cannot remove the staged {path:?}"))
    }

    /// Whether an earlier run already left this file here, intact.
    #[must_use]
    pub fn has(&self, path: &ReleasePath) -> bool {
        self.present.contains(path)
    }

    /// How many files an earlier run left here, intact.
    #[must_use]
    pub fn present(&self) -> usize {
        self.present.len()
    }

    /// Brings files over from an installed release in the cheapest way that `policy` allows, and hashes
    /// what arrived, one file per core. A file that an ignore glob matches is never shared, since
    /// people edit it; nor is one whose executable bit changes, since the bit belongs to all names.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`], `NoSpace`, `Io`. A source that is not right is no error; see
    /// [`Reused::damaged`].
    pub fn reuse<'f>(
        &self,
        release: &InstalledRelease,
        items: impl IntoIterator<Item = ReuseItem<'f>>,
        policy: LinkPolicy,
        watch: &dyn Watch,
    ) -> Result<Reused<'f>, Error> {
        let batches = work::by_folder(items, |item| item.target);
        let outcomes = work::in_parallel(batches, |batch| {
            let folder = self.folder(batch.folder)?;
            let mut source_folder: Option<(&str, Dir)> = None;
            let mut outcomes = Vec::with_capacity(batch.items.len());
            for item in batch.items {
                if watch.is_cancelled() {
                    return Err(Error::cancelled());
                }
                let wanted = item.source.path().parent().unwrap_or_default();
                let from = match &source_folder {
                    Some((name, dir)) if *name == wanted => dir,
                    _ => {
                        let Ok(dir) = release.dir().open_dir(wanted) else {
                            outcomes.push((item.target, None));
                            continue;
                        };
                        &source_folder.insert((wanted, dir)).1
                    }
                };
                let is_edited = self.is_edited_by_people(item.target);
                let policy = if is_edited && policy == LinkPolicy::Share {
                    LinkPolicy::Independent
                } else {
                    policy
                };
                outcomes.push((item.target, reuse_one(from, &folder, item, policy, watch)?));
            }
            Ok(outcomes)
        })?;
        let mut reused = Reused::default();
        for (target, outcome) in outcomes {
            match outcome {
                Some(placed) => {
                    reused.files += 1;
                    reused.bytes += target.size();
                    reused.shared += usize::from(placed != Placed::Copied);
                }
                None => reused.damaged.push(target),
            }
        }
        reused
            .damaged
            .sort_by(|one, other| one.path().cmp(other.path()));
        Ok(reused)
    }

    /// Takes over a file that was fetched and verified: it is renamed to the first target, and shared
    /// with or copied to the others.
    ///
    /// # Errors
    /// `NoSpace`, `Io`; [`ErrorKind::Incomplete`] if there is no target.
    pub fn adopt(&self, from: &Dir, name: &str, targets: &[&FileEntry]) -> Result<(), Error> {
        let Some((first, others)) = targets.split_first() else {
            return Err(Error::new(
                ErrorKind::Incomplete,
                format!("no file of the release is {name}"),
            ));
        };
        let doing = |file: &FileEntry| format!("cannot stage {:?}", file.path());
        let folder = self.folder(first.path().parent().unwrap_or_default())?;
        let first_name = first.path().file_name();
        if first.executable() {
            from.set_executable(name, Executable::Yes)
                .doing(|| doing(first))?;
        }
        from.rename(name, &folder, first_name, Replace::Refuse)
            .doing(|| doing(first))?;
        self.spread(first, others)
    }

    /// Brings a file that is staged to other places of the release that have the same content.
    ///
    /// # Errors
    /// `NoSpace`, `Io`.
    pub fn spread(&self, first: &FileEntry, others: &[&FileEntry]) -> Result<(), Error> {
        let doing = |file: &FileEntry| format!("cannot stage {:?}", file.path());
        let folder = self.folder(first.path().parent().unwrap_or_default())?;
        let first_name = first.path().file_name();
        for other in others {
            let to = self.folder(other.path().parent().unwrap_or_default())?;
            let is_edited_by_people = [first, other]
                .iter()
                .any(|file| self.is_edited_by_people(file));
            let policy = if other.executable() == first.executable() && !is_edited_by_people {
                LinkPolicy::Share
            } else {
                LinkPolicy::Independent
            };
            folder
                .place(first_name, &to, other.path().file_name(), policy)
                .doing(|| doing(other))?;
            set_mode(&to, other).doing(|| doing(other))?;
        }
        Ok(())
    }

    fn is_edited_by_people(&self, file: &FileEntry) -> bool {
        self.manifest.ignore_globs().is_match(file.path().as_str())
    }

    fn folder(&self, path: &str) -> Result<Dir, Error> {
        self.dir
            .create_dir_all(path)
            .doing(|| format!("cannot create the staged folder {path:?}"))
    }

    /// Completes the release: the user's files are copied in, the manifest is written, every file is
    /// there with the right size and mode, and all of it is durable.
    ///
    /// # Errors
    /// [`ErrorKind::Incomplete`] naming a file that is not there, `NoSpace`, `Io`.
    pub fn seal(self, active: Option<(&InstalledRelease, CarryPlan)>) -> Result<Sealed, Error> {
        let mut carried = CarryPlan::default();
        let mut before = None;
        if let Some((active, plan)) = active {
            plan.execute(active.dir(), &self.dir, |_, _| Ok(true))?;
            plan.note(&self.session.folders().notes, active.version())?;
            before = Some(active.manifest().manifest_hash());
            carried = plan;
        }
        self.session
            .note_pending(before, &self.manifest, &carried.pending_files)?;
        self.check_complete()?;
        let mut file = self
            .dir
            .create_file(MANIFEST_FILE_NAME)
            .doing(|| "cannot write the manifest".into())?;
        let bytes = self.manifest.to_bytes();
        file.write_bytes(&bytes)
            .doing(|| "cannot write the manifest".into())?;
        drop(file);
        self.dir
            .sync_tree()
            .doing(|| "cannot make the release durable".into())?;
        Ok(Sealed {
            session: self.session,
            name: self.name,
            manifest: self.manifest,
            written: Sha256Digest::of(&bytes),
            carried,
        })
    }

    fn check_complete(&self) -> Result<(), Error> {
        let batches = work::by_folder(self.manifest.files(), |file| file);
        work::in_parallel(batches, |batch| {
            let folder = self.folder(batch.folder)?;
            for file in batch.items {
                if !looks_right(&folder, file)
                    .doing(|| format!("cannot look at {:?}", file.path()))?
                {
                    let text = format!("{:?} was not staged", file.path());
                    return Err(Error::new(ErrorKind::Incomplete, text));
                }
            }
            Ok(Vec::<()>::new())
        })
        .map(drop)
    }
}

/// `None` if the source is not right; nothing is left at the target then.
fn reuse_one(
    from: &Dir,
    to: &Dir,
    item: ReuseItem<'_>,
    policy: LinkPolicy,
    watch: &dyn Watch,
) -> Result<Option<Placed>, Error> {
    let doing = || format!("cannot reuse {:?}", item.source.path());
    let (source, target) = (
        item.source.path().file_name(),
        item.target.path().file_name(),
    );
    let mut policy = policy;
    loop {
        let placed = match from.place(source, to, target, policy) {
            Ok(placed) => placed,
            // Missing, not a file, or not to be read: then it has to be fetched.
            Err(error)
                if error.is_not_found()
                    || error.kind() == durable_fs::ErrorKind::NotRegular
                    || error.operation() == Operation::Read =>
            {
                tracing::warn!(path = %item.source.path(), error = format_args!("{error:#}"), "not reused");
                return Ok(None);
            }
            Err(error) => return Err(error).doing(doing),
        };
        let is_shared_inode = placed == Placed::Linked;
        if !is_shared_inode {
            set_mode(to, item.target).doing(doing)?;
        }
        // Hashed where it is now: what was hashed is what is installed.
        let problem = check_file(to, item.target, watch);
        if watch.is_cancelled() {
            return Err(Error::cancelled());
        }
        match problem {
            None => return Ok(Some(placed)),
            Some(Problem::WrongMode) if is_shared_inode => policy = LinkPolicy::Independent,
            Some(problem) => {
                tracing::warn!(path = %item.source.path(), %problem, "not reused");
                to.remove_tree(target).doing(doing)?;
                return Ok(None);
            }
        }
        to.remove_file(target).doing(doing)?;
    }
}

fn set_mode(folder: &Dir, file: &FileEntry) -> durable_fs::Result<()> {
    let name = file.path().file_name();
    let is_executable = folder
        .metadata(name)?
        .is_some_and(|metadata| metadata.executable);
    if !durable_fs::KEEPS_EXECUTABLE || is_executable == file.executable() {
        return Ok(());
    }
    folder.set_executable(
        name,
        if file.executable() {
            Executable::Yes
        } else {
            Executable::No
        },
    )
}

/// Removes everything that `manifest` does not list; collects what it does.
fn remove_foreign(
    dir: &Dir,
    prefix: &str,
    manifest: &Manifest,
    found: &mut Vec<String>,
) -> Result<(), Error> {
    for entry in dir
        .entries()
        .doing(|| "cannot list the staged release".into())?
    {
        let path = format!("{prefix}{}", entry.name.to_string_lossy());
        if entry.kind == FileKind::Dir && manifest.file(&path).is_none() {
            let below = dir
                .open_dir(&entry.name)
                .doing(|| format!("cannot open the staged {path:?}"))?;
            remove_foreign(&below, &format!("{path}/"), manifest, found)?;
            match dir.remove_dir(&entry.name) {
                Err(error) if error.kind() == durable_fs::ErrorKind::NotEmpty => {}
                removed => removed.doing(|| format!("cannot remove the staged {path:?}"))?,
            }
        } else if entry.kind == FileKind::File && manifest.file(&path).is_some() {
            found.push(path);
        } else {
            dir.remove_tree(&entry.name)
                .doing(|| format!("cannot remove the staged {path:?}"))?;
        }
    }
    Ok(())
}
