//! Reports for programs: one object on one line. Fields are added, never renamed.

use serde::Serialize;
use serde_json::{Value, json};
use updater::{
    Finding, HistoryEntry, Plan, PruneReport, RepairReport, Report, RollbackReport, VerifyReport,
};

use crate::exit::Failure;

pub(crate) fn line(value: &Value) -> String {
    format!("{value}\n")
}

/// Any report that is serialisable as it is.
pub(crate) fn value(report: &impl Serialize) -> Value {
    serde_json::to_value(report).expect("reports are text, numbers and lists, under text keys")
}

fn with(mut object: Value, field: &str, value: Value) -> Value {
    object[field] = value;
    object
}

pub(crate) fn failure(failure: &Failure) -> Value {
    json!({"error": {
        "kind": failure.kind,
        "message": failure.message,
        "causes": failure.causes,
        "hint": failure.hint,
    }})
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

pub(crate) fn prune(report: &PruneReport) -> Value {
    json!({
        "removed_releases": report.removed_releases,
        "deleted": report.deleted,
        "kept": report.kept,
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
