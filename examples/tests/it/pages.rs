//! Nothing in `docs/` is forgotten.

use std::fs;

use crate::links::{markdown_files, repository};

#[test]
fn every_page_is_in_the_index_and_its_code_is_compiled() {
    let docs = repository().join("docs");
    let index = fs::read_to_string(docs.join("README.md")).unwrap();
    let compiled = include_str!("../../src/lib.rs");
    for page in markdown_files(&docs) {
        let name = page
            .strip_prefix(&docs)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        if name == "README.md" {
            continue;
        }
        assert!(
            index.contains(&format!("]({name})")),
            "docs/README.md does not list {name}"
        );
        let has_code = fs::read_to_string(&page).unwrap().contains("```rust");
        assert!(
            !has_code || compiled.contains(&format!("\"docs/{name}\"")),
            "examples/src/lib.rs does not compile the code in docs/{name}"
        );
    }
}

/// `docs/api/` is written by `scripts/public-api`.
#[test]
fn troubleshooting_speaks_of_every_kind_of_error() {
    let docs = repository().join("docs");
    let page = fs::read_to_string(docs.join("troubleshooting.md")).unwrap();
    let api = fs::read_to_string(docs.join("api/updater.txt")).unwrap();
    let kinds = api
        .lines()
        .filter_map(|line| line.strip_prefix("pub updater::ErrorKind::"));
    let mut count = 0;
    for kind in kinds {
        count += 1;
        assert!(page.contains(&format!("| `{kind}` |")), "no row for {kind}");
    }
    assert!(count > 10, "only {count} kinds were found");
}
