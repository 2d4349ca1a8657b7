//! Complete answers, HEAD, and conditional requests.

use manifest_core::Sha256Digest;

use crate::support::{Client, Mirror, TOOL, VERSION, file, noise, tree};

const CONTENT: &[u8] = b"0123456789";

fn tag() -> String {
    format!("\"{}\"", Sha256Digest::of(CONTENT))
}

#[test]
fn an_empty_store_is_served() {
    let mirror = Mirror::new();
    let health = mirror.get("/healthz");
    assert_eq!((health.status, health.body.as_slice()), (200, &b"ok"[..]));
    let target = format!("/api/v1/tools/{TOOL}/{VERSION}/manifest.json");
    for target in [
        target.as_str(),
        &file("a.txt"),
        "/",
        "/api/v1/tools/",
        "/favicon.ico",
        &file(""),
    ] {
        let answer = mirror.get(target);
        assert_eq!(answer.status, 404, "{target}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    assert_eq!(
        mirror.get(&target).error(),
        "sketcher 1.2.0 is not published in this mirror"
    );
    assert!(
        mirror
            .server
            .base_url()
            .as_str()
            .ends_with("/api/v1/tools/")
    );
}

#[test]
fn a_file_is_served_with_everything_that_a_worker_needs() {
    let mirror = Mirror::serving(&[("web/index.html", CONTENT), ("model.gguf", b"")]);
    for version in [VERSION, "v1.2.0"] {
        let answer = mirror.get(&format!(
            "/api/v1/tools/{TOOL}/{version}/files/web/index.html"
        ));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body, CONTENT);
        assert_eq!(answer.header("content-length"), Some("10"));
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("etag"), Some(tag().as_str()));
        assert_eq!(
            answer.header("x-file-sha256"),
            Some(tag().trim_matches('"'))
        );
        assert_eq!(answer.header("accept-ranges"), Some("bytes"));
        assert_eq!(
            answer.header("cache-control"),
            Some("public, max-age=31536000, immutable")
        );
        assert_eq!(answer.header("last-modified"), None);
    }
    let empty = mirror.get(&file("model.gguf"));
    assert_eq!(
        (empty.status, empty.header("content-length")),
        (200, Some("0"))
    );
    assert_eq!(
        empty.header("content-type"),
        Some("application/octet-stream")
    );
    let missing = mirror.get(&file("web/other.html"));
    assert_eq!(missing.status, 404);
    assert_eq!(missing.error(), "sketcher 1.2.0 has no file web/other.html");
}

#[test]
fn a_long_file_arrives_whole_and_in_parts() {
    let content = noise(3 * 1024 * 1024 + 17);
    let mirror = Mirror::serving(&[("model.bin", &content)]);
    let mut client = mirror.client();
    assert!(client.ask("GET", &file("model.bin"), &[]).body == content);
    for (first, last) in [
        (0, 65_535),
        (0, 65_536),
        (262_143, 262_145),
        (1, 3_000_000),
        (3_145_740, 3_145_744),
    ] {
        let range = format!("bytes={first}-{last}");
        let answer = client.ask("GET", &file("model.bin"), &[("Range", &range)]);
        assert_eq!(answer.status, 206);
        assert!(answer.body == content[first..=last], "{range}");
    }
}

#[test]
fn the_manifest_is_served_as_published() {
    let mirror = Mirror::new();
    let tree = tree(VERSION, &[("a.txt", CONTENT)]);
    tree.publish(&mirror.store).unwrap();
    let target = format!("/api/v1/tools/{TOOL}/v{VERSION}/manifest.json");
    let mut client = mirror.client();
    let answer = client.ask("GET", &target, &[("Range", "bytes=0-1")]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, tree.manifest.to_bytes());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    let tag = answer.header("etag").unwrap();
    assert_eq!(tag, format!("\"{}\"", Sha256Digest::of(&answer.body)));

    let again = client.ask("GET", &target, &[("If-None-Match", tag)]);
    assert_eq!((again.status, again.header("etag")), (304, Some(tag)));
    assert_eq!(
        client
            .ask("GET", &target, &[("If-Match", "\"other\"")])
            .status,
        412
    );
    let head = client.ask("HEAD", &target, &[]);
    let length = answer.body.len().to_string();
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some(length.as_str()))
    );
}

