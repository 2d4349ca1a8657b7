//! A document to a spec. Whatever is wrong is noted, and reading goes on.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::expand::{Base, Variables};
use super::fields::Fields;
use super::json::{self, kind_of};
use super::notes::{Notes, below};
use super::{InvalidSpec, Options, Parsed, Spec, git, models, nodes, requirement};
use crate::text::quote;
use crate::{ErrorKind, Home, ModelsDir, VersionId};

/// Reads specs, with what is known beside the file.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SpecReader {
    home: Option<Home>,
    models_dir: Option<ModelsDir>,
    version_id: Option<VersionId>,
}

impl SpecReader {
    /// A reader that knows nothing but the file.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Understands absolute paths below this folder as `$COMFY_HOME/…`.
    #[must_use]
    pub fn with_home(mut self, home: Home) -> Self {
        self.home = Some(home);
        self
    }

    /// Understands absolute paths below this folder as `$MODELS_DIR/…`.
    #[must_use]
    pub fn with_models_dir(mut self, models_dir: ModelsDir) -> Self {
        self.models_dir = Some(models_dir);
        self
    }

    /// Refuses a spec of another id: for files that are named after it.
    #[must_use]
    pub fn with_version_id(mut self, version_id: VersionId) -> Self {
        self.version_id = Some(version_id);
        self
    }

    /// Reads a document.
    ///
    /// # Errors
    /// Everything that is wrong with it. A document that is no JSON is not looked at any further.
    pub fn read(&self, bytes: &[u8]) -> Result<Parsed, InvalidSpec> {
        let mut notes = Notes::default();
        let spec =
            json::parse(bytes, &mut notes).and_then(|document| self.spec(&document, &mut notes));
        notes.finish(spec)
    }

    pub(super) fn spec(&self, document: &Value, notes: &mut Notes) -> Option<Spec> {
        const SHAPE: &str =
            "a spec is `{\"schema_version\": 2, \"version_id\": …, \"comfy\": {\"repo\": …}}`";
        let fields = Fields::of(document, "", SHAPE, notes)?;
        fields.value("$schema");
        schema_version(&fields, notes);
        let version_id = self.version_id(&fields, notes);
        let env = env(&fields, notes);
        let variables = self.variables(env.clone(), &fields, notes);
        let comfy = if let Some(value) = fields.value("comfy") {
            git::source(value, &below("", "comfy"), notes)
        } else {
            let hint = "add `\"comfy\": {\"repo\": …}`, the repository of ComfyUI";
            fields.missing("comfy", &["comfyui", "ComfyUI"], hint, notes);
            None
        };
        let custom_nodes = nodes::read(&fields, &variables, notes);
        let models = models::read(&fields, &variables, notes);
        let python_packages = python_packages(&fields, notes);
        let options = options(&fields, notes);
        fields.finish(notes);
        Some(Spec {
            version_id: version_id?,
            comfy: comfy?,
            custom_nodes,
            models,
            python_packages,
            env,
            options,
        })
    }

    fn version_id(&self, fields: &Fields<'_>, notes: &mut Notes) -> Option<VersionId> {
        let hint = match &self.version_id {
            Some(id) => format!("write \"version_id\": \"{id}\", as the file is named"),
            None => "write \"version_id\" and a name, as the file is named without `.json`".into(),
        };
        let Some(text) = fields.text("version_id", &hint, notes) else {
            let is_there = fields
                .value("version_id")
                .is_some_and(|value| !value.is_string());
            if !is_there {
                fields.missing("version_id", &["id", "version", "name"], &hint, notes);
            }
            return None;
        };
        let at = fields.pointer("version_id");
        match text.parse::<VersionId>() {
            Err(error) => notes.refused(at, &error, &hint),
            Ok(id) => match &self.version_id {
                Some(expected) if *expected != id => {
                    let message = format!(
                        "the file is of version \"{id}\", and named after version \"{expected}\""
                    );
                    let hint = format!("{hint}, or rename the file to `{id}.json`");
                    notes.problem(ErrorKind::Spec, at, message, hint);
                }
                _ => return Some(id),
            },
        }
        None
    }

    fn variables(
        &self,
        env: BTreeMap<String, String>,
        fields: &Fields<'_>,
        notes: &mut Notes,
    ) -> Variables {
        let mut variables = Variables::new(env);
        // Old files say in `env` where the folders are; paths that are written out below them are understood.
        if let Some(Value::Object(env)) = fields.value("env") {
            for base in Base::ALL {
                if let Some(Value::String(path)) = env.get(base.variable()) {
                    variables.add_root(path, base);
                }
            }
        }
        let home = self.home.as_ref().and_then(|home| home.path().to_str());
        let models_dir = self
            .models_dir
            .as_ref()
            .and_then(|models| models.path().to_str());
        for (path, base) in [(home, Base::Home), (models_dir, Base::Models)] {
            if let Some(path) = path {
                variables.add_root(path, base);
            }
        }
        for (name, fault) in variables.faults() {
            notes.problem(
                ErrorKind::Spec,
                below("/env", &name),
                fault.message,
                fault.hint,
            );
        }
        variables
    }
}

impl Spec {
    /// Reads a `versions/<id>.json`, strictly as JSON and tolerantly as a spec: what old files write otherwise is understood with a
    /// warning, or refused with what to write instead.
    ///
    /// ```
    /// use version_spec::Spec;
    ///
    /// let parsed = Spec::parse(br#"{"schema_version": 2, "version_id": "a", "comfy": {"repo": "https://example.org/ComfyUI"}}"#)?;
    /// assert_eq!(parsed.spec.version_id.as_str(), "a");
    ///
    /// let refused = Spec::parse(br#"{"version_id": "../a", "models": [{}]}"#).unwrap_err();
    /// let places: Vec<_> = refused.problems.iter().map(|problem| problem.pointer.as_str()).collect();
    /// assert_eq!(places, ["", "/models/0", "/version_id"]);
    /// # Ok::<(), version_spec::InvalidSpec>(())
    /// ```
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Parsed, InvalidSpec> {
        SpecReader::new().read(bytes)
    }
}

