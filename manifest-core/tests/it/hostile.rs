//! Malicious manifests, by the rows of the fault catalogue (A 1-18).

use std::fmt::Write as _;

use manifest_core::{ErrorKind, Limits, Manifest, Sha256Digest};
use serde_json::{Value, json};

use crate::support::{document, entry, parse, refused, refused_files, seal};

fn refused_paths(paths: &[&str]) {
    for path in paths {
        refused_files(
            vec![entry("ok"), entry(path)],
            ErrorKind::Path,
            "/files/1/path",
        );
    }
}

#[track_caller]
fn refused_field(field: &str, value: impl Into<Value>, kind: ErrorKind, pointer: &str) -> String {
    let mut changed = document(vec![entry("a")]);
    changed[field] = value.into();
    refused(&seal(changed), kind, pointer).to_string()
}

/// Entries with one field of the first one replaced.
fn with(field: &str, value: impl Into<Value>) -> Vec<Value> {
    let mut changed = entry("a");
    changed[field] = value.into();
    vec![changed, entry("b")]
}

/// Raw text in place of the size, since no value holds `1e3` or 2^64 as written.
fn with_size(text: &str) -> Vec<u8> {
    let bytes = String::from_utf8(seal(document(vec![entry("a")]))).unwrap();
    bytes
        .replace("\"size\":3", &format!("\"size\":{text}"))
        .into_bytes()
}

#[test]
fn a01_paths_that_leave_the_release() {
    refused_paths(&[
        "..",
        "a/../../b",
        "/etc/passwd",
        "",
        ".",
        "./a",
        "a//b",
        "a/",
        "/",
    ]);
}

#[test]
fn a02_windows_paths() {
    refused_paths(&[
        r"C:\x",
        "C:x",
        r"\\server\share",
        r"\\?\C:\x",
        r"a\b",
        r"..\x",
    ]);
}

#[test]
fn a03_device_names() {
    refused_paths(&[
        "CON",
        "nul.txt",
        "a/COM1",
        "com\u{b9}.log",
        "CONIN$",
        "aux.tar.gz",
        "lpt9/x",
    ]);
}

#[test]
fn a04_names_that_windows_changes() {
    refused_paths(&[
        "a.", "a ", "a./b", "a:b", "a::$DATA", "a<b", "a>b", "a?b", "a*b", "a\"b", "a|b",
    ]);
}

#[test]
fn a05_control_and_bidi_characters() {
    refused_paths(&[
        "a\0b",
        "a\nb",
        "a\u{1b}[2Jb",
        "a\u{7f}",
        "a\u{85}",
        "a\u{202e}gpj.exe",
        "\u{200f}a",
        "a\u{2066}",
    ]);
}

