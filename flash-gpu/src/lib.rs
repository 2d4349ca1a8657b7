//! Is this machine's GPU ready for the active release, and warm?
//!
//! ```no_run
//! use flash_gpu::{CancellationToken, Event, FlashGpu, Outcome};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let flash = FlashGpu::new("/srv/tools/sketcher").with_observer(|event: &Event| println!("{event}"));
//!
//! let cancel = CancellationToken::new(); // whoever holds a clone may stop it
//! let report = flash.warm_up(&cancel).await?;
//! println!("{report}"); // sketcher 1.2.0 warmed up on NVIDIA L4: 3 artifacts, 52428800 bytes
//!
//! assert_eq!(flash.warm_up(&cancel).await?.outcome, Outcome::AlreadyWarm);
//! # Ok(())
//! # }
//! ```
//!
//! Without a GPU, as a test of your own program would do it (feature `testing`):
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use flash_gpu::{CancellationToken, ErrorKind, FakeGpu, FlashGpu, Warmth};
//! use manifest_core::{FlashGpuConfig, ManifestBuilder, Sha256Digest};
//!
//! # let folder = tempfile::tempdir()?;
//! # let root = folder.path();
//! # let script = b"print('hello')";
//! # let config = serde_json::from_str::<FlashGpuConfig>(r#"{"enabled": true, "warmup_script": "warm.py"}"#)?;
//! # let manifest = ManifestBuilder::new("sketcher".parse()?, "1.2.0".parse()?)
//! #     .with_file("warm.py".parse()?, Sha256Digest::of(script), script.len() as u64, false)
//! #     .with_flash_gpu_config(&config)
//! #     .build()?;
//! # std::fs::create_dir_all(root.join("releases/v1.2.0"))?;
//! # std::fs::write(root.join("releases/v1.2.0/manifest.json"), manifest.to_bytes())?;
//! # std::fs::write(root.join("releases/v1.2.0/warm.py"), script)?;
//! # std::fs::write(root.join("current.txt"), "v1.2.0")?;
//! let flash = FlashGpu::new(root).with_probe(FakeGpu::new(FakeGpu::l4()));
//! let check = flash.check(&CancellationToken::new()).await?;
//! assert_eq!(check.gpu.map(|gpu| gpu.name).as_deref(), Some("NVIDIA L4"));
//! assert!(matches!(check.warmth, Warmth::Cold { .. }));
//! assert_eq!(check.obstacles[0].kind, ErrorKind::NoInterpreter); // this installation has no Python
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```
//!
//! # Ideas
//!
//! - **The release says what to run.** Its manifest's `flash_gpu_config` names a script, which loads models and compiles kernels, and
//!   patterns of what is worth keeping of what it leaves.
//! - **Warm means: for this release, GPU and driver.** A [`Key`] stands for the three. What is kept for a key becomes visible, whole and
//!   durable, by one rename; a second warm-up finds it and runs nothing.
//! - **It never makes a worker eligible.** This crate does not know what HQ requires, and changes nothing by which that is decided:
//!   neither `current.txt` nor a release's files.
//! - **The GPU is a trait.** A [`GpuProbe`] is one method; the real ones ask what is there and say what they do not know.
//!
//! # Overview
//!
//! | to | use |
//! |---|---|
//! | warm up | [`FlashGpu::warm_up`], which also says what the script is given and has to leave |
//! | see first whether that would work, and whether it is needed | [`FlashGpu::check`] |
//! | see the GPUs | [`SystemProbe`], or one of its parts: `NvmlProbe`, [`NvidiaSmi`], [`RocmProbe`], [`DirectMlProbe`] |
//! | show progress and the script's output | [`FlashGpu::with_observer`] |
//!
//! # What can be relied on
//!
//! - Everything that is written lies below the root's `cache/flash-gpu/`, but for artifacts that are put back where the script had left
//!   them. Nothing that has such a name already is replaced. What the script itself does is the script's.
//! - Whatever stops a warm-up (an error, the token, a dropped future, a kill, a power cut), nothing half counts as warm, and the same call
//!   cleans up and does it again.
//! - One warm-up of an installation runs at a time, whatever the number of processes; the others are told [`ErrorKind::Busy`], also while
//!   the script of one that was killed runs on. An update is not kept waiting.
//! - The script is hashed right before it runs. The manifest's patterns are only compared with names that were found: no pattern leads out
//!   of the two folders that are looked through, and no link is followed.
//!
//! # What is not guaranteed
//!
//! - That the first GPU is the first one for the script: CUDA's order is by speed unless `CUDA_DEVICE_ORDER` says otherwise. Choose one
//!   ([`FlashGpu::with_gpu`]) on machines with different ones.
//! - That a release stays warm when packages of its environment change: they are not in the key. [`Rerun::Always`] warms up again.
//! - That a new driver is noticed where the driver's version is not known: then it is not in the key, and the report warns.
//! - That a big kept artifact is another file than the script's ([`FlashGpu::with_link_policy`]). A tool that writes into it in place
//!   changes both; the next warm-up notices and runs the script again, as it does if a tool changes what matches `cache_artifacts`.
//! - That what a script finds is kept: files that match, were there before it ran and are as they were are left where they are, also if
//!   they are of a warm-up that was interrupted.
//! - That what the script's modules are is what the manifest says. Only the script itself is hashed; `updater::Updater::verify` hashes all.
//! - That a script that is not to be trusted does no harm. It runs with this program's rights.
//!
//! # Features
//!
//! - `nvml` (off by default, as it brings the `nvml-wrapper` crate): asks NVIDIA's management library, which starts no program and answers
//!   in milliseconds. Without it, `nvidia-smi` is asked.
//! - `testing`: `FakeGpu`, for tests of programs that embed this crate.

mod access;
mod blocking;
mod check;
mod collect;
mod error;
mod event;
mod find;
mod flash;
mod gpu;
mod hash;
mod interpreter;
mod kept;
mod key;
mod log;
mod patterns;
mod probe;
mod prune;
mod record;
mod report;
mod requirements;
mod script;
mod situation;
mod store;
mod version;
mod wanted;
mod warm_up;

pub use error::{Error, ErrorKind};
pub use event::{Event, Observer, Phase};
pub use flash::{ArtifactCheck, FlashGpu, Rerun};
pub use gpu::{Backend, Gpu, GpuChoice, GpuStack, Vendor};
pub use interpreter::Python;
pub use key::Key;
#[cfg(feature = "testing")]
pub use probe::FakeGpu;
#[cfg(feature = "nvml")]
pub use probe::NvmlProbe;
pub use probe::{DirectMlProbe, GpuProbe, NvidiaSmi, RocmProbe, SystemProbe};
pub use report::{Artifacts, Check, Durations, MemoryUse, Obstacle, Outcome, Report, Warmth};

// What a program that embeds this crate names, so that it needs no other crate of ours for it.
pub use durable_fs::{Disk, LinkPolicy};
pub use manifest_core::{ReleaseVersion, Sha256Digest, ToolId};
pub use tokio_util::sync::CancellationToken;

// What programs rely on, checked by the compiler.
const _: () = {
    const fn shared<T: Send + Sync + 'static>() {}
    const fn cloned<T: Clone + Send + Sync + 'static>() {}
    cloned::<FlashGpu>();
    cloned::<GpuStack>();
    cloned::<GpuChoice>();
    cloned::<Event>();
    cloned::<Report>();
    cloned::<Check>();
    cloned::<Key>();
    cloned::<SystemProbe>();
    cloned::<NvidiaSmi>();
    cloned::<RocmProbe>();
    cloned::<DirectMlProbe>();
    #[cfg(feature = "nvml")]
    cloned::<NvmlProbe>();
    #[cfg(feature = "testing")]
    cloned::<FakeGpu>();
    shared::<std::sync::Arc<dyn GpuProbe>>();
    shared::<Error>();
};

// Every future can be spawned.
const _: () = {
    fn spawned<F: Future<Output = Result<(), Error>> + Send + 'static>(_: F) {}
    fn futures(flash: FlashGpu) {
        spawned(async move {
            let never = CancellationToken::new();
            flash.warm_up(&never).await?;
            flash.check(&never).await?;
            Ok(())
        });
    }
    let _ = futures;
};
