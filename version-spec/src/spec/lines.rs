//! Lists of nodes and models in files: JSON, or one a line.

use serde_json::{Map, Value};

use super::draft::Origin;
use super::json::{self, MAX_BYTES, kind_of};
use super::notes::Notes;
use crate::ErrorKind;

const HINT: &str = "write a JSON list, or one entry a line";

/// Entries for `custom_nodes`.
pub(super) fn nodes(bytes: &[u8], notes: &mut Notes) -> Vec<(Value, Origin)> {
    entries(bytes, notes, |first, second| {
        let mut node = Map::new();
        node.insert("repo".into(), first.into());
        if let Some(name) = second {
            node.insert("name".into(), name.into());
        }
        Value::Object(node)
    })
}

/// Entries for `models`.
pub(super) fn models(bytes: &[u8], notes: &mut Notes) -> Vec<(Value, Origin)> {
    entries(bytes, notes, |source, target| {
        let mut model = Map::new();
        model.insert("source".into(), source.into());
        let Some(target) = target else {
            return Value::Object(model);
        };
        match target.strip_suffix('/') {
            Some(folder) => model.insert("target_subdir".into(), folder.into()),
            None => model.insert("target_path".into(), target.into()),
        };
        Value::Object(model)
    })
}

fn entries(
    bytes: &[u8],
    notes: &mut Notes,
    entry: impl Fn(&str, Option<&str>) -> Value,
) -> Vec<(Value, Origin)> {
    let starts_with = bytes.trim_ascii_start().first();
    if matches!(starts_with, Some(b'[' | b'{')) {
        return json_entries(bytes, notes);
    }
    let text = match str::from_utf8(bytes) {
        Ok(text) if bytes.len() as u64 <= MAX_BYTES => text.trim_start_matches('\u{FEFF}'),
        _ => {
            let message = "the list is no text, or too large for one";
            notes.problem(
                ErrorKind::Spec,
                "",
                message,
                "write a JSON list, or one entry a line",
            );
            return Vec::new();
        }
    };
    let mut entries = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.splitn(2, char::is_whitespace);
        let first = words.next().unwrap_or_default();
        let second = words
            .next()
            .map(str::trim)
            .filter(|second| !second.is_empty());
        entries.push((entry(first, second), Origin::Line(index + 1)));
    }
    entries
}

/// A list, or the list of a spec or of an object that holds nothing else.
fn json_entries(bytes: &[u8], notes: &mut Notes) -> Vec<(Value, Origin)> {
    let mut found = Notes::default();
    let document = json::parse(bytes, &mut found);
    notes.append(found);
    let list = match document {
        None => return Vec::new(),
        Some(Value::Array(list)) => list,
        Some(Value::Object(mut object)) => {
            let list = ["models", "custom_nodes", "nodes"]
                .into_iter()
                .find_map(|name| object.remove(name));
            let Some(Value::Array(list)) = list else {
                notes.problem(ErrorKind::Spec, "", "the file holds no list", HINT);
                return Vec::new();
            };
            list
        }
        Some(other) => {
            let message = format!("a list is needed, not {}", kind_of(&other));
            notes.problem(ErrorKind::Spec, "", message, HINT);
            return Vec::new();
        }
    };
    let numbered = list.into_iter().enumerate();
    numbered
        .map(|(index, value)| (value, Origin::Entry(index + 1)))
        .collect()
}
