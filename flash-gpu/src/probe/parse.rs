//! What `nvidia-smi` prints.

use crate::{Backend, Gpu, GpuStack, Vendor};

/// What is asked for. The name is the second column, so that a comma in it could be told from the others.
pub(super) const FIELDS: &[&str] = &[
    "index",
    "name",
    "uuid",
    "memory.total",
    "memory.used",
    "driver_version",
    "compute_cap",
    "mig.mode.current",
];
/// What programs before driver 470 know.
pub(super) const OLD_FIELDS: &[&str] = FIELDS.split_at(6).0;

/// Bytes of a line, and lines, that are shown if they are no GPUs.
const SHOWN: usize = 200;
const SHOWN_LINES: usize = 10;

/// Reads the table. A line that is about a lost GPU is a note, as long as there are others.
pub(super) fn gpus(text: &str, fields: &[&str], stack: &mut GpuStack) -> Result<(), String> {
    let mut strange = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match row(line, fields) {
            Some(row) => {
                if stack.driver_version.is_none() {
                    stack.driver_version = row.driver;
                }
                if row.is_partitioned {
                    stack.notes.push(format!(
                        "GPU {} is partitioned (MIG): its memory is that of the whole GPU",
                        row.gpu.index
                    ));
                }
                stack.gpus.push(row.gpu);
            }
            None if strange.len() < SHOWN_LINES => {
                strange.push(subprocess::end_of(line.trim(), SHOWN).to_owned());
            }
            None => {}
        }
    }
    if stack.gpus.is_empty() {
        return Err(match strange.first() {
            Some(line) => format!("nvidia-smi printed no list of GPUs, but {line:?}"),
            None => "nvidia-smi printed nothing".into(),
        });
    }
    let notes = strange
        .into_iter()
        .map(|line| format!("nvidia-smi: {line}"));
    stack.notes.extend(notes);
    Ok(())
}

struct Row {
    gpu: Gpu,
    driver: Option<String>,
    is_partitioned: bool,
}

fn row(line: &str, fields: &[&str]) -> Option<Row> {
    let (index, rest) = line.split_once(',')?;
    let mut values: Vec<&str> = rest.rsplitn(fields.len() - 1, ',').collect();
    values.reverse();
    if values.len() != fields.len() - 1 {
        return None;
    }
    let column = |name: &str| {
        let at = fields.iter().position(|field| *field == name)?;
        known(values.get(at.checked_sub(1)?)?)
    };
    let mut gpu = Gpu::new(
        index.trim().parse().ok()?,
        Vendor::Nvidia,
        Backend::Cuda,
        column("name")?,
    );
    gpu.uuid = column("uuid").map(str::to_owned);
    gpu.memory_total = column("memory.total").and_then(mebibytes);
    gpu.memory_used = column("memory.used").and_then(mebibytes);
    gpu.architecture = column("compute_cap").map(str::to_owned);
    Some(Row {
        gpu,
        driver: column("driver_version").map(str::to_owned),
        is_partitioned: column("mig.mode.current") == Some("Enabled"),
    })
}

/// A value, unless it says that there is none: `[N/A]`, `[Not Supported]`, `[Unknown Error]`, `N/A`.
fn known(text: &str) -> Option<&str> {
    let text = text.trim();
    (!text.is_empty() && !text.starts_with('[') && text != "N/A").then_some(text)
}

fn mebibytes(text: &str) -> Option<u64> {
    let number = text.strip_suffix("MiB").unwrap_or(text).trim();
    number.parse::<u64>().ok()?.checked_mul(1 << 20)
}

/// `CUDA Version: 12.2` of the page's head or of `-q`; `CUDA UMD Version` since driver 610.
pub(super) fn cuda_version(page: &str) -> Option<String> {
    ["CUDA UMD Version", "CUDA Version"]
        .iter()
        .find_map(|label| labelled(page, label))
}

pub(super) fn driver_version(page: &str) -> Option<String> {
    ["KMD Version", "Driver Version"]
        .iter()
        .find_map(|label| labelled(page, label))
}

