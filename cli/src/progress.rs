//! Progress bars on stderr, if that is a terminal: one for the bytes to fetch, one for the bytes to hash.

use std::collections::HashSet;
use std::io::{self, IsTerminal as _};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use updater::{CancellationToken, Event};

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

/// Hears the events of an updater. Bars appear once there is something to do, and vanish on drop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    fetching: OnceLock<ProgressBar>,
    hashing: OnceLock<ProgressBar>,
    warnings: Mutex<Vec<String>>,
    waiting_for: Mutex<HashSet<String>>,
}

impl Progress {
    pub(crate) fn observer(&self) -> impl Fn(&Event) + Send + Sync + 'static {
        let inner = self.0.clone();
        move |event| inner.hear(event)
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

/// Hears the events of versions of ComfyUI: one bar for the bytes of models, and a line for each step that begins.
#[derive(Clone, Debug, Default)]
pub(crate) struct ComfyProgress(Arc<Inner>);

impl ComfyProgress {
    pub(crate) fn observer(&self) -> impl Fn(&version_spec::Event) + Send + Sync + 'static {
        use version_spec::Event;

        let inner = self.0.clone();
        move |event| match event {
            Event::Bytes {
                received, expected, ..
            } => show(&inner.fetching, "fetching", *received, *expected),
            // On a terminal people wait for it; elsewhere it is for whoever asks by --verbose.
            Event::Started(step) if io::stderr().is_terminal() => {
                crate::output::note(&format!("{step} …"));
            }
            Event::Started(step) => tracing::info!("{step}"),
            Event::Waiting(reason) => inner.say_waiting(reason),
            _ => {}
        }
    }

    /// Takes the bar off the screen.
    pub(crate) fn clear(&self) {
        if let Some(bar) = self.0.fetching.get() {
            bar.finish_and_clear();
        }
    }
}

impl Inner {
    fn say_waiting(&self, reason: &str) {
        if let Ok(mut said) = self.waiting_for.lock()
            && said.insert(reason.to_owned())
        {
            tracing::warn!("{reason}");
        }
    }

    fn hear(&self, event: &Event) {
        match event {
            Event::Progress(progress) => {
                show(
                    &self.fetching,
                    "fetching",
                    progress.bytes_fetched,
                    progress.bytes_to_fetch,
                );
                show(
                    &self.hashing,
                    "hashing",
                    progress.bytes_verified,
                    progress.bytes_to_verify,
                );
            }
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
}

/// A bar appears when there is something for it to show.
fn show(bar: &OnceLock<ProgressBar>, name: &'static str, position: u64, length: u64) {
    if length > 0 {
        let bar = bar.get_or_init(|| BARS.add(hidden(name)));
        bar.set_length(length);
        bar.set_position(position);
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

/// A bar that is drawn once it is among [`BARS`].
fn hidden(name: &'static str) -> ProgressBar {
    let template =
        "{prefix:8} [{wide_bar}] {bytes:>10} of {total_bytes:10} {bytes_per_sec:>12}  {eta} left";
    let style = ProgressStyle::with_template(template)
        .expect("the template is a constant that indicatif can read")
        .progress_chars("=> ");
    ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden())
        .with_style(style)
        .with_prefix(name)
}

/// Hears how far the reading of a folder is, and stops it when the token says so. The bar appears with the
/// first byte, and vanishes on drop.
#[derive(Debug)]
pub(crate) struct FolderProgress<'c> {
    what: &'static str,
    cancel: &'c CancellationToken,
    to_read: AtomicU64,
    read: AtomicU64,
    bar: OnceLock<ProgressBar>,
}

impl<'c> FolderProgress<'c> {
    pub(crate) fn new(what: &'static str, cancel: &'c CancellationToken) -> Self {
        Self {
            what,
            cancel,
            to_read: AtomicU64::new(0),
            read: AtomicU64::new(0),
            bar: OnceLock::new(),
        }
    }

    pub(crate) fn hear(&self, progress: manifest_core::ScanProgress) -> ControlFlow<()> {
        match progress {
            manifest_core::ScanProgress::Found { bytes, .. } => self.expect(bytes),
            manifest_core::ScanProgress::Hashed(bytes) => self.advance(bytes),
            _ => {}
        }
        self.go_on()
    }

    /// There are so many more bytes to read.
    pub(crate) fn expect(&self, bytes: u64) {
        self.to_read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many more bytes were read.
    pub(crate) fn advance(&self, bytes: u64) {
        let read = self.read.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let to_read = self.to_read.load(Ordering::Relaxed);
        show(&self.bar, self.what, read, to_read);
    }

    /// Whether nobody said stop.
    pub(crate) fn go_on(&self) -> ControlFlow<()> {
        if self.cancel.is_cancelled() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

impl Drop for FolderProgress<'_> {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}
