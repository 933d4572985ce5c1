use proptest::prelude::*;

use super::*;

const PEER: &str = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";
const CERTHASH: &str = "uEiAkH5a4DPGKUuOBjYw0CgwjvcJCJMD2K_1aluKR_tpevQ";

fn parse(text: &str) -> RelayAddress {
    RelayAddress::parse(text, false).unwrap_or_else(|error| panic!("{error}"))
}

fn dialled(text: &str) -> String {
    parse(text).multiaddr.to_string()
}

fn refused(text: &str) -> AddressError {
    RelayAddress::parse(text, false).expect_err(text)
}

#[test]
fn urls_become_websockets() {
    assert_eq!(dialled("https://relay.example"), "/dns/relay.example/tcp/443/tls/ws");
    assert_eq!(dialled("http://relay.example/"), "/dns/relay.example/tcp/80/ws");
    assert_eq!(dialled("HTTPS://Relay.Example:8443"), "/dns/relay.example/tcp/8443/tls/ws");
    assert_eq!(dialled("ws://127.0.0.1:8080"), "/ip4/127.0.0.1/tcp/8080/ws");
    assert_eq!(dialled("wss://[2001:db8::1]"), "/ip6/2001:db8::1/tcp/443/tls/ws");
    assert_eq!(dialled("http://[::1]:8080/"), "/ip6/::1/tcp/8080/ws");
    assert_eq!(dialled("https://relay.example./#/rooms"), "/dns/relay.example/tcp/443/tls/ws");
    assert_eq!(dialled("http://localhost:"), "/dns/localhost/tcp/80/ws");
}