#[test]
fn head_is_get_without_the_body_and_without_ranges() {
    let mirror = Mirror::serving(&[("a.txt", CONTENT)]);
    let mut client = mirror.client();
    let mut get = client.ask("GET", &file("a.txt"), &[]);
    let mut head = client.ask("HEAD", &file("a.txt"), &[("Range", "bytes=2-3")]);
    for answer in [&mut get, &mut head] {
        answer
            .headers
            .retain(|(name, _)| !name.eq_ignore_ascii_case("date"));
    }
    assert_eq!((head.status, &head.headers), (200, &get.headers));
    assert_eq!(
        client
            .ask("HEAD", &file("a.txt"), &[("Range", "bytes=99-")])
            .status,
        200
    );
    assert_eq!(client.ask("HEAD", &file("b.txt"), &[]).status, 404);
    assert_eq!(client.ask("HEAD", "/healthz", &[]).status, 200);
    assert_eq!(
        client.ask("GET", &file("a.txt"), &[]).body,
        CONTENT,
        "the connection is still in step"
    );
}

#[test]
fn preconditions_decide_before_ranges() {
    let mirror = Mirror::serving(&[("a.txt", CONTENT)]);
    let (tag, weak) = (tag(), format!("W/{}", tag()));
    let several = format!("\"x\", {weak}");
    let mut client = mirror.client();
    let mut status = |headers: &[(&str, &str)]| {
        let answer = client.ask("GET", &file("a.txt"), headers);
        match answer.status {
            200 => assert_eq!(answer.body, CONTENT),
            206 => assert_eq!(answer.body, b"23"),
            304 => {
                assert_eq!(answer.header("etag"), Some(tag.as_str()));
                assert!(matches!(answer.header("content-length"), None | Some("10")));
                assert_eq!(
                    answer.header("cache-control"),
                    Some("public, max-age=31536000, immutable")
                );
            }
            _ => drop(answer.error()),
        }
        answer.status
    };
    assert_eq!(status(&[("If-None-Match", &tag)]), 304);
    assert_eq!(status(&[("If-None-Match", &weak)]), 304);
    assert_eq!(status(&[("If-None-Match", &several)]), 304);
    assert_eq!(status(&[("If-None-Match", "*")]), 304);
    assert_eq!(status(&[("If-None-Match", "\"x\"")]), 200);
    assert_eq!(status(&[("If-Match", &tag)]), 200);
    assert_eq!(status(&[("If-Match", "*")]), 200);
    assert_eq!(status(&[("If-Match", &weak)]), 412);
    assert_eq!(status(&[("If-Match", "\"x\"")]), 412);
    assert_eq!(status(&[("If-Match", &tag), ("If-None-Match", &tag)]), 304);
    // A file has no date here, so a date cannot make a worker keep an old one.
    assert_eq!(
        status(&[("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT")]),
        200
    );
    assert_eq!(
        status(&[("If-Unmodified-Since", "Fri, 01 Jan 1999 00:00:00 GMT")]),
        200
    );

    let range = ("Range", "bytes=2-3");
    assert_eq!(status(&[range, ("If-None-Match", &tag)]), 304);
    assert_eq!(status(&[range, ("If-Match", "\"x\"")]), 412);
    assert_eq!(
        status(&[("Range", "bytes=99-"), ("If-Match", "\"x\"")]),
        412
    );
    assert_eq!(status(&[range, ("If-Range", &tag)]), 206);
    for stale in [
        "\"x\"",
        &weak,
        "Wed, 21 Oct 2015 07:28:00 GMT",
        "Fri, 01 Jan 2100 00:00:00 GMT",
        "x",
    ] {
        assert_eq!(status(&[range, ("If-Range", stale)]), 200, "{stale}");
        assert_eq!(
            status(&[("Range", "bytes=99-"), ("If-Range", stale)]),
            200,
            "{stale}"
        );
    }
}

#[test]
fn other_methods_are_refused() {
    let mirror = Mirror::serving(&[("a.txt", CONTENT)]);
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
        let answer = mirror
            .client()
            .ask(method, &file("a.txt"), &[("Content-Length", "0")]);
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("GET,HEAD"));
        assert!(answer.error().contains("a.txt"));
    }
}

#[test]
fn http_2_is_spoken_to_who_starts_with_it() {
    let mirror = Mirror::new();
    let mut client = Client::connect(mirror.server.local_addr());
    // The preface and an empty SETTINGS frame (RFC 9113, section 3.4).
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0");
    // HEADERS on stream 1 with END_STREAM and END_HEADERS, by the static table of RFC 7541:
    // GET, http, :path as a literal, :authority as a literal.
    let block = b"\x82\x86\x04\x08/healthz\x01\x06mirror";
    let mut frame = vec![0, 0, block.len() as u8, 1, 0x05, 0, 0, 0, 1];
    frame.extend_from_slice(block);
    client.send(frame);
    let (head, body) = client.first_http_2_answer();
    assert_eq!(head[0], 0x88, "the first header field is :status 200");
    assert_eq!(body, b"ok");
}
