//! Documents that are refused: every problem with its place and what to write instead.

use serde_json::{Value, json};
use version_spec::{Error, ErrorKind, InvalidSpec, Spec};

/// A document that is valid but for what a test puts in.
fn document(fields: Value) -> Value {
    let mut document =
        json!({"schema_version": 2, "version_id": "v1", "comfy": {"repo": "https://h/ComfyUI"}});
    let Value::Object(fields) = fields else {
        panic!("fields are an object");
    };
    document.as_object_mut().unwrap().extend(fields);
    document
}

fn refused(bytes: &[u8]) -> InvalidSpec {
    match Spec::parse(bytes) {
        Err(invalid) => invalid,
        Ok(parsed) => panic!("accepted: {}\n{parsed:?}", String::from_utf8_lossy(bytes)),
    }
}

const SPEC: ErrorKind = ErrorKind::Spec;
const NAME: ErrorKind = ErrorKind::Name;

/// Each problem: its kind, its place, a part of the message, a part of the hint.
type Expected<'e> = &'e [(ErrorKind, &'e str, &'e str, &'e str)];

#[track_caller]
fn check(fields: Value, expected: Expected<'_>) {
    check_bytes(&serde_json::to_vec(&document(fields)).unwrap(), expected);
}

#[track_caller]
fn check_bytes(bytes: &[u8], expected: Expected<'_>) {
    let invalid = refused(bytes);
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(500)]);
    let places: Vec<_> = invalid
        .problems
        .iter()
        .map(|problem| problem.pointer.as_str())
        .collect();
    let wanted: Vec<_> = expected.iter().map(|(_, pointer, _, _)| *pointer).collect();
    assert_eq!(places, wanted, "{shown}\n{invalid}");
    for (problem, (kind, _, message, hint)) in invalid.problems.iter().zip(expected) {
        assert_eq!(problem.kind, *kind, "{problem}");
        assert!(
            problem.message.contains(message),
            "{message:?} is not in: {problem}"
        );
        assert!(problem.hint.contains(hint), "{hint:?} is not in: {problem}");
        assert!(!problem.hint.is_empty(), "no hint: {problem}");
        assert!(
            problem.message.len() < 700 && problem.hint.len() < 700,
            "endless: {problem}"
        );
    }
}

fn node(fields: Value) -> Value {
    entry("custom_nodes", json!({"repo": "https://h/Node"}), fields)
}

fn model(fields: Value) -> Value {
    entry(
        "models",
        json!({"source": "https://h/x.bin", "target_subdir": "vae"}),
        fields,
    )
}

fn entry(list: &str, mut entry: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else {
        panic!("fields are an object");
    };
    entry.as_object_mut().unwrap().extend(fields);
    json!({list: [entry]})
}

#[test]
fn what_is_no_json_object_is_one_problem() {
    for bytes in [
        &b""[..],
        b"{",
        b"\xff",
        b"nonsense",
        b"{}x",
        b"{'a': 1}",
        b"{\"a\": \"\\ud800\"}",
    ] {
        check_bytes(bytes, &[(SPEC, "", "no JSON", "one JSON object")]);
    }
    for bytes in [&b"[]"[..], b"1", b"null", b"\"x\""] {
        check_bytes(
            bytes,
            &[(SPEC, "", "an object is needed", "schema_version")],
        );
    }
    check_bytes(
        "[".repeat(100_000).as_bytes(),
        &[(SPEC, "", "recursion limit", "")],
    );
    check_bytes(
        &vec![b' '; (4 << 20) + 1],
        &[(SPEC, "", "more than the 4194304 allowed", "")],
    );
    let many = format!("[{}0]", "0,".repeat(300_000));
    check_bytes(many.as_bytes(), &[(SPEC, "", "values allowed", "")]);
}

#[test]
fn keys_that_are_there_twice_are_all_named() {
    let text = br#"{"schema_version": 2, "version_id": "v1", "version_id": "v2", "comfy": {"repo": "https://h/c", "repo": "https://h/d"},
        "custom_nodes": [{"repo": "https://h/a"}, {"repo": "https://h/b", "a/b": 1, "a/b": 2}]}"#;
    check_bytes(
        text,
        &[
            (SPEC, "/comfy/repo", "twice", "leave one"),
            (SPEC, "/custom_nodes/1/a~1b", "twice", "leave one"),
            (SPEC, "/version_id", "twice", "leave one"),
        ],
    );
}