#[test]
fn the_path_of_a_url_stays() {
    let path = |text: &str| match parse(text).multiaddr.iter().last() {
        Some(Protocol::Ws(path)) => path.into_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(path("https://example.org/openred/relay"), "/openred/relay");
    assert_eq!(path("https://example.org?token=1"), "/?token=1");
    assert_eq!(path("https://example.org"), "/");
}

#[test]
fn host_and_port_follow_the_page() {
    let both = |text| [false, true].map(|secure| RelayAddress::parse(text, secure).unwrap().multiaddr.to_string());
    assert_eq!(both("relay.example:443"), ["/dns/relay.example/tcp/443/ws", "/dns/relay.example/tcp/443/tls/ws"]);
    assert_eq!(both("[::1]:8080"), ["/ip6/::1/tcp/8080/ws", "/ip6/::1/tcp/8080/tls/ws"]);
    assert_eq!(both("192.0.2.1:65535"), ["/ip4/192.0.2.1/tcp/65535/ws", "/ip4/192.0.2.1/tcp/65535/tls/ws"]);
    // A URL says itself what it is.
    assert_eq!(both("http://relay.example"), ["/dns/relay.example/tcp/80/ws", "/dns/relay.example/tcp/80/ws"]);
}

#[test]
fn multiaddrs_are_taken_as_they_are_and_the_peer_apart() {
    for text in [
        "/ip4/127.0.0.1/tcp/8080/ws",
        "/dns4/relay.example/tcp/443/tls/ws",
        "/dns6/relay.example/tcp/443/wss",
        "/ip6/::1/tcp/4001",
        "/ip4/192.0.2.1/udp/4001/quic-v1",
        &format!("/ip4/192.0.2.1/udp/4001/webrtc-direct/certhash/{CERTHASH}"),
    ] {
        assert_eq!((dialled(text).as_str(), parse(text).peer), (text, None));
        let with_peer = format!("{text}/p2p/{PEER}");
        assert_eq!((dialled(&with_peer).as_str(), parse(&with_peer).peer), (text, Some(PEER.parse().unwrap())));
        assert_eq!(parse(&with_peer).to_string(), with_peer);
    }
}

#[test]
fn whatever_is_wrong_is_named_with_the_forms_that_are_right() {
    use AddressError::*;
    let relayed = format!("/dns/r.example/tcp/443/tls/ws/p2p/{PEER}/p2p-circuit");
    type Expected = fn(&AddressError) -> bool;
    let cases: &[(&str, Expected)] = &[
        ("", |e| matches!(e, Host { reason: "there is no host", .. } | NoPort { .. })),
        ("relay.example", |e| matches!(e, NoPort { .. })),
        ("127.0.0.1", |e| matches!(e, NoPort { .. })),
        ("relay.example:", |e| matches!(e, NoPort { .. })),
        (":8080", |e| matches!(e, Host { .. })),
        ("relay.example:http", |e| matches!(e, Port { port, .. } if port == "http")),
        ("relay.example:0", |e| matches!(e, Port { .. })),
        ("relay.example:65536", |e| matches!(e, Port { .. })),
        ("relay.example:+80", |e| matches!(e, Port { .. })),
        ("http://relay.example:99999/", |e| matches!(e, Port { .. })),
        ("relay.example:80/path", |e| matches!(e, Port { .. })),
        ("::1:8080", |e| matches!(e, Host { reason: "an IPv6 address goes in [ ]", .. })),
        ("[::1", |e| matches!(e, Host { .. })),
        ("[::1]8080", |e| matches!(e, Host { .. })),
        ("[relay]:80", |e| matches!(e, Host { .. })),
        ("256.0.0.1:80", |e| matches!(e, Host { reason: "it is not an IPv4 address", .. })),
        ("relay..example:80", |e| matches!(e, Host { .. })),
        ("relay example:80", |e| matches!(e, Host { .. })),
        ("relé.example:80", |e| matches!(e, Host { .. })),
        ("ftp://relay.example", |e| matches!(e, Scheme { scheme, .. } if scheme == "ftp")),
        ("https://", |e| matches!(e, Host { .. })),
        ("https://me@relay.example", |e| matches!(e, UserInfo { .. })),
        ("https://relay.example/a b", |e| matches!(e, Path { found: ' ', .. })),
        ("/ip4/300.0.0.1/tcp/1", |e| matches!(e, Multiaddr { .. })),
        ("/nonsense", |e| matches!(e, Multiaddr { .. })),
        ("/", |e| matches!(e, Transport { .. } | Multiaddr { .. })),
        ("/ip4/127.0.0.1", |e| matches!(e, Transport { .. })),
        ("/ip4/127.0.0.1/udp/4001/quic", |e| matches!(e, Transport { .. })),
        ("/ip4/127.0.0.1/tcp/80/http", |e| matches!(e, Transport { .. })),
        ("/dnsaddr/relay.example", |e| matches!(e, Transport { .. })),
        ("/memory/7", |e| matches!(e, Transport { .. })),
        ("/ip4/127.0.0.1/tcp/0/ws", |e| matches!(e, Port { .. })),
        ("/ip4/0.0.0.0/tcp/80/ws", |e| matches!(e, Unspecified { .. })),
        ("/ip4/127.0.0.1/udp/4001/webrtc-direct", |e| matches!(e, Certhash { .. })),
        (&relayed, |e| matches!(e, Relayed { .. })),
    ];
    for (text, expected) in cases {
        let error = refused(text);
        assert!(expected(&error), "{text:?} gave {error:?}");
        assert_eq!(error.code(), "INVALID_ADDRESS");
        let message = error.to_string();
        assert!(message.contains(text), "{message}");
        let shows_the_way = ["https://relay.example", "/quic-v1", "/certhash/HASH"];
        assert!(shows_the_way.iter().any(|form| message.contains(form)), "{message}");
    }
    assert!(matches!(refused(&"x".repeat(3000)), TooLong { bytes: 3000 }));
}

#[test]
fn only_sha2_256_certificates_can_be_checked() {
    // A sha1, of 20 bytes.
    let sha1 = multiaddr::multiaddr!(Ip4([192, 0, 2, 1]), Udp(1_u16), WebRTCDirect)
        .with(Protocol::Certhash(multihash::Multihash::wrap(0x11, &[1; 20]).unwrap()));
    assert!(matches!(refused(&sha1.to_string()), AddressError::Certhash { .. }));
}

#[test]
fn private_addresses_are_told_from_public_ones() {
    let private = |text: &str| is_private(&text.parse().expect(text));
    for text in [
        "/ip4/127.0.0.1/tcp/1",
        "/ip4/10.1.2.3/tcp/1",
        "/ip4/172.31.0.1/tcp/1",
        "/ip4/192.168.1.1/tcp/1",
        "/ip4/169.254.1.1/tcp/1",
        "/ip4/100.64.0.1/tcp/1",
        "/ip6/::1/tcp/1",
        "/ip6/fe80::1/tcp/1",
        "/ip6/fd00::1/tcp/1",
        "/ip6/::ffff:192.168.1.1/tcp/1",
        "/ip4/0.1.2.3/tcp/1",
        "/ip4/192.0.0.170/tcp/1",
        "/ip4/224.0.0.1/udp/1",
        "/ip4/255.255.255.255/udp/1",
        "/ip6/::/tcp/1",
        "/ip6/::10.0.0.1/tcp/1",
        "/ip6/64:ff9b::10.0.0.1/tcp/1",
        "/ip6/64:ff9b:1::8.8.8.8/tcp/1",
        "/ip6/2002:7f00:1::1/tcp/1",
        "/ip6/fec0::1/tcp/1",
        "/ip6/ff02::1/udp/1",
        "/dns/localhost/tcp/1",
        "/dns4/a.localhost./tcp/1",
        "/dns6/Printer.Local/tcp/1",
    ] {
        assert!(private(text), "{text}");
    }
    for text in [
        "/ip4/192.0.2.1/tcp/1",
        "/ip4/172.32.0.1/tcp/1",
        "/ip4/100.128.0.1/tcp/1",
        "/ip6/2001:db8::1/tcp/1",
        "/ip6/::ffff:192.0.2.1/tcp/1",
        "/ip6/64:ff9b::8.8.8.8/tcp/1",
        "/ip6/2002:808:808::1/tcp/1",
        "/dns/relay.example/tcp/1",
        "/dns/notlocalhost/tcp/1",
    ] {
        assert!(!private(text), "{text}");
    }
}

#[test]
fn only_hosts_of_the_public_internet_are_global() {
    let global = |text: &str| is_global(&text.parse().expect(text));
    for text in [
        "/ip4/1.1.1.1/tcp/1",
        "/ip4/9.9.9.9/udp/1/quic-v1",
        "/ip4/100.63.255.255/tcp/1",
        "/ip4/100.128.0.0/tcp/1",
        "/ip4/172.15.255.255/tcp/1",
        "/ip4/172.32.0.0/tcp/1",
        "/ip4/192.0.1.1/tcp/1",
        "/ip4/198.20.0.0/tcp/1",
        "/ip4/223.255.255.255/tcp/1",
        "/ip6/2001:200::1/tcp/1",
        "/ip6/2001:4860:4860::8888/tcp/1",
        "/ip6/2606:4700::1111/tcp/1",
        "/ip6/3fff:1000::1/tcp/1",
    ] {
        assert!(global(text), "{text}");
    }
    for text in [
        "/ip4/0.0.0.0/tcp/1",
        "/ip4/0.255.255.255/tcp/1",
        "/ip4/10.0.0.1/tcp/1",
        "/ip4/100.64.0.0/tcp/1",
        "/ip4/100.127.255.255/tcp/1",
        "/ip4/127.0.0.1/tcp/1",
        "/ip4/169.254.169.254/tcp/80",
        "/ip4/172.16.0.1/tcp/1",
        "/ip4/192.0.0.1/tcp/1",
        "/ip4/192.0.2.1/tcp/1",
        "/ip4/192.88.99.1/tcp/1",
        "/ip4/192.168.0.1/tcp/1",
        "/ip4/198.18.0.1/tcp/1",
        "/ip4/198.51.100.1/tcp/1",
        "/ip4/203.0.113.1/tcp/1",
        "/ip4/224.0.0.1/udp/1",
        "/ip4/240.0.0.1/tcp/1",
        "/ip4/255.255.255.255/udp/1",
        "/ip6/::/tcp/1",
        "/ip6/::1/tcp/1",
        "/ip6/::ffff:10.0.0.1/tcp/1",
        "/ip6/::ffff:9.9.9.9/tcp/1",
        "/ip6/64:ff9b::10.0.0.1/tcp/1",
        "/ip6/64:ff9b::9.9.9.9/tcp/1",
        "/ip6/64:ff9b:1::1/tcp/1",
        "/ip6/100::1/tcp/1",
        "/ip6/2001::1/tcp/1",
        "/ip6/2001:2::1/tcp/1",
        "/ip6/2001:db8::1/tcp/1",
        "/ip6/2002:a00:1::1/tcp/1",
        "/ip6/3fff::1/tcp/1",
        "/ip6/fc00::1/tcp/1",
        "/ip6/fe80::1/tcp/1",
        "/ip6/fec0::1/tcp/1",
        "/ip6/ff02::1/udp/1",
        "/dns4/node.example/tcp/1",
        "/dnsaddr/node.example",
        "/p2p-circuit",
    ] {
        assert!(!global(text), "{text}");
    }
}

#[test]
fn circuits_lead_through_the_relay_they_name() {
    let relay = parse("https://relay.example").multiaddr;
    let peer = PEER.parse().unwrap();
    let circuit = circuit_through(&relay, peer);
    assert_eq!(circuit.to_string(), format!("/dns/relay.example/tcp/443/tls/ws/p2p/{PEER}/p2p-circuit"));
    assert_eq!(circuit_through(&relay.clone().with(Protocol::P2p(peer)), peer), circuit);
    assert!(is_relayed(&circuit) && !is_relayed(&relay));
    assert!(!is_relayed(&circuit.with(Protocol::WebRTC)), "a browser that its relay helps to find");
    assert!(is_private(&circuit_through(&parse("localhost:1").multiaddr, peer)));
}

proptest! {
    #[test]
    fn any_text_is_an_address_or_a_clear_error(
        text in "\\PC{0,60}|[a-z:/.\\[\\]0-9@?#-]{0,40}|(https?|wss?)://[a-z.:0-9/]{0,30}",
    ) {
        match RelayAddress::parse(&text, true) {
            Ok(address) => {
                prop_assert_eq!(address.to_string(), text.trim());
                // What was understood survives being written as a multiaddr.
                let again = RelayAddress::parse(&address.multiaddr.to_string(), true);
                prop_assert_eq!(again.unwrap().multiaddr, address.multiaddr);
            }
            Err(error) => prop_assert_eq!(error.code(), "INVALID_ADDRESS"),
        }
    }
}
