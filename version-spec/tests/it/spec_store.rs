//! The folder of specs.

use std::fs;
use std::sync::Arc;

use durable_fs::{Disk, Effect, Observer, Operation, Verdict};
use version_spec::{ErrorKind, Existing, Spec, SpecStore, VersionId};

fn spec(id: &str, reference: &str) -> Spec {
    let text = format!(
        r#"{{"schema_version": 2, "version_id": "{id}", "comfy": {{"repo": "https://h/c", "ref": "{reference}"}}}}"#
    );
    Spec::parse(text.as_bytes()).unwrap().spec
}

fn id(id: &str) -> VersionId {
    id.parse().unwrap()
}

fn names(folder: &std::path::Path) -> Vec<String> {
    let names = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn a_spec_is_saved_loaded_listed_and_removed() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("new/versions");
    let store = SpecStore::new(&Disk::real(), &folder);
    assert_eq!(store.list().unwrap().len(), 0);
    assert_eq!(
        store.load(&id("a")).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        store.remove(&id("a")).unwrap_err().kind(),
        ErrorKind::NotFound
    );

    let path = store.save(&spec("a", "main"), Existing::Keep).unwrap();
    assert_eq!(path, folder.join("a.json"));
    store.save(&spec("b", "main"), Existing::Replace).unwrap();
    assert_eq!(store.load(&id("a")).unwrap().spec, spec("a", "main"));
    let listed: Vec<_> = store
        .list()
        .unwrap()
        .into_iter()
        .map(|stored| stored.file_name)
        .collect();
    assert_eq!(listed, ["a.json", "b.json"]);

    store.remove(&id("a")).unwrap();
    assert_eq!(names(&folder), ["b.json"]);
    assert_eq!(
        store.load(&id("a")).unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[test]
fn a_spec_is_replaced_only_if_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let store = SpecStore::new(&Disk::real(), folder.path());
    store.save(&spec("a", "main"), Existing::Keep).unwrap();
    let error = store.save(&spec("a", "dev"), Existing::Keep).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exists);
    assert!(
        error.to_string().contains("a.json") && error.hint().is_some(),
        "{error}"
    );
    assert_eq!(store.load(&id("a")).unwrap().spec, spec("a", "main"));
    store.save(&spec("a", "dev"), Existing::Replace).unwrap();
    assert_eq!(store.load(&id("a")).unwrap().spec, spec("a", "dev"));
    assert_eq!(names(folder.path()), ["a.json"], "nothing else is left");
}

