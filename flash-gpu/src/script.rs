//! Runs the release's script by the runtime protocol.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use manifest_core::{ReleaseVersion, Sha256Digest, ToolId};
use serde::Serialize;
use serde_json::{Map, Value};
use subprocess::{Command, Failed, Streamed, Until};
use tokio_util::sync::CancellationToken;

use crate::blocking::{blocking, unless_cancelled};
use crate::interpreter::isolated;
use crate::log::Log;
use crate::situation::Situation;
use crate::store::{CACHE, INPUT, OUTPUT, Store, Work};
use crate::{Backend, Error, ErrorKind, Event, FlashGpu, Gpu, GpuChoice, GpuProbe};

const MAX_OUTPUT: u64 = 1 << 20;

/// What the script reads. It is described in the documentation of [`FlashGpu::warm_up`].
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Input {
    protocol: &'static str,
    mode: &'static str,
    tool_id: ToolId,
    tool_version: ReleaseVersion,
    manifest_hash: Sha256Digest,
    gpu: InputGpu,
    root: PathBuf,
    cache_dir: PathBuf,
}

#[derive(Clone, Debug, Serialize)]
struct InputGpu {
    #[serde(flatten)]
    gpu: Gpu,
    driver_version: Option<String>,
    cuda_version: Option<String>,
}

impl Input {
    pub(crate) fn of(situation: &Situation) -> Self {
        let manifest = situation.wanted.manifest();
        Self {
            protocol: "runtime/1",
            mode: "flash_gpu_warmup",
            tool_id: manifest.tool_id().clone(),
            tool_version: manifest.tool_version().clone(),
            manifest_hash: manifest.manifest_hash(),
            gpu: InputGpu {
                gpu: situation.gpu.clone(),
                driver_version: situation.stack.driver_version.clone(),
                cuda_version: situation.stack.cuda_version.clone(),
            },
            cache_dir: situation.root.path().join(CACHE),
            root: situation.root.path().to_owned(),
        }
    }
}

/// What a script did that ended well.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) output: Map<String, Value>,
    pub(crate) took: Duration,
    /// The most memory that was seen while it ran.
    pub(crate) peak: Option<u64>,
    /// Where what it printed is, or why it is nowhere.
    pub(crate) log: Result<PathBuf, Error>,
    pub(crate) tail: String,
}

/// Runs the script and reads its output.
pub(crate) async fn run(
    flash: &FlashGpu,
    situation: &Situation,
    store: &Arc<Store>,
    work: &Work,
    cancel: &CancellationToken,
) -> Result<Ran, Error> {
    let started = Instant::now();
    let mut log = Log::default();
    let peak = AtomicU64::new(0);
    let ended = {
        let mut command = command(flash, situation, work);
        let until = Until::cancelled(cancel)
            .or_after(flash.deadline)
            .and_what_it_started()
            .holding(store.share_lock()?);
        let listened = subprocess::stream(&mut command, &until, |line| {
            log.push(line);
            flash.observer.notify(&Event::Line(line.to_owned()));
        });
        tokio::select! {
            biased;
            ended = listened => ended,
            never = sample(flash, &situation.gpu, &peak) => match never {},
        }
    };
    let took = started.elapsed();
    if let Err(Failed::Start(error)) = ended {
        let text = format!("{} cannot be started", situation.python.program.display());
        return Err(Error::new(ErrorKind::NoInterpreter, text).with_source(error));
    }
    let (tail, text) = (log.tail(), log.text());
    let log = {
        let store = store.clone();
        blocking(move || store.write_log(&text)).await
    };
    let script = situation.wanted.script.path().as_str();
    ended_well(script, ended, &tail, log.as_ref().ok())?;
    let output = {
        let (work, script) = (work.clone(), script.to_owned());
        blocking(move || read_output(&work, &script)).await
    };
    Ok(Ran {
        output: output.map_err(|error| error.with_log(tail.clone(), log.as_ref().ok().cloned()))?,
        took,
        peak: Some(peak.into_inner()).filter(|bytes| *bytes > 0),
        log,
        tail,
    })
}

fn command(flash: &FlashGpu, situation: &Situation, work: &Work) -> Command {
    let (release, root) = (&situation.wanted.release, situation.root.path());
    let folder = release.dir().path();
    let work = work.work.path();
    let mut command = Command::new(&situation.python.program);
    isolated(&mut command)
        .arg(folder.join(situation.wanted.script.path()))
        .arg("--input")
        .arg(work.join(INPUT))
        .arg("--output")
        .arg(work.join(OUTPUT))
        .current_dir(folder)
        .env("LOCKSTEP_ROOT", root)
        .env("LOCKSTEP_VERSION", release.version().as_str())
        .env("LOCKSTEP_CACHE_DIR", root.join(CACHE))
        .env("PYTHONUNBUFFERED", "1")
        // What it would write into the release's folder is no file of the release.
        .env("PYTHONDONTWRITEBYTECODE", "1");
    if flash.choice != GpuChoice::First {
        show_only(&mut command, &situation.gpu);
    }
    command
}

