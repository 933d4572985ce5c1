use libp2p_identity::Keypair;
use proptest::prelude::*;

use super::*;

fn id(seed: u8) -> PeerId {
    Keypair::ed25519_from_bytes([seed; 32]).expect("32 bytes are a key").public().to_peer_id()
}

fn peer_of(seed: u8, failures: u32) -> RememberedPeer {
    let address = |port: u16| format!("/ip4/192.0.2.{seed}/tcp/{port}/ws").parse().expect("a multiaddr");
    RememberedPeer {
        peer: id(seed),
        addresses: vec![address(80), address(81)],
        proven: seed.is_multiple_of(2),
        roles: Roles { server: true, relay: seed.is_multiple_of(3) },
        region: "eu".to_owned(),
        rtt: (seed % 2 == 1).then(|| Duration::from_micros(u64::from(seed) * 1000)),
        successes: u32::from(seed),
        failures,
        seen: 1_800_000_000_000 + u64::from(seed),
        failed: 0,
    }
}

fn service_of(seed: u8, bytes: usize) -> RememberedService {
    RememberedService {
        name: format!("n-{seed}").parse().expect("a name"),
        bundle: vec![seed; bytes],
        until: 1_800_003_600_000,
        asked: u64::from(seed),
        uses: 3,
        cost: Duration::from_millis(40),
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        network: "main".to_owned(),
        written: 1_800_000_000_000,
        peers: (1..4).map(|seed| peer_of(seed, 0)).collect(),
        services: (1..4).map(|seed| service_of(seed, 100)).collect(),
        providers: vec![RememberedProvider { peer: id(9), answers: 1, failures: 2, took: None, at: 5 }],
        publisher: vec![1, 2, 3],
    }
}

#[test]
fn it_comes_back_as_it_was() {
    let bytes = encode(snapshot(), 256 * 1024);
    assert_eq!(decode(&bytes), Ok(snapshot()));
    assert_eq!(check(&bytes), Ok(()));
    assert!(check(&bytes[..bytes.len() - 1]).is_err());
}

#[test]
fn the_hashes_of_certificates_come_back() {
    let text = "/ip4/192.0.2.1/udp/4001/webrtc-direct/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g";
    let mut with = snapshot();
    with.peers[0].addresses = vec![text.parse().expect("a multiaddr")];
    let read = decode(&encode(with, 256 * 1024)).expect("whole");
    assert_eq!(read.peers[0].addresses[0].to_string(), text);
}

/// The digest of a known snapshot: a change of the schema needs a new version, or old memories are misread.
#[test]
fn the_bytes_are_those_of_version_one() {
    let digest = Sha256::digest(encode(snapshot(), 256 * 1024));
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "2f6084daa3f45901");
}

#[test]
fn what_is_damaged_of_another_version_or_too_long_is_refused() {
    let good = encode(snapshot(), 256 * 1024);
    for end in 0..good.len() {
        assert!(decode(&good[..end]).is_err(), "cut off after {end} bytes");
    }
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x20;
        // A bit of a tag can make a field unknown, which is skipped; never is something else read.
        assert!(decode(&bad).map_or(true, |read| read == snapshot()), "byte {at} was changed");
    }
    let content = b"whatever".to_vec();
    let other = SnapshotMessage { version: 2, sha256: Sha256::digest(&content).to_vec(), content };
    assert_eq!(decode(&other.encode_to_vec()), Err(SnapshotError::Version { version: 2 }));
    assert!(matches!(decode(&vec![0; MAX_SNAPSHOT + 1]), Err(SnapshotError::TooLarge { .. })));
}

#[test]
fn the_best_of_each_kind_fits_into_the_limit() {
    let mut large = snapshot();
    large.peers = (0..=255).map(|seed| peer_of(seed, 0)).collect();
    large.services = (0..200).map(|seed| service_of(seed, if seed == 0 { 60_000 } else { 200 })).collect();
    for limit in [0, 100, 5_000, 20_000, 60_000] {
        let bytes = encode(large.clone(), limit);
        assert!(bytes.len() <= limit.max(HEAD), "{} bytes of {limit}", bytes.len());
        let read = decode(&bytes).expect("it is whole");
        assert_eq!(read.peers, large.peers[..read.peers.len()], "the best come first");
        if limit >= 5_000 {
            assert!(!read.peers.is_empty() && !read.services.is_empty());
            assert!(!read.services.iter().any(|service| service.bundle.len() == 60_000), "too long for what is left");
        }
    }
}

#[test]
fn entries_that_cannot_be_read_cost_only_themselves() {
    let peers = vec![
        PeerMessage { peer: vec![1, 2, 3], ..PeerMessage::default() },
        PeerMessage { addresses: vec![vec![0xff; 8], vec![4; MAX_ADDRESS + 1]], ..peer_message(peer_of(1, 0)) },
    ];
    let services = vec![
        ServiceMessage { name: "No Name".to_owned(), ..ServiceMessage::default() },
        ServiceMessage { bundle: vec![0; crate::wire::bundle::MAX_ENCODED + 1], ..service_message(service_of(1, 1)) },
        service_message(service_of(2, 1)),
    ];
    let memory = MemoryMessage { network: "main".to_owned(), peers, services, ..MemoryMessage::default() };
    let content = memory.encode_to_vec();
    let sha256 = Sha256::digest(&content).to_vec();
    let read = decode(&SnapshotMessage { version: VERSION, sha256, content }.encode_to_vec()).expect("whole");
    assert_eq!(read.peers.len(), 1);
    assert!(read.peers[0].addresses.is_empty());
    assert_eq!(read.services, [service_of(2, 1)]);
}

proptest! {
    #[test]
    fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(&bytes);
        let sha256 = Sha256::digest(&bytes).to_vec();
        let _ = decode(&SnapshotMessage { version: VERSION, sha256, content: bytes }.encode_to_vec());
    }

    #[test]
    fn any_snapshot_comes_back(
        failures in any::<u32>(), seen in any::<u64>(), uses in any::<u32>(), took in 1u64..u64::MAX / 2,
        region in "[a-z-]{0,32}", bundle in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut any = snapshot();
        any.peers[0] = RememberedPeer { region, seen, rtt: Some(Duration::from_micros(took)), ..peer_of(1, failures) };
        any.services[0] = RememberedService { bundle, uses, until: seen, ..service_of(1, 0) };
        prop_assert_eq!(decode(&encode(any.clone(), 256 * 1024)), Ok(any));
    }
}
