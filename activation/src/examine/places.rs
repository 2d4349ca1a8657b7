//! Are Lockstep's own files and folders what they should be, and where?

use durable_fs::{Dir, FileKind};

use super::{Examination, Remedy, Severity, by_hand};
use crate::layout;

/// Our folders, as far as they are there and are folders.
pub(super) struct Places {
    pub(super) notes: Option<Dir>,
    pub(super) releases: Option<Dir>,
    pub(super) staging: Option<Dir>,
    pub(super) partials: Option<Dir>,
    pub(super) trash: Option<Dir>,
    pub(super) carried: Option<Dir>,
    pub(super) kept: Option<Dir>,
}

impl Examination<'_> {
    pub(super) fn places(&mut self) -> Places {
        let root = self.installation.root().clone();
        self.writable(&root);
        let notes = self.folder(Some(&root), layout::NOTES);
        let releases = self.folder(Some(&root), layout::RELEASES);
        let staging = self.folder(releases.as_ref(), layout::STAGING);
        let trash = self.folder(releases.as_ref(), layout::TRASH);
        let places = Places {
            partials: self.folder(staging.as_ref(), layout::PARTIALS),
            carried: self.folder(notes.as_ref(), layout::CARRIED),
            kept: self.folder(notes.as_ref(), layout::KEPT),
            notes,
            releases,
            staging,
            trash,
        };
        self.file(&root, layout::CURRENT);
        if let Some(notes) = &places.notes {
            let own = [
                layout::LOCK,
                layout::HISTORY,
                layout::PENDING_DELETIONS,
                layout::TRIAL,
                layout::FAILED,
            ];
            for name in own {
                self.file(notes, name);
            }
        }
        self.devices(&places);
        places
    }

    fn folder(&mut self, parent: Option<&Dir>, name: &str) -> Option<Dir> {
        let parent = parent?;
        let path = parent.path().join(name);
        match parent.metadata(name) {
            Ok(None) => return None,
            Ok(Some(found)) if found.kind == FileKind::Dir => {}
            Ok(Some(found)) => {
                self.misplaced(parent, name, found.kind, FileKind::Dir);
                return None;
            }
            Err(error) => {
                self.unreadable(Severity::Error, &path, &error);
                return None;
            }
        }
        match parent.open_dir(name) {
            Ok(dir) => {
                self.writable(&dir);
                Some(dir)
            }
            Err(error) => {
                self.unreadable(Severity::Error, &path, &error);
                None
            }
        }
    }

    fn file(&mut self, parent: &Dir, name: &str) {
        let path = parent.path().join(name);
        let found = match parent.metadata(name) {
            Ok(Some(found)) => found,
            Ok(None) => return,
            Err(error) => return self.unreadable(Severity::Error, &path, &error),
        };
        if found.kind != FileKind::File {
            return self.misplaced(parent, name, found.kind, FileKind::File);
        }
        if name == layout::HISTORY && found.links > 1 {
            let what = format!("{} has a second name (a hard link).", path.display());
            let why = "Each line that is added would change the other file as well, so every change is refused.";
            let remedy = by_hand("copy it, delete it, and give the copy its name");
            self.add(Severity::Error, what, why, remedy);
        }
        match parent.open_file(name) {
            Err(error) => self.unreadable(Severity::Error, &path, &error),
            // Others are replaced, never written to.
            Ok(file) if matches!(name, layout::HISTORY | layout::LOCK) => {
                if file
                    .metadata()
                    .is_ok_and(|found| found.permissions().readonly())
                {
                    self.read_only(&path);
                }
            }
            Ok(_) => {}
        }
    }

    /// Something else stands where one of our own belongs.
    pub(super) fn misplaced(
        &mut self,
        parent: &Dir,
        name: &str,
        found: FileKind,
        wanted: FileKind,
    ) {
        let path = parent.path().join(name);
        let is = match found {
            FileKind::File => "a file",
            FileKind::Dir => "a folder",
            FileKind::Symlink => "a symbolic link",
            _ => "a FIFO, socket or device",
        };
        let wanted = match wanted {
            FileKind::Dir => "a folder",
            _ => "a file",
        };
        let what = format!(
            "{} is {is}, where {wanted} of Lockstep's own belongs.",
            path.display()
        );
        let why = "Somebody put it there. Lockstep never follows a link below the root and never opens a device, so \
                   that nothing outside is touched; changes are refused while it is there.";
        let remedy = match found {
            FileKind::Symlink => by_hand(
                "look where it leads, and move the link away; to keep releases on another disk, put the whole root \
                 there",
            ),
            _ => by_hand("look what it is, and move it away"),
        };
        self.add(Severity::Error, what, why, remedy);
    }

    fn writable(&mut self, dir: &Dir) {
        // Only a hint: who may write cannot be told portably.
        let is_read_only =
            std::fs::metadata(dir.path()).is_ok_and(|found| found.permissions().readonly());
        if is_read_only {
            self.read_only(dir.path());
        }
    }

    fn read_only(&mut self, path: &std::path::Path) {
        let what = format!("{} is read-only.", path.display());
        let why = "Its permissions let nobody write to it, so that changes fail for everybody but the superuser.";
        let remedy = by_hand("give the user who runs updates the permission to write");
        self.add(Severity::Warning, what, why, remedy);
    }

    fn devices(&mut self, places: &Places) {
        let Some(releases) = &places.releases else {
            return;
        };
        for dir in [&places.staging, &places.trash].into_iter().flatten() {
            if let (Ok(one), Ok(other)) = (dir.device(), releases.device())
                && one != other
            {
                let what = format!(
                    "{} is on another file system than {}.",
                    dir.path().display(),
                    releases.path().display()
                );
                let why = "A release gets its place by a rename, which does not cross file systems, so every change \
                           is refused.";
                let remedy = by_hand("unmount it, or mount the whole root there");
                self.add(Severity::Error, what, why, remedy);
            }
        }
    }

    /// The optional link for programs that cannot read `current.txt`.
    pub(super) fn current_link(&mut self, active: Option<&str>) {
        let root = self.installation.root().clone();
        let path = self.path(layout::CURRENT_LINK);
        let found = match root.metadata(layout::CURRENT_LINK) {
            Ok(Some(found)) => found,
            Ok(None) => return,
            Err(error) => return self.unreadable(Severity::Warning, &path, &error),
        };
        if found.kind != FileKind::Symlink {
            let what = format!("{} is no symbolic link.", path.display());
            let why = "Only a link can follow the active release; Lockstep leaves this alone, and refuses to create \
                       its own link.";
            let remedy = by_hand("move it away if programs should find the active release there");
            return self.add(Severity::Note, what, why, remedy);
        }
        let target = match root.read_link(layout::CURRENT_LINK) {
            Ok(target) => target,
            Err(error) => return self.unreadable(Severity::Warning, &path, &error),
        };
        let points = format!("{} points to {}", path.display(), target.display());
        if !target.starts_with(layout::RELEASES) {
            let what = format!("{points}, which is not among the releases.");
            let why =
                "It is not Lockstep's, and is left alone: it does not follow the active release.";
            let remedy = by_hand("delete it if programs should find the active release there");
            return self.add(Severity::Note, what, why, remedy);
        }
        let Some(active) = active else {
            if !path.exists() {
                let what = format!("{points}, which is not there, and no release is active.");
                let why = "Programs that use the link find nothing.";
                let remedy = by_hand("update to a release");
                self.add(Severity::Warning, what, why, remedy);
            }
            return;
        };
        let wanted = format!("{}/{active}", layout::RELEASES);
        if target.as_os_str() != wanted.as_str() {
            let what = format!("{points}, but {active} is active.");
            let why = "A crash came between the switch and the move of the link, or somebody moved one of the two. \
                       Programs that use the link run another release.";
            self.add(Severity::Warning, what, why, Remedy::Reopen);
        }
    }
}
