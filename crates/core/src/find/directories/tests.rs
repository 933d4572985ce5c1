use proptest::prelude::*;

use super::*;

fn address(text: &str) -> Multiaddr {
    text.parse().expect("a multiaddr")
}

#[test]
fn a_websocket_address_names_the_origin_of_its_relay() {
    let peer = libp2p_identity::Keypair::ed25519_from_bytes([1; 32]).expect("a key").public().to_peer_id();
    for (text, expected) in [
        ("/ip4/192.0.2.1/tcp/8080/ws", Some("http://192.0.2.1:8080")),
        ("/ip6/2001:db8::1/tcp/80/ws", Some("http://[2001:db8::1]:80")),
        ("/dns/relay.example/tcp/443/tls/ws", Some("https://relay.example:443")),
        ("/dns4/relay.example/tcp/443/wss", Some("https://relay.example:443")),
        ("/ip4/192.0.2.1/tcp/8080", None),
        ("/ip4/192.0.2.1/tcp/8080/tls", None),
        ("/ip4/192.0.2.1/udp/8080/quic-v1", None),
        ("/memory/1", None),
    ] {
        assert_eq!(origin(&address(text)).as_deref(), expected, "{text}");
    }
    let ending = address("/ip4/192.0.2.1/tcp/8080/ws").with(Protocol::P2p(peer));
    assert_eq!(origin(&ending).as_deref(), Some("http://192.0.2.1:8080"));
    let circuit = ending.with(Protocol::P2pCircuit);
    assert_eq!(origin(&circuit).as_deref(), Some("http://192.0.2.1:8080"), "the relay's own, which is harmless");
}

#[test]
fn only_hosts_that_were_reached_count_as_the_same() {
    let reached = address("/ip4/192.0.2.1/udp/4001/quic-v1");
    assert!(same_host(&reached, &address("/ip4/192.0.2.1/tcp/80/ws")));
    assert!(!same_host(&reached, &address("/ip4/192.0.2.2/tcp/80/ws")));
    assert!(!same_host(&reached, &address("/dns/victim.example/tcp/80/ws")));
    assert!(same_host(&address("/dns4/a.example/tcp/1"), &address("/dns/a.example/tcp/80/ws")));
}

#[test]
fn targets_are_escaped_as_a_segment_of_a_path() {
    assert_eq!(escaped("chess"), "chess");
    assert_eq!(escaped("a b%c"), "a%20b%25c");
    assert_eq!(escaped("шах@12D3"), "%D1%88%D0%B0%D1%85@12D3");
}

proptest! {
    /// What is escaped leaves the path's segment by no character.
    #[test]
    fn no_target_leaves_its_segment(text in any::<String>()) {
        let escaped = escaped(&text);
        prop_assert!(escaped.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~@%".contains(&byte)));
    }
}
