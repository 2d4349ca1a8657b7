//! Disks that are full or broken, files that are damaged, and every step of every operation failing.

use std::fs;
use std::io;
use std::path::Path;

use durable_fs::Operation;
use manifest_core::{ManifestBuilder, Sha256Digest};
use updater::{CancellationToken, Error, ErrorKind, ReleaseVersion, TrustPolicy, Updater};

use crate::support::{
    FaultyDisk, Heard, Release, When, World, apply, builder, copy_tree, noise, url, write,
};

fn first() -> Release {
    Release::new("1.0.0")
        .file("main.py", "one")
        .program("bin/run.sh", "#!/bin/sh")
        .file("model.bin", noise(1, 5000))
}

fn second() -> Release {
    first()
        .next("1.1.0")
        .without("bin/run.sh")
        .file("main.py", "two")
        .file("copy.bin", noise(1, 5000))
        .program("lib/new.py", "new")
        .file("lib/same.py", "new")
}

#[tokio::test]
async fn d46_what_cannot_fit_is_refused_before_the_first_request() {
    let world = World::with(&first()).await;
    let huge = Sha256Digest::of(b"larger than any disk");
    let manifest = ManifestBuilder::new("sketcher".parse().unwrap(), "2.0.0".parse().unwrap())
        .with_base_url(url(crate::support::BASE))
        .with_file("model.bin".parse().unwrap(), huge, 1 << 52, false)
        .build()
        .unwrap();
    let trusted = TrustPolicy::Unsigned.trust(manifest).unwrap();
    let updater = world.updater();
    let error = updater
        .apply(&trusted, &CancellationToken::new())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error:?}");
    assert!(
        error.to_string().contains(&(1_u64 << 52).to_string()),
        "{error}"
    );
    assert_eq!(world.requests(), 0);
    world.assert_active(&first(), &[]);
    // It is in nobody's way afterwards.
    world.install(&second()).await;
    world.assert_active(&second(), &[]);
    world.assert_tidy();
}

#[tokio::test]
async fn d46_a_disk_that_fills_up_during_a_download() {
    let world = World::with(&first()).await;
    world.serve(&second());
    let full = FaultyDisk::new(When::From(1), io::ErrorKind::StorageFull, |effect| {
        effect.operation == Operation::Write && effect.path.extension().is_some_and(|e| e == "part")
    });
    let updater = world.builder().with_disk(full.disk()).build().unwrap();
    let error = apply(&updater, &second()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error:?}");
    world.assert_active(&first(), &[]);

    apply(&world.updater(), &second()).await.unwrap();
    world.assert_active(&second(), &[]);
    world.assert_tidy();
}

#[tokio::test]
async fn e58_a_damaged_current_txt_is_recovered_by_the_next_update() {
    for garbage in [
        None,
        Some(""),
        Some("v9.9.9"),
        Some("../../etc"),
        Some("\0\u{fffd}"),
    ] {
        let world = World::with(&first()).await;
        write(&world.installed(&first(), "notes.txt"), "mine");
        match garbage {
            None => fs::remove_file(world.path("current.txt")).unwrap(),
            Some(text) => write(&world.path("current.txt"), text),
        }
        world.serve(&second());
        let heard = Heard::default();
        let updater = world
            .builder()
            .with_observer(heard.listener())
            .build()
            .unwrap();
        let report = apply(&updater, &second()).await.unwrap();
        let from = report.from_version.as_ref().map(ReleaseVersion::as_str);
        assert_eq!(from, Some("1.0.0"), "{garbage:?}");
        assert_eq!((report.reused, report.carried), (2, 1), "{garbage:?}");
        assert_eq!(heard.warnings().len(), 1, "{:?}", heard.warnings());
        world.assert_active(&second(), &[("notes.txt", "mine")]);
    }
}

#[tokio::test]
async fn e58_without_any_intact_release_an_update_installs_and_loses_nothing() {
    let world = World::with(&first()).await;
    write(&world.installed(&first(), "notes.txt"), "mine");
    fs::remove_file(world.installed(&first(), "model.bin")).unwrap();
    write(&world.path("current.txt"), "garbage");
    let status = world.updater().status().await.unwrap_err();
    assert_eq!(status.kind(), ErrorKind::NoInstallation, "{status:?}");
    world.install(&second()).await;
    assert_eq!(world.current(), "v1.1.0");
    let found = crate::support::tree(&world.root());
    let notes = found
        .iter()
        .filter(|(path, content)| path.ends_with("notes.txt") && content.as_slice() == b"mine");
    assert!(notes.count() >= 1, "{:?}", found.keys());
}