#[test]
fn missing_fields_are_named_together() {
    check_bytes(
        b"{}",
        &[
            (SPEC, "", "no `version_id`", "version_id"),
            (SPEC, "", "no `comfy`", "\"repo\""),
        ],
    );
    check(
        json!({"comfy": {}}),
        &[(SPEC, "/comfy", "no `repo`", "\"repo\"")],
    );
    check(
        json!({"comfy": {"url": "https://h/c"}}),
        &[(SPEC, "/comfy", "no `repo`", "rename `url` to `repo`")],
    );
    check(
        json!({"comfy": null, "comfyui": {}}),
        &[(SPEC, "", "no `comfy`", "rename `comfyui`")],
    );
}

#[test]
fn values_of_another_type_are_refused_where_they_are() {
    check(
        json!({
            "schema_version": [], "version_id": 5, "comfy": {"repo": 1, "ref": 2, "commit": 3}, "custom_nodes": {"a": {}},
            "models": "x", "python_packages": "onnx", "env": [], "options": true,
        }),
        &[
            (
                SPEC,
                "/comfy/commit",
                "a text is needed here, not the number 3",
                "40 hexadecimal",
            ),
            (SPEC, "/comfy/ref", "not the number 2", "branch or tag"),
            (SPEC, "/comfy/repo", "not the number 1", "address"),
            (
                SPEC,
                "/custom_nodes",
                "a list is needed here, not an object",
                "write a list",
            ),
            (
                SPEC,
                "/env",
                "an object is needed here, not a list",
                "\"env\"",
            ),
            (
                SPEC,
                "/models",
                "a list is needed here, not the text \"x\"",
                "write a list",
            ),
            (SPEC, "/options", "not true", "offline"),
            (SPEC, "/python_packages", "not the text", "onnx>=1.14"),
            (SPEC, "/schema_version", "a list is no version", "write 2"),
            (SPEC, "/version_id", "not the number 5", "version_id"),
        ],
    );
    check(
        json!({
            "custom_nodes": [5, {}, null, {"repo": "https://h/n", "install_requirements": "yes", "allow_torch": 1}],
            "models": [{}, null, [], "hf://o/r/x", {"source": 1, "target_subdir": 2, "checksum": 3}],
            "python_packages": [1, null], "env": {"A": 1, "B": true, "C": null, "D": {}}, "options": {"offline": "no"},
        }),
        &[
            (SPEC, "/custom_nodes/0", "not the number 5", "remove it"),
            (SPEC, "/custom_nodes/1", "not an empty object", "remove it"),
            (SPEC, "/custom_nodes/2", "not null", "remove it"),
            (
                SPEC,
                "/custom_nodes/3/allow_torch",
                "not the number 1",
                "true or false",
            ),
            (
                SPEC,
                "/custom_nodes/3/install_requirements",
                "not the text \"yes\"",
                "true or false",
            ),
            (SPEC, "/env/A", "not the number 1", "write \"1\""),
            (SPEC, "/env/B", "not true", "write \"true\""),
            (SPEC, "/env/C", "not null", "leave it out"),
            (SPEC, "/env/D", "not an object", "write a text"),
            (SPEC, "/models/0", "not an empty object", "remove it"),
            (SPEC, "/models/1", "not null", "remove it"),
            (SPEC, "/models/2", "not a list", "remove it"),
            (SPEC, "/models/3", "not the text", "\"source\""),
            (SPEC, "/models/4/checksum", "not the number 3", "sha256:"),
            (SPEC, "/models/4/source", "not the number 1", "address"),
            (
                SPEC,
                "/models/4/target_subdir",
                "not the number 2",
                "$MODELS_DIR",
            ),
            (
                SPEC,
                "/options/offline",
                "not the text \"no\"",
                "true or false",
            ),
            (SPEC, "/python_packages/0", "not the number 1", "onnx"),
            (SPEC, "/python_packages/1", "not null", "onnx"),
        ],
    );
}

#[test]
fn versions_of_the_format_that_are_not_known_are_refused() {
    check(
        json!({"schema_version": 3}),
        &[(SPEC, "/schema_version", "version 3", "newer program")],
    );
    check(
        json!({"schema_version": 1}),
        &[(SPEC, "/schema_version", "the number 1", "migrated")],
    );
    check(
        json!({"schema_version": "two"}),
        &[(SPEC, "/schema_version", "\"two\"", "write 2")],
    );
}

