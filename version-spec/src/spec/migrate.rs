//! Files of older systems to specs.

use serde_json::{Map, Value, json};

use super::draft::{Origin, SpecDraft};
use super::json::{self, kind_of};
use super::notes::{Notes, below};
use super::{InvalidSpec, Parsed, packages, snapshot};
use crate::{ErrorKind, RepoUrl, VersionId};

/// What files that do not name ComfyUI's repository mean.
pub const COMFY_REPO: &str = "https://github.com/comfyanonymous/ComfyUI";

/// What an old file says about itself, which is no part of what it describes.
const ABOUT: [&str; 10] = [
    "schema_version",
    "lock_version",
    "version_id",
    "version",
    "id",
    "tag",
    "created_at",
    "generated_at",
    "updated_at",
    "timestamp",
];

/// Makes a spec of a `comfy-<tag>.lock.json` or of a snapshot of ComfyUI-Manager.
///
/// Warnings say what could not be taken over, and what to do about it. Pointers are into the old file. The packages that torch consists of
/// are left out: which of them fit depends on the machine.
///
/// # Errors
/// Everything that is wrong with the old file.
pub fn migrate(
    document: &[u8],
    version_id: &VersionId,
    comfy_repo: &RepoUrl,
) -> Result<Parsed, InvalidSpec> {
    let mut notes = Notes::default();
    let object = match json::parse(document, &mut notes) {
        None => return notes.finish(None),
        Some(Value::Object(object)) => object,
        Some(other) => {
            let message = format!("an object is needed, not {}", kind_of(&other));
            let hint = "take a `comfy-<tag>.lock.json`, or a snapshot of ComfyUI-Manager";
            notes.problem(ErrorKind::Spec, "", message, hint);
            return notes.finish(None);
        }
    };
    let draft = SpecDraft::empty(version_id.clone(), notes);
    let is_snapshot = ["git_custom_nodes", "cnr_custom_nodes", "file_custom_nodes"];
    if is_snapshot.iter().any(|field| object.contains_key(*field)) {
        snapshot::read(object, comfy_repo, draft).finish()
    } else {
        old_lock(object, comfy_repo, draft).finish()
    }
}

/// The version that an old lock is named after: `comfy-<tag>.lock.json` is `<tag>`.
#[must_use]
pub fn version_of_lock_file(file_name: &str) -> Option<VersionId> {
    let tag = file_name.strip_suffix(".lock.json")?;
    tag.strip_prefix("comfy-").unwrap_or(tag).parse().ok()
}

fn old_lock(
    mut object: Map<String, Value>,
    comfy_repo: &RepoUrl,
    mut draft: SpecDraft,
) -> SpecDraft {
    let take = |object: &mut Map<String, Value>, names: &[&'static str]| {
        names.iter().find_map(|name| {
            let value = object.remove(*name).filter(|value| !value.is_null())?;
            Some((*name, value))
        })
    };
    for field in ABOUT {
        object.remove(field);
    }
    match take(&mut object, &["comfy", "comfyui", "ComfyUI", "core"]) {
        Some((name, value)) => {
            let value = comfy(value, comfy_repo);
            draft.put("comfy", value, Some(Origin::Pointer(below("", name))));
        }
        // Some wrote the fields of ComfyUI beside everything else.
        None if object.contains_key("commit") || object.contains_key("repo") => {
            let mut fields = Map::new();
            for name in ["repo", "url", "ref", "branch", "commit"] {
                fields.extend(object.remove(name).map(|value| (name.to_owned(), value)));
            }
            draft.put(
                "comfy",
                comfy(Value::Object(fields), comfy_repo),
                Some(Origin::Pointer(String::new())),
            );
        }
        None => {}
    }
    if let Some((name, value)) = take(&mut object, &["custom_nodes", "nodes"]) {
        for (at, entry) in entries(value, name, "name", &mut draft) {
            draft.push("custom_nodes", source(entry), Some(Origin::Pointer(at)));
        }
    }
    if let Some((name, value)) = take(&mut object, &["models"]) {
        for (at, entry) in entries(value, name, "name", &mut draft) {
            draft.push("models", entry, Some(Origin::Pointer(at)));
        }
    }
    for name in [
        "python_packages",
        "pip",
        "pips",
        "packages",
        "requirements",
        "pip_freeze",
    ] {
        if let Some((name, value)) = take(&mut object, &[name]) {
            packages::read(value, name, &mut draft);
        }
    }
    for field in ["env", "options"] {
        if let Some((name, value)) = take(&mut object, &[field]) {
            draft.put(name, value, None);
        }
    }
    // The reader warns of what is left.
    draft.rest(object);
    draft
}

/// A list, or an object by `key`: the entries and their places.
fn entries(value: Value, field: &str, key: &str, draft: &mut SpecDraft) -> Vec<(String, Value)> {
    let at = below("", field);
    match value {
        Value::Array(values) => {
            let numbered = values.into_iter().enumerate();
            numbered
                .map(|(index, value)| (format!("{at}/{index}"), value))
                .collect()
        }
        Value::Object(object) => {
            let named = object.into_iter().map(|(name, mut value)| {
                let at = below(&at, &name);
                if let Value::Object(fields) = &mut value {
                    fields.entry(key).or_insert(name.into());
                }
                (at, value)
            });
            named.collect()
        }
        other => {
            let message = format!("a list is needed here, not {}", kind_of(&other));
            draft.problem(&at, message, "write a list of objects");
            Vec::new()
        }
    }
}

/// ComfyUI: an object, `"<url>@<ref>"`, or a bare commit or ref of the usual repository.
fn comfy(value: Value, comfy_repo: &RepoUrl) -> Value {
    let value = match value {
        Value::String(text) if !text.contains(['/', ':']) => json!({"commit": text}),
        other => other,
    };
    let mut value = source(value);
    if let Value::Object(fields) = &mut value
        && fields.get("repo").is_none_or(Value::is_null)
    {
        fields.insert("repo".into(), comfy_repo.as_str().into());
    }
    value
}

/// A source in the words of specs.
fn source(value: Value) -> Value {
    let Value::Object(mut fields) = value else {
        return match value {
            Value::String(text) => json!({"repo": text}),
            other => other,
        };
    };
    let others = [
        ("repo", &["url", "repository", "git", "git_url"][..]),
        ("ref", &["branch", "tag"]),
        (
            "commit",
            &["commit_hash", "hash", "sha", "resolved_commit", "resolved"],
        ),
    ];
    for (name, others) in others {
        for other in others {
            if fields.get(name).is_none_or(Value::is_null)
                && let Some(value) = fields.remove(*other)
            {
                fields.insert(name.to_owned(), value);
            }
        }
    }
    Value::Object(fields)
}
