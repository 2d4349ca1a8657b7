//! Files written for older systems, which are loose: what each means, and what is said about it.

use serde_json::{Value, json};
use version_spec::{
    Checksum, Home, InstallRequirements, ModelSource, ModelsDir, Parsed, Revision, Spec,
    SpecReader, TorchChange,
};

fn parse(document: &Value) -> Parsed {
    let bytes = serde_json::to_vec(document).unwrap();
    Spec::parse(&bytes).unwrap_or_else(|invalid| panic!("{document}\n{invalid}"))
}

/// A spec with these fields, and its warnings: place and a part of the text each.
#[track_caller]
fn check(fields: Value, warnings: &[(&str, &str)]) -> Spec {
    let mut document =
        json!({"schema_version": 2, "version_id": "v1", "comfy": {"repo": "https://h/ComfyUI"}});
    let Value::Object(fields) = fields else {
        panic!("fields are an object");
    };
    document.as_object_mut().unwrap().extend(fields);
    let parsed = parse(&document);
    let places: Vec<_> = parsed
        .warnings
        .iter()
        .map(|warning| warning.pointer.as_str())
        .collect();
    let wanted: Vec<_> = warnings.iter().map(|(pointer, _)| *pointer).collect();
    assert_eq!(places, wanted, "{:#?}", parsed.warnings);
    for (warning, (_, text)) in parsed.warnings.iter().zip(warnings) {
        assert!(
            warning.to_string().contains(text),
            "{text:?} is not in: {warning}"
        );
        assert!(!warning.hint.is_empty(), "{warning}");
    }
    parsed.spec
}

fn comfy(fields: &Value, warnings: &[(&str, &str)]) -> (String, Option<String>) {
    let comfy = check(json!({"comfy": fields}), warnings).comfy;
    let revision = match &comfy.revision {
        Revision::Head => "head".into(),
        Revision::Ref(name) => format!("ref {name}"),
        other => format!("commit {other}"),
    };
    assert_eq!(comfy.repo.as_str(), "https://h/c");
    (revision, comfy.named_ref.map(|name| name.to_string()))
}

#[test]
fn the_documented_example_has_no_warnings() {
    let spec = check(
        json!({
            "version_id": "wan22-fast",
            "comfy": {"repo": "https://h/ComfyUI", "ref": "master", "commit": null},
            "custom_nodes": [{"repo": "https://h/ComfyUI-KJNodes", "ref": "main", "commit": null, "name": "KJNodes",
                              "install_requirements": true, "target_dir": "$COMFY_HOME/custom_nodes/KJNodes"}],
            "models": [{"source": "hf://owner/repo/path.safetensors", "name": "x.safetensors", "target_subdir": "loras",
                        "target_path": "$MODELS_DIR/loras/x.safetensors", "checksum": format!("sha256:{}", "0a".repeat(32))}],
            "python_packages": ["sageattention", "onnx>=1.14"],
            "env": {"COMFY_PYTHON": "python3.11"},
            "options": {"offline": false, "skip_models": false},
        }),
        &[],
    );
    assert_eq!(spec.version_id.as_str(), "wan22-fast");
    assert_eq!(spec.comfy.revision.to_string(), "master");
    let node = &spec.custom_nodes[0];
    assert_eq!(
        (node.name.as_str(), node.requirements, node.torch),
        ("KJNodes", InstallRequirements::Install, TorchChange::Refuse)
    );
    let model = &spec.models[0];
    assert_eq!(
        (model.name.as_str(), model.target.as_str()),
        ("x.safetensors", "loras/x.safetensors")
    );
    assert!(
        matches!(&model.source, ModelSource::HuggingFace { path, .. } if path == "path.safetensors")
    );
    assert!(matches!(model.checksum, Some(Checksum::Sha256(_))));
    assert_eq!(spec.python_packages, ["sageattention", "onnx>=1.14"]);
    assert_eq!(spec.env["COMFY_PYTHON"], "python3.11");
}

#[test]
fn three_fields_are_enough() {
    let spec = check(json!({}), &[]);
    assert_eq!(spec, Spec::new("v1".parse().unwrap(), spec.comfy.clone()));
    let nothing = json!({"custom_nodes": null, "models": null, "python_packages": null, "env": null, "options": null, "$schema": "x"});
    assert_eq!(check(nothing, &[]), spec);
}

