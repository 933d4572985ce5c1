use libp2p_identity::Keypair;
use multiaddr::multiaddr;
use proptest::prelude::*;

use super::*;

fn id(seed: u8) -> PeerId {
    Keypair::ed25519_from_bytes([seed; 32]).unwrap().public().to_peer_id()
}

fn peer(seed: u8) -> PeerAddresses {
    let addresses = vec![
        multiaddr!(Ip4([192, 0, 2, seed]), Tcp(443_u16), Ws("/")),
        multiaddr!(Dns("relay.example"), Tcp(443_u16), Tls, Ws("/"), P2p(id(99)), P2pCircuit),
    ];
    PeerAddresses { peer: id(seed), addresses }
}

fn find_node() -> Request {
    Request::FindNode { key: b"key".into() }
}

/// A message from parts that need not fit together.
fn raw(kind: i32, key: &[u8], record: Option<(&[u8], &[u8])>) -> Vec<u8> {
    let record = record.map(|(key, value)| KadRecord { key: key.into(), value: value.into(), ..Default::default() });
    KadMessage { kind, key: key.into(), record, ..Default::default() }.encode_to_vec()
}

/// A FIND_NODE answer with one peer as encoded by hand.
fn with_peer(id: Vec<u8>, addresses: Vec<Vec<u8>>) -> Vec<u8> {
    KadMessage { kind: 4, closer: vec![KadPeer { id, addresses }], ..Default::default() }.encode_to_vec()
}

