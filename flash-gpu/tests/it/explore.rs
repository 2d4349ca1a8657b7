//! Every effect of a warm-up fails, is the last one, is short, and is followed by a power cut: nothing half is taken for warm, and
//! running again finishes the job.
//!
//! `LOCKSTEP_EXPLORE=deep` tries more states of each power cut, and pairs of faults.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use durable_fs::Disk;
use flash_gpu::{
    ArtifactCheck, CancellationToken, Error, ErrorKind, FlashGpu, LinkPolicy, Outcome, Rerun,
    Warmth,
};
use testkit::{Case, Exploration, Tree};

use crate::world::{Machine, Release, flash, l4, warm_up, write};

fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(4).build();
    runtime.unwrap().block_on(future)
}

fn is_deep() -> bool {
    std::env::var_os("LOCKSTEP_EXPLORE").is_some_and(|mode| mode == "deep")
}

const MODEL: &str = "model\n";

fn kernel(version: &str) -> String {
    format!("kernel of {version}\n")
}

/// Leaves one artifact in each place, unless the file `there` says that they are there.
fn release(version: &'static str) -> Release {
    let script = format!(
        "[ -e \"$LOCKSTEP_ROOT/there\" ] || {{
            mkdir -p cache \"$LOCKSTEP_CACHE_DIR\"
            echo kernel of {version} > cache/a.bin
            echo model > \"$LOCKSTEP_CACHE_DIR/b.bin\"
        }}"
    );
    Release::new(&script, &["cache/*.bin"]).with_version(version)
}

fn machine(root: &Path, disk: Disk) -> FlashGpu {
    flash(&root.join("tool"))
        .with_probe(Machine::new(l4()))
        .with_artifact_check(ArtifactCheck::Hashes)
        .with_keep(0)
        .with_disk(disk)
}

fn operate(root: &Path, disk: Disk, policy: LinkPolicy) -> Result<Outcome, Error> {
    done(&machine(root, disk).with_link_policy(policy))
}

fn done(flash: &FlashGpu) -> Result<Outcome, Error> {
    let done = wait(warm_up(flash));
    if let Err(error) = &done {
        let expected = [ErrorKind::Io, ErrorKind::NoSpace];
        assert!(expected.contains(&error.kind()), "{error:?}");
    }
    done.map(|report| report.outcome)
}

/// What must hold whenever the release counts as warm.
fn check(root: &Path, case: &Case, stays_warm: bool) {
    let tool = root.join("tool");
    let flash = machine(root, Disk::real());
    let look = || wait(flash.check(&CancellationToken::new())).unwrap();
    let before = look();
    assert!(before.is_ready(), "{:?}", before.obstacles);
    let is_warm = matches!(before.warmth, Warmth::Warm { .. });
    assert!(is_warm || !case.must_be_new(), "{:?}", before.warmth);
    let key = before.key.unwrap();
    let kept = tool.join("cache/flash-gpu");
    if is_warm {
        assert_whole(&kept.join(key.as_str()));
    }

    let again = operate(root, Disk::real(), LinkPolicy::Share).unwrap();
    assert_eq!(again == Outcome::AlreadyWarm, is_warm);
    assert!(matches!(look().warmth, Warmth::Warm { .. }));
    assert!(is_warm || !stays_warm, "what was warm is cold");
    assert_whole(&kept.join(key.as_str()));
    let found = Tree::read(&kept);
    let expected = [
        format!("{key}/files/release/cache/a.bin"),
        format!("{key}/files/root/cache/b.bin"),
        format!("{key}/record.json"),
    ];
    let found: BTreeSet<&str> = found.paths().into_iter().collect();
    let found: Vec<&str> = found
        .into_iter()
        .filter(|path| !["lock", "last.log"].contains(path))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(fs::read_dir(kept.join(".trash")).unwrap().count(), 0);
    let left = fs::read_to_string(tool.join("releases/v1.1.0/cache/a.bin"));
    assert_eq!(left.unwrap(), kernel("1.1.0"));
    assert_eq!(fs::read_to_string(tool.join("cache/b.bin")).unwrap(), MODEL);
    for folder in ["releases/v1.1.0/cache", "cache"] {
        let stray = Tree::read(&tool.join(folder));
        let stray = stray
            .paths()
            .into_iter()
            .find(|path| path.contains(".lockstep-"));
        assert_eq!(stray, None);
    }
    assert_eq!(
        fs::read_to_string(root.join("outside")).unwrap(),
        "not ours"
    );
}

