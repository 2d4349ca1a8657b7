//! What a request's path can and cannot reach.

use crate::support::{Mirror, TOOL, VERSION, file};

#[test]
fn f69_no_path_leaves_the_release() {
    let mirror = Mirror::serving(&[("a.txt", b"text"), ("docs/b.txt", b"text")]);
    let mut client = mirror.client();
    for path in [
        "../a.txt",
        "../../../../../../etc/passwd",
        "docs/../a.txt",
        "docs/%2e%2e/a.txt",
        "%2e%2e/a.txt",
        "%2E%2e%2fa.txt",
        "..%2fa.txt",
        "%252e%252e%252fa.txt",
        "docs%252fb.txt",
        "..%5c..%5ca.txt",
        "docs%5cb.txt",
        "docs\\b.txt",
        "a.txt%00",
        "%00",
        "a.txt%00.png",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "C:/a.txt",
        "C%3A%5ca.txt",
        ".",
        "./a.txt",
        "docs//b.txt",
        "docs/",
        "docs",
        "a.txt/",
        "a.txt.",
        "A.TXT",
        "%c0%ae%c0%ae/a.txt",
        "%ff",
        "%zz",
        "%",
        "%u002e%u002e/a.txt",
        "nul",
        "manifest.json",
        ".staging/x",
    ] {
        let answer = client.ask("GET", &file(path), &[]);
        assert!(
            (400..500).contains(&answer.status),
            "{path}: {}",
            answer.status
        );
        assert!(!answer.error().is_empty());
    }
    for (tool, version) in [
        ("..", VERSION),
        ("%2e%2e", VERSION),
        ("a%2fb", VERSION),
        ("a%5cb", VERSION),
        ("s", VERSION),
        (TOOL, ".."),
        (TOOL, "%2e%2e"),
        (TOOL, "v%2e%2e"),
        (TOOL, "1.2.0%00"),
        (TOOL, "vv1.2.0"),
        (TOOL, "%20"),
        (TOOL, "%ff"),
        ("SKETCHER", VERSION),
    ] {
        for rest in ["manifest.json", "files/a.txt"] {
            let answer = client.ask(
                "GET",
                &format!("/api/v1/tools/{tool}/{version}/{rest}"),
                &[],
            );
            assert!(
                (400..500).contains(&answer.status),
                "{tool} {version} {rest}: {}",
                answer.status
            );
        }
    }
    assert_eq!(client.ask("GET", &file("a.txt"), &[]).body, b"text");
}

#[test]
fn names_are_decoded_exactly_once() {
    let mirror = Mirror::serving(&[
        ("a b+c.txt", b"space"),
        ("%2e%2e", b"percent"),
        ("модель/ä.txt", b"unicode"),
        ("a#b&c.txt", b"reserved"),
    ]);
    let mut client = mirror.client();
    for (path, content) in [
        ("a%20b+c.txt", &b"space"[..]),
        ("a%20b%2bc.txt?query=ignored", b"space"),
        ("%252e%252e", b"percent"),
        (
            "%D0%BC%D0%BE%D0%B4%D0%B5%D0%BB%D1%8C/%C3%A4.txt",
            b"unicode",
        ),
        (
            "%d0%bc%d0%be%d0%b4%d0%b5%d0%bb%d1%8c%2f%c3%a4.txt",
            b"unicode",
        ),
        ("a%23b%26c.txt", b"reserved"),
    ] {
        let answer = client.ask("GET", &file(path), &[]);
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (200, content),
            "{path}"
        );
    }
}

#[test]
fn a_request_that_is_no_http_is_refused() {
    let mirror = Mirror::new();
    for request in [
        "GET\r\n\r\n",
        "GET / HTTP/1.1\r\nbroken header\r\n\r\n",
        "\u{16}\u{3}\u{1}\0\0\r\n\r\n",
    ] {
        let mut client = mirror.client();
        client.send(request);
        let answer = String::from_utf8(client.until_closed()).unwrap();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400 "),
            "{request:?}: {answer}"
        );
    }
}
