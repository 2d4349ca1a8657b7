//! What is read is written again, and the hash covers what it should.

use manifest_core::{
    DeletePolicy, Dependencies, ErrorKind, FileEntry, IgnoreGlobs, Limits, Manifest,
    ManifestBuilder, Sha256Digest,
};
use serde_json::{Value, json};

use crate::support::{document, entry, parse, refused, seal};

fn hash_of(document: Value) -> Sha256Digest {
    parse(&seal(document)).unwrap().manifest_hash()
}

#[test]
fn unknown_fields_survive_at_every_level() {
    let mut file = entry("a");
    file["mode"] = json!({"unix": 420, "tags": ["x", null]});
    let mut unknown = document(vec![entry("b"), file]);
    unknown["x-team"] = json!({"deep": {"deeper": [1, 2.5, "\u{1F600}", null]}});
    unknown["frontend"] = json!({"type": "web", "port": 80});
    unknown["signature"] =
        json!({"algorithm": "Ed25519", "public_key_id": "k", "signature": "s", "extra": 1});
    let bytes = seal(unknown.clone());
    let manifest = parse(&bytes).unwrap();
    let written = manifest.to_bytes();
    let read: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&written).unwrap(),
        read,
        "the order of files too"
    );
    assert_eq!(parse(&written).unwrap().to_bytes(), written);
    assert!(written.ends_with(b"}\n"));
}

#[test]
fn the_hash_covers_unknown_fields() {
    let plain = hash_of(document(vec![entry("a")]));
    let mut changed = document(vec![entry("a")]);
    changed["x"] = 1.into();
    assert_ne!(hash_of(changed), plain);
    let mut changed = document(vec![entry("a")]);
    changed["files"][0]["x"] = 1.into();
    assert_ne!(hash_of(changed), plain);
    let mut changed = document(vec![entry("a")]);
    changed["dependencies"] = json!({"python_min": "3.11", "x": 1});
    let with_x = hash_of(changed.clone());
    changed["dependencies"]["x"] = 2.into();
    assert_ne!(hash_of(changed), with_x);
}

#[test]
fn the_hash_covers_neither_date_nor_signature() {
    let bytes = seal(document(vec![entry("a")]));
    let mut value: Value = serde_json::from_slice(&bytes).unwrap();
    let plain = parse(&bytes).unwrap();
    value["created_at"] = "2026-02-20T14:39:12+01:00".into();
    value["signature"] = json!({"algorithm": "Ed25519", "public_key_id": "k", "signature": "s"});
    let decorated = parse(&serde_json::to_vec(&value).unwrap()).unwrap();
    assert_eq!(decorated, plain);
    assert_eq!(decorated.created_at(), Some("2026-02-20T14:39:12+01:00"));
    assert_eq!(decorated.signature().unwrap().public_key_id, "k");
}

#[test]
fn the_hash_covers_the_order_and_form_of_entries() {
    let sorted = hash_of(document(vec![entry("a"), entry("b")]));
    assert_ne!(hash_of(document(vec![entry("b"), entry("a")])), sorted);
    let mut explicit = entry("a");
    explicit["executable"] = false.into();
    assert_ne!(hash_of(document(vec![explicit, entry("b")])), sorted);
}

#[test]
fn files_are_sorted_by_bytes_whatever_the_order_received() {
    let received = ["b", "a/z", "manifest.json", "a-b", "a.txt", "B", "é", "a/a"];
    let files: Vec<_> = received.iter().copied().map(entry).collect();
    let error = refused(
        &seal(document(files.clone())),
        ErrorKind::Duplicate,
        "/files/0/path",
    );
    assert!(error.to_string().contains("\"B\" and \"b\""), "{error}");
    let files: Vec<_> = files
        .into_iter()
        .filter(|file| file["path"] != "B")
        .collect();
    let manifest = parse(&seal(document(files))).unwrap();
    let paths: Vec<_> = manifest
        .files()
        .iter()
        .map(|file| file.path().as_str())
        .collect();
    assert_eq!(paths, ["a-b", "a.txt", "a/a", "a/z", "b", "é"]);
    assert_eq!(
        manifest.file("a/z").unwrap().sha256(),
        Sha256Digest::of(b"a/z")
    );
    assert!(manifest.file("a").is_none() && manifest.file("").is_none());
}

#[test]
fn null_in_an_optional_field_means_absent() {
    let mut nulls = document([Value::Null; 0]);
    for field in [
        "created_at",
        "dependencies",
        "flash_gpu_config",
        "frontend",
        "api_contract",
        "capabilities",
    ] {
        nulls[field] = Value::Null;
    }
    let manifest = parse(&seal(nulls)).unwrap();
    assert!(manifest.created_at().is_none() && manifest.frontend().is_none());
    assert!(manifest.capabilities().is_empty());
}

fn builder() -> ManifestBuilder {
    ManifestBuilder::new("sketcher".parse().unwrap(), "v1.2.0".parse().unwrap())
}

