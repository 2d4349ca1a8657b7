//! A minimum rate instead of a total time limit.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::{Error, ErrorKind};

/// How slow a source may be: by default, not slower than 1,024 bytes per second over 30 s. Only time spent waiting for the source counts: waiting for the disk does not, nor do waits between
/// attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StallPolicy {
    bytes_per_second: u64,
    window: Duration,
}

impl Default for StallPolicy {
    fn default() -> Self {
        Self {
            bytes_per_second: 1024,
            window: Duration::from_secs(30),
        }
    }
}

impl StallPolicy {
    /// At least this many bytes per second on average, over each `window` of waiting. An answer that has not begun by the end of the
    /// first window is stalled too.
    #[must_use]
    pub fn new(bytes_per_second: u64, window: Duration) -> Self {
        Self {
            bytes_per_second,
            window,
        }
    }

    fn least(&self) -> u128 {
        (u128::from(self.bytes_per_second) * self.window.as_millis() / 1000).max(1)
    }
}

/// Watches one attempt.
#[derive(Debug)]
pub(crate) struct Watch {
    policy: StallPolicy,
    waited: Duration,
    bytes: u128,
}

impl Watch {
    pub(crate) fn new(policy: StallPolicy) -> Self {
        Self {
            policy,
            waited: Duration::ZERO,
            bytes: 0,
        }
    }

    /// Counts what has come.
    pub(crate) fn received(&mut self, bytes: u64) {
        self.bytes += u128::from(bytes);
    }

    /// Waits for the source, but no longer than the minimum rate allows.
    pub(crate) async fn wait<F: Future>(&mut self, future: F) -> Result<F::Output, Error> {
        let mut future = std::pin::pin!(future);
        loop {
            let started = Instant::now();
            let left = self.policy.window.saturating_sub(self.waited);
            let outcome = timeout(left, &mut future).await;
            self.waited += started.elapsed();
            if let Ok(output) = outcome {
                return Ok(output);
            }
            if self.bytes < self.policy.least() {
                let message = format!(
                    "{} bytes in {} s of waiting are less than the minimum of {} bytes per second",
                    self.bytes,
                    self.waited.as_secs_f32(),
                    self.policy.bytes_per_second,
                );
                return Err(Error::new(ErrorKind::Stalled, message));
            }
            self.bytes = 0;
            self.waited = Duration::ZERO;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::sleep;

    use super::*;

    fn watch() -> Watch {
        Watch::new(StallPolicy::new(10, Duration::from_secs(10)))
    }

    #[tokio::test(start_paused = true)]
    async fn c40_silence_ends_with_the_window() {
        let started = Instant::now();
        let error = watch().wait(pending::<()>()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stalled);
        assert!(error.is_temporary());
        assert_eq!(started.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn c40_a_trickle_below_the_rate_is_a_stall() {
        let mut watch = watch();
        let mut seconds = 0;
        while watch.wait(sleep(Duration::from_secs(1))).await.is_ok() {
            watch.received(9);
            seconds += 1;
            assert!(seconds < 100);
        }
        assert!((9..=10).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_above_the_minimum_goes_on_for_ever() {
        let mut watch = watch();
        for _ in 0..1000 {
            watch.wait(sleep(Duration::from_secs(1))).await.unwrap();
            watch.received(11);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_between_the_waits_does_not_count() {
        let mut watch = watch();
        for _ in 0..100 {
            sleep(Duration::from_secs(1000)).await; // the disk
            watch.wait(ready(())).await.unwrap();
        }
    }
}
