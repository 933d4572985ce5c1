//! The golden wire vectors: what this crate writes and reads, byte for byte, as JSON files that other languages read
//! too.
//!
//! Each test computes a file's content anew and compares. After a deliberate change of the wire format, or to add a
//! case, run the tests with `OPENRED_BLESS=1` and look at the difference. Bytes are lower-case hexadecimal, times
//! milliseconds.

use std::{fs, path::PathBuf, time::Duration};

use libp2p_identity::{Keypair, PeerId};
use multiaddr::{Multiaddr, multiaddr};
use openred_core::{
    address::RelayAddress,
    bundle::Bundle,
    dht::key::{Key, Position},
    name::{NetworkName, ServiceName, ServiceTarget},
    peer_record::{PeerRecord, SignedPeerRecord},
    record::{Record, SignedRecord},
    time::Now,
    wire::{
        self,
        envelope::{self, Purpose},
        kad::{PeerAddresses, Request, Response},
        stream::{Answer, Open, Status},
    },
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const NOW_MS: u64 = 1_800_000_000_000;

fn check(file: &str, computed: Value) {
    // The crate may have been compiled elsewhere; the test runner says where it runs.
    let crate_dir = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs the tests");
    let path = PathBuf::from(crate_dir).join("../../tests/vectors").join(file);
    if std::env::var_os("OPENRED_BLESS").is_some() {
        fs::write(&path, format!("{computed:#}\n")).unwrap();
    }
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let stored: Value = serde_json::from_str(&text).unwrap();
    assert!(stored == computed, "{file} is not what is written today; if that is meant, run with OPENRED_BLESS=1");
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(parts: &[&[u8]]) -> String {
    hex(Sha256::digest(parts.concat()))
}

fn key(seed: u8) -> Keypair {
    Keypair::ed25519_from_bytes([seed; 32]).unwrap()
}

fn id(seed: u8) -> PeerId {
    key(seed).public().to_peer_id()
}

fn identity(seed: u8) -> Value {
    json!({
        "seed": hex([seed; 32]),
        "keypair": hex(key(seed).to_protobuf_encoding().unwrap()),
        "publicKey": hex(key(seed).public().encode_protobuf()),
        "peerId": id(seed).to_string(),
        "peerIdBytes": hex(id(seed).to_bytes()),
    })
}

fn now() -> Now {
    Now { elapsed: Duration::ZERO, unix_ms: NOW_MS }
}

fn addresses() -> Vec<Multiaddr> {
    vec![
        multiaddr!(Ip4([192, 0, 2, 1]), Tcp(443_u16), Ws("/")),
        multiaddr!(Ip6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]), Udp(4001_u16), QuicV1),
        multiaddr!(Dns("relay.example"), Tcp(443_u16), Tls, Ws("/"), P2p(id(2)), P2pCircuit),
    ]
}

fn minimal() -> Record {
    Record::new("chess".parse().unwrap(), id(1), NOW_MS)
}

fn full() -> Record {
    Record {
        name: "café-шахматы".parse().unwrap(),
        kind: "game".into(),
        endpoints: addresses(),
        metadata: [("lang".into(), "fr".into()), ("empty".into(), String::new()), ("ключ".into(), "♞".into())].into(),
        region: "eu-west".into(),
        clusters: vec!["games".into(), "chess".into()],
        sequence: NOW_MS + 17,
        ttl: 172_800_000,
        pq_key_hash: (0..32).collect(),
        ..minimal()
    }
}

fn record_json(record: &Record) -> Value {
    json!({
        "name": record.name.as_str(),
        "type": record.kind,
        "provider": record.provider.to_string(),
        "endpoints": record.endpoints.iter().map(Multiaddr::to_string).collect::<Vec<_>>(),
        "metadata": record.metadata,
        "region": record.region,
        "clusters": record.clusters,
        "sequence": record.sequence,
        "issuedAt": record.issued_at,
        "ttl": record.ttl,
        "withdrawn": record.withdrawn,
        "pqKeyHash": hex(&record.pq_key_hash),
    })
}

