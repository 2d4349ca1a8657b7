use std::fs;

use activation::Problem;
use testkit::Tree;

use crate::common::{Root, make_fifo, symlink};

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
