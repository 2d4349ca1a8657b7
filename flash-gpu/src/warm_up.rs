//! The steps of a warm-up, in order.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::blocking::blocking;
use crate::collect::{Collected, before, collect};
use crate::find::Files;
use crate::record::{About, RECORD, Record};
use crate::script::{Input, memory_used_within, run};
use crate::situation::Situation;
use crate::store::{Store, Work};
use crate::{
    Artifacts, Durations, Error, ErrorKind, Event, FlashGpu, Key, MemoryUse, Outcome, Phase,
    Report, Rerun, kept, prune::prune,
};

/// How long the GPU may take to say how much memory is in use after the script.
const LAST_LOOK: Duration = Duration::from_secs(5);

/// A warm-up that runs, and what is known of it so far.
struct WarmUp {
    flash: FlashGpu,
    situation: Arc<Situation>,
    store: Arc<Store>,
    durations: Durations,
    memory: MemoryUse,
    warnings: Vec<String>,
    cancel: CancellationToken,
}

pub(crate) async fn warm_up(flash: FlashGpu, cancel: CancellationToken) -> Result<Report, Error> {
    let started = Instant::now();
    let situation = flash.situation(&cancel).await?;
    let durations = Durations {
        probe_ms: milliseconds(started.elapsed()),
        ..Durations::default()
    };
    let root = situation.root.clone();
    let store = blocking(move || Store::open(&root)).await?;
    let mut warm_up = WarmUp {
        flash,
        memory: MemoryUse {
            before: situation.gpu.memory_used,
            peak: situation.gpu.memory_used,
            after: None,
        },
        situation: Arc::new(situation),
        store: Arc::new(store),
        durations,
        warnings: Vec::new(),
        cancel,
    };
    if warm_up.situation.stack.driver_version.is_none() {
        warm_up.warn("the driver's version is not known: a new driver is not noticed".into());
    }
    let mut report = if let Some((record, put_back)) = warm_up.look().await? {
        warm_up.already_warm(record, put_back)
    } else {
        let done = warm_up.run().await;
        let store = warm_up.store.clone();
        let cleaned = blocking(move || store.clean()).await;
        let report = done?;
        // The next warm-up cleans up as well.
        if let Err(error) = cleaned {
            warm_up.warn(format!("{error:#}"));
        }
        report
    };
    report.pruned = warm_up.prune().await;
    warm_up.look_for_another_release().await;
    report.warnings = warm_up.warnings;
    report.durations.total_ms = milliseconds(started.elapsed());
    Ok(report)
}

impl WarmUp {
    fn phase(&self, phase: Phase) {
        self.flash.observer.notify(&Event::Phase(phase));
    }

    fn warn(&mut self, text: String) {
        self.flash.observer.notify(&Event::Warning(text.clone()));
        self.warnings.push(text);
    }

    /// What an earlier warm-up kept, if it is whole; what is missing is put back. How many files those were.
    async fn look(&mut self) -> Result<Option<(Record, u64)>, Error> {
        if self.flash.rerun == Rerun::Always {
            return Ok(None);
        }
        self.phase(Phase::CheckingArtifacts);
        let started = Instant::now();
        let (situation, store) = (self.situation.clone(), self.store.clone());
        let (how, policy) = (self.flash.artifact_check, self.flash.link_policy);
        let cancel = self.cancel.clone();
        let looked = blocking(move || {
            let Situation {
                root, wanted, key, ..
            } = &*situation;
            let looked = kept::look(root, &store.dir, key, wanted, how, &cancel)?;
            let record = match looked {
                Ok(record) => record,
                Err(reason) => return Ok(Err(reason)),
            };
            let (count, warnings) =
                kept::put_back(root, &store.dir, wanted, &record, policy, &cancel)?;
            Ok(Ok((record, count, warnings)))
        })
        .await?;
        self.durations.check_ms = milliseconds(started.elapsed());
        match looked {
            Ok((record, count, warnings)) => {
                for warning in warnings {
                    self.warn(warning);
                }
                Ok(Some((record, count)))
            }
            Err(reason) => {
                tracing::info!(reason, "the release is cold");
                Ok(None)
            }
        }
    }

    fn already_warm(&self, record: Record, put_back: u64) -> Report {
        let artifacts = Artifacts {
            count: record.artifacts.len() as u64,
            bytes: record.bytes(),
            ..Artifacts::default()
        };
        Report {
            put_back,
            ..self.report(
                Outcome::AlreadyWarm,
                record.warmed_at,
                artifacts,
                record.output,
                None,
            )
        }
    }

