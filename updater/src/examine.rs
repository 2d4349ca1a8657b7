//! What is wrong with the installation, and mending what can be mended without asking.

use activation::{Installation, Remedy, Severity, Symptom};
use manifest_core::ReleaseVersion;
use tokio_util::sync::CancellationToken;

use crate::blocking::{blocking, to_its_end};
use crate::error::During as _;
use crate::{Error, ErrorKind, Phase, Updater};

/// What [`Updater::examine`] found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Diagnosis {
    /// What is wrong, the worst first.
    pub symptoms: Vec<Symptom>,
}

impl Diagnosis {
    /// Whether there is at most something to know: no error, and no warning.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.count(Severity::Error) + self.count(Severity::Warning) == 0
    }

    /// How many symptoms are so bad.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        let same = |symptom: &&Symptom| symptom.severity == severity;
        self.symptoms.iter().filter(same).count()
    }

    fn has(&self, remedy: &Remedy) -> bool {
        let mut remedies = self.symptoms.iter().map(|symptom| &symptom.remedy);
        remedies.any(|found| found == remedy)
    }
}

/// What [`Updater::fix`] did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FixReport {
    /// What was done, one sentence each; empty if nothing could be mended without asking.
    pub done: Vec<String>,
    /// What was tried and failed, with the reason, one sentence each.
    pub failed: Vec<String>,
    /// What was wrong before, and is not any more.
    pub fixed: Vec<Symptom>,
    /// What there still is: for a person, or since mending it failed.
    pub remaining: Diagnosis,
    /// The user's files that were moved aside, where they are now.
    pub kept: Vec<String>,
}

/// One remedy, done by this.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Reopen,
    Repair,
    Retire(ReleaseVersion),
}

impl Updater {
    /// Finds out what is wrong with the installation, why, and what would mend it. Hashes every file of
    /// every release. Reads only, and needs no lock.
    ///
    /// # Errors
    /// [`ErrorKind::NoInstallation`] if there is no such folder, `Cancelled`. Whatever else cannot be read
    /// is a symptom.
    ///
    /// # Cancel safety
    /// Dropping the future stops the hashing within one piece of a file.
    pub async fn examine(&self, cancel: &CancellationToken) -> Result<Diagnosis, Error> {
        let stop = cancel.child_token();
        let _gone = stop.clone().drop_guard();
        self.begin().diagnose(&stop).await
    }

    async fn diagnose(&self, stop: &CancellationToken) -> Result<Diagnosis, Error> {
        let (updater, watch) = (self.clone(), self.hashing(stop));
        blocking(move || {
            let installation: Installation = updater
                .installation()?
                .ok_or_else(|| updater.nothing_installed())?;
            updater.phase(Phase::Verifying);
            // What cannot be read is a symptom, and is found below.
            let versions = installation.releases().unwrap_or_default();
            let releases = versions
                .iter()
                .filter_map(|version| installation.release(version).ok()?);
            let to_hash = releases
                .map(|release| release.manifest().total_size())
                .sum();
            updater.settings().observer.expect_hashing(to_hash);
            let symptoms = installation
                .examine(&watch)
                .during(|| format!("cannot examine {}", updater.root().display()))?;
            Ok(Diagnosis { symptoms })
        })
        .await
    }

    /// Does what the automatic remedies of [`examine`](Self::examine) say, each once: opens a session, which
    /// finishes what a crash left; repairs the active release; deletes inactive releases without a usable
    /// manifest. Then looks again.
    ///
    /// What may be the user's is never deleted, but moved to `.lockstep/kept/`; what waits for somebody's
    /// confirmation keeps waiting. A remedy that fails is in the report, and stops no other.
    ///
    /// # Errors
    /// [`ErrorKind::NoInstallation`], [`ErrorKind::Busy`] if another process is changing the installation,
    /// `Cancelled`.
    ///
    /// # Cancel safety
    /// As [`apply`](Self::apply). What was mended by then stays mended.
    pub async fn fix(&self, cancel: &CancellationToken) -> Result<FixReport, Error> {
        let updater = self.begin();
        let work = |stop| async move { updater.mend_what_can_be(&stop).await };
        to_its_end(cancel, work).await
    }

    async fn mend_what_can_be(&self, stop: &CancellationToken) -> Result<FixReport, Error> {
        let before = self.diagnose(stop).await?;
        let mut tried = Vec::new();
        let mut report = FixReport {
            done: Vec::new(),
            failed: Vec::new(),
            fixed: Vec::new(),
            remaining: before.clone(),
            kept: Vec::new(),
        };
        // One step may bring the next to light: a recovered release, or kept files.
        while let Some(step) = next_step(&report.remaining, &tried) {
            tried.push(step.clone());
            match self.take(&step, &mut report, stop).await {
                Err(error) if matches!(error.kind(), ErrorKind::Busy | ErrorKind::Cancelled) => {
                    return Err(error);
                }
                Err(error) => report.failed.push(format!("{error:#}")),
                Ok(()) => {}
            }
            report.remaining = self.diagnose(stop).await?;
        }
        let symptoms = before.symptoms.into_iter();
        report.fixed = symptoms
            .filter(|symptom| !report.remaining.symptoms.contains(symptom))
            .collect();
        Ok(report)
    }

    async fn take(
        &self,
        step: &Step,
        report: &mut FixReport,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let updater = self.clone();
        match step {
            Step::Reopen => {
                let recovered = blocking(move || {
                    let session = updater.lock()?;
                    Ok(session.recovered().cloned())
                });
                report.done.push(match recovered.await? {
                    Some(version) => format!(
                        "finished what was left behind; release {version}, the newest intact one, is active now"
                    ),
                    None => "finished what was left behind".to_owned(),
                });
            }
            Step::Repair => {
                let repaired = self.repair_active(cancel).await?;
                report.done.push(format!(
                    "repaired {} of release {}, {} bytes fetched",
                    files(repaired.repaired.len()),
                    repaired.version,
                    repaired.bytes_downloaded
                ));
            }
            Step::Retire(version) => {
                let wanted = version.clone();
                let retired = blocking(move || {
                    let session = updater.lock()?;
                    let now = (updater.settings().clock)();
                    session
                        .retire_unusable(&wanted, now)
                        .during(|| format!("cannot delete release {wanted}"))
                });
                if let Some(retired) = retired.await? {
                    let text = format!(
                        "deleted release {version}; {} that may be yours kept",
                        files(retired.kept.len())
                    );
                    report.done.push(text);
                    report.kept.extend(retired.kept);
                }
            }
        }
        Ok(())
    }
}

fn next_step(found: &Diagnosis, tried: &[Step]) -> Option<Step> {
    let reopen = found.has(&Remedy::Reopen).then_some(Step::Reopen);
    let repair = found.has(&Remedy::Repair).then_some(Step::Repair);
    let retire = found
        .symptoms
        .iter()
        .filter_map(|found| match &found.remedy {
            Remedy::Retire(version) => Some(Step::Retire(version.clone())),
            _ => None,
        });
    let mut steps = reopen.into_iter().chain(repair).chain(retire);
    steps.find(|step| !tried.contains(step))
}

fn files(count: usize) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} file{plural}")
}
