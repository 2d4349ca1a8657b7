//! Reports for programs: one object on one line. Fields are added, never renamed.

use manifest_core::{Difference, HashCheck, Manifest, Problem};
use mirror::Published;
use serde::Serialize;
use serde_json::{Value, json};
use updater::{
    Finding, HistoryEntry, Plan, PrunePlan, PruneReport, RepairReport, Report, RollbackReport,
    VerifyReport,
};

use crate::exit::Failure;

pub(crate) fn line(value: &Value) -> String {
    format!("{value}\n")
}

/// Any report that is serialisable as it is.
pub(crate) fn value(report: &impl Serialize) -> Value {
    serde_json::to_value(report).expect("reports are text, numbers and lists, under text keys")
}

pub(crate) fn with(mut object: Value, field: &str, value: Value) -> Value {
    object[field] = value;
    object
}

pub(crate) fn failure(failure: &Failure) -> Value {
    let error = json!({"error": {
        "kind": failure.kind,
        "message": failure.message,
        "causes": failure.causes,
        "hint": failure.hint,
    }});
    match &failure.progress {
        Some(progress) => with(error, "report", progress.report.clone()),
        None => error,
    }
}

pub(crate) fn update(report: &Report) -> Value {
    with(
        value(report),
        "matches_required",
        report.matches_required().into(),
    )
}

pub(crate) fn plan(plan: &Plan) -> Value {
    with(value(plan), "dry_run", true.into())
}

pub(crate) fn verify(report: &VerifyReport) -> Value {
    json!({
        "tool_id": report.tool_id,
        "version": report.version,
        "manifest_hash": report.manifest_hash,
        "intact": report.is_intact(),
        "verified": report.verified,
        "damaged": findings(&report.findings),
    })
}

pub(crate) fn repair(report: &RepairReport) -> Value {
    json!({
        "version": report.version,
        "manifest_hash": report.manifest_hash,
        "repaired": findings(&report.repaired),
        "intact": report.intact,
        "downloaded": report.downloaded,
        "bytes_downloaded": report.bytes_downloaded,
    })
}

pub(crate) fn rollback(report: &RollbackReport) -> Value {
    json!({
        "from_version": report.from_version,
        "to_version": report.to_version,
        "manifest_hash": report.manifest_hash,
        "verified": report.verified,
        "carried": report.carried,
        "kept": report.kept,
    })
}

/// With the names of [`prune`]: who reads one reads the other.
pub(crate) fn plan_prune(plan: &PrunePlan) -> Value {
    json!({
        "dry_run": true,
        "removed_releases": plan.releases,
        "deleted": plan.deletions,
        "kept": plan.kept,
    })
}

pub(crate) fn prune(report: &PruneReport) -> Value {
    json!({
        "removed_releases": report.removed_releases,
        "deleted": report.deleted,
        "kept": report.kept,
    })
}

/// What a manifest describes.
pub(crate) fn release(manifest: &Manifest) -> Value {
    json!({
        "tool_id": manifest.tool_id(),
        "version": manifest.tool_version(),
        "manifest_hash": manifest.manifest_hash(),
        "files": manifest.files().len(),
        "bytes_total": manifest.total_size(),
    })
}

pub(crate) fn published(manifest: &Manifest, published: &Published) -> Value {
    let mut object = release(manifest);
    object["new_blobs"] = published.new_blobs.into();
    object["reused_blobs"] = published.reused_blobs.into();
    object["bytes_written"] = published.bytes_written.into();
    object["already_published"] = published.already_published.into();
    object
}

pub(crate) fn invalid_manifest(problems: &[Problem]) -> Value {
    let problem =
        |problem: &Problem| json!({"pointer": problem.pointer, "message": problem.message});
    let problems: Vec<Value> = problems.iter().map(problem).collect();
    json!({"valid": false, "problems": problems})
}

/// With the differences of a folder, if one was compared.
pub(crate) fn valid_manifest(manifest: &Manifest, differences: Option<&[Difference]>) -> Value {
    let mut object = release(manifest);
    object["valid"] = true.into();
    object["problems"] = json!([]);
    if let Some(differences) = differences {
        let difference =
            |found: &Difference| json!({"path": found.path, "problem": found.kind.to_string()});
        object["matches"] = differences.is_empty().into();
        object["differences"] = differences.iter().map(difference).collect();
    }
    object
}

pub(crate) fn hash(check: &HashCheck) -> Value {
    json!({
        "manifest_hash": check.computed,
        "stated": check.stated,
        "matches": check.is_right(),
    })
}

pub(crate) fn history(entries: &[HistoryEntry]) -> Value {
    json!({"history": entries})
}

fn findings(findings: &[Finding]) -> Vec<Value> {
    let finding =
        |finding: &Finding| json!({"path": finding.path, "problem": finding.problem.to_string()});
    findings.iter().map(finding).collect()
}
