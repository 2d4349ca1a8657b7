//! Folders read as releases.

use std::fs;
use std::path::Path;

use manifest_core::{
    DEFAULT_BASE_URL, Error, ErrorKind, IgnoreGlobs, ManifestBuilder, ReleasePath, ReleaseVersion,
    Scan, ScanOptions, Sha256Digest, ToolId, file_url, scan,
};
use tempfile::TempDir;
use url::Url;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (path, content) in files {
        write(folder.path(), path, content.as_bytes());
    }
    folder
}

fn write(folder: &Path, path: &str, content: &[u8]) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn options() -> ScanOptions {
    ScanOptions::new()
        .with_tool_id("sketcher".parse().unwrap())
        .with_tool_version("1.2.0".parse().unwrap())
}

fn read(folder: &TempDir) -> Scan {
    scan(folder.path(), &options()).unwrap()
}

#[track_caller]
fn refused(folder: &TempDir, options: &ScanOptions, kind: ErrorKind) -> String {
    let error: Error = scan(folder.path(), options).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    error.to_string()
}

fn paths(scan: &Scan) -> Vec<&str> {
    let files = scan.manifest.files().iter();
    files.map(|file| file.path().as_str()).collect()
}

#[test]
fn runtime_and_user_scope_are_left_out() {
    let folder = folder(&[
        ("src/main.py", "print()"),
        ("src/cache/lru.py", "kept: not at the root"),
        ("logs.txt", "kept"),
        ("venv/bin/python", "x"),
        (".venv/x", "x"),
        ("cache/model.safetensors", "runtime, although a model"),
        ("user_data/me.bin", "x"),
        ("logs/a.txt", "x"),
        ("Logs2/a.txt", "kept"),
        ("src/__pycache__/main.pyc", "x"),
        ("src/main.pyc", "x"),
        ("run.log", "x"),
        ("sub/run.log", "x"),
        (".env", "SECRET=1"),
        ("sub/.env", "SECRET=1"),
        ("config.local.json", "x"),
        ("config.json", "kept"),
        ("manifest.json", "the previous one"),
        ("sub/manifest.json", "kept"),
        (".git/HEAD", "x"),
        ("sub/.svn/entries", "x"),
        (".lockstep-left-over.tmp", "x"),
    ]);
    let scan = read(&folder);
    assert_eq!(
        paths(&scan),
        [
            "Logs2/a.txt",
            "config.json",
            "logs.txt",
            "src/cache/lru.py",
            "src/main.py",
            "sub/manifest.json"
        ]
    );
    assert!(scan.warnings.is_empty() && scan.manifest.warnings().is_empty());
}

#[test]
fn models_are_kept_in_spite_of_globs() {
    let folder = folder(&[
        ("weights/unet.safetensors", "1"),
        ("weights/clip.GGUF", "2"),
        ("weights/vae.bin", "3"),
        ("weights/a.pth", "4"),
        ("weights/b.ckpt", "5"),
        ("weights/notes.txt", "left out"),
    ]);
    let options = options().with_ignore_globs(IgnoreGlobs::new(["weights/**"]).unwrap());
    let scan = scan(folder.path(), &options).unwrap();
    assert_eq!(
        paths(&scan),
        [
            "weights/a.pth",
            "weights/b.ckpt",
            "weights/clip.GGUF",
            "weights/unet.safetensors",
            "weights/vae.bin"
        ]
    );
    assert_eq!(scan.warnings.len(), 5);
    assert!(scan.warnings[0].contains("a.pth"), "{:?}", scan.warnings);
    assert_eq!(scan.manifest.ignore_globs().patterns(), ["weights/**"]);
}

#[test]
fn sizes_digests_and_urls_are_those_of_the_files() {
    let folder = folder(&[("a.txt", "abc"), ("empty", ""), ("sub/also empty", "")]);
    let big = vec![7; 3_000_000];
    write(folder.path(), "big.dat", &big);
    let manifest = read(&folder).manifest;
    for (path, content) in [
        ("a.txt", &b"abc"[..]),
        ("empty", b""),
        ("sub/also empty", b""),
        ("big.dat", &big),
    ] {
        let file = manifest.file(path).unwrap();
        assert_eq!(file.sha256(), Sha256Digest::of(content), "{path}");
        assert_eq!(file.size(), content.len() as u64, "{path}");
        assert!(!file.executable(), "{path}");
    }
    assert_eq!(manifest.total_size(), 3_000_003);
    assert_eq!(
        manifest.file("a.txt").unwrap().url(),
        format!("{DEFAULT_BASE_URL}sketcher/1.2.0/files/a.txt")
    );
}

