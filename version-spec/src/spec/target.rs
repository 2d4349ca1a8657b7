//! Where a model goes below `MODELS_DIR`, and what it is called.

use manifest_core::ReleasePath;

use super::ModelSource;
use super::expand::{Base, Variables};
use super::fields::Fields;
use super::notes::Notes;
use super::place::{Folder, Place, join, place};
use crate::text::quote;
use crate::{ErrorKind, ModelName};

const FOLDER: &str = "add `\"target_subdir\"`, the folder of ComfyUI, for example \"checkpoints\", \"loras\" or \"vae\"";

/// A model's name and target, and the fields that say so.
pub(super) struct Targeted {
    pub(super) name_at: String,
    pub(super) name: ModelName,
    pub(super) target_at: String,
    pub(super) target: ReleasePath,
}

/// What the fields of an entry say.
struct Stated {
    path: Option<Place>,
    folder: Option<Place>,
    name: Option<ModelName>,
}

/// `target_path` decides; else `target_subdir`, and in it the name; else in it the name of the source's file.
pub(super) fn read(
    fields: &Fields<'_>,
    source: Option<&ModelSource>,
    variables: &Variables,
    notes: &mut Notes,
) -> Option<Targeted> {
    let mut stated = stated(fields, variables, notes)?;
    let is_folder = |path: &mut Place| path.folder == Folder::Stated;
    if let Some(path) = stated.path.take_if(is_folder) {
        let at = fields.pointer("target_path");
        if stated.folder.is_some_and(|folder| folder.path != path.path) {
            contradiction(fields, notes);
            return None;
        }
        let message = "it ends in a slash, and is understood as a folder";
        notes.warn(
            &at,
            message,
            "write the path of the file, or `target_subdir`",
        );
        let target = in_folder(fields, &at, &path, stated.name.as_ref(), source, notes)?;
        return named(fields, at, target, stated.name, notes);
    }
    match (&stated.path, &stated.folder) {
        (Some(path), folder) => {
            agrees(fields, path, folder.as_ref(), stated.name.as_ref(), notes)?;
            let at = fields.pointer("target_path");
            let target = checked(join("", &path.path), &at, notes)?;
            named(fields, at, target, stated.name, notes)
        }
        (None, Some(folder)) => {
            let at = fields.pointer("target_subdir");
            let target = in_folder(fields, &at, folder, stated.name.as_ref(), source, notes)?;
            named(fields, at, target, stated.name, notes)
        }
        (None, None) => {
            let message = "neither `target_subdir` nor `target_path` says where the model goes";
            notes.problem(ErrorKind::Spec, fields.at.clone(), message, FOLDER);
            None
        }
    }
}

/// What the three fields say; `None` if one of them is wrong.
fn stated(fields: &Fields<'_>, variables: &Variables, notes: &mut Notes) -> Option<Stated> {
    let path = stated_place(fields, "target_path", variables, notes);
    let folder = stated_place(fields, "target_subdir", variables, notes);
    let name = match fields.text("name", "write the name of the file", notes) {
        None => Ok(None),
        Some(text) => text.parse::<ModelName>().map(Some).map_err(|error| {
            let hint = "write the name of the file alone; its folder goes into `target_subdir`";
            notes.refused(fields.pointer("name"), &error, hint);
        }),
    };
    Some(Stated {
        path: path.ok()?,
        folder: folder.ok()?,
        name: name.ok()?,
    })
}

/// The file in a folder: by its name, else by the source's.
fn in_folder(
    fields: &Fields<'_>,
    at: &str,
    folder: &Place,
    name: Option<&ModelName>,
    source: Option<&ModelSource>,
    notes: &mut Notes,
) -> Option<ReleasePath> {
    if let Some(name) = name {
        return checked(join(&folder.path, name.as_str()), at, notes);
    }
    let Some(file) = source?.file_name() else {
        let message = "neither `name` nor the source says how the file is called";
        let hint = "add `\"name\"`, the name of the file";
        notes.problem(ErrorKind::Spec, fields.at.clone(), message, hint);
        return None;
    };
    // It comes from an address, and may be anything.
    let target = match file.parse::<ModelName>() {
        Ok(_) => join(&folder.path, &file),
        Err(error) => Err(error.to_string()),
    };
    checked(target, at, notes)
}

