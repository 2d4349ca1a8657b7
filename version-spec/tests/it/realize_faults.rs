//! Realizing with a disk that fails, a process that dies, and file systems without links.

use std::io;
use std::path::Path;
use std::sync::Arc;

use durable_fs::{Disk, Effect, Observer, Operation, Verdict};
use testkit::Exploration;
use version_spec::{CancellationToken, Home, Outcome, Part, Refresh};

use crate::realize_world::{ONE, World, plan, realize, spec, spec_of};

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
async fn where_links_do_not_work_nodes_are_copied() {
    let world = World::new();
    let comfy = world.on(Disk::observed(Arc::new(Without(&[
        Operation::Symlink,
        Operation::HardLink,
    ]))));
    assert_eq!(
        realize(&comfy, &spec(), &world.home()).await.outcome,
        Outcome::Complete
    );
    assert!(!world.path("home/custom_nodes/One").is_symlink());
    assert_eq!(world.read("home/custom_nodes/One/node.py"), "one\n");
    assert!(plan(&comfy, &spec(), &world.home()).await.is_empty());
    // What the node wrote there is kept when it goes.
    world.write("home/custom_nodes/One/settings.json", "{}");
    let done = realize(&comfy, &spec_of("v1", &[], &[]), &world.home()).await;
    assert!(!world.exists("home/custom_nodes/One"));
    let kept = done
        .kept
        .iter()
        .find(|kept| kept.ends_with("One"))
        .unwrap_or_else(|| panic!("{done:#?}"));
    assert_eq!(world.read(&format!("home/{kept}/settings.json")), "{}");
}

/// The version moves from one commit to another, with a fault at every effect; then it is realized once more.
#[test]
fn interrupted_anywhere_a_second_run_finishes() {
    let world = World::new();
    // Python writes by itself, past the disk that is watched.
    let version = spec_of("v1", &[ONE], &[crate::realize_world::MODEL]);
    let go = |root: &Path, disk: Disk, refresh: Refresh| {
        let comfy = world
            .builder_at(root)
            .with_disk(disk)
            .with_python_part(Part::Skip)
            .build();
        let (home, cancel) = (Home::new(root.join("home")), CancellationToken::new());
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(async {
                let lock = comfy.resolve(&version, refresh, &cancel).await?.lock;
                comfy.realize(&version, &lock, &home, &cancel).await
            })
    };
    let setup = |root: &Path| {
        let before = World::new();
        let comfy = before.builder_at(root).with_python_part(Part::Skip).build();
        let home = Home::new(root.join("home"));
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(async {
                realize(&comfy, &version, &home).await;
            });
        std::fs::create_dir_all(root.join("home/output")).unwrap();
        std::fs::write(root.join("home/output/mine.png"), "mine").unwrap();
        std::fs::write(root.join("home/comfy/ops.py"), "changed by hand").unwrap();
    };
    world.move_core();
    let explored = Exploration::new(
        setup,
        |root, disk| go(root, disk, Refresh::Yes),
        |root, _| {
            let done =
                go(root, Disk::real(), Refresh::Yes).unwrap_or_else(|error| panic!("{error:#}"));
            assert_eq!(done.outcome, Outcome::Complete);
            let read = |path: &str| {
                std::fs::read_to_string(root.join("home").join(path))
                    .unwrap_or_else(|error| panic!("{path}: {error}"))
            };
            assert_eq!(read("main.py"), "print('two')\n");
            assert_eq!(read("comfy/ops.py"), "two\n");
            assert_eq!(read("comfy/new.py"), "new\n");
            assert_eq!(read("custom_nodes/One/node.py"), "one\n");
            assert_eq!(read("output/mine.png"), "mine");
            assert!(!root.join("home/comfy/old/gone.py").exists());
            let again = go(root, Disk::real(), Refresh::No).unwrap();
            assert_eq!(again.steps, 0, "{again:#?}");
        },
    )
    .with_states_per_cut(4)
    .run();
    assert!(explored.effects > 20, "{explored}");
}