fn closer(bytes: &[u8]) -> Vec<PeerAddresses> {
    match Response::decode(&find_node(), bytes).unwrap() {
        Response::FindNode { closer } => closer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn requests_survive() {
    let key = || b"key".to_vec();
    for request in [
        find_node(),
        Request::GetValue { key: key() },
        Request::PutValue { key: key(), value: b"value".into() },
        Request::GetProviders { key: key() },
        Request::AddProvider { key: key(), provider: peer(1) },
        Request::Ping,
    ] {
        assert_eq!(Request::decode(&request.encode()).unwrap(), request);
        assert_eq!(request.key(), if request == Request::Ping { &b""[..] } else { b"key" });
    }
}

#[test]
fn answers_survive() {
    let key = || b"key".to_vec();
    let peers = || vec![peer(1), peer(2)];
    for (request, response) in [
        (find_node(), Response::FindNode { closer: peers() }),
        (Request::GetValue { key: key() }, Response::GetValue { value: Some(b"value".into()), closer: peers() }),
        (Request::GetValue { key: key() }, Response::GetValue { value: None, closer: vec![] }),
        (
            Request::PutValue { key: key(), value: b"value".into() },
            Response::PutValue { key: key(), value: b"value".into() },
        ),
        (Request::GetProviders { key: key() }, Response::GetProviders { providers: vec![peer(3)], closer: peers() }),
        (Request::Ping, Response::Ping),
    ] {
        assert_eq!(Response::decode(&request, &response.encode(&request)).unwrap(), response);
    }
}

#[test]
fn an_answer_must_fit_its_request() {
    let put = Request::PutValue { key: b"key".into(), value: b"value".into() };
    let get = Request::GetValue { key: b"key".into() };
    let decode = |request: &Request, bytes: Vec<u8>| Response::decode(request, &bytes).unwrap_err();

    assert_eq!(decode(&find_node(), Response::Ping.encode(&Request::Ping)), KadError::NotTheAnswer);
    let add = Request::AddProvider { key: b"key".into(), provider: peer(1) };
    assert_eq!(decode(&add, add.encode()), KadError::NotTheAnswer);
    assert_eq!(decode(&get, raw(1, b"other", Some((b"other", b"value")))), KadError::OtherKey);
    assert_eq!(decode(&put, raw(0, b"key", Some((b"key", b"less")))), KadError::NotRepeated);
    assert_eq!(decode(&put, raw(0, b"key", None)), KadError::NoValue);
}

#[test]
fn a_key_may_stand_in_the_message_or_the_record_but_not_two() {
    let put = Request::PutValue { key: b"key".into(), value: b"value".into() };
    assert_eq!(Request::decode(&raw(0, b"key", Some((b"", b"value")))).unwrap(), put);
    assert_eq!(Request::decode(&raw(0, b"", Some((b"key", b"value")))).unwrap(), put);
    assert_eq!(Request::decode(&raw(0, b"key", Some((b"yek", b"value")))), Err(KadError::TwoKeys));
    assert_eq!(Request::decode(&raw(0, b"", Some((b"", b"value")))), Err(KadError::NoKey));

    // Another implementation's answer does not repeat the key outside the record.
    let get = Request::GetValue { key: b"key".into() };
    let answer = Response::decode(&get, &raw(1, b"", Some((b"key", b"value")))).unwrap();
    assert_eq!(answer, Response::GetValue { value: Some(b"value".into()), closer: vec![] });
}

#[test]
fn what_is_wrong_is_named() {
    let decode = |bytes: &[u8]| Request::decode(bytes).unwrap_err();
    assert_eq!(decode(&vec![0; MAX_MESSAGE + 1]), KadError::TooLong { bytes: MAX_MESSAGE + 1 });
    assert!(matches!(decode(b"\xff\xff"), KadError::Malformed(_)));
    assert_eq!(decode(&[0x08, 6]), KadError::UnknownKind { number: 6 });
    assert_eq!(
        decode(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        KadError::UnknownKind { number: u64::MAX }
    );
    assert_eq!(decode(&raw(4, b"", None)), KadError::NoKey);
    assert_eq!(decode(&raw(4, &[1; 1025], None)), KadError::KeyTooLong { bytes: 1025 });
    assert_eq!(decode(&raw(0, b"", Some((&[1; 1025], b"v")))), KadError::KeyTooLong { bytes: 1025 });
    assert_eq!(decode(b""), KadError::NoValue, "no type is PUT_VALUE");
    assert_eq!(decode(&raw(2, b"key", None)), KadError::NoProvider);
}

#[test]
fn odd_peers_and_addresses_do_not_cost_the_others() {
    let good = peer(1).addresses[0].to_vec();
    let addresses = vec![b"odd".to_vec(), good.clone(), vec![], vec![0x8f, 0x4e]];
    assert_eq!(closer(&with_peer(id(1).to_bytes(), addresses))[0].addresses, peer(1).addresses[..1]);
    assert_eq!(closer(&with_peer(b"odd".into(), vec![good])), []);

    let mut message = KadMessage { kind: 4, ..Default::default() }.encode_to_vec();
    message.extend([0x42, 2, 0x0a, 9]);
    message.extend(with_peer(id(2).to_bytes(), vec![]));
    assert_eq!(closer(&message), [PeerAddresses { peer: id(2), addresses: vec![] }]);
}

#[test]
fn an_address_is_kept_without_its_own_peer_and_not_with_another() {
    let bare = peer(1).addresses[0].clone();
    let own = bare.clone().with(Protocol::P2p(id(1)));
    let other = bare.clone().with(Protocol::P2p(id(2)));
    let relayed = peer(1).addresses[1].clone();
    let relayed_own = relayed.clone().with(Protocol::P2p(id(1)));
    let only_id = multiaddr!(P2p(id(1)));
    let addresses = [own, other, relayed_own, only_id].iter().map(Multiaddr::to_vec).collect();
    assert_eq!(closer(&with_peer(id(1).to_bytes(), addresses))[0].addresses, [bare, relayed]);
}

#[test]
fn peers_and_addresses_beyond_the_bounds_are_passed_over() {
    let many = PeerAddresses { peer: id(1), addresses: vec![peer(1).addresses[0].clone(); 20] };
    let encoded = KadPeer { id: id(1).to_bytes(), addresses: many.addresses.iter().map(Multiaddr::to_vec).collect() };
    let bytes = KadMessage { kind: 4, closer: vec![encoded; 50], ..Default::default() }.encode_to_vec();
    let read = closer(&bytes);
    assert_eq!((read.len(), read[0].addresses.len()), (MAX_PEERS, MAX_ADDRESSES));

    let written = closer(&Response::FindNode { closer: vec![many; 50] }.encode(&find_node()));
    assert_eq!((written.len(), written[0].addresses.len()), (MAX_PEERS, MAX_ADDRESSES));

    let long = multiaddr!(Dns("d".repeat(600)), Tcp(1_u16));
    assert_eq!(closer(&with_peer(id(1).to_bytes(), vec![long.to_vec()]))[0].addresses, []);
}

#[test]
fn an_answer_never_exceeds_a_message() {
    let long = multiaddr!(Dns("d".repeat(490)), Tcp(1_u16));
    let peers: Vec<_> =
        (0..40).map(|seed| PeerAddresses { peer: id(seed), addresses: vec![long.clone(); 16] }).collect();
    let request = Request::GetProviders { key: vec![1; 34] };
    let bytes = Response::GetProviders { providers: peers.clone(), closer: peers.clone() }.encode(&request);
    assert!(bytes.len() <= MAX_MESSAGE && bytes.len() > MAX_MESSAGE - 10_000, "{}", bytes.len());
    match Response::decode(&request, &bytes).unwrap() {
        Response::GetProviders { providers, closer } => {
            assert!(!providers.is_empty());
            assert_eq!(providers[..], peers[..providers.len()]);
            assert_eq!(closer.len(), 0, "closer peers are left off first");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_largest_bundle_fits_beside_the_closest_peers() {
    let request = Request::GetValue { key: vec![1; 300] };
    let value = vec![1; crate::wire::bundle::MAX_ENCODED];
    let response = Response::GetValue { value: Some(value), closer: (0..20).map(peer).collect() };
    assert_eq!(Response::decode(&request, &response.encode(&request)).unwrap(), response);
}

#[test]
fn fields_we_do_not_write_are_read_over() {
    // clusterLevelRaw, connection, publisher (666) and ttl (777) of other implementations.
    let message = [find_node().encode(), vec![0x50, 1, 0xd2, 0x29, 1, 7, 0xc8, 0x30, 9]].concat();
    assert_eq!(Request::decode(&message).unwrap(), find_node());
    let mut connected = KadPeer { id: id(1).to_bytes(), addresses: vec![] }.encode_to_vec();
    connected.extend([0x18, 1]);
    let message = [vec![0x08, 4, 0x42, connected.len() as u8], connected].concat();
    assert_eq!(closer(&message).len(), 1);
}

proptest! {
    #[test]
    fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Request::decode(&bytes);
        let _ = Response::decode(&find_node(), &bytes);
        let _ = Response::decode(&Request::GetValue { key: vec![1] }, &bytes);
    }

    #[test]
    fn damage_to_a_message_does_not_either(at: prop::sample::Index, with: u8) {
        let request = Request::AddProvider { key: b"key".into(), provider: peer(1) };
        let mut bytes = request.encode();
        *at.get_mut(&mut bytes) = with;
        let _ = Request::decode(&bytes);
    }
}
