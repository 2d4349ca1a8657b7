//! What was in place before, under names that say when it was saved and what it must be.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use durable_fs::{Dir, FileKind, Replace};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use manifest_core::Sha256Digest;
use serde::Serialize;

use crate::error::Doing as _;
use crate::state::{SAVING, State};
use crate::{Error, ErrorKind, HotSwap};

/// A binary that was in place before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Backup {
    /// The name of its file: the time and the digest.
    pub name: String,
    /// When it was saved, in RFC 3339.
    pub time: String,
    /// What its content must be. It is hashed before it is used.
    pub sha256: Sha256Digest,
    /// Bytes.
    pub size: u64,
}

const TIME: &str = "%Y%m%dT%H%M%SZ";

/// A name for a backup: `20261128T134009Z-<64 hex digits>`.
pub(crate) fn name_of(now: SystemTime, digest: Sha256Digest) -> String {
    let now = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{}-{digest}", now.strftime(TIME))
}

/// The time in RFC 3339, and the digest; `None` for a name that is none of ours.
pub(crate) fn parse(name: &str) -> Option<(String, Sha256Digest)> {
    let (time, digest) = name.split_once('-')?;
    let moment = jiff::civil::DateTime::strptime(TIME, time).ok()?;
    let moment = moment.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some((moment.to_string(), digest.parse().ok()?))
}

/// The backups in a folder, the newest first.
pub(crate) fn list(folder: &Dir) -> Result<Vec<Backup>, Error> {
    let during = || format!("cannot list the backups in {}", folder.path().display());
    let mut backups = Vec::new();
    for entry in folder.entries().doing(during)? {
        let name = entry.name.to_string_lossy();
        let (FileKind::File, Some((time, sha256))) = (entry.kind, parse(&name)) else {
            continue;
        };
        if let Some(metadata) = folder.metadata(&*name).doing(during)? {
            backups.push(Backup {
                name: name.into_owned(),
                time,
                sha256,
                size: metadata.len,
            });
        }
    }
    backups.sort_by(|one, other| other.name.cmp(&one.name));
    Ok(backups)
}

/// Makes a backup of what was saved as [`SAVING`], durably. Older ones with the same content are deleted: one is enough.
pub(crate) fn keep(state: &State, name: &str, digest: Sha256Digest) -> Result<(), Error> {
    let kept = (|| {
        state.dir.sync_file(SAVING)?;
        state
            .dir
            .rename(SAVING, &state.backups, name, Replace::Allow)?;
        // If both were one file already, both stay.
        state.dir.remove_tree(SAVING)?;
        state.backups.sync()
    })();
    kept.doing(|| format!("cannot keep the backup {name}"))?;
    for backup in list(&state.backups)? {
        if backup.sha256 == digest && backup.name != name {
            let removed = state.backups.remove_file(&backup.name);
            removed.doing(|| format!("cannot delete the backup {}", backup.name))?;
        }
    }
    Ok(())
}

/// What `clean` deleted and what there still is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Cleaned {
    /// What was deleted, or would be.
    pub deleted: Vec<Backup>,
    /// What is kept, the newest first.
    pub kept: Vec<Backup>,
}

/// Deletes all but the newest backups. `spared` is kept in any case.
pub(crate) fn prune(state: &State, keep: usize, spared: Option<&str>) -> Result<Cleaned, Error> {
    let cleaned = choose(list(&state.backups)?, keep, spared);
    for backup in &cleaned.deleted {
        let removed = state.backups.remove_file(&backup.name);
        removed.doing(|| format!("cannot delete the backup {}", backup.name))?;
    }
    if !cleaned.deleted.is_empty() {
        let synced = state.backups.sync();
        synced.doing(|| "cannot delete backups for good".into())?;
    }
    Ok(cleaned)
}

fn choose(backups: Vec<Backup>, keep: usize, spared: Option<&str>) -> Cleaned {
    let (mut deleted, mut kept) = (Vec::new(), Vec::new());
    for backup in backups {
        if kept.len() < keep || spared == Some(&*backup.name) {
            kept.push(backup);
        } else {
            deleted.push(backup);
        }
    }
    Cleaned { deleted, kept }
}

impl HotSwap {
    /// The backups of the target, the newest first. Reads only their names and sizes, and needs no lock.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the target's folder is not there, `PermissionDenied`, `Policy`, `Io`.
    pub fn backups(&self) -> Result<Vec<Backup>, Error> {
        match State::look(self)? {
            Some((_, backups)) => list(&backups),
            None => Ok(Vec::new()),
        }
    }

    /// The path of the folder with the backups, the journal and the lock. It need not exist.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if the target's path names no file.
    pub fn state_folder(&self) -> Result<PathBuf, Error> {
        crate::state::folder_of(self)
    }

