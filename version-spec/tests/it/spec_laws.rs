//! What holds for every spec.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use version_spec::{Existing, Spec, SpecStore};

fn parse(bytes: &[u8]) -> Spec {
    match Spec::parse(bytes) {
        Ok(parsed) => parsed.spec,
        Err(invalid) => panic!("{invalid}\n{}", String::from_utf8_lossy(bytes)),
    }
}

fn of(document: &Value) -> Spec {
    parse(&serde_json::to_vec(document).unwrap())
}

fn source() -> impl Strategy<Value = Map<String, Value>> {
    let repo = prop::sample::select(vec![
        "https://h/o/repo",
        "git@h:o/repo.git",
        "ssh://git@h:22/o/repo",
        "/srv/o/repo",
        "/srv/o/re@po/",
        "file:///srv/a@b/repo",
        "http://H/x/",
    ]);
    let reference = prop::option::of(prop::sample::select(vec![
        "main",
        "v1.0",
        "refs/heads/x",
        "HEAD",
        "a@b",
        "feature/x",
    ]));
    let commit = prop::option::of("[0-9a-f]{40}");
    (repo, reference, commit).prop_map(|(repo, reference, commit)| {
        let fields = json!({"repo": repo, "ref": reference, "commit": commit});
        fields.as_object().unwrap().clone()
    })
}

fn node(index: usize) -> impl Strategy<Value = Value> {
    (
        source(),
        "[A-Za-z é$-]{0,6}[a-z]",
        any::<Option<bool>>(),
        any::<Option<bool>>(),
    )
        .prop_map(move |(mut fields, name, install, torch)| {
            fields.insert("name".into(), format!("{index}{name}").into());
            fields.insert("install_requirements".into(), install.into());
            fields.insert("allow_torch".into(), torch.into());
            fields.into()
        })
}

fn model(index: usize) -> impl Strategy<Value = Value> {
    let source = prop::sample::select(vec![
        "https://h/x.bin?a=1",
        "hf://o/r@refs/pr/1/p/x",
        "hf://o/r@a%2Fb/x y",
        "civitai://models/12",
        "civitai://models/12@3",
        "file:///a/b%20c%3F",
        "s3://bucket/a/b%20",
        "gs://bucket/ä",
        "https://huggingface.co/o/r/resolve/v1/x%2By",
        "hf://o/r@50%25/x",
    ]);
    let checksum = prop::option::of(prop_oneof!["sha256:[0-9a-fA-F]{64}", "md5:[0-9a-f]{32}"]);
    let folder = prop::sample::select(vec!["loras", "$MODELS_DIR/vae/sub", "a$$b", "${DIR}"]);
    (
        source,
        "[A-Za-z é$-]{0,6}[a-z]",
        folder,
        checksum,
        any::<bool>(),
    )
        .prop_map(move |(source, name, folder, checksum, whole)| {
            let name = format!("{index}{name}");
            let mut model = json!({"source": source, "name": name, "checksum": checksum});
            if whole {
                model["target_path"] = format!("{folder}/{}", name.replace('$', "$$")).into();
            } else {
                model["target_subdir"] = folder.into();
            }
            model
        })
}

fn document() -> impl Strategy<Value = Value> {
    let nodes = (0..4_usize).prop_flat_map(|count| (0..count).map(node).collect::<Vec<_>>());
    let models = (0..4_usize).prop_flat_map(|count| (0..count).map(model).collect::<Vec<_>>());
    let packages = prop::collection::vec(
        prop::sample::select(vec![
            "onnx>=1.14",
            "a[b]==1",
            "x @ git+https://h/r@main",
            "z; python_version > '3'",
        ]),
        0..4,
    );
    let env = prop::collection::btree_map("[A-Z]{1,4}", "[a-z =/é]{0,8}|\\$DIR|\\$\\$", 0..3);
    let flags = any::<(Option<bool>, Option<bool>)>();
    ("[a-z0-9][a-zA-Z0-9._+-]{0,10}[a-z]", source(), nodes, models, packages, env, flags).prop_map(
        |(id, comfy, nodes, models, packages, mut env, (offline, skip_models))| {
            env.insert("DIR".into(), "$MODELS_DIR/dir".into());
            json!({
                "schema_version": 2, "version_id": format!("v{id}"), "comfy": comfy, "custom_nodes": nodes, "models": models,
                "python_packages": packages, "env": env, "options": {"offline": offline, "skip_models": skip_models},
            })
        },
    )
}