#[test]
fn of_many_that_save_one_version_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let store = SpecStore::new(&Disk::real(), folder.path());
    let saved: Vec<bool> = std::thread::scope(|scope| {
        let store = &store;
        let threads: Vec<_> = (0..16)
            .map(|number| {
                scope.spawn(move || {
                    store
                        .save(&spec("a", &format!("ref{number}")), Existing::Keep)
                        .is_ok()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(saved.iter().filter(|saved| **saved).count(), 1);
    let winner = saved.iter().position(|saved| *saved).unwrap();
    assert_eq!(
        store.load(&id("a")).unwrap().spec,
        spec("a", &format!("ref{winner}"))
    );
    assert_eq!(names(folder.path()), ["a.json"]);
}

#[test]
fn a_bad_file_is_reported_and_hides_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = SpecStore::new(&Disk::real(), folder.path());
    store.save(&spec("good", "main"), Existing::Keep).unwrap();
    fs::write(folder.path().join("bad.json"), "{").unwrap();
    fs::write(
        folder.path().join("renamed.json"),
        spec("other", "main").to_json(),
    )
    .unwrap();
    fs::write(
        folder.path().join("no name.json"),
        spec("other", "main").to_json(),
    )
    .unwrap();
    fs::write(folder.path().join(".hidden.json"), "{").unwrap();
    fs::write(folder.path().join("notes.txt"), "x").unwrap();
    fs::create_dir(folder.path().join("folder.json")).unwrap();
    fs::write(folder.path().join("huge.json"), vec![b' '; 5 << 20]).unwrap();
    let listed = store.list().unwrap();
    let kinds: Vec<_> = listed
        .iter()
        .map(|stored| {
            (
                stored.file_name.as_str(),
                stored.spec.as_ref().err().map(version_spec::Error::kind),
            )
        })
        .collect();
    assert_eq!(
        kinds,
        [
            ("bad.json", Some(ErrorKind::Spec)),
            ("good.json", None),
            ("huge.json", Some(ErrorKind::Spec)),
            ("no name.json", Some(ErrorKind::Name)),
            ("renamed.json", Some(ErrorKind::Spec)),
        ]
    );
    let error = store.load(&id("renamed")).unwrap_err();
    assert_eq!(error.pointer(), Some("/version_id"));
    assert!(error.to_string().contains("renamed.json"), "{error}");
    assert!(
        error
            .hint()
            .unwrap()
            .contains("rename the file to `other.json`"),
        "{error:?}"
    );
}

#[cfg(unix)]
#[test]
fn a_link_is_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let outside = root.path().join("outside.json");
    fs::write(&outside, spec("a", "main").to_json()).unwrap();
    let folder = root.path().join("versions");
    fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(&outside, folder.join("a.json")).unwrap();
    let store = SpecStore::new(&Disk::real(), &folder);
    assert_eq!(store.load(&id("a")).unwrap_err().kind(), ErrorKind::Spec);
    assert_eq!(
        store
            .save(&spec("a", "dev"), Existing::Keep)
            .unwrap_err()
            .kind(),
        ErrorKind::Exists
    );
    store.save(&spec("a", "dev"), Existing::Replace).unwrap();
    assert_eq!(
        fs::read(&outside).unwrap(),
        spec("a", "main").to_json(),
        "what it led to is as it was"
    );
    store.remove(&id("a")).unwrap();
    assert!(outside.exists());
}

/// Fails the step of this number.
#[derive(Debug)]
struct FailAt {
    step: usize,
    seen: std::sync::atomic::AtomicUsize,
}

impl Observer for FailAt {
    fn before(&self, effect: &Effect<'_>) -> Verdict {
        let number = self.seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        // What is cleaned up afterwards may fail as well; nothing depends on it.
        if number == self.step && effect.operation != Operation::RemoveFile {
            return Verdict::Fail(std::io::Error::from(std::io::ErrorKind::StorageFull));
        }
        Verdict::Proceed
    }

    fn after(&self, _: &Effect<'_>) {}
}

#[test]
fn a_failure_at_any_step_leaves_the_old_spec_or_the_new() {
    for existing in [Existing::Keep, Existing::Replace] {
        for step in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let old = (existing == Existing::Replace).then(|| spec("a", "main"));
            if let Some(old) = &old {
                SpecStore::new(&Disk::real(), folder.path())
                    .save(old, Existing::Keep)
                    .unwrap();
            }
            let observer = Arc::new(FailAt {
                step,
                seen: 0.into(),
            });
            let store = SpecStore::new(&Disk::observed(observer.clone()), folder.path());
            let saved = store.save(&spec("a", "dev"), existing);
            let plain = SpecStore::new(&Disk::real(), folder.path());
            match plain.load(&id("a")) {
                Ok(found) => assert!(found.spec == spec("a", "dev") || Some(found.spec) == old),
                Err(error) => assert!(
                    error.kind() == ErrorKind::NotFound && old.is_none(),
                    "{error}"
                ),
            }
            match saved {
                Ok(_) => {
                    assert!(step >= 3, "several steps were made to fail");
                    break;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}"),
            }
            // And it can be done again.
            plain.save(&spec("a", "dev"), Existing::Replace).unwrap();
            assert_eq!(plain.load(&id("a")).unwrap().spec, spec("a", "dev"));
        }
    }
}
