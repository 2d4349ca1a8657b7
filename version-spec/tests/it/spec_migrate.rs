//! Making specs: from parts, and from files of older systems.

use serde_json::{Value, json};
use version_spec::{
    COMFY_REPO, CancellationToken, Checksum, ErrorKind, InvalidSpec, ModelsDir, Parsed,
    Sha256Digest, SpecDraft, VersionId, migrate, version_of_lock_file,
};

fn id() -> VersionId {
    "v1".parse().unwrap()
}

fn migrated(document: &Value) -> Result<Parsed, InvalidSpec> {
    migrate(
        &serde_json::to_vec(document).unwrap(),
        &id(),
        &COMFY_REPO.parse().unwrap(),
    )
}

#[track_caller]
fn check_warnings(parsed: &Parsed, warnings: &[(&str, &str)]) {
    let places: Vec<_> = parsed
        .warnings
        .iter()
        .map(|warning| warning.pointer.as_str())
        .collect();
    let wanted: Vec<_> = warnings.iter().map(|(pointer, _)| *pointer).collect();
    assert_eq!(places, wanted, "{:#?}", parsed.warnings);
    for (warning, (_, text)) in parsed.warnings.iter().zip(warnings) {
        assert!(
            warning.to_string().contains(text) && !warning.hint.is_empty(),
            "{text:?} is not in: {warning}"
        );
    }
}

