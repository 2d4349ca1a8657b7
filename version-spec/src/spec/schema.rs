//! The JSON Schema of specs.

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform as _};
use serde_json::{Value, json};

use super::document::SpecDocument;

/// The JSON Schema (draft 2020-12) of specs, for editors; generated from the types that write them.
///
/// It describes the form that [`Spec::to_json`](crate::Spec::to_json) writes and people should. What is beyond a schema (safe names,
/// addresses, variables, one name only once) and what is understood with a warning, [`Spec::parse`](crate::Spec::parse) explains.
#[must_use]
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<SpecDocument>();
    RecursiveTransform(simplify).transform(&mut schema);
    let mut schema = schema.to_value();
    schema["properties"]["$schema"] = json!({
        "description": "The address of this schema, for editors.",
        "type": ["string", "null"],
    });
    schema["$defs"]["Model"]["anyOf"] = json!([
        {"required": ["target_subdir"]},
        {"required": ["target_path"]},
    ]);
    schema
}

/// Drops formats that only Rust knows, and the line breaks of doc comments.
fn simplify(schema: &mut schemars::Schema) {
    if schema
        .get("format")
        .is_some_and(|format| format == "uint32")
    {
        schema.remove("format");
    }
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.replace('\n', " ");
    }
}
