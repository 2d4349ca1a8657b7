//! Paths of a spec: which folder of the machine they are in, and where there.

use manifest_core::ReleasePath;

use super::expand::{Base, Variables};
use crate::ErrorKind;
use crate::names::fault_of_path;
use crate::text::quote;

/// Why a path is refused.
pub(super) struct PathFault {
    pub(super) kind: ErrorKind,
    pub(super) message: String,
    pub(super) hint: String,
}

impl PathFault {
    fn name(message: String, hint: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Name,
            message,
            hint: hint.into(),
        }
    }
}

/// A path below a base that cannot leave it.
pub(super) struct Place {
    pub(super) base: Base,
    /// With `/`, no empty component and no `.`; empty for the base itself.
    pub(super) path: String,
    /// It ended in a slash: a folder is meant.
    pub(super) folder: Folder,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Folder {
    Stated,
    Unstated,
}

/// Expands a path, which if it is relative is below `default`.
pub(super) fn place(text: &str, variables: &Variables, default: Base) -> Result<Place, PathFault> {
    let expanded = variables.expand(text).map_err(|fault| {
        let inside = match &*fault.inside {
            [name] => format!(" (in the value of `{name}`)"),
            _ => String::new(),
        };
        PathFault {
            kind: ErrorKind::Spec,
            message: format!(
                "{} cannot be expanded: {}{inside}",
                quote(text),
                fault.message
            ),
            hint: fault.hint,
        }
    })?;
    let path = expanded.text;
    if path.contains('\\') {
        let hint = format!("write {}", quote(&text.replace('\\', "/")));
        return Err(PathFault::name(
            format!("{} has a backslash", quote(text)),
            hint,
        ));
    }
    let drive = path.as_bytes().get(1) == Some(&b':');
    if expanded.base.is_none() && (path.starts_with(['/', '~']) || drive) {
        return Err(PathFault::name(
            format!(
                "{} is outside `$COMFY_HOME` and `$MODELS_DIR`, as far as the spec says",
                quote(text)
            ),
            format!("start with `${}/`", default.variable()),
        ));
    }
    let components: Vec<&str> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    let clean = components.join("/");
    if !clean.is_empty()
        && let Some(fault) = fault_of_path(&clean)
    {
        return Err(PathFault::name(
            format!("{} is no safe path: {fault}", quote(text)),
            "every part must be a name that all platforms allow, and none may lead out of the folder",
        ));
    }
    Ok(Place {
        base: expanded.base.unwrap_or(default),
        path: clean,
        folder: if path.ends_with('/') {
            Folder::Stated
        } else {
            Folder::Unstated
        },
    })
}

/// A path that [`place`] found safe, and one that stays so with a name behind it.
pub(super) fn join(folder: &str, name: &str) -> Result<ReleasePath, String> {
    let path = if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    };
    match fault_of_path(&path) {
        Some(fault) => Err(fault),
        None => path
            .parse()
            .map_err(|error: manifest_core::Error| error.to_string()),
    }
}
