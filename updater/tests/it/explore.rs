//! Every effect of every operation fails, is the last one, is short, and is followed by a power cut: what is left is
//! the old release or the new one, whole, and running again finishes the job.
//!
//! `LOCKSTEP_EXPLORE=deep` tries more states of each power cut and more pairs of faults.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use downloader::MemoryDownloader;
use manifest_core::DeletePolicy;
use testkit::{Case, Exploration, Image, scratch};
use updater::{
    CancellationToken, Disk, Downgrade, Error, ErrorKind, ProbeFn, Unhealthy, Updater,
    UpdaterBuilder,
};

use crate::support::{MIRROR, Release, apply, builder, noise, url, write};

static FIRST: LazyLock<Release> = LazyLock::new(|| {
    Release::new("1.0.0")
        .with_globs([".env"]) // globs are slow to compile without optimisation
        .file("main.py", "one")
        .program("bin/run.sh", "#!/bin/sh")
        .file("lib/same.py", "same")
        .file("models/old name.bin", noise(1, 3000))
        .file("gone/old.py", "old")
});

/// Changed, moved, removed, another mode, and a new content at two paths.
static SECOND: LazyLock<Release> = LazyLock::new(|| {
    FIRST
        .next("1.1.0")
        .file("main.py", "two")
        .file("bin/run.sh", "#!/bin/sh")
        .without("models/old name.bin")
        .file("models/new name.bin", noise(1, 3000))
        .without("gone/old.py")
        .file("new/a.py", "equal")
        .file("new/b.py", "equal")
});

/// The first version again, with other content.
static OTHER: LazyLock<Release> = LazyLock::new(|| {
    FIRST
        .next("1.0.0")
        .with_base(url(MIRROR))
        .file("main.py", "other")
        .without("gone/old.py")
        .file("new/a.py", "equal")
        .file("new/b.py", "equal")
});

static THIRD: LazyLock<Release> = LazyLock::new(|| SECOND.next("1.2.0").file("main.py", "three"));

/// The second one, with a policy that leaves what it does not list any more.
static MANUAL: LazyLock<Release> =
    LazyLock::new(|| SECOND.clone().with_policy(DeletePolicy::Manual));

/// What the user has in each active release.
const USERS: &[(&str, &str)] = &[
    ("notes.txt", "my notes"),
    ("lib/own.py", "my code"),
    ("own/deep/file", "my deep file"),
    (".env", "my settings"),
];

/// The user's file in a place that later releases need.
const IN_THE_WAY: (&str, &str) = ("new/b.py", "mine, where a release has its own");

fn memory() -> MemoryDownloader {
    let memory = MemoryDownloader::new();
    for release in [&*FIRST, &*SECOND, &*OTHER, &*THIRD] {
        release.serve_at(&memory, release.base());
    }
    memory
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(4).build();
    runtime.unwrap().block_on(future)
}

fn is_deep() -> bool {
    std::env::var_os("LOCKSTEP_EXPLORE").is_some_and(|mode| mode == "deep")
}

fn install(builder: UpdaterBuilder, release: &Release) -> Result<(), Error> {
    let updater = builder.with_downgrade(Downgrade::Allow).build()?;
    wait(apply(&updater, release)).map(drop)
}

fn roll_back(builder: UpdaterBuilder, to: &Release) -> Result<(), Error> {
    let version = to.folder_name()[1..].parse().unwrap();
    let updater = builder.build()?;
    wait(updater.rollback(Some(version), &CancellationToken::new())).map(drop)
}

/// An operation, and what it starts from.
struct Scene<'s> {
    name: &'s str,
    /// Makes the installation in `tool`, before the operation.
    before: &'s (dyn Fn(&Tool) + Sync),
    operation: &'s (dyn Fn(UpdaterBuilder) -> Result<(), Error> + Sync),
    /// Which releases may be active after a fault. None: also that nothing is.
    allowed: &'s [Option<&'s Release>],
    /// The one that is active when the operation has succeeded.
    new: &'s Release,
    /// Files of the active release that were damaged before the operation.
    damaged: &'s [&'s str],
    users: &'s [(&'s str, &'s str)],
    /// Contents of the user's that must be somewhere, and may be in `.lockstep/kept`.
    kept: &'s [&'s str],
    pairs: bool,
}

