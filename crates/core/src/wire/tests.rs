use std::collections::BTreeSet;

use libp2p_identity::{Keypair, PeerId};
use multiaddr::multiaddr;
use proptest::prelude::*;

use super::*;
use crate::{peer_record::PeerRecord, record::Record};

#[test]
fn a_frame_comes_out_as_it_went_in() {
    let framed = frame(b"message");
    assert_eq!(framed, b"\x07message");
    assert_eq!(unframe(&[&framed[..], b"next"].concat(), 7), Ok(Some((&b"message"[..], 8))));
    assert_eq!(unframe(&frame(b""), 7), Ok(Some((&b""[..], 1))));
}

#[test]
fn an_unfinished_frame_asks_for_more() {
    let framed = frame(&[1; 300]);
    for end in 0..framed.len() {
        assert_eq!(unframe(&framed[..end], 300), Ok(None), "{end} bytes");
    }
}

#[test]
fn a_frame_is_refused_by_its_length_alone() {
    assert_eq!(unframe(&frame(&[0; 300])[..2], 299), Err(FrameError::TooLong { length: 300, limit: 299 }));
    assert_eq!(unframe(&[0xff; 20], 300), Err(FrameError::Length));
    // 0 written in two bytes.
    assert_eq!(unframe(&[0x80, 0], 300), Err(FrameError::Length));
}

#[test]
fn groups_and_cut_fields_are_malformed() {
    for bytes in [&[0x0b][..], &[0x0c], &[0x0a, 5, 1], &[0x0d, 1, 2], &[0x09, 1], &[0x08], &[0x00, 0x00]] {
        assert!(fields(bytes).any(|field| field.is_err()), "{bytes:?}");
    }
}

fn id() -> PeerId {
    Keypair::ed25519_from_bytes([1; 32]).unwrap().public().to_peer_id()
}

/// The numbers of a message's fields by a .proto file.
fn declared(proto: &str, message: &str) -> BTreeSet<u32> {
    let start = proto.find(&format!("message {message} {{")).expect(message);
    let mut depth = 0;
    let mut numbers = BTreeSet::new();
    for line in proto[start..].lines().map(|line| line.split("//").next().unwrap_or_default()) {
        if depth == 1
            && let Some((_, number)) = line.trim_end().trim_end_matches(';').split_once(" = ")
        {
            numbers.insert(number.parse().expect(line));
        }
        depth += line.matches('{').count();
        depth -= line.matches('}').count();
        if depth == 0 {
            break;
        }
    }
    numbers
}

/// The numbers of the fields that are written, and the last value of one of them.
fn written(bytes: &[u8], number: u32) -> (BTreeSet<u32>, &[u8]) {
    let fields: Vec<_> = fields(bytes).map(Result::unwrap).collect();
    let inner = fields.iter().rev().find_map(|field| match field {
        (found, Value::Bytes(bytes)) if *found == number => Some(*bytes),
        _ => None,
    });
    (fields.iter().map(|(number, _)| *number).collect(), inner.unwrap_or_default())
}

#[test]
fn the_schema_files_declare_what_is_written() {
    let address = multiaddr!(Ip4([192, 0, 2, 1]), Tcp(1_u16));
    let full = Record {
        kind: "kind".into(),
        endpoints: vec![address.clone()],
        metadata: [("key".into(), "value".into())].into(),
        region: "region".into(),
        clusters: vec!["cluster".into()],
        withdrawn: true,
        pq_key_hash: vec![1; 32],
        ..Record::new("chess".parse().unwrap(), id(), 1)
    };
    let proto = include_str!("../../proto/record.proto");
    assert_eq!(written(&record::encode(&full), 0).0, declared(proto, "ServiceRecord"));

    let signed = full.sign(&Keypair::ed25519_from_bytes([1; 32]).unwrap()).unwrap();
    let proto = include_str!("../../proto/envelope.proto");
    assert_eq!(written(signed.envelope(), 0).0, declared(proto, "Envelope"));

    let proto = include_str!("../../proto/bundle.proto");
    assert_eq!(written(&bundle::encode([signed.envelope()].into_iter()), 0).0, declared(proto, "Bundle"));

    let record = PeerRecord { peer: id(), sequence: 1, addresses: vec![address.clone()] };
    let bytes = peer_record::encode(&record);
    let (numbers, info) = written(&bytes, 3);
    let proto = include_str!("../../proto/peer_record.proto");
    assert_eq!(numbers, declared(proto, "PeerRecord"));
    assert_eq!(written(info, 0).0, declared(proto, "AddressInfo"));

    let proto = include_str!("../../proto/stream.proto");
    let open = stream::Open { name: "chess".parse().unwrap() }.encode();
    assert_eq!(written(&open[1..], 0).0, declared(proto, "Open"));
    let answer = stream::Answer::new(stream::Status::Busy, "message").encode();
    assert_eq!(written(&answer[1..], 0).0, declared(proto, "Answer"));
}