/// What is kept is what the script left.
fn assert_whole(key: &Path) {
    let read = |path: &str| fs::read_to_string(key.join("files").join(path)).unwrap();
    assert_eq!(read("release/cache/a.bin"), kernel("1.1.0"));
    assert_eq!(read("root/cache/b.bin"), MODEL);
}

/// A warm-up, and what it starts from.
struct Scene<'s> {
    name: &'s str,
    setup: &'s (dyn Fn(&Path) + Sync),
    policy: LinkPolicy,
    rerun: Rerun,
    /// Whether the release is warm, and stays so.
    is_warm: bool,
    /// Two faults. What a script does to its own files is not followed, so it must leave them alone then.
    pairs: bool,
}

impl Scene<'_> {
    fn explore(&self) {
        let setup = |root: &Path| {
            write(&root.join("outside"), "not ours");
            fs::create_dir(root.join("tool")).unwrap();
            (self.setup)(root);
        };
        let (states, pairs) = match (is_deep(), self.pairs) {
            (true, true) => (200, 20),
            (true, false) => (200, 0),
            (false, _) => (8, 0),
        };
        let exploration = Exploration::new(
            setup,
            |root, disk| {
                let flash = machine(root, disk).with_link_policy(self.policy);
                done(&flash.with_rerun(self.rerun))
            },
            |root, case| check(root, case, self.is_warm),
        )
        .with_states_per_cut(states)
        .with_pairs(pairs);
        println!("{}: {}", self.name, exploration.run());
    }
}

#[test]
fn the_first_warm_up() {
    Scene {
        name: "first",
        setup: &|root| release("1.1.0").install(&root.join("tool")),
        policy: LinkPolicy::Share,
        rerun: Rerun::IfCold,
        is_warm: false,
        pairs: false,
    }
    .explore();
}

/// They are of an earlier warm-up, of whose artifacts one is broken: what is kept takes the place of what was.
#[test]
fn a_warm_up_with_artifacts_that_were_there() {
    Scene {
        name: "with artifacts",
        setup: &|root| {
            let tool = root.join("tool");
            release("1.1.0").install(&tool);
            operate(root, Disk::real(), LinkPolicy::Copy).unwrap();
            write(&tool.join("there"), "");
            break_one(&tool.join("cache/flash-gpu"));
        },
        policy: LinkPolicy::Share,
        rerun: Rerun::IfCold,
        is_warm: false,
        pairs: true,
    }
    .explore();
}

#[test]
fn a_warm_up_that_was_asked_for_again() {
    Scene {
        name: "again",
        setup: &|root| {
            let tool = root.join("tool");
            release("1.1.0").install(&tool);
            operate(root, Disk::real(), LinkPolicy::Share).unwrap();
            write(&tool.join("there"), "");
        },
        policy: LinkPolicy::Share,
        rerun: Rerun::Always,
        is_warm: true,
        pairs: true,
    }
    .explore();
}

#[test]
fn a_warm_up_after_an_update() {
    Scene {
        name: "after an update",
        setup: &|root| {
            let tool = root.join("tool");
            release("1.0.0").install(&tool);
            operate(root, Disk::real(), LinkPolicy::Share).unwrap();
            release("1.1.0").install(&tool);
        },
        policy: LinkPolicy::Copy,
        rerun: Rerun::IfCold,
        is_warm: false,
        pairs: false,
    }
    .explore();
}

fn break_one(store: &Path) {
    let tree = Tree::read(store);
    let paths = tree.paths();
    let kept = paths.iter().find(|path| path.ends_with("/b.bin"));
    write(&store.join(kept.unwrap()), "broken");
}

fn without_originals(root: &Path) {
    let tool = root.join("tool");
    release("1.1.0").install(&tool);
    operate(root, Disk::real(), LinkPolicy::Share).unwrap();
    fs::remove_dir_all(tool.join("releases/v1.1.0/cache")).unwrap();
    fs::remove_file(tool.join("cache/b.bin")).unwrap();
}

#[test]
fn putting_back() {
    for policy in [LinkPolicy::Share, LinkPolicy::Copy] {
        Scene {
            name: "putting back",
            setup: &without_originals,
            policy,
            rerun: Rerun::IfCold,
            is_warm: true,
            pairs: true,
        }
        .explore();
    }
}