#[test]
fn the_version_of_the_format_may_be_missing() {
    let fields = json!({"schema_version": null});
    check(fields, &[("/schema_version", "2 is assumed")]);
    check(
        json!({"schema_version": "2"}),
        &[("/schema_version", "understood as 2")],
    );
    check(
        json!({"schema_version": 2.0}),
        &[("/schema_version", "understood as 2")],
    );
    let parsed = parse(&json!({"version_id": "v1", "comfy": {"repo": "https://h/c"}}));
    assert_eq!(parsed.warnings[0].pointer, "/schema_version");
}

#[test]
fn a_branch_in_commit_is_resolved_like_a_ref() {
    let warning = &[("/comfy/commit", "resolved like a ref")][..];
    assert_eq!(
        comfy(&json!({"repo": "https://h/c", "commit": "main"}), warning),
        ("ref main".into(), None)
    );
    assert_eq!(
        comfy(&json!({"repo": "https://h/c", "commit": "HEAD"}), warning),
        ("head".into(), None)
    );
    assert_eq!(
        comfy(
            &json!({"repo": "https://h/c@main", "ref": "main", "commit": "main"}),
            warning
        ),
        ("ref main".into(), None)
    );
    let empty = json!({"repo": "https://h/c", "ref": "", "commit": " "});
    let warnings = &[("/comfy/commit", "empty"), ("/comfy/ref", "empty")];
    assert_eq!(comfy(&empty, warnings), ("head".into(), None));
}

#[test]
fn a_commit_decides_wherever_it_is_written() {
    let a = "a".repeat(40);
    let wanted = (format!("commit {a}"), None);
    assert_eq!(
        comfy(
            &json!({"repo": "https://h/c", "commit": a.to_uppercase()}),
            &[]
        ),
        wanted
    );
    assert_eq!(
        comfy(&json!({"repo": format!("https://h/c@{a}")}), &[]),
        wanted
    );
    assert_eq!(
        comfy(
            &json!({"repo": "https://h/c", "ref": a}),
            &[("/comfy/ref", "write it into `commit`")]
        ),
        wanted
    );
    assert_eq!(
        comfy(
            &json!({"repo": "https://h/c", "ref": "HEAD", "commit": a}),
            &[]
        ),
        wanted
    );
    let named = (format!("commit {a}"), Some("main".into()));
    assert_eq!(
        comfy(
            &json!({"repo": "https://h/c", "ref": "main", "commit": a}),
            &[]
        ),
        named
    );
    assert_eq!(
        comfy(&json!({"repo": "https://h/c@main", "commit": a}), &[]),
        named
    );
}

#[test]
fn a_repository_may_have_its_ref_behind_an_at() {
    assert_eq!(
        comfy(&json!({"repo": "https://h/c@feature/x"}), &[]),
        ("ref feature/x".into(), None)
    );
    assert_eq!(
        comfy(
            &json!("https://h/c@v1"),
            &[("/comfy", "{\"repo\": \"https://h/c@v1\"}")]
        ),
        ("ref v1".into(), None)
    );
    let spec = check(
        json!({"custom_nodes": ["git@h:o/Node.git@dev", {"repo": "/srv/a@b/Local@x"}]}),
        &[("/custom_nodes/0", "understood as the repository")],
    );
    let nodes: Vec<_> = spec
        .custom_nodes
        .iter()
        .map(|node| (node.name.as_str(), node.source.revision.to_string()))
        .collect();
    assert_eq!(
        nodes,
        [("Node", "dev".to_owned()), ("Local", "x".to_owned())]
    );
    assert_eq!(spec.custom_nodes[1].source.repo.as_str(), "/srv/a@b/Local");
}

