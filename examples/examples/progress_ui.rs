//! An update that shows how far it is and can be stopped: bars on a terminal, plain lines in a log.
//!
//! ```sh
//! cargo run --release -p lockstep-examples --example progress_ui               # from a slow server in this process
//! cargo run --release -p lockstep-examples --example progress_ui -- URL ROOT   # a manifest.json, and where to install
//! ```
//!
//! Ctrl-C stops it in order. With a ROOT of yours, run it again: it goes on from there.

use std::error::Error;
use std::io::{IsTerminal as _, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use std::{env, fs, process};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use futures::StreamExt as _;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use lockstep_examples::{explain, human};
use manifest_core::{ScanOptions, scan};
use mirror::Store;
use tokio::net::TcpListener;
use updater::{
    CancellationToken, Disk, ErrorKind, Event, Progress, Report, RetryPolicy, TrustPolicy, Updater,
    Url,
};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{}", explain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<ExitCode> {
    let work = tempfile::tempdir()?; // removed at the end
    let (url, root) = match env::args_os().skip(1).collect::<Vec<_>>().as_slice() {
        [] => {
            let store = publish_sample(&work)?;
            (serve_slowly(store).await?, work.path().join("sketcher"))
        }
        [url, root] => {
            let url = url.to_str().ok_or("the URL is not UTF-8")?;
            (url.parse()?, PathBuf::from(root))
        }
        _ => return Err("give URL and ROOT, or nothing".into()),
    };
    match update(&url, root).await {
        Ok(report) => {
            println!("{} is installed: {report}", report.to_version);
            Ok(ExitCode::SUCCESS)
        }
        Err(error) if error.kind() == ErrorKind::Cancelled => {
            println!("{error}");
            Ok(ExitCode::from(130))
        }
        Err(error) => Err(error.into()),
    }
}

/// The part to take over into a program.
async fn update(url: &Url, root: PathBuf) -> Result<Report, updater::Error> {
    let screen = Screen::new();
    let updater = Updater::builder(root)
        .with_observer(move |event: &Event| screen.show(event))
        .with_retry(RetryPolicy::new().with_base(Duration::from_millis(100)))
        .build()?;

    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    tokio::spawn(async move {
        // Without a signal handler, Ctrl-C ends the program at once. That loses a few MiB, and nothing else.
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
            let _ = tokio::signal::ctrl_c().await;
            process::exit(130);
        }
    });
    updater.update(url, &TrustPolicy::Unsigned, &cancel).await
}

/// Where progress is shown: bars if somebody watches, lines if not.
enum Screen {
    Bars(Bars),
    Lines(Lines),
}

impl Screen {
    fn new() -> Self {
        if stderr().is_terminal() {
            Self::Bars(Bars::new())
        } else {
            Self::Lines(Lines {
                tenths: AtomicU64::new(0),
                rate: Rate::new(),
            })
        }
    }

    fn show(&self, event: &Event) {
        match self {
            Self::Bars(bars) => match event {
                Event::Progress(progress) => bars.draw(progress),
                Event::DownloadWaiting { .. } => {
                    bars.retries.fetch_add(1, Ordering::Relaxed);
                    bars.say(event);
                }
                Event::Planned(_) | Event::Warning(_) => bars.say(event),
                _ => {}
            },
            Self::Lines(lines) => match event {
                Event::Progress(progress) => lines.print(progress),
                // One line for each piece would be too many.
                Event::DownloadAdvanced { .. } | Event::BytesVerified(_) => {}
                _ => eprintln!("{event}"),
            },
        }
    }
}

/// Two bars: one for what is fetched, one for what is hashed.
struct Bars {
    all: MultiProgress,
    fetch: OnceLock<ProgressBar>,
    hash: OnceLock<ProgressBar>,
    retries: AtomicU32,
    rate: Rate,
}

impl Bars {
    fn new() -> Self {
        Self {
            all: MultiProgress::new(),
            fetch: OnceLock::new(),
            hash: OnceLock::new(),
            retries: AtomicU32::new(0),
            rate: Rate::new(),
        }
    }

