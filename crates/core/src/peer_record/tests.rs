use multiaddr::multiaddr;

use super::*;

fn key(seed: u8) -> Keypair {
    Keypair::ed25519_from_bytes([seed; 32]).unwrap()
}

fn record(sequence: u64) -> PeerRecord {
    PeerRecord {
        peer: key(1).public().to_peer_id(),
        sequence,
        addresses: vec![
            multiaddr!(Ip4([192, 0, 2, 1]), Tcp(443_u16)),
            multiaddr!(Ip6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]), Udp(443_u16), QuicV1),
        ],
    }
}

#[test]
fn a_signed_record_is_read_back_as_it_was() {
    let signed = record(7).sign(&key(1)).unwrap();
    let decoded = SignedPeerRecord::decode(signed.envelope()).unwrap();
    assert_eq!(decoded, signed);
    assert_eq!((decoded.record(), decoded.peer()), (&record(7), key(1).public().to_peer_id()));
}

#[test]
fn only_the_peer_signs_for_itself() {
    let signer = key(2).public().to_peer_id();
    assert_eq!(record(7).sign(&key(2)).unwrap_err(), PeerRecordError::NotByPeer { signer });
    let forged = envelope::seal(&key(2), wire::PURPOSE, wire::encode(&record(7))).unwrap();
    assert_eq!(SignedPeerRecord::decode(&forged).unwrap_err(), PeerRecordError::NotByPeer { signer });
}

#[test]
fn sizes_are_bounded_both_ways() {
    let address = multiaddr!(Dns("d".repeat(200)), Tcp(1_u16));
    let many = PeerRecord { addresses: vec![multiaddr!(Tcp(1_u16)); 33], ..record(7) };
    assert_eq!(many.clone().sign(&key(1)).unwrap_err(), PeerRecordError::TooMany { addresses: 33 });
    let long = PeerRecord { addresses: vec![address; 32], ..record(7) };
    assert_eq!(long.sign(&key(1)).unwrap_err().code(), "RECORD_TOO_LARGE");

    // Another implementation may sign more addresses; those within the limit are read.
    let envelope = envelope::seal(&key(1), wire::PURPOSE, wire::encode(&many)).unwrap();
    assert_eq!(SignedPeerRecord::decode(&envelope).unwrap().record().addresses.len(), MAX_ADDRESSES);
    assert_eq!(
        SignedPeerRecord::decode(&[0; MAX_ENVELOPE + 1]).unwrap_err(),
        PeerRecordError::TooLarge { bytes: MAX_ENVELOPE + 1 }
    );
}

#[test]
fn garbage_is_not_a_peer_record() {
    assert_eq!(SignedPeerRecord::decode(b"garbage").unwrap_err().code(), "REFUSED");
    let payload = envelope::seal(&key(1), wire::PURPOSE, b"garbage".to_vec()).unwrap();
    assert!(matches!(SignedPeerRecord::decode(&payload), Err(PeerRecordError::Schema(_))));
    let nobody = envelope::seal(&key(1), wire::PURPOSE, vec![0x10, 7]).unwrap();
    assert_eq!(SignedPeerRecord::decode(&nobody).unwrap_err(), PeerRecordError::Schema(SchemaError::Peer));
}

#[test]
fn the_higher_sequence_is_newer() {
    let [old, new] = [7, 8].map(|sequence| record(sequence).sign(&key(1)).unwrap());
    assert!(new.is_newer_than(&old) && !old.is_newer_than(&new) && !old.is_newer_than(&old));
}

/// Made by the `PeerRecord::new_interop` of libp2p-core 0.44 with the key of seed 1.
const OF_RUST_LIBP2P: &str = "\
    0a24080112208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c120203011a550a260024080112208a88e3\
    dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c10f8d084d8061a0c0a0a04c00002010601bbdd031a170a15350d\
    72656c61792e6578616d706c6591020fa1cd032a4065080100a4277270b336901e53080ab7210e240bd8e0809e8ea419d3b35e2dd67f61\
    631b42977e58d60ad80d4f2ec4cd4f01d3e9acff1e18197463ffc27cb202";

#[test]
fn another_implementations_record_is_read_and_written_alike() {
    let bytes: Vec<u8> = (0..OF_RUST_LIBP2P.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&OF_RUST_LIBP2P[i..i + 2], 16).unwrap())
        .collect();
    let read = SignedPeerRecord::decode(&bytes).unwrap();
    assert_eq!((read.peer(), read.record().sequence), (key(1).public().to_peer_id(), 1_795_238_008));
    assert_eq!(
        read.record().addresses,
        [
            multiaddr!(Ip4([192, 0, 2, 1]), Tcp(443_u16), Ws("/")),
            multiaddr!(Dns("relay.example"), Udp(4001_u16), QuicV1),
        ]
    );
    assert_eq!(read.record().clone().sign(&key(1)).unwrap().envelope(), bytes);
}