    /// Runs the script and keeps what it leaves.
    async fn run(&mut self) -> Result<Report, Error> {
        let (situation, store) = (self.situation.clone(), self.store.clone());
        let cancel = self.cancel.clone();
        let (before, work) = blocking(move || {
            let Situation {
                root, wanted, key, ..
            } = &*situation;
            let last = Record::read(&store.dir, key).ok();
            let before = before(root, wanted, last.as_ref(), &cancel)?;
            wanted.verify_script(&cancel)?;
            Ok((before, store.begin(&Input::of(&situation))?))
        })
        .await?;
        self.phase(Phase::RunningScript);
        let ran = run(
            &self.flash,
            &self.situation,
            &self.store,
            &work,
            &self.cancel,
        )
        .await?;
        self.durations.script_ms = milliseconds(ran.took);
        let (probe, gpu) = (&*self.flash.probe, &self.situation.gpu);
        self.memory.after = memory_used_within(LAST_LOOK, probe, gpu, &self.cancel).await?;
        let seen = [self.memory.before, ran.peak, self.memory.after];
        self.memory.peak = seen.into_iter().max().flatten();

        self.phase(Phase::Collecting);
        let started = Instant::now();
        let (log, not_written) = match ran.log {
            Ok(log) => (Some(log), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        let (took, output) = (ran.took, ran.output);
        let kept = self.keep(before, work, took, output).await;
        let (record, collected) = kept.map_err(|error| {
            if error.kind() == ErrorKind::NoArtifacts {
                return error.with_log(ran.tail, log.clone());
            }
            error
        })?;
        self.durations.collect_ms = milliseconds(started.elapsed());
        for warning in not_written.into_iter().chain(collected.warnings) {
            self.warn(warning);
        }
        Ok(self.report(
            Outcome::WarmedUp,
            record.warmed_at,
            collected.counts,
            record.output,
            log,
        ))
    }

    async fn keep(
        &self,
        before: Files,
        work: Work,
        took: Duration,
        output: Map<String, Value>,
    ) -> Result<(Record, Collected), Error> {
        let (situation, store) = (self.situation.clone(), self.store.clone());
        let (policy, cancel) = (self.flash.link_policy, self.cancel.clone());
        let now = (self.flash.clock)();
        blocking(move || {
            let Situation { root, wanted, .. } = &*situation;
            let mut collected = collect(root, wanted, &before, &work.kept, policy, &cancel)?;
            let about = About {
                key: &situation.key,
                manifest: wanted.manifest(),
                gpu: &situation.gpu,
                stack: &situation.stack,
                python_version: &situation.python.version,
                script_ms: milliseconds(took),
                now,
            };
            let artifacts = std::mem::take(&mut collected.artifacts);
            let record = Record::new(&about, artifacts, output);
            work.write(RECORD, &record)?;
            if cancel.is_cancelled() {
                return Err(Error::cancelled());
            }
            store.publish(&work, &situation.key)?;
            Ok((record, collected))
        })
        .await
    }

    /// What cannot be deleted is no failure of a warm-up that is done.
    async fn prune(&mut self) -> Vec<Key> {
        self.phase(Phase::Pruning);
        let (flash, situation, store) = (
            self.flash.clone(),
            self.situation.clone(),
            self.store.clone(),
        );
        let (pruned, warnings) = blocking(move || prune(&flash, &situation, &store))
            .await
            .unwrap_or_else(|error| (Vec::new(), vec![format!("{error:#}")]));
        for warning in warnings {
            self.warn(warning);
        }
        pruned
    }

    /// The installation is not locked while the script runs: an update need not wait for it.
    async fn look_for_another_release(&mut self) {
        let ours = self.situation.wanted.manifest().manifest_hash();
        match self.flash.active().await {
            Ok((_, release)) if release.manifest().manifest_hash() != ours => {
                let version = release.version().clone();
                self.warn(format!(
                    "release {version} has become active meanwhile, and is not warmed up"
                ));
            }
            _ => {}
        }
    }

    fn report(
        &self,
        outcome: Outcome,
        warmed_at: String,
        artifacts: Artifacts,
        output: Map<String, Value>,
        log: Option<PathBuf>,
    ) -> Report {
        let situation = &self.situation;
        let manifest = situation.wanted.manifest();
        Report {
            outcome,
            tool_id: manifest.tool_id().clone(),
            tool_version: manifest.tool_version().clone(),
            manifest_hash: manifest.manifest_hash(),
            key: situation.key.clone(),
            warmed_at,
            gpu: situation.gpu.clone(),
            source: situation.stack.source.clone(),
            driver_version: situation.stack.driver_version.clone(),
            cuda_version: situation.stack.cuda_version.clone(),
            python: situation.python.clone(),
            durations: self.durations,
            memory: self.memory,
            artifacts,
            put_back: 0,
            pruned: Vec::new(),
            warnings: Vec::new(),
            log,
            output,
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
