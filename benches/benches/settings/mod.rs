//! How long each bench takes: a ratio within some percent is wanted, and all of them within minutes.

use std::time::Duration;

use criterion::Criterion;

/// Ten samples in about a second; `-- --sample-size 100 --measurement-time 10` takes more.
pub(crate) fn brief() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .nresamples(10_000)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}
