//! The one port, spoken to by hand.

use std::io::{Read, Write};

use crate::support::{Relay, connect, get};

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

    // An upgraded connection that does not speak libp2p: first a text message, then bytes of no protocol.
    let upgrade = "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for frame in [&b"\x81\x82\0\0\0\0hi"[..], b"\x82\x84\0\0\0\0\xff\xff\xff\xff", b"\xff\xff\xff\xff"] {
        let mut stream = connect(&relay.http);
        stream.write_all(upgrade.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        stream.write_all(frame).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    assert_eq!(relay.get("/readyz").status, 200);
    relay.process.stop();
}
