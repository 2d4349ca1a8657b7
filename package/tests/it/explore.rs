//! Every effect of packing fails, is the last one, is short, and is followed by a power cut: what the catalogue names is
//! there and whole, no other archive changes, and packing again finishes the job.
//!
//! `LOCKSTEP_EXPLORE=deep` tries more states of each power cut and more pairs of faults.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use durable_fs::Disk;
use manifest_core::Sha256Digest;
use package::{Catalog, Error, ErrorKind, Packed, Packer, ToolFolder};
use tempfile::TempDir;
use testkit::{Case, Exploration, Image, scratch};

use crate::support::{unwatched, write, write_tool};

fn tools() -> (TempDir, [ToolFolder; 2], [ToolFolder; 1]) {
    let folder = scratch();
    let tool = |name: &str, id, version| {
        let path = folder.path().join(name);
        write_tool(&path, id, version);
        write(&path.join("frontend/index.html"), "<!doctype html>");
        ToolFolder::new(path)
    };
    let old = [
        tool("old", "sketcher", "1.0.0"),
        tool("other", "another", "1.0.0"),
    ];
    let new = [tool("new", "sketcher", "1.1.0")];
    (folder, old, new)
}

fn pack(root: &Path, disk: Disk, tools: &[ToolFolder]) -> Result<Packed, Error> {
    Packer::new(root.join("dist"))
        .with_disk(disk)
        .with_threads(NonZeroUsize::MIN)
        .pack(tools, unwatched)
}

/// What the catalogue says is latest, by tool. Everything that it names is whole.
fn latest(root: &Path) -> Vec<String> {
    let dist = root.join("dist");
    let Ok(bytes) = fs::read(dist.join("catalog.json")) else {
        return Vec::new();
    };
    let catalog = Catalog::parse(&bytes).unwrap();
    let named = catalog.tools().iter().map(|tool| {
        let archive = fs::read(dist.join(&tool.asset_name)).unwrap();
        assert_eq!(Sha256Digest::of(&archive), tool.sha256);
        let frontend = format!("frontend_{}_{}.zip", tool.tool_id, tool.latest);
        let frontend = fs::read(dist.join(frontend)).unwrap();
        assert_eq!(Some(Sha256Digest::of(&frontend)), tool.frontend_sha256);
        format!("{} {}", tool.tool_id, tool.latest)
    });
    named.collect()
}

fn explore(before: &[ToolFolder], tools: &[ToolFolder], old: &[&str], new: &[&str]) {
    let setup = |root: &Path| {
        fs::write(root.join("outside"), "not ours").unwrap();
        if !before.is_empty() {
            pack(root, Disk::real(), before).unwrap();
        }
    };
    let (fresh, copy) = (scratch(), scratch());
    setup(fresh.path());
    let untouched = Image::read(fresh.path());
    untouched.write_to(copy.path());
    pack(copy.path(), Disk::real(), tools).unwrap();
    let undisturbed = Image::read(copy.path());

    let operation = |root: &Path, disk: Disk| {
        let done = pack(root, disk, tools);
        if let Err(error) = &done {
            let kinds = [ErrorKind::Io, ErrorKind::NoSpace];
            assert!(kinds.contains(&error.kind()), "{error:?}");
        }
        done
    };
    let check = |root: &Path, case: &Case| {
        let listed = latest(root);
        assert!(
            listed == new || listed == old && !case.must_be_new(),
            "{listed:?}"
        );
        pack(root, Disk::real(), tools).unwrap();
        assert_eq!(latest(root), new);
        let differences = undisturbed.differences(&Image::read(root));
        assert!(differences.is_empty(), "{differences:#?}");
    };
    let (states, pairs) = match std::env::var_os("LOCKSTEP_EXPLORE") {
        Some(mode) if mode == "deep" => (400, 60),
        _ => (8, 1),
    };
    let exploration = Exploration::new(setup, operation, check)
        .with_states_per_cut(states)
        .with_pairs(pairs);
    println!("{}", exploration.run());
}

#[test]
fn d52_the_first_release_is_listed_and_whole_or_not_listed() {
    let (_folder, old, _) = tools();
    let listed = ["another 1.0.0", "sketcher 1.0.0"];
    explore(&[], &old, &[], &listed);
}

#[test]
fn d52_a_new_release_is_listed_and_whole_or_the_old_one_is() {
    let (_folder, old, new) = tools();
    let before = ["another 1.0.0", "sketcher 1.0.0"];
    explore(&old, &new, &before, &["another 1.0.0", "sketcher 1.1.0"]);
}

/// Other than after a power cut, a failure leaves nothing behind.
#[test]
fn d47_after_a_failed_effect_everything_is_as_it_was() {
    let (_folder, old, new) = tools();
    fail_everywhere(&old, &new, "sketcher 1.1.0");
}

/// The catalogue stays as it is, whether packing fails or not.
#[test]
fn d47_a_failure_takes_back_archives_that_the_catalogue_would_not_name() {
    let (_folder, old, new) = tools();
    fail_everywhere(&new, &old[..1], "sketcher 1.1.0");
}

fn fail_everywhere(before: &[ToolFolder], tools: &[ToolFolder], listed: &str) {
    let root = scratch();
    pack(root.path(), Disk::real(), before).unwrap();
    let had = latest(root.path());
    let before = Image::read(root.path());
    let count = testkit::Faults::count();
    let copy = scratch();
    before.write_to(copy.path());
    pack(copy.path(), count.disk(), tools).unwrap();
    let effects = count.effects();
    for (at, effect) in effects.iter().enumerate() {
        let copy = scratch();
        before.write_to(copy.path());
        let faults = testkit::Faults::fail_at(at, testkit::EIO);
        let Err(error) = pack(copy.path(), faults.disk(), tools) else {
            continue; // of the cleaning up, after everything was done
        };
        assert_eq!(error.kind(), ErrorKind::Io, "{effect}");
        let differences = before.differences(&Image::read(copy.path()));
        let now = latest(copy.path());
        let is_last_sync = effect.contains("sync the folder")
            && now != had
            && now.iter().any(|name| name == listed);
        assert!(
            differences.is_empty() || is_last_sync,
            "{effect}: {differences:#?}"
        );
    }
    assert!(effects.len() > 10, "{effects:#?}");
}
