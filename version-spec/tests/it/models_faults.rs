//! File systems without links, full disks, and processes that die.

use std::io;
use std::sync::Arc;

use durable_fs::{Disk, Effect, Observer, Operation, Verdict};
use testkit::{ENOSPC, Faults};
use version_spec::{ErrorKind, ModelUsage, Presence};

use crate::models_world::{SOURCE, World, ensure, entry, sha256, weights};

/// A file system that cannot do some things.
#[derive(Debug)]
struct Without(&'static [Operation]);

impl Observer for Without {
    fn before(&self, effect: &Effect<'_>) -> Verdict {
        if self.0.contains(&effect.operation) {
            return Verdict::Fail(io::ErrorKind::Unsupported.into());
        }
        Verdict::Proceed
    }

    fn after(&self, _: &Effect<'_>) {}
}

#[tokio::test]
async fn where_links_do_not_work_models_come_all_the_same() {
    let content = weights(1);
    for (missing, is_link) in [
        (&[Operation::HardLink][..], true),
        (&[Operation::HardLink, Operation::Symlink], false),
    ] {
        let world = World::with(&[(SOURCE, &content), ("https://h/z.bin", &weights(2))]);
        let disk = Disk::observed(Arc::new(Without(missing)));
        let store = world.store_on(&disk);
        let (one, other) = (
            entry(SOURCE, "loras/x.bin"),
            entry(SOURCE, "vae/deep/x.bin"),
        );
        for entry in [&one, &other] {
            let locked = ensure(&store, entry, None).await.unwrap();
            assert_eq!(world.read(entry.target.as_str()), content);
            assert_eq!(world.path(entry.target.as_str()).is_symlink(), is_link);
            for _ in 0..2 {
                assert_eq!(world.presence(entry, Some(&locked)), Presence::Placed);
                ensure(&store, entry, Some(&locked)).await.unwrap();
            }
        }
        assert_eq!(
            (
                world.opens(SOURCE),
                world.contents(),
                world.names("vae/deep").len()
            ),
            (1, 1, 1)
        );
        assert!(world.verify(&one, None).await.is_good());
        // Another content for the same target replaces what we placed.
        let newer = entry("https://h/z.bin", "loras/x.bin").with_checksum(sha256(&weights(2)));
        ensure(&store, &newer, None).await.unwrap();
        assert_eq!(world.read("loras/x.bin"), weights(2));
        // And what nobody uses is found.
        let garbage = store.garbage(&ModelUsage::new()).unwrap();
        assert_eq!(
            (garbage.contents().count(), garbage.targets().count()),
            (2, 2)
        );
        store.remove(&garbage).unwrap();
        assert!(world.names("loras").is_empty() && world.names("vae/deep").is_empty());
        // The user's own file needs no link to be used.
        world.write("loras/x.bin", &content);
        let pinned = one.clone().with_checksum(sha256(&content));
        ensure(&store, &pinned, None).await.unwrap();
        assert_eq!((world.opens(SOURCE), world.contents()), (1, 0));
        assert_eq!(world.presence(&pinned, None), Presence::Placed);
    }
}

#[tokio::test]
async fn a_moved_folder_of_links_still_works() {
    let content = weights(1);
    let world = World::with(&[(SOURCE, &content)]);
    let disk = Disk::observed(Arc::new(Without(&[Operation::HardLink])));
    ensure(
        &world.store_on(&disk),
        &entry(SOURCE, "vae/deep/x.bin"),
        None,
    )
    .await
    .unwrap();
    let moved = world.root().with_file_name("moved");
    std::fs::rename(world.root(), &moved).unwrap();
    assert_eq!(
        std::fs::read(moved.join("vae/deep/x.bin")).unwrap(),
        content
    );
}

/// Every effect fails once, and once all from it on: each run ends with an error of a kind that says so, or well, and the next one, on a
/// whole disk, finishes. What is at the target is the model or nothing.
#[tokio::test]
async fn interrupted_anywhere_the_next_run_finishes() {
    let content = weights(1);
    let models = [
        entry(SOURCE, "loras/x.bin"),
        entry(SOURCE, "loras/x.bin").with_checksum(sha256(&content)),
    ];
    for model in models {
        let effects = {
            let world = World::with(&[(SOURCE, &content)]);
            let faults = Faults::count();
            ensure(&world.store_on(&faults.disk()), &model, None)
                .await
                .unwrap();
            faults.effects().len()
        };
        assert!(effects > 20, "{effects}");
        for n in 0..effects {
            for faults in [Faults::stop_at(n), Faults::fail_at(n, ENOSPC)] {
                let world = World::with(&[(SOURCE, &content)]);
                match ensure(&world.store_on(&faults.disk()), &model, None).await {
                    Ok(_) => {}
                    Err(error) => assert!(
                        matches!(error.kind(), ErrorKind::Io | ErrorKind::NoSpace),
                        "{n}: {error:#}: {:?}",
                        faults.effects().get(n)
                    ),
                }
                if world.path("loras/x.bin").exists() {
                    assert!(world.read("loras/x.bin") == content, "{n}");
                }
                let locked = ensure(&world.store, &model, None)
                    .await
                    .unwrap_or_else(|error| panic!("{n}: {error:#}"));
                assert!(world.read("loras/x.bin") == content, "{n}");
                assert_eq!(
                    world.presence(&model, Some(&locked)),
                    Presence::Placed,
                    "{n}"
                );
                assert_eq!(
                    (world.names("loras"), world.contents()),
                    (vec!["x.bin".to_owned()], 1),
                    "{n}"
                );
                // An empty folder may be left.
                for key in world.names(".store/incoming") {
                    assert!(
                        world.names(&format!(".store/incoming/{key}")).is_empty(),
                        "{n}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn a_full_disk_is_said_so_and_the_rest_comes_later() {
    let content = weights(1);
    let world = World::with(&[(SOURCE, &content)]);
    let model = entry(SOURCE, "loras/x.bin");
    let effects = Faults::count();
    ensure(
        &World::with(&[(SOURCE, &content)]).store_on(&effects.disk()),
        &model,
        None,
    )
    .await
    .unwrap();
    let first_write = effects
        .effects()
        .iter()
        .position(|effect| effect.contains("write") && effect.contains(".part"))
        .unwrap();
    let faults = Faults::fail_from(first_write, ENOSPC);
    let error = ensure(&world.store_on(&faults.disk()), &model, None)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.pointer()),
        (ErrorKind::NoSpace, Some("/models/3/source"))
    );
    assert!(error.hint().unwrap().contains("free some space"));
    world.ensure(&model, None).await.unwrap();
}