/// Whether `target_path` and what stands beside it name one place. The file's name decides.
fn agrees(
    fields: &Fields<'_>,
    path: &Place,
    folder: Option<&Place>,
    name: Option<&ModelName>,
    notes: &mut Notes,
) -> Option<()> {
    let (parent, file) = path.path.rsplit_once('/').unwrap_or(("", &path.path));
    let Some(folder) = folder else {
        return Some(());
    };
    if folder.path != parent {
        contradiction(fields, notes);
        return None;
    }
    if let Some(name) = name.filter(|name| name.as_str() != file) {
        let (file, name) = (quote(file), quote(name.as_str()));
        let message = format!("the file is called {file}, as `target_path` says, and not {name}");
        notes.warn(
            fields.pointer("name"),
            message,
            "leave `target_subdir` out, or make them agree",
        );
    }
    Some(())
}

fn contradiction(fields: &Fields<'_>, notes: &mut Notes) {
    let message = "`target_path` and `target_subdir` name different places";
    notes.problem(
        ErrorKind::Spec,
        fields.pointer("target_path"),
        message,
        "leave one of the two",
    );
}

/// A target that is safe and not kept for the folder's own files.
fn checked(
    target: Result<ReleasePath, String>,
    at: &str,
    notes: &mut Notes,
) -> Option<ReleasePath> {
    let target = match target {
        Ok(target) => target,
        Err(fault) => {
            let hint = "write the path of a file below `$MODELS_DIR`, every part a name that all platforms allow";
            notes.problem(
                ErrorKind::Name,
                at,
                format!("the model cannot lie there: {fault}"),
                hint,
            );
            return None;
        }
    };
    let shown = quote(target.as_str());
    if target.as_str().starts_with('.') {
        let message = format!(
            "{shown} starts with a dot; such names in `$MODELS_DIR` are kept for its own files"
        );
        notes.problem(ErrorKind::Name, at, message, FOLDER);
        return None;
    }
    if target.parent().is_none() {
        let message = format!("{shown} lies in `$MODELS_DIR` itself, where ComfyUI does not look");
        notes.warn(
            at,
            message,
            "write a folder of ComfyUI, for example \"checkpoints\"",
        );
    }
    Some(target)
}

fn named(
    fields: &Fields<'_>,
    target_at: String,
    target: ReleasePath,
    name: Option<ModelName>,
    notes: &mut Notes,
) -> Option<Targeted> {
    let (name_at, name) = match name {
        Some(name) => (fields.pointer("name"), Ok(name)),
        None => (target_at.clone(), target.file_name().parse()),
    };
    match name {
        Ok(name) => Some(Targeted {
            name_at,
            name,
            target_at,
            target,
        }),
        Err(error) => {
            notes.refused(name_at, &error, "add a `name`");
            None
        }
    }
}

/// A path below `MODELS_DIR` that a field states, or `Err` if it is none, which is noted.
fn stated_place(
    fields: &Fields<'_>,
    field: &'static str,
    variables: &Variables,
    notes: &mut Notes,
) -> Result<Option<Place>, ()> {
    let Some(text) = fields.text(field, "write a path below `$MODELS_DIR`", notes) else {
        // A value of another type is a problem that is noted already.
        return if fields.value(field).is_none_or(serde_json::Value::is_string) {
            Ok(None)
        } else {
            Err(())
        };
    };
    let at = fields.pointer(field);
    let mut place = place(text.trim(), variables, Base::Models).map_err(|fault| {
        notes.problem(fault.kind, &at, fault.message, fault.hint);
    })?;
    if place.base == Base::Home {
        // ComfyUI's own folder of models; here they have one place for all versions.
        let Some(path) = place.path.strip_prefix("models/").map(str::to_owned) else {
            let message = format!(
                "{} is outside `$MODELS_DIR`, where all models are",
                quote(text)
            );
            notes.problem(ErrorKind::Name, at, message, "start with `$MODELS_DIR/`");
            return Err(());
        };
        let hint = format!("write \"$MODELS_DIR/{path}\"");
        notes.warn(
            &at,
            "`$COMFY_HOME/models` is understood as `$MODELS_DIR`",
            hint,
        );
        place.path = path;
        place.base = Base::Models;
    }
    if place.path.is_empty() {
        let message = "it is `$MODELS_DIR` itself, where ComfyUI does not look";
        notes.problem(ErrorKind::Spec, at, message, FOLDER);
        return Err(());
    }
    Ok(Some(place))
}