fn schema_version(fields: &Fields<'_>, notes: &mut Notes) {
    const HINT: &str = "write \"schema_version\": 2";
    let at = fields.pointer("schema_version");
    match fields.value("schema_version") {
        None => notes.warn(at, "there is no `schema_version`; 2 is assumed", HINT),
        Some(Value::Number(number)) if number.as_u64() == Some(2) => {}
        Some(Value::Number(number)) if number.as_f64() == Some(2.0) => {
            notes.warn(at, format!("{number} is understood as 2"), HINT);
        }
        Some(Value::String(text)) if text.trim() == "2" => {
            notes.warn(at, "the text \"2\" is understood as 2", HINT);
        }
        Some(Value::Number(number)) if number.as_u64().is_some_and(|number| number > 2) => {
            let message =
                format!("this is version {number} of the format; this program knows version 2");
            notes.problem(ErrorKind::Spec, at, message, "use a newer program");
        }
        Some(other) => {
            let message = format!(
                "{} is no version of the format that is known",
                kind_of(other)
            );
            let hint =
                "write 2 if the file is of that form; an old lock or snapshot has to be migrated";
            notes.problem(ErrorKind::Spec, at, message, hint);
        }
    }
}

fn env(fields: &Fields<'_>, notes: &mut Notes) -> BTreeMap<String, String> {
    const HINT: &str = "write an object of texts: `\"env\": {\"NAME\": \"value\"}`";
    let mut env = BTreeMap::new();
    let Some(value) = fields.value("env") else {
        return env;
    };
    let at = fields.pointer("env");
    let Value::Object(object) = value else {
        let message = format!("an object is needed here, not {}", kind_of(value));
        notes.problem(ErrorKind::Spec, at, message, HINT);
        return env;
    };
    for (name, value) in object {
        let at = below(&at, name);
        let letters = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        if name.is_empty()
            || !name.chars().all(letters)
            || name.starts_with(|letter: char| letter.is_ascii_digit())
        {
            let message = format!("{} is no name of a variable", quote(name));
            notes.problem(
                ErrorKind::Spec,
                at,
                message,
                "letters, digits and `_` are allowed, no digit first",
            );
            continue;
        }
        let text = match value {
            Value::String(text) => text.clone(),
            other => {
                let hint = match other {
                    Value::Bool(value) => format!("write \"{value}\""),
                    Value::Number(value) => format!("write \"{value}\""),
                    _ => "write a text, or leave it out".into(),
                };
                let message = format!("a text is needed here, not {}", kind_of(other));
                notes.problem(ErrorKind::Spec, at, message, hint);
                continue;
            }
        };
        if text.contains('\0') {
            notes.problem(
                ErrorKind::Spec,
                at,
                "it holds a zero character",
                "leave it out",
            );
            continue;
        }
        if Base::named(name).is_some() {
            let hint =
                "say it with `--target` or `--models-dir`, or in the environment of the command";
            notes.warn(
                at,
                format!("`{name}` is for the machine to decide; it is ignored here"),
                hint,
            );
            continue;
        }
        if !text.is_empty() && is_secret(name) {
            let hint = "set it in the environment of the command; specs are passed on";
            notes.warn(at, format!("`{name}` looks like a secret"), hint);
        }
        env.insert(name.clone(), text);
    }
    env
}

/// Whether a variable's name says that its value is for nobody else.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    [
        "TOKEN",
        "SECRET",
        "PASSWORD",
        "API_KEY",
        "APIKEY",
        "CREDENTIAL",
        "ACCESS_KEY",
    ]
    .iter()
    .any(|word| name.contains(word))
}

fn python_packages(fields: &Fields<'_>, notes: &mut Notes) -> Vec<String> {
    let hint = "write a list of texts: `[\"onnx>=1.14\"]`";
    let at = fields.pointer("python_packages");
    let mut packages: Vec<String> = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (index, value) in fields
        .list("python_packages", hint, notes)
        .iter()
        .enumerate()
    {
        let at = below(&at, &index.to_string());
        let Value::String(text) = value else {
            let message = format!("a text is needed here, not {}", kind_of(value));
            notes.problem(
                ErrorKind::Spec,
                at,
                message,
                "write a requirement, for example \"onnx>=1.14\"",
            );
            continue;
        };
        let text = text.trim();
        if text.is_empty() {
            notes.warn(at, "it is empty, and ignored", "leave it out");
        } else if let Err((message, hint)) = requirement::check(text) {
            notes.problem(ErrorKind::Spec, at, message, hint);
        } else if let Some(first) = seen.get(text) {
            let message = format!("{} is there twice, and ignored here", quote(text));
            notes.warn(
                at,
                message,
                format!("it is /python_packages/{first} already"),
            );
        } else {
            seen.insert(text.to_owned(), index);
            packages.push(text.to_owned());
        }
    }
    packages
}

fn options(fields: &Fields<'_>, notes: &mut Notes) -> Options {
    let Some(value) = fields.value("options") else {
        return Options::default();
    };
    let at = fields.pointer("options");
    let hint = "write `\"options\": {\"offline\": false, \"skip_models\": false}`";
    let Some(fields) = Fields::of(value, &at, hint, notes) else {
        return Options::default();
    };
    let options = Options {
        offline: fields.flag("offline", notes).unwrap_or_default(),
        skip_models: fields.flag("skip_models", notes).unwrap_or_default(),
    };
    fields.finish(notes);
    options
}
