//! Nodes that sign for themselves, and what they say.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use data_encoding::BASE64URL_NOPAD;
use hyper::{Request, body::Bytes, header::HeaderValue};
use libp2p_identity::{Keypair, PeerId};
use openred_core::{peer_record::PeerRecord, record::Record, wire::frame};
use serde_json::{Value, json};

use crate::client::Question;

/// Nodes that offer the same name.
const PROVIDERS: u64 = 2;

/// Words that titles are made of. Each title has two, so of 100 000 services a hundred have a certain word.
pub(crate) const WORDS: u64 = 2000;

const REGIONS: [&str; 6] = ["eu", "us-east", "us-west", "asia", "africa", "oceania"];

/// A node.
pub(crate) struct Node {
    number: u64,
    keypair: Keypair,
    /// Its peer id.
    pub(crate) peer: PeerId,
    /// Its address as a trusted proxy tells it: each node has its own, so that each has its own allowance.
    from: HeaderValue,
    /// Its session with the relay, once it has proved its key.
    session: Option<HeaderValue>,
}

impl Node {
    pub(crate) fn new(number: u64) -> Self {
        let mut secret = [9; 32];
        secret[..8].copy_from_slice(&number.to_be_bytes());
        let keypair = Keypair::ed25519_from_bytes(secret).expect("32 bytes are a secret key");
        let [.., a, b, c] = number.to_be_bytes();
        let from = HeaderValue::from_str(&format!("10.{a}.{b}.{c}")).expect("an address is a header value");
        Self { number, peer: keypair.public().to_peer_id(), keypair, from, session: None }
    }

    pub(crate) fn keypair(&self) -> &Keypair {
        &self.keypair
    }

    /// Keeps the `Authorization` of a session.
    pub(crate) fn open_session(&mut self, authorization: &str) {
        self.session = HeaderValue::from_str(authorization).ok();
    }

    /// The path of the node in the API.
    pub(crate) fn path(&self) -> String {
        format!("/v1/nodes/{}", self.peer)
    }

    /// A request of the node to `host`, as a proxy passes it on, in its session.
    pub(crate) fn asks(&self, host: &HeaderValue, method: &str, path: &str, body: Bytes) -> Question {
        let mut question = self.asks_unknown(host, method, path, body);
        question.headers_mut().extend(self.session.clone().map(|session| (hyper::header::AUTHORIZATION, session)));
        question
    }

    /// The same without the session.
    pub(crate) fn asks_unknown(&self, host: &HeaderValue, method: &str, path: &str, body: Bytes) -> Question {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("host", host.clone()).header("x-forwarded-for", self.from.clone());
        if !body.is_empty() {
            request = request.header("content-type", HeaderValue::from_static("application/json"));
        }
        request.body(body.into()).expect("method and path are right")
    }

    /// A registration with the node's service, both signed at this moment.
    pub(crate) fn registration(&self) -> Bytes {
        let now = unix_ms();
        let address = format!("/ip4/198.51.{}.{}/udp/4001/quic-v1", self.number / 250 % 250, self.number % 250);
        let address: multiaddr::Multiaddr = address.parse().expect("an address");
        let record = PeerRecord { peer: self.peer, sequence: now, addresses: vec![address.clone()] };
        let title = format!("{} {}", word(self.number), word(self.number / WORDS + self.number * 7));
        let region = REGIONS[self.number as usize % REGIONS.len()];
        let service = Record {
            kind: "game".into(),
            region: region.into(),
            metadata: BTreeMap::from([("title".into(), title)]),
            endpoints: vec![address],
            ttl: 48 * 3_600_000,
            ..Record::new(service_name(self.number).parse().expect("a name"), self.peer, now)
        };
        let record = record.sign(&self.keypair).expect("the record is right");
        let service = service.sign(&self.keypair).expect("the record is right");
        let body = json!({
            "record": BASE64URL_NOPAD.encode(record.envelope()), "region": region,
            "services": [BASE64URL_NOPAD.encode(service.envelope())],
        });
        body.to_string().into()
    }

    /// A heartbeat of a batch, signed at this moment for a directory.
    pub(crate) fn heartbeat(&self, directory: &PeerId) -> Value {
        let at = unix_ms();
        let signed = [&b"openred-heartbeat"[..], &directory.to_bytes(), at.to_string().as_bytes()].map(frame).concat();
        let signature = self.keypair.sign(&signed).expect("Ed25519 signs everything");
        json!({ "peerId": self.peer.to_string(), "at": at, "signature": BASE64URL_NOPAD.encode(&signature) })
    }
}

/// The name that a node of this number offers.
pub(crate) fn service_name(number: u64) -> String {
    format!("service-{}", number / PROVIDERS)
}

/// A word of three syllables.
pub(crate) fn word(number: u64) -> String {
    const SYLLABLES: [&str; 16] =
        ["ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "ve"];
    let number = number % WORDS;
    [number / 256, number / 16 % 16, number % 16].map(|at| SYLLABLES[at as usize]).concat()
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
