use manifest_core::{Error, ErrorKind, Limits, Manifest, Sha256Digest, canonical_json};
use serde_json::{Value, json};

pub(crate) const FIXTURES: [&str; 5] = [
    "add-0.2.0",
    "bm-generator-1.0.24",
    "z-image-turbo-0.7.8-stale-hash",
    "z-image-turbo-0.9.1",
    "z-image-turbo-0.9.2",
];

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/manifests");
    std::fs::read(format!("{folder}/{name}.json")).unwrap()
}

/// Puts a hash in front of the fields of a JSON object, as text.
pub(crate) fn with_hash(document: &str, hash: &str) -> Vec<u8> {
    document
        .replacen('{', &format!("{{\"manifest_hash\":\"{hash}\","), 1)
        .into_bytes()
}

/// An entry with some size and digest.
pub(crate) fn entry(path: &str) -> Value {
    json!({
        "path": path,
        "sha256": Sha256Digest::of(path.as_bytes()),
        "size": 3,
        "url": "https://mirror.example/x",
    })
}

pub(crate) fn document(files: impl Into<Value>) -> Value {
    json!({
        "manifest_version": "1.0",
        "tool_id": "sketcher",
        "tool_version": "1.2.0",
        "files": files.into(),
        "delete_policy": "safe",
        "ignore_globs": ["cache/**", "*.log"],
    })
}

/// The document with its hash, as a publisher would send it.
pub(crate) fn seal(mut document: Value) -> Vec<u8> {
    let mut hashed = document.clone();
    for field in ["manifest_hash", "created_at", "signature"] {
        hashed.as_object_mut().unwrap().remove(field);
    }
    let hash = Sha256Digest::of(&canonical_json(&hashed).unwrap());
    document["manifest_hash"] = hash.to_string().into();
    serde_json::to_vec(&document).unwrap()
}

pub(crate) fn parse(bytes: &[u8]) -> Result<Manifest, Error> {
    Manifest::parse(bytes, &Limits::default())
}

/// Asserts a refusal of this kind at this place, and returns it.
#[track_caller]
pub(crate) fn refused(bytes: &[u8], kind: ErrorKind, pointer: &str) -> Error {
    match parse(bytes) {
        Ok(manifest) => panic!("accepted: {manifest:?}"),
        Err(error) => {
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(600)]);
            assert_eq!(error.kind(), kind, "{error}\n{shown}");
            assert_eq!(
                error.pointer().unwrap_or_default(),
                pointer,
                "{error}\n{shown}"
            );
            error
        }
    }
}

/// Asserts that a manifest with these entries is refused.
#[track_caller]
pub(crate) fn refused_files(files: impl Into<Value>, kind: ErrorKind, pointer: &str) -> Error {
    refused(&seal(document(files)), kind, pointer)
}
