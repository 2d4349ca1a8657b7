use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use subprocess::{CancellationToken, Command, Failed, Ran, Until};

use super::GpuProbe;
use super::parse::{FIELDS, OLD_FIELDS, cuda_version, driver_version, gpus};
use crate::{Error, ErrorKind, GpuStack};

const SOURCE: &str = "nvidia-smi";
/// Where WSL keeps it, which is not on everybody's `PATH`.
const IN_WSL: &str = "/usr/lib/wsl/lib/nvidia-smi";
/// Without the persistence mode, the driver is set up anew for each question: seconds for each GPU.
const DEADLINE: Duration = Duration::from_mins(1);
const MAX_OUTPUT: usize = 1 << 20;
const SHOWN_OUTPUT: usize = 500;

/// NVIDIA's `nvidia-smi` program.
///
/// It is asked for a table of the GPUs, and for its own page, whose head says which CUDA the driver supports. What it does not
/// tell (`[N/A]`) is not known. For a GPU that is partitioned (MIG), the memory is that of the whole GPU.
#[derive(Clone, Debug)]
pub struct NvidiaSmi {
    program: PathBuf,
    fallback: Option<PathBuf>,
    deadline: Duration,
}

impl NvidiaSmi {
    /// The program at a path, or by a name that the operating system looks up.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            fallback: None,
            deadline: DEADLINE,
        }
    }

    /// How long it may take to answer one question. Default: a minute.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    async fn run(&self, program: &Path, arguments: &[String]) -> Result<Ran, Failed> {
        let until = Until::cancelled(&CancellationToken::new()).or_after(self.deadline);
        let mut command = Command::new(program);
        // Its numbers have no thousands separators, and its words are the ones that are looked for.
        command.args(arguments).env("LC_ALL", "C");
        subprocess::run(&mut command, MAX_OUTPUT, &until).await
    }

    /// Asks for the table; with fewer columns if the program is too old for some.
    async fn table(&self, program: &Path) -> Result<(Ran, &'static [&'static str]), Failed> {
        let query = |fields: &[&str]| {
            [
                format!("--query-gpu={}", fields.join(",")),
                "--format=csv,noheader,nounits".to_owned(),
            ]
        };
        let ran = self.run(program, &query(FIELDS)).await?;
        if !ran.status.success() && said(&ran).contains("not a valid field") {
            let ran = self.run(program, &query(OLD_FIELDS)).await?;
            return Ok((ran, OLD_FIELDS));
        }
        Ok((ran, FIELDS))
    }

    async fn ask(&self, program: &Path) -> Result<GpuStack, NoAnswer> {
        let (ran, fields) = self.table(program).await?;
        let said = said(&ran);
        if said.contains("No devices were found") {
            return Ok(GpuStack::new(SOURCE).with_note(format!("{SOURCE}: no devices were found")));
        }
        let mut stack = GpuStack::new(SOURCE);
        let read = gpus(&said, fields, &mut stack);
        // One lost GPU is a failure for it, though it lists the others.
        if !ran.status.success() && stack.gpus.is_empty() {
            let text = format!("{SOURCE} ended with {}: {}", ran.status, words(&ran));
            return Err(NoAnswer::Useless(text));
        }
        read.map_err(NoAnswer::Useless)?;
        match self.run(program, &[]).await {
            Ok(page) if page.status.success() => {
                let page = String::from_utf8_lossy(&page.stdout);
                stack.cuda_version = cuda_version(&page);
                if stack.driver_version.is_none() {
                    stack.driver_version = driver_version(&page);
                }
            }
            Ok(page) => stack.notes.push(format!("{SOURCE}: {}", words(&page))),
            Err(failed) => stack.notes.push(format!("{SOURCE}: {failed}")),
        }
        if stack.cuda_version.is_none() && !stack.gpus.is_empty() {
            let note = format!("{SOURCE} does not say which CUDA the driver supports");
            stack.notes.push(note);
        }
        Ok(stack)
    }
}

/// Why there is no answer.
enum NoAnswer {
    Run(Failed),
    Useless(String),
}

impl From<Failed> for NoAnswer {
    fn from(failed: Failed) -> Self {
        Self::Run(failed)
    }
}

fn said(ran: &Ran) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&ran.stdout), ran.stderr)
}

fn words(ran: &Ran) -> String {
    let words = ran.last_words(SHOWN_OUTPUT);
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Default for NvidiaSmi {
    /// The one that the operating system finds, else WSL's.
    fn default() -> Self {
        Self {
            fallback: Some(IN_WSL.into()),
            ..Self::new(SOURCE)
        }
    }
}

#[async_trait]
impl GpuProbe for NvidiaSmi {
    async fn detect(&self) -> Result<GpuStack, Error> {
        for program in std::iter::once(&self.program).chain(&self.fallback) {
            match self.ask(program).await {
                Ok(stack) => return Ok(stack),
                Err(NoAnswer::Run(Failed::Start(error)))
                    if error.kind() == io::ErrorKind::NotFound => {}
                Err(NoAnswer::Run(failed)) => {
                    let text = format!("{SOURCE} gave no answer");
                    return Err(Error::new(ErrorKind::Probe, text).with_source(failed));
                }
                Err(NoAnswer::Useless(text)) => return Err(Error::new(ErrorKind::Probe, text)),
            }
        }
        Ok(GpuStack::new(SOURCE).with_note(format!("{SOURCE}: not installed")))
    }
}