#[test]
fn ids_and_names_that_lead_elsewhere_are_refused() {
    for id in [
        "../x", "a/b", "/a", ".hidden", "-rf", "a b", "NUL", "a\\b", "..", "é",
    ] {
        check(
            json!({"version_id": id}),
            &[(NAME, "/version_id", "is no version id", "version_id")],
        );
    }
    for name in [
        "../x",
        "a/b",
        "/a",
        "..",
        "a\\b",
        "C:x",
        ".git",
        "__pycache__",
        "con",
        "a\u{202E}b",
        "a.",
    ] {
        check(
            node(json!({"name": name})),
            &[(
                NAME,
                "/custom_nodes/0/name",
                "no name of a custom node",
                "folder",
            )],
        );
    }
    for name in [
        "../x.bin",
        "loras/x.bin",
        "/x",
        "..",
        "a\\b",
        "nul.bin",
        "x\n",
    ] {
        check(
            model(json!({"name": name})),
            &[(
                NAME,
                "/models/0/name",
                "no name of a model",
                "target_subdir",
            )],
        );
    }
    check(
        json!({"custom_nodes": [{"repo": "https://h/.git"}]}),
        &[(NAME, "/custom_nodes/0/repo", "\"\"", "`name`")],
    );
}

#[test]
fn targets_that_lead_elsewhere_are_refused() {
    for target in [
        "../x",
        "$COMFY_HOME/custom_nodes/../../x",
        "$COMFY_HOME/custom_nodes/a/b",
        "$COMFY_HOME",
        "$COMFY_HOME/nodes/x",
        "Node",
        "/etc/x",
        "$MODELS_DIR/custom_nodes/x",
        "$COMFY_HOME/custom_nodes",
        "~/x",
        "C:/x",
        "custom_nodes\\x",
        "$COMFY_HOME/custom_nodes/.git",
    ] {
        check(
            node(json!({"target_dir": target})),
            &[(NAME, "/custom_nodes/0/target_dir", "", "")],
        );
    }
    for target in [
        "../x",
        "$MODELS_DIR/../x",
        "$MODELS_DIR/a/../../x",
        "/etc/x",
        "/x",
        "$COMFY_HOME/x.bin",
        "$COMFY_HOME/custom_nodes/a/x.bin",
        "~/x",
        "C:\\x",
        "loras\\x.bin",
        "a/nul",
        "a/b:c",
        "a /b",
        ".lockstep/x",
        ".hidden/x",
        "a/\u{202E}x",
        "manifest.json",
    ] {
        let fields = json!({"models": [{"source": "https://h/x.bin", "target_path": target}]});
        check(fields, &[(NAME, "/models/0/target_path", "", "")]);
    }
    for folder in ["../x", "a/..", "/etc", "$COMFY_HOME/x", "~/x", "a\\b", ".x"] {
        check(
            model(json!({"target_subdir": folder})),
            &[(NAME, "/models/0/target_subdir", "", "")],
        );
    }
    for folder in [".", "$MODELS_DIR", "./", "$MODELS_DIR//"] {
        check(
            model(json!({"target_subdir": folder})),
            &[(SPEC, "/models/0/target_subdir", "itself", "checkpoints")],
        );
    }
    // The name of the file comes from the address, and may be anything.
    for source in [
        "https://h/a%2F..",
        "https://h/a%5Cb",
        "https://h/%00",
        "s3://bucket/nul",
    ] {
        check(
            model(json!({"source": source})),
            &[(
                NAME,
                "/models/0/target_subdir",
                "cannot lie there",
                "$MODELS_DIR",
            )],
        );
    }
}

