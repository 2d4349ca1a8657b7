//! Five manifests as the old system published them.

use manifest_core::{DeletePolicy, ErrorKind};

use crate::support::{FIXTURES, fixture, parse, refused};

#[test]
fn published_manifests_are_accepted_with_their_hash() {
    for (name, tool, version, files, hash) in [
        (
            "add-0.2.0",
            "add",
            "0.2.0",
            10,
            "7be0e5c879d13ed7f6aad6847b3da326ca52c083228fc53a348b613a126c0046",
        ),
        (
            "bm-generator-1.0.24",
            "bm-generator",
            "1.0.24",
            21,
            "72c699417175ac40c2770e61821c3b83b0649a378ca6128c5f67ff11920e799a",
        ),
        (
            "z-image-turbo-0.9.1",
            "z-image-turbo",
            "0.9.1",
            23,
            "fd9462745137e0f8d675edcbb175300ccdf90e4a677358b0d87d6e9e97d464f7",
        ),
        (
            "z-image-turbo-0.9.2",
            "z-image-turbo",
            "0.9.2",
            23,
            "f851e5baa7295a7f7e9200d27086c3b9dcb007da707fa3e0aed85a56a2a0f1bb",
        ),
    ] {
        let manifest = parse(&fixture(name)).unwrap();
        assert_eq!(manifest.manifest_hash().to_string(), hash);
        assert_eq!(manifest.tool_id().as_str(), tool);
        assert_eq!(manifest.tool_version().as_str(), version);
        assert_eq!(manifest.files().len(), files);
        assert_eq!(manifest.delete_policy(), DeletePolicy::Safe);
        assert_eq!(manifest.ignore_globs().patterns().len(), 10);
        assert!(
            manifest
                .files()
                .is_sorted_by(|one, other| one.path() < other.path())
        );
    }
}

#[test]
fn the_entry_of_the_previous_manifest_is_tolerated_and_skipped() {
    let manifest = parse(&fixture("add-0.2.0")).unwrap();
    assert!(manifest.file("manifest.json").is_none());
    assert!(
        manifest
            .files()
            .iter()
            .all(|file| file.path().as_str() != "manifest.json")
    );
    let [warning] = manifest.warnings() else {
        panic!("{:?}", manifest.warnings());
    };
    assert!(warning.contains("manifest.json"), "{warning}");
    let sizes: u64 = manifest
        .files()
        .iter()
        .map(manifest_core::FileEntry::size)
        .sum();
    assert_eq!(
        manifest.total_size(),
        sizes,
        "what is skipped is no byte to fetch"
    );
}

#[test]
fn a_manifest_edited_after_hashing_is_rejected_with_both_hashes() {
    let error = refused(
        &fixture("z-image-turbo-0.7.8-stale-hash"),
        ErrorKind::Hash,
        "/manifest_hash",
    );
    let text = error.to_string();
    for hash in [
        "f72185d233161a5ef9d05c8bc1f1ace3e90d525614333112f66f84e1b4d32650",
        "729606c6fe2789a53a7e14e1a57dc947b562c96000e777bf62b40dd9deeb0474",
    ] {
        assert!(text.contains(hash), "{text}");
    }
}

#[test]
fn writing_a_published_manifest_keeps_all_of_it() {
    for name in FIXTURES {
        let Ok(manifest) = parse(&fixture(name)) else {
            continue; // the stale one
        };
        let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
        assert_eq!(value(&manifest.to_bytes()), value(&fixture(name)), "{name}");
    }
}
