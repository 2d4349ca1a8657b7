//! The steps of a plan, as many beside each other as may be.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use downloader::ProgressSink;
use durable_fs::Dir;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::Semaphore;

use super::failures::all_of;
use super::{Outcome, Realized};
use crate::comfy::Event;
use crate::plan::{Action, Facts, Missing, Plan, Step};
use crate::state::HomeState;
use crate::{CancellationToken, Error, ErrorKind, Lock, ModelStore};

/// How many repositories are fetched at a time.
const FETCHES: usize = 16;

/// What steps work on.
pub(super) struct Run<'a> {
    pub(super) facts: &'a Facts<'a>,
    pub(super) home: Dir,
    pub(super) models: ModelStore,
    pub(super) cancel: CancellationToken,
    pub(super) lock: Mutex<Lock>,
    pub(super) fetches: Semaphore,
    pub(super) bytes: Bytes<'a>,
    state: Mutex<HomeState>,
    kept: Mutex<Vec<String>>,
    warnings: Mutex<Vec<String>>,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a step ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    /// Without the network it cannot be done.
    Missing,
}

pub(super) async fn run(
    facts: &Facts<'_>,
    plan: Plan,
    home: Dir,
    cancel: &CancellationToken,
) -> Result<Realized, Error> {
    let state = if let Some(state) = HomeState::load(&home)? {
        state
    } else {
        // From here on the home is ours.
        let state = HomeState::new(facts.spec.version_id.clone());
        state.save(&home)?;
        state
    };
    let (download, _) = plan.download();
    let run = Run {
        facts,
        home,
        models: facts.inner.model_store(facts.spec),
        cancel: cancel.child_token(),
        lock: Mutex::new(facts.lock.clone()),
        fetches: Semaphore::new(FETCHES),
        bytes: Bytes::new(facts, download),
        state: Mutex::new(state),
        kept: Mutex::new(Vec::new()),
        warnings: Mutex::new(plan.warnings.clone()),
    };
    let steps = plan.steps.len();
    facts.inner.hear(&Event::Planned { steps, download });
    let missing = run.all(&plan).await?;
    run.finish(missing, steps)
}

