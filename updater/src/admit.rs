//! May this release follow the active one, and is there room for it?

use std::cmp::Ordering;

use activation::{CarryPlan, Installation, InstalledRelease, Session, Staging};
use delta_engine::{Delta, Reuse};
use downloader::PartialStore;
use durable_fs::LinkPolicy;
use manifest_core::Manifest;

use crate::error::During as _;
use crate::plan::is_same_release;
use crate::transfer::Wanted;
use crate::{Downgrade, Error, ErrorKind, Event, Updater};

/// Space that an update needs beside the files themselves: folders, journals, the manifest.
const SPACE_RESERVE: u64 = 4 << 20;

impl Updater {
    /// The active release as something to update from. If its own manifest is damaged, nothing of it is
    /// reused and everything in it is treated as the user's.
    pub(crate) fn active_for(
        &self,
        installation: &Installation,
        target: &Manifest,
    ) -> Result<Option<InstalledRelease>, Error> {
        let during = || {
            format!(
                "cannot read the active release in {}",
                self.root().display()
            )
        };
        match installation.active() {
            Err(error) if error.kind() == activation::ErrorKind::Manifest => {
                self.notify(&Event::Warning(format!(
                    "{error:#}; none of its files are reused"
                )));
                installation
                    .active_without_manifest(target.tool_id())
                    .during(during)
            }
            // Only without the lock: a session would have recovered what can be recovered.
            Err(error) if error.kind() == activation::ErrorKind::NoActiveRelease => {
                self.notify(&Event::Warning(format!("{error:#}")));
                Ok(None)
            }
            active => active.during(during),
        }
    }

    pub(crate) fn check_direction(
        &self,
        active: &InstalledRelease,
        target: &Manifest,
    ) -> Result<(), Error> {
        let (installed, wanted) = (active.version(), target.tool_version());
        if active.manifest().tool_id() != target.tool_id() {
            let text = format!(
                "{} holds the tool {}, but the manifest is of {}",
                self.root().display(),
                active.manifest().tool_id(),
                target.tool_id()
            );
            return Err(Error::new(ErrorKind::WrongProduct, text));
        }
        if self.settings().downgrade == Downgrade::Allow || is_same_release(active, target) {
            return Ok(());
        }
        let reason = if installed == wanted {
            if active.manifest().files().is_empty() {
                return Ok(()); // its manifest was damaged: installing it again is the repair
            }
            format!(
                "release {wanted} is installed with the manifest hash {}, and this one has {}; a release never changes",
                active.manifest().manifest_hash(),
                target.manifest_hash()
            )
        } else {
            match installed.precedence(wanted) {
                Some(Ordering::Less | Ordering::Equal) => return Ok(()),
                Some(Ordering::Greater) => {
                    format!("release {wanted} is older than {installed}, which is active")
                }
                None => format!(
                    "whether {wanted} is newer than {installed}, which is active, cannot be told"
                ),
            }
        };
        Err(Error::new(
            ErrorKind::Rollback,
            format!("{reason}; allow downgrades to install it all the same"),
        ))
    }

    /// Refuses before the first byte what cannot fit.
    pub(crate) fn check_space(
        &self,
        session: &Session,
        delta: &Delta<'_>,
        wanted: &[Wanted],
        staging: &Staging,
        carry: &CarryPlan,
        store: &PartialStore,
    ) -> Result<(), Error> {
        let root = session.installation().root();
        let Some(free) = root.free_space().map_err(|error| {
            Error::new(
                ErrorKind::Io,
                format!("cannot ask for the free space in {}", self.root().display()),
            )
            .with_source(error)
        })?
        else {
            return Ok(());
        };
        let fetched: u64 = wanted
            .iter()
            .map(|wanted| {
                wanted
                    .size
                    .saturating_sub(store.bytes_present(wanted.sha256))
            })
            .sum();
        let policy = self.settings().link_policy;
        let copied = |is_so: &dyn Fn(&Reuse<'_>) -> bool| -> u64 {
            let reuses = delta.reuses().iter();
            reuses
                .filter(|reuse| is_so(reuse) && !staging.has(reuse.target.path()))
                .map(|reuse| reuse.target.size())
                .sum()
        };
        let needs = if policy == LinkPolicy::Copy {
            Needs {
                fetched,
                copied: copied(&|_| true),
                cloned: carry.bytes,
            }
        } else {
            let is_own = |reuse: &Reuse<'_>| policy != LinkPolicy::Share || reuse.changes_mode();
            Needs {
                fetched,
                copied: 0,
                cloned: copied(&is_own) + carry.bytes,
            }
        };
        // Asked only if it matters. If even that fails, then for want of space.
        let can_clone = || session.can_clone().unwrap_or(false);
        if let Some(why) = needs.more_than(free, can_clone) {
            let text = format!("{} has {why}", self.root().display());
            return Err(Error::new(ErrorKind::NoSpace, text));
        }
        Ok(())
    }
}

/// What an update writes, in bytes.
#[derive(Clone, Copy, Debug)]
struct Needs {
    fetched: u64,
    /// Copied whatever the file system can do.
    copied: u64,
    /// Copied where the file system cannot clone.
    cloned: u64,
}

impl Needs {
    /// Why there is not enough space, if so.
    fn more_than(self, free: u64, can_clone: impl FnOnce() -> bool) -> Option<String> {
        let fixed = self.fetched + self.copied + SPACE_RESERVE;
        let copied = if fixed + self.cloned <= free || can_clone() {
            self.copied
        } else {
            self.copied + self.cloned
        };
        let needed = self.fetched + copied + SPACE_RESERVE;
        (needed > free).then(|| {
            format!(
                "{free} bytes free, but the update needs {needed}: {} to fetch, {copied} to copy, and \
                 {SPACE_RESERVE} in reserve for folders and notes",
                self.fetched
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: Needs = Needs {
        fetched: 100,
        copied: 20,
        cloned: 3,
    };

    #[test]
    fn whether_files_can_be_cloned_is_asked_only_if_it_matters() {
        let unasked = || -> bool { panic!("asked") };
        assert_eq!(NEEDS.more_than(SPACE_RESERVE + 123, unasked), None);
        for (free, can_clone, fits) in [
            (122, true, true),
            (122, false, false),
            (120, true, true),
            (119, true, false),
        ] {
            let why = NEEDS.more_than(SPACE_RESERVE + free, || can_clone);
            assert_eq!(why.is_none(), fits, "{free} {can_clone} {why:?}");
        }
    }

    #[test]
    fn the_reserve_is_a_part_of_what_is_needed_and_said() {
        let why = NEEDS.more_than(7, || false).unwrap();
        let needed = SPACE_RESERVE + 123;
        for part in [
            "7 bytes free".to_owned(),
            format!("needs {needed}"),
            "100 to fetch".to_owned(),
            "23 to copy".to_owned(),
            format!("{SPACE_RESERVE} in reserve"),
        ] {
            assert!(why.contains(&part), "{part}: {why}");
        }
    }
}
