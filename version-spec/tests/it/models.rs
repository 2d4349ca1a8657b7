//! Models that come, are shared, and are there.

use std::sync::Arc;

use downloader::testing::{Fault, Plan};
use downloader::{ErrorKind as Cause, ProgressSink};
use durable_fs::Disk;
use url::Url;
use version_spec::{CancellationToken, Checksum, ErrorKind, Presence, Sha256Digest, WantedModel};

use crate::models_world::{SOURCE, World, ensure, entry, sha256, url, weights};

#[tokio::test]
async fn a_model_that_nobody_pinned_is_pinned_as_first_seen() {
    let content = weights(1);
    let world = World::with(&[(SOURCE, &content)]);
    let entry = entry(SOURCE, "loras/deep/x.bin");
    assert_eq!(
        world.presence(&entry, None),
        Presence::Missing { bytes: None }
    );
    let locked = world.ensure(&entry, None).await.unwrap();
    assert_eq!(
        (locked.source.as_str(), locked.url.as_str()),
        (SOURCE, SOURCE)
    );
    assert_eq!(
        (locked.sha256, locked.size),
        (Sha256Digest::of(&content), 200_000)
    );
    assert!(locked.etag.is_some());
    assert_eq!(world.read("loras/deep/x.bin"), content);
    for pin in [None, Some(&locked)] {
        assert_eq!(world.presence(&entry, pin), Presence::Placed);
        assert_eq!(world.ensure(&entry, pin).await.unwrap(), locked);
    }
    assert_eq!(world.opens(SOURCE), 1);
    assert_eq!(world.names("loras/deep"), ["x.bin"]);
    assert_eq!(world.names(".store/incoming"), [""; 0]);
}

#[tokio::test]
async fn contents_are_stored_once_and_shared_by_links() {
    let content = weights(1);
    let (a, b, c) = ("https://h/a.bin", "https://h/b.bin", "https://h/c.bin");
    let world = World::with(&[(a, &content), (b, &content), (c, &content)]);
    let pinned = entry(a, "loras/a.bin").with_checksum(sha256(&content));
    let first = world.ensure(&pinned, None).await.unwrap();
    // The same content by another address: its digest says so, and nothing is fetched.
    let again = entry(b, "vae/b.bin").with_checksum(sha256(&content));
    assert_eq!(world.presence(&again, None), Presence::Stored);
    let second = world.ensure(&again, None).await.unwrap();
    assert_eq!(
        (second.sha256, second.size, world.opens(b)),
        (first.sha256, first.size, 0)
    );
    // Here only the bytes say so.
    world.ensure(&entry(c, "vae/c.bin"), None).await.unwrap();
    let inode = world.inode("loras/a.bin");
    assert_eq!(
        (world.inode("vae/b.bin"), world.inode("vae/c.bin")),
        (inode, inode)
    );
    assert_eq!(world.contents(), 1);
    // A second version has no pin, and the source is known.
    let elsewhere = entry(a, "checkpoints/a.bin");
    assert_eq!(world.presence(&elsewhere, None), Presence::Stored);
    world.ensure(&elsewhere, None).await.unwrap();
    assert_eq!(world.opens(a), 2, "its size, and its bytes");
}

#[tokio::test]
async fn a_pin_decides_what_comes() {
    let (old, new) = (weights(1), weights(2));
    let world = World::with(&[(SOURCE, &old)]);
    let model = entry(SOURCE, "loras/x.bin");
    let locked = world.ensure(&model, None).await.unwrap();
    // The source changes. Who has the pin keeps what it means, on another machine too.
    world.memory.insert(url(SOURCE), new.clone());
    assert_eq!(world.presence(&model, Some(&locked)), Presence::Placed);
    let other = World::with(&[(SOURCE, &new)]);
    assert_eq!(
        other.presence(&model, Some(&locked)),
        Presence::Missing {
            bytes: Some(200_000)
        }
    );
    let error = other.ensure(&model, Some(&locked)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.pointer()),
        (ErrorKind::Integrity, Some("/models/3/source"))
    );
    assert!(other.names("loras").is_empty() && other.contents() == 0);
    // A checksum that contradicts the pin wins.
    let newer = entry(SOURCE, "loras/x.bin").with_checksum(sha256(&new));
    assert_eq!(
        world.presence(&newer, Some(&locked)),
        Presence::Missing { bytes: None }
    );
    assert_eq!(
        world.ensure(&newer, Some(&locked)).await.unwrap().sha256,
        Sha256Digest::of(&new)
    );
    assert_eq!(
        world.read("loras/x.bin"),
        new,
        "what we placed before is ours to replace"
    );
    // And back, without a download.
    let opens = world.opens(SOURCE);
    world.ensure(&model, Some(&locked)).await.unwrap();
    assert_eq!(
        (world.read("loras/x.bin"), world.opens(SOURCE)),
        (old, opens)
    );
}

