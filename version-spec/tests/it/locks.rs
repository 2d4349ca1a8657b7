//! Locks on the disk, and what differs between two.

use durable_fs::Disk;
use serde_json::json;
use tempfile::TempDir;
use version_spec::{
    Cache, CustomNode, ErrorKind, FoundLock, GitSource, Lock, LockChange, LockDiff, LockStore,
    LockedModel, LockedNode, LockedPython, LockedSource, ModelReason, PackageReason, Revision,
    Sha256Digest, SourceReason, Spec,
};

fn spec(id: &str) -> Spec {
    let repo = "https://host/comfy".parse().unwrap();
    let mut spec = Spec::new(id.parse().unwrap(), GitSource::new(repo, Revision::Head));
    let node = GitSource::new(
        "https://host/node".parse().unwrap(),
        "main".parse().unwrap(),
    );
    spec.custom_nodes = vec![CustomNode::new("node".parse().unwrap(), node)];
    spec
}

fn source(name: &str, digit: char, from: Option<&str>) -> LockedSource {
    let source = LockedSource::new(
        format!("https://host/{name}").parse().unwrap(),
        digit.to_string().repeat(40).parse().unwrap(),
    );
    match from {
        Some(from) => source.with_resolved_from(from),
        None => source,
    }
}

fn model(name: &str, content: &str) -> LockedModel {
    let url = format!("https://host/{name}");
    LockedModel::new(
        &url,
        url.parse().unwrap(),
        Sha256Digest::of(content.as_bytes()),
        content.len() as u64,
    )
}

fn lock(spec: &Spec) -> Lock {
    let mut lock = Lock::new(spec, source("comfy", 'a', Some("HEAD")));
    lock.custom_nodes = vec![LockedNode::new(
        "node".parse().unwrap(),
        source("node", 'b', Some("refs/heads/main")),
    )];
    lock.models = vec![model("m", "weights").with_etag(Some("\"1\"".into()))];
    lock.python = Some(LockedPython::new(
        Sha256Digest::of(b"request"),
        "numpy==2.0 \\\n    --hash=sha256:00\ntorch==2.5\n",
    ));
    lock
}

fn store() -> (TempDir, LockStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = LockStore::new(&Disk::real(), &Cache::new(folder.path().join("cache")));
    (folder, store)
}

#[test]
fn a_lock_is_the_same_bytes_every_time() {
    let (_folder, store) = store();
    let spec = spec("v1");
    assert!(matches!(store.find(&spec).unwrap(), FoundLock::Missing));
    assert!(store.load(&spec.version_id).unwrap().is_none());
    let lock = lock(&spec);
    let path = store.save(&lock).unwrap();
    assert_eq!(path, store.path_of(&spec.version_id));
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes, lock.to_json());
    let read = store.load(&spec.version_id).unwrap().unwrap();
    assert_eq!((&read, read.to_json()), (&lock, bytes));
    store.save(&read).unwrap();
    assert!(matches!(store.find(&spec).unwrap(), FoundLock::Fresh(found) if found == lock));
    let names = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(names, 1, "nothing is left beside it");
    store.remove(&spec.version_id).unwrap();
    store.remove(&spec.version_id).unwrap();
    assert!(!path.exists());
}

#[test]
fn the_format_is_what_it_was() {
    let mut lock = lock(&spec("v1"));
    lock.models.clear();
    lock.python = None;
    let value: serde_json::Value = serde_json::from_slice(&lock.to_json()).unwrap();
    let wanted = json!({
        "lock_version": 1,
        "version_id": "v1",
        "spec_digest": spec("v1").digest().to_string(),
        "comfy": {"repo": "https://host/comfy", "commit": "a".repeat(40), "resolved_from": "HEAD"},
        "custom_nodes": [{"name": "node", "repo": "https://host/node", "commit": "b".repeat(40), "resolved_from": "refs/heads/main"}],
        "models": [],
    });
    assert_eq!(value, wanted);
}

