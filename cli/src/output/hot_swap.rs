//! What a swap did, or would do.

use std::fmt::Write as _;
use std::path::Path;

use hot_swap::{Backup, Cleaned, Outcome, Plan, Report};
use serde_json::Value;

use super::human::{bytes, count};
use super::json::{value, with};
use super::table::Table;

pub(crate) fn report(report: &Report) -> String {
    let mut table = Table::default();
    table
        .row("target", report.target.display().to_string())
        .row_if(report.service.is_some(), "service", || {
            report.service.clone().unwrap_or_default()
        });
    let digest = |digest: &Option<hot_swap::Sha256Digest>| match digest {
        Some(digest) => digest.to_string(),
        None => "nothing".to_owned(),
    };
    let is_swapped = report.outcome == Outcome::Swapped;
    table
        .row_if(is_swapped, "before", || digest(&report.old))
        .row(
            if is_swapped { "now" } else { "unchanged" },
            digest(&report.new),
        )
        .row_if(report.release.is_some(), "release", || {
            report.release.clone().unwrap_or_default()
        })
        .row_if(report.version.is_some(), "version", || {
            let version = report.version.as_deref().unwrap_or_default();
            version.lines().next().unwrap_or_default().to_owned()
        })
        .row_if(report.backup.is_some(), "backup", || {
            let backup = report.backup.as_deref().unwrap_or(Path::new(""));
            backup.display().to_string()
        })
        .row("took", format!("{:.2} s", report.took().as_secs_f64()));
    table.text()
}

pub(crate) fn plan(plan: &Plan) -> String {
    let mut text = format!("{plan}\n");
    if let Some(found) = &plan.found {
        let _ = writeln!(text, "  {found}");
    }
    if !plan.is_unchanged() {
        for step in &plan.steps {
            let _ = writeln!(text, "  {step}");
        }
    }
    text
}

pub(crate) fn plan_json(plan: &Plan) -> Value {
    let plan = with(value(plan), "unchanged", plan.is_unchanged().into());
    with(plan, "dry_run", true.into())
}

pub(crate) fn backups(backups: &[Backup], folder: &Path) -> String {
    let mut text = String::new();
    for backup in backups {
        let Backup {
            name, time, size, ..
        } = backup;
        let _ = writeln!(text, "{time}  {:>10}  {name}", bytes(*size));
    }
    let _ = match backups {
        [] => writeln!(text, "no backups"),
        _ => writeln!(text, "in {}", folder.join("backups").display()),
    };
    text
}

pub(crate) fn cleaned(cleaned: &Cleaned, is_dry_run: bool) -> String {
    let mut text = String::new();
    for backup in &cleaned.deleted {
        let what = if is_dry_run {
            "would delete"
        } else {
            "deleted"
        };
        let _ = writeln!(text, "{what} {}", backup.name);
    }
    let _ = writeln!(text, "{} kept", count(cleaned.kept.len() as u64, "backup"));
    text
}
