//! How many crates `manifest-core` brings is stated, and true.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))] // other systems need a few others

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::links::repository;

#[test]
fn manifest_core_depends_on_as_many_crates_as_the_readme_says() {
    let crates = dependencies("manifest-core");
    assert!(
        crates.iter().any(|name| name.starts_with("sha2 ")),
        "{crates:?}"
    );
    for page in ["README.md", "docs/manifest-only.md"] {
        let text = fs::read_to_string(repository().join(page)).unwrap();
        let stated = stated(&text).unwrap_or_else(|| {
            panic!(
                "{page} does not say that `manifest-core` \"depends on {} crates\"",
                crates.len()
            )
        });
        assert_eq!(
            stated,
            crates.len(),
            "{page} says that `manifest-core` depends on {stated} crates, but it is {}. If that is worth it, \
             change the text. They are: {crates:?}",
            crates.len()
        );
    }
}

/// The number in `depends on 12 crates`.
fn stated(text: &str) -> Option<usize> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = words
        .windows(4)
        .find(|words| words[..2] == ["depends", "on"] && words[3].starts_with("crates"))?[2];
    number.parse().ok()
}

/// `cargo tree --edges normal`, with the default features: all crates that this one needs, without itself.
fn dependencies(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--edges=normal",
            "--prefix=none",
            "--format={p}",
        ])
        .args(["--package", package])
        .current_dir(repository())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let name_and_version = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let mut lines = text.lines();
    assert!(lines.next().is_some_and(|first| first.starts_with(package)));
    lines.map(name_and_version).collect()
}
