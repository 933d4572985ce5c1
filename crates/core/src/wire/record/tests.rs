use multiaddr::multiaddr;

use super::*;

fn record() -> Record {
    let provider = libp2p_identity::Keypair::ed25519_from_bytes([1; 32]).unwrap().public().to_peer_id();
    Record {
        kind: "game".into(),
        endpoints: vec![multiaddr!(Ip4([192, 0, 2, 1]), Tcp(4001_u16)), multiaddr!(Dns("relay.example"), Tcp(443_u16))],
        metadata: [("rating".into(), "1500".into()), ("empty".into(), String::new())].into(),
        region: "eu".into(),
        clusters: vec!["chess".into(), "games".into()],
        withdrawn: true,
        pq_key_hash: vec![9; 32],
        ..Record::new("chess".parse().unwrap(), provider, 1_700_000_000_000)
    }
}

#[test]
fn every_field_survives() {
    assert_eq!(decode(&encode(&record())).unwrap(), record());
    assert_eq!(encoded_len(&record()), encode(&record()).len());
}

#[test]
fn endpoints_of_the_future_are_skipped_and_still_counted() {
    let mut future = message(&record());
    // Protocol 9999 is not in any table.
    future.endpoints.insert(0, vec![0x8f, 0x4e, 1, 2]);
    assert_eq!(decode(&future.encode_to_vec()).unwrap(), record());

    future.endpoints = vec![vec![0x8f, 0x4e]; 17];
    assert_eq!(decode(&future.encode_to_vec()).unwrap_err(), SchemaError::Endpoints { count: 17 });
}

#[test]
fn fields_of_the_future_are_skipped() {
    let longer = [encode(&record()), vec![0xa2, 0x06, 1, b'x']].concat();
    assert_eq!(decode(&longer).unwrap(), record());
}

#[test]
fn what_is_missing_or_broken_is_named() {
    assert!(matches!(decode(b""), Err(SchemaError::Name(_))));
    let bad_name = ServiceRecord { name: "Chess".into(), ..message(&record()) };
    assert!(matches!(decode(&bad_name.encode_to_vec()), Err(SchemaError::Name(_))));
    let nobody = ServiceRecord { provider: vec![1, 2, 3], ..message(&record()) };
    assert_eq!(decode(&nobody.encode_to_vec()), Err(SchemaError::Provider));
    // A type that is not UTF-8, and bytes that are nothing.
    assert!(matches!(decode(&[0x12, 1, 0xff]), Err(SchemaError::Malformed(_))));
    assert!(matches!(decode(&[0xff; 10]), Err(SchemaError::Malformed(_))));
}
