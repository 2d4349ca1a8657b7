//! Clients that are slow, idle, too many, or there when the server ends.

use std::time::Duration;

use crate::support::{Client, Mirror, VERSION, file, noise, tree};

const SHORT: Duration = Duration::from_millis(200);

#[test]
fn f75_slow_headers_are_closed() {
    let mirror = Mirror::with(|server| server.with_header_timeout(SHORT));
    for start in [
        "",
        "P",
        "PRI * HTTP/2.0\r\n\r\n",
        "G",
        "GET /healthz HTTP/1.1\r\nHost: mirror\r\nX: ",
    ] {
        let mut client = mirror.client();
        client.send(start);
        // HTTP/2 may say good-bye; nothing gets an answer.
        let rest = client.until_closed();
        assert!(!rest.starts_with(b"HTTP/1.1 200"), "{start:?}");
    }
    let mut kept_open = mirror.client();
    assert_eq!(kept_open.ask("GET", "/healthz", &[]).status, 200);
    kept_open.send("GET /heal");
    assert!(kept_open.until_closed().is_empty());
    let mut http_2 = mirror.client();
    http_2.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0");
    http_2.until_closed();
}

#[test]
fn f75_who_does_not_read_is_closed() {
    let content = noise(32 * 1024 * 1024);
    let mirror = Mirror::with(|server| server.with_stall_timeout(SHORT).with_max_connections(1));
    tree(VERSION, &[("model.bin", &content), ("a.txt", b"text")])
        .publish(&mirror.store)
        .unwrap();
    let mut slow = mirror.client();
    slow.request("GET", &file("model.bin"), &[]);
    // There is one place, so this is served only when the slow client has lost it.
    assert_eq!(mirror.get(&file("a.txt")).body, b"text");
    assert!(slow.until_closed().len() < content.len());
}

#[test]
fn f75_an_idle_connection_gives_its_place_to_others() {
    let mirror = Mirror::with(|server| server.with_header_timeout(SHORT).with_max_connections(1));
    let idle = mirror.client();
    assert_eq!(mirror.get("/healthz").status, 200);
    assert!(idle.until_closed().is_empty());
}

#[test]
fn f77_shutdown_finishes_answers_and_closes_the_rest() {
    let content = noise(32 * 1024 * 1024);
    let mirror = Mirror::new();
    tree(VERSION, &[("model.bin", &content)])
        .publish(&mirror.store)
        .unwrap();
    let address = mirror.server.local_addr();
    let silent = mirror.client();
    let mut idle = mirror.client();
    assert_eq!(idle.ask("GET", "/healthz", &[]).status, 200);
    let mut busy = mirror.client();
    busy.request("GET", &file("model.bin"), &[]);
    busy.wait_for_first_byte();
    let shutdown = mirror.runtime.spawn(mirror.server.shutdown());
    assert!(idle.until_closed().is_empty());
    assert!(silent.until_closed().is_empty());
    let answer = busy.answer("GET");
    assert!(answer.body == content);
    mirror.runtime.block_on(shutdown).unwrap().unwrap();
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn f77_shutdown_has_a_deadline() {
    let content = noise(32 * 1024 * 1024);
    let mirror = Mirror::with(|server| server.with_drain_timeout(SHORT));
    tree(VERSION, &[("model.bin", &content)])
        .publish(&mirror.store)
        .unwrap();
    let mut stuck = mirror.client();
    stuck.request("GET", &file("model.bin"), &[]);
    stuck.wait_for_first_byte();
    mirror.runtime.block_on(mirror.server.shutdown()).unwrap();
    assert!(stuck.until_closed().len() < content.len());
}

#[test]
fn a_server_that_is_dropped_cuts_off_its_answers_and_frees_its_address() {
    let content = noise(32 * 1024 * 1024);
    let mirror = Mirror::new();
    tree(VERSION, &[("model.bin", &content)])
        .publish(&mirror.store)
        .unwrap();
    let server = {
        let _context = mirror.runtime.enter();
        mirror::Server::bind(mirror.store.clone(), "127.0.0.1:0".parse().unwrap()).unwrap()
    };
    let address = server.local_addr();
    let run = mirror.runtime.spawn(server.run(std::future::pending()));
    let mut client = Client::connect(address);
    client.request("GET", &file("model.bin"), &[]);
    client.wait_for_first_byte();
    run.abort();
    assert!(client.until_closed().len() < content.len());
    assert!(mirror.runtime.block_on(run).unwrap_err().is_cancelled());
    drop(mirror::Server::bind(mirror.store.clone(), address).unwrap());
}

#[test]
fn a_shutdown_goes_on_without_who_waits_for_it() {
    let mirror = Mirror::with(|server| server.with_drain_timeout(Duration::from_hours(1)));
    let address = mirror.server.local_addr();
    let client = mirror.client();
    mirror.runtime.block_on(async {
        // Polled once, which starts it, and dropped.
        tokio::select! {
            biased;
            _ = mirror.server.shutdown() => {}
            () = std::future::ready(()) => {}
        }
    });
    assert!(client.until_closed().is_empty());
    while std::net::TcpStream::connect(address).is_ok() {
        std::thread::yield_now();
    }
}

#[test]
fn an_address_in_use_is_a_bind_error() {
    let mirror = Mirror::new();
    let address = mirror.server.local_addr();
    let error = mirror::Server::bind(mirror.store.clone(), address).unwrap_err();
    assert_eq!(error.kind(), mirror::ErrorKind::Bind);
    assert!(error.to_string().contains(&address.to_string()));
    let chain = format!("{error:#}");
    assert!(chain.starts_with(&format!("{error}: ")), "{chain}");
}
