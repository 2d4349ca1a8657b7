use std::sync::Arc;

use async_trait::async_trait;

use super::{DirectMlProbe, GpuProbe, NvidiaSmi, RocmProbe};
use crate::{Error, ErrorKind, GpuStack};

/// Asks several sources in turn; the first one that knows a GPU has the word.
///
/// By default these are NVIDIA's library (with the feature `nvml`), `nvidia-smi`, AMD's kernel driver, and DirectML. A source that
/// fails while another one knows a GPU is a note in the stack.
#[derive(Clone, Debug)]
pub struct SystemProbe {
    sources: Vec<Arc<dyn GpuProbe>>,
}

impl SystemProbe {
    /// All sources that this crate was built with.
    #[must_use]
    pub fn new() -> Self {
        let sources: Vec<Arc<dyn GpuProbe>> = vec![
            #[cfg(feature = "nvml")]
            Arc::new(super::NvmlProbe::new()),
            Arc::new(NvidiaSmi::default()),
            Arc::new(RocmProbe::new()),
            Arc::new(DirectMlProbe::new()),
        ];
        Self { sources }
    }

    /// These sources, in this order.
    #[must_use]
    pub fn of(sources: impl IntoIterator<Item = Arc<dyn GpuProbe>>) -> Self {
        Self {
            sources: sources.into_iter().collect(),
        }
    }
}

impl Default for SystemProbe {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl GpuProbe for SystemProbe {
    async fn detect(&self) -> Result<GpuStack, Error> {
        let mut notes = Vec::new();
        let mut is_broken = false;
        for source in &self.sources {
            match source.detect().await {
                Ok(mut stack) if !stack.gpus.is_empty() => {
                    notes.append(&mut stack.notes);
                    stack.notes = notes;
                    return Ok(stack);
                }
                Ok(mut stack) => notes.append(&mut stack.notes),
                Err(error) => {
                    notes.push(format!("{error:#}"));
                    is_broken = true;
                }
            }
        }
        if is_broken {
            let text = format!("no GPU: {}", notes.join("; "));
            return Err(Error::new(ErrorKind::Probe, text));
        }
        let mut stack = GpuStack::new("nobody");
        stack.notes = notes;
        Ok(stack)
    }
}
