//! A spec in the making: put together as a document, and read like any other.

use serde_json::{Map, Value, json};

use super::notes::{Notes, below};
use super::{InvalidSpec, Options, Parsed, SpecReader, lines};
use crate::{ErrorKind, ModelsDir, VersionId};

/// A spec in the making. What is put in are the texts that people write; [`finish`](Self::finish) says everything that is wrong with
/// them.
///
/// ```
/// use version_spec::SpecDraft;
///
/// let parsed = SpecDraft::new("wan22".parse()?, "https://example.org/ComfyUI@v0.3.0")
///     .with_node("https://example.org/ComfyUI-KJNodes@main")
///     .with_model_list(b"hf://owner/repo/x.safetensors loras/\n")
///     .finish()?;
/// assert_eq!(parsed.spec.models[0].target.as_str(), "loras/x.safetensors");
/// # Ok::<(), version_spec::Error>(())
/// ```
#[derive(Debug)]
pub struct SpecDraft {
    version_id: VersionId,
    document: Map<String, Value>,
    origins: Vec<(String, Origin)>,
    notes: Notes,
    reader: SpecReader,
}

/// Where a part of the draft is from.
#[derive(Debug)]
pub(super) enum Origin {
    /// The line of a list, from 1.
    Line(usize),
    /// The entry of a list, from 1.
    Entry(usize),
    /// The place in another document.
    Pointer(String),
}

impl SpecDraft {
    /// A version of ComfyUI, given as `<repository>` or `<repository>@<ref>`.
    #[must_use]
    pub fn new(version_id: VersionId, comfy: &str) -> Self {
        let mut draft = Self::empty(version_id, Notes::default());
        draft.put("comfy", json!({"repo": comfy}), None);
        draft
    }

    pub(super) fn empty(version_id: VersionId, notes: Notes) -> Self {
        Self {
            version_id,
            document: Map::new(),
            origins: Vec::new(),
            notes,
            reader: SpecReader::new(),
        }
    }

    /// Adds a custom node, given as `<repository>` or `<repository>@<ref>`.
    #[must_use]
    pub fn with_node(mut self, node: &str) -> Self {
        self.push("custom_nodes", json!({"repo": node}), None);
        self
    }

    /// Adds the custom nodes of a file: a JSON list as in a spec, or lines `<repository>[@<ref>] [<name>]`. Empty lines and those that
    /// start with `#` are skipped.
    #[must_use]
    pub fn with_node_list(mut self, list: &[u8]) -> Self {
        for (value, origin) in lines::nodes(list, &mut self.notes) {
            self.push("custom_nodes", value, Some(origin));
        }
        self
    }

    /// Adds the models of a file: a JSON list as in a spec, or lines `<source> [<target>]`, where the target is a file below
    /// `MODELS_DIR`, or a folder if it ends in a slash. Empty lines and those that start with `#` are skipped.
    #[must_use]
    pub fn with_model_list(mut self, list: &[u8]) -> Self {
        for (value, origin) in lines::models(list, &mut self.notes) {
            self.push("models", value, Some(origin));
        }
        self
    }

    /// Adds a Python package.
    #[must_use]
    pub fn with_python_package(mut self, requirement: &str) -> Self {
        self.push("python_packages", requirement.into(), None);
        self
    }

    /// Sets a variable for ComfyUI's process.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        let env = self.document.entry("env").or_insert_with(|| json!({}));
        if let Value::Object(env) = env {
            env.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Sets the options.
    #[must_use]
    pub fn with_options(mut self, options: Options) -> Self {
        let value = json!({"offline": options.offline, "skip_models": options.skip_models});
        self.put("options", value, None);
        self
    }

    /// Understands absolute targets below this folder as `$MODELS_DIR/…`.
    #[must_use]
    pub fn with_models_dir(mut self, models_dir: ModelsDir) -> Self {
        self.reader = self.reader.with_models_dir(models_dir);
        self
    }

    pub(super) fn put(&mut self, field: &'static str, value: Value, origin: Option<Origin>) {
        self.document.insert(field.to_owned(), value);
        self.origins
            .extend(origin.map(|origin| (below("", field), origin)));
    }

    pub(super) fn push(&mut self, field: &'static str, value: Value, origin: Option<Origin>) {
        let list = self.document.entry(field).or_insert_with(|| json!([]));
        if let Value::Array(list) = list {
            let at = format!("/{field}/{}", list.len());
            list.push(value);
            self.origins.extend(origin.map(|origin| (at, origin)));
        }
    }

    /// Adds fields that are not known, for the reader to warn of.
    pub(super) fn rest(&mut self, fields: Map<String, Value>) {
        for (name, value) in fields {
            self.document.entry(name).or_insert(value);
        }
    }

    pub(super) fn problem(&mut self, at: &str, message: impl Into<String>, hint: &str) {
        self.notes.problem(ErrorKind::Spec, at, message, hint);
    }

    pub(super) fn warn(&mut self, at: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.notes.warn(at, message, hint);
    }

    /// The spec, if nothing is wrong with it. Pointers are into the spec, or into the document that it was migrated from.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn finish(mut self) -> Result<Parsed, InvalidSpec> {
        self.put("schema_version", 2.into(), None);
        self.put("version_id", self.version_id.as_str().into(), None);
        let mut found = Notes::default();
        let spec = self.reader.spec(&Value::Object(self.document), &mut found);
        found.change(|problem| {
            let innermost = self.origins.iter().filter(|(at, _)| {
                let rest = problem.pointer.strip_prefix(at.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
            match innermost.max_by_key(|(at, _)| at.len()) {
                Some((_, Origin::Line(line))) => {
                    problem.message = format!("line {line}: {}", problem.message);
                }
                Some((_, Origin::Entry(entry))) => {
                    problem.message = format!("entry {entry}: {}", problem.message);
                }
                Some((at, Origin::Pointer(place))) => {
                    problem.pointer.replace_range(..at.len(), place);
                }
                None => {}
            }
        });
        found.append(self.notes);
        found.finish(spec)
    }
}