#[test]
fn a_lock_of_another_spec_is_stale() {
    let (_folder, store) = store();
    let spec = spec("v1");
    store.save(&lock(&spec)).unwrap();
    let mut other = spec.clone();
    other.custom_nodes.clear();
    let FoundLock::Stale(lock) = store.find(&other).unwrap() else {
        panic!("it is fresh")
    };
    assert!(lock.is_for(&spec) && !lock.is_for(&other));
    assert_eq!(
        lock.must_be_for(&other).unwrap_err().kind(),
        ErrorKind::Stale
    );
    lock.must_be_for(&spec).unwrap();
    let renamed = spec.with_version_id("v2".parse().unwrap());
    let error = lock.must_be_for(&renamed).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string()),
        (
            ErrorKind::Stale,
            "the lock is of v1, and the spec of v2".to_owned()
        )
    );
}

#[test]
fn a_damaged_lock_is_found_out_and_replaced() {
    let (_folder, store) = store();
    let spec = spec("v1");
    let good = lock(&spec);
    let path = store.save(&good).unwrap();
    let text = String::from_utf8(good.to_json()).unwrap();
    for damaged in [
        "",
        "{",
        "null",
        "[]",
        &text[..text.len() / 2],
        &text.replace("\"lock_version\": 1", "\"lock_version\": 2"),
        &text.replace("\"v1\"", "\"v2\""),
        &text.replace("\"v1\"", "\"../v1\""),
        &text.replace(&"b".repeat(40), "main"),
        &text.replace("https://host/node", "ext::sh -c x"),
        &text.replace("\"node\"", "\"../node\""),
        &text.replace("refs/heads/main", "--upload-pack=x"),
    ] {
        std::fs::write(&path, damaged).unwrap();
        let error = store.load(&spec.version_id).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{damaged}");
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("resolve"), "{error:?}");
        assert!(
            matches!(store.find(&spec).unwrap(), FoundLock::Damaged(_)),
            "{damaged}"
        );
        store.save(&good).unwrap();
        assert_eq!(store.load(&spec.version_id).unwrap(), Some(good.clone()));
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert_eq!(
        store.load(&spec.version_id).unwrap_err().kind(),
        ErrorKind::Damaged
    );
}

