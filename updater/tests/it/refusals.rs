//! What is refused, and that it leaves no trace.

use std::sync::Arc;

use durable_fs::{Disk, Recorder};
use manifest_core::Sha256Digest;
use updater::{
    CancellationToken, Downgrade, Error, ErrorKind, HostPolicy, TrustPolicy, TrustedManifest,
    Updater, Url,
};

use crate::support::{MIRROR, Release, World, apply, url};

fn release(version: &str) -> Release {
    Release::new(version).file("main.py", format!("print({version:?})"))
}

#[tokio::test]
async fn another_manifest_than_the_pinned_one_is_not_trusted() {
    let manifest = release("1.0.0").manifest();
    let pinned = Sha256Digest::of(b"another");
    let error = TrustPolicy::Pinned(pinned)
        .trust(manifest.clone())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Trust);
    for hash in [pinned, manifest.manifest_hash()] {
        assert!(error.to_string().contains(&hash.to_string()), "{error}");
    }
    let pinned = TrustPolicy::Pinned(manifest.manifest_hash());
    assert_eq!(
        pinned.trust(manifest.clone()).unwrap().manifest(),
        &manifest
    );
}

#[tokio::test]
async fn b24_a_release_of_another_tool_is_refused() {
    let world = World::with(&release("1.0.0")).await;
    let other = release("2.0.0").of_tool("painter");
    world.serve(&other);
    for downgrade in [Downgrade::Refuse, Downgrade::Allow] {
        let updater = world.builder().with_downgrade(downgrade).build().unwrap();
        let error = apply(&updater, &other).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongProduct, "{error:?}");
        let error = updater.plan(&other.trusted()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongProduct, "{error:?}");
    }
    assert_eq!(world.requests(), 0);
    world.assert_active(&release("1.0.0"), &[]);
}

#[tokio::test]
async fn b25_older_other_and_incomparable_releases_are_refused_unless_allowed() {
    let active = release("1.2.0");
    for wanted in [
        release("1.1.9"),
        release("1.2.0-rc.1"),
        active.clone().file("main.py", "other content"),
        release("nightly"),
    ] {
        let world = World::with(&active).await;
        world.serve(&wanted);
        let error = apply(&world.updater(), &wanted).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rollback, "{error:?}");
        let error = world.updater().plan(&wanted.trusted()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rollback, "{error:?}");
        assert_eq!(world.requests(), 0);
        world.assert_active(&active, &[]);

        let updater = world
            .builder()
            .with_downgrade(Downgrade::Allow)
            .build()
            .unwrap();
        updater.plan(&wanted.trusted()).await.unwrap();
        let report = apply(&updater, &wanted).await.unwrap();
        assert!(report.matches_required());
        world.assert_active(&wanted, &[]);
        world.assert_tidy();
    }
}

#[tokio::test]
async fn a16_hosts_that_the_policy_does_not_list_are_refused_before_any_write_and_get() {
    let world = World::new();
    let wanted = release("1.0.0");
    world.serve(&wanted);
    let recorder = Arc::new(Recorder::new());
    let builder = || world.builder().with_disk(Disk::observed(recorder.clone()));
    let strangers = [
        builder().with_hosts(HostPolicy::only(["mirror.test"])),
        builder()
            .with_hosts(HostPolicy::only(["hq.test"]))
            .with_mirrors([url(MIRROR)]),
        builder().with_mirrors([url("http://me:secret@mirror.test/")]),
        builder().with_mirrors([url("file:///srv/mirror/")]),
    ];
    for builder in strangers {
        let updater = builder.build().unwrap();
        let error = apply(&updater, &wanted).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Policy, "{error:?}");
        assert!(
            !format!("{error:?} {error}").contains("secret"),
            "{error:?}"
        );
        let error = updater.plan(&wanted.trusted()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Policy, "{error:?}");
    }
    assert_eq!(world.requests(), 0);
    assert_eq!(recorder.effects(), []);
    assert!(!world.root().exists());

    let listed = HostPolicy::only(["hq.test"]);
    let updater = builder().with_hosts(listed).build().unwrap();
    apply(&updater, &wanted).await.unwrap();
    world.assert_active(&wanted, &[]);
}

async fn fetch(
    updater: &Updater,
    url: &Url,
    cancel: &CancellationToken,
) -> Result<TrustedManifest, Error> {
    let trust = TrustPolicy::Unsigned;
    updater.fetch_manifest(url, &trust, cancel).await
}

#[tokio::test]
async fn a_manifest_that_is_not_valid_is_not_fetched() {
    let world = World::new();
    let at = url("http://hq.test/manifest.json");
    let cancel = CancellationToken::new();
    let updater = world.updater();
    let error = fetch(&updater, &at, &cancel).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
    let chain = format!("{error:#}");
    assert!(chain.starts_with(&format!("{error}: ")), "{chain}");
    assert_eq!(chain.matches(at.as_str()).count(), 1, "{chain}");

    let mut bytes = release("1.0.0").manifest().to_bytes();
    world.memory.insert(at.clone(), bytes.clone());
    let fetched = fetch(&updater, &at, &cancel).await.unwrap();
    assert_eq!(fetched.manifest(), &release("1.0.0").manifest());

    let position = bytes
        .windows(7)
        .position(|part| part == b"main.py")
        .unwrap();
    bytes[position] = b'n';
    world.memory.insert(at.clone(), bytes);
    let error = fetch(&updater, &at, &cancel).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Manifest, "{error:?}");

    cancel.cancel();
    let error = fetch(&updater, &at, &cancel).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error:?}");
    assert!(!world.root().exists());
}