#[test]
fn what_is_built_can_be_parsed() {
    let digest = Sha256Digest::of(b"x");
    let entry = FileEntry::new(
        "b".parse().unwrap(),
        digest,
        1,
        "https://elsewhere.example/b",
    );
    let manifest = builder()
        .with_entry(entry.clone())
        .with_file("a".parse().unwrap(), digest, 1, true)
        .with_created_at("2026-02-20T14:39:12Z")
        .with_delete_policy(DeletePolicy::Manual)
        .with_ignore_globs(&IgnoreGlobs::new(["*.tmp"]).unwrap())
        .with_dependencies(&Dependencies {
            python_min: Some("3.11".into()),
            cuda_min: None,
        })
        .with_api_contract("runtime/1")
        .with_capabilities(["render"])
        .with_field("x-team", json!({"a": [1]}))
        .build()
        .unwrap();
    let parsed = parse(&manifest.to_bytes()).unwrap();
    assert_eq!(parsed.manifest_hash(), manifest.manifest_hash());
    assert_eq!(parsed.to_bytes(), manifest.to_bytes());
    assert_eq!(parsed.tool_version().as_str(), "1.2.0");
    assert_eq!(parsed.delete_policy(), DeletePolicy::Manual);
    assert_eq!(parsed.capabilities(), ["render"]);
    assert_eq!(parsed.files()[1], entry);
    assert!(parsed.files()[0].executable() && !parsed.files()[1].executable());
    assert_eq!(parsed.total_size(), 2);
}

#[test]
fn a_release_that_is_described_otherwise_keeps_the_rest() {
    let mut old = document(vec![entry("b"), entry("a")]);
    old["x-team"] = json!({"deep": [1, null]});
    old["created_at"] = "2026-02-20T14:39:12Z".into();
    old["signature"] = json!({"algorithm": "Ed25519", "public_key_id": "k", "signature": "s"});
    let old = parse(&seal(old)).unwrap();
    let same = ManifestBuilder::from_manifest(&old).build().unwrap();
    let (mut before, mut after): (Value, Value) = (
        serde_json::from_slice(&old.to_bytes()).unwrap(),
        serde_json::from_slice(&same.to_bytes()).unwrap(),
    );
    assert_eq!(
        after["files"],
        json!([before["files"][1], before["files"][0]])
    );
    for field in ["files", "manifest_hash", "signature"] {
        before.as_object_mut().unwrap().remove(field);
        after.as_object_mut().unwrap().remove(field);
    }
    assert_eq!(after, before);
    let other = ManifestBuilder::from_manifest(&same)
        .with_api_contract("runtime/1")
        .build()
        .unwrap();
    assert_ne!(other.manifest_hash(), same.manifest_hash());
    assert_eq!(other.files(), same.files());
}

#[test]
fn the_builder_refuses_what_parse_refuses() {
    let kind = |builder: ManifestBuilder| builder.build().unwrap_err().kind();
    let file = |path: &str, size| {
        builder().with_file(path.parse().unwrap(), Sha256Digest::of(b""), size, false)
    };
    let deep = (0..200).fold(json!(1), |value, _| json!([value]));
    let far_url = |url: &str| {
        builder().with_entry(FileEntry::new(
            "a".parse().unwrap(),
            Sha256Digest::of(b""),
            0,
            url,
        ))
    };
    assert_eq!(
        kind(builder().with_field("files", json!([]))),
        ErrorKind::Manifest
    );
    assert_eq!(
        kind(builder().with_field("x", 1_u64 << 53)),
        ErrorKind::Limit
    );
    assert_eq!(kind(builder().with_field("x", deep)), ErrorKind::Manifest);
    assert_eq!(
        kind(builder().with_field("frontend", 5)),
        ErrorKind::Manifest
    );
    assert_eq!(
        kind(builder().with_created_at("today")),
        ErrorKind::Manifest
    );
    assert_eq!(
        kind(builder().with_api_contract("Runtime/1")),
        ErrorKind::Manifest
    );
    assert_eq!(
        kind(
            builder()
                .with_base_url("mailto:x".parse().unwrap())
                .with_file("a".parse().unwrap(), Sha256Digest::of(b""), 0, false)
        ),
        ErrorKind::Policy
    );
    assert_eq!(
        kind(
            builder()
                .with_base_url("file:///x".parse().unwrap())
                .with_file("a".parse().unwrap(), Sha256Digest::of(b""), 0, false)
        ),
        ErrorKind::Policy
    );
    assert_eq!(kind(far_url("https://u:p@h/x")), ErrorKind::Policy);
    assert_eq!(kind(far_url("")), ErrorKind::Manifest);
    assert_eq!(kind(file("cache/x", 0)), ErrorKind::Path);
    assert_eq!(kind(file("a", 1 << 53)), ErrorKind::Limit);
    let wide = Limits::default().with_max_total_size(u64::MAX);
    assert_eq!(kind(file("a", 1 << 53).with_limits(wide)), ErrorKind::Limit);
    assert_eq!(
        kind(file("a", 0).with_file("A".parse().unwrap(), Sha256Digest::of(b""), 0, false)),
        ErrorKind::Duplicate
    );
    assert_eq!(
        kind(file("a", 0).with_limits(Limits::default().with_max_files(0))),
        ErrorKind::Limit
    );
    assert_eq!(
        kind(file("a", 0).with_limits(Limits::default().with_max_bytes(200))),
        ErrorKind::Limit
    );
}

#[test]
fn manifests_and_errors_cross_threads() {
    fn assert_crosses_threads<T: Send + Sync + 'static>() {}
    assert_crosses_threads::<Manifest>();
    assert_crosses_threads::<manifest_core::Error>();
}