#[test]
fn an_empty_folder_is_an_empty_release() {
    let folder = folder(&[]);
    fs::create_dir_all(folder.path().join("only/folders")).unwrap();
    assert!(read(&folder).manifest.files().is_empty());
}

#[test]
fn the_hash_depends_on_neither_threads_nor_order() {
    let folder = TempDir::new().unwrap();
    for index in 0..60_usize {
        let path = format!("{}/file {}", index % 7, (index * 37) % 60);
        write(folder.path(), &path, "x".repeat(index * 100).as_bytes());
    }
    let hash = |options: ScanOptions| scan(folder.path(), &options).unwrap().manifest.to_bytes();
    let expected = hash(options());
    assert_eq!(hash(options().with_threads(1)), expected);
    assert_eq!(hash(options().with_threads(2)), expected);
    assert_eq!(hash(options().with_threads(16)), expected);

    let mut builder = ManifestBuilder::new("sketcher".parse().unwrap(), "1.2.0".parse().unwrap());
    for index in (0..60_usize).rev() {
        let path: ReleasePath = format!("{}/file {}", index % 7, (index * 37) % 60)
            .parse()
            .unwrap();
        let content = "x".repeat(index * 100);
        builder = builder.with_file(
            path,
            Sha256Digest::of(content.as_bytes()),
            content.len() as u64,
            false,
        );
    }
    assert_eq!(builder.build().unwrap().to_bytes(), expected);
}

#[test]
fn urls_are_percent_encoded() {
    let folder = folder(&[
        ("a b/c#d%41+e.txt", "1"),
        ("é/模型.bin", "2"),
        ("~x-y_z.(1)", "3"),
    ]);
    let manifest = scan(
        folder.path(),
        &options().with_base_url("https://mirror.example/tools".parse().unwrap()),
    )
    .unwrap()
    .manifest;
    let base = "https://mirror.example/tools/sketcher/1.2.0/files/";
    for (path, encoded) in [
        ("a b/c#d%41+e.txt", "a%20b/c%23d%2541%2Be.txt"),
        ("é/模型.bin", "%C3%A9/%E6%A8%A1%E5%9E%8B.bin"),
        ("~x-y_z.(1)", "~x-y_z.%281%29"),
    ] {
        assert_eq!(
            manifest.file(path).unwrap().url(),
            format!("{base}{encoded}")
        );
    }
}

#[test]
fn a_base_url_can_end_in_a_slash_or_not() {
    let tool: ToolId = "sketcher".parse().unwrap();
    let version: ReleaseVersion = "v1.2.0".parse().unwrap();
    let path: ReleasePath = "a/b c".parse().unwrap();
    for base in [
        "http://127.0.0.1:8080/x",
        "http://127.0.0.1:8080/x/",
        "http://127.0.0.1:8080/x//",
    ] {
        let url = file_url(&base.parse().unwrap(), &tool, &version, &path).unwrap();
        assert_eq!(
            url.as_str(),
            "http://127.0.0.1:8080/x/sketcher/1.2.0/files/a/b%20c"
        );
    }
    let root = file_url(&Url::parse("https://h").unwrap(), &tool, &version, &path).unwrap();
    assert_eq!(root.as_str(), "https://h/sketcher/1.2.0/files/a/b%20c");
}

