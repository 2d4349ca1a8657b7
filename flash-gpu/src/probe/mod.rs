//! Who knows the GPUs.

mod direct_ml;
#[cfg(feature = "testing")]
mod fake;
mod nvidia_smi;
#[cfg(feature = "nvml")]
mod nvml;
mod parse;
mod rocm;
mod system;

use std::fmt;

use async_trait::async_trait;

use crate::{Error, GpuStack};

pub use direct_ml::DirectMlProbe;
#[cfg(feature = "testing")]
pub use fake::FakeGpu;
pub use nvidia_smi::NvidiaSmi;
#[cfg(feature = "nvml")]
pub use nvml::NvmlProbe;
pub use rocm::RocmProbe;
pub use system::SystemProbe;

/// Knows which GPUs this machine has.
///
/// It is asked before a warm-up, after it, and about once a second while the script runs. When nobody waits any more, the future
/// is dropped: what it has started must end then.
///
/// ```
/// use async_trait::async_trait;
/// use flash_gpu::{Backend, Error, FlashGpu, Gpu, GpuProbe, GpuStack, Vendor};
///
/// /// A GPU that only we know how to ask.
/// #[derive(Debug)]
/// struct Ours;
///
/// #[async_trait]
/// impl GpuProbe for Ours {
///     async fn detect(&self) -> Result<GpuStack, Error> {
///         Ok(GpuStack::new("ours").with_gpu(Gpu::new(0, Vendor::Unknown, Backend::Rocm, "Prototype")))
///     }
/// }
///
/// let flash = FlashGpu::new("/srv/tools/sketcher").with_probe(Ours);
/// # let _ = flash;
/// ```
#[async_trait]
pub trait GpuProbe: Send + Sync + fmt::Debug {
    /// The GPUs, now. That there are none, or that what would know them is not installed, is no error: that is a stack without
    /// GPUs, with a note that says why.
    ///
    /// # Errors
    /// [`ErrorKind::Probe`](crate::ErrorKind::Probe) if what should know them is there and does not work.
    async fn detect(&self) -> Result<GpuStack, Error>;
}
