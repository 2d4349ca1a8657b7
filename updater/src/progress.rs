use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::{Event, Observer, Phase};

/// How far an operation is, from its beginning; carried by [`Event::Progress`].
///
/// What is done is never more than what there is to do. The latter grows when more comes to light, for
/// instance when an installed file turns out to be damaged and has to be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// What it is busy with.
    pub phase: Phase,
    /// Contents that are here and verified, those of an interrupted run included.
    pub files_fetched: u64,
    /// Contents to fetch, each once.
    pub files_to_fetch: u64,
    /// Bytes of them that are here, those of an interrupted run included. Goes back if bytes turn out to be of
    /// no use.
    pub bytes_fetched: u64,
    /// Bytes to fetch.
    pub bytes_to_fetch: u64,
    /// Bytes that came over the wire in this run, useless ones included: what a rate is made of.
    pub bytes_received: u64,
    /// Bytes of local files that were hashed.
    pub bytes_verified: u64,
    /// Bytes of local files to hash.
    pub bytes_to_verify: u64,
}

impl Progress {
    fn hear(&mut self, event: &Event) {
        match event {
            Event::Phase(phase) => self.phase = *phase,
            Event::Planned(plan) => {
                self.files_to_fetch += plan.downloads.len() as u64;
                self.bytes_to_fetch += plan.bytes_to_download;
            }
            Event::DownloadAdvanced {
                received, resumed, ..
            } => {
                self.bytes_fetched += received + resumed;
                self.bytes_received += received;
            }
            Event::DownloadSetBack { bytes, .. } => {
                self.bytes_fetched = self.bytes_fetched.saturating_sub(*bytes);
            }
            Event::DownloadFinished { .. } => self.files_fetched += 1,
            Event::BytesVerified(bytes) => self.bytes_verified += bytes,
            _ => {}
        }
        self.bytes_to_fetch = self.bytes_to_fetch.max(self.bytes_fetched);
        self.bytes_to_verify = self.bytes_to_verify.max(self.bytes_verified);
    }
}

/// One line of mostly less than 80 letters: `transferring, fetched 12.3/953.6 MiB, 1/4 files, hashed 5.0/100.0 MiB`.
/// `{progress:<79}` fills it up with spaces, to be written over the one before.
impl fmt::Display for Progress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.phase.to_string();
        if self.files_to_fetch > 0 {
            write!(
                text,
                ", fetched {}, {}/{} files",
                Size::of(self.bytes_fetched, self.bytes_to_fetch),
                self.files_fetched,
                self.files_to_fetch,
            )?;
        }
        if self.bytes_to_verify > 0 {
            let hashed = Size::of(self.bytes_verified, self.bytes_to_verify);
            write!(text, ", hashed {hashed}")?;
        }
        formatter.pad(&text)
    }
}

/// Bytes for people: `1.5 KiB`, or `0.3/1.5 KiB`.
pub(crate) struct Size {
    part: Option<u64>,
    whole: u64,
}

impl Size {
    pub(crate) fn new(bytes: u64) -> Self {
        Self {
            part: None,
            whole: bytes,
        }
    }

    fn of(part: u64, whole: u64) -> Self {
        Self {
            part: Some(part),
            whole,
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let power = (self.whole.checked_ilog2().unwrap_or(0) / 10).min(4);
        for (bytes, after) in [(self.part, "/"), (Some(self.whole), " ")] {
            let Some(bytes) = bytes else { continue };
            if power == 0 {
                write!(formatter, "{bytes}{after}")?;
            } else {
                let tenths = (u128::from(bytes) * 10) >> (10 * power);
                write!(formatter, "{}.{}{after}", tenths / 10, tenths % 10)?;
            }
        }
        formatter.write_str(["B", "KiB", "MiB", "GiB", "TiB"][power as usize])
    }
}

/// Passes one operation's events on, and keeps its sums.
pub(crate) struct Tracker {
    observer: Arc<dyn Observer>,
    progress: Mutex<Progress>,
}

impl Tracker {
    pub(crate) fn new(observer: Arc<dyn Observer>) -> Arc<Self> {
        let progress = Mutex::new(Progress {
            phase: Phase::Planning,
            files_fetched: 0,
            files_to_fetch: 0,
            bytes_fetched: 0,
            bytes_to_fetch: 0,
            bytes_received: 0,
            bytes_verified: 0,
            bytes_to_verify: 0,
        });
        Arc::new(Self { observer, progress })
    }

    /// For another operation.
    pub(crate) fn afresh(&self) -> Arc<Self> {
        Self::new(self.observer.clone())
    }

    /// More files to fetch than a plan says.
    pub(crate) fn expect_files(&self, files: u64, bytes: u64) {
        self.change(|progress| {
            progress.files_to_fetch += files;
            progress.bytes_to_fetch += bytes;
        });
    }

    /// More to hash.
    pub(crate) fn expect_hashing(&self, bytes: u64) {
        self.change(|progress| progress.bytes_to_verify += bytes);
    }

    /// Tells of what has changed, one at a time: what comes last is where it stands.
    fn change(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *progress;
        change(&mut progress);
        if *progress != before {
            self.observer.notify(&Event::Progress(*progress));
        }
    }
}

impl Observer for Tracker {
    fn notify(&self, event: &Event) {
        self.observer.notify(event);
        self.change(|progress| progress.hear(event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable() {
        let sizes = [0, 1023, 1024, 1_586, 64 << 20, (1 << 30) - 1, 5 << 40];
        let texts = sizes.map(|size| Size::new(size).to_string());
        let expected = [
            "0 B",
            "1023 B",
            "1.0 KiB",
            "1.5 KiB",
            "64.0 MiB",
            "1023.9 MiB",
            "5.0 TiB",
        ];
        assert_eq!(texts, expected);
        assert_eq!(Size::new(u64::MAX).to_string(), "16777215.9 TiB");
        assert_eq!(Size::of(512, 1 << 20).to_string(), "0.0/1.0 MiB");
        assert_eq!(Size::of(3, 9).to_string(), "3/9 B");
    }
}
