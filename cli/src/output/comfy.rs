//! What was done to versions of ComfyUI, or would be.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use version_spec::{
    DeleteReport, Download, Error, Home, LockOrigin, ModelState, Outcome, Parsed, Plan, Realized,
    Resolved, SpecProblem, VerifiedModels,
};

use super::human::{bytes, count};
use super::json::value;
use super::table::Table;

pub(crate) fn validated(found: &[(String, Result<Parsed, Error>)]) -> String {
    let mut text = String::new();
    for (name, checked) in found {
        match checked {
            Ok(parsed) => {
                let _ = writeln!(text, "{name}: valid");
                for warning in &parsed.warnings {
                    let _ = writeln!(text, "  warning: {warning}");
                }
            }
            Err(error) if error.problems().is_empty() => {
                let _ = writeln!(text, "{name}: {error}");
            }
            Err(error) => {
                let _ = writeln!(
                    text,
                    "{name}: {}",
                    count(error.problems().len() as u64, "problem")
                );
                for problem in error.problems() {
                    let _ = writeln!(text, "  {problem}");
                }
            }
        }
    }
    if found.is_empty() {
        text += "there are no specs\n";
    }
    text
}

pub(crate) fn validated_json(name: &str, checked: &Result<Parsed, Error>) -> Value {
    let (valid, problems, warnings): (_, &[SpecProblem], &[SpecProblem]) = match checked {
        Ok(parsed) => (true, &[], &parsed.warnings),
        Err(error) => (false, error.problems(), &[]),
    };
    let list = |problems: &[SpecProblem]| problems.iter().map(problem).collect::<Vec<_>>();
    let message = checked.as_ref().err().map(ToString::to_string);
    json!({"spec": name, "valid": valid, "problems": list(problems), "warnings": list(warnings), "message": message})
}

fn problem(problem: &SpecProblem) -> Value {
    json!({"pointer": problem.pointer, "message": problem.message, "hint": problem.hint})
}

pub(crate) fn resolved(resolved: &Resolved, path: &Path) -> String {
    let lock = &resolved.lock;
    let mut table = Table::default();
    let from = |source: &version_spec::LockedSource| match &source.resolved_from {
        Some(name) => format!("{} ({name})", source.commit),
        None => source.commit.to_string(),
    };
    table
        .row("version", lock.version_id.as_str())
        .row("ComfyUI", from(&lock.comfy));
    table.rows(
        "nodes",
        lock.custom_nodes
            .iter()
            .map(|node| format!("{} {}", node.name, from(&node.source))),
    );
    table.row(
        "lock",
        match resolved.origin {
            LockOrigin::Kept => format!("{} (as it was)", path.display()),
            _ => path.display().to_string(),
        },
    );
    let changes = resolved.diff.as_ref().map_or(&[][..], |diff| &diff.changes);
    table.rows("changed", changes.iter().map(ToString::to_string));
    table.text()
}

pub(crate) fn resolved_json(resolved: &Resolved, path: &Path) -> Value {
    json!({
        "version_id": resolved.lock.version_id,
        "lock": resolved.lock,
        "path": path.display().to_string(),
        "asked": resolved.origin == LockOrigin::Asked,
        "changes": resolved.diff.as_ref().map_or_else(Vec::new, |diff| diff.changes.clone()),
    })
}

pub(crate) fn plan(plan: &Plan) -> String {
    let mut text = String::new();
    if plan.is_empty() {
        let _ = writeln!(
            text,
            "nothing to do: {} is realized in {}",
            plan.version_id,
            plan.home.display()
        );
        return text;
    }
    let _ = writeln!(text, "{} in {}", plan.version_id, plan.home.display());
    for step in &plan.steps {
        let _ = match step.cost.download {
            Download::Nothing => writeln!(text, "  {}", step.action),
            Download::Bytes(size) => writeln!(text, "  {} ({})", step.action, bytes(size)),
            _ => writeln!(text, "  {} (size unknown)", step.action),
        };
    }
    for missing in &plan.missing {
        let _ = writeln!(text, "  missing: {missing}");
    }
    let (known, unknown) = plan.download();
    let _ = write!(
        text,
        "{}, {} to download",
        count(plan.steps.len() as u64, "step"),
        bytes(known)
    );
    let _ = match unknown {
        0 => writeln!(text),
        unknown => writeln!(
            text,
            ", and {} of unknown size",
            count(unknown as u64, "download")
        ),
    };
    text
}