#[test]
fn variables_that_are_unknown_or_cyclic_are_refused() {
    check(
        json!({
            "env": {"A": "$B", "B": "${A}/x", "C": "$C", "D": "$A", "HOME2": "$HOME/x", "E": "${", "F": "$$5", "1X": "x", "X-Y": "", "": "x", "Z": "a\0b"},
            "models": [
                {"source": "https://h/a.bin", "target_path": "$NOWHERE/a.bin"},
                {"source": "https://h/b.bin", "target_path": "$A/b.bin"},
                {"source": "https://h/c.bin", "target_subdir": "loras/$MODELS_DIR"},
                {"source": "file://$NOWHERE/d.bin", "target_subdir": "${loras"},
            ],
            "custom_nodes": [{"repo": "https://h/n", "target_dir": "$HOME2/custom_nodes/n"}],
        }),
        &[
            (
                SPEC,
                "/custom_nodes/0/target_dir",
                "the variable \"HOME\" is not known (in the value of `HOME2`)",
                "$COMFY_HOME",
            ),
            (SPEC, "/env/", "no name", "letters"),
            (SPEC, "/env/1X", "no name", "letters"),
            (SPEC, "/env/A", "defined by each other", "without variables"),
            (SPEC, "/env/B", "defined by each other", "without variables"),
            (
                SPEC,
                "/env/C",
                "\"C\" is defined by itself",
                "without variables",
            ),
            (SPEC, "/env/E", "no `}`", "${NAME}"),
            (SPEC, "/env/HOME2", "\"HOME\" is not known", "$$"),
            (SPEC, "/env/X-Y", "no name", "letters"),
            (SPEC, "/env/Z", "zero", "leave"),
            (
                SPEC,
                "/models/0/target_path",
                "\"NOWHERE\" is not known",
                "$MODELS_DIR",
            ),
            (
                SPEC,
                "/models/1/target_path",
                "defined by each other",
                "without variables",
            ),
            (
                SPEC,
                "/models/2/target_subdir",
                "in the middle",
                "start with `$MODELS_DIR`",
            ),
            (
                SPEC,
                "/models/3/source",
                "\"NOWHERE\" is not known",
                "$MODELS_DIR",
            ),
            (SPEC, "/models/3/target_subdir", "no `}`", "${NAME}"),
        ],
    );
}

#[test]
fn refs_and_commits_that_are_none_or_contradict_each_other_are_refused() {
    let (a, b) = ("a".repeat(40), "b".repeat(40));
    let comfy = |comfy: Value| json!({"comfy": comfy});
    for reference in ["-x", "a b", "a..b", "--upload-pack=x", "a.lock", "x:y"] {
        check(
            comfy(json!({"repo": "https://h/c", "ref": reference})),
            &[(SPEC, "/comfy/ref", "no name of a branch", "branch or tag")],
        );
    }
    for commit in ["abc1234", &a[..39], &format!("{a}0"), "1234"] {
        check(
            comfy(json!({"repo": "https://h/c", "commit": commit})),
            &[(SPEC, "/comfy/commit", "digits", "`ref`")],
        );
    }
    check(
        comfy(json!({"repo": "https://h/c", "commit": "-x"})),
        &[(SPEC, "/comfy/commit", "dash", "40")],
    );
    for (fields, place) in [
        (
            json!({"repo": "https://h/c@main", "ref": "dev"}),
            "/comfy/ref",
        ),
        (
            json!({"repo": "https://h/c@main", "commit": "dev"}),
            "/comfy/commit",
        ),
        (
            json!({"repo": "https://h/c", "ref": "main", "commit": "dev"}),
            "/comfy/commit",
        ),
        (
            json!({"repo": "https://h/c@HEAD", "ref": "dev"}),
            "/comfy/ref",
        ),
        (
            json!({"repo": format!("https://h/c@{a}"), "commit": b}),
            "/comfy/commit",
        ),
        (
            json!({"repo": format!("https://h/c@{a}"), "ref": b}),
            "/comfy/ref",
        ),
    ] {
        check(
            comfy(fields),
            &[(SPEC, place, "another field of the entry", "leave one")],
        );
    }
}

#[test]
fn repositories_that_are_none_are_refused() {
    for (repo, hint) in [
        ("ext::sh -c 'touch /tmp/x'", "https://"),
        ("--upload-pack=touch", "https://"),
        ("ssh://-oProxyCommand=touch/x", "https://"),
        ("owner/repo", "https://github.com/owner/repo"),
        ("../local", "absolute path"),
        ("~/x", "in full"),
        ("https://user:topsecret@h/c", "credential helper"),
        ("https://topsecret@h/c", "credential helper"),
        ("https://h/c?access_token=topsecret", "credential helper"),
        ("https://github.com/o/r/tree/dev", "\"dev\" into `ref`"),
        ("https://h/c@-x", "branch or tag"),
    ] {
        check(
            json!({"comfy": {"repo": repo}}),
            &[(SPEC, "/comfy/repo", "", hint)],
        );
        check(
            json!({"custom_nodes": [{"repo": repo}]}),
            &[(SPEC, "/custom_nodes/0/repo", "", hint)],
        );
    }
}

