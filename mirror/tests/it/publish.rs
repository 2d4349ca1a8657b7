//! Publishing, also when it is interrupted at each of its steps.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use durable_fs::{Disk, Effect, Observer, Operation, Recorder, Verdict};
use manifest_core::ScanProgress;
use mirror::{ErrorKind, Store};

use crate::support::{Tree, VERSION, blob, noise, path, tool, tree, version};

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Disk::real(), folder.path()).unwrap();
    (folder, store)
}

/// Everything in a folder: path and content of each file.
fn snapshot(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                files.push((entry.path(), fs::read(entry.path()).unwrap()));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn each_content_is_stored_once() {
    let (folder, store) = store();
    let big = noise(700_000);
    let first = tree(
        "1.0.0",
        &[
            ("a.txt", b"one"),
            ("copy/a.txt", b"one"),
            ("model.bin", &big),
        ],
    );
    let published = first.publish(&store).unwrap();
    assert_eq!((published.new_blobs, published.reused_blobs), (2, 0));
    assert_eq!(
        (published.bytes_written, published.already_published),
        (700_003, false)
    );
    assert_eq!(fs::read(blob(folder.path(), &big)).unwrap(), big);

    // The content that the store has is not read again: it is not even there.
    let second = tree("1.1.0", &[("b.txt", b"two"), ("moved.bin", &big)]);
    fs::remove_file(second.folder.path().join("moved.bin")).unwrap();
    let published = second.publish(&store).unwrap();
    assert_eq!(
        (
            published.new_blobs,
            published.reused_blobs,
            published.bytes_written
        ),
        (1, 1, 3)
    );
    assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
}

#[test]
fn publishing_again_changes_nothing() {
    let (folder, store) = store();
    let tree = tree(VERSION, &[("a.txt", b"one")]);
    tree.publish(&store).unwrap();
    let before = snapshot(folder.path());
    let again = tree.publish(&store).unwrap();
    assert_eq!(
        (again.new_blobs, again.reused_blobs, again.already_published),
        (0, 1, true)
    );
    assert_eq!(snapshot(folder.path()), before);
}

#[test]
fn f68_the_same_version_with_other_content_is_a_conflict() {
    let (folder, store) = store();
    tree(VERSION, &[("a.txt", b"one")]).publish(&store).unwrap();
    let before = snapshot(folder.path());
    let other = tree(VERSION, &[("a.txt", b"two")]);
    let error = other.publish(&store).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(
        error
            .to_string()
            .contains(&other.manifest.manifest_hash().to_string()),
        "{error}"
    );
    assert_eq!(snapshot(folder.path()), before);
}

#[test]
fn f67_a_source_that_is_not_its_manifest_is_refused_by_name() {
    for (change, damage) in [
        ("other bytes", Some(&b"2222"[..])),
        ("longer", Some(b"11111")),
        ("shorter", Some(b"111")),
        ("missing", None),
    ] {
        let (folder, store) = store();
        let tree = tree(VERSION, &[("a.txt", b"0000"), ("docs/b.txt", b"1111")]);
        let changed = tree.folder.path().join("docs/b.txt");
        match damage {
            Some(damage) => fs::write(&changed, damage).unwrap(),
            None => fs::remove_file(&changed).unwrap(),
        }
        let error = tree.publish(&store).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity, "{change}");
        assert!(error.to_string().contains("docs/b.txt"), "{error}");
        assert_eq!(store.releases().unwrap(), [], "{change}");
        let left: Vec<_> = snapshot(folder.path())
            .into_iter()
            .filter(|(_, content)| !content.is_empty())
            .collect();
        assert_eq!(left, [], "{change}");

        fs::write(&changed, b"1111").unwrap();
        assert_eq!(tree.publish(&store).unwrap().new_blobs, 2, "{change}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn links_and_pipes_in_the_source_are_refused() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let (_folder, store) = store();
    let tree = tree(VERSION, &[("a.txt", b"0000")]);
    let file = tree.folder.path().join("a.txt");
    let moved = tree.folder.path().join("moved.txt");
    fs::rename(&file, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &file).unwrap();
    assert_eq!(
        tree.publish(&store).unwrap_err().kind(),
        ErrorKind::Integrity
    );
    fs::remove_file(&file).unwrap();
    mknodat(CWD, &file, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    assert_eq!(
        tree.publish(&store).unwrap_err().kind(),
        ErrorKind::Integrity
    );
}

#[test]
fn two_publishers_at_once_are_one_too_many() {
    let (folder, store) = store();
    let lock = fs::File::create(folder.path().join("publish.lock")).unwrap();
    lock.lock().unwrap();
    let tree = tree(VERSION, &[("a.txt", b"one")]);
    let error = tree.publish(&store).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains("publish.lock"), "{error}");

    // What the other one is collecting stays, however often the store is opened.
    let incoming = folder.path().join("tmp/incoming");
    fs::create_dir(&incoming).unwrap();
    Store::open(&Disk::real(), folder.path()).unwrap();
    assert!(incoming.exists());
    drop(lock);
    Store::open(&Disk::real(), folder.path()).unwrap();
    assert!(!incoming.exists());
    tree.publish(&store).unwrap();
}

/// A disk on which one effect fails, or that one and all after it: a process that is killed changes
/// nothing any more.
#[derive(Debug)]
struct Faulty {
    fails_at: usize,
    after: After,
    seen: AtomicUsize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum After {
    Works,
    IsDead,
}

impl Observer for Faulty {
    fn before(&self, _: &Effect<'_>) -> Verdict {
        let number = self.seen.fetch_add(1, Ordering::Relaxed);
        let fails =
            number == self.fails_at || (self.after == After::IsDead && number > self.fails_at);
        if fails {
            Verdict::Fail(io::Error::from(io::ErrorKind::StorageFull))
        } else {
            Verdict::Proceed
        }
    }

    fn after(&self, _: &Effect<'_>) {}
}

fn sample() -> Tree {
    tree(
        VERSION,
        &[
            ("a.txt", b"one"),
            ("b.txt", b"two"),
            ("model.bin", &noise(600_000)),
        ],
    )
}

/// Whether a release is there. If it is, then every byte of it is.
fn is_visible(store: &Store, release: &Tree) -> bool {
    if store.releases().unwrap().is_empty() {
        assert!(
            store
                .manifest(&tool(), &version(VERSION))
                .unwrap()
                .is_none()
        );
        return false;
    }
    for entry in release.manifest.files() {
        let stored = store
            .open_file(&tool(), &version(VERSION), entry.path())
            .unwrap()
            .unwrap();
        let (digest, length) = manifest_core::hash_file(&stored.file).unwrap();
        assert_eq!((digest, length), (entry.sha256(), entry.size()));
    }
    true
}

fn fail_at_each_step(after: After) {
    let release = sample();
    for fails_at in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("store");
        let faulty = Arc::new(Faulty {
            fails_at,
            after,
            seen: AtomicUsize::new(0),
        });
        let disk = Disk::observed(faulty.clone());
        let published = Store::open(&disk, &place).and_then(|store| release.publish(&store));
        let is_untouched = faulty.seen.load(Ordering::Relaxed) <= fails_at;

        let store = Store::open(&Disk::real(), &place).unwrap();
        match published {
            // The last steps only clear up.
            Ok(_) => assert!(is_visible(&store, &release)),
            Err(error) => {
                assert_eq!(
                    error.kind(),
                    ErrorKind::NoSpace,
                    "step {fails_at}: {error:?}"
                );
                if is_visible(&store, &release) {
                    assert_eq!(
                        after,
                        After::IsDead,
                        "step {fails_at}: a failed publish is visible"
                    );
                } else if after == After::Works {
                    assert_eq!(fs::read_dir(place.join("tmp")).unwrap().count(), 0);
                }
            }
        }
        assert_eq!(
            fs::read_dir(place.join("tmp")).unwrap().count(),
            0,
            "opening cleared up"
        );
        release.publish(&store).unwrap();
        assert!(is_visible(&store, &release));
        assert!(release.publish(&store).unwrap().already_published);
        if is_untouched {
            assert!(fails_at > 15, "there are more steps than {fails_at}");
            return;
        }
    }
}

#[test]
fn f67_a_publish_that_fails_at_any_step_leaves_nothing_visible() {
    fail_at_each_step(After::Works);
}

#[test]
fn f67_a_publish_that_is_killed_at_any_step_leaves_all_or_nothing() {
    fail_at_each_step(After::IsDead);
}

#[test]
fn short_writes_are_continued() {
    #[derive(Debug)]
    struct Short;
    impl Observer for Short {
        fn before(&self, effect: &Effect<'_>) -> Verdict {
            match effect.operation {
                Operation::Write => Verdict::Short(effect.data.len().div_ceil(3)),
                _ => Verdict::Proceed,
            }
        }
        fn after(&self, _: &Effect<'_>) {}
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Disk::observed(Arc::new(Short)), folder.path()).unwrap();
    let release = sample();
    release.publish(&store).unwrap();
    assert!(is_visible(&store, &release));
}

#[cfg(target_os = "linux")]
#[test]
fn contents_are_durable_before_the_manifest_that_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Arc::new(Recorder::new());
    let store = Store::open(&Disk::observed(recorder.clone()), folder.path()).unwrap();
    sample().publish(&store).unwrap();
    let effects = recorder.effects();
    let only = |what: &str, matches: &dyn Fn(Operation, &Path, Option<&Path>) -> bool| {
        let mut found = effects
            .iter()
            .enumerate()
            .filter(|(_, (operation, path, to))| matches(*operation, path, to.as_deref()));
        let found: Vec<usize> = found.by_ref().map(|(index, _)| index).collect();
        assert!(!found.is_empty(), "{what}");
        (found[0], found[found.len() - 1])
    };
    let blobs = folder.path().join("blobs/sha256");
    let goes_below = |to: Option<&Path>, folder: &Path| to.is_some_and(|to| to.starts_with(folder));
    let writes = only("writes", &|operation, _, _| operation == Operation::Write);
    let sync = only("sync", &|operation, _, _| {
        operation == Operation::SyncFilesystem
    });
    let renames = only("renames", &|operation, _, to| {
        operation == Operation::Rename && goes_below(to, &blobs)
    });
    let folder_syncs = only("syncs", &|operation, path, _| {
        operation == Operation::SyncDir && path.starts_with(&blobs)
    });
    let release = folder.path().join("releases");
    let commit = only("commit", &|operation, _, to| {
        operation == Operation::Rename && goes_below(to, &release)
    });
    let last = only("last", &|operation, path, _| {
        operation == Operation::SyncDir && path.ends_with("v1.2.0")
    });
    assert!(
        writes.1 < sync.0 && sync.1 < renames.0 && renames.1 < folder_syncs.0,
        "{effects:#?}"
    );
    assert!(
        folder_syncs.1 < commit.0 && commit.0 == commit.1 && commit.1 < last.0,
        "{effects:#?}"
    );
}

#[test]
fn what_the_store_has_is_neither_read_nor_written() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Arc::new(Recorder::new());
    let store = Store::open(&Disk::observed(recorder.clone()), folder.path()).unwrap();
    sample().publish(&store).unwrap();
    let before = recorder.count(Operation::CreateFile, folder.path());
    let next = tree(
        "1.3.0",
        &[("model.bin", &noise(600_000)), ("c.txt", b"two")],
    );
    let published = next.publish(&store).unwrap();
    assert_eq!((published.new_blobs, published.reused_blobs), (0, 2));
    let created = recorder.count(Operation::CreateFile, folder.path()) - before;
    assert_eq!(created, 1, "the manifest alone");
    let opened = store
        .open_file(&tool(), &version("1.3.0"), &path("c.txt"))
        .unwrap()
        .unwrap();
    assert_eq!(io::read_to_string(opened.file).unwrap(), "two");
}

#[test]
fn what_cannot_fit_is_refused_before_anything_is_written() {
    let (folder, store) = store();
    let before = snapshot(folder.path());
    let source = tempfile::tempdir().unwrap();
    fs::write(source.path().join("model.bin"), "short").unwrap();
    let digest = manifest_core::Sha256Digest::of(b"a petabyte");
    let manifest = manifest_core::ManifestBuilder::new(tool(), version(VERSION))
        .with_file(path("model.bin"), digest, 1 << 50, false)
        .build()
        .unwrap();
    let error = store
        .publish(&manifest, &Disk::real().open_dir(source.path()).unwrap())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    assert!(
        error.to_string().contains(&(1_u64 << 50).to_string()),
        "{error}"
    );
    let after: Vec<_> = snapshot(folder.path())
        .into_iter()
        .filter(|(path, _)| !path.ends_with("publish.lock"))
        .collect();
    assert_eq!(after, before);
}

#[test]
fn a_publish_says_how_far_it_is() {
    let (_folder, store) = store();
    tree("1.0.0", &[("a.txt", b"one")]).publish(&store).unwrap();
    let release = sample();
    let source = Disk::real().open_dir(release.folder.path()).unwrap();
    let heard = std::sync::Mutex::new(Vec::new());
    let published = store.publish_observed(&release.manifest, &source, |progress| {
        heard.lock().unwrap().push(progress);
        ControlFlow::Continue(())
    });
    assert_eq!(published.unwrap().new_blobs, 2);
    let heard = heard.into_inner().unwrap();
    // "one" is known.
    let bytes = 600_003;
    assert_eq!(heard[0], ScanProgress::Found { files: 2, bytes });
    let hashed = heard[1..].iter().map(|progress| match progress {
        ScanProgress::Hashed(count) => *count,
        ScanProgress::FileDone => 0,
        _ => panic!("{heard:?}"),
    });
    assert_eq!(hashed.sum::<u64>(), bytes);
    let done = heard.iter().filter(|said| **said == ScanProgress::FileDone);
    assert_eq!(done.count(), 2);
}

#[test]
fn a_publish_that_is_stopped_anywhere_leaves_the_store_as_it_was() {
    let release = sample();
    let source = Disk::real().open_dir(release.folder.path()).unwrap();
    for stops_at in 0.. {
        let (folder, store) = store();
        tree("1.0.0", &[("a.txt", b"one")]).publish(&store).unwrap();
        let before = snapshot(folder.path());
        let asked = AtomicUsize::new(0);
        let published = store.publish_observed(&release.manifest, &source, |_| {
            match asked.fetch_add(1, Ordering::Relaxed) {
                number if number == stops_at => ControlFlow::Break(()),
                number => {
                    assert!(number < stops_at, "asked again after it was stopped");
                    ControlFlow::Continue(())
                }
            }
        });
        match published {
            Ok(_) => {
                assert!(stops_at > 4, "asked {stops_at} times only");
                return;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Cancelled, "{error:?}");
                assert_eq!(snapshot(folder.path()), before, "{stops_at}");
                assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
                assert_eq!(release.publish(&store).unwrap().new_blobs, 2);
                assert_eq!(store.releases().unwrap().len(), 2);
            }
        }
    }
}