#[test]
fn a_draft_is_read_like_a_file() {
    let nodes = b"\xef\xbb\xbf# nodes\n\nhttps://h/a@main  A name\r\n  https://h/b\n";
    let models = b"hf://o/r/x.bin loras/\nhttps://h/y%20z.bin\tvae/y z.bin\n# no\nhttps://h/w.bin $MODELS_DIR/unet/w.bin\n";
    let parsed = SpecDraft::new(id(), "https://h/ComfyUI@v0.3")
        .with_node("git@h:o/c@dev")
        .with_node_list(nodes)
        .with_model_list(models)
        .with_model_list(br#" {"models": [{"source": "civitai://models/1", "target_path": "$MODELS_DIR/loras/c.bin"}]}"#)
        .with_python_package("onnx")
        .with_env("A", "b")
        .with_models_dir(ModelsDir::new("/m"))
        .finish()
        .unwrap();
    assert_eq!(parsed.warnings, []);
    let spec = parsed.spec;
    assert_eq!(spec.comfy.revision.to_string(), "v0.3");
    let nodes: Vec<_> = spec
        .custom_nodes
        .iter()
        .map(|node| (node.name.as_str(), node.source.revision.to_string()))
        .collect();
    assert_eq!(
        nodes,
        [
            ("c", "dev".to_owned()),
            ("A name", "main".to_owned()),
            ("b", "HEAD".to_owned())
        ]
    );
    let targets: Vec<_> = spec
        .models
        .iter()
        .map(|model| model.target.as_str())
        .collect();
    assert_eq!(
        targets,
        ["loras/x.bin", "vae/y z.bin", "unet/w.bin", "loras/c.bin"]
    );
    assert_eq!(spec.python_packages, ["onnx"]);
}

#[test]
fn problems_of_a_draft_say_which_line_they_are_of() {
    let invalid = SpecDraft::new(id(), "nonsense")
        .with_model_list(
            b"# models\nhf://o/r/x.bin loras/\nhttps://h/y.bin ../y.bin\nhttps://h/z.bin\n",
        )
        .with_model_list(br#"[{"source": "x"}]"#)
        .with_node_list(b"{\"a\": 1}")
        .with_node_list(b"\xff\xfe")
        .with_node_list(b"[")
        .with_python_package("-r x")
        .finish()
        .unwrap_err();
    let found: Vec<_> = invalid
        .problems
        .iter()
        .map(|problem| (problem.pointer.as_str(), problem.message.as_str()))
        .collect();
    let expected = [
        ("", "the file holds no list"),
        ("", "the list is no text"),
        ("", "no JSON"),
        ("/comfy/repo", "nonsense"),
        ("/models/1/target_path", "line 3: "),
        ("/models/2", "line 4: "),
        ("/models/3", "entry 1: "),
        ("/models/3/source", "entry 1: "),
        ("/python_packages/0", "options"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((pointer, message), (wanted, part)) in found.iter().zip(expected) {
        assert!(
            *pointer == wanted && message.contains(part),
            "{pointer}: {message}"
        );
    }
}

#[test]
fn models_that_are_here_are_pinned() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("vae/folder.bin")).unwrap();
    std::fs::write(folder.path().join("vae/a.bin"), b"a").unwrap();
    std::fs::write(folder.path().join("vae/b.bin"), b"b").unwrap();
    let md5 = format!("md5:{}", "0".repeat(32));
    let list = json!([
        {"source": "https://h/a.bin", "target_subdir": "vae"},
        {"source": "https://h/b.bin", "target_subdir": "vae", "checksum": md5},
        {"source": "https://h/c.bin", "target_subdir": "vae"},
        {"source": "https://h/folder.bin", "target_subdir": "vae"},
        {"source": "https://h/d.bin", "target_path": "vae2/x/d.bin"},
    ]);
    let draft =
        SpecDraft::new(id(), "https://h/c").with_model_list(&serde_json::to_vec(&list).unwrap());
    let mut spec = draft.finish().unwrap().spec;
    let models = ModelsDir::new(folder.path());
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    assert_eq!(
        spec.pin_local_models(&models, &cancelled)
            .unwrap_err()
            .kind(),
        ErrorKind::Cancelled
    );
    assert_eq!(spec.models[0].checksum, None);
    assert_eq!(
        spec.pin_local_models(&models, &CancellationToken::new())
            .unwrap(),
        1
    );
    let checksums: Vec<_> = spec
        .models
        .iter()
        .map(|model| model.checksum.map(|checksum| checksum.to_string()))
        .collect();
    let a = Checksum::Sha256(Sha256Digest::of(b"a")).to_string();
    assert_eq!(checksums, [Some(a), Some(md5), None, None, None]);
}

#[test]
fn a_clone_is_the_same_under_another_id() {
    let spec = SpecDraft::new(id(), "https://h/c")
        .with_node("https://h/n")
        .finish()
        .unwrap()
        .spec;
    let clone = spec.clone().with_version_id("v2".parse().unwrap());
    assert_eq!(clone.version_id.as_str(), "v2");
    assert_ne!(clone.digest(), spec.digest(), "a lock is of one version");
    assert_eq!(clone.with_version_id(id()), spec);
}

#[test]
fn an_old_lock_becomes_a_spec() {
    let commit = "c".repeat(40);
    let parsed = migrated(&json!({
        "schema_version": 1, "tag": "v1", "generated_at": "2025-01-01",
        "comfyui": {"repo": "https://h/ComfyUI", "ref": "master", "commit": commit},
        "custom_nodes": [
            {"name": "A", "url": "https://h/a", "commit_hash": commit},
            "https://h/b@main",
            {"repo": "https://h/c", "branch": "dev", "commit": null},
        ],
        "models": [{"source": "hf://o/r/x.bin", "target_path": "$COMFY_HOME/models/vae/x.bin"}],
        "pip": ["torch==2.5.1+cu124", "onnx==1.16", "nvidia-cublas-cu12==12.4", "local @ file:///tmp/x", "-e git+https://h/x", "# comment", ""],
        "env": {"A": "b"}, "gpu": "4090",
    }))
    .unwrap();
    check_warnings(
        &parsed,
        &[
            ("/gpu", "not known"),
            ("/models/0/target_path", "$MODELS_DIR/vae/x.bin"),
            (
                "/pip",
                "\"torch==2.5.1+cu124\", \"nvidia-cublas-cu12==12.4\" are left out",
            ),
            ("/pip/3", "a folder of the old machine"),
            ("/pip/4", "left out"),
        ],
    );
    let spec = parsed.spec;
    assert_eq!(spec.version_id, id());
    assert_eq!(spec.comfy.revision.to_string(), commit);
    let nodes: Vec<_> = spec
        .custom_nodes
        .iter()
        .map(|node| (node.name.as_str(), node.source.revision.to_string()))
        .collect();
    assert_eq!(
        nodes,
        [
            ("A", commit.clone()),
            ("b", "main".into()),
            ("c", "dev".into())
        ]
    );
    assert_eq!(spec.python_packages, ["onnx==1.16"]);
}

#[test]
fn old_locks_come_in_other_shapes() {
    let commit = "c".repeat(40);
    for comfy in [
        json!({"comfy": commit}),
        json!({"comfy": {"commit": commit}}),
        json!({"commit": commit}),
        json!({"repo": COMFY_REPO, "branch": "master", "commit": commit}),
        json!({"ComfyUI": format!("{COMFY_REPO}@{commit}")}),
    ] {
        let parsed = migrated(&comfy).unwrap_or_else(|invalid| panic!("{comfy}: {invalid}"));
        assert_eq!(parsed.spec.comfy.repo.as_str(), COMFY_REPO, "{comfy}");
        assert_eq!(parsed.spec.comfy.revision.to_string(), commit, "{comfy}");
    }
    let parsed = migrated(&json!({
        "comfy": "v0.3.1",
        "nodes": {"A": {"url": "https://h/x"}},
        "packages": {"onnx": "1.16", "numpy": "<2", "a": "", "b": "https://h/b.whl", "torch": "2.5"},
        "requirements": "c==1\nd\n",
    }))
    .unwrap();
    check_warnings(
        &parsed,
        &[
            ("/comfy/commit", "like a ref"),
            ("/packages", "\"torch==2.5\" is left out"),
        ],
    );
    assert_eq!(parsed.spec.custom_nodes[0].name.as_str(), "A");
    let mut packages = parsed.spec.python_packages.clone();
    packages.sort();
    assert_eq!(
        packages,
        [
            "a",
            "b @ https://h/b.whl",
            "c==1",
            "d",
            "numpy<2",
            "onnx==1.16"
        ]
    );
}

#[test]
fn problems_of_an_old_file_are_named_where_they_are_in_it() {
    let invalid = migrated(&json!({
        "comfyui": {"repo": "nonsense"},
        "nodes": {"A/b": {"url": "-x"}, "C": 5},
        "models": [{}],
        "pip": 5,
    }))
    .unwrap_err();
    let places: Vec<_> = invalid
        .problems
        .iter()
        .map(|problem| problem.pointer.as_str())
        .collect();
    assert_eq!(
        places,
        [
            "/comfyui/repo",
            "/models/0",
            "/nodes/A~1b/name",
            "/nodes/A~1b/repo",
            "/nodes/C",
            "/pip"
        ]
    );
    for bytes in [&b"{"[..], b"[]", b"5", b"{}"] {
        let invalid = migrate(bytes, &id(), &COMFY_REPO.parse().unwrap()).unwrap_err();
        assert_eq!(invalid.problems.len(), 1, "{invalid}");
        assert!(!invalid.problems[0].hint.is_empty());
    }
}

#[test]
fn a_snapshot_of_the_manager_becomes_a_spec() {
    let commit = "c".repeat(40);
    let parsed = migrated(&json!({
        "comfyui": commit,
        "git_custom_nodes": {
            "https://h/o/Node.git": {"hash": commit, "disabled": false},
            "https://h/o/Off": {"hash": commit, "disabled": true},
            "https://h/o/Unknown": {"hash": null, "disabled": false},
        },
        "cnr_custom_nodes": {"comfyui-kjnodes": "1.0.4", "b": null},
        "file_custom_nodes": [{"filename": "x.py", "disabled": false}, {"filename": "y.py", "disabled": true}],
        "pips": {"torch==2.5.1": "", "onnx==1.16": "", "pkg": "git+https://h/pkg@abc", "wheel @ file:///x.whl": "", "Bad Name": ""},
    }))
    .unwrap();
    check_warnings(
        &parsed,
        &[
            ("/cnr_custom_nodes/b", "with its repository"),
            (
                "/cnr_custom_nodes/comfyui-kjnodes",
                "\"comfyui-kjnodes\" 1.0.4",
            ),
            ("/file_custom_nodes/0", "\"x.py\" is a single file"),
            ("/git_custom_nodes/https:~1~1h~1o~1Off", "disabled"),
            ("/git_custom_nodes/https:~1~1h~1o~1Unknown", "no commit"),
            ("/pips", "torch==2.5.1"),
            ("/pips/Bad Name", "left out"),
            ("/pips/wheel @ file:~1~1~1x.whl", "old machine"),
        ],
    );
    let spec = parsed.spec;
    assert_eq!(
        (spec.comfy.repo.as_str(), spec.comfy.revision.to_string()),
        (COMFY_REPO, commit)
    );
    let names: Vec<_> = spec
        .custom_nodes
        .iter()
        .map(|node| node.name.as_str())
        .collect();
    assert_eq!(names, ["Node", "Unknown"]);
    assert_eq!(
        spec.python_packages,
        ["onnx==1.16", "pkg @ git+https://h/pkg@abc"]
    );
}

#[test]
fn problems_of_a_snapshot_are_named_where_they_are_in_it() {
    let invalid = migrated(&json!({
        "comfyui": 5,
        "git_custom_nodes": {"https://user:topsecret@h/n": {"hash": "abc1234"}, "https://h/m": {"hash": "abc1234"}},
        "cnr_custom_nodes": [], "file_custom_nodes": {}, "pips": 5,
    }))
    .unwrap_err();
    let places: Vec<_> = invalid
        .problems
        .iter()
        .map(|problem| problem.pointer.as_str())
        .collect();
    assert_eq!(
        places,
        [
            "/cnr_custom_nodes",
            "/comfyui/commit",
            "/file_custom_nodes",
            "/git_custom_nodes/https:~1~1h~1m/commit",
            "/git_custom_nodes/https:~1~1…@h~1n/commit",
            "/git_custom_nodes/https:~1~1…@h~1n/repo",
            "/pips",
        ]
    );
    assert!(!format!("{invalid:?}").contains("topsecret"));
    let nothing = migrated(&json!({"git_custom_nodes": {}})).unwrap();
    check_warnings(&nothing, &[("/comfyui", "the newest is taken")]);
}

#[test]
fn an_old_lock_is_named_after_its_version() {
    let version = |name: &str| version_of_lock_file(name).map(|id| id.to_string());
    assert_eq!(version("comfy-v0.3.1.lock.json"), Some("v0.3.1".into()));
    assert_eq!(version("v1.lock.json"), Some("v1".into()));
    for name in [
        "comfy-v1.json",
        "comfy-.lock.json",
        "comfy-../x.lock.json",
        "x",
    ] {
        assert_eq!(version(name), None, "{name}");
    }
}
