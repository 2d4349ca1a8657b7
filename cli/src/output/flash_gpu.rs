//! Whether a GPU is warm, and what made it so.

use flash_gpu::{Artifacts, Check, GpuStack, MemoryUse, Outcome, Report, Warmth};
use serde_json::Value;

use super::human::{bytes, count};
use super::json::{value, with};
use super::table::Table;

pub(crate) fn report(report: &Report) -> String {
    let outcome = match report.outcome {
        Outcome::AlreadyWarm => format!("since {}; nothing was run", report.warmed_at),
        _ => "now".to_owned(),
    };
    let mut table = Table::default();
    table
        .row(
            "tool",
            format!("{} {}", report.tool_id, report.tool_version),
        )
        .row("warm", outcome)
        .row("gpu", format!("{} (by {})", report.gpu.name, report.source));
    versions(
        &mut table,
        report.driver_version.as_ref(),
        report.cuda_version.as_ref(),
    );
    let durations = &report.durations;
    let seconds =
        |milliseconds: u64| format!("{}.{:03} s", milliseconds / 1000, milliseconds % 1000);
    let has_run = report.outcome == Outcome::WarmedUp;
    table
        .row_if(has_run, "script", || seconds(durations.script_ms))
        .row_if(
            has_run && report.memory.peak.is_some(),
            "gpu memory",
            || memory(&report.memory),
        )
        .row("artifacts", artifacts(&report.artifacts))
        .row_if(report.artifacts.untouched > 0, "not kept", || {
            let files = count(report.artifacts.untouched, "file");
            format!("{files}, there before the script ran")
        })
        .row_if(report.put_back > 0, "put back", || {
            count(report.put_back, "file")
        })
        .row_if(!report.pruned.is_empty(), "pruned", || {
            count(report.pruned.len() as u64, "older warm-up")
        })
        .row_if(report.log.is_some(), "log", || {
            let log = report.log.as_deref();
            log.map_or_else(String::new, |log| log.display().to_string())
        })
        .row("took", seconds(durations.total_ms));
    table.text()
}

fn versions(table: &mut Table, driver: Option<&String>, cuda: Option<&String>) {
    for (name, version) in [("driver", driver), ("cuda", cuda)] {
        table.row_if(version.is_some(), name, || {
            version.cloned().unwrap_or_default()
        });
    }
}

fn memory(memory: &MemoryUse) -> String {
    let known = |count: Option<u64>| count.map_or_else(|| "unknown".to_owned(), bytes);
    format!(
        "{} before, {} at most, {} after",
        known(memory.before),
        known(memory.peak),
        known(memory.after)
    )
}

fn artifacts(artifacts: &Artifacts) -> String {
    let all = format!(
        "{} ({})",
        count(artifacts.count, "file"),
        bytes(artifacts.bytes)
    );
    let ways = [
        (artifacts.linked, "linked"),
        (artifacts.cloned, "cloned"),
        (artifacts.copied, "copied"),
    ];
    let ways: Vec<_> = ways
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, way)| format!("{count} {way}"))
        .collect();
    if ways.is_empty() {
        return all;
    }
    format!("{all}, {}", ways.join(", "))
}

pub(crate) fn check(check: &Check) -> String {
    let mut table = Table::default();
    table.row("tool", format!("{} {}", check.tool_id, check.tool_version));
    if let Some(stack) = &check.stack {
        gpus(&mut table, stack);
        // Why there is none is in the way, and said there.
        if !stack.gpus.is_empty() {
            table.rows("note", stack.notes.iter().cloned());
        }
        versions(
            &mut table,
            stack.driver_version.as_ref(),
            stack.cuda_version.as_ref(),
        );
    }
    let needs = [("CUDA", &check.cuda_min), ("Python", &check.python_min)];
    let needs = needs.into_iter().filter_map(|(what, least)| {
        let least = least.as_ref()?;
        Some(format!("{what} {least} or newer"))
    });
    table.rows("needs", needs.collect::<Vec<_>>().into_iter());
    if let Some(python) = &check.python {
        let (program, version) = (python.program.display(), &python.version);
        table.row("python", format!("{program} ({version})"));
    }
    let warmth = match &check.warmth {
        Warmth::Warm { since } => format!("since {since}"),
        Warmth::Cold { reason } => format!("no: {reason}"),
        _ => "unknown".to_owned(),
    };
    table.row("warm", warmth);
    let obstacles = check.obstacles.iter();
    table.rows(
        "in the way",
        obstacles.map(|obstacle| obstacle.message.clone()),
    );
    table.text()
}

fn gpus(table: &mut Table, stack: &GpuStack) {
    let named = stack.gpus.iter().map(|gpu| {
        let memory = match (gpu.memory_used, gpu.memory_total) {
            (Some(used), Some(total)) => format!(", {} of {} in use", bytes(used), bytes(total)),
            (None, Some(total)) => format!(", {}", bytes(total)),
            _ => String::new(),
        };
        format!("{}: {} ({}{memory})", gpu.index, gpu.name, gpu.backend)
    });
    table.rows("gpu", named);
}

pub(crate) fn check_json(check: &Check) -> Value {
    let check = with(value(check), "ready", check.is_ready().into());
    with(check, "dry_run", true.into())
}
