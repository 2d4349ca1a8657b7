//! Looking into a store, also one that somebody damaged.

use std::fs;

use durable_fs::Disk;
use mirror::{ErrorKind, Store};

use crate::support::{Mirror, TOOL, VERSION, blob, file, path, tool, tree, version};

const CONTENT: &[u8] = b"0123456789";

#[test]
fn what_is_published_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Disk::real(), folder.path().join("new/store")).unwrap();
    assert_eq!(store.releases().unwrap(), []);
    assert!(
        store
            .manifest(&tool(), &version(VERSION))
            .unwrap()
            .is_none()
    );
    let first = tree("1.2.0", &[("a.txt", CONTENT)]);
    first.publish(&store).unwrap();
    tree("1.10.0", &[("a.txt", b"other")])
        .publish(&store)
        .unwrap();

    let found: Vec<String> = store
        .releases()
        .unwrap()
        .iter()
        .map(|release| release.version.to_string())
        .collect();
    assert_eq!(found, ["1.10.0", "1.2.0"]);
    let stored = store
        .manifest(&tool(), &version("v1.2.0"))
        .unwrap()
        .unwrap();
    assert_eq!(stored.bytes(), &first.manifest.to_bytes());
    assert_eq!(
        stored.manifest().manifest_hash(),
        first.manifest.manifest_hash()
    );
    let opened = store
        .open_file(&tool(), &version(VERSION), &path("a.txt"))
        .unwrap()
        .unwrap();
    assert_eq!(
        (opened.size, opened.sha256),
        (10, first.manifest.files()[0].sha256())
    );
    assert_eq!(
        std::io::read_to_string(opened.file).unwrap().as_bytes(),
        CONTENT
    );
    assert!(
        store
            .open_file(&tool(), &version(VERSION), &path("b.txt"))
            .unwrap()
            .is_none()
    );
    assert!(
        store
            .open_file(&tool(), &version("9.9.9"), &path("a.txt"))
            .unwrap()
            .is_none()
    );
}

#[test]
fn what_is_published_while_serving_is_seen() {
    let mirror = Mirror::new();
    let mut client = mirror.client();
    assert_eq!(client.ask("GET", &file("a.txt"), &[]).status, 404);
    // As another process would do it.
    let other = Store::open(&Disk::real(), mirror.store.path()).unwrap();
    tree(VERSION, &[("a.txt", CONTENT)])
        .publish(&other)
        .unwrap();
    assert_eq!(client.ask("GET", &file("a.txt"), &[]).body, CONTENT);

    // Not what publishing does, but a manifest in the cache must not outlive its file.
    let folder = mirror
        .store
        .path()
        .join("releases")
        .join(TOOL)
        .join("v1.2.0");
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(client.ask("GET", &file("a.txt"), &[]).status, 404);
    tree(VERSION, &[("b.txt", CONTENT)])
        .publish(&other)
        .unwrap();
    assert_eq!(client.ask("GET", &file("b.txt"), &[]).body, CONTENT);
    assert_eq!(client.ask("GET", &file("a.txt"), &[]).status, 404);
}

#[test]
fn more_releases_than_the_cache_holds_are_served() {
    let mirror = Mirror::new();
    let mut client = mirror.client();
    for round in 0..2 {
        for number in 0..70 {
            let release = format!("1.0.{number}");
            let content = format!("content {number}");
            if round == 0 {
                tree(&release, &[("a.txt", content.as_bytes())])
                    .publish(&mirror.store)
                    .unwrap();
            }
            let answer = client.ask(
                "GET",
                &format!("/api/v1/tools/{TOOL}/{release}/files/a.txt"),
                &[],
            );
            assert_eq!(answer.body, content.as_bytes());
        }
    }
}

