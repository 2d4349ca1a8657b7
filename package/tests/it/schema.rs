//! The JSON Schema of the catalogue.

use std::fs;

use package::schema;
use serde_json::{Value, json};

use crate::support::{World, pack};

const CHECKED_IN: &str = include_str!("../../catalog.schema.json");

#[test]
fn the_checked_in_schema_is_the_generated_one() {
    let generated = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    assert!(
        CHECKED_IN == generated,
        "catalog.schema.json is out of date; write this to it:\n{generated}"
    );
}

#[test]
fn the_schema_accepts_what_is_written_and_says_what_is_required() {
    assert!(jsonschema::draft202012::meta::is_valid(&schema()));
    let world = World::new();
    let tool = world.tool("tool", "sketcher", "1.2.0");
    world.write("tool/frontend/index.html", "");
    let packer = world
        .packer()
        .with_release_url("https://h/v1/".parse().unwrap());
    pack(&packer, &[tool]);
    let bytes = fs::read(world.dist().join("catalog.json")).unwrap();
    let catalog: Value = serde_json::from_slice(&bytes).unwrap();
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let errors: Vec<_> = validator
        .iter_errors(&catalog)
        .map(|error| error.to_string())
        .collect();
    assert_eq!(errors, [""; 0]);

    for required in [
        "tool_id",
        "name",
        "latest",
        "asset_name",
        "sha256",
        "platforms",
        "manifest_hash",
        "has_frontend",
    ] {
        let mut without = catalog.clone();
        without["tools"][0]
            .as_object_mut()
            .unwrap()
            .remove(required);
        assert!(!validator.is_valid(&without), "{required}");
        assert!(package::Catalog::parse(without.to_string().as_bytes()).is_err());
    }
    for (field, wrong) in [
        ("latest", json!("../x")),
        ("sha256", json!("x")),
        ("platforms", json!("x")),
    ] {
        let mut other = catalog.clone();
        other["tools"][0][field] = wrong;
        assert!(!validator.is_valid(&other), "{field}");
    }
}