#[test]
fn the_folder_of_a_node_decides_its_name() {
    for (fields, name, warnings) in [
        (json!({}), "Node", &[][..]),
        (json!({"name": "Other"}), "Other", &[]),
        (
            json!({"target_dir": "$COMFY_HOME/custom_nodes/Third/"}),
            "Third",
            &[],
        ),
        (json!({"target_dir": "custom_nodes//./Third"}), "Third", &[]),
        (
            json!({"name": "Third", "target_dir": "${COMFY_HOME}/custom_nodes/Third"}),
            "Third",
            &[],
        ),
        (
            json!({"name": "Other", "target_dir": "$COMFY_HOME/custom_nodes/Third"}),
            "Third",
            &[("/custom_nodes/0/name", "\"Other\" is not used")],
        ),
    ] {
        let mut node = json!({"repo": "https://h/Node.git"});
        node.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        let spec = check(json!({"custom_nodes": [node]}), warnings);
        assert_eq!(spec.custom_nodes[0].name.as_str(), name, "{fields}");
    }
    let spec = check(
        json!({"custom_nodes": [{"repo": "https://h/n", "install_requirements": false, "allow_torch": true}]}),
        &[],
    );
    assert_eq!(spec.custom_nodes[0].requirements, InstallRequirements::Skip);
    assert_eq!(spec.custom_nodes[0].torch, TorchChange::Allow);
}

/// The name and target of a model with these fields.
#[track_caller]
fn target(fields: &Value, warnings: &[(&str, &str)]) -> [String; 2] {
    let mut model = json!({"source": "https://h/p/x.bin?download=true"});
    let fields = fields.as_object().unwrap().clone();
    model.as_object_mut().unwrap().extend(fields);
    let env = json!({
        "LORAS": "$MODELS_DIR/loras", "SUB": "wan", "MODELS_DIR": "/workspace/models/", "COMFY_HOME": "/workspace/comfy",
    });
    let ignored = [
        ("/env/COMFY_HOME", "for the machine"),
        ("/env/MODELS_DIR", "for the machine"),
    ];
    let warnings: Vec<_> = ignored.iter().chain(warnings).copied().collect();
    let spec = check(json!({"models": [model], "env": env}), &warnings);
    assert_eq!(spec.env.keys().collect::<Vec<_>>(), ["LORAS", "SUB"]);
    let model = &spec.models[0];
    [model.name.to_string(), model.target.to_string()]
}

#[test]
fn the_target_of_a_model_may_be_written_in_many_ways() {
    let path = |path: &str| target(&json!({"target_path": path}), &[]);
    assert_eq!(path("$MODELS_DIR/loras/y.bin"), ["y.bin", "loras/y.bin"]);
    assert_eq!(path("loras//./y.bin"), ["y.bin", "loras/y.bin"]);
    assert_eq!(path("${LORAS}/$SUB/y.bin"), ["y.bin", "loras/wan/y.bin"]);
    assert_eq!(
        path("/workspace/models/loras/y.bin"),
        ["y.bin", "loras/y.bin"]
    );
    assert_eq!(path("$MODELS_DIR/loras/a$$b"), ["a$b", "loras/a$b"]);
    let folder = |folder: &str| target(&json!({"target_subdir": folder}), &[]);
    assert_eq!(folder("loras"), ["x.bin", "loras/x.bin"]);
    assert_eq!(folder("$MODELS_DIR/loras"), ["x.bin", "loras/x.bin"]);
    for (fields, named) in [
        (
            json!({"target_subdir": "loras/wan/", "name": "y.bin"}),
            ["y.bin", "loras/wan/y.bin"],
        ),
        (
            json!({"target_path": "$MODELS_DIR/loras/y.bin", "name": "label"}),
            ["label", "loras/y.bin"],
        ),
        (
            json!({"target_path": "loras/y.bin", "name": "y.bin", "target_subdir": "loras"}),
            ["y.bin", "loras/y.bin"],
        ),
    ] {
        assert_eq!(target(&fields, &[]), named, "{fields}");
    }
}

#[test]
fn targets_of_another_shape_are_understood_with_a_warning() {
    for (path, named, warning) in [
        (
            "$MODELS_DIR/loras/",
            ["x.bin", "loras/x.bin"],
            "understood as a folder",
        ),
        (
            "$COMFY_HOME/models/loras/y.bin",
            ["y.bin", "loras/y.bin"],
            "$MODELS_DIR/loras/y.bin",
        ),
        (
            "/workspace/comfy/models/vae/y.bin",
            ["y.bin", "vae/y.bin"],
            "$MODELS_DIR/vae/y.bin",
        ),
        (
            "$MODELS_DIR/y.bin",
            ["y.bin", "y.bin"],
            "ComfyUI does not look",
        ),
    ] {
        let fields = json!({"target_path": path});
        assert_eq!(
            target(&fields, &[("/models/0/target_path", warning)]),
            named,
            "{path}"
        );
    }
    let fields = json!({"target_path": "loras/y.bin", "name": "z.bin", "target_subdir": "loras"});
    let warning = ("/models/0/name", "called \"y.bin\"");
    assert_eq!(target(&fields, &[warning]), ["z.bin", "loras/y.bin"]);
}

