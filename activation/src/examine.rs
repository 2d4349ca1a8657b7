//! What is wrong with an installation, why, and what would mend it?

mod current;
mod leftovers;
mod notes;
mod places;
mod releases;

use std::error::Error as StdError;
use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use manifest_core::ReleaseVersion;

use crate::history::{Event, HistoryEntry};
use crate::retire::{self, Retired};
use crate::{Error, ErrorKind, Installation, Session, Watch, layout};

/// How bad a [`Symptom`] is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// The active release cannot be trusted, there is none, or nothing can be changed.
    Error,
    /// Not yet in the way, but not as it should be either.
    Warning,
    /// Nothing is wrong; somebody may want to know.
    Note,
}

/// What is to be done about a [`Symptom`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Opening a session mends it, so every change does.
    Reopen,
    /// Repairing the active release mends it.
    Repair,
    /// [`Session::retire_unusable`] deletes this release; what may be the user's is moved aside first.
    Retire(ReleaseVersion),
    /// Pruning settles it. Somebody has to confirm that by asking for it.
    Prune,
    /// Only a person can do it; with what to do.
    ByHand(String),
    /// Nothing needs to be done.
    None,
}

impl Remedy {
    /// Whether it can be done without asking anybody: it loses nothing that may be the user's.
    #[must_use]
    pub fn is_automatic(&self) -> bool {
        matches!(self, Self::Reopen | Self::Repair | Self::Retire(_))
    }
}

/// What to do, as an order.
impl fmt::Display for Remedy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reopen => formatter
                .write_str("take the lock and finish what was left behind, as every change does"),
            Self::Repair => formatter
                .write_str("repair the active release: fetch the damaged files and replace them"),
            Self::Retire(version) => write!(
                formatter,
                "move what may be yours in release {version} to {}/{}/{}, and delete the rest of it",
                layout::NOTES,
                layout::KEPT,
                version.folder_name()
            ),
            Self::Prune => formatter.write_str("prune, which confirms it"),
            Self::ByHand(text) => formatter.write_str(text),
            Self::None => formatter.write_str("nothing"),
        }
    }
}

/// Something about an installation that is not as it should be, or that somebody may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Symptom {
    /// How bad it is.
    pub severity: Severity,
    /// What was found, in one sentence that names the path.
    pub what: String,
    /// What that means, or how it comes about.
    pub why: String,
    /// What is to be done.
    pub remedy: Remedy,
}

impl Installation {
    /// Finds out what is wrong, the worst first; empty if nothing is. Every file of every release is
    /// hashed.
    ///
    /// Reads only: nothing is created, changed or locked, and what cannot be read is a symptom. While
    /// another process changes the installation, its unfinished work may look like one, too; that it is
    /// at work is then among the symptoms.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`].
    pub fn examine(&self, watch: &dyn Watch) -> Result<Vec<Symptom>, Error> {
        let mut examination = Examination {
            installation: self,
            watch,
            symptoms: Vec::new(),
        };
        let places = examination.places();
        let releases = examination.releases(places.releases.as_ref())?;
        examination.current(&releases);
        examination.leftovers(&places);
        if let Some(notes) = &places.notes {
            examination.notes(notes);
        }
        let mut symptoms = examination.symptoms;
        symptoms.sort_by_key(|symptom| symptom.severity);
        Ok(symptoms)
    }
}

impl Session {
    /// Deletes a release that cannot become active any more, since its manifest is not valid or is that
    /// of another version. What may be the user's is moved to `.lockstep/kept/` first: where the manifest
    /// cannot be read, that is everything that the active release has not, too.
    ///
    /// `None`, and nothing is done, if the release is not there, is the active one, or is none of these;
    /// also while no release is active.
    ///
    /// # Errors
    /// `NoSpace`, `Io`.
    pub fn retire_unusable(
        &self,
        version: &ReleaseVersion,
        now: SystemTime,
    ) -> Result<Option<Retired>, Error> {
        let is_unusable = match self.installation().release(version) {
            Ok(release) => {
                release.is_some_and(|release| release.manifest().tool_version() != version)
            }
            Err(error) if error.kind() == ErrorKind::Manifest => true,
            Err(error) => return Err(error),
        };
        let Some((active, dir)) = self.installation().active_folder()? else {
            return Ok(None);
        };
        if !is_unusable || active == *version {
            return Ok(None);
        }
        let retired = retire::retire(self.folders(), version, Some(&dir))?;
        self.record(&HistoryEntry::new(now, Event::Removed, version))?;
        Ok(Some(retired))
    }
}

/// One look at everything.
struct Examination<'i> {
    installation: &'i Installation,
    watch: &'i dyn Watch,
    symptoms: Vec<Symptom>,
}

impl Examination<'_> {
    fn add(
        &mut self,
        severity: Severity,
        what: impl Into<String>,
        why: impl Into<String>,
        remedy: Remedy,
    ) {
        self.symptoms.push(Symptom {
            severity,
            what: what.into(),
            why: why.into(),
            remedy,
        });
    }

    /// What the operating system did not let us read.
    fn unreadable(&mut self, severity: Severity, path: &Path, error: &dyn StdError) {
        let what = format!("{} cannot be read: {}.", path.display(), reason(error));
        let why = "Often another user made it, or the permissions were changed; an error of the device is \
                   rarer and worse.";
        let remedy = by_hand(
            "give the user who runs this access to it, or run this as the user who owns it",
        );
        self.add(severity, what, why, remedy);
    }

    /// Where an installation has its own things, for messages.
    fn path(&self, relative: &str) -> std::path::PathBuf {
        self.installation.root().path().join(relative)
    }
}

fn by_hand(text: impl Into<String>) -> Remedy {
    Remedy::ByHand(text.into())
}

/// The innermost cause, which says most.
fn reason(error: &dyn StdError) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// `1 file`, `2 files`.
fn count(number: u64, singular: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {singular}{plural}")
}
