//! Swaps that follow changes.

use std::fs;

use async_trait::async_trait;
use hot_swap::{Build, CancellationToken, Changes, Error, ErrorKind, HotSwap, Outcome};

use crate::world::World;

/// Changes that a test makes, one after the other.
struct Scripted<'w>(&'w World, Vec<&'static str>);

#[async_trait]
impl Changes for Scripted<'_> {
    async fn next(&mut self) -> Result<(), Error> {
        if self.1.is_empty() {
            return std::future::pending().await;
        }
        self.0.write("next", self.1.remove(0));
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn each_change_is_swapped_in_and_a_failure_ends_nothing() {
    let world = World::new();
    let cancel = CancellationToken::new();
    let mut changes = Scripted(&world, vec!["1.2 exits", "server 1.3\n"]);
    let mut seen = Vec::new();
    let stop = cancel.clone();
    let each = |done: Result<hot_swap::Report, Error>| {
        seen.push(
            done.map(|report| report.outcome)
                .map_err(|error| error.kind()),
        );
        if seen.len() == 3 {
            stop.cancel();
        }
    };
    world
        .swap()
        .watch(&mut changes, each, &cancel)
        .await
        .unwrap();
    assert_eq!(
        seen,
        [
            Ok(Outcome::Swapped),
            Err(ErrorKind::RolledBack),
            Ok(Outcome::Swapped)
        ]
    );
    assert_eq!(world.read("bin/server"), "server 1.3\n");
}

/// On the real file system: what the build writes into an ignored folder, and a file that is written again as it is, are no changes.
#[cfg(feature = "watch")]
#[tokio::test]
async fn changed_sources_are_built_and_swapped_in() {
    let world = World::new();
    fs::create_dir_all(world.path("project/target")).unwrap();
    fs::write(world.path("project/.gitignore"), "target/\n").unwrap();
    fs::write(world.path("project/main"), "one\n").unwrap();
    let build = Build::new("sh", ["-c", "cp main target/server"]).in_folder(world.path("project"));
    let swap = HotSwap::new(
        world.path("bin/server"),
        world.path("project/target/server"),
    )
    .with_build(build);
    let mut changes = hot_swap::SourceChanges::of(world.path("project")).unwrap();
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let mut seen = Vec::new();
    let each = |done: Result<hot_swap::Report, Error>| {
        seen.push((done.unwrap().outcome, world.read("bin/server")));
        let source = world.path("project/main");
        match seen.len() {
            1 => fs::write(source, "two\n").unwrap(),
            2 => {
                fs::write(&source, "two\n").unwrap(); // as it is
                fs::write(source, "three\n").unwrap();
            }
            _ => stop.cancel(),
        }
    };
    swap.watch(&mut changes, each, &cancel).await.unwrap();
    let expected = ["one\n", "two\n", "three\n"];
    assert_eq!(
        seen,
        expected.map(|text| (Outcome::Swapped, text.to_owned()))
    );
    let gone = hot_swap::SourceChanges::of(world.path("gone")).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}
