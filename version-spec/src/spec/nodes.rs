//! `custom_nodes`.

use std::collections::HashMap;

use serde_json::Value;

use super::expand::{Base, Variables};
use super::fields::Fields;
use super::json::kind_of;
use super::notes::{Notes, below};
use super::{CustomNode, GitSource, InstallRequirements, TorchChange, git, place};
use crate::text::quote;
use crate::{ErrorKind, NodeName};

const SHAPE: &str = "write `{\"repo\": …}` with the repository of the node, or remove it";

/// How people, and ComfyUI-Manager, switch a node off.
const DISABLED: &str = ".disabled";

pub(super) fn read(
    fields: &Fields<'_>,
    variables: &Variables,
    notes: &mut Notes,
) -> Vec<CustomNode> {
    let at = fields.pointer("custom_nodes");
    let values = fields.list(
        "custom_nodes",
        "write a list of objects: `[{\"repo\": …}]`",
        notes,
    );
    let mut names: HashMap<String, String> = HashMap::new();
    let mut read = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let at = below(&at, &index.to_string());
        let (name, node) = node(value, &at, variables, notes);
        if let Some((name_at, name)) = name {
            let key = name.collision_key().into_owned();
            if let Some(first) = names.get(&key) {
                let message = format!(
                    "the node {} is there already, at {first}",
                    quote(name.as_str())
                );
                let hint = "remove one of the two, or give it a `name` of its own; case does not tell names apart";
                notes.problem(ErrorKind::Name, name_at, message, hint);
            } else {
                names.insert(key, at);
            }
        }
        read.extend(node);
    }
    read
}

/// A node's name and where it was found, even if the node is wrong otherwise; and the node.
fn node(
    value: &Value,
    at: &str,
    variables: &Variables,
    notes: &mut Notes,
) -> (Option<(String, NodeName)>, Option<CustomNode>) {
    if let Value::String(text) = value {
        let source = git::of_text(text, at, notes);
        let name = source
            .as_ref()
            .and_then(|source| default_name(source, at, notes));
        let node = name
            .clone()
            .zip(source)
            .map(|(name, source)| CustomNode::new(name, source));
        return (name.map(|name| (at.to_owned(), name)), node);
    }
    match value {
        Value::Object(object) if !object.is_empty() => {}
        other => {
            let what = if other.is_object() {
                "an empty object".into()
            } else {
                kind_of(other)
            };
            notes.problem(
                ErrorKind::Spec,
                at,
                format!("a node is needed here, not {what}"),
                SHAPE,
            );
            return (None, None);
        }
    }
    let Some(fields) = Fields::of(value, at, SHAPE, notes) else {
        return (None, None);
    };
    let source = git::of_fields(&fields, notes);
    let name = name(&fields, source.as_ref(), variables, notes);
    if let Some((at, name)) = &name
        && name.as_str().to_ascii_lowercase().ends_with(DISABLED)
    {
        let message = format!(
            "ComfyUI does not load {}: folders that end in `{DISABLED}` are off",
            quote(name.as_str())
        );
        notes.warn(at, message, "write another `name`, or remove the node");
    }
    let requirements = match fields.flag("install_requirements", notes) {
        Some(false) => InstallRequirements::Skip,
        Some(true) | None => InstallRequirements::Install,
    };
    let torch = match fields.flag("allow_torch", notes) {
        Some(true) => TorchChange::Allow,
        Some(false) | None => TorchChange::Refuse,
    };
    fields.finish(notes);
    let node = name.clone().zip(source).map(|((_, name), source)| {
        CustomNode::new(name, source)
            .with_requirements(requirements)
            .with_torch(torch)
    });
    (name, node)
}

/// The folder of `target_dir`, else `name`, else the repository's name.
fn name(
    fields: &Fields<'_>,
    source: Option<&GitSource>,
    variables: &Variables,
    notes: &mut Notes,
) -> Option<(String, NodeName)> {
    let hint = "write the name of a folder, or leave it out";
    let at = fields.pointer("name");
    let stated = fields.text("name", hint, notes);
    let target = fields.text(
        "target_dir",
        "leave it out; a node lies in `custom_nodes/<name>`",
        notes,
    );
    let mut refused = false;
    let stated = stated.and_then(|text| match text.parse::<NodeName>() {
        Ok(name) => Some(name),
        Err(error) => {
            notes.refused(at.clone(), &error, hint);
            refused = true;
            None
        }
    });
    if let Some(target) = target {
        let target_at = fields.pointer("target_dir");
        let folder = target_folder(target, &target_at, variables, notes)?;
        if let Some(stated) = stated.filter(|stated| *stated != folder) {
            let message = format!(
                "the folder {} decides; the name {} is not used",
                quote(folder.as_str()),
                quote(stated.as_str())
            );
            notes.warn(
                at,
                message,
                format!(
                    "write \"name\": {}, and leave `target_dir` out",
                    quote(folder.as_str())
                ),
            );
        }
        return (!refused).then_some((target_at, folder));
    }
    if refused {
        return None;
    }
    if let Some(name) = stated {
        return Some((at, name));
    }
    let at = fields.pointer("repo");
    default_name(source?, &at, notes).map(|name| (at, name))
}

fn default_name(source: &GitSource, at: &str, notes: &mut Notes) -> Option<NodeName> {
    match source.repo.name().parse() {
        Ok(name) => Some(name),
        Err(error) => {
            notes.refused(at, &error, "add a `name` for the folder of the node");
            None
        }
    }
}

/// `$COMFY_HOME/custom_nodes/<name>` and nothing else: the name.
fn target_folder(
    text: &str,
    at: &str,
    variables: &Variables,
    notes: &mut Notes,
) -> Option<NodeName> {
    const HINT: &str = "leave it out, or write \"$COMFY_HOME/custom_nodes/<name>\"";
    let place = match place::place(text, variables, Base::Home) {
        Ok(place) => place,
        Err(fault) => {
            notes.problem(fault.kind, at, fault.message, fault.hint);
            return None;
        }
    };
    let folder = place.path.strip_prefix("custom_nodes/");
    let folder = folder.filter(|folder| place.base == Base::Home && !folder.contains('/'));
    let Some(folder) = folder else {
        let message = format!(
            "{} is no folder below `$COMFY_HOME/custom_nodes`, where ComfyUI looks for nodes",
            quote(text)
        );
        notes.problem(ErrorKind::Name, at, message, HINT);
        return None;
    };
    let name = folder.parse();
    name.map_err(|error| notes.refused(at, &error, HINT)).ok()
}
