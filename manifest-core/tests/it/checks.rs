//! Folders compared with a manifest, and hashes with what is stated.

use std::fs;
use std::ops::ControlFlow;

use manifest_core::{
    DifferenceKind, ErrorKind, IgnoreGlobs, Limits, Manifest, ManifestBuilder, ScanOptions,
    ScanProgress, Sha256Digest, check_folder, check_folder_observed, check_hash, scan,
};
use tempfile::TempDir;

use crate::support::{FIXTURES, fixture, with_hash};

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (path, content) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

fn described(folder: &TempDir) -> Manifest {
    let options = ScanOptions::new()
        .with_tool_id("sketcher".parse().unwrap())
        .with_tool_version("1.2.0".parse().unwrap());
    scan(folder.path(), &options).unwrap().manifest
}

fn differences(manifest: &Manifest, folder: &TempDir) -> Vec<(String, DifferenceKind)> {
    let found = check_folder(manifest, folder.path()).unwrap();
    let found = found.into_iter();
    found
        .map(|found| (found.path.to_string(), found.kind))
        .collect()
}

#[test]
fn every_difference_of_a_folder_is_found_in_order() {
    let one = folder(&[
        ("a.txt", "a"),
        ("gone", "x"),
        ("longer", "1"),
        ("other", "1"),
        ("same", "s"),
    ]);
    let manifest = described(&one);
    assert_eq!(differences(&manifest, &one), []);
    let other = folder(&[
        ("a.txt", "a"),
        ("longer", "12"),
        ("new/x", ""),
        ("other", "2"),
        ("same", "s"),
        ("run.log", "no difference"),
        ("cache/x", "no difference"),
        ("manifest.json", "no difference"),
    ]);
    assert_eq!(
        differences(&manifest, &other),
        [
            ("gone".to_owned(), DifferenceKind::Missing),
            ("longer".to_owned(), DifferenceKind::WrongSize { found: 2 }),
            ("new/x".to_owned(), DifferenceKind::Extra),
            ("other".to_owned(), DifferenceKind::WrongContent),
        ]
    );
}

#[test]
fn what_is_listed_counts_even_if_a_glob_matches_it() {
    let folder = folder(&[("a.map", "x"), ("b.map", "x"), ("c.txt", "x")]);
    let entry = |builder: ManifestBuilder, path: &str| {
        builder.with_file(path.parse().unwrap(), Sha256Digest::of(b"x"), 1, false)
    };
    let builder = ManifestBuilder::new("sketcher".parse().unwrap(), "1.2.0".parse().unwrap())
        .with_ignore_globs(&IgnoreGlobs::new(["*.map"]).unwrap());
    let manifest = entry(entry(builder, "a.map"), "c.txt").build().unwrap();
    assert_eq!(differences(&manifest, &folder), []);
    fs::write(folder.path().join("a.map"), "y").unwrap();
    assert_eq!(
        differences(&manifest, &folder),
        [("a.map".to_owned(), DifferenceKind::WrongContent)]
    );
}

#[cfg(unix)]
#[test]
fn a_program_that_is_none_any_more_differs() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder(&[("tool", "x")]);
    let mode = |mode| {
        let path = folder.path().join("tool");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(0o755);
    let manifest = described(&folder);
    mode(0o644);
    assert_eq!(
        differences(&manifest, &folder),
        [("tool".to_owned(), DifferenceKind::WrongMode)]
    );
}

#[test]
fn a_comparison_can_be_watched_and_stopped() {
    let folder = folder(&[("a.txt", "abc")]);
    let manifest = described(&folder);
    let stopped = check_folder_observed(&manifest, folder.path(), |progress| match progress {
        ScanProgress::Hashed(3) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);
    let missing = check_folder(&manifest, &folder.path().join("missing"));
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::Io);
}

#[test]
fn the_hash_by_the_content_is_the_one_that_parsing_demands() {
    for name in FIXTURES {
        let bytes = fixture(name);
        let check = check_hash(&bytes, &Limits::default()).unwrap();
        let parsed = Manifest::parse(&bytes, &Limits::default());
        assert_eq!(check.is_right(), parsed.is_ok(), "{name}");
        match parsed {
            Ok(manifest) => assert_eq!(check.computed, manifest.manifest_hash(), "{name}"),
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains(&check.computed.to_string()), "{text}");
                assert!(text.contains(&check.stated.unwrap()), "{text}");
            }
        }
    }
}

#[test]
fn the_hash_of_what_is_no_manifest_yet_is_known() {
    let limits = Limits::default();
    let check = |bytes: &[u8]| check_hash(bytes, &limits);
    let empty = Sha256Digest::of(b"{}");
    for (document, stated) in [
        ("{}", None),
        (r#"{"created_at": 1, "signature": []}"#, None),
        (r#"{"manifest_hash": 5}"#, None),
        (r#"{"manifest_hash": "x"}"#, Some("x")),
    ] {
        let check = check(document.as_bytes()).unwrap();
        assert_eq!(check.computed, empty, "{document}");
        assert_eq!(check.stated.as_deref(), stated, "{document}");
        assert!(!check.is_right(), "{document}");
    }
    let right = with_hash("{}", &empty.to_string());
    let right = String::from_utf8(right).unwrap().replace(",}", "}");
    assert!(check(right.as_bytes()).unwrap().is_right());

    for (document, kind) in [
        ("", ErrorKind::Manifest),
        ("[]", ErrorKind::Manifest),
        (r#"{"a": 1, "a": 1}"#, ErrorKind::Manifest),
        (r#"{"a": 9007199254740993}"#, ErrorKind::Limit),
    ] {
        assert_eq!(
            check(document.as_bytes()).unwrap_err().kind(),
            kind,
            "{document}"
        );
    }
    let mut small = Limits::default();
    small.max_bytes = 3;
    assert_eq!(
        check_hash(b"{}  ", &small).unwrap_err().kind(),
        ErrorKind::Limit
    );
}
