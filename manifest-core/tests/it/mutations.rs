//! Nothing that is not a manifest becomes one, and nothing panics.

use std::collections::HashSet;

use manifest_core::{ErrorKind, Limits, Manifest, Sha256Digest, canonical_json};
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{document, entry, fixture, parse, seal};

/// What holds for every accepted manifest, checked without the crate's own parser.
fn assert_valid(bytes: &[u8], manifest: &Manifest) {
    let mut value: Value = serde_json::from_slice(bytes).unwrap();
    let object = value.as_object_mut().unwrap();
    let stated = object.remove("manifest_hash").unwrap();
    object.remove("created_at");
    object.remove("signature");
    let computed = Sha256Digest::of(&canonical_json(&value).unwrap()).to_string();
    assert_eq!(stated, computed);
    assert_eq!(manifest.manifest_hash().to_string(), computed);

    let mut seen = HashSet::new();
    for file in manifest.files() {
        assert!(seen.insert(file.path().collision_key()));
        assert!(file.url().starts_with("http"));
        for component in file.path().components() {
            assert!(!component.is_empty() && component != ".." && !component.contains('\\'));
        }
    }
    assert_eq!(
        parse(&manifest.to_bytes()).unwrap().manifest_hash(),
        manifest.manifest_hash()
    );
}

fn canonical_bytes() -> Vec<u8> {
    let value: Value =
        serde_json::from_slice(&seal(document(vec![entry("a"), entry("b/c")]))).unwrap();
    canonical_json(&value).unwrap()
}

#[test]
fn any_flipped_bit_is_noticed() {
    let bytes = canonical_bytes();
    assert!(parse(&bytes).is_ok());
    for position in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[position] ^= 1 << bit;
            if let Ok(manifest) = parse(&flipped) {
                panic!(
                    "bit {bit} of byte {position}: {}",
                    String::from_utf8_lossy(&manifest.to_bytes())
                );
            }
        }
    }
}

#[test]
fn a_changed_value_is_a_changed_hash() {
    let bytes = String::from_utf8(canonical_bytes()).unwrap();
    for (from, to) in [
        ("\"size\":3", "\"size\":4"),
        ("\"safe\"", "\"manual\""),
        ("1.2.0", "1.2.1"),
        ("1.2.0", "v1.2.0"),
        ("mirror.example/x", "mirror.example/y"),
        ("\"b/c\"", "\"b/d\""),
        ("\"size\":3", "\"executable\":false,\"size\":3"),
        ("*.log", "*.lag"),
    ] {
        let changed = bytes.replacen(from, to, 1);
        assert_eq!(
            parse(changed.as_bytes()).unwrap_err().kind(),
            ErrorKind::Hash,
            "{from} -> {to}"
        );
    }
}

/// Bytes, and pieces of JSON, put over, into and out of a valid manifest.
fn mutated(original: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..4),
        prop::sample::select(vec![
            "\"",
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "null",
            "true",
            "1e9",
            "-1",
            "\\ud800",
            "\"path\":\"..\",",
            "\"files\":[],",
            "9007199254740993",
            "\"\\u0000\"",
            "{\"a\":1},",
            "é",
            "/",
            "..",
            "CON",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    let edit = (any::<prop::sample::Index>(), 0_usize..12, piece);
    prop::collection::vec(edit, 1..4).prop_map(move |edits| {
        let mut bytes = original.clone();
        for (index, removed, piece) in edits {
            let start = index.index(bytes.len() + 1);
            let end = (start + removed).min(bytes.len());
            bytes.splice(start..end, piece);
        }
        bytes
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(parse(&bytes).is_err());
    }

    #[test]
    fn arbitrary_json_text_never_panics(text in "[\\[\\]{}\",:0-9a-z\\\\u\\-. ]{0,80}") {
        prop_assert!(parse(text.as_bytes()).is_err());
    }

    #[test]
    fn a_mutated_manifest_is_refused_or_valid(bytes in mutated(canonical_bytes())) {
        if let Ok(manifest) = parse(&bytes) {
            assert_valid(&bytes, &manifest);
        }
    }

    #[test]
    fn a_mutated_published_manifest_is_refused_or_valid(bytes in mutated(fixture("add-0.2.0"))) {
        if let Ok(manifest) = parse(&bytes) {
            assert_valid(&bytes, &manifest);
        }
    }

    #[test]
    fn entries_with_any_paths_are_refused_or_valid(
        paths in prop::collection::vec("[aAb/.é\u{301}ß ]{1,5}|[a-c]{1,2}(/[a-c]{1,2}){0,2}", 0..6),
    ) {
        let bytes = seal(document(paths.iter().map(|path| entry(path)).collect::<Vec<_>>()));
        match parse(&bytes) {
            Ok(manifest) => {
                assert_valid(&bytes, &manifest);
                prop_assert_eq!(manifest.files().len(), paths.len());
            }
            Err(error) => {
                let kinds = [ErrorKind::Path, ErrorKind::Duplicate, ErrorKind::Conflict, ErrorKind::Manifest];
                prop_assert!(kinds.contains(&error.kind()), "{}", error);
                prop_assert!(error.pointer().is_some_and(|pointer| pointer.starts_with("/files/")));
            }
        }
    }

    #[test]
    fn tight_limits_never_panic(
        bytes in mutated(canonical_bytes()), bytes_max in 0_u64..2_000, files in 0_usize..3, size in 0_u64..8,
    ) {
        let limits = Limits::default().with_max_bytes(bytes_max).with_max_files(files).with_max_total_size(size);
        if let Ok(manifest) = Manifest::parse(&bytes, &limits) {
            prop_assert!(manifest.files().len() <= files && manifest.total_size() <= size);
        }
    }
}