/// The version that follows a label, if it is one.
fn labelled(page: &str, label: &str) -> Option<String> {
    let (_, after) = page.split_once(label)?;
    let value = after.trim_start().strip_prefix(':')?.trim_start();
    let value = value.split_whitespace().next()?;
    value
        .starts_with(|character: char| character.is_ascii_digit())
        .then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(text: &str) -> GpuStack {
        let mut stack = GpuStack::new("test");
        gpus(text, FIELDS, &mut stack).unwrap();
        stack
    }

    #[test]
    fn one_gpu() {
        let stack = stack(
            "0, NVIDIA GeForce RTX 4090, GPU-8f6d1a4e-6b2f-7f0c-9a55-0d2f8a3b1c4d, 24564, 1203, 535.104.05, 8.9, [N/A]\n",
        );
        let gpu = Gpu::new(0, Vendor::Nvidia, Backend::Cuda, "NVIDIA GeForce RTX 4090")
            .with_uuid("GPU-8f6d1a4e-6b2f-7f0c-9a55-0d2f8a3b1c4d")
            .with_memory(24_564 << 20, 1_203 << 20)
            .with_architecture("8.9");
        assert_eq!(stack.gpus, [gpu]);
        assert_eq!(stack.driver_version.as_deref(), Some("535.104.05"));
        assert_eq!(stack.notes, [""; 0]);
    }

    #[test]
    fn what_is_not_told_is_not_known() {
        let stack = stack(
            "0, Tesla K80, GPU-1, 11441, [Not Supported], 470.256.02, 3.7, [Not Supported]\r\n\
             1, NVIDIA GB10, GPU-2, [N/A], [N/A], 580.95.05, 12.1, Disabled\r\n\
             2, Odd, [Unknown Error], [Insufficient Permissions], N/A, [GPU requires reset], , \r\n",
        );
        assert_eq!(stack.gpus.len(), 3);
        let [k80, gb10, odd] = &*stack.gpus else {
            panic!()
        };
        assert_eq!(
            (k80.memory_total, k80.memory_used),
            (Some(11_441 << 20), None)
        );
        assert_eq!((gb10.memory_total, gb10.memory_used), (None, None));
        assert_eq!(gb10.architecture.as_deref(), Some("12.1"));
        assert_eq!((&odd.uuid, &odd.architecture), (&None, &None));
    }

    #[test]
    fn a_partitioned_gpu_is_noted() {
        let stack = stack(
            "0, NVIDIA A100-SXM4-40GB, GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77, 40960, 1, 525.85.12, 8.0, Enabled\n\
             1, NVIDIA A100-SXM4-40GB, GPU-6d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77, 40960, 1, 525.85.12, 8.0, Disabled\n",
        );
        assert_eq!(stack.gpus.len(), 2);
        assert_eq!(stack.notes.len(), 1);
        assert!(
            stack.notes[0].starts_with("GPU 0 is partitioned"),
            "{:?}",
            stack.notes
        );
    }

    #[test]
    fn a_name_may_hold_a_comma() {
        let stack = stack("3, Card, special, GPU-3, 10, 1, 555.42, 7.5, N/A");
        assert_eq!(
            (stack.gpus[0].index, &*stack.gpus[0].name),
            (3, "Card, special")
        );
    }

    #[test]
    fn a_lost_gpu_does_not_hide_the_others() {
        let lost = "Unable to determine the device handle for GPU0000:41:00.0: Unknown Error";
        let row = "1, NVIDIA L4, GPU-4, 23034, 0, 550.54.15, 8.9, [N/A]";
        let stack = stack(&format!("{lost}\n{row}\n"));
        assert_eq!(stack.gpus.len(), 1);
        assert_eq!(stack.notes, [format!("nvidia-smi: {lost}")]);
        let alone = gpus(lost, FIELDS, &mut GpuStack::new("test")).unwrap_err();
        assert!(alone.contains("Unable to determine"), "{alone}");
        assert!(gpus(" \n", FIELDS, &mut GpuStack::new("test")).is_err());
    }

    #[test]
    fn old_programs_have_fewer_columns() {
        let mut stack = GpuStack::new("test");
        gpus(
            "0, Quadro M1000M, GPU-7, 2002, 500, 450.57",
            OLD_FIELDS,
            &mut stack,
        )
        .unwrap();
        assert_eq!(stack.driver_version.as_deref(), Some("450.57"));
        assert_eq!(stack.gpus[0].architecture, None);
    }

    #[test]
    fn the_head_of_every_driver_says_which_cuda() {
        for (head, driver, cuda) in [
            (
                "| NVIDIA-SMI 470.256.02   Driver Version: 470.256.02   CUDA Version: 11.4     |",
                "470.256.02",
                Some("11.4"),
            ),
            (
                "| NVIDIA-SMI 535.104.05             Driver Version: 535.104.05   CUDA Version: 12.2     |",
                "535.104.05",
                Some("12.2"),
            ),
            (
                "| NVIDIA-SMI 550.40.07              Driver Version: 550.40.07      CUDA Version: 12.4     |",
                "550.40.07",
                Some("12.4"),
            ),
            (
                "| NVIDIA-SMI 580.95.05              Driver Version: 580.95.05      CUDA Version: 13.0     |",
                "580.95.05",
                Some("13.0"),
            ),
            (
                "| NVIDIA-SMI 610.43.02              KMD Version: 610.43.02     CUDA UMD Version: 13.3     |",
                "610.43.02",
                Some("13.3"),
            ),
            // In a container without libcuda.
            (
                "| NVIDIA-SMI 525.85.12    Driver Version: 525.85.12    CUDA Version: N/A      |",
                "525.85.12",
                None,
            ),
            (
                "| NVIDIA-SMI 525.85.12    Driver Version: 525.85.12    CUDA Version: ERR!     |",
                "525.85.12",
                None,
            ),
            // `-q`
            (
                "Driver Version                            : 560.35.03\nCUDA Version                              : 12.6\n",
                "560.35.03",
                Some("12.6"),
            ),
        ] {
            assert_eq!(cuda_version(head).as_deref(), cuda, "{head}");
            assert_eq!(driver_version(head).as_deref(), Some(driver), "{head}");
        }
        assert_eq!(cuda_version("CUDA Version"), None);
        assert_eq!(cuda_version(""), None);
    }
}