#[tokio::test]
async fn an_md5_is_verified_and_then_known() {
    let content = weights(1);
    let world = World::with(&[(SOURCE, &content), ("https://h/y.bin", &content)]);
    let md5: Checksum = "md5:d0b3ddc9aa1b2c3e4f5061728394a5b6".parse().unwrap();
    let error = world
        .ensure(&entry(SOURCE, "loras/x.bin").with_checksum(md5), None)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.pointer()),
        (ErrorKind::Integrity, Some("/models/3/checksum"))
    );
    assert!(world.names("loras").is_empty() && world.contents() == 0);
    // The error says what it is.
    let text = error.to_string();
    let actual = text
        .split("md5:")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    let right: Checksum = format!("md5:{actual}").parse().unwrap();
    world
        .ensure(&entry(SOURCE, "loras/x.bin").with_checksum(right), None)
        .await
        .unwrap();
    assert_eq!(world.read("loras/x.bin"), content);
    let other = entry("https://h/y.bin", "loras/y.bin").with_checksum(right);
    assert_eq!(world.presence(&other, None), Presence::Stored);
    world.ensure(&other, None).await.unwrap();
    assert_eq!(world.opens("https://h/y.bin"), 0);
    // A pin of another content, older than the checksum.
    let world = World::with(&[(SOURCE, &weights(2))]);
    let old = world
        .ensure(&entry(SOURCE, "loras/x.bin"), None)
        .await
        .unwrap();
    world.memory.insert(url(SOURCE), content.clone());
    let checked = entry(SOURCE, "loras/x.bin").with_checksum(right);
    assert_ne!(world.presence(&checked, Some(&old)), Presence::Placed);
    world.ensure(&checked, Some(&old)).await.unwrap();
    assert_eq!(world.read("loras/x.bin"), content);
}

#[tokio::test]
async fn an_interrupted_download_is_resumed() {
    let content = weights(1);
    let pinned = entry(SOURCE, "loras/x.bin").with_checksum(sha256(&content));
    for entry in [pinned, entry(SOURCE, "loras/x.bin")] {
        let world = World::with(&[(SOURCE, &content)]);
        let broken = Fault::error_at(150_000, Cause::Network);
        // The first request of a pinned model asks for the size.
        let skip = usize::from(entry.checksum.is_some());
        let faults = std::iter::repeat_n(Fault::none(), skip)
            .chain([broken, Fault::refused(Cause::Unauthorized)]);
        world.net.set_plan(&url(SOURCE), Plan::first(faults));
        assert_eq!(
            world.ensure(&entry, None).await.unwrap_err().kind(),
            ErrorKind::Auth
        );
        assert!(world.names("loras").is_empty() && world.contents() == 0);
        let before = world.net.bytes(&url(SOURCE));
        let locked = world.ensure(&entry, None).await.unwrap();
        assert!(
            world.net.bytes(&url(SOURCE)) - before < 60_000,
            "the rest, and a byte to ask for the size"
        );
        assert_eq!(locked.sha256, Sha256Digest::of(&content));
        assert_eq!(world.read("loras/x.bin"), content);
    }
}

/// Calls when the first bytes have come.
struct OnBytes<F>(F);

impl<F> std::fmt::Debug for OnBytes<F> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("OnBytes")
    }
}

impl<F: Fn() + Send + Sync> ProgressSink for OnBytes<F> {
    fn resumed(&self, _: u64) {}
    fn received(&self, _: u64) {
        (self.0)();
    }
    fn discarded(&self, _: u64) {}
    fn waiting(&self, _: &downloader::Error, _: std::time::Duration) {}
}

