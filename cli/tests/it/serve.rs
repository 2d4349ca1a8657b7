use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::world::World;

/// A request by hand, so that what is read is what the server sent.
fn get(base: &str, path: &str) -> String {
    let address = base
        .strip_prefix("http://")
        .unwrap()
        .split('/')
        .next()
        .unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_missing_store_is_served_and_sees_what_is_published_into_it() {
    let world = World::new();
    let server = world.serve();
    assert!(
        server.base.starts_with("http://127.0.0.1:"),
        "{}",
        server.base
    );
    assert!(server.base.ends_with("/api/v1/tools/"));
    assert!(get(&server.base, "/healthz").starts_with("HTTP/1.1 200"));
    let file = "/api/v1/tools/sketcher/1.0.0/files/old.txt";
    assert!(get(&server.base, file).starts_with("HTTP/1.1 404"));

    let published = world.run(&["publish", "v1", "--store", "store"]).exits(0);
    published
        .says("sketcher 1.0.0 (5 files")
        .says("sketcher/1.0.0/manifest.json");
    let answer = get(&server.base, file);
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nold\n"),
        "{answer}"
    );
}

#[test]
fn publishing_again_is_fine_but_not_with_other_content() {
    let world = World::new();
    let publish = |folder| {
        world.run(&[
            "publish",
            folder,
            "--store",
            "store",
            "--tool-version",
            "1.0.0",
        ])
    };
    publish("v1").exits(0);
    publish("v1").exits(0).says("published already");
    publish("v2")
        .exits(4)
        .notes("published already, with the manifest hash");
}

#[test]
fn an_address_that_is_taken_is_an_error() {
    let world = World::new();
    let server = world.serve();
    let address = server
        .base
        .strip_prefix("http://")
        .unwrap()
        .split('/')
        .next()
        .unwrap();
    let second = world
        .run(&["serve", "--store", "store", "--listen", address])
        .exits(1);
    second
        .notes("error: cannot listen on")
        .notes("  caused by: ");
}
