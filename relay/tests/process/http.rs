//! The one port, spoken to by hand.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use crate::support::{Relay, connect, get, openred};

#[test]
fn the_port_serves_page_api_and_problems() {
    let directory = tempfile::tempdir().unwrap();
    let relay = Relay::start(directory.path(), &["--region", "eu", "--max-reservations", "7", "--circuit-bytes", "0"]);

    assert_eq!(relay.get("/healthz").json()["status"], "alive");
    let ready = relay.get("/readyz");
    assert_eq!((ready.status, ready.json()["status"].as_str()), (200, Some("ready")));
    assert!(relay.get("/openapi.json").json()["paths"].is_object());
    let page = relay.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let missing = relay.get("/no/such/thing");
    assert_eq!((missing.status, missing.header("content-type")), (404, Some("application/problem+json")));

    let bootstrap = get(&relay.http, "/bootstrap.json", &["origin: https://example.org"]);
    assert_eq!(bootstrap.header("access-control-allow-origin"), Some("*"));
    let bootstrap = bootstrap.json();
    assert_eq!(bootstrap["peerId"], relay.peer);
    assert_eq!((bootstrap["network"].as_str(), bootstrap["region"].as_str()), (Some("main"), Some("eu")));
    assert_eq!(bootstrap["limits"]["reservations"], 7);
    assert_eq!(bootstrap["limits"]["circuitBytes"], 0);
    assert_eq!(bootstrap["addresses"].as_array().unwrap().len(), relay.addresses.len());

    let metrics = get(&relay.metrics, "/metrics", &[]);
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain"));
    for line in
        ["openred_up 1", "openred_http_requests_total{route=\"/healthz\",status=\"200\"} 1", "openred_connections 0"]
    {
        assert!(metrics.text().lines().any(|found| found == line), "{line} is not in\n{}", metrics.text());
    }
    relay.process.stop();
}

#[test]
fn garbage_costs_nobody_but_its_sender() {
    let directory = tempfile::tempdir().unwrap();
    let relay = Relay::start(directory.path(), &[]);
    let refused = |bytes: &[u8]| {
        let mut stream = connect(&relay.http);
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // A reset is as good an answer as an end.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    assert!(refused(b"\x16\x03\x01garbage\r\n\r\n").starts_with("HTTP/1.1 400"));
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    let answer = refused(long.as_bytes());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");

    // An upgraded connection that does not speak libp2p: a text message, bytes of no protocol, a frame of no kind.
    for frame in [&b"\x81\x82\0\0\0\0hi"[..], b"\x82\x84\0\0\0\0\xff\xff\xff\xff", b"\xff\xff\xff\xff"] {
        let mut stream = upgrade(&relay, "");
        stream.write_all(frame).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    assert_eq!(relay.get("/readyz").status, 200);
    relay.process.stop();
}

#[test]
fn a_trusted_proxy_says_who_the_peer_is_and_nobody_else() {
    for (trusted, seen) in
        [("127.0.0.0/8", "remote=/ip4/203.0.113.7/tcp/0/ws"), ("10.0.0.0/8", "remote=/ip4/127.0.0.1/tcp/")]
    {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().to_str().unwrap();
        let own =
            ["relay", "--http", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--data", data, "--trusted-proxy", trusted];
        let relay = Relay::spawn(openred(&own).env("OPENRED_LOG", "openred=debug"));
        let _peer = upgrade(&relay, "x-forwarded-for: 198.51.100.1, 203.0.113.7\r\n");
        relay.process.wait_log(seen);
        relay.process.stop();
    }
}

/// A connection to the relay that has become a WebSocket.
fn upgrade(relay: &Relay, headers: &str) -> TcpStream {
    let mut stream = connect(&relay.http);
    write!(
        stream,
        "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
    .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    stream
}
