use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use activation::{ErrorKind, Installation, Problem};
use durable_fs::{Disk, Effect, Verdict};
use testkit::Tree;

use crate::common::{Root, make_fifo, roll_back, symlink, version};

#[test]
fn d56_every_kind_of_damage_is_found() {
    let names = [
        "content", "fifo", "folder", "gone/x", "link", "missing", "mode", "right", "size",
    ];
    let tree = names
        .iter()
        .fold(Tree::new(), |tree, name| tree.with(name, *name));
    let root = Root::with(&tree, "1.0.0");
    let at = |name: &str| root.at("releases/v1.0.0").join(name);
    fs::write(at("content"), "CONTENT").unwrap();
    fs::write(at("size"), "longer").unwrap();
    for name in ["fifo", "folder", "link", "missing"] {
        fs::remove_file(at(name)).unwrap();
    }
    make_fifo(at("fifo"));
    fs::create_dir(at("folder")).unwrap();
    symlink("right", at("link")).unwrap();
    fs::remove_dir_all(at("gone")).unwrap();
    Tree::new()
        .with_program("mode", "mode")
        .write_to(&root.at("releases/v1.0.0"));
    fs::write(at("unlisted"), "is no damage").unwrap();

    let verification = root.active().verify(&()).unwrap();
    let findings: Vec<_> = verification
        .findings
        .iter()
        .map(|finding| (finding.path.as_str(), finding.problem.clone()))
        .collect();
    assert_eq!(
        findings,
        [
            ("content", Problem::WrongContent),
            ("fifo", Problem::NotAFile),
            ("folder", Problem::NotAFile),
            ("gone/x", Problem::Missing),
            ("link", Problem::NotAFile),
            ("missing", Problem::Missing),
            ("mode", Problem::WrongMode),
            ("size", Problem::WrongSize { found: 6 }),
        ]
    );
    assert_eq!(verification.verified, 1);
    assert!(!verification.is_intact());
}

#[test]
fn a_folder_on_the_way_that_is_a_link_is_not_followed() {
    let root = Root::with(&Tree::new().with("sub/x", "x"), "1.0.0");
    fs::rename(root.at("releases/v1.0.0/sub"), root.at("moved")).unwrap();
    symlink(root.at("moved"), root.at("releases/v1.0.0/sub")).unwrap();
    let verification = root.active().verify(&()).unwrap();
    assert_eq!(verification.findings[0].problem, Problem::NotAFile);
}

/// A disk on which nothing of this name may be read, as if another user owned it.
#[derive(Debug)]
struct Locked(&'static str, io::ErrorKind);

impl durable_fs::Observer for Locked {
    fn before(&self, _: &Effect<'_>) -> Verdict {
        Verdict::Proceed
    }

    fn after(&self, _: &Effect<'_>) {}

    fn before_open(&self, path: &Path) -> Verdict {
        if path.ends_with(self.0) {
            return Verdict::Fail(self.1.into());
        }
        Verdict::Proceed
    }
}

#[test]
fn what_cannot_be_read_is_said_with_the_reason_of_the_system() {
    let tree = Tree::new().with("a/x", "x").with("b/y", "y").with("z", "z");
    let root = Root::with(&tree, "1.0.0");
    let denied = || Problem::NotPermitted("permission denied".into());
    for (name, kind, problem, found) in [
        ("z", io::ErrorKind::PermissionDenied, denied(), "z"),
        ("b", io::ErrorKind::PermissionDenied, denied(), "b/y"),
        (
            "a/x",
            io::ErrorKind::ResourceBusy,
            Problem::Unreadable("resource busy".into()),
            "a/x",
        ),
    ] {
        let disk = Disk::observed(Arc::new(Locked(name, kind)));
        let installation = Installation::create(&disk, root.path()).unwrap();
        let verification = installation.active().unwrap().unwrap().verify(&()).unwrap();
        assert_eq!(verification.verified, 2);
        let finding = &verification.findings[0];
        assert_eq!((finding.path.as_str(), &finding.problem), (found, &problem));
        let text = finding.problem.to_string();
        assert!(text.starts_with("cannot be read: "), "{text}");
    }
}

#[test]
fn a_release_that_may_not_be_read_does_not_become_active_for_that_reason() {
    let tree = Tree::new().with("secret", "x");
    let root = Root::with(&tree, "1.0.0");
    root.install(&tree.with("new", ""), "1.1.0");
    let locked = Locked("v1.0.0/secret", io::ErrorKind::PermissionDenied);
    let disk = Disk::observed(Arc::new(locked));
    let session = Installation::create(&disk, root.path()).unwrap().lock();
    let error = roll_back(&session.unwrap(), &version("1.0.0")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    assert!(error.to_string().contains("permission denied"), "{error}");
    assert_eq!(root.current(), "v1.1.0");
}
