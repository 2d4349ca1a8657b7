//! What do the examples share? A sample tool, and text for people.

use std::error::Error;
use std::fs;
use std::io;
use std::path::Path;

/// The code in the README and in the pages of `docs/` is compiled and run.
#[cfg(doctest)]
mod pages {
    macro_rules! pages {
        ($($name:ident: $path:literal,)*) => {
            $(#[doc = include_str!(concat!("../../", $path))] struct $name;)*
        };
    }

    pages! {
        Readme: "README.md",
        Comfy: "docs/comfy.md",
        FromThePythonUpdater: "docs/from-the-python-updater.md",
        FlashGpu: "docs/flash-gpu.md",
        HealthAndRollback: "docs/health-and-rollback.md",
        HotSwap: "docs/hot-swap.md",
        InstallFromZip: "docs/install-from-zip.md",
        ManifestOnly: "docs/manifest-only.md",
        OwnTransport: "docs/own-transport.md",
        ProgressAndStop: "docs/progress-and-stop.md",
        PublishFromCi: "docs/publish-from-ci.md",
        RunAWorker: "docs/run-a-worker.md",
        ServeReleases: "docs/serve-releases.md",
        TestWithoutNetwork: "docs/test-without-network.md",
        Troubleshooting: "docs/troubleshooting.md",
        UpdateATool: "docs/update-a-tool.md",
        VerifyAndRepair: "docs/verify-and-repair.md",
    }
}

/// Writes two releases of a sample tool into `old` and `new`. The second changes one small script, adds
/// one and removes one; its model of 64 MiB is the same.
///
/// # Errors
/// If the disk is full or not writable.
pub fn write_sample(old: &Path, new: &Path) -> io::Result<()> {
    // Varied bytes, so that no file system or network can make them smaller.
    let model: Vec<u8> = (0..64_u32 << 20)
        .map(|index| (index.wrapping_mul(0x9E37_79B1) >> 24) as u8)
        .collect();
    for (folder, version) in [(old, "1.0.0"), (new, "1.1.0")] {
        fs::create_dir_all(folder.join("models"))?;
        fs::write(folder.join("models/sketch.safetensors"), &model)?;
        fs::write(
            folder.join("tool.json"),
            format!("{{\"tool_id\": \"sketcher\", \"version\": \"{version}\"}}\n"),
        )?;
        fs::write(
            folder.join("run.py"),
            format!("print('sketcher {version}')\n"),
        )?;
    }
    fs::write(
        old.join("convert.py"),
        "print('only in the first release')\n",
    )?;
    fs::write(
        new.join("upscale.py"),
        "print('only in the second release')\n",
    )
}

/// `67108864` as `64.0 MiB`.
#[must_use]
pub fn human(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let power = (bytes.ilog2() / 10).min(4);
    let in_tenths = (u128::from(bytes) * 10) >> (10 * power);
    let (whole, tenths) = (in_tenths / 10, in_tenths % 10);
    format!("{whole}.{tenths} {}", units[power as usize - 1])
}

/// An error with its causes, one per line.
#[must_use]
pub fn explain(error: &dyn Error) -> String {
    let mut text = format!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str("\n  because: ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable() {
        let sizes = [0, 1023, 1024, 1_586, 64 << 20, (1 << 30) - 1, 5 << 40];
        let texts = sizes.map(human);
        let expected = [
            "0 B",
            "1023 B",
            "1.0 KiB",
            "1.5 KiB",
            "64.0 MiB",
            "1023.9 MiB",
            "5.0 TiB",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn an_error_is_shown_with_its_causes() {
        let cause = io::Error::other("no space");
        let error = io::Error::other(cause);
        assert!(explain(&error).starts_with("error: no space"));
    }
}