fn peers_json(peers: &[PeerAddresses]) -> Value {
    let peer = |peer: &PeerAddresses| {
        json!({
            "peerId": peer.peer.to_string(),
            "addresses": peer.addresses.iter().map(Multiaddr::to_string).collect::<Vec<_>>(),
        })
    };
    peers.iter().map(peer).collect()
}

#[test]
fn records() {
    let valid = |what: &str, record: Record| {
        let signed = record.clone().sign(&key(1)).unwrap();
        assert_eq!(SignedRecord::decode(signed.envelope()).unwrap().record(), &record, "{what}");
        json!({
            "what": what,
            "record": record_json(&record),
            "payload": hex(wire::record::encode(&record)),
            "envelope": hex(signed.envelope()),
            "envelopeSha256": sha256(&[signed.envelope()]),
        })
    };
    let good = minimal().sign(&key(1)).unwrap().envelope().to_vec();
    let seal = |record: &Record, seed| {
        envelope::seal(&key(seed), wire::record::PURPOSE, wire::record::encode(record)).unwrap()
    };
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    let other_domain = Purpose { domain: "openred-service-recorD", ..wire::record::PURPOSE };
    let other_type = Purpose { payload_type: b"/openred/service-recorD", ..wire::record::PURPOSE };
    let sealed_for = |purpose| envelope::seal(&key(1), purpose, wire::record::encode(&minimal())).unwrap();
    let too_much_metadata = Record { metadata: [("k".into(), "v".repeat(1024))].into(), ..minimal() };
    let invalid = |what: &str, envelope: Vec<u8>| {
        let error = SignedRecord::decode(&envelope).expect_err(what);
        json!({ "what": what, "envelope": hex(envelope), "code": error.code() })
    };
    check(
        "record.json",
        json!({
            "domain": wire::record::PURPOSE.domain,
            "payloadType": String::from_utf8_lossy(wire::record::PURPOSE.payload_type),
            "identity": identity(1),
            "valid": [
                valid("only what a record must have", minimal()),
                valid("every field", full()),
                valid("a withdrawal", minimal().withdrawal(NOW_MS + 1000)),
            ],
            "invalid": [
                invalid("the signature's last bit is wrong", forged),
                invalid("signed for another domain", sealed_for(other_domain)),
                invalid("another payload type", sealed_for(other_type)),
                invalid("signed by somebody else", seal(&minimal(), 2)),
                invalid("a ttl under a minute", seal(&Record { ttl: 59_999, ..minimal() }, 1)),
                invalid("1025 bytes of metadata", seal(&too_much_metadata, 1)),
                invalid("a type of 65 bytes", seal(&Record { kind: "k".repeat(65), ..minimal() }, 1)),
                invalid("a sequence above 2^53 - 1", seal(&Record { sequence: 1 << 53, ..minimal() }, 1)),
                invalid("no record", envelope::seal(&key(1), wire::record::PURPOSE, b"garbage".to_vec()).unwrap()),
                invalid("no envelope", b"garbage".to_vec()),
                invalid("2049 bytes", vec![0; 2049]),
            ],
            "appended": {
                "what": "an unknown field after the envelope, which readers drop",
                "envelope": hex([&good[..], &[0x32, 1, 7]].concat()),
                "canonical": hex(SignedRecord::decode(&[&good[..], &[0x32, 1, 7]].concat()).unwrap().envelope()),
            },
        }),
    );
}

