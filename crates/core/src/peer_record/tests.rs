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