/// The same document, written by hand in another way: keys backwards, white space, escapes.
fn rewritten(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            out.push_str("{\n");
            for (index, (key, value)) in members.iter().rev().enumerate() {
                out.push_str(if index > 0 { ",\t" } else { "" });
                rewritten(&json!(key), out);
                out.push_str(" : ");
                rewritten(value, out);
            }
            out.push('}');
        }
        Value::Array(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                out.push_str(if index > 0 { " , " } else { "" });
                rewritten(value, out);
            }
            out.push(']');
        }
        Value::String(text) => {
            out.push('"');
            text.encode_utf16()
                .for_each(|unit| write!(out, "\\u{unit:04x}").unwrap());
            out.push('"');
        }
        other => out.push_str(&other.to_string()),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(document in document()) {
        let spec = of(&document);
        let written = spec.to_json();
        let again = Spec::parse(&written).unwrap();
        prop_assert_eq!(&again.spec, &spec);
        prop_assert_eq!(again.warnings, []);
        prop_assert_eq!(again.spec.to_json(), written);
        prop_assert_eq!(again.spec.digest(), spec.digest());
    }

    #[test]
    fn the_digest_does_not_depend_on_how_it_is_written(document in document()) {
        let mut text = String::new();
        rewritten(&document, &mut text);
        let (one, other) = (of(&document), parse(text.as_bytes()));
        prop_assert_eq!(one.digest(), other.digest());
        prop_assert_eq!(one, other);
    }

    #[test]
    fn whatever_the_bytes_reading_them_ends(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Spec::parse(&bytes);
    }

    /// A text of any kind in any field is understood or refused with a place and a hint; what is understood stays in its folders.
    #[test]
    fn whatever_the_texts_names_and_targets_are_safe(
        document in document(),
        place in prop::sample::select(vec![
            "/version_id", "/comfy/repo", "/comfy/ref", "/comfy/commit", "/custom_nodes/0/name", "/custom_nodes/0/repo", "/custom_nodes/0/target_dir",
            "/models/0/name", "/models/0/source", "/models/0/target_subdir", "/models/0/target_path", "/models/0/checksum", "/python_packages/0", "/env/X",
        ]),
        text in "\\PC{0,12}|[a-c./\\\\:$@{}~ %-]{0,16}|(\\$MODELS_DIR|\\$COMFY_HOME|\\$X|https://h|hf://|file://|git@h:|\\.\\.|/|custom_nodes|[ab@%])*",
    ) {
        let mut document = document;
        let (parent, field) = place.rsplit_once('/').unwrap();
        match document.pointer_mut(parent) {
            Some(Value::Object(fields)) => { fields.insert(field.to_owned(), text.into()); }
            Some(Value::Array(values)) if !values.is_empty() => values[0] = text.into(),
            _ => {}
        }
        match Spec::parse(&serde_json::to_vec(&document).unwrap()) {
            Ok(parsed) => {
                for node in &parsed.spec.custom_nodes {
                    let plain = !node.name.as_str().contains(['/', '\\']) && !node.name.as_str().starts_with('.');
                    prop_assert!(plain, "{:?}", node.name);
                }
                for model in &parsed.spec.models {
                    prop_assert!(model.target.components().all(|part| !matches!(part, "" | "." | "..")));
                }
                let again = Spec::parse(&parsed.spec.to_json());
                prop_assert_eq!(again.map(|again| again.spec), Ok(parsed.spec));
            }
            Err(invalid) => {
                prop_assert!(!invalid.problems.is_empty());
                for problem in &invalid.problems {
                    prop_assert!(!problem.message.is_empty() && !problem.hint.is_empty(), "{:?}", problem);
                }
            }
        }
    }
}