impl Run<'_> {
    async fn all(&self, plan: &Plan) -> Result<Vec<Missing>, Error> {
        let mut missing = plan.missing.clone();
        for missing in &missing {
            self.facts.inner.hear(&Event::Missing(missing.clone()));
        }
        let mut ends: Vec<Option<End>> = vec![None; plan.steps.len()];
        let mut started = vec![false; plan.steps.len()];
        let mut failures = Vec::new();
        let mut running = FuturesUnordered::new();
        loop {
            let mut is_settled = false;
            while !is_settled && failures.is_empty() && !self.cancel.is_cancelled() {
                is_settled = true;
                for (index, step) in plan.steps.iter().enumerate() {
                    let is_ready = step.after.iter().all(|needed| ends[*needed].is_some());
                    if started[index] || !is_ready {
                        continue;
                    }
                    started[index] = true;
                    is_settled = false;
                    // What it needs was told of.
                    if step
                        .after
                        .iter()
                        .any(|needed| ends[*needed] == Some(End::Missing))
                    {
                        ends[index] = Some(End::Missing);
                        continue;
                    }
                    running.push(async move { (index, self.step(step).await) });
                }
            }
            match running.next().await {
                None => break,
                Some((index, Ok(()))) => ends[index] = Some(End::Done),
                Some((index, Err(error))) if self.is_missing(&error) => {
                    let pointer = error.pointer().unwrap_or_default();
                    let found = Missing::new(pointer, error.message());
                    self.facts.inner.hear(&Event::Missing(found.clone()));
                    missing.push(found);
                    ends[index] = Some(End::Missing);
                }
                Some((index, Err(error))) => {
                    failures.push((index, error));
                    self.cancel.cancel();
                }
            }
        }
        // In the order of the spec, whichever came first.
        failures.sort_by_key(|(index, _)| *index);
        let mut failures: Vec<Error> = failures.into_iter().map(|(_, error)| error).collect();
        if failures.is_empty() && self.cancel.is_cancelled() {
            failures.push(Error::cancelled());
        }
        match all_of(failures) {
            Some(error) => Err(error),
            None => Ok(missing),
        }
    }

    fn is_missing(&self, error: &Error) -> bool {
        error.kind() == ErrorKind::Offline && self.facts.inner.is_offline(self.facts.spec)
    }

    async fn step(&self, step: &Step) -> Result<(), Error> {
        self.facts.inner.hear(&Event::Started(step.clone()));
        match &step.action {
            Action::FetchComfy { into, .. } => self.fetch_comfy(into).await,
            Action::FetchNode { name, into, .. } => self.fetch_node(name, into).await,
            Action::BringComfy { .. } => self.bring().await,
            Action::LinkNode { name, target } => self.link(name, target).await,
            Action::UnlinkNode { name } => self.unlink(name).await,
            Action::LockPython { .. } => self.lock_python().await,
            Action::SyncPython { venv, .. } => self.sync_python(venv).await,
            Action::RunInstaller { name, .. } => self.run_installer(name).await,
            Action::FetchModel { index, .. } | Action::PlaceModel { index, .. } => {
                self.model(*index).await
            }
            Action::WriteModelPaths { .. } => self.write_model_paths().await,
        }?;
        self.facts.inner.hear(&Event::Finished(step.clone()));
        Ok(())
    }

    /// Changes what is known of the home, durably.
    pub(super) fn record(&self, change: impl FnOnce(&mut HomeState)) -> Result<(), Error> {
        let mut state = locked(&self.state);
        let mut changed = state.clone();
        change(&mut changed);
        if changed != *state {
            changed.save(&self.home)?;
            *state = changed;
        }
        Ok(())
    }

    pub(super) fn state(&self) -> HomeState {
        locked(&self.state).clone()
    }

    pub(super) fn warn(&self, text: String) {
        self.facts.inner.hear(&Event::Warning(text.clone()));
        let mut warnings = locked(&self.warnings);
        if !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    pub(super) fn keep(&self, paths: Vec<String>) {
        for path in &paths {
            self.warn(format!(
                "what was changed by hand is kept as {}",
                self.home.path().join(path).display()
            ));
        }
        locked(&self.kept).extend(paths);
    }

    fn finish(self, missing: Vec<Missing>, steps: usize) -> Result<Realized, Error> {
        self.record(|state| state.version_id = self.facts.spec.version_id.clone())?;
        let mut lock = self
            .lock
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        // In the order of the spec, whichever came first.
        let place = |source: &str| {
            self.facts
                .spec
                .models
                .iter()
                .position(|entry| entry.source.to_string() == source)
        };
        lock.models.sort_by_key(|model| place(&model.source));
        // Also if nothing is new in it: who deleted the version while this waited for the home deleted its lock.
        self.facts.inner.locks().save(&lock)?;
        Ok(Realized {
            outcome: if missing.is_empty() {
                Outcome::Complete
            } else {
                Outcome::Partial
            },
            steps,
            downloaded: self.bytes.received.load(Ordering::Relaxed),
            lock,
            missing,
            kept: self
                .kept
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner),
            warnings: self
                .warnings
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner),
        })
    }
}

/// The bytes of all models.
pub(super) struct Bytes<'a> {
    facts: &'a Facts<'a>,
    expected: u64,
    /// From sources, in this run.
    received: AtomicU64,
    /// That are there.
    present: AtomicU64,
}

impl<'a> Bytes<'a> {
    fn new(facts: &'a Facts<'a>, expected: u64) -> Self {
        Self {
            facts,
            expected,
            received: AtomicU64::new(0),
            present: AtomicU64::new(0),
        }
    }

    fn tell(&self, present: u64) {
        let expected = self.expected.max(present);
        self.facts.inner.hear(&Event::Bytes {
            received: present,
            expected,
        });
    }
}

impl std::fmt::Debug for Bytes<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Bytes")
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}

impl ProgressSink for Bytes<'_> {
    fn resumed(&self, bytes: u64) {
        self.tell(self.present.fetch_add(bytes, Ordering::Relaxed) + bytes);
    }

    fn received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
        self.tell(self.present.fetch_add(bytes, Ordering::Relaxed) + bytes);
    }

    fn discarded(&self, bytes: u64) {
        self.tell(
            self.present
                .fetch_sub(bytes, Ordering::Relaxed)
                .saturating_sub(bytes),
        );
    }

    fn waiting(&self, error: &downloader::Error, wait: Duration) {
        self.facts.inner.hear(&Event::Waiting(format!(
            "{error}; trying again in {:.1} s",
            wait.as_secs_f32()
        )));
    }
}
