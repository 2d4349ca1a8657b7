//! An installation as the old Python updater left it is updated like any other.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use downloader::MemoryDownloader;
use manifest_core::{FileEntry, ManifestBuilder, Sha256Digest};
use serde_json::{Value, json};
use updater::{CancellationToken, Eligibility, Manifest, Required, TrustPolicy, Updater};

const MODEL: &[u8] = b"weights";

fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn entry(path: &str, content: &[u8]) -> Value {
    let url = format!("https://hq.bitstation.local/api/v1/tools/painter/1.0.0/files/{path}");
    let sha256 = Sha256Digest::of(content);
    json!({"path": path, "sha256": sha256, "size": content.len(), "url": url})
}

/// As the generator wrote it, with the entry of the manifest before.
fn old_manifest() -> Value {
    let mut manifest = json!({
        "manifest_version": "1.0",
        "tool_id": "painter",
        "tool_version": "1.0.0",
        "created_at": "2025-11-03T10:00:00Z",
        "files": [entry("main.py", b"one"), entry("manifest.json", b"{}"), entry("model.bin", MODEL)],
        "delete_policy": "safe",
        "ignore_globs": ["venv/**", "*.log"],
    });
    let mut hashed = manifest.clone();
    hashed.as_object_mut().unwrap().remove("created_at");
    // `serde_json` sorts keys and writes no white space, as Python was told to.
    let hash = Sha256Digest::of(&serde_json::to_vec(&hashed).unwrap());
    manifest["manifest_hash"] = json!(hash);
    manifest
}

fn new_release(memory: &MemoryDownloader) -> Manifest {
    let mut builder = ManifestBuilder::new("painter".parse().unwrap(), "1.1.0".parse().unwrap());
    for (path, content) in [("main.py", &b"two"[..]), ("models/model.bin", MODEL)] {
        let url = format!("https://hq.example/{path}");
        memory.insert(url.parse().unwrap(), content);
        let (digest, size) = (Sha256Digest::of(content), content.len() as u64);
        let entry = FileEntry::new(path.parse().unwrap(), digest, size, url);
        builder = builder.with_entry(entry);
    }
    builder.build().unwrap()
}

#[tokio::test]
async fn an_old_installation_is_read_updated_and_rolled_back() {
    for current in ["v1.0.0", "v1.0.0\n", "v1.0.0\r\n"] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let manifest = old_manifest();
        let release = root.join("releases/v1.0.0");
        write(&root.join("current.txt"), current);
        write(
            &release.join("manifest.json"),
            serde_json::to_vec_pretty(&manifest).unwrap(),
        );
        write(&release.join("main.py"), "one");
        write(&release.join("model.bin"), MODEL);
        write(&release.join("my-notes.txt"), "mine");
        write(&root.join("venv/bin/python"), "venv");

        let memory = MemoryDownloader::new();
        let updater = Updater::builder(root)
            .with_downloader(Arc::new(memory.clone()))
            .build()
            .unwrap();
        let active = updater.status().await.unwrap().active.unwrap();
        assert_eq!(active.version.as_str(), "1.0.0");
        assert_eq!(json!(active.manifest_hash), manifest["manifest_hash"]);
        let required = Required {
            version: active.version,
            manifest_hash: active.manifest_hash,
        };
        let eligibility = updater.eligibility(&required).await.unwrap();
        assert_eq!(eligibility, Eligibility::Eligible);

        let never = CancellationToken::new();
        let trusted = TrustPolicy::Unsigned.trust(new_release(&memory)).unwrap();
        let report = updater.apply(&trusted, &never).await.unwrap();
        assert_eq!(
            (report.downloaded, report.reused, report.carried),
            (1, 1, 1)
        );
        let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
        assert_eq!(read("current.txt"), "v1.1.0");
        assert_eq!(read("releases/v1.1.0/my-notes.txt"), "mine");
        assert_eq!(read("venv/bin/python"), "venv");

        let back = updater.rollback(None, &never).await.unwrap();
        assert_eq!(back.to_version.as_str(), "1.0.0");
        assert_eq!(read("releases/v1.0.0/main.py"), "one");
    }
}
