//! What is too old to keep, and what pruning would do.

use std::collections::HashSet;

use manifest_core::ReleaseVersion;

use crate::error::Doing as _;
use crate::retire::ActiveFiles;
use crate::{Error, Installation, layout, pending, retire};

/// What pruning would do. Nothing was changed to make it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PrunePlan {
    /// Releases that are too old to keep.
    pub releases: Vec<ReleaseVersion>,
    /// Files of the active release that its delete policy removes, by path.
    pub deletions: Vec<String>,
    /// The user's files that are only in the releases that would go, where they are now (relative to the root of
    /// the tool). They would be moved to `.lockstep/kept/`.
    pub kept: Vec<String>,
}

impl Installation {
    /// What [`Session::prune_active`](crate::Session::prune_active) and then
    /// [`Session::retain`](crate::Session::retain) would do. Reads only, and needs no lock: what another process
    /// changes meanwhile may make it wrong.
    ///
    /// # Errors
    /// [`ErrorKind::NoActiveRelease`](crate::ErrorKind::NoActiveRelease), `Manifest`, `Io`. Nothing where nothing is
    /// installed.
    pub fn plan_prune(&self, keep_previous: usize) -> Result<PrunePlan, Error> {
        let Some(active) = self.active()? else {
            return Ok(PrunePlan::default());
        };
        let notes = match self.root().open_dir(layout::NOTES) {
            Err(error) if error.is_not_found() => None,
            opened => Some(opened.doing(|| "cannot open the notes".into())?),
        };
        let mut plan = PrunePlan {
            releases: self.too_old(keep_previous)?,
            deletions: pending::to_prune(notes.as_ref(), &active)?.paths,
            kept: Vec::new(),
        };
        // They go first: what an old release has of them is the last of it then.
        let going: HashSet<&str> = plan.deletions.iter().map(String::as_str).collect();
        for version in &plan.releases {
            let folder = format!("{}/{}", layout::RELEASES, version.folder_name());
            let dir = match self.root().open_dir(&folder) {
                Err(error) if error.is_not_found() => continue,
                opened => opened.doing(|| format!("cannot open release {version}"))?,
            };
            let stays = ActiveFiles {
                dir: active.dir(),
                going: &going,
            };
            let found = retire::only_here(&dir, version, notes.as_ref(), Some(stays))?;
            let places = found
                .into_iter()
                .map(|found| format!("{folder}/{}", found.path));
            plan.kept.extend(places);
        }
        Ok(plan)
    }

    /// The releases but the active one and the `keep_previous` that were active before it.
    pub(crate) fn too_old(&self, keep_previous: usize) -> Result<Vec<ReleaseVersion>, Error> {
        let Some(active) = self.active_version()? else {
            return Ok(Vec::new());
        };
        let mut installed = self.releases()?;
        if !installed.contains(&active) {
            return Err(Error::no_active_release(&active.folder_name()));
        }
        let mut keep = self.predecessors(&active, &installed)?;
        // A version that is no number may be older or newer: better to keep it.
        for version in &installed {
            if version.precedence(&active).is_none() && !keep.contains(version) {
                keep.push(version.clone());
            }
        }
        keep.retain(|version| *version != active);
        keep.truncate(keep_previous);
        keep.push(active);
        installed.retain(|version| !keep.contains(version));
        Ok(installed)
    }
}