#[tokio::test]
async fn a_cancelled_download_stops_and_leaves_no_model() {
    let content = weights(1);
    let world = World::with(&[(SOURCE, &content)]);
    let entry = entry(SOURCE, "loras/x.bin");
    let cancel = CancellationToken::new();
    let progress = OnBytes(|| cancel.cancel());
    let error = world
        .store
        .ensure(&WantedModel::new(0, &entry), &progress, &cancel)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(world.names("loras").is_empty());
    world.ensure(&entry, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_second_waits_for_who_came_first() {
    let content = weights(1);
    let world = World::with(&[(SOURCE, &content)]);
    let pinned = entry(SOURCE, "loras/x.bin");
    let stores: Vec<_> = (0..8).map(|_| world.store_on(&Disk::real())).collect();
    let all = stores.iter().enumerate().map(|(index, store)| {
        // Half of them want it elsewhere.
        let entry = if index % 2 == 0 {
            pinned.clone()
        } else {
            entry(SOURCE, "vae/x.bin")
        };
        async move { ensure(store, &entry, None).await.unwrap() }
    });
    let locked = futures::future::join_all(all).await;
    assert!(
        locked
            .iter()
            .all(|one| one.sha256 == Sha256Digest::of(&content))
    );
    assert_eq!((world.opens(SOURCE), world.contents()), (1, 1));
    assert_eq!(world.inode("loras/x.bin"), world.inode("vae/x.bin"));
}

#[tokio::test]
async fn all_models_come_and_each_failure_is_of_its_own() {
    let world = World::new();
    let sources: Vec<String> = (0..20)
        .map(|number| format!("https://h/{number}.bin"))
        .collect();
    for (number, source) in sources
        .iter()
        .enumerate()
        .filter(|(number, _)| *number != 7)
    {
        world.memory.insert(url(source), vec![number as u8; 1000]);
    }
    let entries: Vec<_> = sources
        .iter()
        .map(|source| entry(source, &format!("vae/{}", &source[10..])))
        .collect();
    let wanted: Vec<_> = entries
        .iter()
        .enumerate()
        .map(|(index, entry)| WantedModel::new(index, entry))
        .collect();
    let results = world
        .store
        .ensure_all(&wanted, &(), &CancellationToken::new())
        .await;
    for (index, result) in results.iter().enumerate() {
        match result {
            Ok(locked) => assert_eq!(locked.sha256, Sha256Digest::of(&vec![index as u8; 1000])),
            Err(error) => assert_eq!(
                (index, error.kind(), error.pointer()),
                (7, ErrorKind::NotFound, Some("/models/7/source"))
            ),
        }
    }
    assert_eq!(world.names("vae").len(), 19);
}

#[tokio::test]
async fn a_local_file_is_a_source_also_without_a_network() {
    let content = weights(1);
    let world = World::new();
    world.write("../mine/x y.bin", &content);
    let source =
        Url::from_file_path(world.path("../mine/x y.bin").canonicalize().unwrap()).unwrap();
    let entry = entry(source.as_str(), "loras/x.bin").with_checksum(sha256(&content));
    let store = Arc::new(world.store.clone().offline());
    let locked = ensure(&store, &entry, None).await.unwrap();
    assert_eq!((locked.url, world.read("loras/x.bin")), (source, content));
    assert_ne!(
        world.inode("loras/x.bin"),
        world.inode("../mine/x y.bin"),
        "the user's file stays his own"
    );
}

#[tokio::test]
async fn offline_uses_what_is_here_and_says_what_is_not() {
    let content = weights(1);
    let world = World::with(&[(SOURCE, &content), ("https://h/y.bin", b"y")]);
    let here = entry(SOURCE, "loras/x.bin");
    world.ensure(&here, None).await.unwrap();
    let store = world.store.clone().offline();
    let elsewhere = entry(SOURCE, "vae/x.bin");
    ensure(&store, &elsewhere, None).await.unwrap();
    for source in [
        "https://h/y.bin",
        "hf://o/r/y.bin",
        "civitai://models/1",
        "s3://bucket/y",
        "gs://bucket/y",
    ] {
        let error = ensure(&store, &entry(source, "vae/y.bin"), None)
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.pointer()),
            (ErrorKind::Offline, Some("/models/3/source")),
            "{source}"
        );
        assert!(error.to_string().contains(source), "{error}");
    }
    assert_eq!(
        (world.opens(SOURCE), world.opens("https://h/y.bin")),
        (1, 0)
    );
}

