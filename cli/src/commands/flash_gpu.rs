//! `lockstep flash-gpu`.

use flash_gpu::{ArtifactCheck, ErrorKind, Event, Obstacle, Rerun};

use crate::args::flash_gpu::FlashGpu;
use crate::exit::{Exit, Failure};
use crate::output::{self, Reply, flash_gpu as shown, json};
use crate::signals;

pub(crate) async fn run(arguments: FlashGpu) -> Result<Reply, Failure> {
    let cancel = signals::cancellation(signals::STOPPING)?;
    let flash = flash(&arguments);
    if arguments.dry_run {
        let check = flash.check(&cancel).await?;
        let wants_none = |obstacle: &Obstacle| obstacle.kind == ErrorKind::NotConfigured;
        let exit = if check.is_ready() || check.obstacles.iter().any(wants_none) {
            Exit::Done
        } else {
            Exit::Failed
        };
        return Ok(Reply::report(&shown::check(&check), shown::check_json(&check)).with_exit(exit));
    }
    let report = match flash.warm_up(&cancel).await {
        Ok(report) => report,
        // Over a fleet of tools, one without a warm-up is none that failed.
        Err(error) if error.kind() == ErrorKind::NotConfigured => {
            let reason = error.to_string();
            let json = serde_json::json!({"outcome": "not_configured", "reason": reason});
            return Ok(Reply::report(&format!("nothing to do: {reason}\n"), json));
        }
        Err(error) => {
            let mut failure = Failure::from(error);
            if let (Some(progress), false) = (&mut failure.progress, arguments.quiet) {
                progress.last_lines.clear(); // they were shown as they came
            }
            return Err(failure);
        }
    };
    Ok(Reply::report(&shown::report(&report), json::value(&report))
        .with_warnings(report.warnings.clone()))
}

fn flash(arguments: &FlashGpu) -> flash_gpu::FlashGpu {
    let (rerun, check) = (
        if arguments.again {
            Rerun::Always
        } else {
            Rerun::IfCold
        },
        if arguments.hash {
            ArtifactCheck::Hashes
        } else {
            ArtifactCheck::Times
        },
    );
    let mut flash = flash_gpu::FlashGpu::new(&arguments.place.root)
        .with_deadline(arguments.deadline)
        .with_rerun(rerun)
        .with_artifact_check(check)
        .with_keep(arguments.keep);
    if let Some(gpu) = &arguments.gpu {
        flash = flash.with_gpu(gpu.clone());
    }
    if let Some(python) = &arguments.python {
        flash = flash.with_interpreter(python);
    }
    if arguments.quiet {
        flash
    } else {
        flash.with_observer(hear)
    }
}

fn hear(event: &Event) {
    if let Event::GpuFound { .. } | Event::Line(_) = event {
        output::note(&event.to_string());
    }
}
