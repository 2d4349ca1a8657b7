//! What is removed from a store, and what is not; and everybody at once.

use std::fs;
use std::io::Read as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use durable_fs::Disk;
use mirror::{Error, ErrorKind, Server, Store};

use crate::support::{Client, TOOL, Tree, blob, path, tool, tree, version};

fn store() -> (tempfile::TempDir, Store) {
    let folder = testkit::scratch();
    let store = Store::open(&Disk::real(), folder.path()).unwrap();
    (folder, store)
}

#[test]
fn only_what_no_release_has_is_garbage() {
    let (folder, store) = store();
    let keep = tree("1.0.0", &[("a", b"both"), ("b", b"first only")]);
    let gone = tree("1.1.0", &[("a", b"both"), ("c", b"second only")]);
    keep.publish(&store).unwrap();
    gone.publish(&store).unwrap();
    fs::write(folder.path().join("blobs/sha256/README"), "not ours").unwrap();

    let nothing = store.collect_garbage().unwrap();
    assert_eq!((nothing.removed_blobs, nothing.kept_blobs), (0, 3));
    assert!(store.remove_release(&tool(), &version("1.1.0")).unwrap());
    assert!(!store.remove_release(&tool(), &version("1.1.0")).unwrap());
    assert!(
        !store
            .remove_release(&"other".parse().unwrap(), &version("1.1.0"))
            .unwrap()
    );
    assert_eq!(store.releases().unwrap().len(), 1);
    assert!(
        store
            .manifest(&tool(), &version("1.1.0"))
            .unwrap()
            .is_none()
    );
    assert!(blob(folder.path(), b"second only").exists());

    let collected = store.collect_garbage().unwrap();
    assert_eq!((collected.removed_blobs, collected.kept_blobs), (1, 2));
    assert_eq!(collected.removed_bytes, 11);
    assert!(!blob(folder.path(), b"second only").exists());
    assert!(blob(folder.path(), b"both").exists());
    assert!(folder.path().join("blobs/sha256/README").exists());
    // It can be published again.
    assert_eq!(gone.publish(&store).unwrap().new_blobs, 1);
}

#[test]
fn what_an_interrupted_publish_left_is_garbage() {
    let (folder, store) = store();
    let release = tree("1.0.0", &[("a", b"one")]);
    release.publish(&store).unwrap();
    // Contents are in place before the manifest that names them.
    fs::create_dir_all(folder.path().join("tmp/incoming")).unwrap();
    fs::write(folder.path().join("tmp/incoming/manifest.json"), "{}").unwrap();
    let left = blob(folder.path(), b"left over");
    fs::create_dir_all(left.parent().unwrap()).unwrap();
    fs::write(&left, "left over").unwrap();
    assert_eq!(store.collect_garbage().unwrap().removed_blobs, 1);
    assert!(!left.exists());
    assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
}

#[test]
fn as_long_as_a_manifest_cannot_be_read_nothing_is_garbage() {
    let (folder, store) = store();
    tree("1.0.0", &[("a", b"one")]).publish(&store).unwrap();
    let left = blob(folder.path(), b"left over");
    fs::create_dir_all(left.parent().unwrap()).unwrap();
    fs::write(&left, "left over").unwrap();
    let manifest = folder
        .path()
        .join(format!("releases/{TOOL}/v1.0.0/manifest.json"));
    fs::remove_file(&manifest).unwrap();
    fs::write(&manifest, "{}").unwrap();
    let error = store.collect_garbage().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Manifest, "{error:?}");
    assert!(left.exists() && blob(folder.path(), b"one").exists());
}

#[test]
fn who_reads_a_content_that_is_removed_reads_it_to_its_end() {
    let (_folder, store) = store();
    tree("1.0.0", &[("a", b"to the end")])
        .publish(&store)
        .unwrap();
    let opened = store.open_file(&tool(), &version("1.0.0"), &path("a"));
    let mut file = opened.unwrap().unwrap().file;
    store.remove_release(&tool(), &version("1.0.0")).unwrap();
    assert_eq!(store.collect_garbage().unwrap().removed_blobs, 1);
    let mut found = String::new();
    file.read_to_string(&mut found).unwrap();
    assert_eq!(found, "to the end");
    let again = store
        .open_file(&tool(), &version("1.0.0"), &path("a"))
        .unwrap();
    assert!(again.is_none());
}

