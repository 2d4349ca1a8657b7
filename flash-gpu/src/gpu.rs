use std::fmt;

use serde::{Deserialize, Serialize};

/// Who made a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Vendor {
    /// NVIDIA.
    Nvidia,
    /// AMD.
    Amd,
    /// Not known.
    Unknown,
}

/// Through what programs compute on a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Backend {
    /// NVIDIA's CUDA.
    Cuda,
    /// AMD's ROCm.
    Rocm,
    /// Microsoft's DirectML, on Windows and in WSL.
    DirectMl,
}

/// By the name that people use: `CUDA`.
impl fmt::Display for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Cuda => "CUDA",
            Self::Rocm => "ROCm",
            Self::DirectMl => "DirectML",
        })
    }
}

/// One GPU, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Gpu {
    /// Its number: the order is that of the source, for NVIDIA's that of the PCI bus.
    pub index: u32,
    /// Who made it.
    pub vendor: Vendor,
    /// Through what it computes.
    pub backend: Backend,
    /// Its model.
    pub name: String,
    /// What tells it from others of its model.
    pub uuid: Option<String>,
    /// Bytes of its memory.
    pub memory_total: Option<u64>,
    /// Bytes of it that are in use, by whomever.
    pub memory_used: Option<u64>,
    /// For which instructions programs are compiled: the compute capability (`8.9`), or AMD's name (`gfx1100`).
    pub architecture: Option<String>,
}

impl Gpu {
    /// A GPU of which no more is known.
    #[must_use]
    pub fn new(index: u32, vendor: Vendor, backend: Backend, name: impl Into<String>) -> Self {
        Self {
            index,
            vendor,
            backend,
            name: name.into(),
            uuid: None,
            memory_total: None,
            memory_used: None,
            architecture: None,
        }
    }

    /// Sets [`uuid`](Self::uuid).
    #[must_use]
    pub fn with_uuid(mut self, uuid: impl Into<String>) -> Self {
        self.uuid = Some(uuid.into());
        self
    }

    /// Sets [`memory_total`](Self::memory_total) and [`memory_used`](Self::memory_used).
    #[must_use]
    pub fn with_memory(mut self, total: u64, used: u64) -> Self {
        self.memory_total = Some(total);
        self.memory_used = Some(used);
        self
    }

    /// Sets [`architecture`](Self::architecture).
    #[must_use]
    pub fn with_architecture(mut self, architecture: impl Into<String>) -> Self {
        self.architecture = Some(architecture.into());
        self
    }
}

/// In words: `NVIDIA L4 (number 0, CUDA)`.
impl fmt::Display for Gpu {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} (number {}, {})",
            self.name, self.index, self.backend
        )
    }
}

/// The GPUs of this machine, and the software that drives them.
///
/// ```
/// use flash_gpu::{Backend, Gpu, GpuStack, Vendor};
///
/// let gpu = Gpu::new(0, Vendor::Nvidia, Backend::Cuda, "NVIDIA L4").with_memory(23_034 << 20, 1 << 20);
/// let stack = GpuStack::new("a test").with_driver_version("560.35.03").with_cuda_version("12.6").with_gpu(gpu);
/// assert_eq!(stack.gpus[0].backend, Backend::Cuda);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GpuStack {
    /// How this is known: `NVML`, `nvidia-smi`, `KFD` (AMD's kernel driver), `DirectML`.
    pub source: String,
    /// The GPUs. None is no error.
    pub gpus: Vec<Gpu>,
    /// The driver.
    pub driver_version: Option<String>,
    /// The newest CUDA that the driver supports. Which CUDA a program brings is another question.
    pub cuda_version: Option<String>,
    /// What is not known and why, for people; also why other sources knew of no GPU.
    pub notes: Vec<String>,
}

impl GpuStack {
    /// No GPUs.
    #[must_use]
    pub fn new(source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            gpus: Vec::new(),
            driver_version: None,
            cuda_version: None,
            notes: Vec::new(),
        }
    }

    /// Adds a GPU.
    #[must_use]
    pub fn with_gpu(mut self, gpu: Gpu) -> Self {
        self.gpus.push(gpu);
        self
    }

    /// Sets [`driver_version`](Self::driver_version).
    #[must_use]
    pub fn with_driver_version(mut self, version: impl Into<String>) -> Self {
        self.driver_version = Some(version.into());
        self
    }

    /// Sets [`cuda_version`](Self::cuda_version).
    #[must_use]
    pub fn with_cuda_version(mut self, version: impl Into<String>) -> Self {
        self.cuda_version = Some(version.into());
        self
    }

    /// Adds to [`notes`](Self::notes).
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// The GPU that a choice means.
    #[must_use]
    pub fn find(&self, choice: &GpuChoice) -> Option<&Gpu> {
        match choice {
            GpuChoice::First => self.gpus.first(),
            GpuChoice::Index(index) => self.gpus.iter().find(|gpu| gpu.index == *index),
            GpuChoice::Uuid(uuid) => self.gpus.iter().find(|gpu| {
                gpu.uuid
                    .as_ref()
                    .is_some_and(|known| known.eq_ignore_ascii_case(uuid))
            }),
        }
    }
}

/// Which GPU is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GpuChoice {
    /// The first one. The script sees all of them.
    #[default]
    First,
    /// The one with this number. The script sees only this one.
    Index(u32),
    /// The one with this UUID. The script sees only this one. Parts of a partitioned GPU (MIG) cannot be chosen.
    Uuid(String),
}

impl fmt::Display for GpuChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => formatter.write_str("the first"),
            Self::Index(index) => write!(formatter, "number {index}"),
            Self::Uuid(uuid) => formatter.write_str(uuid),
        }
    }
}