/// An installation, copied afresh for each try.
struct Tried<'w> {
    template: &'w World,
    /// Which releases may be active afterwards, and what the user has in them.
    allowed: &'w [&'w Release],
    users: &'w [(&'w str, &'w str)],
}

impl Tried<'_> {
    /// Makes the operation fail at each of its steps, checks the outcome, and runs it again.
    async fn at_every_step(
        &self,
        when: fn(usize) -> When,
        kind: io::ErrorKind,
        operation: impl AsyncFn(&Updater) -> Result<(), Error>,
        done: &Release,
    ) {
        let sound = self.one(When::Never, kind, &operation, done).await;
        assert!(sound > 5, "only {sound} steps");
        for step in 0..sound {
            self.one(when(step), kind, &operation, done).await;
        }
    }

    /// Returns how many effects there were.
    async fn one(
        &self,
        when: When,
        kind: io::ErrorKind,
        operation: impl AsyncFn(&Updater) -> Result<(), Error>,
        done: &Release,
    ) -> usize {
        let mut world = World::new();
        world.memory = self.template.memory.clone();
        copy_tree(&self.template.root(), &world.root());
        let disk = FaultyDisk::new(when, kind, |_| true);
        let updater = world.builder().with_disk(disk.disk()).build().unwrap();
        let result = operation(&updater).await;
        let context = format!("{when:?} {:?}: {result:?}", disk.failed());
        if disk.failed().is_none() {
            assert!(result.is_ok(), "{context}");
        }
        if let Err(error) = &result {
            let wanted = if kind == io::ErrorKind::StorageFull {
                ErrorKind::NoSpace
            } else {
                ErrorKind::Io
            };
            assert_eq!(error.kind(), wanted, "{context}");
        }

        // Before anything mends it: the old or the new one, whole, with the user's files.
        self.check(&world, &world.root(), &context).await;
        let again = operation(&world.updater()).await;
        assert!(again.is_ok(), "{context}, then {again:?}");
        self.check(&world, &world.root(), &context).await;
        assert_eq!(world.current(), done.folder_name(), "{context}");
        world.assert_active(done, self.users);
        world.assert_tidy();
        disk.steps()
    }

    async fn check(&self, world: &World, root: &Path, context: &str) {
        let current = world.current();
        let active = self
            .allowed
            .iter()
            .find(|release| release.folder_name() == current)
            .unwrap_or_else(|| panic!("{context}: {current:?} is active"));
        let updater = builder(root, std::sync::Arc::new(world.memory.clone()))
            .build()
            .unwrap();
        let report = updater.verify(&CancellationToken::new()).await.unwrap();
        assert!(report.is_intact(), "{context}: {:?}", report.findings);
        assert_eq!(report.manifest_hash, active.manifest().manifest_hash());
        for (path, content) in self.users {
            let found = fs::read_to_string(world.installed(active, path));
            assert_eq!(found.ok().as_deref(), Some(*content), "{context}: {path}");
        }
    }
}

const USERS: &[(&str, &str)] = &[("notes.txt", "mine"), ("lib/own.py", "own")];

async fn before_an_update() -> World {
    let world = World::with(&first()).await;
    for (path, content) in USERS {
        write(&world.installed(&first(), path), content);
    }
    world.serve(&second());
    world
}

async fn update_fails(when: fn(usize) -> When, kind: io::ErrorKind) {
    let template = before_an_update().await;
    let tried = Tried {
        template: &template,
        allowed: &[&first(), &second()],
        users: USERS,
    };
    let update = async |updater: &Updater| apply(updater, &second()).await.map(drop);
    tried.at_every_step(when, kind, update, &second()).await;
}

#[tokio::test]
async fn d47_an_update_on_a_disk_that_breaks_at_any_step() {
    update_fails(When::From, io::ErrorKind::Other).await;
}

#[tokio::test]
async fn d47_an_update_in_which_any_single_step_fails() {
    update_fails(When::Once, io::ErrorKind::Other).await;
}