    fn draw(&self, progress: &Progress) {
        if progress.bytes_to_fetch > 0 {
            let bar = self.fetch.get_or_init(|| self.bar());
            bar.set_length(progress.bytes_to_fetch);
            bar.set_position(progress.bytes_fetched);
            bar.set_prefix(progress.phase.to_string());
            bar.set_message(format!(
                "{}/s, {} of {} files, {} retries",
                human(self.rate.of(progress)),
                progress.files_fetched,
                progress.files_to_fetch,
                self.retries.load(Ordering::Relaxed)
            ));
        }
        if progress.bytes_to_verify > 0 {
            let bar = self.hash.get_or_init(|| self.bar());
            bar.set_length(progress.bytes_to_verify);
            bar.set_position(progress.bytes_verified);
            bar.set_prefix("hashing");
        }
    }

    fn bar(&self) -> ProgressBar {
        let style = "{prefix:12} {bar:20} {bytes} of {total_bytes} {msg}";
        let style = ProgressStyle::with_template(style).expect("indicatif can read it");
        self.all.add(ProgressBar::new(0).with_style(style))
    }

    /// Above the bars.
    fn say(&self, event: &Event) {
        // Fails if the terminal is gone, and then nobody watches.
        let _ = self.all.println(event.to_string());
    }
}

/// One line for each tenth of what is fetched.
struct Lines {
    tenths: AtomicU64,
    rate: Rate,
}

impl Lines {
    fn print(&self, progress: &Progress) {
        let tenths = progress.bytes_fetched * 10 / progress.bytes_to_fetch.max(1);
        if self.tenths.fetch_max(tenths, Ordering::Relaxed) < tenths {
            eprintln!("{progress}, {}/s", human(self.rate.of(progress)));
        }
    }
}

/// Bytes per second since the beginning. A program with more taste forgets what is long past.
struct Rate(Instant);

impl Rate {
    fn new() -> Self {
        Self(Instant::now())
    }

    fn of(&self, progress: &Progress) -> u64 {
        let milliseconds = u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX);
        progress.bytes_received.saturating_mul(1000) / milliseconds.max(1)
    }
}

// HQ, for when there is none.

fn publish_sample(work: &tempfile::TempDir) -> Result<Store> {
    let source = work.path().join("source");
    fs::create_dir(&source)?;
    for (number, mebibytes) in [4, 2, 2, 1, 1, 1].into_iter().enumerate() {
        let content = vec![number as u8; mebibytes << 20];
        fs::write(source.join(format!("model-{number}.safetensors")), content)?;
    }
    let options = ScanOptions::new()
        .with_tool_id("sketcher".parse()?)
        .with_tool_version("1.0.0".parse()?);
    let manifest = scan(&source, &options)?.manifest;
    let store = Store::open(&Disk::real(), work.path().join("store"))?;
    store.publish(&manifest, &Disk::real().open_dir(&source)?)?;
    Ok(store)
}

/// Serves the sample over a line that is slow, and that breaks once.
async fn serve_slowly(store: Store) -> Result<Url> {
    let line = Line {
        left: Arc::new(AtomicU64::new(3 << 20)),
    };
    let routes = mirror::router(store).layer(from_fn_with_state(line, slowly));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(format!("http://{address}/api/v1/tools/sketcher/1.0.0/manifest.json").parse()?)
}

#[derive(Clone)]
struct Line {
    /// Bytes until it breaks; then it does not break again.
    left: Arc<AtomicU64>,
}

/// 4 MiB a second, for each file.
const FOR_EACH_KIB: Duration = Duration::from_nanos(1_000_000_000 / 4096);

async fn slowly(State(line): State<Line>, request: Request, next: Next) -> Response {
    let (head, body) = next.run(request).await.into_parts();
    let pieces = body.into_data_stream().then(move |piece| {
        let line = line.clone();
        async move {
            let piece = piece?;
            let length = piece.len() as u64;
            tokio::time::sleep(FOR_EACH_KIB * (length / 1024) as u32).await;
            let left = line.left.load(Ordering::Relaxed);
            line.left
                .store(left.saturating_sub(length), Ordering::Relaxed);
            if (1..=length).contains(&left) {
                return Err(axum::Error::new("the line broke"));
            }
            Ok(piece)
        }
    });
    Response::from_parts(head, Body::from_stream(pieces))
}
