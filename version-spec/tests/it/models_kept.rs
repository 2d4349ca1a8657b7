//! What is the user's stays, what is damaged is found and mended, and what nobody uses goes.

use std::fs::OpenOptions;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;

use version_spec::{
    CommitId, ErrorKind, GitSource, Lock, LockedSource, ModelEntry, ModelState, ModelUsage,
    Presence, Revision, Sha256Digest, Spec,
};

use crate::models_world::{SOURCE, World, ensure, entry, sha256, weights};

/// Inverts a byte in place; the file's time may stay.
fn damage(path: &Path) {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    file.seek(SeekFrom::Start(1000)).unwrap();
    file.write_all(&[0xee, 0xee]).unwrap();
    file.set_modified(time).unwrap();
}

#[tokio::test]
async fn a_right_file_of_the_users_is_taken_and_hashed_once() {
    let content = weights(1);
    let world = World::new();
    world.write("loras/x.bin", &content);
    let inode = world.inode("loras/x.bin");
    let pinned = entry(SOURCE, "loras/x.bin").with_checksum(sha256(&content));
    assert_eq!(
        world.presence(&pinned, None),
        Presence::Unknown { bytes: 200_000 }
    );
    let locked = world.ensure(&pinned, None).await.unwrap();
    assert_eq!((locked.size, locked.url.as_str()), (200_000, SOURCE));
    assert_eq!(
        (world.inode("loras/x.bin"), world.opens(SOURCE)),
        (inode, 0)
    );
    // Damage that leaves size, time and number alone shows that nothing is read again.
    damage(&world.path("loras/x.bin"));
    assert_eq!(world.presence(&pinned, None), Presence::Placed);
    world.ensure(&pinned, None).await.unwrap();
    // Another version gets it without a download.
    let world = World::new();
    world.write("loras/x.bin", &content);
    world.ensure(&pinned, None).await.unwrap();
    let other = entry("https://h/y.bin", "vae/y.bin").with_checksum(sha256(&content));
    assert_eq!(world.presence(&other, None), Presence::Stored);
    world.ensure(&other, None).await.unwrap();
    assert_eq!(
        (world.inode("vae/y.bin"), world.opens("https://h/y.bin")),
        (world.inode("loras/x.bin"), 0)
    );
}

#[tokio::test]
async fn a_wrong_file_of_the_users_is_refused_and_kept_by_a_repair() {
    let (content, his) = (weights(1), weights(2));
    let pinned = entry(SOURCE, "loras/x.bin").with_checksum(sha256(&content));
    for his in [&his[..], b"short"] {
        let world = World::with(&[(SOURCE, &content)]);
        world.write("loras/x.bin", his);
        let error = world.ensure(&pinned, None).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.pointer()),
            (ErrorKind::Exists, Some("/models/3/target_path"))
        );
        assert!(error.hint().unwrap().contains("verify-models"));
        assert_eq!(
            (world.read("loras/x.bin"), world.opens(SOURCE)),
            (his.to_vec(), 0)
        );
        world.repair(&pinned, None).await.unwrap();
        assert_eq!(world.names("loras"), ["x.bin", "x.bin.kept-1"]);
        assert_eq!(
            (world.read("loras/x.bin"), world.read("loras/x.bin.kept-1")),
            (content.clone(), his.to_vec())
        );
        assert_eq!(world.presence(&pinned, None), Presence::Placed);
    }
    // A folder in the way.
    let world = World::with(&[(SOURCE, &content)]);
    world.write("loras/x.bin/his", b"x");
    assert_eq!(
        world.ensure(&pinned, None).await.unwrap_err().kind(),
        ErrorKind::Exists
    );
    world.repair(&pinned, None).await.unwrap();
    assert_eq!(world.read("loras/x.bin.kept-1/his"), b"x");
}

#[tokio::test]
async fn a_file_that_nobody_knows_is_taken_if_it_has_the_sources_size() {
    let (content, his) = (weights(1), weights(2));
    let world = World::with(&[(SOURCE, &content)]);
    let unpinned = entry(SOURCE, "loras/x.bin");
    world.write("loras/x.bin", &his);
    let locked = world.ensure(&unpinned, None).await.unwrap();
    assert_eq!(
        (
            locked.sha256,
            world.net.bytes(&SOURCE.parse().unwrap()) < 100_000
        ),
        (Sha256Digest::of(&his), true)
    );
    assert_eq!(
        (
            world.read("loras/x.bin"),
            world.presence(&unpinned, Some(&locked))
        ),
        (his, Presence::Placed)
    );

    let world = World::with(&[(SOURCE, &content)]);
    world.write("loras/x.bin", b"short");
    assert_eq!(
        world.ensure(&unpinned, None).await.unwrap_err().kind(),
        ErrorKind::Exists
    );
    let offline = world.store.clone().offline();
    let taken = ensure(&offline, &unpinned, None).await.unwrap();
    assert_eq!(
        taken.sha256,
        Sha256Digest::of(b"short"),
        "without a network it is all that there is"
    );
}

