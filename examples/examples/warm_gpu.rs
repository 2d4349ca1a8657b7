//! The GPU is warmed up for a release, on a GPU that is not there: a script runs, what it leaves is kept, and the second time nothing is
//! run. It needs a `python3`, and says so if there is none.
//!
//! ```sh
//! cargo run --release -p lockstep-examples --example warm_gpu
//! ```

use std::error::Error;
use std::fs;
use std::path::Path;

use flash_gpu::{CancellationToken, ErrorKind, Event, FakeGpu, FlashGpu, Outcome};
use manifest_core::{Dependencies, FlashGpuConfig, ManifestBuilder, Sha256Digest};

const SCRIPT: &str = r#"
import argparse, json, pathlib

arguments = argparse.ArgumentParser()
arguments.add_argument("--input")
arguments.add_argument("--output")
arguments = arguments.parse_args()

wanted = json.load(open(arguments.input))
print("compiling kernels for", wanted["gpu"]["name"], flush=True)
kernels = pathlib.Path(wanted["cache_dir"], "kernels")
kernels.mkdir(parents=True, exist_ok=True)
(kernels / "sketch.bin").write_bytes(b"compiled" * 100_000)
json.dump({"kernels": 1}, open(arguments.output, "w"))
"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let root = tempfile::tempdir()?;
    install(root.path())?;
    let flash = FlashGpu::new(root.path())
        .with_probe(FakeGpu::new(FakeGpu::l4()))
        .with_interpreter("python3")
        .with_observer(|event: &Event| println!("  {event}"));
    let never = CancellationToken::new();

    let check = flash.check(&never).await?;
    let has_no_python = |kind| kind == ErrorKind::NoInterpreter;
    if check
        .obstacles
        .iter()
        .any(|obstacle| has_no_python(obstacle.kind))
    {
        println!("there is no python3 here: nothing to show");
        return Ok(());
    }
    println!("is it ready? {}, and {:?}", check.is_ready(), check.warmth);

    let report = flash.warm_up(&never).await?;
    println!("{report}; the script said {:?}", report.output);

    let again = flash.warm_up(&never).await?;
    assert_eq!(again.outcome, Outcome::AlreadyWarm);
    println!("{again}, in {} ms", again.durations.total_ms);

    fs::remove_dir_all(root.path().join("cache/kernels"))?;
    println!("{} file put back", flash.warm_up(&never).await?.put_back);

    // Another driver: what was compiled for the one before may not fit.
    let other = FakeGpu::l4().with_driver_version("610.1");
    let other = flash.clone().with_probe(FakeGpu::new(other));
    println!("{}", other.warm_up(&never).await?);
    Ok(())
}

/// An installation with one release: usually the updater's work.
fn install(root: &Path) -> Result<(), Box<dyn Error>> {
    let config: FlashGpuConfig = serde_json::from_str(
        r#"{"enabled": true, "warmup_script": "warm_up.py", "cache_artifacts": ["cache/**/*.bin"]}"#,
    )?;
    let needs: Dependencies = serde_json::from_str(r#"{"cuda_min": "12.1", "python_min": "3.8"}"#)?;
    let digest = Sha256Digest::of(SCRIPT.as_bytes());
    let manifest = ManifestBuilder::new("sketcher".parse()?, "1.2.0".parse()?)
        .with_file("warm_up.py".parse()?, digest, SCRIPT.len() as u64, false)
        .with_flash_gpu_config(&config)
        .with_dependencies(&needs)
        .build()?;
    let release = root.join("releases/v1.2.0");
    fs::create_dir_all(&release)?;
    fs::write(release.join("manifest.json"), manifest.to_bytes())?;
    fs::write(release.join("warm_up.py"), SCRIPT)?;
    fs::write(root.join("current.txt"), "v1.2.0")?;
    Ok(())
}
