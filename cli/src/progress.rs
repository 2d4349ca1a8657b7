//! Progress bars on stderr, if that is a terminal: one for the bytes to fetch, one for the bytes to hash.

use std::collections::HashSet;
use std::io::{self, IsTerminal as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use updater::Event;

use crate::output;

static BARS: LazyLock<MultiProgress> = LazyLock::new(|| {
    MultiProgress::with_draw_target(if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    })
});

/// Runs something that writes to the terminal while no bar is in the way.
pub(crate) fn aside<T>(write: impl FnOnce() -> T) -> T {
    BARS.suspend(write)
}

/// Hears the events of an updater. Bars appear with the first byte, and vanish on drop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    fetching: OnceLock<ProgressBar>,
    hashing: OnceLock<ProgressBar>,
    /// Bytes that will be hashed; 0 while that is not known.
    to_hash: AtomicU64,
    is_planned: AtomicBool,
    warnings: Mutex<Vec<String>>,
    waiting_for: Mutex<HashSet<String>>,
}

impl Progress {
    pub(crate) fn observer(&self) -> impl Fn(&Event) + Send + Sync + 'static {
        let inner = self.0.clone();
        move |event| inner.hear(event)
    }

    /// Says how much is going to be hashed, unless a plan says it better.
    pub(crate) fn expect_hashing(&self, bytes: u64) {
        self.0.to_hash.store(bytes, Ordering::Relaxed);
    }

    /// Takes the bars off the screen.
    pub(crate) fn clear(&self) {
        for bar in [&self.0.fetching, &self.0.hashing] {
            if let Some(bar) = bar.get() {
                bar.finish_and_clear();
            }
        }
    }

    /// What was warned of, each once: these, and those of a report.
    pub(crate) fn warnings(&self, of_report: &[String]) -> Vec<String> {
        let mut warnings = self
            .0
            .warnings
            .lock()
            .map_or_else(|_| Vec::new(), |heard| heard.clone());
        for warning in of_report {
            if !warnings.contains(warning) {
                warnings.push(warning.clone());
            }
        }
        warnings
    }
}

impl Inner {
    fn hear(&self, event: &Event) {
        match event {
            Event::Planned(plan) => {
                self.is_planned.store(true, Ordering::Relaxed);
                self.to_hash.store(plan.bytes_saved, Ordering::Relaxed);
                if plan.bytes_to_download > 0 {
                    self.fetching().set_length(plan.bytes_to_download);
                }
            }
            Event::DownloadStarted { size, .. } if !self.is_planned.load(Ordering::Relaxed) => {
                self.fetching().inc_length(*size);
            }
            Event::DownloadAdvanced {
                received, resumed, ..
            } => {
                self.fetching().inc(received + resumed);
            }
            Event::DownloadSetBack { bytes, .. } => self.fetching().dec(*bytes),
            Event::BytesVerified(bytes) => self.hashing().inc(*bytes),
            Event::DownloadWaiting { reason, wait, .. } => self.say_once(reason, *wait),
            Event::Warning(text) => {
                if let Ok(mut warnings) = self.warnings.lock()
                    && !warnings.contains(text)
                {
                    warnings.push(text.clone());
                }
            }
            _ => {}
        }
    }

    /// Silence looks like a program that hangs; eight files that wait for one server are one message.
    fn say_once(&self, reason: &str, wait: Duration) {
        if let Ok(mut said) = self.waiting_for.lock()
            && said.insert(reason.to_owned())
        {
            let seconds = wait.as_secs_f32();
            tracing::warn!("{reason}; trying again in {seconds:.1} s");
        }
    }

    fn fetching(&self) -> &ProgressBar {
        self.fetching.get_or_init(|| BARS.add(bar("fetching", 0)))
    }

    fn hashing(&self) -> &ProgressBar {
        self.hashing
            .get_or_init(|| match self.to_hash.load(Ordering::Relaxed) {
                0 => BARS.add(counter("hashing")),
                bytes => BARS.add(bar("hashing", bytes)),
            })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for bar in [&self.fetching, &self.hashing] {
            if let Some(bar) = bar.get() {
                bar.finish_and_clear();
            }
        }
    }
}

fn bar(name: &'static str, length: u64) -> ProgressBar {
    let style =
        "{prefix:8} [{wide_bar}] {bytes:>10} of {total_bytes:10} {bytes_per_sec:>12}  {eta} left";
    hidden(style, name, Some(length))
}

fn counter(name: &'static str) -> ProgressBar {
    hidden("{prefix:8} {bytes:>10} {bytes_per_sec:>12}", name, None)
}

/// A bar that is drawn once it is among [`BARS`].
fn hidden(template: &str, name: &'static str, length: Option<u64>) -> ProgressBar {
    let style = ProgressStyle::with_template(template)
        .expect("the templates are constants that indicatif can read")
        .progress_chars("=> ");
    ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden())
        .with_style(style)
        .with_prefix(name)
}

/// Says that something is going on of which no progress is known, until it is dropped.
#[must_use]
pub(crate) struct Busy(ProgressBar);

pub(crate) fn busy(what: &str) -> Busy {
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}")
        .expect("the template is a constant that indicatif can read");
    let bar = BARS.add(
        ProgressBar::new_spinner()
            .with_style(style)
            .with_message(output::clean(what)),
    );
    bar.enable_steady_tick(Duration::from_millis(100));
    Busy(bar)
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