/// A worker's folder in a test's folder.
struct Tool {
    root: std::path::PathBuf,
    memory: MemoryDownloader,
}

impl Tool {
    fn builder(&self) -> UpdaterBuilder {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        builder(&self.root, Arc::new(self.memory.clone())).with_clock(move || time)
    }

    fn install(&self, release: &Release) {
        install(self.builder().with_keep_previous(9), release).unwrap();
    }

    fn write(&self, release: &Release, files: &[(&str, &str)]) {
        for (path, content) in files {
            write(&self.at(release, path), content);
        }
    }

    fn at(&self, release: &Release, path: &str) -> std::path::PathBuf {
        let folder = self.root.join("releases").join(release.folder_name());
        folder.join(path)
    }

    /// The first release, with what the user put into it.
    fn with_first(&self) {
        self.install(&FIRST);
        self.write(&FIRST, USERS);
        self.write(&FIRST, &[IN_THE_WAY]);
        symlink("/nowhere", self.at(&FIRST, "link")).unwrap();
        fs::create_dir_all(self.at(&FIRST, "empty/folder")).unwrap();
    }
}

impl Scene<'_> {
    fn explore(&self) {
        let memory = memory();
        let tool = |root: &Path| Tool {
            root: root.join("tool"),
            memory: memory.clone(),
        };
        let setup = |root: &Path| {
            write(&root.join("outside/file"), "not ours");
            write(&root.join("tool/user_data/model"), "user data");
            write(&root.join("tool/venv/bin/python"), "venv");
            (self.before)(&tool(root));
        };
        let operation = |root: &Path, disk: Disk| {
            let done = (self.operation)(tool(root).builder().with_disk(disk));
            if let Err(error) = &done {
                let expected = [ErrorKind::Io, ErrorKind::NoSpace, ErrorKind::Unhealthy];
                assert!(expected.contains(&error.kind()), "{error:?}");
            }
            done
        };

        // The undisturbed run, for comparison; on a copy, as all others.
        let (first, copy) = (scratch(), scratch());
        setup(first.path());
        let outside = outside(first.path());
        Image::read(first.path()).write_to(copy.path());
        (self.operation)(tool(copy.path()).builder()).unwrap();
        let undisturbed = settled(copy.path());

        let check = |root: &Path, case: &Case| {
            let tool = tool(root);
            self.check_active(&tool, case.must_be_new(), &outside);
            let again = (self.operation)(tool.builder());
            assert!(again.is_ok(), "running again: {again:?}");
            self.check_active(&tool, true, &outside);
            let settled = settled(root);
            for path in undisturbed.keys().chain(settled.keys()) {
                let (wanted, found) = (undisturbed.get(path), settled.get(path));
                assert!(
                    wanted == found,
                    "after running again {path} is {found:?} instead of {wanted:?}"
                );
            }
        };
        let (states, pairs) = match (is_deep(), self.pairs) {
            (true, _) => (400, 60),
            (false, true) => (12, 1),
            (false, false) => (12, 0),
        };
        let exploration = Exploration::new(setup, operation, check)
            .with_states_per_cut(states)
            .with_pairs(pairs);
        println!("{}: {}", self.name, exploration.run());
    }

    fn check_active(&self, tool: &Tool, must_be_new: bool, before: &Snapshot) {
        let root = tool.root.parent().unwrap();
        assert_eq!(&outside(root), before, "outside of the releases");
        let updater = tool.builder().build().unwrap();
        let status = wait(updater.status()).unwrap();
        let active = status.active.as_ref().map(|active| active.manifest_hash);
        let found = self
            .allowed
            .iter()
            .find(|release| release.map(|release| release.manifest().manifest_hash()) == active)
            .unwrap_or_else(|| panic!("{:?} is active", status.active));
        assert!(
            !must_be_new || active == Some(self.new.manifest().manifest_hash()),
            "{:?} is active",
            status.active
        );
        if let Some(release) = found {
            self.check_whole(tool, release, &updater, must_be_new);
        }
        let everywhere = snapshot(root, |_| true);
        for content in self.kept {
            assert!(
                everywhere.values().any(|item| item.is(content)),
                "{content:?} is lost"
            );
        }
        for (path, item) in &everywhere {
            let may_be_kept = || {
                let users = self.users.iter().map(|(_, content)| content);
                users.chain(self.kept).any(|content| item.is(content))
            };
            let is_kept = path.starts_with("tool/.lockstep/kept/") && item.bytes.is_some();
            assert!(!is_kept || may_be_kept(), "{path}: {item:?}");
        }
    }

    fn check_whole(&self, tool: &Tool, release: &Release, updater: &Updater, must_be_new: bool) {
        let report = wait(updater.verify(&CancellationToken::new())).unwrap();
        for finding in &report.findings {
            let was = self.damaged.contains(&finding.path.as_str());
            assert!(was && !must_be_new, "{finding:?}");
        }
        for (path, content) in self.users {
            let found = fs::read(tool.at(release, path)).ok();
            assert_eq!(found.as_deref(), Some(content.as_bytes()), "{path}");
        }
        let link = fs::read_link(tool.at(release, "link")).ok();
        assert!(
            link == Some("/nowhere".into()) || self.users.is_empty(),
            "{link:?}"
        );
    }
}

