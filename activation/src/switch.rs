use std::time::SystemTime;

use durable_fs::{Dir, FileKind, Replace};

use manifest_core::{MANIFEST_FILE_NAME, hash_file};

use crate::carry::{CarriedRecord, CarryPlan};
use crate::error::Doing as _;
use crate::folders::{Folders, clean_release};
use crate::history::Event;
use crate::staging::Sealed;
use crate::{Error, ErrorKind, InstalledRelease, Session, Verification, layout, retire, same};

/// Whether the root has a symbolic link `current` beside `current.txt`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CurrentLink {
    /// It is moved along if it is there.
    #[default]
    IfPresent,
    /// It is created (Unix).
    Create,
}

/// A release that has just become the active one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Activation {
    /// The release.
    pub release: InstalledRelease,
    /// What became of the user's files in the release before.
    pub carried: CarryPlan,
    /// Files of a displaced release of the same version that had no other place, where they are now.
    pub kept: Vec<String>,
}

impl Sealed {
    /// Makes the release the active one: its folder gets its place, durably, then `current.txt` names
    /// it. A reader sees the release before or this one, whole; so does whoever comes after a crash.
    ///
    /// A folder that already has the version's name is exchanged in one step and deleted afterwards.
    ///
    /// # Errors
    /// `Policy` if something that is no folder has the release's name, or no link that of `current`;
    /// `NoSpace`, `Io`. The release before is still the active one then, unless what failed came after
    /// the switch: the history, the link, or keeping the user's files of a displaced release. Opening
    /// the next session mends the latter two.
    pub fn activate(self, link: CurrentLink, now: SystemTime) -> Result<Activation, Error> {
        let session = &self.session;
        let folders = session.folders();
        let version = self.manifest.tool_version();
        let folder = version.folder_name();
        let doing = || format!("cannot put release {version} in its place");
        let from = session.installation().active_version().unwrap_or_default();

        let before = folders.releases.metadata(&folder).doing(doing)?;
        if before
            .as_ref()
            .is_some_and(|found| found.kind != FileKind::Dir)
        {
            let text = format!("{folder:?} among the releases is not a folder; move it away");
            return Err(Error::new(ErrorKind::Policy, text));
        }
        if link == CurrentLink::Create {
            folders.check_link()?;
        }
        let mut displaced = None;
        if before.is_some() {
            displaced = Some(take_over(folders, &self.name, &folder).doing(doing)?);
        } else {
            folders
                .staging
                .rename(&self.name, &folders.releases, &folder, Replace::Refuse)
                .doing(doing)?;
        }
        folders.staging.sync().doing(doing)?;
        folders.releases.sync().doing(doing)?;

        folders.point_current_to(version)?;
        let release = self.read_back()?;
        session.note_activation(Event::Activated, &release, from.as_ref(), now)?;
        if link == CurrentLink::Create || folders.link_target().is_some() {
            folders.point_link_to(version)?;
        }

        let mut kept = Vec::new();
        if let Some(name) = displaced {
            kept = retire::dispose(
                folders,
                &folders.staging,
                &name,
                version,
                Some(release.dir()),
            )?;
        }
        Ok(Activation {
            release,
            carried: self.carried,
            kept,
        })
    }
}

impl Sealed {
    /// The release as it lies there now. Its manifest is the one that was sealed, byte by byte, so it
    /// need not be parsed again.
    fn read_back(&self) -> Result<InstalledRelease, Error> {
        let version = self.manifest.tool_version();
        let doing = || format!("cannot read release {version} after its activation");
        let releases = &self.session.folders().releases;
        let dir = releases.open_dir(version.folder_name()).doing(doing)?;
        let file = dir.open_file(MANIFEST_FILE_NAME).doing(doing)?;
        let (found, _) = hash_file(&file)
            .map_err(|error| Error::new(ErrorKind::Io, doing()).with_source(error))?;
        if found != self.written {
            let text = format!("the manifest of release {version} changed during its activation");
            return Err(Error::new(ErrorKind::Damaged, text));
        }
        Ok(InstalledRelease::new(
            version.clone(),
            dir,
            self.manifest.clone(),
        ))
    }
}

