//! What is wrong with an installation, for people and for programs.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use updater::{Diagnosis, FixReport, Remedy, Severity, Symptom};

use crate::output::human;
use crate::output::table::Table;

/// A block for each symptom, and a line that sums up.
pub(crate) fn diagnosis(root: &Path, diagnosis: &Diagnosis) -> String {
    blocks(root, diagnosis, "--fix would")
}

/// What was done, then what remains.
pub(crate) fn fixed(root: &Path, report: &FixReport) -> String {
    let mut table = Table::default();
    let line = |text: &String| one_line(text);
    table
        .rows("done", report.done.iter().map(line))
        .rows("kept", report.kept.iter().map(line))
        .rows("failed", report.failed.iter().map(line));
    let mut text = table.text();
    if !text.is_empty() && !report.remaining.symptoms.is_empty() {
        text.push('\n');
    }
    text + &blocks(root, &report.remaining, "--fix could not")
}

fn blocks(root: &Path, diagnosis: &Diagnosis, fix: &str) -> String {
    if diagnosis.symptoms.is_empty() {
        return "nothing is wrong\n".to_owned();
    }
    let mut text = String::new();
    for symptom in &diagnosis.symptoms {
        let Symptom {
            severity,
            what,
            why,
            remedy,
            ..
        } = symptom;
        let _ = writeln!(text, "{}: {}", name(*severity), one_line(what));
        let _ = writeln!(text, "  why: {}", one_line(why));
        let _ = match remedy {
            Remedy::Prune => {
                let root = root.display();
                writeln!(text, "  do: lockstep prune --root {root}")
            }
            _ if remedy.is_automatic() => {
                writeln!(text, "  {fix}: {}", one_line(&remedy.to_string()))
            }
            _ => writeln!(text, "  do: {}", one_line(&remedy.to_string())),
        };
        text.push('\n');
    }
    let count = |severity, singular| human::count(diagnosis.count(severity) as u64, singular);
    text + &format!(
        "{}, {}, {}\n",
        count(Severity::Error, "error"),
        count(Severity::Warning, "warning"),
        count(Severity::Note, "note")
    )
}

/// A name of a file may hold a line break, which must not look like a line of ours.
fn one_line(text: &str) -> String {
    text.replace('\n', "\\n")
}

fn name(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        _ => "note",
    }
}

pub(crate) fn diagnosis_json(diagnosis: &Diagnosis) -> Value {
    json!({
        "healthy": diagnosis.is_healthy(),
        "errors": diagnosis.count(Severity::Error),
        "warnings": diagnosis.count(Severity::Warning),
        "notes": diagnosis.count(Severity::Note),
        "symptoms": symptoms(&diagnosis.symptoms),
    })
}

/// The same, of what remains, and what was done.
pub(crate) fn fixed_json(report: &FixReport) -> Value {
    let mut object = diagnosis_json(&report.remaining);
    object["fixed"] = symptoms(&report.fixed).into();
    object["done"] = report.done.clone().into();
    object["failed"] = report.failed.clone().into();
    object["kept"] = report.kept.clone().into();
    object
}

fn symptoms(symptoms: &[Symptom]) -> Vec<Value> {
    let symptom = |symptom: &Symptom| {
        let remedy = match &symptom.remedy {
            Remedy::Reopen => "reopen",
            Remedy::Repair => "repair",
            Remedy::Retire(_) => "retire",
            Remedy::Prune => "prune",
            Remedy::None => "none",
            _ => "by_hand",
        };
        json!({
            "severity": name(symptom.severity),
            "what": symptom.what,
            "why": symptom.why,
            "remedy": remedy,
            "automatic": symptom.remedy.is_automatic(),
            "do": symptom.remedy.to_string(),
        })
    };
    symptoms.iter().map(symptom).collect()
}
