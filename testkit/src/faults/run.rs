//! How an [`Exploration`] goes about it.

use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::sample::Random;
use super::{
    Case, CrashState, Cut, EIO, Exploration, Explored, Failures, Faults, Image, Outcome, PowerCut,
    scratch, without_root,
};

/// An exploration with more failures than this gives up.
const ENOUGH_FAILURES: usize = 5;

/// For pairs of faults, only so many states of each moment.
const STATES_PER_SECOND_CUT: usize = 6;

#[derive(Clone, Copy)]
enum Fault {
    Fail(i32),
    Stop,
    Short(usize),
    Torn(usize),
}

pub(super) struct Run<'e, 'f> {
    plan: &'e Exploration<'f>,
    old: Image,
    tried: Mutex<Explored>,
    /// The states that were checked: a digest, and whether only the new tree was right.
    checked: Mutex<HashSet<(u64, bool)>>,
    /// A choice of the states, by a random number that depends on where they came from.
    for_pairs: Mutex<BTreeMap<u64, (CrashState, Case)>>,
    failures: Mutex<Vec<String>>,
}

impl<'e, 'f> Run<'e, 'f> {
    pub(super) fn new(plan: &'e Exploration<'f>, old: Image) -> Self {
        Self {
            plan,
            old,
            tried: Mutex::default(),
            checked: Mutex::default(),
            for_pairs: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    pub(super) fn all(self) -> Result<Explored, Failures> {
        self.try_all();
        let failures = self.failures.into_inner();
        let failures = failures.unwrap_or_else(PoisonError::into_inner);
        if failures.is_empty() {
            let tried = self.tried.into_inner();
            Ok(tried.unwrap_or_else(PoisonError::into_inner))
        } else {
            Err(Failures(failures))
        }
    }

    fn try_all(&self) {
        let faults = Faults::count();
        let undisturbed = self.disturbed(&self.old, &faults, "", None);
        let effects = faults.effects();
        self.tried().effects = effects.len();
        match undisturbed {
            Some(Outcome::Succeeded) => {}
            Some(_) => return self.fail("the undisturbed operation failed"),
            None => return,
        }
        let mut single = Vec::new();
        for (number, effect) in effects.iter().enumerate() {
            single.push((number, Fault::Stop));
            single.extend(
                self.plan
                    .errnos
                    .iter()
                    .map(|errno| (number, Fault::Fail(*errno))),
            );
            // At least one byte of at least two.
            if let Some(half) = written(effect)
                .map(|bytes| bytes / 2)
                .filter(|half| *half > 0)
            {
                single.extend([(number, Fault::Short(half)), (number, Fault::Torn(half))]);
            }
        }
        self.in_parallel(&single, |_, (number, fault)| self.single(*number, *fault));

        let Some(cuts) = self.cuts_of(&self.old, "") else {
            return;
        };
        self.tried().cuts_tried = cuts.len();
        self.in_parallel(&cuts, |index, (case, cut)| {
            let (possible, tried) = self.states(index, case, cut, self.plan.states_per_cut, true);
            let mut explored = self.tried();
            explored.states_possible += possible;
            explored.states_tried += tried;
        });
        if self.plan.pairs > 0 {
            self.fail_then_cut(effects.len());
            self.fault_in_recovery();
        }
    }

    fn single(&self, number: usize, fault: Fault) {
        let (faults, what) = match fault {
            Fault::Stop => (Faults::stop_at(number), "stop before".into()),
            Fault::Fail(errno) => (Faults::fail_at(number, errno), format!("error {errno} at")),
            Fault::Short(half) => (Faults::short_write_at(number, half), "half of".into()),
            Fault::Torn(half) => (Faults::torn_write_at(number, half), "stop within".into()),
        };
        let mut tried = self.tried();
        match fault {
            Fault::Stop | Fault::Torn(_) => tried.stops_tried += 1,
            Fault::Fail(_) => tried.failures_tried += 1,
            Fault::Short(_) => tried.short_writes_tried += 1,
        }
        drop(tried);
        let outcome = self.disturbed(&self.old, &faults, "", Some((&what, number)));
        if let (Fault::Short(_), Some(Outcome::Failed)) = (fault, outcome) {
            self.fail(&format!(
                "a short write, effect {number}, is taken for a failure"
            ));
        }
    }

    /// Runs the operation on a copy of a tree, and checks. `None` if it panicked.
    fn disturbed(
        &self,
        tree: &Image,
        faults: &Arc<Faults>,
        before: &str,
        fault: Option<(&str, usize)>,
    ) -> Option<Outcome> {
        let folder = scratch();
        tree.write_to(folder.path());
        let in_words = || {
            let Some((what, number)) = fault else {
                return format!("{before}undisturbed");
            };
            let effects = faults.effects();
            let effect = effects
                .get(number)
                .map_or("which there was not", String::as_str);
            let effect = without_root(effect, folder.path());
            format!(
                "{before}{what} effect {number} of {} ({effect})",
                effects.len()
            )
        };
        let done = self.guard(&in_words, || {
            (self.plan.operation)(folder.path(), faults.disk())
        })?;
        let case = Case::new(
            outcome_of(&done),
            format!("{}; {}", in_words(), said(&done)),
        );
        self.check(folder.path(), &case);
        Some(case.outcome())
    }

    /// The moments before each effect of the operation and after it. `None` if it failed.
    fn cuts_of(&self, tree: &Image, before: &str) -> Option<Vec<(Case, Cut)>> {
        let folder = scratch();
        tree.write_to(folder.path());
        let in_words = || format!("{before}undisturbed, to record the moments for power cuts");
        self.guard(&in_words, || {
            let power_cut = PowerCut::recording(folder.path());
            let done = (self.plan.operation)(folder.path(), power_cut.disk());
            assert!(done.is_ok(), "{}", said(&done));
            power_cut.assert_matches_disk();
            let recorded = power_cut.recorded().into_iter().enumerate();
            let mut cuts: Vec<_> = recorded
                .map(|(number, (effect, cut))| {
                    let text = format!("{before}power cut before effect {number} ({effect})");
                    (Case::new(Outcome::Cut, text), cut)
                })
                .collect();
            let text = format!("{before}power cut after the operation had succeeded");
            cuts.push((Case::new(Outcome::Succeeded, text), power_cut.cut()));
            cuts
        })
    }

    /// Checks the states after a power cut. Returns how many are possible and how many were checked.
    fn states(
        &self,
        index: usize,
        case: &Case,
        cut: &Cut,
        at_most: usize,
        may_be_paired: bool,
    ) -> (usize, usize) {
        let mut random = Random::new(self.plan.seed ^ (index as u64).rotate_left(32));
        let states = cut.states(at_most, random.next());
        let mut tried = 0;
        for state in states.states {
            let priority = random.next();
            let is_new = locked(&self.checked).insert((state.digest(), case.must_be_new()));
            if !is_new || self.is_enough() {
                continue;
            }
            tried += 1;
            let folder = scratch();
            state.write_to(folder.path());
            let case = Case::new(case.outcome(), format!("{case}; {}", state.description()));
            self.check(folder.path(), &case);
            if may_be_paired && self.plan.pairs > 0 {
                let mut chosen = locked(&self.for_pairs);
                chosen.insert(priority, (state, case));
                if chosen.len() > self.plan.pairs {
                    chosen.pop_last();
                }
            }
        }
        (states.possible, tried)
    }

    /// A failure, reported or not, and then a power cut.
    fn fail_then_cut(&self, effects: usize) {
        self.in_parallel(&vec![(); effects], |number, ()| {
            let folder = scratch();
            self.old.write_to(folder.path());
            let power_cut = PowerCut::new(folder.path());
            let faults = Faults::fail_at(number, EIO).over(power_cut.clone());
            let in_words = || {
                let effects = faults.effects();
                let effect = effects.get(number).map_or("", String::as_str);
                let effect = without_root(effect, folder.path());
                format!("error {EIO} at effect {number} ({effect})")
            };
            let ended = self.guard(&in_words, || {
                let done = (self.plan.operation)(folder.path(), faults.disk());
                (outcome_of(&done), said(&done), power_cut.cut())
            });
            if let Some((outcome, said, cut)) = ended {
                let case = Case::new(outcome, format!("{}; {said}; then power cut", in_words()));
                let (_, tried) = self.states(number, &case, &cut, STATES_PER_SECOND_CUT, false);
                self.tried().pairs_tried += tried;
            }
        });
    }

    /// A power cut, and then a stop or another power cut in the run that mends it.
    fn fault_in_recovery(&self) {
        let chosen = std::mem::take(&mut *locked(&self.for_pairs));
        let chosen: Vec<_> = chosen.into_values().collect();
        self.in_parallel(&chosen, |index, (state, case)| {
            let faults = Faults::count();
            let before = format!("{case}; then in the recovery: ");
            if self
                .disturbed(state.image(), &faults, &before, None)
                .is_none()
            {
                return;
            }
            for number in 0..faults.effects().len() {
                if self.is_enough() {
                    return;
                }
                let stop = Some(("stop before", number));
                self.disturbed(state.image(), &Faults::stop_at(number), &before, stop);
                self.tried().pairs_tried += 1;
            }
            for (case, cut) in self.cuts_of(state.image(), &before).unwrap_or_default() {
                let (_, tried) = self.states(index, &case, &cut, STATES_PER_SECOND_CUT, false);
                self.tried().pairs_tried += tried;
            }
        });
    }

    fn check(&self, folder: &Path, case: &Case) {
        self.guard(&|| case.to_string(), || (self.plan.check)(folder, case));
    }

    /// Turns a panic into a failure.
    fn guard<T>(&self, in_words: &dyn Fn() -> String, act: impl FnOnce() -> T) -> Option<T> {
        let text = match catch_unwind(AssertUnwindSafe(act)) {
            Ok(value) => return Some(value),
            Err(panic) => panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("a panic without a text")
                .to_owned(),
        };
        self.fail(&format!("{}\n  {text}", in_words()));
        None
    }

    fn fail(&self, text: &str) {
        locked(&self.failures).push(text.to_owned());
    }

    fn is_enough(&self) -> bool {
        locked(&self.failures).len() >= ENOUGH_FAILURES
    }

    fn tried(&self) -> MutexGuard<'_, Explored> {
        locked(&self.tried)
    }

    fn in_parallel<T: Sync>(&self, jobs: &[T], act: impl Fn(usize, &T) + Sync) {
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some((index, job)) = {
                let index = next.fetch_add(1, Ordering::Relaxed);
                jobs.get(index).map(|job| (index, job))
            } {
                if self.is_enough() {
                    break;
                }
                act(index, job);
            }
        };
        thread::scope(|scope| {
            for _ in 1..self.plan.threads.min(jobs.len()) {
                scope.spawn(work);
            }
            work();
        });
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn outcome_of(done: &Result<(), String>) -> Outcome {
    match done {
        Ok(()) => Outcome::Succeeded,
        Err(_) => Outcome::Failed,
    }
}

fn said(done: &Result<(), String>) -> String {
    match done {
        Ok(()) => "it said that it succeeded".into(),
        Err(error) => format!("it said: {error}"),
    }
}

/// How many bytes an effect writes, if it is a write.
fn written(effect: &str) -> Option<usize> {
    effect
        .strip_prefix("write to ")?
        .strip_suffix(" bytes")?
        .rsplit(", ")
        .next()?
        .parse()
        .ok()
}
