//! When to try again.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// How often and how patiently a file is tried again. Waits grow exponentially and are cut to a random part ("full jitter"), so
/// that a fleet does not come back in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    attempts: u32,
    total: u32,
    base: Duration,
    longest: Duration,
    longest_retry_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 8,
            total: 1000,
            base: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            longest_retry_after: Duration::from_mins(2),
        }
    }
}

impl RetryPolicy {
    /// 8 attempts per source without progress, 1,000 in total; waits up to 0.5 s, 1 s, 2 s … 30 s; `Retry-After` up to 120 s.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No second attempt at any source.
    #[must_use]
    pub fn never() -> Self {
        Self::default().with_attempts(1)
    }

    /// How many attempts in a row one source gets without any new byte of the file. One at least.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// How many retries a file gets in all, with progress or without.
    #[must_use]
    pub fn with_total(mut self, total: u32) -> Self {
        self.total = total;
        self
    }

    /// The longest first wait; it doubles with each failure.
    #[must_use]
    pub fn with_base(mut self, base: Duration) -> Self {
        self.base = base;
        self
    }

    /// The longest wait of all.
    #[must_use]
    pub fn with_longest(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// How much of a server's `Retry-After` is honoured.
    #[must_use]
    pub fn with_longest_retry_after(mut self, longest: Duration) -> Self {
        self.longest_retry_after = longest;
        self
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(crate) fn total(&self) -> u32 {
        self.total
    }

    /// How long to wait after this many failures in a row.
    pub(crate) fn wait(
        &self,
        failures: u32,
        retry_after: Option<Duration>,
        jitter: &dyn Jitter,
    ) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let upper = self.base.saturating_mul(1 << doublings).min(self.longest);
        let asked = retry_after
            .unwrap_or_default()
            .min(self.longest_retry_after);
        asked + jitter.pick(upper).min(upper)
    }
}

/// Where the randomness of waits comes from; a test passes its own.
pub trait Jitter: Send + Sync + fmt::Debug {
    /// A duration between zero and `upper`.
    fn pick(&self, upper: Duration) -> Duration;
}

/// Evenly distributed waits. Good enough to spread load, not for secrets.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomJitter;

impl Jitter for RandomJitter {
    fn pick(&self, upper: Duration) -> Duration {
        // Each `RandomState` has other keys: a random number without a dependency.
        let random = RandomState::new().hash_one(0_u8) >> 32;
        let nanos = (upper.as_nanos().min(u128::from(u64::MAX)) * u128::from(random)) >> 32;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct All;

    impl Jitter for All {
        fn pick(&self, upper: Duration) -> Duration {
            upper
        }
    }

    #[test]
    fn c41_waits_grow_up_to_their_limit() {
        let policy = RetryPolicy::new();
        let wait = |failures| policy.wait(failures, None, &All).as_millis();
        assert_eq!(
            [1, 2, 3, 6, 7, 8, 1_000_000].map(wait),
            [500, 1000, 2000, 16_000, 30_000, 30_000, 30_000]
        );
    }

    #[test]
    fn c41_retry_after_is_honoured_and_capped() {
        let policy = RetryPolicy::new();
        let wait = |seconds| {
            policy
                .wait(1, Some(Duration::from_secs(seconds)), &All)
                .as_millis()
        };
        assert_eq!(wait(7), 7500);
        assert_eq!(wait(1_000_000_000), 120_500);
        assert_eq!(wait(u64::MAX), 120_500);
    }

    #[test]
    fn jitter_spreads_over_the_whole_range_and_never_beyond() {
        let upper = Duration::from_secs(8);
        let picks: Vec<_> = (0..1000).map(|_| RandomJitter.pick(upper)).collect();
        assert!(picks.iter().all(|pick| *pick <= upper));
        assert!(picks.iter().any(|pick| *pick < upper / 4));
        assert!(picks.iter().any(|pick| *pick > upper * 3 / 4));
        assert_eq!(RandomJitter.pick(Duration::ZERO), Duration::ZERO);
    }
}