    /// Deletes all but the newest `keep` backups. What an unfinished swap would go back to is kept in any case.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] if a swap is going on, and as [`backups`](Self::backups).
    pub fn clean(&self, keep: usize) -> Result<Cleaned, Error> {
        if State::look(self)?.is_none() {
            return Ok(choose(Vec::new(), keep, None));
        }
        let state = State::lock(self)?;
        let journal = state.journal()?;
        let spared = journal.and_then(|journal| journal.backup);
        prune(&state, keep, spared.as_deref())
    }

    /// What [`clean`](Self::clean) would do; changes nothing.
    ///
    /// # Errors
    /// As [`backups`](Self::backups).
    pub fn plan_clean(&self, keep: usize) -> Result<Cleaned, Error> {
        let Some((folder, backups)) = State::look(self)? else {
            return Ok(choose(Vec::new(), keep, None));
        };
        let spared = crate::journal::read(&folder)?.and_then(|journal| journal.backup);
        Ok(choose(list(&backups)?, keep, spared.as_deref()))
    }
}

/// The backup to go back to: the one that is named, by its beginning if only one begins so, or else the newest with another content
/// than what is in place.
pub(crate) fn find(
    backups: &[Backup],
    wanted: Option<&str>,
    in_place: Option<Sha256Digest>,
    target: &Path,
) -> Result<Backup, Error> {
    let missing = |text: String| Err(Error::new(ErrorKind::NoBackup, text));
    let target = target.display();
    let Some(wanted) = wanted else {
        let other = backups
            .iter()
            .find(|backup| Some(backup.sha256) != in_place);
        return match other {
            Some(backup) => Ok(backup.clone()),
            None if backups.is_empty() => missing(format!("there is no backup of {target}")),
            None => missing(format!(
                "there is no backup of {target} but of what is in place already"
            )),
        };
    };
    let mut matching = backups.iter().filter(|backup| {
        backup.name.starts_with(wanted) || backup.sha256.to_string().starts_with(wanted)
    });
    match (matching.next(), matching.next()) {
        (Some(backup), None) => Ok(backup.clone()),
        (Some(_), Some(_)) => missing(format!(
            "several backups of {target} begin with {wanted}; name one in full"
        )),
        (None, _) => missing(format!("there is no backup {wanted} of {target}")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn backup(seconds: u64, content: &str) -> Backup {
        let sha256 = Sha256Digest::of(content.as_bytes());
        let name = name_of(UNIX_EPOCH + Duration::from_secs(seconds), sha256);
        let (time, _) = parse(&name).unwrap();
        Backup {
            name,
            time,
            sha256,
            size: 1,
        }
    }

    #[test]
    fn names_say_when_and_what() {
        let backup = backup(1_795_872_009, "x");
        assert!(backup.name.starts_with("20261128T"), "{}", backup.name);
        assert_eq!(
            parse(&backup.name),
            Some((backup.time.clone(), backup.sha256))
        );
        assert!(backup.time.starts_with("2026-11-28T"));
        for other in ["", "x", "20261128T134009Z", "20261128T134009Z-x", "2026-11"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn the_newest_are_kept_and_the_one_that_is_needed() {
        let all = || vec![backup(3, "c"), backup(2, "b"), backup(1, "a")];
        let kept = |keep, spared: Option<&str>| {
            let cleaned = choose(all(), keep, spared);
            assert_eq!(cleaned.deleted.len() + cleaned.kept.len(), 3);
            cleaned.kept
        };
        assert_eq!(kept(0, None), []);
        assert_eq!(kept(2, None), all()[..2]);
        assert_eq!(kept(9, None), all());
        assert_eq!(
            kept(1, Some(&all()[2].name)),
            [backup(3, "c"), backup(1, "a")]
        );
    }

    #[test]
    fn what_is_in_place_is_not_gone_back_to() {
        let all = [backup(3, "c"), backup(2, "b"), backup(1, "b")];
        let target = Path::new("/bin/server");
        let found = |wanted, in_place: &str| {
            let in_place = Some(Sha256Digest::of(in_place.as_bytes()));
            find(&all, wanted, in_place, target).map_err(|error| error.kind())
        };
        assert_eq!(found(None, "c"), Ok(all[1].clone()));
        assert_eq!(found(None, "x"), Ok(all[0].clone()));
        assert_eq!(found(Some(&all[2].name), "x"), Ok(all[2].clone()));
        let digest = all[0].sha256.to_string();
        assert_eq!(found(Some(&digest[..8]), "x"), Ok(all[0].clone()));
        for missing in ["1970", "nothing"] {
            assert_eq!(found(Some(missing), "x"), Err(ErrorKind::NoBackup));
        }
        let none = find(&all[..1], None, Some(all[0].sha256), target);
        assert_eq!(none.unwrap_err().kind(), ErrorKind::NoBackup);
    }
}