#[test]
fn a05_lone_surrogates_and_bytes_that_are_no_text() {
    let bytes = String::from_utf8(seal(document(vec![entry("PATH")]))).unwrap();
    for path in [r"a\ud800", r"\udc00b", r"\ud800\ud800", r"\ud83dx\ude00"] {
        let error = refused(
            bytes.replace("PATH", path).as_bytes(),
            ErrorKind::Path,
            "/files/0/path",
        );
        assert!(error.to_string().contains("not Unicode"), "{error}");
    }
    let mut not_utf8 = bytes.clone().into_bytes();
    let at = bytes.find("PATH").unwrap();
    not_utf8[at] = 0xff;
    refused(&not_utf8, ErrorKind::Path, "/files/0/path");
    // Where no path is concerned, such a text is simply no JSON.
    let name = bytes.replace("sketcher", r"\ud800");
    refused(name.as_bytes(), ErrorKind::Manifest, "/tool_id");
    let key = bytes.replace("\"size\"", r#""\ud800":1,"size""#);
    refused(key.as_bytes(), ErrorKind::Manifest, "/files/0");
    // A whole pair is one character.
    let pair = bytes.replace("PATH", r"\ud83d\ude00");
    refused(pair.as_bytes(), ErrorKind::Hash, "/manifest_hash");
}

#[test]
fn a06_names_that_collide_without_case() {
    refused_files(
        vec![entry("A"), entry("a")],
        ErrorKind::Duplicate,
        "/files/1/path",
    );
    refused_files(
        vec![entry("x/Y/z"), entry("X/y/Z")],
        ErrorKind::Duplicate,
        "/files/0/path",
    );
    refused_files(
        vec![entry("Dir/a"), entry("dir/b")],
        ErrorKind::Duplicate,
        "/files/1/path",
    );
    refused_files(
        vec![entry("\u{3a3}"), entry("\u{3c2}")],
        ErrorKind::Duplicate,
        "/files/1/path",
    );
}

#[test]
fn a07_normalisation_twins_and_full_case_folding() {
    refused_files(
        vec![entry("caf\u{e9}"), entry("cafe\u{301}")],
        ErrorKind::Duplicate,
        "/files/0/path",
    );
    refused_files(
        vec![entry("stra\u{df}e"), entry("strasse")],
        ErrorKind::Duplicate,
        "/files/0/path",
    );
    refused_files(
        vec![entry("\u{fb01}n"), entry("FIN")],
        ErrorKind::Duplicate,
        "/files/0/path",
    );
    refused_files(
        vec![entry("d\u{e9}/a"), entry("de\u{301}/b")],
        ErrorKind::Duplicate,
        "/files/0/path",
    );
}

#[test]
fn a08_the_same_path_twice() {
    let files = vec![entry("b"), entry("manifest.json"), entry("a"), entry("b")];
    let error = refused_files(files, ErrorKind::Manifest, "/files/3/path");
    assert!(
        error.to_string().contains("\"b\" is listed twice"),
        "{error}"
    );
    let files = vec![entry("manifest.json"), entry("manifest.json")];
    refused_files(files, ErrorKind::Manifest, "/files");
}

#[test]
fn a08_a_json_key_twice_at_any_level() {
    let mut nested = document(vec![entry("a")]);
    nested["x"] = json!({"y": [{"z": 1}]});
    nested["files"][0]["unknown"] = json!({"z": 1});
    let bytes = String::from_utf8(seal(nested)).unwrap();
    for (key, pointer) in [
        (r#""tool_id":"#, ""),
        (r#""files":"#, ""),
        (r#""manifest_hash":"#, ""),
        (r#""y":"#, "/x"),
        (r#""z":"#, "/files/0/unknown"),
        (r#""path":"#, "/files/0/path"),
        (r#""sha256":"#, "/files/0/sha256"),
        (r#""size":"#, "/files/0/size"),
        (r#""url":"#, "/files/0/url"),
        (r#""unknown":"#, "/files/0/unknown"),
    ] {
        // Before the first one stands another with a value that suits it.
        let value = match key {
            r#""files":"# => "[]",
            r#""size":"# => "3",
            r#""sha256":"# => &format!("\"{}\"", Sha256Digest::of(b"")),
            _ => "\"x\"",
        };
        let twice = bytes.replacen(key, &format!("{key}{value},{key}"), 1);
        let error = refused(twice.as_bytes(), ErrorKind::Manifest, pointer);
        assert!(error.to_string().contains("appears twice"), "{error}");
    }
    // Written otherwise it is still the same key.
    let escaped = bytes.replacen("\"tool_id\":", "\"tool_\\u0069d\":\"x\",\"tool_id\":", 1);
    assert!(
        refused(escaped.as_bytes(), ErrorKind::Manifest, "")
            .to_string()
            .contains("twice")
    );
}

#[test]
fn a09_a_file_where_another_needs_a_folder() {
    let error = refused_files(
        vec![entry("a"), entry("b"), entry("a/b")],
        ErrorKind::Conflict,
        "/files/2/path",
    );
    assert!(error.to_string().contains("\"a\""), "{error}");
    refused_files(
        vec![entry("x/y"), entry("x/y/z/deep")],
        ErrorKind::Conflict,
        "/files/1/path",
    );
    refused_files(
        vec![entry("A"), entry("a/b")],
        ErrorKind::Conflict,
        "/files/1/path",
    );
}

#[test]
fn a10_long_components_and_paths() {
    let long = "x".repeat(256);
    let wide = "\u{20ac}".repeat(86); // 258 bytes, 86 characters
    let deep = "d/".repeat(512) + "x";
    refused_paths(&[&long, &format!("a/{long}/b"), &wide, &deep]);
    assert!(parse(&seal(document(vec![entry(&long[1..]), entry(&deep[4..])]))).is_ok());
    let endless = "y".repeat(1_000_000);
    let error = refused_files(vec![entry(&endless)], ErrorKind::Path, "/files/0/path");
    assert!(
        error.to_string().len() < 1_000,
        "the message does not repeat all of it"
    );
}

#[test]
fn a11_sizes_that_are_no_sizes() {
    for size in [
        "-1", "1e3", "1.0", "3.5", "\"3\"", "null", "[]", "true", "-0",
    ] {
        refused(&with_size(size), ErrorKind::Manifest, "/files/0/size");
    }
    for size in [
        "9007199254740992",
        "18446744073709551615",
        "18446744073709551616",
        "1e300",
    ] {
        let error = refused(&with_size(size), ErrorKind::Limit, "/files/0/size");
        assert!(error.to_string().contains("2^53"), "{error}");
    }
    for size in ["NaN", "Infinity", "1e999", "03", "0x3", "+3", ".5", "3."] {
        let error = parse(&with_size(size)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Manifest, "{error}");
    }
    refused(
        &with_size("9007199254740991"),
        ErrorKind::Hash,
        "/manifest_hash",
    );
}

#[test]
fn a11_a_sum_of_sizes_that_overflows() {
    let mut files = with("size", (1_u64 << 53) - 1);
    refused_files(files.clone(), ErrorKind::Limit, "/files/1/size");
    files[1]["size"] = 0.into();
    assert_eq!(
        parse(&seal(document(files.clone()))).unwrap().total_size(),
        (1 << 53) - 1
    );
    let limits = Limits::default().with_max_total_size(1_000);
    let error = Manifest::parse(&seal(document(files)), &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
}

#[test]
fn a11_integers_that_not_every_reader_keeps() {
    for number in [
        "9007199254740993",
        "-9007199254740992",
        "18446744073709551616",
        "1e16",
    ] {
        let bytes = String::from_utf8(seal(document([Value::Null; 0]))).unwrap();
        let bytes = bytes.replacen('{', &format!("{{\"x\":[{{\"y\":{number}}}],"), 1);
        refused(bytes.as_bytes(), ErrorKind::Limit, "/x");
    }
}

#[test]
fn a12_a_million_entries() {
    let limits = Limits::default();
    let one = String::from_utf8(seal(document(vec![entry("a")]))).unwrap();
    let (start, rest) = one.split_once("\"files\":[").unwrap();
    let (listed, end) = rest.split_once(']').unwrap();
    let mut many = format!("{start}\"files\":[{listed}");
    let digest = "0".repeat(64);
    // As short as an entry can be; they differ only by the path.
    for index in 0..limits.max_files {
        let fields = format!("\"sha256\":\"{digest}\",\"size\":0,\"url\":\"http://h\"");
        write!(many, ",{{\"path\":\"{index:x}\",{fields}}}").unwrap();
    }
    write!(many, "]{end}").unwrap();
    refused(many.as_bytes(), ErrorKind::Limit, "/files");
}

#[test]
fn a12_a_document_that_is_too_long() {
    let bytes = seal(document(vec![entry("a")]));
    let limit = |max| Manifest::parse(&bytes, &Limits::default().with_max_bytes(max));
    assert!(limit(bytes.len() as u64).is_ok());
    let error = limit(bytes.len() as u64 - 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    let spaces = vec![b' '; (64 << 20) + 1];
    refused(&spaces, ErrorKind::Limit, "");
}

#[test]
fn a12_a_short_document_that_is_large_in_memory() {
    let bytes = String::from_utf8(seal(document([Value::Null; 0]))).unwrap();
    let objects = vec!["{\"a\":0}"; 300_000].join(",");
    let bomb = bytes.replacen('{', &format!("{{\"x\":[{objects}],"), 1);
    refused(bomb.as_bytes(), ErrorKind::Limit, "/x");
    let fields: Vec<_> = (0..600_000).map(|index| format!("\"{index}\":0")).collect();
    let bomb = bytes.replacen('{', &format!("{{{},", fields.join(",")), 1);
    assert_eq!(parse(bomb.as_bytes()).unwrap_err().kind(), ErrorKind::Limit);
    let bomb = String::from_utf8(seal(document(vec![entry("a")]))).unwrap();
    let bomb = bomb.replacen("\"path\"", &format!("{},\"path\"", fields.join(",")), 1);
    assert_eq!(parse(bomb.as_bytes()).unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn a13_json_nested_ten_thousand_deep() {
    let bytes = String::from_utf8(seal(document(vec![entry("a")]))).unwrap();
    let arrays = "[".repeat(10_000) + &"]".repeat(10_000);
    let objects = "{\"a\":".repeat(10_000) + "1" + &"}".repeat(10_000);
    for deep in [&arrays, &objects] {
        let field = bytes.replacen('{', &format!("{{\"x\":{deep},"), 1);
        refused(field.as_bytes(), ErrorKind::Manifest, "/x");
        let in_entry = bytes.replace("\"size\":3", &format!("\"size\":3,\"x\":{deep}"));
        refused(in_entry.as_bytes(), ErrorKind::Manifest, "/files/0/x");
        refused(
            deep.as_bytes(),
            ErrorKind::Manifest,
            if deep.starts_with('[') { "" } else { "/a" },
        );
    }
    let opening = "[".repeat(1_000_000);
    refused(opening.as_bytes(), ErrorKind::Manifest, "");
}

#[test]
fn a13_trailing_data_and_what_is_no_manifest_at_all() {
    let bytes = seal(document(vec![entry("a")]));
    for more in [&b"{}"[..], b"x", b"\0", b",", b"\xef\xbb\xbf"] {
        refused(&[&bytes, more].concat(), ErrorKind::Manifest, "");
    }
    assert!(parse(&[b" \n", &bytes[..], b"\r\n\t "].concat()).is_ok());
    for text in [
        "",
        " ",
        "null",
        "[]",
        "\"x\"",
        "1",
        "{",
        "{}}",
        "\u{feff}{}",
        "<html>",
    ] {
        refused(text.as_bytes(), ErrorKind::Manifest, "");
    }
    for end in 0..bytes.len() {
        assert_eq!(
            parse(&bytes[..end]).unwrap_err().kind(),
            ErrorKind::Manifest
        );
    }
}

#[test]
fn a14_digests_that_are_no_sha256() {
    let good = Sha256Digest::of(b"x").to_string();
    for bad in [
        &good[1..],
        &good.to_uppercase(),
        &format!("{good}0"),
        &format!("g{}", &good[1..]),
        "",
        &format!(" {}", &good[1..]),
    ] {
        let error = refused_files(with("sha256", bad), ErrorKind::Manifest, "/files/0/sha256");
        let text = error.to_string();
        assert!(
            text.ends_with("64 lower-case hexadecimal digits are needed"),
            "{text}"
        );
    }
    refused_files(with("sha256", 5), ErrorKind::Manifest, "/files/0/sha256");
    let sealed = String::from_utf8(seal(document([Value::Null; 0]))).unwrap();
    let hash = parse(sealed.as_bytes())
        .unwrap()
        .manifest_hash()
        .to_string();
    for bad in [&hash[1..], &hash.to_uppercase(), "none"] {
        refused(
            sealed.replace(&hash, bad).as_bytes(),
            ErrorKind::Manifest,
            "/manifest_hash",
        );
    }
}

#[test]
fn a15_names_of_our_own_files() {
    refused_paths(&[
        ".lockstep",
        ".lockstep/lock",
        "a/.lockstep-x.tmp",
        ".staging/x",
        ".Staging/x",
        ".trash/x",
        "Manifest.json",
        "manifest.json/x",
    ]);
    let manifest = parse(&seal(document(vec![
        entry("a"),
        entry("manifest.json"),
        entry("sub/manifest.json"),
    ])))
    .unwrap();
    let paths: Vec<_> = manifest
        .files()
        .iter()
        .map(|file| file.path().as_str())
        .collect();
    assert_eq!(paths, ["a", "sub/manifest.json"]);
    assert_eq!(manifest.warnings().len(), 1);
}

#[test]
fn a15_what_is_the_users_is_in_no_release() {
    refused_paths(&[
        "venv/bin/python",
        "cache/x.bin",
        "user_data/me.json",
        "logs/x",
        "a/run.log",
        "a/.env",
        "config.local.json",
        "a/__pycache__/b.pyc",
    ]);
    // Where case does not count these are the same folders.
    refused_paths(&[
        "User_Data/me.json",
        "Venv/x",
        "CACHE/x",
        ".ENV",
        "Config.Local.json",
    ]);
}

#[test]
fn a16_urls_of_forbidden_schemes_and_with_user_information() {
    for url in [
        "file:///etc/passwd",
        "ftp://h/x",
        "data:,x",
        "https://user@h/x",
        "https://user:secret@h/x",
        "https://:@h/x",
    ] {
        let error = refused_files(with("url", url), ErrorKind::Policy, "/files/0/url");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    for url in [
        "",
        "x",
        "/api/x",
        "//h/x",
        "https:x",
        "https://",
        "https://h/a\nb",
        r"https:\\h\x",
    ] {
        refused_files(with("url", url), ErrorKind::Manifest, "/files/0/url");
    }
}

#[test]
fn a17_ids_and_versions_that_are_no_safe_folder_names() {
    for name in [
        "",
        "..",
        ".",
        "a/b",
        r"a\b",
        "a b",
        "CON",
        "nul.x",
        "1.0.",
        ".hidden",
        "-x",
        "\u{e9}\u{e9}",
        "a\0b",
        "%2e%2e",
        "1:2",
    ] {
        refused_field("tool_id", name, ErrorKind::Path, "/tool_id");
        refused_field("tool_version", name, ErrorKind::Path, "/tool_version");
    }
    refused_field("tool_id", "x", ErrorKind::Path, "/tool_id");
    refused_field("tool_id", "x".repeat(129), ErrorKind::Path, "/tool_id");
    let text = refused_field(
        "tool_version",
        "9".repeat(100_000),
        ErrorKind::Path,
        "/tool_version",
    );
    assert!(text.len() < 1_000);
    refused_field("tool_id", 12, ErrorKind::Manifest, "/tool_id");
    refused_field("tool_version", 1.5, ErrorKind::Manifest, "/tool_version");
}

#[test]
fn a18_hostile_globs() {
    for glob in ["*", "**", "**/*", "*/**", "?*", "{*,x}", "[!q]*"] {
        refused_field(
            "ignore_globs",
            json!(["a", glob]),
            ErrorKind::Limit,
            "/ignore_globs/1",
        );
    }
    refused_field(
        "ignore_globs",
        json!(["x".repeat(100_000)]),
        ErrorKind::Limit,
        "/ignore_globs/0",
    );
    refused_field(
        "ignore_globs",
        vec!["x"; 1_001],
        ErrorKind::Limit,
        "/ignore_globs",
    );
    for glob in ["[z", "{a", "a\\"] {
        refused_field(
            "ignore_globs",
            json!([glob]),
            ErrorKind::Manifest,
            "/ignore_globs/0",
        );
    }
    let nested = "{".repeat(400) + "a" + &"}".repeat(400);
    refused_field(
        "ignore_globs",
        json!([nested]),
        ErrorKind::Limit,
        "/ignore_globs/0",
    );
    refused_field(
        "ignore_globs",
        "*.log",
        ErrorKind::Manifest,
        "/ignore_globs",
    );
}

#[test]
fn each_field_has_its_type_and_place() {
    for (field, value, pointer) in [
        ("manifest_version", json!("2.0"), "/manifest_version"),
        ("manifest_version", json!(1.0), "/manifest_version"),
        ("delete_policy", json!("fast"), "/delete_policy"),
        ("files", json!({}), "/files"),
        ("files", json!([5]), "/files/0"),
        ("created_at", json!("2026-02-20 14:39:12Z"), "/created_at"),
        ("dependencies", json!(["3.11", "12.1"]), "/dependencies"),
        ("frontend", json!(["web", null, null, null]), "/frontend"),
        ("signature", json!(["Ed25519", "k", "s"]), "/signature"),
        (
            "dependencies",
            json!({"python_min": 3.11}),
            "/dependencies/python_min",
        ),
        ("flash_gpu_config", json!({}), "/flash_gpu_config"),
        (
            "flash_gpu_config",
            json!({"enabled": true, "cache_artifacts": ["a", 5]}),
            "/flash_gpu_config/cache_artifacts/1",
        ),
        ("frontend", json!({"type": "tv"}), "/frontend/type"),
        (
            "frontend",
            json!({"type": "web", "sha256": "X"}),
            "/frontend/sha256",
        ),
        ("api_contract", json!("runtime/v1"), "/api_contract"),
        ("capabilities", json!(["a", {}]), "/capabilities/1"),
    ] {
        let text = refused_field(field, value, ErrorKind::Manifest, pointer);
        assert!(text.starts_with(&format!("{pointer}: ")), "{text}");
    }
    let mut signed: Value = serde_json::from_slice(&seal(document([Value::Null; 0]))).unwrap();
    signed["signature"] = json!({"algorithm": "none", "public_key_id": "k", "signature": ""});
    refused(
        signed.to_string().as_bytes(),
        ErrorKind::Manifest,
        "/signature/algorithm",
    );
    refused_files(
        with("executable", Value::Null),
        ErrorKind::Manifest,
        "/files/0/executable",
    );
}

#[test]
fn paths_outside_files_are_as_safe_as_those_of_files() {
    for bad in [
        "",
        "/etc/passwd",
        "../run.py",
        "a//b",
        r"a\b",
        "C:/x",
        "NUL",
        "a?b",
        "manifest.json",
    ] {
        for (field, value, pointer) in [
            (
                "flash_gpu_config",
                json!({"enabled": false, "warmup_script": bad}),
                "/flash_gpu_config/warmup_script",
            ),
            (
                "frontend",
                json!({"type": "none", "entry": bad}),
                "/frontend/entry",
            ),
        ] {
            let text = refused_field(field, value, ErrorKind::Path, pointer);
            assert!(text.starts_with(&format!("{pointer}: ")), "{text}");
        }
    }
    let mut good = document([Value::Null; 0]);
    good["flash_gpu_config"] = json!({"enabled": true, "warmup_script": "src/warm up.py"});
    good["frontend"] = json!({"type": "web", "entry": "web/index.html"});
    let manifest = parse(&seal(good)).unwrap();
    let script = manifest
        .flash_gpu_config()
        .unwrap()
        .warmup_script
        .as_deref();
    assert_eq!(script, Some("src/warm up.py"));
}

#[test]
fn each_required_field_is_missed_by_name() {
    let whole: Value = serde_json::from_slice(&seal(document(vec![entry("a")]))).unwrap();
    for field in [
        "manifest_version",
        "tool_id",
        "tool_version",
        "manifest_hash",
        "files",
        "delete_policy",
        "ignore_globs",
    ] {
        let mut partial = whole.clone();
        partial.as_object_mut().unwrap().remove(field);
        let error = refused(partial.to_string().as_bytes(), ErrorKind::Manifest, "");
        let text = error.to_string();
        assert!(text.contains(field) && !text.starts_with(':'), "{text}");
    }
    for field in ["path", "sha256", "size", "url"] {
        let mut partial = whole.clone();
        partial["files"][0].as_object_mut().unwrap().remove(field);
        let error = refused(
            partial.to_string().as_bytes(),
            ErrorKind::Manifest,
            "/files/0",
        );
        assert!(error.to_string().contains(field), "{error}");
    }
}
