//! The fields of one object of a document, each looked at once.

use std::cell::RefCell;

use serde_json::{Map, Value};

use super::json::kind_of;
use super::notes::{Notes, below};
use crate::ErrorKind;
use crate::text::quote;

/// An object, where it stands, and which of its fields were asked for.
pub(super) struct Fields<'v> {
    object: &'v Map<String, Value>,
    pub(super) at: String,
    asked: RefCell<Vec<&'static str>>,
}

impl<'v> Fields<'v> {
    pub(super) fn new(object: &'v Map<String, Value>, at: impl Into<String>) -> Self {
        Self {
            object,
            at: at.into(),
            asked: RefCell::default(),
        }
    }

    /// The object at this place; anything else is a problem.
    pub(super) fn of(value: &'v Value, at: &str, hint: &str, notes: &mut Notes) -> Option<Self> {
        match value {
            Value::Object(object) => Some(Self::new(object, at)),
            other => {
                let message = format!("an object is needed here, not {}", kind_of(other));
                notes.problem(ErrorKind::Spec, at, message, hint);
                None
            }
        }
    }

    pub(super) fn pointer(&self, name: &str) -> String {
        below(&self.at, name)
    }

    /// The field's value. `null` is as good as nothing.
    pub(super) fn value(&self, name: &'static str) -> Option<&'v Value> {
        self.asked.borrow_mut().push(name);
        self.object.get(name).filter(|value| !value.is_null())
    }

    /// The field's text. An empty one is as good as nothing, with a warning.
    pub(super) fn text(
        &self,
        name: &'static str,
        hint: &str,
        notes: &mut Notes,
    ) -> Option<&'v str> {
        match self.value(name)? {
            Value::String(text) if text.trim().is_empty() => {
                notes.warn(
                    self.pointer(name),
                    "it is empty, and ignored",
                    "leave it out",
                );
                None
            }
            Value::String(text) => Some(text),
            other => {
                let message = format!("a text is needed here, not {}", kind_of(other));
                notes.problem(ErrorKind::Spec, self.pointer(name), message, hint);
                None
            }
        }
    }

    /// The field's yes or no.
    pub(super) fn flag(&self, name: &'static str, notes: &mut Notes) -> Option<bool> {
        match self.value(name)? {
            Value::Bool(flag) => Some(*flag),
            other => {
                let message = format!("true or false is needed here, not {}", kind_of(other));
                notes.problem(
                    ErrorKind::Spec,
                    self.pointer(name),
                    message,
                    "write true or false, without quotes",
                );
                None
            }
        }
    }

    /// The field's list, empty if there is none.
    pub(super) fn list(&self, name: &'static str, hint: &str, notes: &mut Notes) -> &'v [Value] {
        match self.value(name) {
            None => &[],
            Some(Value::Array(values)) => values,
            Some(other) => {
                let message = format!("a list is needed here, not {}", kind_of(other));
                notes.problem(ErrorKind::Spec, self.pointer(name), message, hint);
                &[]
            }
        }
    }

    /// Says that a required field is missing; if one of these names is there in its place, that it is to be renamed.
    pub(super) fn missing(
        &self,
        name: &str,
        others: &[&'static str],
        hint: &str,
        notes: &mut Notes,
    ) {
        let other = others
            .iter()
            .copied()
            .find(|other| self.object.contains_key(*other));
        let message = format!("it has no `{name}`");
        let hint = match other {
            Some(other) => {
                self.asked.borrow_mut().push(other);
                format!("rename `{other}` to `{name}`")
            }
            None => hint.to_owned(),
        };
        notes.problem(ErrorKind::Spec, self.at.clone(), message, hint);
    }

    /// Warns of every field that nobody asked for.
    pub(super) fn finish(self, notes: &mut Notes) {
        let asked = self.asked.borrow();
        for (key, value) in self.object {
            if asked.contains(&key.as_str()) || value.is_null() {
                continue;
            }
            let message = format!("the field {} is not known, and ignored", quote(key));
            let hint = match likely(key, &asked) {
                Some(name) => format!("is `{name}` meant?"),
                None => "leave it out".to_owned(),
            };
            notes.warn(self.pointer(key), message, hint);
        }
    }
}

/// The known field that a name is likely to mean: other spellings, and names of other tools.
fn likely(key: &str, asked: &[&'static str]) -> Option<&'static str> {
    let plain = |name: &str| -> String {
        let letters = name.chars().filter(char::is_ascii_alphanumeric);
        letters.map(|letter| letter.to_ascii_lowercase()).collect()
    };
    let key = plain(key);
    let meant = match key.as_str() {
        "url" | "repository" | "git" | "giturl" => "repo",
        "branch" | "tag" | "revision" | "rev" => "ref",
        "sha" | "commitid" | "commithash" => "commit",
        "hash" | "sha256" | "md5" => "checksum",
        "folder" | "subdir" | "subfolder" | "type" => "target_subdir",
        "path" | "target" | "filepath" => "target_path",
        "filename" | "file" => "name",
        "nodes" | "customnodes" => "custom_nodes",
        "pip" | "packages" | "requirements" | "pippackages" => "python_packages",
        "id" | "version" => "version_id",
        "environment" | "environ" => "env",
        "comfyui" => "comfy",
        _ => "",
    };
    let same = |name: &&&'static str| plain(name) == key || **name == meant;
    asked.iter().find(same).copied()
}
