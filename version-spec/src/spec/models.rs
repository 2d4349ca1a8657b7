//! `models`.

use std::collections::HashMap;

use manifest_core::ReleasePath;
use serde_json::Value;

use super::expand::Variables;
use super::fields::Fields;
use super::json::kind_of;
use super::notes::{Notes, below};
use super::source_text::{self, Fault};
use super::target::{self, Targeted};
use super::{ModelEntry, ModelSource};
use crate::text::quote;
use crate::{Checksum, ErrorKind};

const SHAPE: &str = "write `{\"source\": …, \"target_subdir\": …}`, or remove it";

pub(super) fn read(
    fields: &Fields<'_>,
    variables: &Variables,
    notes: &mut Notes,
) -> Vec<ModelEntry> {
    let at = fields.pointer("models");
    let hint = "write a list of objects: `[{\"source\": …, \"target_subdir\": …}]`";
    let values = fields.list("models", hint, notes);
    let mut taken = Taken::default();
    let mut models = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let at = below(&at, &index.to_string());
        let found = model(value, &at, variables, notes);
        if let Some(targeted) = &found.targeted {
            taken.note(&at, targeted, notes);
        }
        if let (Some(targeted), Some(source)) = (found.targeted, found.source) {
            models.push(ModelEntry {
                name: targeted.name,
                source,
                target: targeted.target,
                checksum: found.checksum,
            });
        }
    }
    models
}

/// What could be read of an entry.
#[derive(Default)]
struct Found {
    targeted: Option<Targeted>,
    source: Option<ModelSource>,
    checksum: Option<Checksum>,
}

/// Names and targets so far, by their keys, and at which entry.
#[derive(Default)]
struct Taken {
    names: HashMap<String, String>,
    targets: HashMap<String, String>,
    folders: HashMap<String, String>,
}

impl Taken {
    fn note(&mut self, at: &str, targeted: &Targeted, notes: &mut Notes) {
        let (name_at, name) = (&targeted.name_at, &targeted.name);
        self.note_target(at, &targeted.target_at, &targeted.target, notes);
        let key = name.collision_key().into_owned();
        if let Some(first) = self.names.get(&key) {
            let message = format!(
                "a model {} is there already, at {first}",
                quote(name.as_str())
            );
            let hint = "remove one of the two, or give it a `name` of its own, and with `target_path` its file";
            notes.problem(ErrorKind::Name, name_at, message, hint);
        } else {
            self.names.insert(key, at.to_owned());
        }
    }

    fn note_target(&mut self, at: &str, target_at: &str, target: &ReleasePath, notes: &mut Notes) {
        let key = target.collision_key().into_owned();
        let parents = || key.match_indices('/').map(|(slash, _)| &key[..slash]);
        let hint = "every model needs a file of its own; case does not tell files apart";
        if let Some(first) = self.targets.get(&key) {
            let message = format!(
                "the model at {first} lies at {} already",
                quote(target.as_str())
            );
            notes.problem(ErrorKind::Name, target_at, message, hint);
        } else if let Some(first) = self.folders.get(&key) {
            let message = format!(
                "{} is a folder, in which the model at {first} lies",
                quote(target.as_str())
            );
            notes.problem(ErrorKind::Name, target_at, message, hint);
        } else if let Some(first) = parents().find_map(|parent| self.targets.get(parent)) {
            let message = format!(
                "{} is below the file of the model at {first}",
                quote(target.as_str())
            );
            notes.problem(ErrorKind::Name, target_at, message, hint);
        } else {
            for parent in parents() {
                self.folders
                    .entry(parent.to_owned())
                    .or_insert_with(|| at.to_owned());
            }
            self.targets.insert(key, at.to_owned());
        }
    }
}

fn model(value: &Value, at: &str, variables: &Variables, notes: &mut Notes) -> Found {
    let object = match value {
        Value::Object(object) if !object.is_empty() => object,
        other => {
            let what = if other.is_object() {
                "an empty object".into()
            } else {
                kind_of(other)
            };
            notes.problem(
                ErrorKind::Spec,
                at,
                format!("a model is needed here, not {what}"),
                SHAPE,
            );
            return Found::default();
        }
    };
    let fields = Fields::new(object, at);
    let source = source(&fields, variables, notes);
    let checksum = checksum(&fields, source.as_ref(), notes);
    let targeted = target::read(&fields, source.as_ref(), variables, notes);
    fields.finish(notes);
    Found {
        targeted,
        source,
        checksum,
    }
}

fn source(fields: &Fields<'_>, variables: &Variables, notes: &mut Notes) -> Option<ModelSource> {
    let Some(text) = fields.text("source", "write the address of the model", notes) else {
        if fields.value("source").is_none_or(Value::is_string) {
            fields.missing(
                "source",
                &["url", "href", "link"],
                "add `\"source\"`, the address of the model",
                notes,
            );
        }
        return None;
    };
    let at = fields.pointer("source");
    match source_text::parse(text.trim(), variables) {
        Ok(understood) => {
            for (message, hint) in understood.warnings {
                notes.warn(&at, message, hint);
            }
            Some(understood.source)
        }
        Err(Fault(message, hint)) => {
            notes.problem(ErrorKind::Spec, at, message, hint);
            None
        }
    }
}

fn checksum(
    fields: &Fields<'_>,
    source: Option<&ModelSource>,
    notes: &mut Notes,
) -> Option<Checksum> {
    let text = fields.text(
        "checksum",
        "write \"sha256:\" and 64 hexadecimal digits",
        notes,
    );
    let checksum = text.map(|text| text.trim().parse::<Checksum>());
    if let Some(ModelSource::Https(url)) = source
        && url.scheme() == "http"
        && !matches!(checksum, Some(Ok(Checksum::Sha256(_)) | Err(_)))
    {
        let hint = "write `https://`, or add `\"checksum\": \"sha256:…\"`";
        let message = "over `http:` anyone on the way can change the model";
        notes.problem(ErrorKind::Spec, fields.pointer("source"), message, hint);
    }
    match checksum? {
        Ok(checksum) => Some(checksum),
        Err(error) => {
            notes.refused(fields.pointer("checksum"), &error, "");
            None
        }
    }
}
