//! The whole way over HTTP, from a publisher's folder to a worker.

use durable_fs::Disk;
use mirror::{Server, Store};
use updater::{CancellationToken, Required, TrustPolicy, Updater, mirror_of};

use crate::support::{Release, World, noise, quick, url};

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

    for (release, downloaded) in [(&release, 4), (&next, 1)] {
        let manifest_url = server
            .base_url()
            .join(&format!(
                "sketcher/{}/manifest.json",
                &release.folder_name()[1..]
            ))
            .unwrap();
        let bare = Updater::builder(world.root()).build().unwrap();
        let manifest = bare.fetch_manifest(&manifest_url, &cancel).await.unwrap();
        // The manifest's own URLs lead nowhere here; the mirror that served it serves the files.
        let mirror = mirror_of(&manifest_url, &manifest).unwrap();
        assert_eq!(mirror, server.base_url());
        let updater = Updater::builder(world.root())
            .with_mirrors([mirror])
            .with_retry(quick())
            .build()
            .unwrap();
        let hash = release.manifest().manifest_hash();
        let trusted = TrustPolicy::Pinned(hash).trust(manifest).unwrap();
        let report = updater.apply(&trusted, &cancel).await.unwrap();
        assert_eq!(report.downloaded, downloaded);
        assert!(report.matches_required());
        world.assert_active(release, &[]);
        let required = Required {
            version: trusted.manifest().tool_version().clone(),
            manifest_hash: hash,
        };
        assert!(updater.eligibility(&required).await.unwrap().is_eligible());
    }
    server.shutdown().await.unwrap();
}

#[test]
fn only_a_manifest_url_of_a_mirror_names_a_mirror() {
    let manifest = first().manifest();
    let of = |text: &str| mirror_of(&url(text), &manifest).map(String::from);
    for good in [
        "http://m.test/api/v1/tools/sketcher/1.0.0/manifest.json",
        "http://m.test/api/v1/tools/sketcher/v1.0.0/manifest.json?x=1#y",
    ] {
        assert_eq!(of(good).as_deref(), Some("http://m.test/api/v1/tools/"));
    }
    for bad in [
        "http://m.test/tools/sketcher/1.0.1/manifest.json",
        "http://m.test/tools/painter/1.0.0/manifest.json",
        "http://m.test/sketcher/1.0.0/other.json",
        "http://m.test/manifest.json",
        "file:///srv/sketcher/1.0.0/manifest.json",
    ] {
        assert_eq!(of(bad), None, "{bad}");
    }
}
