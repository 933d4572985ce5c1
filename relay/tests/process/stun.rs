//! STUN as the relay's operator and a client see it.

use std::{
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use crate::support::{Relay, get, run};

/// The least binding request: a type, no attributes, the cookie, a transaction.
const REQUEST: [u8; 20] = *b"\x00\x01\x00\x00\x21\x12\xa4\x42twelve bytes";

/// The only address that the relay lists.
fn listed(relay: &Relay) -> SocketAddr {
    let bootstrap = relay.get("/bootstrap.json").json();
    let [url] = bootstrap["stun"].as_array().unwrap().as_slice() else { panic!("{bootstrap}") };
    url.as_str().unwrap().strip_prefix("stun:").unwrap().parse().unwrap()
}

/// The IPv4 address in an answer that holds nothing else.
fn mapped(answer: &[u8]) -> SocketAddr {
    assert_eq!(answer[..2], [1, 1], "{answer:?}");
    assert_eq!(answer[4..20], REQUEST[4..]);
    assert_eq!(answer[20..26], [0x00, 0x20, 0, 8, 0, 1]);
    let port = u16::from_be_bytes([answer[26] ^ REQUEST[4], answer[27] ^ REQUEST[5]]);
    let ip: Vec<_> = answer[28..32].iter().zip(&REQUEST[4..8]).map(|(byte, key)| byte ^ key).collect();
    SocketAddr::from(([ip[0], ip[1], ip[2], ip[3]], port))
}

fn ask(server: SocketAddr) -> (SocketAddr, SocketAddr) {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    client.send_to(&REQUEST, server).unwrap();
    let mut buffer = [0; 600];
    let (length, from) = client.recv_from(&mut buffer).unwrap();
    assert_eq!((length, from), (32, server));
    (mapped(&buffer[..length]), client.local_addr().unwrap())
}

#[test]
fn whoever_asks_where_the_relay_says_learns_their_address() {
    let directory = tempfile::tempdir().unwrap();
    let relay = Relay::start(directory.path(), &[]);
    let (told, own) = ask(listed(&relay));
    assert_eq!(told, own);
    let metrics = get(&relay.metrics, "/metrics", &[]).text();
    assert!(metrics.contains("openred_stun_datagrams_total{result=\"answered\"} 1\n"), "{metrics}");
    assert!(relay.process.log().contains(&format!("stun=\"{}\"", listed(&relay))), "{}", relay.process.log());
    relay.process.stop();
}

#[test]
fn it_is_answered_where_it_is_told_or_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    let told = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let relay = Relay::start(directory.path(), &["--stun", &told.to_string()]);
    assert_eq!(listed(&relay), told);
    ask(told);
    relay.process.stop();

    let relay = Relay::start(directory.path(), &["--stun", "off"]);
    assert!(relay.get("/bootstrap.json").json()["stun"].as_array().unwrap().is_empty());
    relay.process.stop();
}

#[test]
fn a_taken_port_that_was_asked_for_is_named() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let ports = ["--http", "127.0.0.1:0", "--metrics", "127.0.0.1:0"];
    let refused = run(&[&["relay", "--data", data, "--stun", &address], &ports[..]].concat(), b"");
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains(&format!("--stun: `{address}` is in use")), "{}", refused.err);
}