#[tokio::test]
async fn a_mirror_is_asked_first_by_content() {
    let content = weights(1);
    let at = |base: &str| {
        format!(
            "{base}/api/v1/contents/sha256/{}",
            Sha256Digest::of(&content)
        )
    };
    let (first, second) = (at("https://hq/x"), at("https://hq2"));
    let mirrors = vec![url("https://hq/x"), url("https://hq2/")];
    let pinned = entry(SOURCE, "loras/x.bin").with_checksum(sha256(&content));

    let world = World::with(&[(SOURCE, &content), (&second, &content)]);
    let store = world.store.clone().with_mirrors(mirrors.clone());
    let locked = ensure(&store, &pinned, None).await.unwrap();
    assert_eq!(locked.url.as_str(), SOURCE, "the lock is for every machine");
    assert_eq!(
        (world.opens(SOURCE), world.net.bytes(&url(&second))),
        (0, 200_000)
    );

    // With a size from the lock, all are sources of one download.
    let world = World::with(&[(SOURCE, &content), (&first, &content)]);
    world.fault(&first, Fault::error_at(150_000, Cause::NotFound));
    let store = world.store.clone().with_mirrors(mirrors.clone());
    ensure(&store, &pinned, Some(&locked)).await.unwrap();
    assert_eq!(world.read("loras/x.bin"), content);

    // A mirror with another content, and one that is away.
    let world = World::with(&[
        (SOURCE, &content),
        (&first, &weights(2)),
        (&second, b"short"),
    ]);
    let store = world.store.clone().with_mirrors(mirrors.clone());
    ensure(&store, &pinned, None).await.unwrap();
    assert_eq!(world.read("loras/x.bin"), content);

    // The error is the origin's.
    let hub = entry("hf://o/r/x.bin", "loras/x.bin").with_checksum(sha256(&content));
    let locked =
        version_spec::LockedModel::new("hf://o/r/x.bin", locked.url, locked.sha256, locked.size);
    for pin in [None, Some(&locked)] {
        let world = World::new();
        world.fault(
            "https://huggingface.co/o/r/resolve/main/x.bin",
            Fault::refused(Cause::Unauthorized),
        );
        world.net.set_plan(
            &url("https://huggingface.co/o/r/resolve/main/x.bin"),
            Plan::always(Fault::refused(Cause::Unauthorized)),
        );
        let store = world.store.clone().with_mirrors(mirrors.clone());
        let error = ensure(&store, &hub, pin).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Auth);
        assert!(error.hint().unwrap().contains("HF_TOKEN"), "{error:?}");
    }

    // What nobody knows the digest of is not asked for there.
    let world = World::with(&[(SOURCE, &content)]);
    ensure(
        &world.store.clone().with_mirrors(mirrors),
        &entry(SOURCE, "loras/x.bin"),
        None,
    )
    .await
    .unwrap();
    assert_eq!((world.opens(&first), world.opens(&second)), (0, 0));
}

#[tokio::test]
async fn the_newest_version_at_civitai_is_asked_for_once() {
    let content = weights(1);
    let api = "https://civitai.com/api/v1/models/12";
    let download = "https://civitai.com/api/download/models/34";
    let world = World::with(&[
        (api, br#"{"modelVersions":[{"id":34},{"id":33}]}"#),
        (download, &content),
    ]);
    let entry = entry("civitai://models/12", "loras/x.bin");
    let locked = world.ensure(&entry, None).await.unwrap();
    assert_eq!(
        (locked.source.as_str(), locked.url.as_str()),
        ("civitai://models/12", download)
    );
    // A newer one changes nothing for who has a pin, on another machine.
    let other = World::with(&[
        (api, br#"{"modelVersions":[{"id":35}]}"#),
        (download, &content),
    ]);
    assert_eq!(other.ensure(&entry, Some(&locked)).await.unwrap(), locked);
    assert_eq!(other.opens(api), 0);
    let none = World::with(&[(api, br#"{"modelVersions":[]}"#)]);
    let error = none.ensure(&entry, None).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.pointer()),
        (ErrorKind::NotFound, Some("/models/3/source"))
    );
}
