//! The note that says, while a swap is under way, what was in place and what is coming.

use durable_fs::Dir;
use manifest_core::Sha256Digest;
use serde::{Deserialize, Serialize};

use crate::error::Doing as _;
use crate::report::Found;
use crate::{Error, ErrorKind};

const NAME: &str = "swap.json";
const MAX_LENGTH: u64 = 64 * 1024;

/// How far a swap is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// The candidate is about to be put in place, or is there and being checked.
    Replacing,
    /// It did not pass: the binary from before is about to be put in place again.
    RollingBack,
}

/// Written before the target is replaced, removed when the swap is decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Journal {
    pub(crate) phase: Phase,
    /// `None` where nothing was in place.
    pub(crate) old: Option<Sha256Digest>,
    pub(crate) new: Sha256Digest,
    /// The name of the backup of `old`.
    pub(crate) backup: Option<String>,
}

impl Journal {
    /// What state a swap is in that was interrupted, by what is in place.
    pub(crate) fn judge(&self, in_place: Option<Sha256Digest>) -> Found {
        match (self.phase, in_place) {
            (Phase::Replacing, in_place) if in_place == self.old => Found::NotReplaced,
            (Phase::RollingBack, in_place) if in_place == self.old => Found::RolledBack,
            (_, None) => Found::Missing,
            (Phase::Replacing, Some(in_place)) if in_place == self.new => Found::Unverified,
            (Phase::RollingBack, Some(in_place)) if in_place == self.new => {
                Found::RollbackUnfinished
            }
            (_, Some(_)) => Found::Foreign,
        }
    }

    /// Durable on return.
    pub(crate) fn write(&self, folder: &Dir) -> Result<(), Error> {
        let bytes = serde_json::to_vec_pretty(self).map_err(|error| {
            Error::new(ErrorKind::Io, "cannot write down the swap").with_source(error)
        })?;
        let written = folder.replace_file(NAME, &bytes);
        written.doing(|| "cannot write down the swap".into())
    }
}

/// The note of a swap that was not finished.
pub(crate) fn read(folder: &Dir) -> Result<Option<Journal>, Error> {
    let path = || folder.path().join(NAME);
    let bytes = match folder.read(NAME, MAX_LENGTH) {
        Err(error) if error.is_not_found() => return Ok(None),
        read => read.doing(|| format!("cannot read {}", path().display()))?,
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        let text = format!(
            "{} is damaged; see which binary is in place, and remove it",
            path().display()
        );
        Error::new(ErrorKind::Io, text).with_source(error)
    })
}

/// The swap is decided. Durable on return.
pub(crate) fn remove(folder: &Dir) -> Result<(), Error> {
    match folder.remove_file(NAME) {
        Err(error) if error.is_not_found() => return Ok(()),
        removed => removed.and_then(|()| folder.sync()),
    }
    .doing(|| "cannot remove the note about the swap".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_place_says_how_far_it_came() {
        let digest = |text: &str| Some(Sha256Digest::of(text.as_bytes()));
        let judge = |phase, old: Option<Sha256Digest>, in_place| {
            let new = digest("new").unwrap();
            let backup = None;
            Journal {
                phase,
                old,
                new,
                backup,
            }
            .judge(in_place)
        };
        for (phase, in_place, found) in [
            (Phase::Replacing, digest("old"), Found::NotReplaced),
            (Phase::Replacing, digest("new"), Found::Unverified),
            (Phase::RollingBack, digest("new"), Found::RollbackUnfinished),
            (Phase::RollingBack, digest("old"), Found::RolledBack),
            (Phase::Replacing, digest("other"), Found::Foreign),
            (Phase::RollingBack, digest("other"), Found::Foreign),
            (Phase::Replacing, None, Found::Missing),
        ] {
            assert_eq!(judge(phase, digest("old"), in_place), found);
        }
        // A first binary.
        assert_eq!(judge(Phase::Replacing, None, None), Found::NotReplaced);
        assert_eq!(
            judge(Phase::Replacing, None, digest("new")),
            Found::Unverified
        );
    }
}
