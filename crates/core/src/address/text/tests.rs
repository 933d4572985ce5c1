use proptest::prelude::*;

use super::*;

const RELAY: &str = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";

#[test]
fn what_multiaddr_writes_is_read_back() {
    let hash = Multihash::wrap(0x12, &[0xfb; 32]).expect("a sha2-256");
    let protocols = [
        Protocol::Ip4([192, 0, 2, 1].into()),
        Protocol::Ip6("2001:db8::1".parse().expect("an address")),
        Protocol::Dns("relay.example".into()),
        Protocol::Dns4("a".into()),
        Protocol::Dns6("b".into()),
        Protocol::Dnsaddr("c".into()),
        Protocol::Sni("d".into()),
        Protocol::Tcp(65535),
        Protocol::Udp(1),
        Protocol::Memory(u64::MAX),
        Protocol::Tls,
        Protocol::Noise,
        Protocol::Quic,
        Protocol::QuicV1,
        Protocol::Ws("/".into()),
        Protocol::Wss("/".into()),
        Protocol::Ws("/a b/ü?c=%2F".into()),
        Protocol::Wss("/%".into()),
        Protocol::Http,
        Protocol::Https,
        Protocol::WebRTC,
        Protocol::WebRTCDirect,
        Protocol::WebTransport,
        Protocol::Certhash(hash),
        Protocol::P2p(RELAY.parse().expect("a peer id")),
        Protocol::P2pCircuit,
    ];
    for protocol in &protocols {
        let address = Multiaddr::empty().with(protocol.clone());
        assert_eq!(parse_multiaddr(&address.to_string()).as_ref(), Ok(&address), "{protocol}");
    }
    let all: Multiaddr = protocols.into_iter().collect();
    assert_eq!(parse_multiaddr(&all.to_string()), Ok(all));
}

#[test]
fn what_is_wrong_is_named() {
    let told = |text: &str| parse_multiaddr(text).expect_err(text).to_string();
    assert_eq!(told("ip4/127.0.0.1"), "it does not begin with a slash");
    assert_eq!(told("/"), "\"\" is no protocol that is known here");
    assert_eq!(told("/ip4/127.0.0.1/tcp/1/"), "\"\" is no protocol that is known here");
    assert_eq!(told("/onion/aaimaq4ygg2iegci:80"), "\"onion\" is no protocol that is known here");
    assert_eq!(told("/ip4/127.0.0.1/tcp"), "/tcp needs a value after it");
    assert_eq!(told("/dns//tcp/1"), "/dns needs a value after it");
    assert_eq!(told("/ip4/300.0.0.1"), "/ip4/300.0.0.1 is not a valid ip4");
    assert_eq!(told("/tcp/65536"), "/tcp/65536 is not a valid tcp");
    assert_eq!(told("/p2p/nobody"), "/p2p/nobody is not a valid p2p");
    // Another multibase, a letter too many, a letter that is none, bits that belong to no byte.
    for hash in ["zQm", "uEgAA", "uEg!", "uEgB"] {
        assert_eq!(told(&format!("/certhash/{hash}")), format!("/certhash/{hash} is not a valid certhash"));
    }
}

fn part() -> impl Strategy<Value = String> {
    let names = "ip4|ip6|dns|tcp|udp|ws|wss|x-parity-ws|tls|certhash|p2p|p2p-circuit|webrtc-direct|memory|sni";
    prop_oneof![
        names,
        "[0-9]{1,6}",
        "u[A-Za-z0-9_-]{0,8}",
        "[a-z.%:0-9]{0,12}",
        Just("127.0.0.1".to_owned()),
        Just(RELAY.to_owned())
    ]
}

proptest! {
    #[test]
    fn nothing_is_read_that_multiaddr_would_not_read(parts in prop::collection::vec(part(), 0..6), slash: bool) {
        let text = format!("{}{}", if slash { "/" } else { "" }, parts.join("/"));
        if let Ok(address) = parse_multiaddr(&text) {
            prop_assert_eq!(text.parse().ok(), Some(address));
        }
    }

    #[test]
    fn hashes_are_read_as_multiaddr_reads_them(digest in prop::collection::vec(any::<u8>(), 0..64), cut in 0_usize..90) {
        let hash = Multihash::wrap(0x12, &digest).expect("at most 64 bytes");
        let text = Multiaddr::empty().with(Protocol::Certhash(hash)).to_string();
        let text = &text[..text.len().min(10 + cut)];
        prop_assert_eq!(parse_multiaddr(text).ok(), text.parse().ok());
    }
}
