//! Reports for people.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use indicatif::{HumanBytes, HumanDuration};
use manifest_core::{Difference, Problem};
use mirror::Published;
use updater::{
    Finding, HistoryEntry, HistoryEvent, Manifest, Plan, PrunePlan, PruneReport, ReleaseVersion,
    RepairReport, Report, RollbackReport, Status, VerifyReport,
};

use crate::exit::Failure;
use crate::output::table::Table;

pub(crate) fn bytes(count: u64) -> String {
    HumanBytes(count).to_string()
}

/// `1 file`, `2 files`, `1,234 files`.
pub(crate) fn count(count: u64, singular: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {singular}{plural}", indicatif::HumanCount(count))
}

fn duration(milliseconds: u64) -> String {
    if milliseconds < 1_000 {
        return format!("{milliseconds} ms");
    }
    if milliseconds < 60_000 {
        return format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100);
    }
    HumanDuration(Duration::from_millis(milliseconds)).to_string()
}

/// The error, its causes and what to do, one a line.
pub(crate) fn failure(failure: &Failure) -> String {
    let mut text = format!("error: {}", failure.message);
    for cause in &failure.causes {
        let _ = write!(text, "\n  caused by: {cause}");
    }
    let progress = failure.progress.as_ref();
    let last_lines = progress.map_or(&[][..], |progress| &progress.last_lines);
    if !last_lines.is_empty() {
        text.push_str("\nthe last lines that it said:");
    }
    for line in last_lines {
        let _ = write!(text, "\n  {line}");
    }
    if let Some(hint) = &failure.hint {
        let _ = write!(text, "\nhint: {hint}");
    }
    text
}

fn from_to(from: Option<&ReleaseVersion>, to: &ReleaseVersion) -> String {
    match from {
        None => format!("{to} (the first one here)"),
        Some(from) if from == to => format!("{to} (active already; every file was checked)"),
        Some(from) => format!("{from} → {to}"),
    }
}

fn list(versions: &[ReleaseVersion]) -> String {
    let versions: Vec<&str> = versions.iter().map(ReleaseVersion::as_str).collect();
    versions.join(", ")
}

/// `pinned` says whether a hash was asked for.
pub(crate) fn update(report: &Report, pinned: bool) -> String {
    let mut table = Table::default();
    let resumed = report.bytes_resumed;
    table
        .row("tool", report.tool_id.as_str())
        .row(
            "release",
            from_to(report.from_version.as_ref(), &report.to_version),
        )
        .row(
            "fetched",
            match resumed {
                0 => bytes(report.bytes_downloaded),
                _ => format!(
                    "{}, and {} before it was interrupted",
                    bytes(report.bytes_downloaded),
                    bytes(resumed)
                ),
            },
        )
        .row_if(report.bytes_from_archive > 0, "zip", || {
            format!(
                "{} read of it, directory and compressed files",
                bytes(report.bytes_from_archive)
            )
        })
        .row(
            "saved",
            format!(
                "{} of {} ({} reused)",
                bytes(report.bytes_saved),
                bytes(report.bytes_total),
                count(report.reused, "file")
            ),
        )
        .row_if(report.carried > 0, "yours", || {
            format!("{} carried over", count(report.carried, "file"))
        })
        .rows("kept", report.kept.iter().cloned())
        .row_if(report.pending_deletions > 0, "waiting", || {
            format!(
                "{} to be deleted by `lockstep prune`",
                count(report.pending_deletions, "file")
            )
        })
        .row_if(!report.removed_releases.is_empty(), "removed", || {
            format!(
                "release {}, too old to keep",
                list(&report.removed_releases)
            )
        })
        .row("took", duration(report.duration_ms));
    let verdict = match (report.matches_required(), pinned) {
        (true, true) => "is the required one".to_owned(),
        (true, false) => "is the manifest's".to_owned(),
        (false, _) => format!("is NOT the required {}", report.required_manifest_hash),
    };
    format!(
        "{}{report}\nmanifest hash {} {verdict}\n",
        table.text(),
        report.manifest_hash
    )
}

