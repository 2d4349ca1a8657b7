use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::GpuProbe;
use crate::{Backend, Error, ErrorKind, Gpu, GpuStack, Vendor};

/// GPUs that a test makes up. Clones share them.
///
/// Each question gets the next answer, the last one again and again.
///
/// ```
/// use flash_gpu::{Error, FakeGpu, GpuProbe};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let before = FakeGpu::l4();
/// let mut after = before.clone();
/// after.gpus[0].memory_used = Some(9 << 30);
/// let gpu = FakeGpu::new(before).then(after);
///
/// assert_eq!(gpu.detect().await?.gpus[0].memory_used, Some(1 << 30));
/// assert_eq!(gpu.detect().await?.gpus[0].memory_used, Some(9 << 30));
/// assert_eq!(gpu.asked(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FakeGpu(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    answers: VecDeque<Result<GpuStack, String>>,
    asked: usize,
}

impl FakeGpu {
    /// This stack.
    #[must_use]
    pub fn new(stack: GpuStack) -> Self {
        Self::answering(Ok(stack))
    }

    /// A machine without GPUs.
    #[must_use]
    pub fn none() -> Self {
        Self::new(GpuStack::new("a fake").with_note("there is no GPU in a test"))
    }

    /// A source that does not work.
    #[must_use]
    pub fn failing(reason: impl Into<String>) -> Self {
        Self::answering(Err(reason.into()))
    }

    fn answering(answer: Result<GpuStack, String>) -> Self {
        Self(Arc::new(Mutex::new(State {
            answers: VecDeque::from([answer]),
            asked: 0,
        })))
    }

    /// The stack of a machine with one NVIDIA L4, of which 1 GiB is in use, under driver 560 with CUDA 12.6: to change as a test
    /// needs it.
    #[must_use]
    pub fn l4() -> GpuStack {
        let gpu = Gpu::new(0, Vendor::Nvidia, Backend::Cuda, "NVIDIA L4")
            .with_uuid("GPU-0a1b2c3d-0000-4000-8000-000000000000")
            .with_memory(23_034 << 20, 1 << 30)
            .with_architecture("8.9");
        GpuStack::new("a fake")
            .with_driver_version("560.35.03")
            .with_cuda_version("12.6")
            .with_gpu(gpu)
    }

    /// Then this stack.
    #[must_use]
    pub fn then(self, stack: GpuStack) -> Self {
        self.state().answers.push_back(Ok(stack));
        self
    }

    /// Then a failure.
    #[must_use]
    pub fn then_failing(self, reason: impl Into<String>) -> Self {
        self.state().answers.push_back(Err(reason.into()));
        self
    }

    /// How often it was asked.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.state().asked
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl GpuProbe for FakeGpu {
    async fn detect(&self) -> Result<GpuStack, Error> {
        let mut state = self.state();
        state.asked += 1;
        let answer = match state.answers.len() {
            0 | 1 => state.answers.front().cloned(),
            _ => state.answers.pop_front(),
        };
        match answer {
            Some(Ok(stack)) => Ok(stack),
            Some(Err(reason)) => Err(Error::new(ErrorKind::Probe, reason)),
            None => Ok(GpuStack::new("a fake")),
        }
    }
}