#[tokio::test]
async fn a_link_of_the_users_to_another_disk_stays() {
    let content = weights(1);
    let world = World::new();
    world.write("../big/x.bin", &content);
    world.write("loras/other", b"");
    std::os::unix::fs::symlink("../../big/x.bin", world.path("loras/x.bin")).unwrap();
    let pinned = entry(SOURCE, "loras/x.bin").with_checksum(sha256(&content));
    world.ensure(&pinned, None).await.unwrap();
    assert_eq!(
        (world.presence(&pinned, None), world.opens(SOURCE)),
        (Presence::Placed, 0)
    );
    assert!(world.path("loras/x.bin").is_symlink());
    assert!(world.verify(&pinned, None).await.is_good());
    // One that leads nowhere is in the way.
    std::fs::remove_file(world.path("../big/x.bin")).unwrap();
    let error = world.ensure(&pinned, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exists);
    assert!(world.path("loras/x.bin").is_symlink());
}

#[tokio::test]
async fn damage_is_found_by_reading_and_mended() {
    let content = weights(1);
    let world = World::with(&[(SOURCE, &content)]);
    let unpinned = entry(SOURCE, "loras/x.bin");
    assert_eq!(world.verify(&unpinned, None).await, ModelState::Missing);
    let locked = world.ensure(&unpinned, None).await.unwrap();
    let right = ModelState::Right {
        sha256: locked.sha256,
    };
    assert_eq!(world.verify(&unpinned, Some(&locked)).await, right);
    // Under all its names.
    damage(&world.stored(&content));
    assert!(matches!(
        world.verify(&unpinned, Some(&locked)).await,
        ModelState::Wrong { .. }
    ));
    assert_eq!(
        world.presence(&unpinned, Some(&locked)),
        Presence::Placed,
        "a look does not tell"
    );
    assert_eq!(
        world.repair(&unpinned, Some(&locked)).await.unwrap(),
        locked
    );
    assert_eq!(world.verify(&unpinned, Some(&locked)).await, right);
    assert_eq!(
        (world.names("loras"), world.read("loras/x.bin")),
        (vec!["x.bin".to_owned()], content.clone())
    );
    // Missing, and the store has it.
    std::fs::remove_file(world.path("loras/x.bin")).unwrap();
    let opens = world.opens(SOURCE);
    assert_eq!(
        world.verify(&unpinned, Some(&locked)).await,
        ModelState::Missing
    );
    world.repair(&unpinned, Some(&locked)).await.unwrap();
    assert_eq!(
        (
            world.verify(&unpinned, Some(&locked)).await,
            world.opens(SOURCE)
        ),
        (right.clone(), opens)
    );
    // Written to by the user, under both names at once: his version is kept.
    std::fs::write(world.path("loras/x.bin"), b"his").unwrap();
    assert_ne!(world.presence(&unpinned, Some(&locked)), Presence::Placed);
    assert_eq!(
        world
            .ensure(&unpinned, Some(&locked))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Exists
    );
    world.repair(&unpinned, Some(&locked)).await.unwrap();
    assert_eq!(
        (world.read("loras/x.bin"), world.read("loras/x.bin.kept-1")),
        (content, b"his".to_vec())
    );
    // What nobody pinned has nothing to be compared with.
    let other = World::new();
    other.write("loras/x.bin", b"his");
    assert_eq!(
        other.verify(&unpinned, None).await,
        ModelState::Unpinned {
            sha256: Sha256Digest::of(b"his")
        }
    );
}

/// A link is one file with the store's: whoever writes to it writes to both.
#[tokio::test]
async fn what_was_written_to_in_place_is_not_taken_for_the_stores() {
    let content = weights(1);
    let world = World::with(&[(SOURCE, &content)]);
    let pinned = entry(SOURCE, "loras/x.bin").with_checksum(sha256(&content));
    world.ensure(&pinned, None).await.unwrap();
    damage(&world.path("loras/x.bin"));
    let long_ago =
        std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let file = OpenOptions::new()
        .write(true)
        .open(world.path("loras/x.bin"))
        .unwrap();
    file.set_modified(long_ago).unwrap();
    assert_eq!(
        world.presence(&pinned, None),
        Presence::Unknown { bytes: 200_000 }
    );
    assert_eq!(
        world.ensure(&pinned, None).await.unwrap_err().kind(),
        ErrorKind::Exists
    );
    world.repair(&pinned, None).await.unwrap();
    assert_eq!(world.read("loras/x.bin"), content);
    assert!(world.verify(&pinned, None).await.is_good());
}