#[test]
fn the_digest_is_frozen() {
    // Locks hold it: a change makes every lock stale.
    let spec = of(&json!({
        "schema_version": 2, "version_id": "wan22-fast", "comfy": {"repo": "https://h/ComfyUI", "ref": "master"},
        "custom_nodes": [{"repo": "https://h/KJNodes", "allow_torch": true}],
        "models": [{"source": "hf://o/r/x.bin", "target_subdir": "loras", "checksum": format!("md5:{}", "0".repeat(32))}],
        "python_packages": ["onnx"], "env": {"A": "b"},
    }));
    assert_eq!(
        spec.digest().to_string(),
        "0953eb2e2a02f1723eb8c6fead5d57ee22c6079dbbf2bf3c5ed263994ffa5b0b"
    );
}

#[test]
fn what_means_the_same_has_one_digest() {
    let commit = "c".repeat(40);
    let base = json!({
        "schema_version": 2, "version_id": "v1", "comfy": {"repo": "https://h/c", "commit": commit},
        "custom_nodes": [{"repo": "https://h/n", "ref": "main"}], "models": [{"source": "hf://o/r/x.bin", "target_subdir": "vae"}],
        "python_packages": ["a", "b"],
    });
    let digest = of(&base).digest();
    for (place, value) in [
        ("/schema_version", json!(null)),
        ("/comfy", json!({"repo": format!("https://H/c/@{commit}")})),
        (
            "/comfy",
            json!({"repo": "https://h/c", "ref": "main", "commit": commit}),
        ),
        ("/custom_nodes/0", json!("https://h/n@main")),
        (
            "/custom_nodes/0",
            json!({"repo": "https://h/n", "commit": "main", "install_requirements": true, "allow_torch": false}),
        ),
        (
            "/custom_nodes/0",
            json!({"repo": "https://h/n@main", "target_dir": "$COMFY_HOME/custom_nodes/n"}),
        ),
        (
            "/models/0",
            json!({"source": "hf://o/r@main/x.bin", "target_path": "$MODELS_DIR/vae/x.bin"}),
        ),
        (
            "/models/0",
            json!({"source": "https://huggingface.co/o/r/resolve/main/x.bin", "name": "x.bin", "target_subdir": "$MODELS_DIR/vae/"}),
        ),
        ("/python_packages", json!(["b", "a", "b"])),
        ("/options", json!({"offline": true})),
        ("/notes", json!("unknown")),
    ] {
        let mut other = base.clone();
        let (parent, field) = place.rsplit_once('/').unwrap();
        match other.pointer_mut(parent).unwrap() {
            Value::Object(fields) => drop(fields.insert(field.to_owned(), value)),
            list => list[0] = value,
        }
        assert_eq!(of(&other).digest(), digest, "{other}");
    }
    for (place, value) in [
        ("/version_id", json!("v2")),
        ("/comfy/commit", json!("d".repeat(40))),
        ("/custom_nodes/0/ref", json!("dev")),
        ("/custom_nodes/0/name", json!("m")),
        ("/custom_nodes/0/install_requirements", json!(false)),
        ("/custom_nodes/0/allow_torch", json!(true)),
        ("/models/0/source", json!("hf://o/r@v1/x.bin")),
        ("/models/0/name", json!("y.bin")),
        (
            "/models/0/checksum",
            json!(format!("md5:{}", "0".repeat(32))),
        ),
        ("/python_packages", json!(["a"])),
        ("/env", json!({"A": ""})),
    ] {
        let mut other = base.clone();
        let (parent, field) = place.rsplit_once('/').unwrap();
        other.pointer_mut(parent).unwrap()[field] = value;
        assert_ne!(of(&other).digest(), digest, "{other}");
    }
}

#[test]
fn a_spec_that_was_made_invalid_is_not_saved() {
    let folder = tempfile::tempdir().unwrap();
    let store = SpecStore::new(&durable_fs::Disk::real(), folder.path());
    let mut spec = of(&json!({
        "schema_version": 2, "version_id": "v1", "comfy": {"repo": "https://h/c"}, "custom_nodes": ["https://h/n"],
    }));
    spec.custom_nodes.push(spec.custom_nodes[0].clone());
    let error = store.save(&spec, Existing::Keep).unwrap_err();
    assert_eq!(error.pointer(), Some("/custom_nodes/1/name"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