#[test]
fn bundles() {
    let chess = Key::service(&NetworkName::default(), &"chess".parse().unwrap());
    let rank = |peer: PeerId| sha256(&[&peer.to_bytes(), chess.as_bytes()]);
    let sign = |seed| Record { provider: id(seed), ..minimal() }.sign(&key(seed)).unwrap();

    let mut bundle = Bundle::new(chess.clone());
    for seed in [3, 1, 2] {
        bundle.merge(sign(seed), now()).unwrap();
    }
    let records: Vec<_> = bundle.records().map(|record| hex(record.envelope())).collect();

    let mut forged = sign(2).envelope().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let expired = Record { issued_at: NOW_MS - 3_600_000, ..minimal() }.sign(&key(1)).unwrap();
    let other_name = Record { name: "go".parse().unwrap(), ..minimal() }.sign(&key(1)).unwrap();
    let mixed = [
        sign(1).envelope().to_vec(),
        forged,
        expired.envelope().to_vec(),
        other_name.envelope().to_vec(),
        sign(3).envelope().to_vec(),
    ];
    let mixed = wire::bundle::encode(mixed.iter().map(Vec::as_slice));
    let (kept, rejected) = Bundle::decode(&chess, &mixed, now()).unwrap();
    let rejected: Vec<_> =
        rejected.iter().map(|bad| json!({ "index": bad.index, "code": bad.reason.code() })).collect();

    let mut capped = Bundle::new(chess.clone());
    for seed in 0..40 {
        capped.merge(sign(seed), now()).unwrap();
    }
    let stays = |seed: u8| {
        let peer = id(seed);
        json!({ "peerId": peer.to_string(), "rank": rank(peer), "stays": capped.get(&peer).is_some() })
    };
    check(
        "bundle.json",
        json!({
            "key": chess.to_string(),
            "nowMs": NOW_MS,
            "records": records,
            "encoded": hex(bundle.encode(now())),
            "mixed": {
                "what": "good, forged, expired, of another name, good",
                "encoded": hex(mixed),
                "kept": kept.records().map(|record| record.record().provider.to_string()).collect::<Vec<_>>(),
                "rejected": rejected,
            },
            "capped": (0..40).map(stays).collect::<Vec<_>>(),
        }),
    );
}

#[test]
fn peer_records() {
    let record = PeerRecord { peer: id(1), sequence: NOW_MS, addresses: addresses() };
    let signed = record.clone().sign(&key(1)).unwrap();
    assert_eq!(SignedPeerRecord::decode(signed.envelope()).unwrap().record(), &record);
    check(
        "peer-record.json",
        json!({
            "domain": wire::peer_record::PURPOSE.domain,
            "payloadType": hex(wire::peer_record::PURPOSE.payload_type),
            "identity": identity(1),
            "sequence": record.sequence,
            "addresses": record.addresses.iter().map(Multiaddr::to_string).collect::<Vec<_>>(),
            "payload": hex(wire::peer_record::encode(&record)),
            "envelope": hex(signed.envelope()),
        }),
    );
}

#[test]
fn kad_messages() {
    let chess = Key::service(&NetworkName::default(), &"chess".parse().unwrap());
    let (key, value) = (chess.as_bytes().to_vec(), b"value".to_vec());
    let near =
        vec![PeerAddresses { peer: id(1), addresses: addresses() }, PeerAddresses { peer: id(2), addresses: vec![] }];
    let exchange = |kind: &str, request: Request, fields: Value, response: Option<(Response, Value)>| {
        assert_eq!(Request::decode(&request.encode()).unwrap(), request, "{kind}");
        let response = response.map(|(response, fields)| {
            let bytes = response.encode(&request);
            assert_eq!(Response::decode(&request, &bytes).unwrap(), response, "{kind}");
            json!({ "fields": fields, "message": hex(bytes) })
        });
        json!({ "type": kind, "request": { "fields": fields, "message": hex(request.encode()) }, "response": response })
    };
    let key_and_value = json!({ "key": hex(&key), "value": hex(&value) });
    check(
        "kad.json",
        json!([
            exchange("PING", Request::Ping, json!({}), Some((Response::Ping, json!({})))),
            exchange(
                "FIND_NODE",
                Request::FindNode { key: id(1).to_bytes() },
                json!({ "key": hex(id(1).to_bytes()) }),
                Some((Response::FindNode { closer: near.clone() }, json!({ "closer": peers_json(&near) }))),
            ),
            exchange(
                "GET_VALUE",
                Request::GetValue { key: key.clone() },
                json!({ "key": hex(&key) }),
                Some((
                    Response::GetValue { value: Some(value.clone()), closer: near.clone() },
                    json!({ "value": hex(&value), "closer": peers_json(&near) }),
                )),
            ),
            exchange(
                "PUT_VALUE",
                Request::PutValue { key: key.clone(), value: value.clone() },
                key_and_value.clone(),
                Some((Response::PutValue { key, value }, key_and_value)),
            ),
            exchange(
                "GET_PROVIDERS",
                Request::GetProviders { key: chess.provider() },
                json!({ "key": hex(chess.provider()) }),
                Some((
                    Response::GetProviders { providers: near[..1].to_vec(), closer: near[1..].to_vec() },
                    json!({ "providers": peers_json(&near[..1]), "closer": peers_json(&near[1..]) }),
                )),
            ),
            exchange(
                "ADD_PROVIDER",
                Request::AddProvider { key: chess.provider(), provider: near[0].clone() },
                json!({ "key": hex(chess.provider()), "provider": peers_json(&near[..1])[0] }),
                None,
            ),
        ]),
    );
}

