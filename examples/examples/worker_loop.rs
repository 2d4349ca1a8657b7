//! A worker that follows HQ: it asks which release is required, updates while it goes on with its jobs, and takes
//! network jobs only with exactly that release.
//!
//! ```sh
//! cargo run --release -p lockstep-examples --example worker_loop
//! ```
//!
//! HQ and the worker run in this one process, and HQ follows a script. The worker is as a real one would be: start
//! from [`Worker`].

use std::error::Error;
use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use downloader::{Fetcher, HttpConfig, HttpDownloader};
use lockstep_examples::explain;
use manifest_core::{ScanOptions, scan};
use mirror::Store;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use updater::{
    CancellationToken, Disk, ErrorKind, ReleaseVersion, Report, Required, Sha256Digest,
    TrustPolicy, Updater, Url,
};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// How often HQ is asked if it does not say by itself that something has changed.
const POLL: Duration = Duration::from_mins(1);

// The worker.

/// Whose job it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// The owner of this machine: any installation will do.
    Local,
    /// HQ: only the required release will do.
    Network,
}

struct Job {
    owner: Owner,
    prompt: String,
    answer: oneshot::Sender<Result<Outcome, String>>,
}

/// What came out of a job, and of which release: results of different releases cannot be compared.
#[derive(Debug)]
struct Outcome {
    picture: String,
    version: ReleaseVersion,
    manifest_hash: Sha256Digest,
}

/// What the worker shows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Now {
    Starting,
    Updating(ReleaseVersion),
    Current(ReleaseVersion),
    /// The update failed. It is tried again with the next answer of HQ.
    Stuck(ErrorKind),
}

struct Worker {
    updater: Updater,
    /// The base of HQ's tools.
    hq: Url,
    http: Fetcher,
    required: Option<Required>,
    /// What is being updated to, and what stops that.
    underway: Option<(Required, CancellationToken)>,
    updates: JoinSet<Result<Report, updater::Error>>,
    now: watch::Sender<Now>,
}

impl Worker {
    /// Works until nobody can send jobs any more.
    async fn run(
        mut self,
        poll: Duration,
        changed: Arc<Notify>,
        mut jobs: mpsc::Receiver<Job>,
    ) -> Result<()> {
        let mut ticks = tokio::time::interval(poll); // the first one is now
        loop {
            tokio::select! {
                _ = ticks.tick() => self.follow().await?,
                () = changed.notified() => self.follow().await?,
                Some(updated) = self.updates.join_next() => self.updated(updated?).await?,
                job = jobs.recv() => match job {
                    Some(job) => {
                        let outcome = self.work(job.owner, &job.prompt).await;
                        let _ = job.answer.send(outcome); // whoever asked may have gone
                    }
                    None => break,
                },
            }
        }
        // An update that is stopped keeps what has come, and goes on with the next start.
        if let Some((_, cancel)) = &self.underway {
            cancel.cancel();
        }
        while self.updates.join_next().await.is_some() {}
        Ok(())
    }

    /// Asks HQ, and starts an update if another release is required than the one that is active or on its way.
    async fn follow(&mut self) -> Result<(), updater::Error> {
        match self.ask_hq().await {
            Ok(required) => self.required = Some(required),
            // No reason to stop working: the last answer stays valid until the next poll.
            Err(error) => println!("  worker: HQ does not answer: {error:#}"),
        }
        let Some(required) = self.required.clone() else {
            return Ok(());
        };
        match &self.underway {
            Some((wanted, _)) if *wanted == required => return Ok(()),
            // HQ has changed its mind. `updated` starts the next one.
            Some((_, cancel)) => {
                cancel.cancel();
                return Ok(());
            }
            None => {}
        }
        if self.updater.eligibility(&required).await?.is_eligible() {
            self.now.send_replace(Now::Current(required.version));
            return Ok(());
        }
        let cancel = CancellationToken::new();
        self.underway = Some((required.clone(), cancel.clone()));
        self.now
            .send_replace(Now::Updating(required.version.clone()));
        let (updater, hq) = (self.updater.clone(), self.hq.clone());
        self.updates.spawn(async move {
            // HQ said the hash, so that whatever is in between cannot slip in another manifest.
            let trust = TrustPolicy::Pinned(required.manifest_hash);
            let manifest = format!("{hq}sketcher/{}/manifest.json", required.version);
            let manifest = manifest.parse().expect("HQ's base and a version are a URL");
            updater.update(&manifest, &trust, &cancel).await
        });
        Ok(())
    }

