//! The candidate is in place: does it work?

use manifest_core::Sha256Digest;
use subprocess::CancellationToken;
use tokio::time::Instant;

use crate::event::Log;
use crate::report::{Step, short};
use crate::run::{Rejected, Work};
use crate::{Error, ErrorKind, Runtime as _, check};

impl Work<'_> {
    /// Checks the candidate that is in place, and restarts the service with it.
    pub(crate) async fn try_out(
        &self,
        log: &mut Log<'_>,
        new: Sha256Digest,
        mut restarted: bool,
        cancel: &CancellationToken,
    ) -> Result<(), Rejected> {
        let trying = self.try_out_until(log, new, &mut restarted, self.deadline());
        let tried = cancel.run_until_cancelled(trying).await;
        let why = match tried {
            Some(Ok(())) => return Ok(()),
            Some(Err(why)) => why,
            None => Error::new(ErrorKind::Cancelled, "cancelled"),
        };
        Err(Rejected { why, restarted })
    }

    async fn try_out_until(
        &self,
        log: &mut Log<'_>,
        new: Sha256Digest,
        restarted: &mut bool,
        deadline: Instant,
    ) -> Result<(), Error> {
        let swap = self.swap;
        let content = self.in_time(deadline, "it could not be hashed", self.require(new));
        log.step(Step::CheckContent, content, |()| Some(short(Some(&new))))
            .await?;
        let mut version_is_open = swap.version.is_some();
        if version_is_open {
            version_is_open = !self.check_version(log, deadline, Late::Later).await?;
        }
        self.restart_and_check(log, restarted, deadline).await?;
        if version_is_open {
            self.check_version(log, deadline, Late::Now).await?;
        }
        Ok(())
    }

    /// Restarts the service, which must stay up and pass its probe.
    pub(crate) async fn restart_and_check(
        &self,
        log: &mut Log<'_>,
        restarted: &mut bool,
        deadline: Instant,
    ) -> Result<(), Error> {
        let swap = self.swap;
        if let Some(runtime) = &swap.runtime {
            *restarted = true;
            let patience = deadline.saturating_duration_since(Instant::now());
            let restarting = runtime.restart(&swap.target, patience);
            let restarting = self.in_time(deadline, "it could not be restarted", restarting);
            log.step(Step::Restart, restarting, |()| None).await?;
        }
        if swap.runtime.is_some() || swap.probe.is_some() {
            let checking = check::service(swap, swap.probe.as_deref(), deadline);
            log.step(Step::CheckService, checking, |()| None).await?;
        }
        Ok(())
    }

    /// Asks the binary for its version. Returns whether it could be asked.
    async fn check_version(
        &self,
        log: &mut Log<'_>,
        deadline: Instant,
        late: Late,
    ) -> Result<bool, Error> {
        let swap = self.swap;
        let Some(version) = &swap.version else {
            return Ok(true);
        };
        let asking = async {
            let target = &swap.target;
            match (&swap.runtime, &swap.container) {
                (Some(runtime), _) => runtime.execute(target, &version.arguments).await,
                (None, Some(container)) => container.execute(target, &version.arguments).await,
                (None, None) => crate::runtime::execute_here(target, &version.arguments).await,
            }
        };
        let asked = async {
            match self
                .in_time(deadline, "it did not say its version", asking)
                .await
            {
                Err(error) if error.kind() == ErrorKind::NotRunning && late == Late::Later => {
                    Ok(None)
                }
                Err(error) => Err(error),
                Ok(executed) => {
                    version.judge(&executed)?;
                    Ok(Some(executed.output.trim().to_owned()))
                }
            }
        };
        let answer = log.step(Step::CheckVersion, asked, |answer| match answer {
            Some(output) => Some(output.lines().next().unwrap_or_default().to_owned()),
            None => Some("it can only be asked when the service runs".into()),
        });
        let answer = answer.await?;
        let is_known = answer.is_some();
        log.report.version = answer;
        Ok(is_known)
    }

    pub(crate) async fn require(&self, digest: Sha256Digest) -> Result<(), Error> {
        match self.place.digest(&self.state).await? {
            Some(found) if found == digest => Ok(()),
            found => {
                let text = format!(
                    "{} has the hash {} after it was replaced, and not {}",
                    self.swap.target.display(),
                    short(found.as_ref()),
                    short(Some(&digest))
                );
                Err(Error::new(ErrorKind::Integrity, text))
            }
        }
    }
}

/// What to do if the binary cannot be asked for its version yet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Late {
    /// Ask when the service runs.
    Later,
    /// It is an error.
    Now,
}