#[test]
fn nodes_of_one_name_are_refused() {
    let nodes = json!({"custom_nodes": [
        {"repo": "https://h/KJNodes"}, {"repo": "https://i/kjnodes.git"}, {"repo": "https://j/x", "name": "KJNODES"},
        {"repo": "https://k/y", "target_dir": "$COMFY_HOME/custom_nodes/KJnodes"}, {"repo": "not one", "name": "KJNodes"},
    ]});
    check(
        nodes,
        &[
            (
                NAME,
                "/custom_nodes/1/repo",
                "there already, at /custom_nodes/0",
                "a `name` of its own",
            ),
            (
                NAME,
                "/custom_nodes/2/name",
                "/custom_nodes/0",
                "remove one",
            ),
            (
                NAME,
                "/custom_nodes/3/target_dir",
                "/custom_nodes/0",
                "remove one",
            ),
            (
                NAME,
                "/custom_nodes/4/name",
                "/custom_nodes/0",
                "remove one",
            ),
            (SPEC, "/custom_nodes/4/repo", "neither a URL", "https://"),
        ],
    );
}

#[test]
fn models_of_one_name_or_one_target_are_refused() {
    let models = json!({"models": [
        {"source": "https://h/x.bin", "target_subdir": "vae"},
        {"source": "https://i/X.bin", "target_subdir": "loras"},
        {"source": "https://h/y.bin", "target_path": "$MODELS_DIR/VAE/x.BIN", "name": "other"},
        {"source": "https://h/z.bin", "target_path": "vae/x.bin/z.bin"},
        {"source": "https://h/w.bin", "target_path": "a/b/c"},
        {"source": "https://h/v.bin", "target_path": "A/B"},
    ]});
    check(
        models,
        &[
            (
                NAME,
                "/models/1/target_subdir",
                "a model \"X.bin\" is there already, at /models/0",
                "`name` of its own",
            ),
            (
                NAME,
                "/models/2/target_path",
                "the model at /models/0 lies at",
                "file of its own",
            ),
            (
                NAME,
                "/models/3/target_path",
                "below the file of the model at /models/0",
                "file of its own",
            ),
            (
                NAME,
                "/models/5/target_path",
                "is a folder, in which the model at /models/4 lies",
                "file of its own",
            ),
        ],
    );
}

#[test]
fn sources_and_checksums_that_are_none_are_refused() {
    for (source, hint) in [
        ("ftp://h/x", "https://"),
        ("x.bin", "https://"),
        ("hf://owner/repo", "hf://owner/repo/path"),
        ("civitai://12", "civitai://models/<id>"),
        (
            "https://civitai.com/api/download/models/1?token=topsecret",
            "CIVITAI_TOKEN",
        ),
        ("https://u:topsecret@h/x", "`@`"),
        ("http://h/x.bin", "sha256"),
        ("file://$MODELS_DIR/x", "comes from"),
        ("https://huggingface.co/o/r/tree/main", "hf://"),
    ] {
        check(
            model(json!({"source": source, "name": "x.bin"})),
            &[(SPEC, "/models/0/source", "", hint)],
        );
    }
    for (checksum, hint) in [
        (
            "ab".repeat(32),
            format!("write \"sha256:{}\"", "ab".repeat(32)),
        ),
        (
            "AB".repeat(16),
            format!("write \"md5:{}\"", "ab".repeat(16)),
        ),
        ("sha256:abc".into(), "64 hexadecimal digits".into()),
        ("sha1:abc".into(), "64 hexadecimal digits".into()),
        ("SHA-256:00".into(), "sha256:00".into()),
        (format!("sha256:{}", "g".repeat(64)), "64".into()),
    ] {
        check(
            model(json!({"checksum": checksum})),
            &[(SPEC, "/models/0/checksum", "no checksum", &hint)],
        );
    }
    // MD5 is no protection from someone on the way.
    let md5 = json!({"source": "http://h/x.bin", "checksum": format!("md5:{}", "0".repeat(32))});
    check(
        model(md5),
        &[(SPEC, "/models/0/source", "`http:`", "sha256")],
    );
    check(
        model(json!({"source": "civitai://models/1"})),
        &[(SPEC, "/models/0", "how the file is called", "\"name\"")],
    );
    check(
        json!({"models": [{"source": "hf://o/r/x"}]}),
        &[(
            SPEC,
            "/models/0",
            "neither `target_subdir` nor",
            "\"checkpoints\"",
        )],
    );
    check(
        model(json!({"target_path": "$MODELS_DIR/loras/x.bin"})),
        &[(
            SPEC,
            "/models/0/target_path",
            "different places",
            "leave one",
        )],
    );
    check(
        model(json!({"target_path": "$MODELS_DIR/loras/"})),
        &[(
            SPEC,
            "/models/0/target_path",
            "different places",
            "leave one",
        )],
    );
    let url = json!({"models": [{"url": "https://h/x", "target_subdir": "vae", "sha256": "x"}]});
    check(
        url,
        &[(SPEC, "/models/0", "no `source`", "rename `url` to `source`")],
    );
}