#[test]
fn absolute_paths_are_understood_where_the_folders_are_known() {
    let bytes = serde_json::to_vec(&json!({
        "schema_version": 2, "version_id": "v1", "comfy": {"repo": "https://h/c"},
        "custom_nodes": [{"repo": "https://h/n", "target_dir": "/home/comfy/custom_nodes/Node"}],
        "models": [{"source": "https://h/x.bin", "target_path": "/data/models/vae/x.bin"}],
    }))
    .unwrap();
    assert_eq!(Spec::parse(&bytes).unwrap_err().problems.len(), 2);
    let reader = SpecReader::new()
        .with_home(Home::new("/home/comfy"))
        .with_models_dir(ModelsDir::new("/data/models"));
    let parsed = reader.read(&bytes).unwrap();
    assert_eq!(parsed.spec.models[0].target.as_str(), "vae/x.bin");
    assert_eq!(parsed.spec.custom_nodes[0].name.as_str(), "Node");
    assert_eq!(parsed.warnings, []);
}

#[test]
fn other_looseness_is_understood_with_a_warning() {
    let spec = check(
        json!({
            "description": "mine",
            "CustomNodes": [],
            "comfy": {"repo": "https://h/c", "branch": "dev"},
            "models": [
                {"source": "https://huggingface.co/o/r/blob/main/a.bin", "target_subdir": "vae", "sha256": "x", "checksum": ""},
                {"source": "/srv/b.bin", "target_subdir": "vae", "size": 5},
            ],
            "python_packages": [" onnx ", "onnx", ""],
            "env": {"HF_TOKEN": "x"},
            "options": {"ofline": true},
            "custom_nodes": [{"repo": "https://h/n", "name": "n.disabled"}],
        }),
        &[
            ("/CustomNodes", "is `custom_nodes` meant?"),
            ("/comfy/branch", "is `ref` meant?"),
            ("/custom_nodes/0/name", "does not load"),
            ("/description", "not known"),
            ("/env/HF_TOKEN", "looks like a secret"),
            ("/models/0/checksum", "empty"),
            ("/models/0/sha256", "is `checksum` meant?"),
            ("/models/0/source", "hf://o/r/a.bin"),
            ("/models/1/size", "not known"),
            ("/models/1/source", "file:///srv/b.bin"),
            ("/options/ofline", "not known"),
            ("/python_packages/1", "twice"),
            ("/python_packages/2", "empty"),
        ],
    );
    assert_eq!(spec.python_packages, ["onnx"]);
    assert!(
        !format!("{spec:?}").contains("\"x\""),
        "values of env are not shown"
    );
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let bytes = b"\xef\xbb\xbf{\"schema_version\": 2, \"version_id\": \"v1\", \"comfy\": {\"repo\": \"https://h/c\"}}";
    let parsed = Spec::parse(bytes).unwrap();
    assert!(parsed.warnings[0].message.contains("byte order mark"));
}

#[test]
fn plain_http_is_good_enough_for_a_known_content() {
    let checksum = format!("sha256:{}", "0".repeat(64));
    let spec = check(
        json!({"models": [{"source": "http://h/x.bin", "target_subdir": "vae", "checksum": checksum}]}),
        &[],
    );
    assert_eq!(spec.models[0].source.to_string(), "http://h/x.bin");
}

#[test]
fn variables_of_the_process_are_filled_in() {
    let spec = check(
        json!({"env": {"A": "--m=$MODELS_DIR:$COMFY_HOME/x", "B": "${A}!", "C": "5$$"}}),
        &[],
    );
    let environment = spec
        .environment(&Home::new("/h"), &ModelsDir::new("/m"))
        .unwrap();
    let values: Vec<_> = environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        values,
        [("A", "--m=/m:/h/x"), ("B", "--m=/m:/h/x!"), ("C", "5$")]
    );
}