/// The script sees the chosen GPU alone.
fn show_only(command: &mut Command, gpu: &Gpu) {
    let index = gpu.index.to_string();
    match gpu.backend {
        Backend::Cuda => {
            // CUDA's own order is by speed, that of the drivers by place.
            command.env("CUDA_DEVICE_ORDER", "PCI_BUS_ID").env(
                "CUDA_VISIBLE_DEVICES",
                gpu.uuid.as_deref().unwrap_or(&index),
            );
        }
        Backend::Rocm => {
            command.env("HIP_VISIBLE_DEVICES", index);
        }
        Backend::DirectMl => {}
    }
}

/// Asks for the memory in use again and again, as long as somebody polls it.
async fn sample(flash: &FlashGpu, gpu: &Gpu, peak: &AtomicU64) -> Infallible {
    let mut pause = flash.sampling;
    loop {
        tokio::time::sleep(pause).await;
        let asked = Instant::now();
        if let Some(used) = memory_used(&*flash.probe, gpu).await {
            peak.fetch_max(used, Ordering::Relaxed);
            flash.observer.notify(&Event::MemoryUsed(used));
        }
        pause = pause_after(asked.elapsed(), flash.sampling);
    }
}

/// A source that is slow is busy for a tenth of the time at most.
fn pause_after(look: Duration, sampling: Duration) -> Duration {
    sampling.max(look.saturating_mul(10))
}

/// As [`memory_used`], which a driver that hangs never answers: it is only a figure.
pub(crate) async fn memory_used_within(
    limit: Duration,
    probe: &dyn GpuProbe,
    gpu: &Gpu,
    cancel: &CancellationToken,
) -> Result<Option<u64>, Error> {
    let look = async {
        let looked = tokio::time::timeout(limit, memory_used(probe, gpu)).await;
        Ok(looked.ok().flatten())
    };
    unless_cancelled(cancel, look).await
}

/// Bytes of a GPU's memory that are in use now, if that can be told.
async fn memory_used(probe: &dyn GpuProbe, gpu: &Gpu) -> Option<u64> {
    let stack = match probe.detect().await {
        Ok(stack) => stack,
        Err(error) => {
            tracing::debug!(error = format_args!("{error:#}"), "no memory use");
            return None;
        }
    };
    let choice = match &gpu.uuid {
        Some(uuid) => GpuChoice::Uuid(uuid.clone()),
        None => GpuChoice::Index(gpu.index),
    };
    stack.find(&choice)?.memory_used
}

fn ended_well(
    script: &str,
    ended: Result<Streamed, Failed>,
    tail: &str,
    log: Option<&PathBuf>,
) -> Result<(), Error> {
    let failed = |kind, what: String| {
        let seen = log.map_or(String::new(), |log| {
            format!("; what it printed is in {}", log.display())
        });
        let error = Error::new(kind, format!("{script} {what}{seen}"));
        Err(error.with_log(tail.to_owned(), log.cloned()))
    };
    match ended {
        Ok(streamed) if streamed.status.success() => Ok(()),
        Ok(streamed) => failed(
            ErrorKind::ScriptFailed,
            format!("ended with {}", streamed.status),
        ),
        Err(Failed::Cancelled) => Err(Error::cancelled()),
        Err(Failed::Deadline(after)) => failed(
            ErrorKind::Deadline,
            format!(
                "did not end within {} s and was killed",
                after.as_secs_f32()
            ),
        ),
        Err(other) => failed(ErrorKind::ScriptFailed, format!("cannot be run: {other}")),
    }
}

/// One JSON object.
fn read_output(work: &Work, script: &str) -> Result<Map<String, Value>, Error> {
    let invalid = |why: String| {
        let text = format!("{script} ended with exit code 0, but {why}");
        Error::new(ErrorKind::InvalidOutput, text)
    };
    let bytes = work
        .work
        .read(Path::new(OUTPUT), MAX_OUTPUT)
        .map_err(|error| match error.kind() {
            durable_fs::ErrorKind::NotFound => invalid("wrote no output file".into()),
            durable_fs::ErrorKind::NotRegular => invalid("its output is no file".into()),
            durable_fs::ErrorKind::TooLarge => {
                invalid(format!("its output file has more than {MAX_OUTPUT} bytes"))
            }
            _ => invalid("its output file cannot be read".into()).with_source(error),
        })?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(output)) => Ok(output),
        Ok(_) => Err(invalid("its output file holds no JSON object".into())),
        Err(error) => Err(invalid("its output file is no JSON".into()).with_source(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GpuStack, Vendor};

    #[test]
    fn a_slow_source_is_asked_less_often() {
        let seconds = Duration::from_secs;
        assert_eq!(pause_after(Duration::ZERO, seconds(1)), seconds(1));
        assert_eq!(pause_after(seconds(3), seconds(1)), seconds(30));
    }

    #[derive(Debug)]
    struct Hanging;

    #[async_trait::async_trait]
    impl GpuProbe for Hanging {
        async fn detect(&self) -> Result<GpuStack, Error> {
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn a_figure_is_not_waited_for() {
        let gpu = Gpu::new(0, Vendor::Nvidia, Backend::Cuda, "NVIDIA L4");
        let cancel = CancellationToken::new();
        let look = |limit| memory_used_within(limit, &Hanging, &gpu, &cancel);
        assert_eq!(look(Duration::from_millis(1)).await.unwrap(), None);
        cancel.cancel();
        let error = look(Duration::from_secs(1000)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    }
}