impl Session {
    /// Makes a release active that is installed already: an earlier one, to go back to it, or a later
    /// one that was activated before. The user's files in the active release are copied over, and what
    /// only the other one has and is in their way is moved to `.lockstep/kept/`.
    ///
    /// `verification` is that of `target`, made just now; `event` says in the history why.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] if the verification found anything: the active release stays. `NoSpace`,
    /// `Io`.
    pub fn switch_to(
        &self,
        target: &InstalledRelease,
        verification: &Verification,
        event: Event,
        now: SystemTime,
    ) -> Result<Activation, Error> {
        let folders = self.folders();
        let version = target.version();
        verification.require_intact(version)?;
        clean_release(target.dir())?;
        let from = self.installation().active_version().unwrap_or_default();
        let mut carried = CarryPlan::default();
        let mut kept = Vec::new();
        let active = match self.installation().active() {
            // What is in it may still be the user's.
            Err(error) if error.kind() == ErrorKind::Manifest => self
                .installation()
                .active_without_manifest(target.manifest().tool_id())?,
            Err(error) if error.kind() == ErrorKind::NoActiveRelease => None,
            active => active?,
        };
        if let Some(active) = active
            && active.version() != version
        {
            carried = self.installation().plan_carry(&active, target.manifest())?;
            let mut room = Room {
                folders,
                from: active.dir(),
                target,
                record: CarriedRecord::read(&folders.notes, version)?,
                kept: Vec::new(),
            };
            // Copied aside and made durable first: half a file under its own name would look like another
            // one of the user's to the next run.
            let doing = || "cannot carry your files over".to_owned();
            let aside = folders
                .staging
                .create_dir_all(layout::CARRYING)
                .doing(doing)?;
            carried.execute(active.dir(), &aside, |path, kind| room.make(path, kind))?;
            aside.sync_tree().doing(doing)?;
            kept = room.kept;
            if !kept.is_empty() {
                // Before their old names are gone for good.
                folders
                    .notes
                    .sync_tree()
                    .doing(|| "cannot keep your files".into())?;
            }
            carried.move_in(&aside, target.dir())?;
            folders.staging.remove_tree(layout::CARRYING).doing(doing)?;
            carried.note(&folders.notes, active.version())?;
            let hash = active.manifest().manifest_hash();
            self.note_pending(Some(hash), target.manifest(), &carried.pending_files)?;
            target
                .dir()
                .sync_tree()
                .doing(|| "cannot make your files durable".into())?;
        }
        folders.point_current_to(version)?;
        self.note_activation(event, target, from.as_ref(), now)?;
        if folders.link_target().is_some() {
            folders.point_link_to(version)?;
        }
        Ok(Activation {
            release: target.clone(),
            carried,
            kept,
        })
    }
}

/// Puts a staged release where another one is. Returns the name in staging that the other one has now.
///
/// From the first step on, whatever is in staging under that name is salvaged when the next session
/// opens: it may hold files that are nowhere else.
fn take_over(folders: &Folders, name: &str, folder: &str) -> durable_fs::Result<String> {
    let (staging, releases) = (&folders.staging, &folders.releases);
    let displaced = format!("{name}{}", layout::DISPLACED);
    staging.rename(name, staging, &displaced, Replace::Refuse)?;
    match staging.exchange(&displaced, releases, folder) {
        Err(error) if error.kind() == durable_fs::ErrorKind::Unsupported => {
            // Not one step here: recovery finds the gap and fills it.
            staging.rename(&displaced, staging, name, Replace::Refuse)?;
            releases.rename(folder, staging, &displaced, Replace::Refuse)?;
            staging.rename(name, releases, folder, Replace::Refuse)?;
        }
        exchanged => exchanged?,
    }
    Ok(displaced)
}

/// A release that was active before, into which the user's files are copied back.
struct Room<'s> {
    folders: &'s Folders,
    from: &'s Dir,
    target: &'s InstalledRelease,
    /// Which of its files a later release took over: those are older copies.
    record: CarriedRecord,
    kept: Vec<String>,
}

impl Room<'_> {
    /// `false` if the file is there already, since an earlier run was interrupted.
    fn make(&mut self, path: &str, kind: FileKind) -> Result<bool, Error> {
        let doing = || format!("cannot replace the older {path:?}");
        let (dir, version) = (self.target.dir(), self.target.version());
        self.kept.extend(retire::clear_the_way(
            self.folders,
            dir,
            version,
            path,
            kind,
        )?);
        let Some(metadata) = dir.metadata(path).doing(doing)? else {
            return Ok(true);
        };
        if kind == FileKind::Dir || same::is_same(self.from, dir, path) {
            return Ok(false);
        }
        if self.record.has(path, &metadata) {
            // A file is replaced in one step.
            if kind == FileKind::Symlink {
                dir.remove_file(path).doing(doing)?;
            }
        } else {
            let place = retire::keep(self.folders, dir, path.as_ref(), version, path)?;
            self.kept.push(place);
        }
        Ok(true)
    }
}
