use multiaddr::multiaddr;
use proptest::prelude::*;

use super::*;
use crate::wire::envelope::Purpose;

const NOW: u64 = 1_700_000_000_000;
const MINUTE: u64 = 60_000;

fn key(seed: u8) -> Keypair {
    Keypair::ed25519_from_bytes([seed; 32]).unwrap()
}

fn record() -> Record {
    Record::new("chess".parse().unwrap(), key(1).public().to_peer_id(), NOW)
}

fn signed(record: Record) -> SignedRecord {
    record.sign(&key(1)).unwrap()
}

/// An envelope as somebody would make it who does not keep the rules.
fn sign_unchecked(record: &Record, signer: &Keypair) -> Vec<u8> {
    envelope::seal(signer, wire::PURPOSE, wire::encode(record)).unwrap()
}

fn endpoint(port: u16) -> Multiaddr {
    multiaddr!(
        Dns("a-relay-with-a-name-as-long-as-they-come.in-a-region-of-its-own.somewhere.example"),
        Tcp(port),
        Tls,
        Ws("/"),
        P2p(key(9).public().to_peer_id()),
        P2pCircuit
    )
}

#[test]
fn a_signed_record_is_read_back_as_it_was() {
    let full = Record {
        kind: "k".repeat(MAX_KIND),
        endpoints: (1..=2).map(endpoint).collect(),
        metadata: [("k".repeat(24), "v".repeat(1000))].into(),
        region: "r".repeat(MAX_REGION),
        clusters: vec!["c".repeat(MAX_CLUSTER)],
        pq_key_hash: vec![1; PQ_KEY_HASH],
        ..record()
    };
    for record in [record(), full] {
        let signed = signed(record.clone());
        let decoded = SignedRecord::decode(signed.envelope()).unwrap();
        assert_eq!(decoded, signed);
        assert_eq!(decoded.into_record(), record);
    }
}