#[test]
fn the_schema_file_of_the_cache_declares_what_is_written_and_the_routes_that_are_not() {
    use crate::cache::{
        peers::{RememberedPeer, Roles},
        services::RememberedService,
    };
    let proto = include_str!("../../proto/cache.proto");
    let second = std::time::Duration::from_secs(1);
    let peer = RememberedPeer {
        peer: id(),
        addresses: vec![multiaddr!(Tcp(1_u16))],
        proven: true,
        roles: Roles { server: true, relay: true },
        region: "eu".to_owned(),
        rtt: Some(second),
        successes: 1,
        failures: 1,
        seen: 1,
        failed: 1,
    };
    let name = "chess".parse().expect("a name");
    let service = RememberedService { name, bundle: vec![1], until: 1, asked: 1, uses: 1, cost: second };
    let provider = cache::RememberedProvider { peer: id(), answers: 1, failures: 1, took: Some(second), at: 1 };
    let snapshot = cache::Snapshot {
        network: "main".to_owned(),
        written: 1,
        peers: vec![peer],
        services: vec![service],
        providers: vec![provider],
        publisher: vec![1],
    };
    let bytes = cache::encode(snapshot, 10_000);
    let (numbers, content) = written(&bytes, 3);
    assert_eq!(numbers, declared(proto, "Snapshot"));
    for (number, message) in [(3, "RememberedPeer"), (4, "RememberedService"), (5, "RememberedProvider")] {
        let (mut numbers, inner) = written(content, number);
        assert_eq!(written(inner, 0).0, declared(proto, message));
        numbers.insert(7);
        assert_eq!(numbers, declared(proto, "Memory"));
    }
}

#[test]
fn the_schema_file_of_kad_declares_what_is_written_and_what_never_is() {
    let proto = include_str!("../../proto/kad.proto");
    let peers = vec![kad::PeerAddresses { peer: id(), addresses: vec![multiaddr!(Tcp(1_u16))] }];
    let get = kad::Request::GetValue { key: b"key".into() };
    let value = kad::Response::GetValue { value: Some(b"value".into()), closer: peers.clone() }.encode(&get);
    let (mut numbers, record) = written(&value, 3);
    assert_eq!(written(record, 0).0, declared(proto, "Record"));

    let ask = kad::Request::GetProviders { key: b"key".into() };
    let providers = kad::Response::GetProviders { providers: peers, closer: vec![] }.encode(&ask);
    let (more, peer) = written(&providers, 9);
    numbers.extend(more);
    numbers.insert(10);
    assert_eq!(numbers, declared(proto, "Message"));
    let mut numbers = written(peer, 0).0;
    numbers.insert(3);
    assert_eq!(numbers, declared(proto, "Peer"));
}

proptest! {
    #[test]
    fn walking_over_any_bytes_ends(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(fields(&bytes).count() <= bytes.len());
    }

    #[test]
    fn frames_survive_any_splitting(message in prop::collection::vec(any::<u8>(), 0..400), split: prop::sample::Index) {
        let framed = frame(&message);
        let at = split.index(framed.len());
        prop_assert_eq!(unframe(&framed[..at], 400), Ok(None));
        prop_assert_eq!(unframe(&framed, 400), Ok(Some((&message[..], framed.len()))));
    }
}