#[test]
fn defaults_come_from_tool_json() {
    let text = r#"{"tool_id": "z-image", "version": "v0.9.1", "name": "Z", "platforms": ["linux"],
        "api_contract": "runtime/1", "dependencies": {"python_min": "3.11"},
        "flash_gpu_config": {"enabled": true, "warmup_script": "warm.py"},
        "frontend": {"type": "none"}, "capabilities": ["render"]}"#;
    for text in [text.to_owned(), format!("\u{feff}{text}")] {
        let folder = folder(&[("tool.json", &text), ("warm.py", "")]);
        let manifest = scan(folder.path(), &ScanOptions::new()).unwrap().manifest;
        assert_eq!(manifest.tool_id().as_str(), "z-image");
        assert_eq!(manifest.tool_version().as_str(), "0.9.1");
        assert_eq!(manifest.api_contract(), Some("runtime/1"));
        assert_eq!(
            manifest.dependencies().unwrap().python_min.as_deref(),
            Some("3.11")
        );
        assert!(manifest.flash_gpu_config().unwrap().enabled);
        assert_eq!(manifest.capabilities(), ["render"]);
        assert!(
            manifest.file("tool.json").is_some(),
            "it is a file of the release too"
        );

        let manifest = read(&folder).manifest;
        assert_eq!(manifest.tool_id().as_str(), "sketcher", "an option wins");
    }
}

