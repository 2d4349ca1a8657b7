//! The whole way over HTTP, from a publisher's folder to a worker.

use durable_fs::Disk;
use mirror::{Server, Store};
use updater::{CancellationToken, ErrorKind, Required, Sha256Digest, TrustPolicy, Updater};

use crate::support::{Release, World, noise, quick};

fn first() -> Release {
    Release::new("1.0.0")
        .file("main.py", "print('one')")
        .program("bin/run.sh", "#!/bin/sh")
        .file("models/unet.safetensors", noise(1, 300_000))
}

#[tokio::test]
async fn a_release_goes_from_a_real_mirror_to_a_worker() {
    let (world, release) = (World::new(), first().file("a b/ü%.txt", "odd name"));
    let next = release.next("1.1.0").file("main.py", "print('two!')");
    let disk = Disk::real();
    let store = Store::open(&disk, world.outside().join("store")).unwrap();
    for release in [&release, &next] {
        let folder = tempfile::tempdir().unwrap();
        release.write_to(folder.path());
        let source = disk.open_dir(folder.path()).unwrap();
        store.publish(&release.manifest(), &source).unwrap();
    }
    let server = Server::bind(store, "127.0.0.1:0".parse().unwrap())
        .unwrap()
        .spawn();
    let cancel = CancellationToken::new();

    let updater = Updater::builder(world.root())
        .with_retry(quick())
        .build()
        .unwrap();
    for (release, downloaded) in [(&release, 4), (&next, 1)] {
        let path = format!("sketcher/{}/manifest.json", &release.folder_name()[1..]);
        let url = server.base_url().join(&path).unwrap();
        let hash = release.manifest().manifest_hash();
        // The manifest's own URLs lead nowhere here; the mirror that served it serves the files.
        let trust = TrustPolicy::Pinned(hash);
        let report = updater.update(&url, &trust, &cancel).await.unwrap();
        assert_eq!(report.downloaded, downloaded);
        assert!(report.matches_required());
        world.assert_active(release, &[]);
        let required = Required {
            version: report.to_version,
            manifest_hash: hash,
        };
        assert!(updater.eligibility(&required).await.unwrap().is_eligible());

        let another = TrustPolicy::Pinned(Sha256Digest::of(b"another"));
        let refused = updater.update(&url, &another, &cancel).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Trust, "{refused:?}");
    }
    server.shutdown().await.unwrap();
}
