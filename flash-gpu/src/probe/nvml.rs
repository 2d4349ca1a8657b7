use std::ffi::OsString;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Nvml, cuda_driver_version_major, cuda_driver_version_minor};

use super::GpuProbe;
use crate::blocking::blocking;
use crate::{Backend, Error, ErrorKind, Gpu, GpuStack, Vendor};

const SOURCE: &str = "NVML";
/// Without the persistence mode, the driver is set up anew: seconds for each GPU.
const DEADLINE: Duration = Duration::from_mins(1);

/// NVIDIA's management library, which comes with the driver.
///
/// It is loaded once and stays so. For a GPU that is partitioned (MIG), the memory is that of the whole GPU.
#[derive(Clone)]
pub struct NvmlProbe {
    library: Option<OsString>,
    loaded: Arc<OnceLock<Nvml>>,
    deadline: Duration,
}

impl NvmlProbe {
    /// The library that the operating system finds.
    #[must_use]
    pub fn new() -> Self {
        Self {
            library: None,
            loaded: Arc::default(),
            deadline: DEADLINE,
        }
    }

    /// The library at a path.
    #[must_use]
    pub fn with_library(mut self, path: impl Into<OsString>) -> Self {
        self.library = Some(path.into());
        self.loaded = Arc::default();
        self
    }

    /// How long it may take to answer. Default: a minute. A driver that hangs keeps one thread for ever.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    fn load(&self) -> Result<&Nvml, NvmlError> {
        if let Some(nvml) = self.loaded.get() {
            return Ok(nvml);
        }
        let mut builder = Nvml::builder();
        if let Some(library) = &self.library {
            builder.lib_path(library);
        }
        let nvml = builder.init()?;
        Ok(self.loaded.get_or_init(|| nvml))
    }

    fn detect_now(&self) -> Result<GpuStack, Error> {
        let failed =
            |error: NvmlError| Error::new(ErrorKind::Probe, format!("{SOURCE}: {}", chain(&error)));
        let nvml = match self.load() {
            Err(error) if is_missing(&error) => {
                tracing::debug!(error = chain(&error), "no NVML");
                return Ok(GpuStack::new(SOURCE).with_note(format!("{SOURCE}: not installed")));
            }
            loaded => loaded.map_err(failed)?,
        };
        let mut stack = GpuStack::new(SOURCE);
        stack.driver_version = nvml.sys_driver_version().ok();
        stack.cuda_version = nvml.sys_cuda_driver_version().ok().map(|version| {
            format!(
                "{}.{}",
                cuda_driver_version_major(version),
                cuda_driver_version_minor(version)
            )
        });
        let mut lost = None;
        for index in 0..nvml.device_count().map_err(failed)? {
            match gpu(nvml, index) {
                Ok(gpu) => stack.gpus.push(gpu),
                Err(error) => {
                    stack
                        .notes
                        .push(format!("{SOURCE}: GPU {index}: {}", chain(&error)));
                    lost = Some(error);
                }
            }
        }
        match lost {
            Some(error) if stack.gpus.is_empty() => Err(failed(error)),
            _ if stack.gpus.is_empty() => Ok(stack.with_note(format!("{SOURCE}: there is no GPU"))),
            _ => Ok(stack),
        }
    }
}

fn gpu(nvml: &Nvml, index: u32) -> Result<Gpu, NvmlError> {
    let device = nvml.device_by_index(index)?;
    let mut gpu = Gpu::new(index, Vendor::Nvidia, Backend::Cuda, device.name()?);
    gpu.uuid = device.uuid().ok();
    if let Ok(memory) = device.memory_info() {
        gpu.memory_total = Some(memory.total);
        gpu.memory_used = Some(memory.used);
    }
    gpu.architecture = device
        .cuda_compute_capability()
        .ok()
        .map(|capability| format!("{}.{}", capability.major, capability.minor));
    Ok(gpu)
}

/// Whether there is no such library, as opposed to one that does not work.
fn is_missing(error: &NvmlError) -> bool {
    let NvmlError::LibloadingError(_) = error else {
        return matches!(error, NvmlError::LibraryNotFound);
    };
    let text = chain(error);
    // Of Linux, macOS and Windows.
    ["No such file", "no such file", "os error 126"]
        .iter()
        .any(|reason| text.contains(reason))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

impl Default for NvmlProbe {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for NvmlProbe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("NvmlProbe")
            .field("library", &self.library)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl GpuProbe for NvmlProbe {
    async fn detect(&self) -> Result<GpuStack, Error> {
        let probe = self.clone();
        let asked = blocking(move || probe.detect_now());
        tokio::time::timeout(self.deadline, asked)
            .await
            .unwrap_or_else(|_| {
                let text = format!(
                    "{SOURCE} did not answer within {} s",
                    self.deadline.as_secs_f32()
                );
                Err(Error::new(ErrorKind::Probe, text))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_library_is_no_gpu_and_a_broken_one_is_an_error() {
        let missing = NvmlProbe::new().with_library("/no/such/libnvidia-ml.so.1");
        let stack = missing.detect().await.unwrap();
        assert_eq!(stack.gpus, []);
        assert!(stack.notes[0].starts_with("NVML: "), "{:?}", stack.notes);

        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("libnvidia-ml.so.1");
        std::fs::write(&library, "no library").unwrap();
        let broken = NvmlProbe::new().with_library(library);
        let error = broken.detect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Probe);
        assert!(error.to_string().starts_with("NVML: "), "{error}");
    }
}