#[test]
fn what_is_too_large_is_named_with_its_size_and_limit() {
    let too_large = |change: fn(&mut Record)| {
        let mut record = record();
        change(&mut record);
        let refused = SignedRecord::decode(&sign_unchecked(&record, &key(1))).unwrap_err();
        let error = record.sign(&key(1)).unwrap_err();
        assert_eq!(error.code(), "RECORD_TOO_LARGE");
        assert_eq!(refused.code(), "RECORD_TOO_LARGE");
        match error {
            RecordError::TooLarge { measure, size, limit } => (measure, size, limit),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(too_large(|r| r.kind = "k".repeat(65)), (Measure::Kind, 65, 64));
    assert_eq!(too_large(|r| r.region = "é".repeat(17)), (Measure::Region, 34, 32));
    assert_eq!(too_large(|r| r.clusters = vec!["c".into(); 9]), (Measure::Clusters, 9, 8));
    assert_eq!(too_large(|r| r.clusters = vec!["c".into(), "c".repeat(65)]), (Measure::Cluster, 65, 64));
    assert_eq!(too_large(|r| r.metadata = [("key".into(), "v".repeat(1022))].into()), (Measure::Metadata, 1025, 1024));
    assert_eq!(
        too_large(|r| r.metadata = (0..33).map(|i| (i.to_string(), String::new())).collect()),
        (Measure::MetadataEntries, 33, 32)
    );
    assert_eq!(too_large(|r| r.endpoints = vec![multiaddr!(Tcp(1_u16)); 17]), (Measure::Endpoints, 17, 16));

    let (measure, size, limit) = too_large(|r| r.endpoints = (1..=16).map(endpoint).collect());
    assert_eq!((measure, limit), (Measure::Envelope, 2048));
    assert!(size > 2048);
}

#[test]
fn an_error_can_be_read() {
    let record = Record { metadata: [("key".into(), "v".repeat(1022))].into(), ..record() };
    assert_eq!(
        record.sign(&key(1)).unwrap_err().to_string(),
        "1025 bytes of metadata (keys and values together), at most 1024"
    );
}

#[test]
fn endpoints_are_dropped_from_the_end_until_the_record_fits() {
    let mut record = Record { endpoints: (1..=20).map(endpoint).collect(), ..record() };
    let dropped = record.fit_endpoints();
    assert_eq!(record.endpoints, (1..=20 - dropped as u16).map(endpoint).collect::<Vec<_>>());
    let one_more = Record { endpoints: (1..=21 - dropped as u16).map(endpoint).collect(), ..record.clone() };
    assert!(one_more.sign(&key(1)).is_err(), "more were dropped than necessary");
    assert!(record.clone().sign(&key(1)).unwrap().envelope().len() <= MAX_ENVELOPE);
    assert_eq!(record.fit_endpoints(), 0);
}

#[test]
fn endpoints_cannot_make_room_for_everything() {
    let clusters = (0..8).map(|i| i.to_string().repeat(64)).collect();
    let metadata: BTreeMap<_, _> = (0..32).map(|i| (format!("key-{i:04}"), "v".repeat(24))).collect();
    let mut record = Record {
        name: "n".repeat(128).parse().unwrap(),
        kind: "k".repeat(64),
        endpoints: vec![endpoint(1)],
        clusters,
        metadata,
        ..record()
    };
    record.fit_endpoints();
    assert!(record.endpoints.is_empty());
    let error = record.sign(&key(1)).unwrap_err();
    assert!(matches!(error, RecordError::TooLarge { measure: Measure::Envelope, .. }), "{error:?}");
}

#[test]
fn lifetimes_are_between_a_minute_and_two_days() {
    for (ttl, fits) in
        [(0, false), (59_999, false), (60_000, true), (172_800_000, true), (172_800_001, false), (u64::MAX, false)]
    {
        let record = Record { ttl, ..record() };
        let refused = SignedRecord::decode(&sign_unchecked(&record, &key(1)));
        assert_eq!(refused.is_ok(), fits, "{ttl}");
        match record.sign(&key(1)) {
            Ok(_) => assert!(fits, "{ttl}"),
            Err(error) => assert_eq!((error.code(), fits), ("INVALID_OPTION", false), "{ttl}"),
        }
    }
}

#[test]
fn numbers_fit_javascript() {
    let large = MAX_NUMBER + 1;
    assert_eq!(Record { sequence: large, ..record() }.sign(&key(1)).unwrap_err(), RecordError::Number);
    assert_eq!(Record { issued_at: large, ..record() }.sign(&key(1)).unwrap_err(), RecordError::Number);
    assert!(Record { sequence: MAX_NUMBER, ..record() }.sign(&key(1)).is_ok());
    assert_eq!(
        Record { pq_key_hash: vec![0; 31], ..record() }.sign(&key(1)).unwrap_err(),
        RecordError::PqKeyHash { bytes: 31 }
    );
}

#[test]
fn only_the_provider_signs_for_itself() {
    let other = key(2).public().to_peer_id();
    let forged = RecordError::NotByProvider { signer: other };
    assert_eq!(record().sign(&key(2)).unwrap_err(), forged);
    assert_eq!(SignedRecord::decode(&sign_unchecked(&record(), &key(2))).unwrap_err(), forged);
    assert_eq!(forged.code(), "REFUSED");
}

#[test]
fn damage_anywhere_is_noticed() {
    let envelope = signed(record()).envelope().to_vec();
    for i in 0..envelope.len() {
        let mut damaged = envelope.clone();
        damaged[i] ^= 0x10;
        assert!(SignedRecord::decode(&damaged).is_err(), "byte {i}");
    }
}

#[test]
fn what_strangers_append_does_not_make_another_record() {
    let original = signed(record());
    let appended = [original.envelope(), &[0x32, 1, 7]].concat();
    assert_eq!(SignedRecord::decode(&appended).unwrap(), original);
}

#[test]
fn a_record_signed_for_another_purpose_is_no_record() {
    let purpose = Purpose { domain: "another-domain", ..wire::PURPOSE };
    let envelope = envelope::seal(&key(1), purpose, wire::encode(&record())).unwrap();
    assert_eq!(SignedRecord::decode(&envelope).unwrap_err(), RecordError::Envelope(EnvelopeError::Signature));
}

#[test]
fn oversize_is_noticed_before_anything_is_parsed() {
    let error = SignedRecord::decode(&[0xff; MAX_ENVELOPE + 1]).unwrap_err();
    assert_eq!(error, RecordError::TooLarge { measure: Measure::Envelope, size: 2049, limit: 2048 });
}

#[test]
fn time_decides_apart_from_everything_else() {
    let record = signed(Record { ttl: 2 * MINUTE, ..record() });
    assert_eq!(record.check_time(NOW), Ok(()));
    assert_eq!(record.check_time(NOW + 2 * MINUTE - 1), Ok(()));
    assert_eq!(record.check_time(NOW + 2 * MINUTE), Err(RecordError::Expired { since: 0 }));
    assert_eq!(record.check_time(NOW - 10 * MINUTE), Ok(()));
    let future = record.check_time(NOW - 10 * MINUTE - 1).unwrap_err();
    assert_eq!(future, RecordError::Future { ahead: 600_001 });
    assert!(future.is_about_time() && !RecordError::WrongKey.is_about_time());
}

#[test]
fn the_higher_sequence_is_newer_and_equals_are_ordered_the_same_everywhere() {
    let old = signed(record());
    let new = signed(Record { sequence: NOW + 1, issued_at: NOW - 5, ..record() });
    assert!(new.is_newer_than(&old) && !old.is_newer_than(&new));
    assert!(!old.is_newer_than(&old));

    let twin = signed(Record { kind: "twin".into(), ..record() });
    assert_ne!(old.is_newer_than(&twin), twin.is_newer_than(&old));
    let winner = if twin.is_newer_than(&old) { &twin } else { &old };
    assert_eq!(Sha256::digest(winner.envelope()), Sha256::digest(old.envelope()).min(Sha256::digest(twin.envelope())));
}

#[test]
fn a_withdrawal_outlasts_what_it_withdraws() {
    let record = Record { ttl: 60 * MINUTE, kind: "game".into(), ..record() };
    let withdrawal = record.withdrawal(NOW + MINUTE);
    assert!(withdrawal.withdrawn && withdrawal.sequence > record.sequence && withdrawal.kind.is_empty());
    assert_eq!(withdrawal.expires_at(), record.expires_at());
    // With a clock that stands still or went back, it is newer all the same.
    assert_eq!(record.withdrawal(NOW - MINUTE).sequence, record.sequence + 1);
    // Of a record that is about to expire, it still has the shortest lifetime there is.
    assert_eq!(record.withdrawal(NOW + 60 * MINUTE).ttl, MINUTE);
    assert!(record.withdrawal(NOW + 59 * MINUTE).sign(&key(1)).is_ok());
}

#[test]
fn sequences_grow_with_the_clock_and_without_it() {
    assert_eq!(next_sequence(5, 1000), 1000);
    assert_eq!(next_sequence(1000, 1000), 1001);
    assert_eq!(next_sequence(2000, 1000), 2001);
}

proptest! {
    #[test]
    fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(SignedRecord::decode(&bytes).is_err());
    }

    #[test]
    fn a_properly_signed_payload_of_any_bytes_does_not_either(payload in prop::collection::vec(any::<u8>(), 1..300)) {
        let envelope = envelope::seal(&key(1), wire::PURPOSE, payload).unwrap();
        let _ = SignedRecord::decode(&envelope);
    }

    #[test]
    fn whatever_is_within_limits_survives(
        kind in "\\PC{0,16}",
        metadata in prop::collection::btree_map("[a-z]{1,8}", "\\PC{0,12}", 0..8),
        clusters in prop::collection::vec("[a-z]{1,10}", 0..8),
        ports in prop::collection::vec(any::<u16>(), 0..4),
        withdrawn: bool,
    ) {
        let endpoints = ports.into_iter().map(endpoint).collect();
        let record = Record { kind, metadata, clusters, withdrawn, endpoints, ..record() };
        prop_assert_eq!(record.envelope_len(), sign_unchecked(&record, &key(1)).len());
        let signed = record.clone().sign(&key(1)).unwrap();
        prop_assert_eq!(SignedRecord::decode(signed.envelope()).unwrap().into_record(), record);
    }
}
