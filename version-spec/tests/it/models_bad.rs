//! Sources that refuse, lie or give something else: the error names the entry, and nothing is placed.

use downloader::ErrorKind as Cause;
use downloader::testing::Fault;
use version_spec::{Error, ErrorKind, ModelEntry, ModelStore, ModelsDir, Tokens};

use crate::models_world::{SOURCE, World, ensure, entry, impatient, sha256, weights};

const HUB: &str = "https://huggingface.co/o/r/resolve/main/x.bin";
const CIVITAI: &str = "https://civitai.com/api/download/models/34";

/// It fails, at this field, and leaves nothing.
async fn refused(
    world: &World,
    store: &ModelStore,
    entry: &ModelEntry,
    kind: ErrorKind,
    field: &str,
) -> Error {
    let error = ensure(store, entry, None).await.unwrap_err();
    assert_eq!(error.kind(), kind, "{error:#}");
    assert_eq!(error.pointer(), Some(format!("/models/3/{field}").as_str()));
    assert!(
        error.to_string().contains(&entry.source.to_string()),
        "{error}"
    );
    assert!(world.names("loras").is_empty() && world.contents() == 0);
    error
}

#[expect(clippy::too_many_lines, reason = "it is one table")]
#[tokio::test]
async fn a_refusal_names_the_variable_and_the_page() {
    let with = Tokens::from_lookup(|name| name.ends_with("_TOKEN").then(|| "s3cret".to_owned()));
    for (source, url, cause, kind, tokens, says) in [
        (
            "hf://o/r/x.bin",
            HUB,
            Cause::Unauthorized,
            ErrorKind::Auth,
            Tokens::none(),
            "set HF_TOKEN to a token that may read it, and accept its licence at https://huggingface.co/o/r",
        ),
        (
            "hf://o/r/x.bin",
            HUB,
            Cause::Unauthorized,
            ErrorKind::Auth,
            with.clone(),
            "the token in HF_TOKEN may not read it: accept its licence at https://huggingface.co/o/r",
        ),
        (
            "hf://o/r/x.bin",
            HUB,
            Cause::NotFound,
            ErrorKind::NotFound,
            Tokens::none(),
            "check its name at https://huggingface.co/o/r; if it is private, set HF_TOKEN",
        ),
        (
            HUB,
            HUB,
            Cause::Unauthorized,
            ErrorKind::Auth,
            Tokens::none(),
            "HF_TOKEN",
        ),
        (
            "civitai://model-versions/34",
            CIVITAI,
            Cause::Unauthorized,
            ErrorKind::Auth,
            Tokens::none(),
            "set CIVITAI_TOKEN to a token that may read it",
        ),
        (
            "civitai://model-versions/34",
            CIVITAI,
            Cause::NotFound,
            ErrorKind::NotFound,
            with.clone(),
            "CIVITAI_TOKEN",
        ),
        (
            "s3://my-bucket/x",
            "https://my-bucket.s3.amazonaws.com/x",
            Cause::Unauthorized,
            ErrorKind::Auth,
            with.clone(),
            "public buckets",
        ),
        (
            "gs://my-bucket/x",
            "https://storage.googleapis.com/my-bucket/x",
            Cause::NotFound,
            ErrorKind::NotFound,
            with.clone(),
            "public",
        ),
        (
            SOURCE,
            SOURCE,
            Cause::Unauthorized,
            ErrorKind::Auth,
            with.clone(),
            "no token is sent to this host",
        ),
        (
            SOURCE,
            SOURCE,
            Cause::NotFound,
            ErrorKind::NotFound,
            with,
            "check the address",
        ),
    ] {
        let world = World::new();
        world.fault(url, Fault::refused(cause));
        let models = ModelsDir::new(world.root());
        let store = impatient(ModelStore::new(
            durable_fs::Disk::real(),
            models,
            std::sync::Arc::new(world.net.clone()),
            tokens,
        ));
        let error = refused(
            &world,
            &store,
            &entry(source, "loras/x.bin"),
            kind,
            "source",
        )
        .await;
        assert!(
            error.hint().unwrap_or_default().contains(says),
            "{source}: {error:?}"
        );
        let shown = format!("{error:?} {error:#} {store:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[tokio::test]
async fn a_page_a_pointer_and_a_part_are_no_models() {
    let header = br#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let mut short = (header.len() as u64).to_le_bytes().to_vec();
    short.extend(header);
    short.extend(b"1234567");
    for (content, target, says) in [
        (
            &b"<!DOCTYPE html><title>Sign in"[..],
            "loras/x.bin",
            "a web page",
        ),
        (b"", "loras/x.bin", "empty"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "loras/x.bin",
            "Git LFS pointer",
        ),
        (&short, "loras/x.safetensors", "only 69 bytes"),
    ] {
        let source = "hf://o/r/x.bin";
        let world = World::with(&[(HUB, content)]);
        let error = refused(
            &world,
            &world.store,
            &entry(source, target),
            ErrorKind::Integrity,
            "source",
        )
        .await;
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.hint().unwrap().contains("HF_TOKEN"), "{error:?}");
    }
}

#[tokio::test]
async fn wrong_bytes_are_not_placed() {
    let content = weights(1);
    let pinned = entry(SOURCE, "loras/x.bin").with_checksum(sha256(&content));
    // Another content; a corrupt one, which is asked for once more; and one of a source that says no size.
    let world = World::with(&[(SOURCE, &weights(2))]);
    refused(
        &world,
        &world.store,
        &pinned,
        ErrorKind::Integrity,
        "source",
    )
    .await;
    let world = World::with(&[(SOURCE, &content)]);
    world.net.set_plan(
        &SOURCE.parse().unwrap(),
        downloader::testing::Plan::always(Fault::corrupt_at(1000)),
    );
    refused(
        &world,
        &world.store,
        &pinned,
        ErrorKind::Integrity,
        "source",
    )
    .await;
    let world = World::with(&[(SOURCE, &weights(2))]);
    world.net.set_plan(
        &SOURCE.parse().unwrap(),
        downloader::testing::Plan::always(Fault::no_total()),
    );
    let error = refused(
        &world,
        &world.store,
        &pinned,
        ErrorKind::Integrity,
        "checksum",
    )
    .await;
    assert!(error.to_string().contains("instead of"), "{error}");
    // The next run with the right content has nothing of it.
    world
        .memory
        .insert(SOURCE.parse().unwrap(), content.clone());
    ensure(&world.store, &pinned, None).await.unwrap();
    assert_eq!(world.read("loras/x.bin"), content);
}

#[tokio::test]
async fn a_network_that_is_gone_is_said_so() {
    let world = World::with(&[(SOURCE, b"x")]);
    world.net.set_plan(
        &SOURCE.parse().unwrap(),
        downloader::testing::Plan::always(Fault::refused(Cause::Network)),
    );
    let error = refused(
        &world,
        &world.store,
        &entry(SOURCE, "loras/x.bin"),
        ErrorKind::Network,
        "source",
    )
    .await;
    assert!(error.hint().unwrap().contains("later"));
    assert_eq!(world.opens(SOURCE), 2);
}

#[tokio::test]
async fn the_stores_own_files_and_what_is_behind_a_link_are_no_targets() {
    let world = World::with(&[(SOURCE, b"x")]);
    let error = world
        .ensure(&entry(SOURCE, ".store/sha256/x"), None)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.pointer()),
        (ErrorKind::Name, Some("/models/3/target_path"))
    );
    let outside = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(world.root()).unwrap();
    std::os::unix::fs::symlink(outside.path(), world.path("loras")).unwrap();
    let error = world
        .ensure(&entry(SOURCE, "loras/x.bin"), None)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.pointer()),
        (ErrorKind::Damaged, Some("/models/3/target_path"))
    );
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_signature_is_in_no_lock_error_or_note() {
    let source = "https://h/x.bin?X-Amz-Signature=s3cret";
    let world = World::with(&[(source, b"weights")]);
    let locked = world
        .ensure(&entry(source, "loras/x.bin"), None)
        .await
        .unwrap();
    assert!(!format!("{locked:?}").contains("s3cret"));
    for name in world.names(".store/known") {
        assert!(
            !String::from_utf8(world.read(&format!(".store/known/{name}")))
                .unwrap()
                .contains("s3cret")
        );
    }
    // Signed anew, it is the same source.
    let again = entry("https://h/x.bin?X-Amz-Signature=other", "vae/x.bin");
    world.ensure(&again, None).await.unwrap();
    let world = World::new();
    let error = world
        .ensure(&entry(source, "loras/x.bin"), None)
        .await
        .unwrap_err();
    assert!(!format!("{error:?} {error:#}").contains("s3cret"));
}