pub(crate) fn plan_json(plan: &Plan) -> Value {
    let (known, unknown) = plan.download();
    let mut object = value(plan);
    object["dry_run"] = true.into();
    object["bytes_to_download"] = known.into();
    object["downloads_of_unknown_size"] = unknown.into();
    object
}

pub(crate) fn realized(home: &Home, realized: &Realized) -> String {
    let mut table = Table::default();
    table
        .row("version", realized.lock.version_id.as_str())
        .row("home", home.path().display().to_string())
        .row(
            "done",
            match realized.steps {
                0 => "nothing to do".to_owned(),
                steps => count(steps as u64, "step"),
            },
        );
    table.row_if(realized.downloaded > 0, "models", || {
        format!("{} downloaded", bytes(realized.downloaded))
    });
    table.rows(
        "kept",
        realized
            .kept
            .iter()
            .map(|path| home.path().join(path).display().to_string()),
    );
    table.rows("missing", realized.missing.iter().map(ToString::to_string));
    table.row_if(realized.outcome == Outcome::Partial, "result", || {
        format!(
            "partial: {} missing; run it again with the network",
            count(realized.missing.len() as u64, "thing")
        )
    });
    table.text()
}

pub(crate) fn realized_json(home: &Home, realized: &Realized) -> Value {
    json!({
        "version_id": realized.lock.version_id,
        "home": home.path().display().to_string(),
        "complete": realized.outcome == Outcome::Complete,
        "steps": realized.steps,
        "bytes_downloaded": realized.downloaded,
        "kept": realized.kept,
        "missing": realized.missing,
    })
}

pub(crate) fn deleted(report: &DeleteReport, dry_run: bool) -> String {
    let mut table = Table::default();
    let name = if dry_run { "would go" } else { "deleted" };
    table.rows(
        name,
        report.removed.iter().map(|path| path.display().to_string()),
    );
    table.row_if(report.model_bytes > 0, "models", || {
        bytes(report.model_bytes)
    });
    table.rows(
        "kept",
        report.kept.iter().map(|path| path.display().to_string()),
    );
    table.row_if(report.shared > 0, "shared", || {
        format!(
            "{} that other versions use",
            count(report.shared as u64, "checkout")
        )
    });
    table.text()
}

pub(crate) fn deleted_json(report: &DeleteReport, dry_run: bool) -> Value {
    let paths = |paths: &[std::path::PathBuf]| {
        paths
            .iter()
            .map(|path| path.display().to_string())
            .collect::<Vec<_>>()
    };
    json!({
        "dry_run": dry_run,
        "removed": paths(&report.removed),
        "kept": paths(&report.kept),
        "shared_checkouts": report.shared,
        "model_bytes": report.model_bytes,
    })
}

fn state(state: &ModelState) -> String {
    match state {
        ModelState::Right { .. } => "right".into(),
        ModelState::Unpinned { sha256 } => {
            format!("there; nothing says what it must be (sha256:{sha256})")
        }
        ModelState::Missing => "missing".into(),
        ModelState::Wrong { actual } => format!("wrong: it is sha256:{actual}"),
        ModelState::Unreadable(why) => format!("cannot be read: {why}"),
        _ => "unknown".into(),
    }
}

pub(crate) fn verified(verified: &VerifiedModels) -> String {
    let mut text = String::new();
    for model in &verified.models {
        let mended = if model.mended { "; fetched" } else { "" };
        let _ = writeln!(text, "{}: {}{mended}", model.target, state(&model.found));
    }
    for missing in &verified.missing {
        let _ = writeln!(text, "missing: {missing}");
    }
    if verified.models.is_empty() {
        text += "the version has no models\n";
    }
    text
}

pub(crate) fn verified_json(verified: &VerifiedModels) -> Value {
    let model = |model: &version_spec::ModelVerified| {
        json!({"index": model.index, "target": model.target, "found": state(&model.found), "good": model.found.is_good() || model.mended,
               "mended": model.mended})
    };
    json!({
        "good": verified.is_good(),
        "models": verified.models.iter().map(model).collect::<Vec<_>>(),
        "missing": verified.missing,
    })
}