pub(crate) fn plan(plan: &Plan) -> String {
    if plan.up_to_date {
        return format!(
            "{} {} is active already; an update would check every file\nmanifest hash {}\n",
            plan.tool_id, plan.to_version, plan.manifest_hash
        );
    }
    let mut table = Table::default();
    table
        .row("tool", plan.tool_id.as_str())
        .row(
            "release",
            from_to(plan.from_version.as_ref(), &plan.to_version),
        )
        .rows(
            "download",
            plan.downloads.iter().map(|download| {
                let paths: Vec<&str> = download.paths.iter().map(AsRef::as_ref).collect();
                format!("{:>10}  {}", bytes(download.size), paths.join(" = "))
            }),
        )
        .rows("delete", plan.deletions.iter().cloned())
        .rows(
            "wait",
            plan.pending_deletions
                .iter()
                .map(|path| format!("{path} (deleted by `lockstep prune`)")),
        )
        .rows("carry", plan.carried.iter().cloned())
        .rows(
            "set aside",
            plan.shadowed
                .iter()
                .map(|path| format!("{path} (yours, but the release needs the name)")),
        )
        .row(
            "saved",
            format!("{} of {}", bytes(plan.bytes_saved), bytes(plan.bytes_total)),
        );
    format!(
        "{}would be {} downloaded ({}) / {} reused / {} deleted; nothing was changed\nmanifest hash {}\n",
        table.text(),
        plan.downloads.len(),
        bytes(plan.bytes_to_download),
        plan.reused,
        plan.deletions.len(),
        plan.manifest_hash
    )
}

pub(crate) fn status(root: &Path, status: &Status) -> String {
    let Some(active) = &status.active else {
        return format!("nothing is installed in {}\n", root.display());
    };
    let mut table = Table::default();
    table
        .row("root", root.display().to_string())
        .row("tool", active.tool_id.as_str())
        .row(
            "active",
            format!(
                "{} ({}, {}){}",
                active.version,
                count(active.files as u64, "file"),
                bytes(active.bytes),
                if active.on_trial {
                    ", on trial: update to it again with its health probe"
                } else {
                    ""
                }
            ),
        )
        .row(
            "rollback to",
            status
                .previous
                .as_ref()
                .map_or("none", ReleaseVersion::as_str),
        )
        .row("installed", list(&status.releases));
    if let Some(last) = &status.last_event {
        table.row("last", entry(last));
    }
    format!("{}manifest hash {}\n", table.text(), active.manifest_hash)
}

pub(crate) fn verify(report: &VerifyReport) -> String {
    let mut table = Table::default();
    table
        .row("release", format!("{} {}", report.tool_id, report.version))
        .rows("damaged", findings(&report.findings));
    format!(
        "{}{} verified / {} damaged\nmanifest hash {}\n",
        table.text(),
        report.verified,
        report.findings.len(),
        report.manifest_hash
    )
}

fn findings(findings: &[Finding]) -> impl ExactSizeIterator<Item = String> {
    findings
        .iter()
        .map(|finding| format!("{}: {}", finding.path, finding.problem))
}

pub(crate) fn repair(report: &RepairReport) -> String {
    let mut table = Table::default();
    table
        .row("release", report.version.as_str())
        .rows("repaired", findings(&report.repaired))
        .row("fetched", bytes(report.bytes_downloaded));
    format!(
        "{}{} repaired / {} intact\nmanifest hash {}\n",
        table.text(),
        report.repaired.len(),
        report.intact,
        report.manifest_hash
    )
}

pub(crate) fn rollback(report: &RollbackReport) -> String {
    let mut table = Table::default();
    table
        .row(
            "release",
            match &report.from_version {
                Some(from) if *from == report.to_version => format!("{from} (active already)"),
                from => from_to(from.as_ref(), &report.to_version),
            },
        )
        .row("verified", count(report.verified, "file"))
        .row_if(report.carried > 0, "yours", || {
            format!("{} carried over", count(report.carried, "file"))
        })
        .rows("kept", report.kept.iter().cloned());
    format!("{}manifest hash {}\n", table.text(), report.manifest_hash)
}

pub(crate) fn plan_prune(plan: &PrunePlan) -> String {
    if plan.releases.is_empty() && plan.deletions.is_empty() {
        return "nothing to prune\n".to_owned();
    }
    let mut table = Table::default();
    table
        .row_if(!plan.releases.is_empty(), "remove", || {
            format!("release {}", list(&plan.releases))
        })
        .rows("delete", plan.deletions.iter().cloned())
        .rows("keep", plan.kept.iter().cloned());
    format!(
        "{}would be {} removed / {} deleted / {} moved to .lockstep/kept; nothing was changed\n",
        table.text(),
        count(plan.releases.len() as u64, "release"),
        count(plan.deletions.len() as u64, "file"),
        count(plan.kept.len() as u64, "file")
    )
}

