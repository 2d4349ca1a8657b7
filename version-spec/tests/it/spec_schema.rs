//! The JSON Schema.

use serde_json::{Value, json};
use version_spec::{Spec, schema};

const CHECKED_IN: &str = include_str!("../../spec.schema.json");

fn example() -> Value {
    json!({
        "$schema": "spec.schema.json",
        "schema_version": 2, "version_id": "v1",
        "comfy": {"repo": "https://h/ComfyUI", "ref": "master", "commit": null},
        "custom_nodes": [{"repo": "https://h/KJNodes", "ref": "main", "commit": null, "name": "KJNodes", "install_requirements": true,
                          "target_dir": "$COMFY_HOME/custom_nodes/KJNodes", "allow_torch": false}],
        "models": [{"source": "hf://o/r/x.bin", "name": "x.bin", "target_subdir": "loras", "target_path": "$MODELS_DIR/loras/x.bin",
                    "checksum": format!("sha256:{}", "0".repeat(64))},
                   {"source": "hf://o/r/y.bin", "target_subdir": "loras"}],
        "python_packages": ["onnx"], "env": {"A": "b"}, "options": {"offline": false, "skip_models": true},
    })
}

#[test]
fn the_checked_in_schema_is_the_generated_one() {
    let generated = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    assert!(
        CHECKED_IN == generated,
        "spec.schema.json is out of date; write this to it:\n{generated}"
    );
}

#[test]
fn it_accepts_what_is_documented_and_what_is_written() {
    assert!(jsonschema::draft202012::meta::is_valid(&schema()));
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let example = example();
    let parsed = Spec::parse(&serde_json::to_vec(&example).unwrap()).unwrap();
    assert_eq!(parsed.warnings, []);
    let written: Value = serde_json::from_slice(&parsed.spec.to_json()).unwrap();
    let least = json!({"schema_version": 2, "version_id": "v1", "comfy": {"repo": "https://h/c"}});
    let nothing = json!({"schema_version": 2, "version_id": "v1", "comfy": {"repo": "x"}, "custom_nodes": null, "models": null, "env": null,
                         "python_packages": null, "options": null});
    for document in [example, written, least, nothing] {
        let errors: Vec<_> = validator
            .iter_errors(&document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(errors, [""; 0], "{document}");
    }
}

#[test]
fn it_refuses_what_the_reader_refuses_as_far_as_a_schema_can() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for (place, value) in [
        ("/schema_version", json!(3)),
        ("/schema_version", json!("2")),
        ("/version_id", json!("../x")),
        ("/version_id", json!("")),
        ("/comfy", json!({})),
        ("/comfy/repo", json!("")),
        ("/custom_nodes/0", json!({})),
        ("/custom_nodes/0/install_requirements", json!("yes")),
        ("/models/0", json!({})),
        ("/models/1", json!({"source": "hf://o/r/x"})),
        ("/models/0/checksum", json!("sha256:0")),
        ("/env/A", json!(5)),
        ("/options/offline", json!(1)),
        ("/python_packages/0", json!(1)),
    ] {
        let mut document = example();
        *document.pointer_mut(place).unwrap() = value;
        assert!(!validator.is_valid(&document), "{place}");
    }
    for field in ["schema_version", "version_id", "comfy"] {
        let mut document = example();
        document.as_object_mut().unwrap().remove(field);
        assert!(!validator.is_valid(&document), "{field}");
    }
}