#[test]
fn packages_that_are_more_than_requirements_are_refused() {
    for (package, hint) in [
        ("-r requirements.txt", "packages themselves"),
        ("--index-url https://h", "the command says"),
        ("-e git+https://h/r", "@ git+https"),
        ("onnx=1.14", "onnx>=1.14"),
        ("onnx 1.14", "onnx>=1.14"),
        ("./wheel.whl", "file:///"),
        ("a\n--pre", "one requirement an entry"),
        ("a @ https://h/${HF_TOKEN}", "the value itself"),
        ("a # why", "comment"),
    ] {
        check(
            json!({"python_packages": [package]}),
            &[(SPEC, "/python_packages/0", "", hint)],
        );
    }
}

#[test]
fn an_error_has_all_problems() {
    let bytes = serde_json::to_vec(&document(json!({"version_id": "..", "models": [{}]}))).unwrap();
    let error = Error::from(refused(&bytes));
    assert_eq!((error.kind(), error.pointer()), (SPEC, Some("/models/0")));
    assert_eq!(error.problems().len(), 2);
    assert_eq!(error.problems()[1].kind, NAME);
    assert!(
        error.to_string().ends_with("(and 1 more problem)"),
        "{error}"
    );
    assert!(
        refused(&bytes)
            .to_string()
            .starts_with("the spec has 2 problems:\n  /models/0: ")
    );
}

#[test]
fn a_hostile_document_makes_no_endless_report() {
    let models: Vec<Value> = (0..5000).map(|_| json!({})).collect();
    let bytes = serde_json::to_vec(&document(json!({"models": models}))).unwrap();
    assert_eq!(refused(&bytes).problems.len(), 1000);
    let long = "x".repeat(1_000_000);
    check(
        node(json!({"name": long})),
        &[(NAME, "/custom_nodes/0/name", "longer", "")],
    );
    check(
        json!({"comfy": {"repo": long}}),
        &[(SPEC, "/comfy/repo", "longer", "")],
    );
    check(
        model(json!({"source": long})),
        &[(SPEC, "/models/0/source", "longer", "")],
    );
    check(
        model(json!({"checksum": long})),
        &[(SPEC, "/models/0/checksum", "", "")],
    );
    check(
        model(json!({"target_subdir": long})),
        &[(SPEC, "/models/0/target_subdir", "", "")],
    );
}

#[test]
fn no_secret_is_repeated() {
    let text = json!({
        "https://u:topsecret@h": 1,
        "env": {"A": {"https://u:topsecret@h": 1}, "https://u:topsecret@h": "x"},
        "comfy": {"repo": "https://u:topsecret@h/c@main", "ref": "https://u:topsecret@h/", "commit": "https://u:topsecret@h/"},
        "models": [{"source": "https://h/x?token=topsecret", "checksum": "https://u:topsecret@h/", "target_path": "https://u:topsecret@h/x"}],
        "custom_nodes": ["https://u:topsecret@h/n", {"repo": "https://h/?token=topsecret", "name": "https://u:topsecret@h"}],
        "python_packages": ["x @ https://u:topsecret@h/", "https://u:topsecret@h/"],
    });
    let invalid = refused(&serde_json::to_vec(&document(text)).unwrap());
    assert!(
        !format!("{invalid}{invalid:?}").contains("topsecret"),
        "{invalid}"
    );
    assert!(!format!("{:?}", Error::from(invalid)).contains("topsecret"));
}