#[tokio::test]
async fn a_lost_store_and_lost_notes_cost_no_model() {
    let content = weights(1);
    let world = World::with(&[(SOURCE, &content)]);
    let unpinned = entry(SOURCE, "loras/x.bin");
    let locked = world.ensure(&unpinned, None).await.unwrap();
    std::fs::remove_dir_all(world.path(".store")).unwrap();
    assert_eq!(
        world.presence(&unpinned, Some(&locked)),
        Presence::Unknown { bytes: 200_000 }
    );
    assert_eq!(
        world.ensure(&unpinned, Some(&locked)).await.unwrap().sha256,
        locked.sha256
    );
    assert_eq!(
        (
            world.opens(SOURCE),
            world.presence(&unpinned, Some(&locked))
        ),
        (1, Presence::Placed)
    );
    for name in world.names(".store/placed") {
        std::fs::write(world.path(".store/placed").join(name), b"nonsense").unwrap();
    }
    world.ensure(&unpinned, Some(&locked)).await.unwrap();
    assert_eq!(world.presence(&unpinned, Some(&locked)), Presence::Placed);
}

fn version(id: &str, models: &[ModelEntry]) -> (Spec, Lock) {
    let repo: version_spec::RepoUrl = "https://h/ComfyUI".parse().unwrap();
    let mut spec = Spec::new(
        id.parse().unwrap(),
        GitSource::new(repo.clone(), Revision::Head),
    );
    spec.models = models.to_vec();
    let commit: CommitId = "ab".repeat(20).parse().unwrap();
    let lock = Lock::new(&spec, LockedSource::new(repo, commit));
    (spec, lock)
}

#[tokio::test]
async fn what_another_version_uses_is_never_removed() {
    let (shared, own, loose) = (weights(1), weights(2), weights(3));
    let (at_own, at_loose) = ("https://h/own.bin", "https://h/loose.bin");
    let world = World::with(&[(SOURCE, &shared), (at_own, &own), (at_loose, &loose)]);
    let first = [
        entry(SOURCE, "loras/x.bin"),
        entry(at_own, "loras/own.bin"),
        entry(at_loose, "vae/both.bin"),
    ];
    let second = [entry(SOURCE, "vae/x.bin"), entry(at_loose, "vae/both.bin")];
    let (going, mut going_lock) = version("going", &first);
    let (staying, _) = version("staying", &second);
    for entry in &first {
        going_lock
            .models
            .push(world.ensure(entry, None).await.unwrap());
    }
    for entry in &second {
        world.ensure(entry, None).await.unwrap();
    }
    world.write("loras/his.bin", b"his");
    // The other one has no lock, and its models count all the same.
    let (goes, stays) = (
        ModelUsage::new().with_version(&going, Some(&going_lock)),
        ModelUsage::new().with_version(&staying, None),
    );
    let unused = world.store.unused(&goes, &stays).unwrap();
    assert_eq!(
        unused
            .targets()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["loras/own.bin", "loras/x.bin"]
    );
    assert_eq!(
        unused.contents().collect::<Vec<_>>(),
        [(Sha256Digest::of(&own), 200_000)]
    );
    assert_eq!(unused.bytes(), 200_000);
    assert_eq!(world.store.remove(&unused).unwrap(), 200_000);
    assert_eq!(
        (world.names("loras"), world.names("vae")),
        (
            vec!["his.bin".to_owned()],
            vec!["both.bin".to_owned(), "x.bin".to_owned()]
        )
    );
    assert_eq!((world.contents(), world.names(".store/trash")), (2, vec![]));
    assert!(world.store.unused(&goes, &stays).unwrap().is_empty());
    assert_eq!(
        world.store.remove(&unused).unwrap(),
        0,
        "it is gone already"
    );
    // A lock of a version whose spec cannot be read keeps its contents.
    let kept = ModelUsage::new().with_lock(&going_lock);
    let garbage = world.store.garbage(&kept).unwrap();
    assert_eq!(garbage.contents().count(), 0);
    // All that is ours goes with the last version, and nothing else.
    let garbage = world.store.garbage(&ModelUsage::new()).unwrap();
    assert_eq!(
        (garbage.contents().count(), garbage.targets().count()),
        (2, 2)
    );
    world.store.remove(&garbage).unwrap();
    assert_eq!(
        (world.contents(), world.names("vae"), world.names("loras")),
        (0, vec![], vec!["his.bin".to_owned()])
    );
    // What is gone can come again.
    world
        .ensure(&first[1], Some(&going_lock.models[1]))
        .await
        .unwrap();
    assert_eq!(world.read("loras/own.bin"), own);
}

#[tokio::test]
async fn a_file_of_the_users_is_never_removed() {
    let content = weights(1);
    let world = World::new();
    world.write("loras/x.bin", &content);
    let pinned = entry(SOURCE, "loras/x.bin").with_checksum(sha256(&content));
    world.ensure(&pinned, None).await.unwrap();
    let (spec, lock) = version("going", &[pinned]);
    let goes = ModelUsage::new().with_version(&spec, Some(&lock));
    let unused = world.store.unused(&goes, &ModelUsage::new()).unwrap();
    assert_eq!(
        (unused.contents().count(), unused.targets().count()),
        (1, 0)
    );
    world.store.remove(&unused).unwrap();
    assert_eq!((world.contents(), world.read("loras/x.bin")), (0, content));
}
