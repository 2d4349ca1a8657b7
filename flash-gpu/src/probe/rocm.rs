use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::GpuProbe;
use crate::blocking::blocking;
use crate::{Backend, Error, ErrorKind, Gpu, GpuStack, Vendor};

const SOURCE: &str = "KFD";
/// <https://docs.kernel.org/gpu/amdgpu/>: what AMD's compute driver says of each of its nodes.
const NODES: &str = "sys/class/kfd/kfd/topology/nodes";
const MAX_FILE: u64 = 64 * 1024;
/// Heaps that are the GPU's own memory (`HSA_HEAPTYPE_FRAME_BUFFER_PUBLIC` and `_PRIVATE`).
const OWN_HEAPS: [&str; 2] = ["1", "2"];

/// AMD's compute driver in the Linux kernel, by what it says in `/sys`. No program is needed.
///
/// Not known is whether the ROCm libraries that a program brings fit the driver. A driver that came with the kernel has no version
/// of its own; then the kernel's is taken.
#[derive(Clone, Debug)]
pub struct RocmProbe {
    root: PathBuf,
}

impl RocmProbe {
    /// The running kernel's.
    #[must_use]
    pub fn new() -> Self {
        Self { root: "/".into() }
    }

    /// `sys/` and `proc/` below another folder than `/`: for tests.
    #[must_use]
    pub fn with_root(mut self, root: impl Into<PathBuf>) -> Self {
        self.root = root.into();
        self
    }
}

impl Default for RocmProbe {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl GpuProbe for RocmProbe {
    async fn detect(&self) -> Result<GpuStack, Error> {
        let root = self.root.clone();
        blocking(move || detect(&root)).await
    }
}

fn detect(root: &Path) -> Result<GpuStack, Error> {
    let stack = GpuStack::new(SOURCE);
    let folder = root.join(NODES);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(stack.with_note("ROCm: AMD's compute driver (KFD) is not loaded"));
        }
        entries => entries.map_err(|error| {
            Error::new(
                ErrorKind::Probe,
                "ROCm: AMD's compute driver cannot be asked",
            )
            .with_source(error)
        })?,
    };
    let mut nodes: Vec<u32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    nodes.sort_unstable();
    let mut stack = stack;
    for node in nodes {
        let node = folder.join(node.to_string());
        // A GPU that this container or user may not use has properties that are empty or cannot be read.
        if let Some(properties) = read(&node.join("properties")).map(Properties)
            && properties
                .number("simd_count")
                .is_some_and(|count| count > 0)
        {
            let index = stack.gpus.len() as u32;
            stack.gpus.push(gpu(root, &node, &properties, index));
        }
    }
    if stack.gpus.is_empty() {
        return Ok(stack.with_note("ROCm: AMD's compute driver (KFD) knows no GPU"));
    }
    stack.driver_version = match read_line(&root.join("sys/module/amdgpu/version")) {
        Some(version) => Some(version),
        None => read_line(&root.join("proc/sys/kernel/osrelease"))
            .map(|kernel| format!("of kernel {kernel}")),
    };
    Ok(stack)
}

fn gpu(root: &Path, node: &Path, properties: &Properties, index: u32) -> Gpu {
    let device = properties
        .number("drm_render_minor")
        .map(|minor| root.join(format!("sys/class/drm/renderD{minor}/device")));
    let of_device = |name: &str| device.as_ref().and_then(|at| read_line(&at.join(name)));
    let architecture = properties
        .number("gfx_target_version")
        .filter(|version| *version > 0)
        .map(architecture);
    let name = of_device("product_name")
        .or_else(|| read_line(&node.join("name")))
        .or_else(|| architecture.clone())
        .unwrap_or_else(|| "unknown".into());
    let mut gpu = Gpu::new(index, Vendor::Amd, Backend::Rocm, name);
    gpu.uuid = properties
        .number("unique_id")
        .filter(|id| *id != 0)
        .map(|id| format!("GPU-{id:016x}"));
    gpu.memory_total = of_device("mem_info_vram_total")
        .and_then(|bytes| bytes.parse().ok())
        .or_else(|| own_memory(node));
    gpu.memory_used = of_device("mem_info_vram_used").and_then(|bytes| bytes.parse().ok());
    gpu.architecture = architecture;
    gpu
}

/// `gfx90a` of 90010, `gfx1100` of 110000: major, minor and step, the last two in hexadecimal.
fn architecture(version: u64) -> String {
    let (major, minor, step) = (version / 10_000, version / 100 % 100, version % 100);
    format!("gfx{major}{minor:x}{step:x}")
}

/// Where the display driver does not tell: what the compute driver says of its memory banks.
fn own_memory(node: &Path) -> Option<u64> {
    let banks = fs::read_dir(node.join("mem_banks")).ok()?;
    let own = banks.filter_map(|bank| {
        let bank = Properties(read(&bank.ok()?.path().join("properties"))?);
        let heap = bank.text("heap_type")?;
        OWN_HEAPS
            .contains(&heap)
            .then(|| bank.number("size_in_bytes"))
            .flatten()
    });
    Some(own.sum()).filter(|bytes| *bytes > 0)
}

/// Lines of a name and a value.
struct Properties(String);

impl Properties {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| {
            let (key, value) = line.split_once(' ')?;
            (key == name).then_some(value.trim())
        })
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    let file = fs::File::open(path).ok()?;
    file.take(MAX_FILE).read_to_string(&mut text).ok()?;
    Some(text)
}

fn read_line(path: &Path) -> Option<String> {
    let text = read(path)?;
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_architecture_has_amds_name() {
        for (version, name) in [
            (90_000, "gfx900"),
            (90_010, "gfx90a"),
            (90_402, "gfx942"),
            (100_302, "gfx1032"),
            (110_000, "gfx1100"),
            (120_001, "gfx1201"),
        ] {
            assert_eq!(architecture(version), name);
        }
    }
}