#[test]
fn stream_headers() {
    let open = |name: &str| {
        let open = Open { name: name.parse().unwrap() };
        assert_eq!(Open::decode(&open.encode()[1..]).unwrap(), open);
        json!({ "name": name, "framed": hex(open.encode()) })
    };
    let answer = |status, number: u8, name: &str, message: &str| {
        let answer = Answer::new(status, message);
        assert_eq!(Answer::decode(&answer.encode()[1..]).unwrap(), answer);
        json!({ "status": name, "number": number, "message": message, "framed": hex(answer.encode()) })
    };
    check(
        "stream.json",
        json!({
            "open": [open("chess"), open("шахматы")],
            "answer": [
                answer(Status::Ok, 0, "OK", ""),
                answer(Status::NotFound, 1, "NOT_FOUND", "nobody handles \"chess\" here"),
                answer(Status::Refused, 2, "REFUSED", ""),
                answer(Status::Busy, 3, "BUSY", "try again"),
            ],
        }),
    );
}

#[test]
fn keys() {
    let describe = |network: &str, kind: &str, name: Option<&str>, peer: Option<PeerId>| {
        let network: NetworkName = network.parse().unwrap();
        let key = match (name.map(|name| name.parse::<ServiceName>().unwrap()), peer) {
            (Some(name), None) => Key::service(&network, &name),
            (Some(name), Some(peer)) => Key::service_of(&network, &name, &peer),
            (None, Some(peer)) => Key::peer(&network, &peer),
            (None, None) => unreachable!("a key is of something"),
        };
        assert_eq!(Key::parse(&network, key.as_bytes()).unwrap(), key);
        json!({
            "network": network.as_str(),
            "kind": kind,
            "name": name,
            "peerId": peer.map(|peer| peer.to_string()),
            "key": key.to_string(),
            "keyBytes": hex(key.as_bytes()),
            "position": hex(key.position().as_bytes()),
            "providerKey": hex(key.provider()),
            "providerCid": hex([&[1, 0x55][..], &key.provider()].concat()),
            "providerPosition": hex(Position::of(&key.provider()).as_bytes()),
        })
    };
    let [a, b] = [Position::of_peer(&id(1)), Position::of_peer(&id(2))];
    check(
        "keys.json",
        json!({
            "keys": [
                describe("main", "service", Some("chess"), None),
                describe("main", "service", Some("café"), None),
                describe("test-1", "service", Some("chess"), None),
                describe("main", "service of", Some("chess"), Some(id(1))),
                describe("main", "peer", None, Some(id(1))),
            ],
            "peers": [
                { "peerId": id(1).to_string(), "position": hex(a.as_bytes()) },
                { "peerId": id(2).to_string(), "position": hex(b.as_bytes()) },
            ],
            "distance": { "value": hex(a.distance(&b).as_bytes()), "bucket": a.distance(&b).bucket() },
            "refused": ([
                "/openred/other/service/chess",
                "/openred/main/service/Chess",
                "/openred/main/service/chess/",
                "/openred/main/service/",
                "/openred/main/peer/nobody",
                "/openred/main/unknown/chess",
                "/ipns/chess",
            ]
            .map(|text| {
                assert!(Key::parse(&NetworkName::default(), text.as_bytes()).is_err(), "{text}");
                text
            })),
        }),
    );
}

