//! Hashes that Python computed once and that must never change:
//!
//! ```python
//! m = {k: v for k, v in m.items() if k not in ("manifest_hash", "created_at", "signature")}
//! text = json.dumps(m, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
//! hashlib.sha256(text.encode()).hexdigest()
//! ```

use manifest_core::{Limits, Manifest};

use crate::support;

const MINIMAL: &str = r#"{"manifest_version": "1.0", "tool_id": "golden", "tool_version": "1.0.0", "delete_policy": "safe", "ignore_globs": ["*.log"], "files": []}"#;
const ONE_FILE: &str = r#"{"manifest_version": "1.0", "tool_id": "golden", "tool_version": "1.0.0", "delete_policy": "safe", "ignore_globs": [], "files": [{"path": "src/main.py", "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "size": 9007199254740991, "url": "https://mirror.example/tools/t/1/files/x", "executable": true}]}"#;
const UNSORTED_FILES: &str = r#"{"manifest_version": "1.0", "tool_id": "golden", "tool_version": "v1.0.0", "delete_policy": "safe", "ignore_globs": ["*.log"], "files": [{"path": "b", "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "size": 0, "url": "https://mirror.example/tools/t/1/files/x"}, {"path": "a/z", "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "size": 0, "url": "https://mirror.example/tools/t/1/files/x", "executable": false}, {"path": "manifest.json", "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "size": 0, "url": "https://mirror.example/tools/t/1/files/x"}, {"path": "a-b", "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "size": 0, "url": "https://mirror.example/tools/t/1/files/x"}, {"path": "B2", "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "size": 0, "url": "https://mirror.example/tools/t/1/files/x"}]}"#;
const NON_ASCII: &str = r#"{"manifest_version": "1.0", "tool_id": "golden", "tool_version": "1.0.0", "delete_policy": "safe", "ignore_globs": ["*.log"], "files": [{"path": "données/caf\u00e9.txt", "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "size": 0, "url": "https://mirror.example/donn%C3%A9es/caf%C3%A9.txt"}, {"path": "模型/模型.safetensors", "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "size": 0, "url": "https://mirror.example/tools/t/1/files/x"}, {"path": "\ud83d\uDE00 smile.png", "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "size": 0, "url": "https://mirror.example/tools/t/1/files/x"}], "name": "Ünïcode  🚀"}"#;
const ESCAPES: &str = r#"{"manifest_version": "1.0", "tool_id": "golden", "tool_version": "1.0.0", "delete_policy": "safe", "ignore_globs": ["*.log"], "files": [{"path": "a'b.txt", "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "size": 0, "url": "https://mirror.example/tools/t/1/files/x"}], "note": "quote \" backslash \\ slash \/ tab \t newline \n return \r bell \u0007 backspace \b feed \f nul \u0000 unit \u001f del \u007f sep \u2028\u2029"}"#;
const UNKNOWN_FIELDS: &str = r#"{"manifest_version": "1.0", "tool_id": "golden", "tool_version": "1.0.0", "delete_policy": "safe", "ignore_globs": ["*.log"], "files": [{"path": "a", "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "size": 0, "url": "https://mirror.example/tools/t/1/files/x", "mode": 420, "tags": ["x", {"b": null, "a": true}], "URL": "other", "": ""}], "zeta": {"nested": {"b": [1, -2, 0, [], {}], "a": "\u00e9", "A": false}}, "Alpha": null, "_": -9007199254740991, "manifest": {"manifest_hash": "nested ones count", "created_at": 1}}"#;
const EVERY_FIELD: &str = r#"{
  "manifest_version": "1.0",
  "tool_id": "golden",
  "tool_version": "1.0.0",
  "delete_policy": "manual",
  "ignore_globs": [
    "*.log"
  ],
  "files": [
    {
      "path": "front/index.html",
      "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "size": 0,
      "url": "https://mirror.example/tools/t/1/files/x"
    },
    {
      "path": "warm.py",
      "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "size": 0,
      "url": "https://mirror.example/tools/t/1/files/x",
      "executable": true
    }
  ],
  "dependencies": {
    "python_min": "3.11",
    "cuda_min": null
  },
  "flash_gpu_config": {
    "enabled": true,
    "warmup_script": "warm.py",
    "cache_artifacts": [
      "cache/**/*.bin"
    ]
  },
  "frontend": {
    "type": "web",
    "entry": "front/index.html",
    "archive": "f.zip",
    "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
  },
  "api_contract": "runtime/1",
  "capabilities": [
    "render",
    "upscale"
  ],
  "created_at": "2026-02-20T14:39:12.995146+00:00",
  "signature": {
    "algorithm": "Ed25519",
    "public_key_id": "k",
    "signature": "s"
  }
}"#;

#[test]
fn hashes_equal_those_of_python() {
    for (document, expected) in [
        (
            MINIMAL,
            "81ddcc253f0e3a8fcbefbad7d117f993b0bb7d7444219d6bc857c7478eecaf35",
        ),
        (
            ONE_FILE,
            "84c938b50ea58237d66305ebcafbb06b9e9eaffb0df775ade8cca61be098b858",
        ),
        (
            UNSORTED_FILES,
            "d02a016e8308fae96fd8e7c6aa16d44e17445e66c3a6be07eb63128d9924b388",
        ),
        (
            NON_ASCII,
            "043d4c4c29f4ff8dc1c8c0b9fcf73cb5ef1e05bf794c2a14fd90eb604293c351",
        ),
        (
            ESCAPES,
            "8a11bd289057fbb3969465e33cbcb285fc8829ecc1d7372aba89d25e1b35d3c2",
        ),
        (
            UNKNOWN_FIELDS,
            "d50dcc6945692ece3c1b15705f43375263adf71799c33db10f27e29c318945cb",
        ),
        (
            EVERY_FIELD,
            "9b9e1ad5b6ce516edd52902b4be3ecd7e11b9d1d0ebf0094cc8c93d867765084",
        ),
    ] {
        let bytes = support::with_hash(document, expected);
        let manifest = Manifest::parse(&bytes, &Limits::default())
            .unwrap_or_else(|error| panic!("{error}\n{document}"));
        assert_eq!(manifest.manifest_hash().to_string(), expected);
        let again = Manifest::parse(&manifest.to_bytes(), &Limits::default()).unwrap();
        assert_eq!(again.manifest_hash().to_string(), expected);
    }
}

/// Where Python's order is another one (it sorts by code point), RFC 8785 decides.
#[test]
fn keys_are_sorted_by_utf_16_units() {
    let document = format!(
        "{},{}",
        &MINIMAL[..MINIMAL.len() - 1],
        "\"\u{FB33}\":1,\"\u{1F600}\":2}"
    );
    let bytes = support::with_hash(
        &document,
        "1fb48ea582d34ca5806b7c4fdd1b9e475e51f5932e908888dccee46c022ed97f",
    );
    assert!(Manifest::parse(&bytes, &Limits::default()).is_ok());
}

#[test]
fn floats_are_hashed_as_rfc_8785_writes_them() {
    let document = format!(
        "{},{}",
        &MINIMAL[..MINIMAL.len() - 1],
        r#""x":[1.0,-0.0,1e-7,0.1,4.50,1e3]}"#
    );
    let bytes = support::with_hash(
        &document,
        "10106604d7dc264612751f4295ac35bd6a72ff6a27c64a8e897948c2e5c838da",
    );
    assert!(Manifest::parse(&bytes, &Limits::default()).is_ok());
}
