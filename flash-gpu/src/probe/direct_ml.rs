use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::GpuProbe;
use crate::blocking::blocking;
use crate::{Backend, Error, Gpu, GpuStack, Vendor};

const SOURCE: &str = "DirectML";
const WINDOWS_LIBRARY: &str = "System32/DirectML.dll";
/// The device by which WSL reaches the GPUs of Windows.
const WSL_DEVICE: &str = "dev/dxg";
/// DirectML itself, or the DirectX 12 on which the one that a program brings runs.
const WSL_LIBRARIES: [&str; 2] = [
    "usr/lib/wsl/lib/libdirectml.so",
    "usr/lib/wsl/lib/libd3d12.so",
];

/// Microsoft's DirectML, by what lies where it is installed.
///
/// It says that programs can compute through DirectML, and no more: neither the model of the GPU, nor its memory, nor the driver.
#[derive(Clone, Debug)]
pub struct DirectMlProbe {
    root: PathBuf,
    windows: PathBuf,
}

impl DirectMlProbe {
    /// Looks in `C:\Windows`, and in `/` for WSL.
    #[must_use]
    pub fn new() -> Self {
        Self {
            root: "/".into(),
            windows: r"C:\Windows".into(),
        }
    }

    /// `dev/` and `usr/` below another folder than `/`: for tests.
    #[must_use]
    pub fn with_root(mut self, root: impl Into<PathBuf>) -> Self {
        self.root = root.into();
        self
    }

    /// Where Windows is installed, if it is not in `C:\Windows`.
    #[must_use]
    pub fn with_windows(mut self, folder: impl Into<PathBuf>) -> Self {
        self.windows = folder.into();
        self
    }

    fn find(&self) -> Option<PathBuf> {
        let exists = |path: PathBuf| path.exists().then_some(path);
        let in_wsl = || {
            exists(self.root.join(WSL_DEVICE))?;
            let mut libraries = WSL_LIBRARIES.iter();
            libraries.find_map(|library| exists(self.root.join(library)))
        };
        exists(self.windows.join(Path::new(WINDOWS_LIBRARY))).or_else(in_wsl)
    }
}

impl Default for DirectMlProbe {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl GpuProbe for DirectMlProbe {
    async fn detect(&self) -> Result<GpuStack, Error> {
        let probe = self.clone();
        blocking(move || {
            let stack = GpuStack::new(SOURCE);
            Ok(match probe.find() {
                None => stack.with_note("DirectML: not installed"),
                Some(library) => {
                    let gpu = Gpu::new(0, Vendor::Unknown, Backend::DirectMl, "DirectML device");
                    let note = format!(
                        "DirectML is there ({}); it does not tell the GPU's model, memory and driver",
                        library.display()
                    );
                    stack.with_gpu(gpu).with_note(note)
                }
            })
        })
        .await
    }
}