/// What is at a path.
#[derive(PartialEq, Eq)]
struct Item {
    mode: u32,
    bytes: Option<Vec<u8>>,
    target: Option<std::path::PathBuf>,
}

impl Item {
    fn is(&self, content: &str) -> bool {
        self.bytes.as_deref() == Some(content.as_bytes())
    }
}

impl std::fmt::Debug for Item {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.bytes.as_ref();
        let shown = bytes.map(|bytes| bytes[..bytes.len().min(40)].escape_ascii().to_string());
        write!(
            formatter,
            "(mode {:o}, {shown:?}, {:?})",
            self.mode, self.target
        )
    }
}

type Snapshot = BTreeMap<String, Item>;

/// Everything below a folder but where `descend` says no.
fn snapshot(root: &Path, descend: impl Fn(&str) -> bool) -> Snapshot {
    fn walk(
        folder: &Path,
        prefix: &str,
        descend: &dyn Fn(&str) -> bool,
        found: &mut BTreeMap<String, Item>,
    ) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if !descend(&path) {
                continue;
            }
            let metadata = entry.metadata().unwrap();
            let is_link = metadata.is_symlink();
            let item = Item {
                mode: if is_link {
                    0
                } else {
                    metadata.permissions().mode()
                },
                bytes: metadata.is_file().then(|| fs::read(entry.path()).unwrap()),
                target: is_link.then(|| fs::read_link(entry.path()).unwrap()),
            };
            found.insert(path.clone(), item);
            if metadata.is_dir() {
                walk(&entry.path(), &format!("{path}/"), descend, found);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(root, "", &descend, &mut found);
    found
}

/// What no operation may touch.
fn outside(root: &Path) -> Snapshot {
    const OURS: [&str; 3] = ["tool/releases", "tool/.lockstep", "tool/current.txt"];
    snapshot(root, |path| {
        !OURS.contains(&path) && !path.starts_with("tool/.lockstep-")
    })
}

/// What tells one run from another.
const OWN_NOTES: [&str; 5] = [
    "tool/releases/.staging",
    "tool/releases/.trash",
    "tool/.lockstep/carried", // has inode numbers
    "tool/.lockstep/history.jsonl",
    "tool/.lockstep/lock",
];

/// What a run that succeeded leaves, but for what tells one run from another.
fn settled(root: &Path) -> Snapshot {
    for folder in ["tool/releases/.staging", "tool/releases/.trash"] {
        let left = snapshot(&root.join(folder), |_| true);
        assert!(left.keys().all(|name| name == "partials"), "{left:?}");
    }
    let temporary = snapshot(root, |_| true)
        .into_keys()
        .find(|path| path.contains(durable_fs::TEMPORARY_PREFIX));
    assert_eq!(temporary, None);
    snapshot(root, |path| !OWN_NOTES.contains(&path))
}

#[test]
fn d52_a_first_installation_is_there_or_not() {
    Scene {
        name: "first installation",
        before: &|_| {},
        operation: &|builder| install(builder, &FIRST),
        allowed: &[None, Some(&FIRST)],
        new: &FIRST,
        damaged: &[],
        users: &[],
        kept: &[],
        pairs: false,
    }
    .explore();
}

#[test]
fn d52_an_update_leaves_the_old_release_or_the_new_one() {
    Scene {
        name: "update",
        before: &Tool::with_first,
        operation: &|builder| install(builder, &SECOND),
        allowed: &[Some(&FIRST), Some(&SECOND)],
        new: &SECOND,
        damaged: &[],
        users: USERS,
        kept: &[IN_THE_WAY.1],
        pairs: true,
    }
    .explore();
}

#[test]
fn d52_the_same_version_with_other_content_is_exchanged_whole() {
    Scene {
        name: "the same version with other content",
        before: &Tool::with_first,
        operation: &|builder| install(builder, &OTHER),
        allowed: &[Some(&FIRST), Some(&OTHER)],
        new: &OTHER,
        damaged: &[],
        users: USERS,
        kept: &[IN_THE_WAY.1],
        pairs: false,
    }
    .explore();
}

#[test]
fn d52_an_update_with_policy_manual_keeps_what_waits() {
    Scene {
        name: "update with delete policy manual",
        before: &Tool::with_first,
        operation: &|builder| install(builder, &MANUAL),
        allowed: &[Some(&FIRST), Some(&MANUAL)],
        new: &MANUAL,
        damaged: &[],
        users: USERS,
        kept: &[IN_THE_WAY.1, "old"],
        pairs: false,
    }
    .explore();
}

#[test]
fn e63_an_update_that_keeps_no_other_release_loses_nothing_of_the_users() {
    Scene {
        name: "update that keeps no other release, and prune",
        before: &Tool::with_first,
        operation: &|builder| {
            let builder = builder.with_keep_previous(0);
            install(builder.clone(), &SECOND)?;
            // It has nothing to do, unless the update was stopped after the switch.
            wait(builder.build()?.prune()).map(drop)
        },
        allowed: &[Some(&FIRST), Some(&SECOND)],
        new: &SECOND,
        damaged: &[],
        users: USERS,
        kept: &[IN_THE_WAY.1],
        pairs: false,
    }
    .explore();
}

#[test]
fn d52_a_repair_damages_nothing() {
    Scene {
        name: "repair",
        before: &|tool| {
            tool.with_first();
            fs::remove_file(tool.at(&FIRST, "main.py")).unwrap();
            write(&tool.at(&FIRST, "main.py/inside"), "mine in a wrong place");
            fs::remove_file(tool.at(&FIRST, "gone/old.py")).unwrap();
            write(&tool.at(&FIRST, "models/old name.bin"), "other bytes");
            let mode = fs::Permissions::from_mode(0o644);
            fs::set_permissions(tool.at(&FIRST, "bin/run.sh"), mode).unwrap();
        },
        operation: &|builder| {
            let updater = builder.build()?;
            wait(updater.repair(&CancellationToken::new())).map(drop)
        },
        allowed: &[Some(&FIRST)],
        new: &FIRST,
        damaged: &[
            "main.py",
            "gone/old.py",
            "models/old name.bin",
            "bin/run.sh",
        ],
        users: USERS,
        kept: &[IN_THE_WAY.1, "mine in a wrong place"],
        pairs: false,
    }
    .explore();
}

/// What the user has after working with the second release.
const LATER: &[(&str, &str)] = &[
    ("notes.txt", "my later notes"),
    ("lib/own.py", "my code"),
    ("own/deep/file", "my deep file"),
    (".env", "my settings"),
    (
        "gone/old.py/now a folder",
        "where the first release has a file",
    ),
    ("later", "my new file"),
];

#[test]
fn e62_a_rollback_leaves_the_one_release_or_the_other() {
    Scene {
        name: "rollback",
        before: &|tool| {
            tool.with_first();
            tool.install(&SECOND);
            tool.write(&SECOND, &LATER[..4]);
            tool.write(&SECOND, &LATER[5..]);
        },
        operation: &|builder| roll_back(builder, &FIRST),
        allowed: &[Some(&FIRST), Some(&SECOND)],
        new: &FIRST,
        damaged: &[],
        users: &[LATER[0], LATER[1], LATER[2], LATER[3], LATER[5]],
        kept: &[IN_THE_WAY.1, "my notes"],
        pairs: true,
    }
    .explore();
}

#[test]
fn e59_an_installed_release_becomes_active_again_or_not() {
    Scene {
        name: "reactivation",
        before: &|tool| {
            tool.with_first();
            tool.install(&SECOND);
            roll_back(tool.builder(), &FIRST).unwrap();
            tool.write(&FIRST, &[LATER[0], LATER[5]]);
        },
        operation: &|builder| install(builder, &SECOND),
        allowed: &[Some(&FIRST), Some(&SECOND)],
        new: &SECOND,
        damaged: &[],
        users: &[LATER[0], LATER[1], LATER[2], LATER[3], LATER[5]],
        kept: &[IN_THE_WAY.1, "my notes"],
        pairs: false,
    }
    .explore();
}

#[test]
fn e62_a_cleanup_loses_nothing_of_the_users() {
    Scene {
        name: "prune, old releases",
        before: &|tool| {
            tool.with_first();
            tool.install(&SECOND);
            tool.install(&THIRD);
        },
        operation: &|builder| wait(builder.build()?.prune()).map(drop),
        allowed: &[Some(&THIRD)],
        new: &THIRD,
        damaged: &[],
        users: USERS,
        kept: &[IN_THE_WAY.1],
        pairs: false,
    }
    .explore();
}

#[test]
fn e62_confirmed_deletions_are_done_or_wait() {
    Scene {
        name: "prune, confirmed deletions",
        before: &|tool| {
            tool.with_first();
            tool.install(&MANUAL);
        },
        operation: &|builder| wait(builder.build()?.prune()).map(drop),
        allowed: &[Some(&MANUAL)],
        new: &MANUAL,
        damaged: &[],
        users: USERS,
        kept: &[IN_THE_WAY.1],
        pairs: false,
    }
    .explore();
}

#[test]
fn e65_a_release_that_does_not_work_is_left_again() {
    let sick = |_: &updater::Candidate| Err(Unhealthy::new("it does not start"));
    Scene {
        name: "update to a release that does not work",
        before: &Tool::with_first,
        operation: &|builder| {
            let builder = builder.with_health_probe(ProbeFn(sick), Duration::from_mins(1));
            match install(builder, &SECOND) {
                // It went back, or did so before.
                Err(error)
                    if error.kind() == ErrorKind::Unhealthy
                        && !error
                            .source()
                            .is_some_and(<dyn std::error::Error>::is::<Error>) =>
                {
                    Ok(())
                }
                Ok(()) => panic!("it works"),
                Err(error) => Err(error),
            }
        },
        allowed: &[Some(&FIRST), Some(&SECOND)],
        new: &FIRST,
        damaged: &[],
        users: USERS,
        kept: &[IN_THE_WAY.1],
        pairs: false,
    }
    .explore();
}