    async fn ask_hq(&self) -> Result<Required> {
        let url = self.hq.join("sketcher/required.json")?;
        let answer = self.http.fetch_small(&url, 64 * 1024).await?;
        Ok(serde_json::from_slice(&answer)?)
    }

    async fn updated(
        &mut self,
        result: Result<Report, updater::Error>,
    ) -> Result<(), updater::Error> {
        self.underway = None;
        match result {
            Ok(report) => println!("  worker: {} is active: {report}", report.to_version),
            Err(error) if error.kind() == ErrorKind::Cancelled => {}
            Err(error) => {
                println!("  worker: the update failed: {error:#}");
                self.now.send_replace(Now::Stuck(error.kind()));
                return Ok(());
            }
        }
        self.follow().await
    }

    /// Does a job, or says why not.
    async fn work(&self, owner: Owner, prompt: &str) -> Result<Outcome, String> {
        let status = self.updater.status().await;
        let status = status.map_err(|error| format!("{error:#}"))?;
        let Some(active) = status.active else {
            return Err("NO_INSTALLATION".into());
        };
        if owner == Owner::Network {
            let Some(required) = &self.required else {
                return Err("HQ has not said what it requires".into());
            };
            let eligibility = self.updater.eligibility(required).await;
            let eligibility = eligibility.map_err(|error| format!("{error:#}"))?;
            if !eligibility.may_take_network_jobs() {
                return Err(eligibility.to_string());
            }
        }
        // A real worker starts the tool in this folder, which an update never changes.
        let style = fs::read_to_string(active.folder.join("style.txt"));
        let style = style.map_err(|error| format!("the tool is damaged: {error}"))?;
        Ok(Outcome {
            picture: format!("{prompt}, {}", style.trim_end()),
            version: active.version,
            manifest_hash: active.manifest_hash,
        })
    }
}

// HQ.

struct Hq {
    folder: TempDir,
    store: Store,
    base: Url,
    required: watch::Sender<Option<Required>>,
    /// Whether its line carries files at the moment.
    line: watch::Sender<bool>,
    /// Says to workers that they should ask.
    changed: Arc<Notify>,
    results: Vec<Outcome>,
}

impl Hq {
    async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let store = Store::open(&Disk::real(), folder.path().join("store"))?;
        let (required, asked) = watch::channel(None::<Required>);
        let (line, carries) = watch::channel(true);
        let routes = mirror::router(store.clone())
            .layer(from_fn_with_state(carries, when_the_line_carries))
            .route(
                "/api/v1/tools/sketcher/required.json",
                get(async move || serde_json::to_string(&*asked.borrow()).unwrap_or_default()),
            );
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}/api/v1/tools/", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Self {
            folder,
            store,
            base: base.parse()?,
            required,
            line,
            changed: Arc::new(Notify::new()),
            results: Vec::new(),
        })
    }

    /// Publishes a release of the sketcher. Its pictures are in this style.
    fn publish(&self, version: &str, style: &str) -> Result<Required> {
        let source = self.folder.path().join(version);
        fs::create_dir(&source)?;
        fs::write(source.join("style.txt"), style)?;
        fs::write(source.join("model.safetensors"), vec![7; 1 << 20])?;
        let options = ScanOptions::new()
            .with_tool_id("sketcher".parse()?)
            .with_tool_version(version.parse()?);
        let manifest = scan(&source, &options)?.manifest;
        self.store
            .publish(&manifest, &Disk::real().open_dir(&source)?)?;
        Ok(Required {
            version: manifest.tool_version().clone(),
            manifest_hash: manifest.manifest_hash(),
        })
    }

    fn require(&self, release: &Required) {
        self.required.send_replace(Some(release.clone()));
        self.changed.notify_one();
    }

    /// Takes a result only from the required release.
    fn take(&mut self, outcome: Outcome) -> Result<()> {
        let required = self.required.borrow().clone();
        let required = required.ok_or("nothing is required")?;
        check(
            outcome.version == required.version && outcome.manifest_hash == required.manifest_hash,
            "a result of another release than the required one",
        )?;
        self.results.push(outcome);
        Ok(())
    }
}

/// Holds files back while the line carries none.
async fn when_the_line_carries(
    State(mut line): State<watch::Receiver<bool>>,
    request: Request,
    next: Next,
) -> Response {
    if request.uri().path().contains("/files/") {
        // Fails only when HQ is gone.
        let _ = line.wait_for(|carries| *carries).await;
    }
    next.run(request).await
}

