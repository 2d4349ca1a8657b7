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
                    "{error}; none of its files are reused"
                )));
                installation
                    .active_without_manifest(target.tool_id())
                    .during(during)
            }
            // Only without the lock: a session would have recovered what can be recovered.
            Err(error) if error.kind() == activation::ErrorKind::NoActiveRelease => {
                self.notify(&Event::Warning(error.to_string()));
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
        let is_copied = |reuse: &Reuse<'_>| {
            let is_made = self.settings().link_policy == LinkPolicy::Copy || reuse.changes_mode();
            is_made && !staging.has(reuse.target.path())
        };
        let copied: u64 = delta
            .reuses()
            .iter()
            .filter(|reuse| is_copied(reuse))
            .map(|reuse| reuse.target.size())
            .sum();
        let needed = fetched + copied + carry.bytes + SPACE_RESERVE;
        if needed > free {
            let text = format!(
                "{} has {free} bytes free, but the update needs {needed}: {fetched} to fetch, {} to copy",
                self.root().display(),
                copied + carry.bytes
            );
            return Err(Error::new(ErrorKind::NoSpace, text));
        }
        Ok(())
    }
}
