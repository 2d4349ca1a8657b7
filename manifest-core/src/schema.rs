use std::collections::HashSet;
use std::sync::LazyLock;

use jsonschema::Validator;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform as _};
use serde_json::{Value, json};

use crate::document::{FileRecord, Head};
use crate::manifest::hash_mismatch;
use crate::parse::Numbers;
use crate::{
    Error, ErrorKind, Limits, Manifest, Sha256Digest, collisions, globs, hash, parse, rules,
};

/// One thing that is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Where, as a JSON pointer (RFC 6901); empty for the document as a whole.
    pub pointer: String,
    /// What, in one sentence.
    pub message: String,
}

/// The JSON Schema (draft 2020-12) of the manifest, generated from the types that read it.
///
/// It says what a schema can. Names that are safe on every platform, collisions and the hash are
/// beyond it; [`problems`] reports these too.
#[must_use]
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let entry = generator.subschema_for::<FileRecord<'_>>();
    let mut schema = generator.into_root_schema_for::<Head>();
    RecursiveTransform(simplify).transform(&mut schema);
    let mut schema = schema.to_value();
    schema["properties"]["files"] = json!({
        "description": "Every file of the release, ordered by path.",
        "type": "array",
        "items": entry,
    });
    schema["required"]
        .as_array_mut()
        .expect("several fields are required")
        .push("files".into());
    schema
}

/// Turns alternatives of constants into an `enum`, about which validators say what is expected;
/// drops formats that only Rust knows, and the line breaks of doc comments.
fn simplify(schema: &mut schemars::Schema) {
    let alternatives = schema.get("oneOf").and_then(Value::as_array);
    let constants: Option<Vec<Value>> = alternatives.and_then(|alternatives| {
        let constant = |alternative: &Value| alternative.get("const").cloned();
        alternatives.iter().map(constant).collect()
    });
    if let Some(constants) = constants {
        schema.remove("oneOf");
        schema.insert("enum".into(), constants.into());
    }
    if schema
        .get("format")
        .is_some_and(|format| format == "uint64")
    {
        schema.remove("format");
    }
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.replace('\n', " ");
    }
}

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    jsonschema::draft202012::options()
        .should_validate_formats(false) // our own rules for these say more
        .build(&schema())
        .expect("the generated schema is valid, which a test checks")
});

/// Everything that is wrong with a manifest, ordered by place. Empty if and only if
/// [`Manifest::parse`] accepts it.
///
/// Slower than parsing; call it to explain a refusal. A document that is no JSON, has a key twice
/// or is over the limits as a whole is not looked at any further.
///
/// ```
/// use manifest_core::{Limits, problems};
///
/// let document = br#"{"manifest_version": "1.0", "tool_id": "x", "files": []}"#;
/// for problem in problems(document, &Limits::default()) {
///     println!("{}: {}", problem.pointer, problem.message);
/// }
/// assert!(problems(document, &Limits::default()).len() > 3);
/// ```
#[must_use]
pub fn problems(bytes: &[u8], limits: &Limits) -> Vec<Problem> {
    let Err(refusal) = Manifest::parse(bytes, limits) else {
        return Vec::new();
    };
    let mut problems = Vec::new();
    if bytes.len() as u64 <= limits.max_bytes
        && let Ok(document) = parse::value(bytes, limits, Numbers::Any)
    {
        problems.extend(broken_rules(&document, limits));
        // Where a rule of ours says what is wrong, it says it better.
        let explained: HashSet<String> = pointers(&problems);
        let violations = VALIDATOR.iter_errors(&document).map(|error| Problem {
            pointer: error.instance_path().to_string(),
            message: shorten(&error.to_string()),
        });
        problems.extend(violations.filter(|problem| !explained.contains(&problem.pointer)));
        // With an inexact number there is no telling what was hashed.
        if refusal.kind() != ErrorKind::Limit {
            problems.extend(broken_hash(document));
        }
    }
    let refusal = Problem::from(refusal);
    if !pointers(&problems).contains(&refusal.pointer) {
        problems.push(refusal);
    }
    problems.sort_by(|one, other| place(&one.pointer).cmp(place(&other.pointer)));
    problems
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self {
            pointer: error.pointer().unwrap_or_default().to_owned(),
            message: error.message().to_owned(),
        }
    }
}

fn pointers(problems: &[Problem]) -> HashSet<String> {
    let pointers = problems.iter().map(|problem| problem.pointer.clone());
    pointers.collect()
}

/// Orders `/files/9` before `/files/10`.
fn place(pointer: &str) -> impl Iterator<Item = (Option<u64>, &str)> {
    pointer.split('/').map(|name| (name.parse().ok(), name))
}

/// A validator quotes the value that it refuses, and that can be anything.
fn shorten(message: &str) -> String {
    const KEPT: usize = 200;
    let length = message.chars().count();
    if length <= 2 * KEPT {
        return message.to_owned();
    }
    let start: String = message.chars().take(KEPT).collect();
    let end: String = message.chars().skip(length - KEPT).collect();
    format!("{start} … {end}")
}

/// What is beyond a schema: safe names, URLs, globs and collisions.
fn broken_rules(document: &Value, limits: &Limits) -> Vec<Problem> {
    let mut problems = Vec::new();
    let Some(object) = document.as_object() else {
        return problems;
    };
    let list = |name: &str| {
        let values = object.get(name).and_then(Value::as_array);
        values.into_iter().flatten().enumerate()
    };
    problems.extend(rules::check_head(object).map(Problem::from));
    for (index, glob) in list("ignore_globs") {
        if let Some(Err(error)) = glob.as_str().map(|glob| globs::check(glob, limits)) {
            problems.push(error.at(format!("/ignore_globs/{index}")).into());
        }
    }
    let mut paths = Vec::new();
    for (index, entry) in list("files") {
        let mut check = |field: &str, rule: &dyn Fn(&Value) -> Result<(), Error>| {
            if let Some(Err(error)) = entry.get(field).map(rule) {
                problems.push(error.at(format!("/files/{index}/{field}")).into());
            }
        };
        // What is no text at all, the schema refuses.
        check("path", &|value| {
            value
                .as_str()
                .map_or(Ok(()), |path| rules::entry_path(path).map(drop))
        });
        check("sha256", &|value| {
            value.as_str().map_or(Ok(()), rules::digest)
        });
        check("url", &|value| {
            value.as_str().map_or(Ok(()), rules::entry_url)
        });
        check("size", &|value| rules::size(value).map(drop));
        let path = entry.get("path").and_then(Value::as_str);
        paths.extend(
            path.filter(|path| rules::entry_path(path).is_ok())
                .map(|path| (path, index)),
        );
    }
    paths.sort_unstable();
    let (paths, indexes): (Vec<&str>, Vec<usize>) = paths.into_iter().unzip();
    for (at, error) in collisions::find(&paths) {
        problems.push(error.at(format!("/files/{}/path", indexes[at])).into());
    }
    problems
}

fn broken_hash(document: Value) -> Option<Problem> {
    let Value::Object(object) = document else {
        return None;
    };
    let stated: Sha256Digest = object.get("manifest_hash")?.as_str()?.parse().ok()?;
    let computed = hash::hash_of(object).ok()?;
    (stated != computed).then(|| hash_mismatch(stated, computed).into())
}