#[test]
fn a_lock_on_a_full_disk_says_so() {
    use std::sync::Arc;

    use durable_fs::{Effect, Observer, Operation, Verdict};

    #[derive(Debug)]
    struct Full;
    impl Observer for Full {
        fn before(&self, effect: &Effect<'_>) -> Verdict {
            if effect.operation == Operation::Write {
                return Verdict::Fail(std::io::ErrorKind::StorageFull.into());
            }
            Verdict::Proceed
        }

        fn after(&self, _: &Effect<'_>) {}
    }
    let (_folder, store) = store();
    let spec = spec("v1");
    let old = lock(&spec);
    let path = store.save(&old).unwrap();
    let full = LockStore::new(
        &Disk::observed(Arc::new(Full)),
        &Cache::new(path.parent().unwrap().parent().unwrap()),
    );
    let mut new = old.clone();
    new.models.clear();
    assert_eq!(full.save(&new).unwrap_err().kind(), ErrorKind::NoSpace);
    assert_eq!(store.load(&spec.version_id).unwrap(), Some(old));
}

#[test]
fn nothing_differs_from_itself() {
    let lock = lock(&spec("v1"));
    let mut other = lock.clone();
    other.models[0].etag = None;
    let diff = LockDiff::between(&lock, &other);
    assert!(diff.is_empty());
    assert_eq!(diff.to_string(), "");
}

#[test]
fn what_differs_is_named_with_the_reason() {
    let before = lock(&spec("v1"));
    let mut after = before.clone();
    after.comfy = source("comfy", 'c', Some("HEAD"));
    after.custom_nodes = vec![
        LockedNode::new("new".parse().unwrap(), source("new", 'd', None)),
        LockedNode::new(
            "node".parse().unwrap(),
            source("node", 'b', Some("refs/tags/v1")),
        ),
    ];
    after.models = vec![model("m", "other weights"), model("n", "more")];
    after.python = Some(LockedPython::new(
        Sha256Digest::of(b"request"),
        "numpy==2.1\nxformers==1.0 ; sys_platform == 'linux'\n",
    ));
    let diff = LockDiff::between(&before, &after);
    let sources: Vec<_> = diff
        .changes
        .iter()
        .filter_map(|change| match change {
            LockChange::Source { name, why, .. } => Some((name.as_str(), *why)),
            _ => None,
        })
        .collect();
    assert_eq!(
        sources,
        [
            ("ComfyUI", SourceReason::RefMoved),
            ("node", SourceReason::RevisionChanged),
            ("new", SourceReason::Added)
        ]
    );
    let models: Vec<_> = diff
        .changes
        .iter()
        .filter_map(|change| match change {
            LockChange::Model { source, why, .. } => Some((source.as_str(), *why)),
            _ => None,
        })
        .collect();
    assert_eq!(
        models,
        [
            ("https://host/m", ModelReason::ContentChanged),
            ("https://host/n", ModelReason::Added)
        ]
    );
    let packages: Vec<_> = diff
        .changes
        .iter()
        .filter_map(|change| match change {
            LockChange::Package {
                name,
                before,
                after,
                why,
            } => Some((name.as_str(), before.as_deref(), after.as_deref(), *why)),
            _ => None,
        })
        .collect();
    let index = PackageReason::IndexChanged;
    assert_eq!(
        packages,
        [
            ("numpy", Some("2.0"), Some("2.1"), index),
            ("torch", Some("2.5"), None, index),
            (
                "xformers",
                None,
                Some("1.0 ; sys_platform == 'linux'"),
                index
            ),
        ]
    );
    let text = diff.to_string();
    assert!(
        text.contains("node: bbbbbbbbbbbb (the spec named refs/heads/main, and now refs/tags/v1)"),
        "{text}"
    );
    assert!(
        text.contains("torch: 2.5 → nothing (the index changed)"),
        "{text}"
    );
    let json = serde_json::to_value(&diff).unwrap();
    assert_eq!(json["changes"][0]["what"], "source");
    assert_eq!(json["changes"][0]["why"], "ref_moved");
}

#[test]
fn other_repositories_addresses_and_requirements_are_named() {
    let before = lock(&spec("v1"));
    let mut after = before.clone();
    after.python = Some(LockedPython::new(
        Sha256Digest::of(b"another request"),
        "numpy==2.1\n",
    ));
    after.comfy = source("fork", 'a', Some("HEAD"));
    after.custom_nodes.clear();
    after.models[0] = model("m", "weights");
    after.models[0].url = "https://mirror/m".parse().unwrap();
    let text = LockDiff::between(&before, &after).to_string();
    for line in [
        "another repository",
        "removed from the spec",
        "from another address",
        "the requirements changed",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn pins_of_models_outlive_a_change_of_the_spec() {
    let mut wanted = spec("v1");
    let entry = |name: &str| {
        let source = format!("https://host/{name}").parse().unwrap();
        version_spec::ModelEntry::new(
            name.parse().unwrap(),
            source,
            format!("loras/{name}").parse().unwrap(),
        )
    };
    let other = version_spec::Checksum::Sha256(Sha256Digest::of(b"other"));
    wanted.models = vec![
        entry("new"),
        entry("kept"),
        entry("repinned").with_checksum(other),
    ];
    let mut older = lock(&spec("v1"));
    older.models = vec![
        model("gone", "g"),
        model("repinned", "r"),
        model("kept", "k"),
    ];
    let mut fresh = Lock::new(&wanted, older.comfy.clone());
    fresh.keep_pins_of(&older, &wanted);
    assert_eq!(fresh.models, [model("kept", "k")]);
    assert_eq!(fresh.python, older.python);
}