#[tokio::test]
async fn d46_an_update_on_a_disk_that_is_full_from_any_step_on() {
    update_fails(When::From, io::ErrorKind::StorageFull).await;
}

#[tokio::test]
async fn d47_the_same_version_with_other_content_on_a_disk_that_breaks_at_any_step() {
    let template = before_an_update().await;
    let other = first().file("main.py", "other").without("bin/run.sh");
    template.serve(&other);
    let tried = Tried {
        template: &template,
        allowed: &[],
        users: USERS,
    };
    let update = async |updater: &Updater| {
        let trusted = other.trusted();
        updater
            .apply(&trusted, &CancellationToken::new())
            .await
            .map(drop)
    };
    // Both have one name, so the hash tells them apart.
    let sound = 200;
    for step in 0..sound {
        let mut world = World::new();
        world.memory = tried.template.memory.clone();
        copy_tree(&tried.template.root(), &world.root());
        let disk = FaultyDisk::new(When::From(step), io::ErrorKind::Other, |_| true);
        let allowing = |builder: updater::UpdaterBuilder| {
            builder
                .with_downgrade(updater::Downgrade::Allow)
                .build()
                .unwrap()
        };
        let result = update(&allowing(world.builder().with_disk(disk.disk()))).await;
        let report = world
            .updater()
            .verify(&CancellationToken::new())
            .await
            .unwrap();
        assert!(report.is_intact(), "{step}: {:?}", report.findings);
        let known = [first(), other.clone()].map(|release| release.manifest().manifest_hash());
        assert!(known.contains(&report.manifest_hash), "{step}");
        let again = update(&allowing(world.builder())).await;
        assert!(
            again.is_ok(),
            "{step} {:?}: {result:?}, then {again:?}",
            disk.failed()
        );
        world.assert_active(&other, USERS);
        world.assert_tidy();
        if disk.failed().is_none() {
            return;
        }
    }
    panic!("more than {sound} steps");
}

#[tokio::test]
async fn e62_a_rollback_on_a_disk_that_breaks_at_any_step() {
    let template = before_an_update().await;
    template.install(&second()).await;
    let tried = Tried {
        template: &template,
        allowed: &[&first(), &second()],
        users: USERS,
    };
    let back = async |updater: &Updater| {
        let to = "1.0.0".parse().unwrap();
        let cancel = CancellationToken::new();
        updater.rollback(Some(to), &cancel).await.map(drop)
    };
    tried
        .at_every_step(When::From, io::ErrorKind::Other, back, &first())
        .await;
}

#[tokio::test]
async fn e62_a_cleanup_on_a_disk_that_breaks_at_any_step() {
    let template = before_an_update().await;
    let keeping = template.builder().with_keep_previous(9).build().unwrap();
    let third = second().next("1.2.0");
    apply(&keeping, &second()).await.unwrap();
    apply(&keeping, &third).await.unwrap();
    let tried = Tried {
        template: &template,
        allowed: &[&third],
        users: USERS,
    };
    let prune = async |updater: &Updater| updater.prune().await.map(drop);
    tried
        .at_every_step(When::From, io::ErrorKind::Other, prune, &third)
        .await;
}

#[tokio::test]
async fn a_repair_on_a_disk_that_breaks_at_any_step_is_finished_by_the_next() {
    let template = before_an_update().await;
    template.serve(&first());
    fs::remove_file(template.installed(&first(), "main.py")).unwrap();
    fs::create_dir(template.installed(&first(), "main.py")).unwrap();
    fs::write(template.installed(&first(), "model.bin"), "short").unwrap();
    for step in 0..200 {
        let mut world = World::new();
        world.memory = template.memory.clone();
        copy_tree(&template.root(), &world.root());
        let disk = FaultyDisk::new(When::From(step), io::ErrorKind::Other, |_| true);
        let cancel = CancellationToken::new();
        let broken = world.builder().with_disk(disk.disk()).build().unwrap();
        let result = broken.repair(&cancel).await;
        let again = world.updater().repair(&cancel).await;
        assert!(
            again.is_ok(),
            "{step} {:?}: {result:?}, then {again:?}",
            disk.failed()
        );
        world.assert_active(&first(), USERS);
        world.assert_tidy();
        if disk.failed().is_none() {
            result.unwrap();
            return;
        }
    }
    panic!("it never ends");
}
