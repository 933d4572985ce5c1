use libp2p_identity::Keypair;
use proptest::prelude::*;

use super::*;

fn main() -> NetworkName {
    NetworkName::default()
}

fn peer() -> PeerId {
    Keypair::ed25519_from_bytes([7; 32]).unwrap().public().to_peer_id()
}

#[test]
fn keys_are_spelled_as_the_contract_says() {
    let name: ServiceName = "chess".parse().unwrap();
    assert_eq!(Key::service(&main(), &name).as_bytes(), b"/openred/main/service/chess");
    assert_eq!(Key::service_of(&main(), &name, &peer()).to_string(), format!("/openred/main/service/chess/{}", peer()));
    assert_eq!(Key::peer(&main(), &peer()).to_string(), format!("/openred/main/peer/{}", peer()));
}

#[test]
fn a_key_read_back_is_the_key() {
    let name: ServiceName = "шахматы".parse().unwrap();
    for key in [Key::service(&main(), &name), Key::service_of(&main(), &name, &peer()), Key::peer(&main(), &peer())] {
        assert_eq!(Key::parse(&main(), key.as_bytes()).unwrap(), key);
    }
}

#[test]
fn foreign_and_crooked_keys_are_told_apart() {
    let parse = |text: &str| Key::parse(&main(), text.as_bytes()).expect_err(text);
    assert!(matches!(parse("/openred/other/service/chess"), KeyError::ForeignNetwork { .. }));
    for text in
        ["", "/", "/pk/x", "/openred/main", "/openred/main/service", "/openred/main/thing/x", "openred/main/service/x"]
    {
        assert_eq!(parse(text), KeyError::Unknown, "{text}");
    }
    assert!(matches!(parse("/openred/main/service/"), KeyError::Name(_)));
    assert!(matches!(parse("/openred/main/service/Chess"), KeyError::Name(_)));
    assert_eq!(parse("/openred/main/service/chess/"), KeyError::Peer);
    assert_eq!(parse(&format!("/openred/main/service/chess/{}/x", peer())), KeyError::Peer);
    assert_eq!(parse("/openred/main/peer/nobody"), KeyError::Peer);
    // The same peer as the text of a CID.
    assert_eq!(
        parse("/openred/main/peer/bafzaajaiaejcbsuqlkb7fy5hmfwm3gsg2kzkb6ldxc7xvkacjlqwf2tzcbbhsyk2"),
        KeyError::Peer
    );
    assert_eq!(parse(&"x".repeat(513)), KeyError::TooLong { bytes: 513 });
    assert_eq!(Key::parse(&main(), b"/openred/main/service/\xff").unwrap_err(), KeyError::Unknown);
}

#[test]
fn the_longest_names_make_keys_that_can_be_read() {
    let network: NetworkName = "n".repeat(32).parse().unwrap();
    let name: ServiceName = "s".repeat(128).parse().unwrap();
    let key = Key::service_of(&network, &name, &peer());
    assert_eq!(Key::parse(&network, key.as_bytes()).unwrap(), key);
}

#[test]
fn the_provider_key_is_a_multihash_of_the_key() {
    let key = Key::service(&main(), &"chess".parse().unwrap());
    let provider = key.provider();
    let multihash = multihash::Multihash::<32>::from_bytes(&provider).unwrap();
    assert_eq!(multihash.code(), 0x12);
    assert_eq!(multihash.digest(), key.position().as_bytes());
    assert!(is_provider_key(&provider));
    assert!(!is_provider_key(&provider[..33]));
    assert!(!is_provider_key(&[&[0x13][..], &provider[1..]].concat()));
}

#[test]
fn buckets_count_from_the_nearest() {
    let at = |byte: usize, bit: u8| {
        let mut bytes = [0; 32];
        bytes[byte] = bit;
        Position::from_bytes(bytes)
    };
    let origin = at(0, 0);
    assert_eq!(origin.distance(&origin).bucket(), None);
    assert_eq!(origin.distance(&at(31, 1)).bucket(), Some(0));
    assert_eq!(origin.distance(&at(30, 1)).bucket(), Some(8));
    assert_eq!(origin.distance(&at(0, 0xff)).bucket(), Some(255));
    assert_eq!(origin.distance(&at(0, 0xff)).leading_zeros(), 0);
    assert_eq!(origin.distance(&origin).leading_zeros(), 256);
}

proptest! {
    #[test]
    fn distance_is_a_metric_on_which_all_agree(a: [u8; 32], b: [u8; 32], c: [u8; 32]) {
        let [a, b, c] = [a, b, c].map(Position::from_bytes);
        prop_assert_eq!(a.distance(&b), b.distance(&a));
        prop_assert_eq!(a.distance(&b).bucket().is_none(), a == b);
        // XOR distances to one point are equal only for equal points.
        prop_assert_eq!(a.distance(&b) == a.distance(&c), b == c);
    }

    #[test]
    fn no_bytes_make_parsing_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = Key::parse(&main(), &bytes);
    }

    #[test]
    fn what_parses_is_spelled_as_we_would(path in "(service|peer)/[a-zé/@A-Z0-9]{0,60}") {
        let text = format!("/openred/main/{path}");
        if let Ok(key) = Key::parse(&main(), text.as_bytes()) {
            prop_assert_eq!(&Key::new(&main(), key.kind().clone()), &key);
        }
    }
}
