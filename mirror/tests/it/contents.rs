//! Contents by their digest.

use manifest_core::Sha256Digest;

use crate::support::{Mirror, VERSION, blob, noise, tool, tree, version};

const CONTENT: &[u8] = b"0123456789";

fn at(content: &[u8]) -> String {
    format!("/api/v1/contents/sha256/{}", Sha256Digest::of(content))
}

#[test]
fn a_content_is_served_by_its_digest_as_a_file_is() {
    let mirror = Mirror::serving(&[("web/index.html", CONTENT), ("empty", b"")]);
    let mut client = mirror.client();
    let tag = format!("\"{}\"", Sha256Digest::of(CONTENT));
    let whole = client.ask("GET", &at(CONTENT), &[]);
    assert_eq!((whole.status, whole.body.as_slice()), (200, CONTENT));
    for (name, value) in [
        ("content-length", "10"),
        ("content-type", "application/octet-stream"),
        ("x-content-type-options", "nosniff"),
        ("etag", tag.as_str()),
        ("x-file-sha256", tag.trim_matches('"')),
        ("accept-ranges", "bytes"),
        ("cache-control", "public, max-age=31536000, immutable"),
    ] {
        assert_eq!(whole.header(name), Some(value), "{name}");
    }
    let head = client.ask("HEAD", &at(CONTENT), &[]);
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("10"))
    );
    let part = client.ask(
        "GET",
        &at(CONTENT),
        &[("Range", "bytes=4-"), ("If-Range", &tag)],
    );
    assert_eq!((part.status, part.body.as_slice()), (206, &b"456789"[..]));
    assert_eq!(part.header("content-range"), Some("bytes 4-9/10"));
    let behind = client.ask("GET", &at(CONTENT), &[("Range", "bytes=10-")]);
    assert_eq!(behind.status, 416);
    let same = client.ask("GET", &at(CONTENT), &[("If-None-Match", &tag)]);
    assert_eq!(same.status, 304);
    assert_eq!(client.ask("GET", &at(b""), &[]).status, 200);
}

#[test]
fn what_is_no_digest_or_not_here_is_refused() {
    let mirror = Mirror::serving(&[("a", CONTENT)]);
    let mut client = mirror.client();
    let missing = client.ask("GET", &at(b"other"), &[]);
    assert_eq!(missing.status, 404);
    assert_eq!(missing.header("cache-control"), Some("no-store"));
    assert_eq!(
        missing.error(),
        format!("this mirror has no content {}", Sha256Digest::of(b"other"))
    );
    let digest = Sha256Digest::of(CONTENT).to_string();
    for name in [
        "x".to_owned(),
        digest[..63].to_owned(),
        digest.to_uppercase(),
        format!("{digest}0"),
        "..%2f..%2fpublish.lock".to_owned(),
        format!("%2e%2e%2f{digest}"),
        "%ff".to_owned(),
    ] {
        let answer = client.ask("GET", &format!("/api/v1/contents/sha256/{name}"), &[]);
        assert_eq!(answer.status, 400, "{name}");
    }
    for target in [
        "/api/v1/contents/sha256/",
        "/api/v1/contents/sha512/x",
        "/api/v1/contents",
    ] {
        assert_eq!(client.ask("GET", target, &[]).status, 404, "{target}");
    }
    assert_eq!(client.ask("POST", &at(CONTENT), &[]).status, 405);
}

#[test]
fn a_content_is_there_as_long_as_a_release_has_it() {
    let mirror = Mirror::serving(&[("a", CONTENT)]);
    tree("1.3.0", &[("b", CONTENT)])
        .publish(&mirror.store)
        .unwrap();
    for (gone, status) in [(VERSION, 200), ("1.3.0", 404)] {
        mirror
            .store
            .remove_release(&tool(), &version(gone))
            .unwrap();
        mirror.store.collect_garbage().unwrap();
        assert_eq!(mirror.get(&at(CONTENT)).status, status);
    }
}

#[test]
fn a_large_content_is_resumed_anywhere() {
    let content = noise(300_000);
    let mirror = Mirror::serving(&[("model", &content)]);
    for offset in [1, 4096, 299_999] {
        let range = format!("bytes={offset}-");
        let answer = mirror
            .client()
            .ask("GET", &at(&content), &[("Range", &range)]);
        assert!(
            answer.status == 206 && answer.body == content[offset..],
            "{offset}"
        );
    }
}

/// Who has a digest gets no other thing of the store by it.
#[cfg(unix)]
#[test]
fn a_link_in_the_place_of_a_content_is_not_followed() {
    let mirror = Mirror::serving(&[("a", CONTENT)]);
    let place = blob(mirror.store.path(), CONTENT);
    std::fs::remove_file(&place).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", &place).unwrap();
    assert_eq!(mirror.get(&at(CONTENT)).status, 500);
}
