//! What a warm-up changes, and what it never does.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use durable_fs::{Disk, Effect, Observer, Operation, Recorder, Verdict};
use flash_gpu::{ErrorKind, FlashGpu, Outcome, Rerun};
use testkit::Tree;
use updater::{Eligibility, Required, Updater};

use crate::world::{Release, World, refuses, warm_up};

fn release() -> Release {
    let script = "[ -e \"$LOCKSTEP_ROOT/user_data/fail\" ] && exit 1
        [ -e \"$LOCKSTEP_ROOT/user_data/hang\" ] && exec sleep 1000
        mkdir -p \"$LOCKSTEP_CACHE_DIR/deep\"; echo model > \"$LOCKSTEP_CACHE_DIR/deep/a.bin\"";
    Release::new(script, &["cache/**/*.bin"])
}

#[tokio::test]
async fn every_effect_is_below_the_cache() {
    let world = World::with(&release());
    world.write("venv/lib/x", "packages");
    let recorder = Arc::new(Recorder::new());
    let flash = || world.flash().with_disk(Disk::observed(recorder.clone()));
    // An environment without a Python would be refused.
    std::fs::create_dir_all(world.path("venv/bin")).unwrap();
    std::os::unix::fs::symlink(crate::world::python(), world.path("venv/bin/python")).unwrap();
    warm_up(&flash()).await.unwrap();
    std::fs::remove_dir_all(world.path("cache/deep")).unwrap();
    assert_eq!(warm_up(&flash()).await.unwrap().put_back, 1);
    warm_up(&flash().with_rerun(Rerun::Always)).await.unwrap();
    world.write("user_data/fail", "");
    refuses(flash().with_rerun(Rerun::Always), ErrorKind::ScriptFailed).await;

    let effects = recorder.effects();
    assert!(effects.len() > 40, "{}", effects.len());
    let cache = world.path("cache");
    for (operation, path, to) in effects {
        // Making `cache/` and its name durable is all that happens outside.
        let is_of_root = operation == Operation::SyncDir && path == world.root();
        assert!(
            path.starts_with(&cache) || is_of_root,
            "{operation} {}",
            path.display()
        );
        if let Some(to) = to {
            assert!(to.starts_with(&cache), "{operation} to {}", to.display());
        }
    }
}

fn outside_of_cache(world: &World) -> BTreeMap<String, Vec<u8>> {
    Tree::read(&world.root())
        .files()
        .filter(|(path, _)| !path.starts_with("cache/"))
        .map(|(path, file)| (path.to_owned(), file.bytes.clone()))
        .collect()
}

/// By what HQ may require: the installed release, another version, and another hash.
async fn eligibility(world: &World) -> Vec<Eligibility> {
    let updater = Updater::builder(world.root()).build().unwrap();
    let (ours, other) = (
        release().manifest(),
        release().with_version("1.1.0").manifest(),
    );
    let mut answers = Vec::new();
    for (version, manifest) in [(&ours, &ours), (&other, &other), (&ours, &other)] {
        let required = Required {
            version: version.tool_version().clone(),
            manifest_hash: manifest.manifest_hash(),
        };
        answers.push(updater.eligibility(&required).await.unwrap());
    }
    answers
}

#[tokio::test]
async fn no_outcome_changes_whether_a_worker_is_eligible() {
    let world = World::with(&release());
    let before = eligibility(&world).await;
    let is_eligible: Vec<bool> = before
        .iter()
        .map(Eligibility::may_take_network_jobs)
        .collect();
    assert_eq!(is_eligible, [true, false, false]);

    let files = outside_of_cache(&world);
    let check = async |what: &str, expected: Result<Outcome, ErrorKind>, flash: FlashGpu| {
        let outcome = warm_up(&flash).await;
        let outcome = outcome
            .map(|report| report.outcome)
            .map_err(|error| error.kind());
        assert_eq!(outcome, expected, "{what}");
        assert_eq!(eligibility(&world).await, before, "{what}");
    };
    let again = || world.flash().with_rerun(Rerun::Always);
    check("cold", Ok(Outcome::WarmedUp), world.flash()).await;
    check("warm", Ok(Outcome::AlreadyWarm), world.flash()).await;
    check("again", Ok(Outcome::WarmedUp), again()).await;
    for (kind, expected) in [
        (io::ErrorKind::StorageFull, ErrorKind::NoSpace),
        (io::ErrorKind::PermissionDenied, ErrorKind::PermissionDenied),
        (
            io::ErrorKind::ReadOnlyFilesystem,
            ErrorKind::PermissionDenied,
        ),
        (io::ErrorKind::InvalidData, ErrorKind::Io),
    ] {
        let disk = Disk::observed(Arc::new(Refusing(kind)));
        check("refused", Err(expected), again().with_disk(disk)).await;
    }
    check(
        "no Python",
        Err(ErrorKind::NoInterpreter),
        world.flash().with_interpreter("/nonexistent/python"),
    )
    .await;
    let impatient = again().with_deadline(std::time::Duration::ZERO);
    world.write("user_data/hang", "");
    check("late", Err(ErrorKind::Deadline), impatient).await;
    std::fs::remove_file(world.path("user_data/hang")).unwrap();
    assert_eq!(outside_of_cache(&world), files);
    world.write("user_data/fail", "");
    check("failing", Err(ErrorKind::ScriptFailed), again()).await;
    world.machine.change(|stack| stack.gpus.clear());
    check("no GPU", Err(ErrorKind::NoGpu), world.flash()).await;

    // A worker that is not eligible does not become so either.
    std::fs::remove_file(world.path("current.txt")).unwrap();
    let nothing = eligibility(&world).await;
    refuses(world.flash(), ErrorKind::NoInstallation).await;
    assert_eq!(eligibility(&world).await, nothing);
    assert!(!nothing.iter().any(Eligibility::may_take_network_jobs));
}

/// It could not if it wanted to: it knows neither what is required nor who decides.
#[test]
fn it_depends_on_nothing_that_decides_eligibility() {
    let manifest = include_str!("../../Cargo.toml");
    let (_, dependencies) = manifest.split_once("[dependencies]").unwrap();
    let (dependencies, _) = dependencies.split_once("[dev-dependencies]").unwrap();
    for decides in ["eligibility", "updater", "mirror"] {
        assert!(!dependencies.contains(decides), "{decides}");
    }
}

/// A disk that takes no bytes.
#[derive(Debug)]
struct Refusing(io::ErrorKind);

impl Observer for Refusing {
    fn before(&self, effect: &Effect<'_>) -> Verdict {
        match effect.operation {
            Operation::Write => Verdict::Fail(self.0.into()),
            _ => Verdict::Proceed,
        }
    }

    fn after(&self, _: &Effect<'_>) {}
}
