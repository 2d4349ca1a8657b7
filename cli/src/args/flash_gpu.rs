//! `lockstep flash-gpu`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use flash_gpu::GpuChoice;

use super::{Place, seconds};

const EXAMPLES: &str = "\
Examples:
  lockstep flash-gpu --root /srv/sketcher
  lockstep flash-gpu --root /srv/sketcher --dry-run      # what is there, what is missing, is it warm?
  lockstep flash-gpu --root /srv/sketcher --gpu 1 --python /usr/bin/python3.11 --deadline 1800";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct FlashGpu {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The GPU to warm up, by its number or UUID; without, the first.
    #[arg(long, value_name = "NUMBER|UUID", value_parser = choice)]
    pub(crate) gpu: Option<GpuChoice>,
    /// The Python for a tool that has neither venv/ nor .venv/.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) python: Option<PathBuf>,
    /// How long the script may take.
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    pub(crate) deadline: Duration,
    /// Run the script though the release is warm.
    #[arg(long)]
    pub(crate) again: bool,
    /// Hash every kept artifact, instead of trusting size and time.
    #[arg(long)]
    pub(crate) hash: bool,
    /// For how many other releases, drivers and GPUs to keep artifacts.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) keep: usize,
    /// Do not show what the script prints.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Only say what is there, what is in the way, and whether the release is warm. Exits with 1 if something is in the way.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

fn choice(text: &str) -> Result<GpuChoice, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = text
            .parse()
            .map_err(|_| "there is no such GPU".to_owned())?;
        return Ok(GpuChoice::Index(number));
    }
    Ok(GpuChoice::Uuid(text.to_owned()))
}