#[test]
fn a_broken_tool_json_is_refused_by_name() {
    for (text, hint) in [
        ("{", "EOF"),
        ("", "EOF"),
        ("[]", "invalid"),
        (r#"{"tool_id": 5}"#, "tool_id"),
        (r#"{"tool_id": "../x"}"#, "tool_id"),
        (r#"{"version": 1.0}"#, "/version: "),
        (r#"{"platforms": "windows"}"#, "/platforms: "),
        (r#"{"frontend": {"type": "tv"}}"#, "/frontend/type: "),
        (r#"{"dependencies": ["numpy", "torch"]}"#, "dependencies"),
        ("[null, null, null, null, null, null, null]", "invalid"),
    ] {
        let folder = folder(&[("tool.json", text)]);
        let message = refused(&folder, &options(), ErrorKind::Manifest);
        assert!(
            message.contains("tool.json") && message.contains(hint),
            "{message}"
        );
    }
}

#[test]
fn without_id_or_version_nothing_is_published() {
    let folder = folder(&[("tool.json", r#"{"version": "1"}"#)]);
    let message = refused(&folder, &ScanOptions::new(), ErrorKind::Manifest);
    assert!(
        message.contains("no tool id was given")
            && message.ends_with("tool.json has no \"tool_id\""),
        "{message}"
    );
    let id_only = ScanOptions::new().with_tool_id("sketcher".parse().unwrap());
    assert!(scan(folder.path(), &id_only).is_ok());
    fs::remove_file(folder.path().join("tool.json")).unwrap();
    let message = refused(&folder, &id_only, ErrorKind::Manifest);
    assert!(
        message.contains("there is no ") && message.ends_with("tool.json with a \"version\""),
        "{message}"
    );
}

#[test]
fn a_folder_that_is_not_there_is_an_io_error_with_its_path() {
    let folder = TempDir::new().unwrap();
    let error = scan(&folder.path().join("missing"), &options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("missing"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn programs_are_known_by_their_suffix() {
    let folder = folder(&[
        ("a.py", ""),
        ("b.sh", ""),
        ("c.ps1", ""),
        ("d.pyw", ""),
        ("py", ""),
        ("sh/x.txt", ""),
    ]);
    let manifest = read(&folder).manifest;
    let programs: Vec<_> = manifest
        .files()
        .iter()
        .filter(|file| file.executable())
        .map(|file| file.path().as_str())
        .collect();
    assert_eq!(programs, ["a.py", "b.sh", "c.ps1"]);
}

#[test]
fn names_that_only_some_platforms_allow_are_refused() {
    for name in [
        "a:b",
        "what?",
        "NUL.txt",
        "trailing.",
        r"back\slash",
        ".staging/x",
    ] {
        if cfg!(windows) {
            continue; // cannot even be made
        }
        let folder = folder(&[("ok", ""), (name, "")]);
        let message = refused(&folder, &options(), ErrorKind::Path);
        assert!(
            message.contains(name.split('/').next().unwrap()) || message.contains("slash"),
            "{message}"
        );
    }
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn programs_are_known_by_their_mode() {
        let folder = folder(&[("tool", ""), ("data", ""), ("group", "")]);
        let set_mode = |name: &str, mode| {
            fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(mode))
                .unwrap();
        };
        set_mode("tool", 0o755);
        set_mode("data", 0o644);
        set_mode("group", 0o654);
        let manifest = read(&folder).manifest;
        let executable = |name: &str| manifest.file(name).unwrap().executable();
        assert!(executable("tool") && executable("group") && !executable("data"));
    }

    #[test]
    fn symbolic_links_are_refused_by_name() {
        for target in ["a.txt", "/etc/passwd", "nowhere", "."] {
            let folder = folder(&[("a.txt", "")]);
            fs::create_dir(folder.path().join("sub")).unwrap();
            symlink(target, folder.path().join("sub/link")).unwrap();
            let message = refused(&folder, &options(), ErrorKind::Policy);
            assert!(
                message.contains("sub/link") && message.contains("symbolic link"),
                "{message}"
            );
        }
    }

    #[test]
    fn links_outside_the_release_do_not_matter() {
        let folder = folder(&[
            ("a.txt", ""),
            ("venv/bin/x", ""),
            (".git", "gitdir: elsewhere"),
        ]);
        symlink("/usr/bin/python3", folder.path().join("venv/bin/python")).unwrap();
        symlink("/mnt/fast", folder.path().join("cache")).unwrap();
        symlink("/home/me", folder.path().join("user_data")).unwrap();
        symlink("/var/log/x", folder.path().join("x.log")).unwrap();
        symlink("old.json", folder.path().join("manifest.json")).unwrap();
        assert_eq!(paths(&read(&folder)), ["a.txt"]);
    }

    #[test]
    fn a_link_that_a_glob_leaves_out_does_not_matter() {
        let folder = folder(&[("a.txt", ""), ("node_modules/x/x.js", "")]);
        symlink("../x/x.js", folder.path().join("node_modules/link")).unwrap();
        let globs =
            |pattern: &str| options().with_ignore_globs(IgnoreGlobs::new([pattern]).unwrap());
        let scan = scan(folder.path(), &globs("node_modules/**")).unwrap();
        assert_eq!(paths(&scan), ["a.txt"]);
        // But a model is never left out, so a link in its place is noticed.
        symlink("/mnt/unet.bin", folder.path().join("node_modules/unet.bin")).unwrap();
        refused(&folder, &globs("node_modules/**"), ErrorKind::Policy);
    }

    fn make_fifo(path: &Path) {
        let status = std::process::Command::new("mkfifo")
            .arg(path)
            .status()
            .unwrap();
        assert!(status.success());
    }

    #[test]
    fn a_fifo_is_refused_without_waiting_for_it() {
        let folder = folder(&[("a.txt", "")]);
        make_fifo(&folder.path().join("pipe"));
        let message = refused(&folder, &options(), ErrorKind::Policy);
        assert!(message.contains("pipe"), "{message}");
    }

    #[test]
    fn a_tool_json_that_is_no_file_is_refused_without_reading_it() {
        let pipe = folder(&[("a.txt", "")]);
        make_fifo(&pipe.path().join("tool.json"));
        assert!(refused(&pipe, &options(), ErrorKind::Policy).contains("tool.json"));
        let link = folder(&[("a.txt", "")]);
        symlink("/dev/zero", link.path().join("tool.json")).unwrap();
        assert!(refused(&link, &options(), ErrorKind::Policy).contains("tool.json"));
        assert!(refused(&link, &ScanOptions::new(), ErrorKind::Policy).contains("tool.json"));
    }

    #[test]
    fn a_socket_is_refused() {
        let folder = folder(&[]);
        let _listener =
            std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
        assert!(refused(&folder, &options(), ErrorKind::Policy).contains("socket"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_that_is_not_utf8_is_refused() {
        let folder = folder(&[]);
        fs::write(folder.path().join(OsStr::from_bytes(b"caf\xe9")), "").unwrap();
        let message = refused(&folder, &options(), ErrorKind::Path);
        assert!(
            message.contains("caf") && message.contains("UTF-8"),
            "{message}"
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn names_that_collide_elsewhere_are_refused() {
        for (one, other) in [("Readme", "README"), ("caf\u{e9}", "cafe\u{301}")] {
            let folder = folder(&[(one, ""), (other, "")]);
            refused(&folder, &options(), ErrorKind::Duplicate);
        }
    }
}