// The script.

/// Sends jobs to the worker, and looks at it.
struct Desk {
    jobs: mpsc::Sender<Job>,
    now: watch::Receiver<Now>,
}

impl Desk {
    async fn ask(&self, owner: Owner, prompt: &str) -> Result<Result<Outcome, String>> {
        let (answer, outcome) = oneshot::channel();
        let job = Job {
            owner,
            prompt: prompt.to_owned(),
            answer,
        };
        self.jobs.send(job).await?;
        let outcome = outcome.await?;
        match &outcome {
            Ok(done) => println!(
                "  {owner:?} job {prompt:?}: {:?}, made with {} ({})",
                done.picture,
                done.version,
                &done.manifest_hash.to_string()[..12]
            ),
            Err(why) => println!("  {owner:?} job {prompt:?}: refused: {why}"),
        }
        Ok(outcome)
    }

    async fn wait_for(&mut self, wanted: &Now) -> Result<()> {
        let wait = self.now.wait_for(|now| now == wanted);
        let result = tokio::time::timeout(Duration::from_secs(30), wait).await;
        result.map_err(|_| format!("the worker never was {wanted:?}"))??;
        Ok(())
    }
}

fn check(holds: bool, otherwise: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", explain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let mut hq = Hq::start().await?;
    let machine = tempfile::tempdir()?;
    let (now, watched) = watch::channel(Now::Starting);
    let worker = Worker {
        updater: Updater::builder(machine.path().join("sketcher")).build()?,
        hq: hq.base.clone(),
        http: Fetcher::new(Arc::new(HttpDownloader::new(HttpConfig::new())?)),
        required: None,
        underway: None,
        updates: JoinSet::new(),
        now,
    };

    println!("1. HQ requires 1.0.0, and nothing is installed.");
    let first = hq.publish("1.0.0", "in pencil\n")?;
    hq.require(&first);
    hq.line.send_replace(false);
    let (sender, jobs) = mpsc::channel(16);
    let running = tokio::spawn(worker.run(POLL, hq.changed.clone(), jobs));
    let mut desk = Desk {
        jobs: sender,
        now: watched,
    };
    desk.wait_for(&Now::Updating(first.version.clone())).await?;
    let refused = desk.ask(Owner::Network, "a cat").await?;
    check(refused.is_err(), "a job was done without a tool")?;
    hq.line.send_replace(true);
    desk.wait_for(&Now::Current(first.version.clone())).await?;
    hq.take(desk.ask(Owner::Network, "a cat").await??)?;

    println!("2. HQ requires 1.1.0, and its line is slow.");
    let second = hq.publish("1.1.0", "in oil\n")?;
    hq.line.send_replace(false);
    hq.require(&second);
    desk.wait_for(&Now::Updating(second.version.clone()))
        .await?;
    let refused = desk.ask(Owner::Network, "a dog").await?;
    check(
        refused.is_err(),
        "a network job was done with another release",
    )?;
    let local = desk.ask(Owner::Local, "a dog").await??;
    check(
        local.version == first.version,
        "the release changed too early",
    )?;
    check(hq.take(local).is_err(), "HQ took an outdated result")?;
    hq.line.send_replace(true);
    desk.wait_for(&Now::Current(second.version.clone())).await?;
    hq.take(desk.ask(Owner::Network, "a dog").await??)?;

    println!("3. HQ requires a hash that the published 1.2.0 does not have.");
    let third = hq.publish("1.2.0", "in ink\n")?;
    let wrong = Required {
        manifest_hash: first.manifest_hash,
        ..third.clone()
    };
    hq.require(&wrong);
    desk.wait_for(&Now::Stuck(ErrorKind::Trust)).await?;
    let refused = desk.ask(Owner::Network, "a bird").await?;
    check(
        refused.is_err(),
        "a network job was done with another release",
    )?;
    let local = desk.ask(Owner::Local, "a bird").await??;
    check(local.version == second.version, "the old release is lost")?;

    println!("4. HQ corrects itself.");
    hq.require(&third);
    desk.wait_for(&Now::Current(third.version.clone())).await?;
    hq.take(desk.ask(Owner::Network, "a bird").await??)?;

    drop(desk); // no more jobs: the worker ends
    running.await??;
    println!("HQ has {} results:", hq.results.len());
    for result in &hq.results {
        println!(
            "  {} {} {}",
            result.version, result.manifest_hash, result.picture
        );
    }
    check(hq.results.len() == 3, "each release has one result at HQ")
}
