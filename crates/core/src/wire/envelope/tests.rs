use super::*;

const TEST: Purpose = Purpose { domain: "domain", payload_type: b"type" };

fn key() -> Keypair {
    Keypair::ed25519_from_bytes([1; 32]).unwrap()
}

fn sealed() -> Vec<u8> {
    seal(&key(), TEST, b"payload".to_vec()).unwrap()
}

fn parts() -> Envelope {
    Envelope::decode(&sealed()[..]).unwrap()
}

#[test]
fn what_was_sealed_opens() {
    let opened = open(&sealed(), TEST).unwrap();
    assert_eq!(opened.payload, b"payload");
    assert_eq!(opened.signer, key().public());
    assert_eq!(opened.canonical, sealed());
}

#[test]
fn the_length_is_known_before() {
    for length in [1, 100, 127, 128, 1900] {
        assert_eq!(seal(&key(), TEST, vec![0; length]).unwrap().len(), sealed_len(TEST, length));
    }
}

#[test]
fn nothing_signed_can_be_changed() {
    for i in 0..sealed().len() {
        let mut bytes = sealed();
        bytes[i] ^= 1;
        assert!(open(&bytes, TEST).is_err(), "byte {i}");
    }
    assert_eq!(
        open(&Envelope { payload: b"other".into(), ..parts() }.encode_to_vec(), TEST),
        Err(EnvelopeError::Signature)
    );
}

#[test]
fn a_signature_holds_for_its_purpose_only() {
    let other_domain = Purpose { domain: "domaim", ..TEST };
    assert_eq!(open(&sealed(), other_domain), Err(EnvelopeError::Signature));
    let other_type = Purpose { payload_type: b"typf", ..TEST };
    assert_eq!(open(&sealed(), other_type), Err(EnvelopeError::PayloadType));
    // The same bytes in a row, divided otherwise between domain and type.
    let shifted = Purpose { domain: "domaint", payload_type: b"ype" };
    let envelope = Envelope { payload_type: b"ype".to_vec(), ..parts() };
    assert_eq!(open(&envelope.encode_to_vec(), shifted), Err(EnvelopeError::Signature));
}

#[test]
fn what_strangers_append_is_dropped() {
    let unknown_field = [&sealed()[..], &[0x32, 3, 1, 2, 3]].concat();
    assert_eq!(open(&unknown_field, TEST).unwrap().canonical, sealed());
    // The last of two equal fields counts.
    let twice = [&[0x1a, 1, b'x'][..], &sealed()].concat();
    assert_eq!(open(&twice, TEST).unwrap().canonical, sealed());
    let public_key = [key().public().encode_protobuf(), vec![0x18, 1]].concat();
    let in_the_key = Envelope { public_key, ..parts() }.encode_to_vec();
    assert_eq!(open(&in_the_key, TEST).unwrap().canonical, sealed());
}

#[cfg(feature = "server")]
#[test]
fn an_envelope_begins_with_what_the_signers_peer_id_tells() {
    let field = key_field(&key().public().to_peer_id()).unwrap();
    assert_eq!(sealed()[..field.len()], field);
    let hashed = PeerId::from_multihash(multihash::Multihash::wrap(0x12, &[7; 32]).unwrap()).unwrap();
    assert_eq!(key_field(&hashed), None);
}

#[test]
fn only_ed25519_keys_count() {
    // A secp256k1 key: type 2 and 33 bytes.
    let secp256k1 = [&[0x08, 2, 0x12, 33, 2][..], &[1; 32]].concat();
    let error = open(&Envelope { public_key: secp256k1, ..parts() }.encode_to_vec(), TEST).unwrap_err();
    assert!(matches!(error, EnvelopeError::KeyType | EnvelopeError::PublicKey));
    assert_eq!(
        open(&Envelope { public_key: vec![1, 2, 3], ..parts() }.encode_to_vec(), TEST),
        Err(EnvelopeError::PublicKey)
    );
    assert!(matches!(open(b"no envelope", TEST), Err(EnvelopeError::Malformed(_))));
}
