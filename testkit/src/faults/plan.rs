use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use durable_fs::{Disk, Effect, Observer, Verdict};

use super::in_words;

/// The device failed.
pub const EIO: i32 = 5;
/// No space left on the device.
pub const ENOSPC: i32 = 28;

/// An [`Observer`] that counts the effects on a disk and makes some of them fail.
///
/// Effects are counted from 0, over all threads. An effect that fails changes nothing.
///
/// ```
/// use testkit::Faults;
///
/// let folder = testkit::scratch();
/// let faults = Faults::stop_at(3); // created, written and synced, but not renamed
/// let root = faults.disk().open_dir(folder.path())?;
/// root.replace_file("current.txt", b"v2.4.1").unwrap_err();
/// assert!(root.metadata("current.txt")?.is_none());
/// # Ok::<(), durable_fs::Error>(())
/// ```
#[derive(Debug)]
pub struct Faults {
    plan: Plan,
    seen: Mutex<Vec<String>>,
    next: Option<Arc<dyn Observer>>,
}

#[derive(Clone, Copy, Debug)]
enum Plan {
    Nothing,
    FailAt(usize, i32),
    FailFrom(usize, i32),
    ShortWriteAt(usize, usize),
    TornWriteAt(usize, usize),
}

impl Faults {
    fn new(plan: Plan) -> Arc<Self> {
        Arc::new(Self {
            plan,
            seen: Mutex::default(),
            next: None,
        })
    }

    /// Nothing fails; [`effects`](Self::effects) says what happened.
    #[must_use]
    pub fn count() -> Arc<Self> {
        Self::new(Plan::Nothing)
    }

    /// Effect `n` fails, and no other.
    #[must_use]
    pub fn fail_at(n: usize, errno: i32) -> Arc<Self> {
        Self::new(Plan::FailAt(n, errno))
    }

    /// Effect `n` and all later ones fail: the device is gone, or full for good.
    #[must_use]
    pub fn fail_from(n: usize, errno: i32) -> Arc<Self> {
        Self::new(Plan::FailFrom(n, errno))
    }

    /// The process stops before effect `n`: whatever the code still tries does not reach the disk.
    #[must_use]
    pub fn stop_at(n: usize) -> Arc<Self> {
        Self::fail_from(n, EIO)
    }

    /// If effect `n` is a write, only so many bytes of it are written. That is no error.
    #[must_use]
    pub fn short_write_at(n: usize, bytes: usize) -> Arc<Self> {
        Self::new(Plan::ShortWriteAt(n, bytes))
    }

    /// The process stops within effect `n`, a write, when so many bytes of it are written.
    #[must_use]
    pub fn torn_write_at(n: usize, bytes: usize) -> Arc<Self> {
        Self::new(Plan::TornWriteAt(n, bytes))
    }

    /// With another observer that sees what is let through.
    ///
    /// # Panics
    /// If the plan is in use.
    #[must_use]
    pub fn over(mut self: Arc<Self>, next: Arc<dyn Observer>) -> Arc<Self> {
        Arc::get_mut(&mut self)
            .expect("observers are chained before they are used")
            .next = Some(next);
        self
    }

    /// The real disk, with this plan in front of it.
    #[must_use]
    pub fn disk(self: &Arc<Self>) -> Disk {
        Disk::observed(self.clone())
    }

    /// Every effect that was tried, in order and in words; the index is the effect's number.
    #[must_use]
    pub fn effects(&self) -> Vec<String> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Observer for Faults {
    fn before(&self, effect: &Effect<'_>) -> Verdict {
        let number = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push(in_words(effect));
            seen.len() - 1
        };
        let fail = |errno| Verdict::Fail(io::Error::from_raw_os_error(errno));
        let verdict = match self.plan {
            Plan::FailAt(at, errno) if number == at => fail(errno),
            Plan::FailFrom(from, errno) if number >= from => fail(errno),
            Plan::TornWriteAt(at, _) if number > at => fail(EIO),
            Plan::ShortWriteAt(at, bytes) | Plan::TornWriteAt(at, bytes) if number == at => {
                Verdict::Short(bytes)
            }
            _ => Verdict::Proceed,
        };
        match (&self.next, verdict) {
            (None, verdict) | (_, verdict @ Verdict::Fail(_)) => verdict,
            (Some(next), verdict) => match next.before(effect) {
                Verdict::Proceed => verdict,
                stronger => stronger,
            },
        }
    }

    fn after(&self, effect: &Effect<'_>) {
        if let Some(next) = &self.next {
            next.after(effect);
        }
    }
}

#[cfg(test)]
mod tests {
    use durable_fs::{ErrorKind, Recorder};

    use super::*;
    use crate::scratch;

    #[test]
    fn the_effects_of_a_clean_run_are_listed_by_number() {
        let folder = scratch();
        let faults = Faults::count();
        let root = faults.disk().open_dir(folder.path()).unwrap();
        root.replace_file("file", b"seven b").unwrap();
        let effects = faults.effects();
        let starts = ["create", "write to", "sync", "rename", "sync the folder"];
        assert_eq!(effects.len(), starts.len());
        for (effect, start) in effects.iter().zip(starts) {
            assert!(effect.starts_with(start), "{effect}");
        }
        assert!(effects[1].ends_with(", 7 bytes"), "{}", effects[1]);
        assert!(effects[3].ends_with("/file"), "{}", effects[3]);
    }

    #[test]
    fn one_effect_fails_or_all_from_it_on() {
        for (faults, second) in [
            (Faults::fail_at(0, ENOSPC), None),
            (Faults::fail_from(0, ENOSPC), Some(ErrorKind::NoSpace)),
            (Faults::stop_at(0), Some(ErrorKind::Io)),
        ] {
            let folder = scratch();
            let root = faults.disk().open_dir(folder.path()).unwrap();
            root.create_dir("one").unwrap_err();
            assert!(root.metadata("one").unwrap().is_none());
            let next = root.create_dir("two").err().map(|error| error.kind());
            assert_eq!(next, second);
        }
    }

    #[test]
    fn a_short_write_goes_on_and_a_torn_one_does_not() {
        let write = |faults: &Arc<Faults>| {
            let folder = scratch();
            let root = faults.disk().open_dir(folder.path()).unwrap();
            let written = root.create_file("file").unwrap().write_bytes(b"content");
            let content = root.read("file", 100).unwrap();
            (written.is_ok(), content)
        };
        let whole = (true, b"content".to_vec());
        assert_eq!(write(&Faults::short_write_at(1, 3)), whole);
        assert_eq!(write(&Faults::torn_write_at(1, 3)), (false, b"con".into()));
    }

    #[test]
    fn an_observer_behind_sees_only_what_is_let_through() {
        let folder = scratch();
        let recorder = Arc::new(Recorder::new());
        let faults = Faults::fail_at(1, EIO).over(recorder.clone());
        let root = faults.disk().open_dir(folder.path()).unwrap();
        root.create_dir("one").unwrap();
        root.create_dir("two").unwrap_err();
        assert_eq!(recorder.effects().len(), 1);
        assert_eq!(faults.effects().len(), 2);
    }
}
