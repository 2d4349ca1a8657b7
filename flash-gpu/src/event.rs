use std::fmt;

use serde::Serialize;

use crate::Gpu;

/// What a running warm-up is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// Asking for the GPUs and for the Python, and comparing them with what the release needs.
    Probing,
    /// Looking whether what an earlier warm-up kept is still whole, and putting back what is missing.
    CheckingArtifacts,
    /// Running the script.
    RunningScript,
    /// Keeping what the script left.
    Collecting,
    /// Deleting what was kept for other releases, drivers or GPUs.
    Pruning,
}

/// In words: `running the script`.
impl fmt::Display for Phase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Probing => "looking for the GPU",
            Self::CheckingArtifacts => "checking what was kept",
            Self::RunningScript => "running the script",
            Self::Collecting => "keeping the artifacts",
            Self::Pruning => "cleaning up",
        })
    }
}

/// What happens during a warm-up, as it happens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Another phase begins.
    Phase(Phase),
    /// This is the GPU.
    GpuFound(Gpu),
    /// The script printed a line, to stdout or stderr.
    Line(String),
    /// So many bytes of the GPU's memory are in use while the script runs.
    MemoryUsed(u64),
    /// Something that is not an error but that a person should know.
    Warning(String),
}

/// One line for a log.
impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Phase(phase) => phase.fmt(formatter),
            Self::GpuFound(gpu) => formatter.pad(&gpu.to_string()),
            Self::Line(line) => formatter.pad(line),
            Self::MemoryUsed(bytes) => {
                formatter.pad(&format!("{} MiB of GPU memory in use", bytes >> 20))
            }
            Self::Warning(text) => formatter.pad(&format!("warning: {text}")),
        }
    }
}

/// Hears the [`Event`]s of a warm-up. Called from several threads: it must be quick. Implemented by every `Fn(&Event)`.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn notify(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync> Observer for F {
    fn notify(&self, event: &Event) {
        self(event);
    }
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Silent;

impl Observer for Silent {
    fn notify(&self, _: &Event) {}
}