#[test]
fn f73_a_blob_with_another_length_is_never_served() {
    let mirror = Mirror::serving(&[("a.txt", CONTENT)]);
    let blob = blob(mirror.store.path(), CONTENT);
    for damage in [&b""[..], b"012345678", b"01234567890"] {
        fs::write(&blob, damage).unwrap();
        for method in ["GET", "HEAD"] {
            assert_eq!(mirror.client().ask(method, &file("a.txt"), &[]).status, 500);
        }
        let error = mirror
            .store
            .open_file(&tool(), &version(VERSION), &path("a.txt"))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
    fs::remove_file(&blob).unwrap();
    let answer = mirror.get(&file("a.txt"));
    assert_eq!(answer.status, 500);
    assert!(
        !answer
            .error()
            .contains(mirror.store.path().to_str().unwrap()),
        "{}",
        answer.error()
    );

    // Publishing the same release again puts it back.
    let published = tree(VERSION, &[("a.txt", CONTENT)])
        .publish(&mirror.store)
        .unwrap();
    assert_eq!(
        (published.new_blobs, published.already_published),
        (1, true)
    );
    assert_eq!(mirror.get(&file("a.txt")).body, CONTENT);
}

#[cfg(target_os = "linux")]
#[test]
fn f69_links_and_pipes_in_the_store_are_not_followed() {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn make_pipe(path: &Path) {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }

    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    fs::write(&secret, CONTENT).unwrap();
    let mirror = Mirror::serving(&[("a.txt", CONTENT)]);
    let store = mirror.store.path();
    let blob = blob(store, CONTENT);
    let manifest = store
        .join("releases")
        .join(TOOL)
        .join("v1.2.0/manifest.json");
    let manifest_target = format!("/api/v1/tools/{TOOL}/{VERSION}/manifest.json");

    let refused = |what: &str| {
        for target in [file("a.txt"), manifest_target.clone()] {
            let answer = mirror.get(&target);
            assert!(
                !answer
                    .body
                    .windows(CONTENT.len())
                    .any(|window| window == CONTENT),
                "{what} {target}"
            );
            if target != manifest_target || what.contains("manifest") {
                assert_eq!(answer.status, 500, "{what} {target}");
            }
        }
    };
    fs::remove_file(&blob).unwrap();
    symlink(&secret, &blob).unwrap();
    refused("a link as a blob");
    fs::remove_file(&blob).unwrap();
    make_pipe(&blob);
    refused("a pipe as a blob");
    fs::remove_file(&blob).unwrap();
    fs::create_dir(&blob).unwrap();
    refused("a folder as a blob");
    fs::remove_dir(&blob).unwrap();
    let prefix = blob.parent().unwrap();
    fs::write(outside.path().join(blob.file_name().unwrap()), CONTENT).unwrap();
    fs::remove_dir(prefix).unwrap();
    symlink(outside.path(), prefix).unwrap();
    refused("a link as the folder of a blob");

    let bytes = fs::read(&manifest).unwrap();
    fs::remove_file(&manifest).unwrap();
    fs::write(outside.path().join("manifest.json"), &bytes).unwrap();
    symlink(outside.path().join("manifest.json"), &manifest).unwrap();
    refused("a link as a manifest");
    fs::remove_file(&manifest).unwrap();
    make_pipe(&manifest);
    refused("a pipe as a manifest");
    assert!(mirror.store.manifest(&tool(), &version(VERSION)).is_err());
}

#[test]
fn a_manifest_that_is_none_or_of_another_release_is_not_served() {
    let mirror = Mirror::serving(&[("a.txt", CONTENT)]);
    let folder = mirror.store.path().join("releases").join(TOOL);
    let bytes = fs::read(folder.join("v1.2.0/manifest.json")).unwrap();
    fs::create_dir(folder.join("v1.3.0")).unwrap();
    fs::write(folder.join("v1.3.0/manifest.json"), &bytes).unwrap();
    let kind = |release| {
        mirror
            .store
            .manifest(&tool(), &version(release))
            .unwrap_err()
            .kind()
    };
    assert_eq!(kind("1.3.0"), ErrorKind::Corrupt);
    fs::write(
        folder.join("v1.2.0/manifest.json"),
        &bytes[..bytes.len() / 2],
    )
    .unwrap();
    assert_eq!(kind("1.2.0"), ErrorKind::Manifest);
    for release in ["1.2.0", "1.3.0"] {
        assert_eq!(
            mirror
                .get(&format!("/api/v1/tools/{TOOL}/{release}/manifest.json"))
                .status,
            500
        );
    }
}

#[test]
fn foreign_folders_in_the_store_are_no_releases() {
    let mirror = Mirror::serving(&[("a.txt", CONTENT)]);
    let releases = mirror.store.path().join("releases");
    fs::create_dir_all(releases.join("x/v1.0.0")).unwrap();
    fs::create_dir_all(releases.join(TOOL).join("9.9.9")).unwrap();
    fs::create_dir_all(releases.join(TOOL).join("v9.9.9")).unwrap();
    fs::write(releases.join("file"), "").unwrap();
    assert_eq!(mirror.store.releases().unwrap().len(), 1);
}
