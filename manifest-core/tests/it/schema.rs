//! The JSON Schema, and reports of every problem.

use manifest_core::{Limits, Manifest, Problem, problems, schema};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{FIXTURES, document, entry, fixture, parse, seal};

const CHECKED_IN: &str = include_str!("../../manifest.schema.json");

fn report(bytes: &[u8]) -> Vec<Problem> {
    problems(bytes, &Limits::default())
}

fn pointers(problems: &[Problem]) -> Vec<&str> {
    let pointers = problems.iter().map(|problem| problem.pointer.as_str());
    pointers.collect()
}

#[test]
fn the_checked_in_schema_is_the_generated_one() {
    let generated = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    assert!(
        CHECKED_IN == generated,
        "manifest.schema.json is out of date; write the output of `lockstep manifest schema` to it:\n{generated}"
    );
}

#[test]
fn the_schema_is_a_valid_schema() {
    assert_eq!(
        schema()["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    assert!(jsonschema::draft202012::meta::is_valid(&schema()));
}

#[test]
fn the_schema_accepts_every_published_manifest() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for name in FIXTURES {
        let value: Value = serde_json::from_slice(&fixture(name)).unwrap();
        let errors: Vec<_> = validator
            .iter_errors(&value)
            .map(|error| error.to_string())
            .collect();
        assert_eq!(
            errors, [""; 0],
            "{name}: a wrong hash is no matter of the schema"
        );
    }
}

#[test]
fn the_schema_says_what_is_required() {
    let required = |schema: &Value| {
        let mut names: Vec<_> = schema["required"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(
        required(&schema()),
        [
            "delete_policy",
            "files",
            "ignore_globs",
            "manifest_hash",
            "manifest_version",
            "tool_id",
            "tool_version"
        ]
    );
    assert_eq!(
        required(&schema()["$defs"]["FileEntry"]),
        ["path", "sha256", "size", "url"]
    );
}

#[test]
fn an_accepted_manifest_has_no_problems() {
    for name in FIXTURES {
        assert_eq!(
            report(&fixture(name)).is_empty(),
            parse(&fixture(name)).is_ok(),
            "{name}"
        );
    }
    let problems = report(&fixture("z-image-turbo-0.7.8-stale-hash"));
    assert_eq!(pointers(&problems), ["/manifest_hash"]);
    assert!(problems[0].message.contains("729606c6fe27"), "{problems:?}");
}

#[test]
fn all_problems_are_listed_in_order_with_their_places() {
    let mut bad = document(vec![
        json!({"path": "../x", "sha256": "X", "size": -1, "url": "file:///x", "executable": "yes"}),
        entry("a"),
        json!({"path": "A", "sha256": 5, "size": 1.5, "url": "https://u:p@h/"}),
        json!({"path": "a/b"}),
        json!(5),
        entry("a"),
        entry("cache/x"),
        entry("ok"),
        entry("ok2"),
        entry("ok3"),
        entry("CON"),
    ]);
    bad["manifest_version"] = "1.1".into();
    bad["tool_id"] = "..".into();
    bad["tool_version"] = 1.into();
    bad["delete_policy"] = "fast".into();
    bad["ignore_globs"] = json!(["*.log", "*", "[z", 5]);
    bad["created_at"] = "yesterday".into();
    bad["frontend"] = json!({"type": "tv", "sha256": "x"});
    bad["flash_gpu_config"] = json!({"warmup_script": 5});
    bad["api_contract"] = "Runtime".into();
    bad["capabilities"] = json!("render");
    bad["manifest_hash"] = "0".repeat(64).into();
    let problems = report(&serde_json::to_vec(&bad).unwrap());
    assert_eq!(
        pointers(&problems),
        [
            "/api_contract",
            "/capabilities",
            "/created_at",
            "/delete_policy",
            "/files/0/executable",
            "/files/0/path",
            "/files/0/sha256",
            "/files/0/size",
            "/files/0/url",
            "/files/1/path", // collides with "A"
            "/files/2/sha256",
            "/files/2/size",
            "/files/2/url",
            "/files/3",
            "/files/3",
            "/files/3",
            "/files/3/path", // below "a"
            "/files/4",
            "/files/5/path", // "a" again
            "/files/6/path",
            "/files/10/path",
            "/flash_gpu_config",
            "/flash_gpu_config/warmup_script",
            "/frontend/sha256",
            "/frontend/type",
            "/ignore_globs/1",
            "/ignore_globs/2",
            "/ignore_globs/3",
            "/manifest_hash",
            "/manifest_version",
            "/tool_id",
            "/tool_version",
        ],
        "{problems:#?}"
    );
    for problem in &problems {
        assert!(
            !problem.message.is_empty() && problem.message.len() < 300,
            "{problem:?}"
        );
    }
}

#[test]
fn a_wrong_hash_is_reported_beside_other_problems() {
    let mut value: Value = serde_json::from_slice(&seal(document(vec![entry("a")]))).unwrap();
    value["files"][0]["path"] = "../a".into();
    let problems = report(value.to_string().as_bytes());
    assert_eq!(pointers(&problems), ["/files/0/path", "/manifest_hash"]);
    // A document that was hashed as it is has only its other problems.
    let problems = report(&seal(document(vec![entry("../a")])));
    assert_eq!(pointers(&problems), ["/files/0/path"]);
}

#[test]
fn every_missing_field_is_listed() {
    let problems = report(b"{}");
    assert_eq!(problems.len(), 7, "{problems:?}");
    assert!(problems.iter().all(|problem| problem.pointer.is_empty()));
    let text: Vec<_> = problems
        .iter()
        .map(|problem| problem.message.as_str())
        .collect();
    assert!(
        text.iter().any(|text| text.contains("\"files\"")),
        "{text:?}"
    );
}

#[test]
fn what_is_no_json_is_one_problem() {
    for bytes in [&b""[..], b"{", b"\xff", b"[", b"{}x", b"{\"a\":1,\"a\":2}"] {
        let problems = report(bytes);
        assert_eq!(problems.len(), 1, "{problems:?}");
    }
    assert_eq!(pointers(&report(b"[]")), [""]);
    let deep = "[".repeat(10_000);
    assert_eq!(report(deep.as_bytes()).len(), 1);
}

#[test]
fn a_document_over_the_limits_is_not_looked_at_twice() {
    let bytes = seal(document(vec![entry("../a"), entry("../b")]));
    let limits = Limits::default().with_max_bytes(10);
    let problems = problems(&bytes, &limits);
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].message.contains("more than the 10 allowed"),
        "{problems:?}"
    );
}

#[test]
fn an_inexact_number_does_not_hide_other_problems() {
    let mut bad = document(vec![entry("../a")]);
    bad["files"][0]["size"] = (1_u64 << 53).into();
    bad["x"] = 1e20.into();
    let problems = report(&seal(bad));
    let places = pointers(&problems);
    assert!(
        places.contains(&"/files/0/path") && places.contains(&"/files/0/size"),
        "{places:?}"
    );
    assert!(!places.contains(&"/manifest_hash"));
}

#[test]
fn a_huge_value_is_not_repeated_in_full() {
    let mut bad = document([Value::Null; 0]);
    bad["delete_policy"] = "x".repeat(1_000_000).into();
    bad["tool_id"] = json!(vec!["y"; 100_000]);
    bad["created_at"] = "z".repeat(1_000_000).into();
    let problems = report(&seal(bad));
    assert_eq!(
        pointers(&problems),
        ["/created_at", "/delete_policy", "/tool_id"]
    );
    for problem in problems {
        assert!(
            problem.message.len() < 1_000,
            "{} bytes",
            problem.message.len()
        );
    }
}

/// A valid document with some fields replaced.
fn with_replaced_fields() -> impl Strategy<Value = Value> {
    let value = prop::sample::select(vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(""),
        json!("x"),
        json!([]),
        json!({}),
        json!("1.0"),
        json!("a/b"),
        json!("https://h/x"),
        json!(["*"]),
        json!([1]),
        json!({"type": "web"}),
        json!({"enabled": true}),
        json!("2026-02-20T14:39:12Z"),
        json!("0".repeat(64)),
        json!("runtime/1"),
    ]);
    let place = prop::sample::select(vec![
        "/manifest_version",
        "/tool_id",
        "/tool_version",
        "/manifest_hash",
        "/delete_policy",
        "/ignore_globs",
        "/files",
        "/files/0",
        "/files/0/path",
        "/files/0/sha256",
        "/files/0/size",
        "/files/0/url",
        "/files/0/executable",
        "/created_at",
        "/dependencies",
        "/flash_gpu_config",
        "/frontend",
        "/api_contract",
        "/capabilities",
        "/signature",
        "/unknown",
    ]);
    prop::collection::vec((place, value), 0..3).prop_map(|edits| {
        let mut document: Value =
            serde_json::from_slice(&seal(document(vec![entry("a")]))).unwrap();
        for (place, value) in edits {
            let (parent, name) = place.rsplit_once('/').unwrap();
            match document.pointer_mut(parent) {
                Some(Value::Object(object)) => {
                    object.insert(name.to_owned(), value);
                }
                Some(Value::Array(array)) if !array.is_empty() => array[0] = value,
                _ => {}
            }
        }
        document
    })
}

proptest! {
    #[test]
    fn there_are_problems_if_and_only_if_it_is_refused(changed in with_replaced_fields(), sealed in any::<bool>()) {
        let bytes = if sealed { seal(changed) } else { serde_json::to_vec(&changed).unwrap() };
        let accepted = Manifest::parse(&bytes, &Limits::default());
        let problems = report(&bytes);
        match accepted {
            Ok(_) => prop_assert!(problems.is_empty(), "{:?}", problems),
            Err(error) => {
                let place = error.pointer().unwrap_or_default();
                prop_assert!(pointers(&problems).contains(&place), "{}: {:?}", error, problems);
            }
        }
    }

    /// The other way round: what the schema refuses, the parser refuses too.
    #[test]
    fn the_parser_accepts_nothing_that_the_schema_refuses(changed in with_replaced_fields()) {
        let bytes = seal(changed);
        if parse(&bytes).is_ok() {
            let value: Value = serde_json::from_slice(&bytes).unwrap();
            let errors = jsonschema::validate(&schema(), &value).err().map(|error| error.to_string());
            prop_assert_eq!(errors, None);
        }
    }
}
