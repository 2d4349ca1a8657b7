use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform as _};
use serde_json::Value;

use crate::Catalog;

/// The JSON Schema (draft 2020-12) of the catalogue, generated from the types that read it.
///
/// It says what a schema can. That a tool is listed once is beyond it; [`Catalog::parse`] sees to it.
#[must_use]
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Catalog>();
    RecursiveTransform(join_lines).transform(&mut schema);
    schema.to_value()
}

/// Doc comments have line breaks.
fn join_lines(schema: &mut schemars::Schema) {
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.split_whitespace().collect::<Vec<_>>().join(" ");
    }
}
