//! What Lockstep's own notes say, and whether they can be read.

use durable_fs::{Dir, FileKind};
use manifest_core::Sha256Digest;
use serde::de::IgnoredAny;

use super::{Examination, Remedy, Severity, by_hand, count};
use crate::history::{HistoryEntry, MAX_HISTORY};
use crate::trial::{self, Trial};
use crate::{layout, pending};

const MAX_NOTE: u64 = 256 << 20;

impl Examination<'_> {
    pub(super) fn notes(&mut self, notes: &Dir) {
        self.lock(notes);
        self.history(notes);
        let damaged = [
            (layout::PENDING_DELETIONS, "nothing waits to be deleted"),
            (layout::TRIAL, "no release is on trial"),
            (layout::FAILED, "no release is known not to work"),
        ];
        for (name, consequence) in damaged {
            self.damaged_note(notes, name, consequence);
        }
        let active = self.installation.active().unwrap_or_default();
        let active = active.map(|release| release.manifest().manifest_hash());
        self.trial(notes, active);
        self.failed_releases(notes, active);
        if let Some(active) = active {
            self.pending_deletions(notes, active);
        }
    }

    fn lock(&mut self, notes: &Dir) {
        let is_file = notes
            .metadata(layout::LOCK)
            .is_ok_and(|found| found.is_some_and(|found| found.kind == FileKind::File));
        if !is_file {
            return;
        }
        if let Some(process) = notes.lock_holder(layout::LOCK) {
            let path = notes.path().join(layout::LOCK);
            let what = format!("{} is held by process {process}.", path.display());
            let why = "It is changing the installation right now, so some of this may be its unfinished work, and \
                       nobody else can change anything. The lock is free as soon as the process ends.";
            let remedy = by_hand("wait until it is done, and look again");
            self.add(Severity::Note, what, why, remedy);
        }
    }

    fn history(&mut self, notes: &Dir) {
        // What cannot be read at all was said already.
        let Ok(bytes) = notes.read(layout::HISTORY, MAX_HISTORY) else {
            return;
        };
        let is_unreadable = |line: &&[u8]| {
            !line.is_empty() && serde_json::from_slice::<HistoryEntry>(line).is_err()
        };
        let lines = bytes.split(|byte| *byte == b'\n');
        let unreadable = lines.map(<[u8]>::trim_ascii).filter(is_unreadable).count() as u64;
        if unreadable > 0 {
            let path = notes.path().join(layout::HISTORY);
            let what = format!(
                "{} of {} cannot be read.",
                count(unreadable, "line"),
                path.display()
            );
            let why = "A power cut came while it was written, or a newer version of Lockstep wrote it. Such a line is \
                       skipped; no release depends on it.";
            self.add(Severity::Note, what, why, Remedy::None);
        }
    }

    fn damaged_note(&mut self, notes: &Dir, name: &str, consequence: &str) {
        let Ok(bytes) = notes.read(name, MAX_NOTE) else {
            return;
        };
        if serde_json::from_slice::<IgnoredAny>(&bytes).is_err() {
            let what = format!("{} is damaged.", notes.path().join(name).display());
            let why = format!(
                "A failing disk, or somebody, changed it. It counts as empty: {consequence}."
            );
            let remedy = by_hand("delete it");
            self.add(Severity::Note, what, why, remedy);
        }
    }

    fn trial(&mut self, notes: &Dir, active: Option<Sha256Digest>) {
        let Ok(bytes) = notes.read(layout::TRIAL, MAX_NOTE) else {
            return;
        };
        let trial = serde_json::from_slice::<Trial>(&bytes).ok();
        let Some(trial) = trial.filter(|trial| Some(trial.manifest_hash) == active) else {
            return;
        };
        let path = notes.path().join(layout::TRIAL);
        let what = format!(
            "The active release is still on trial, says {}.",
            path.display()
        );
        let why =
            "It became active, and whoever asks whether it works was stopped before the answer.";
        let back = trial.previous.map_or_else(String::new, |previous| {
            format!(", or roll back to release {previous}")
        });
        let remedy = by_hand(format!("update to it again, with its health probe{back}"));
        self.add(Severity::Warning, what, why, remedy);
    }

    fn failed_releases(&mut self, notes: &Dir, active: Option<Sha256Digest>) {
        let path = notes.path().join(layout::FAILED);
        for (hash, failed) in trial::read_failed(notes).unwrap_or_default() {
            let is_active = active == Some(hash);
            let what = format!(
                "Release {}{} did not work, says {}: {}.",
                failed.version,
                if is_active { ", which is active," } else { "" },
                path.display(),
                in_one_line(&failed.reason).trim_end_matches('.')
            );
            let why = format!(
                "That was found on {}. It is not installed again by itself.",
                failed.time
            );
            if is_active {
                let remedy = by_hand("roll back, or update to another release");
                self.add(Severity::Warning, what, why, remedy);
            } else {
                let remedy = by_hand(
                    "if what was wrong is mended, update to it and say that it may be tried again",
                );
                self.add(Severity::Note, what, why, remedy);
            }
        }
    }

    fn pending_deletions(&mut self, notes: &Dir, active: Sha256Digest) {
        let waiting = pending::read(notes, active).unwrap_or_default().len() as u64;
        if waiting > 0 {
            let path = notes.path().join(layout::PENDING_DELETIONS);
            let what = format!(
                "{} in the active release {} to be deleted, says {}.",
                count(waiting, "file"),
                if waiting == 1 { "waits" } else { "wait" },
                path.display()
            );
            let why = "Earlier releases listed them and this one does not. Its delete policy is manual, so that somebody \
                       has to confirm.";
            self.add(Severity::Note, what, why, Remedy::Prune);
        }
    }
}

/// What a probe said, which may have been several lines.
fn in_one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" / ")
}