/// Whether it was done; anything but that and Busy is a failure.
#[track_caller]
fn done_or_busy<T>(result: Result<T, Error>) -> Option<T> {
    match result {
        Ok(done) => Some(done),
        Err(error) if error.kind() == ErrorKind::Busy => None,
        Err(error) => panic!("{error:?}"),
    }
}

/// Does something that may be refused as busy until it is done so often.
fn often(times: usize, mut change: impl FnMut(usize) -> bool) {
    let mut done = 0;
    while done < times {
        if change(done) {
            done += 1;
        } else {
            std::thread::yield_now();
        }
    }
}

const ROUNDS: usize = 100;

#[test]
fn d53_publishers_garbage_collection_and_readers_together() {
    let (folder, _) = store();
    // Each has a store of its own, as a process has.
    let open = || Store::open(&Disk::real(), folder.path()).unwrap();
    let stays = tree("1.0.0", &[("same", b"same"), ("stays", b"stays")]);
    stays.publish(&open()).unwrap();
    let coming: Vec<Tree> = ["2.0.0", "2.0.1", "2.0.2"]
        .map(|version| tree(version, &[("same", b"same"), ("own", version.as_bytes())]))
        .into();

    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
    let server = {
        let _context = runtime.enter();
        Server::bind(open(), "127.0.0.1:0".parse().unwrap())
            .unwrap()
            .spawn()
    };
    let address = server.local_addr();
    let (over, answers, gone) = (
        AtomicBool::new(false),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = Client::connect(address);
            while !over.load(Ordering::Relaxed) {
                for (version, name, wanted) in [
                    ("1.0.0", "stays", "stays"),
                    ("1.0.0", "same", "same"),
                    ("2.0.1", "own", "2.0.1"),
                    ("2.0.1", "same", "same"),
                ] {
                    let target = format!("/api/v1/tools/{TOOL}/{version}/files/{name}");
                    let answer = client.ask("GET", &target, &[]);
                    if answer.status == 404 && version != "1.0.0" {
                        gone.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    assert_eq!(answer.status, 200, "{target}: {}", answer.error());
                    assert_eq!(answer.body, wanted.as_bytes(), "{target}");
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let workers = [0, 1].map(|_| {
            scope.spawn(|| {
                let store = open();
                often(ROUNDS, |round| {
                    let release = &coming[round % coming.len()];
                    done_or_busy(release.publish(&store)).is_some()
                });
            })
        });
        let removing = scope.spawn(|| {
            let store = open();
            often(ROUNDS, |round| {
                let release = &coming[round % coming.len()];
                let (tool, version) = (release.manifest.tool_id(), release.manifest.tool_version());
                done_or_busy(store.remove_release(tool, version)).is_some()
            });
        });
        let collecting = scope.spawn(|| {
            let store = open();
            often(ROUNDS, |_| done_or_busy(store.collect_garbage()).is_some());
        });
        let ended: Vec<_> = { workers }
            .into_iter()
            .chain([removing, collecting])
            .map(std::thread::ScopedJoinHandle::join)
            .collect();
        over.store(true, Ordering::Relaxed);
        for end in ended {
            end.unwrap();
        }
    });
    println!("4 × {ROUNDS} changes, {answers:?} answers, {gone:?} times not there");
    assert!(answers.load(Ordering::Relaxed) > 0);
    runtime.block_on(server.shutdown()).unwrap();

    let store = open();
    store.collect_garbage().unwrap();
    for release in &coming {
        release.publish(&store).unwrap();
    }
    assert_eq!(store.collect_garbage().unwrap().removed_blobs, 0);
    assert_eq!(store.releases().unwrap().len(), 4);
}
