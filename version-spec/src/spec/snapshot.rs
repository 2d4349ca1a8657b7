//! Snapshots of ComfyUI-Manager: `{comfyui, git_custom_nodes, cnr_custom_nodes, file_custom_nodes, pips}`.

use serde_json::{Map, Value, json};

use super::draft::{Origin, SpecDraft};
use super::json::kind_of;
use super::notes::below;
use super::packages;
use crate::RepoUrl;
use crate::text::quote;

pub(super) fn read(
    mut object: Map<String, Value>,
    comfy_repo: &RepoUrl,
    mut draft: SpecDraft,
) -> SpecDraft {
    comfyui(object.remove("comfyui"), comfy_repo, &mut draft);
    for (repo, value) in members(&mut object, "git_custom_nodes", &mut draft) {
        git_node(&repo, &value, &mut draft);
    }
    for (name, version) in members(&mut object, "cnr_custom_nodes", &mut draft) {
        let version = match version.as_str() {
            Some(version) => format!(" {version}"),
            None => String::new(),
        };
        let message = format!(
            "the node {}{version} is known to the registry by name, and is left out",
            quote(&name)
        );
        let hint =
            "add it to `custom_nodes` with its repository, and as `ref` the tag of its version";
        draft.warn(&below("/cnr_custom_nodes", &name), message, hint);
    }
    match object.remove("file_custom_nodes") {
        None | Some(Value::Null) => {}
        Some(Value::Array(files)) => {
            for (index, file) in files.iter().enumerate() {
                file_node(file, &format!("/file_custom_nodes/{index}"), &mut draft);
            }
        }
        Some(other) => {
            let message = format!("a list is needed here, not {}", kind_of(&other));
            draft.problem("/file_custom_nodes", message, "take the snapshot again");
        }
    }
    if let Some(pips) = object.remove("pips").filter(|pips| !pips.is_null()) {
        packages::read(pips, "pips", &mut draft);
    }
    draft.rest(object);
    draft
}

fn comfyui(commit: Option<Value>, comfy_repo: &RepoUrl, draft: &mut SpecDraft) {
    let mut comfy = json!({"repo": comfy_repo.as_str()});
    match commit.unwrap_or_default() {
        Value::Null => {
            let message =
                "the snapshot does not say which commit of ComfyUI it is of; the newest is taken";
            draft.warn(
                "/comfyui",
                message,
                "write the commit into `comfy` of the spec",
            );
        }
        Value::Object(fields) => comfy = Value::Object(fields),
        commit => comfy["commit"] = commit,
    }
    draft.put("comfy", comfy, Some(Origin::Pointer("/comfyui".into())));
}

fn git_node(repo: &str, value: &Value, draft: &mut SpecDraft) {
    let at = below("/git_custom_nodes", repo);
    let (hash, disabled) = match value {
        Value::Object(fields) => (
            fields.get("hash").and_then(Value::as_str),
            fields
                .get("disabled")
                .and_then(Value::as_bool)
                .unwrap_or_default(),
        ),
        Value::String(hash) => (Some(hash.as_str()), false),
        _ => (None, false),
    };
    if disabled {
        let message = format!("the node {} is disabled, and left out", quote(repo));
        draft.warn(&at, message, "add it to `custom_nodes` to have it");
        return;
    }
    let mut node = json!({"repo": repo});
    match hash {
        Some(hash) => node["commit"] = hash.into(),
        None => draft.warn(
            &at,
            "it has no commit; the newest is taken",
            "write its `commit` into the spec",
        ),
    }
    draft.push("custom_nodes", node, Some(Origin::Pointer(at)));
}

fn file_node(file: &Value, at: &str, draft: &mut SpecDraft) {
    let name = file
        .get("filename")
        .and_then(Value::as_str)
        .or(file.as_str())
        .unwrap_or("?");
    if file.get("disabled").and_then(Value::as_bool) != Some(true) {
        let message = format!("the node {} is a single file, and left out", quote(name));
        draft.warn(
            at,
            message,
            "put it into a repository, and that into `custom_nodes`",
        );
    }
}

fn members(
    object: &mut Map<String, Value>,
    field: &str,
    draft: &mut SpecDraft,
) -> Map<String, Value> {
    match object.remove(field) {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(members)) => members,
        Some(other) => {
            let message = format!("an object is needed here, not {}", kind_of(&other));
            draft.problem(&below("", field), message, "take the snapshot again");
            Map::new()
        }
    }
}