pub(crate) fn prune(report: &PruneReport) -> String {
    if report.removed_releases.is_empty() && report.deleted.is_empty() {
        return "nothing to prune\n".to_owned();
    }
    let mut table = Table::default();
    table
        .row_if(!report.removed_releases.is_empty(), "removed", || {
            format!("release {}", list(&report.removed_releases))
        })
        .rows("deleted", report.deleted.iter().cloned())
        .rows("kept", report.kept.iter().cloned());
    table.text()
}

pub(crate) fn history(entries: &[HistoryEntry]) -> String {
    if entries.is_empty() {
        return "nothing was done yet\n".to_owned();
    }
    entries
        .iter()
        .fold(String::new(), |text, line| text + &entry(line) + "\n")
}

fn entry(entry: &HistoryEntry) -> String {
    let event = match entry.event {
        HistoryEvent::Activated => "activated",
        HistoryEvent::RolledBack => "rolled back",
        HistoryEvent::Repaired => "repaired",
        HistoryEvent::Recovered => "recovered",
        HistoryEvent::Removed => "removed",
        HistoryEvent::Pruned => "pruned",
        HistoryEvent::Failed => "failed",
        _ => "changed",
    };
    let time = entry
        .time
        .split_once('.')
        .map_or(entry.time.trim_end_matches('Z'), |(seconds, _)| seconds);
    let mut text = format!("{time}Z  {event:11}  {}", entry.version);
    if let Some(from) = &entry.from_version {
        let _ = write!(text, " (from {from})");
    }
    if let Some(note) = &entry.note {
        let _ = write!(text, ": {note}");
    }
    text
}

pub(crate) fn published(manifest: &Manifest, published: &Published) -> String {
    let mut table = Table::default();
    table
        .row("release", release(manifest))
        .row(
            "stored",
            match published.new_blobs {
                0 if published.already_published => "nothing: it is published already".to_owned(),
                new => format!(
                    "{} in {}; {} known before",
                    bytes(published.bytes_written),
                    count(new as u64, "new content"),
                    count(published.reused_blobs as u64, "content")
                ),
            },
        )
        .row(
            "served as",
            format!(
                "{}/{}/manifest.json below the base URL that `lockstep serve` prints",
                manifest.tool_id(),
                manifest.tool_version()
            ),
        );
    format!(
        "{}manifest hash {}\n",
        table.text(),
        manifest.manifest_hash()
    )
}

pub(crate) fn invalid_manifest(file: &Path, problems: &[Problem]) -> String {
    let mut text = format!(
        "{}: {}\n",
        file.display(),
        count(problems.len() as u64, "problem")
    );
    for problem in problems {
        let place = match problem.pointer.as_str() {
            "" => "the document",
            pointer => pointer,
        };
        let _ = writeln!(text, "  {place}: {}", problem.message);
    }
    text
}

/// With a folder and its differences, if one was compared.
pub(crate) fn valid_manifest(
    file: &Path,
    manifest: &Manifest,
    compared: Option<(&Path, &[Difference])>,
) -> String {
    let mut text = format!("{}: valid, {}\n", file.display(), release(manifest));
    if let Some((dir, differences)) = compared {
        let how_many = match differences.len() {
            0 => "exactly what the manifest says".to_owned(),
            found => count(found as u64, "difference"),
        };
        let _ = writeln!(text, "{}: {how_many}", dir.display());
        for difference in differences {
            let _ = writeln!(text, "  {}: {}", difference.path, difference.kind);
        }
    }
    let _ = writeln!(text, "manifest hash {}", manifest.manifest_hash());
    text
}

/// `sketcher 1.0.0 (12 files, 64.00 MiB)`.
pub(crate) fn release(manifest: &Manifest) -> String {
    format!(
        "{} {} ({}, {})",
        manifest.tool_id(),
        manifest.tool_version(),
        count(manifest.files().len() as u64, "file"),
        bytes(manifest.total_size())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_times_are_exact() {
        assert_eq!(duration(48), "48 ms");
        assert_eq!(duration(1_250), "1.2 s");
        assert_eq!(duration(120_000), "2 minutes");
    }
}