#[test]
fn names() {
    let valid = ["chess", "chess-club.v2", "a", "café", "шахматы", "象棋", "👩‍👩‍👧", "x:y~!$&'()*+,;=%", &"a".repeat(128)];
    let invalid = [
        "",
        " ",
        "Chess",
        "chess club",
        "chess\u{a0}club",
        "chess\n",
        "chess\u{0}",
        "cafe\u{301}",
        "a@b",
        "a/b",
        "a?b",
        "a#b",
        "ÉCOLE",
        &"a".repeat(129),
        &"é".repeat(65),
    ];
    let refused = |text: &str| {
        let error = text.parse::<ServiceName>().expect_err(text);
        json!({ "text": text, "code": error.code() })
    };
    let target = |text: String| {
        let target: ServiceTarget = text.parse().unwrap();
        json!({ "text": text, "name": target.name.as_str(), "provider": target.provider.map(|peer| peer.to_string()) })
    };
    let refused_target = |text: &str| {
        let error = text.parse::<ServiceTarget>().expect_err(text);
        json!({ "text": text, "code": error.code() })
    };
    let refused_network = |text: &str| {
        let error = text.parse::<NetworkName>().expect_err(text);
        json!({ "text": text, "code": error.code() })
    };
    for text in valid {
        assert_eq!(text.parse::<ServiceName>().expect(text).as_str(), text);
    }
    check(
        "names.json",
        json!({
            "services": { "valid": valid, "invalid": invalid.map(refused) },
            "targets": {
                "valid": [target("chess".into()), target(format!("chess@{}", id(1)))],
                "invalid": (["chess@", "@", "chess@nobody", "Chess@nobody"].map(refused_target)),
            },
            "networks": {
                "valid": (["main", "test-1", "0"].map(|text| text.parse::<NetworkName>().unwrap().to_string())),
                "invalid": (["", "Main", "ma in", "a_b", "a/b", &"n".repeat(33)].map(refused_network)),
            },
        }),
    );
}

#[test]
fn relay_addresses() {
    let read = |text: String| {
        let [plain, secure] = [false, true].map(|secure| RelayAddress::parse(&text, secure).expect(&text));
        json!({
            "text": text,
            "peerId": plain.peer.map(|peer| peer.to_string()),
            "onHttpPage": plain.multiaddr.to_string(),
            "onHttpsPage": secure.multiaddr.to_string(),
        })
    };
    let refused = |text: &str| {
        let error = RelayAddress::parse(text, false).expect_err(text);
        json!({ "text": text, "code": error.code() })
    };
    check(
        "addresses.json",
        json!({
            "valid": [
                read("https://relay.example".into()),
                read("http://127.0.0.1:8080/".into()),
                read("wss://relay.example/path?query".into()),
                read("ws://[::1]".into()),
                read("relay.example:8443".into()),
                read("[2001:db8::1]:443".into()),
                read(format!("/dns4/relay.example/tcp/443/tls/ws/p2p/{}", id(1))),
                read("/ip4/192.0.2.1/udp/4001/quic-v1".into()),
            ],
            "invalid": ([
                "",
                "relay.example",
                "relay.example:0",
                "256.0.0.1:80",
                "::1:80",
                "ftp://relay.example",
                "https://me@relay.example",
                "/ip4/127.0.0.1",
                "/ip4/127.0.0.1/udp/1/webrtc-direct",
                "/nonsense",
            ].map(refused)),
        }),
    );
}
