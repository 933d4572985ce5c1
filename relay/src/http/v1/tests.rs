//! The API, called as a function by nodes that sign for themselves.

mod admin;
mod bad_input;
mod gateway;
mod nodes;
mod routing;
mod services;
mod tokens;
mod watch;

use std::collections::BTreeMap;

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use data_encoding::{BASE64URL, BASE64URL_NOPAD};
use libp2p_identity::{Keypair, PeerId};
use openred_core::{
    peer_record::PeerRecord,
    record::{Record, SignedRecord},
};
use serde_json::{Value, json};

use crate::{
    clock,
    directory::identity::{SCHEME, params::Params, signed_bytes},
    http::tests::{HeaderMapExt, World},
};

const HOST: &str = "relay.example";

/// What the relay answered.
struct Answer {
    status: StatusCode,
    headers: HeaderMapExt,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {} {}", self.status, String::from_utf8_lossy(&self.body)))
    }

    /// The stable word of a failure.
    fn code(&self) -> String {
        assert_eq!(self.headers.text("content-type"), "application/problem+json", "{}", self.status);
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// What it is, or the whole answer in the failure of the test.
    fn expect(self, status: StatusCode) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }
}

/// Asks the relay, with these headers and a JSON body if there is one.
async fn ask(world: &World, method: Method, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("host", HOST);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = match body {
        Some(body) => {
            request = request.header("content-type", "application/json");
            Body::from(body.to_string())
        }
        None => Body::empty(),
    };
    let (status, headers, body) = world.send(request.body(body).unwrap()).await;
    Answer { status, headers, body }
}

async fn get(world: &World, path: &str) -> Answer {
    ask(world, Method::GET, path, &[], None).await
}

/// A node that speaks HTTP only.
struct Client {
    key: Keypair,
    authorization: String,
}

impl Client {
    fn peer(&self) -> PeerId {
        self.key.public().to_peer_id()
    }

    /// Proves its key, as libp2p's clients do.
    async fn known(world: &World, seed: u8) -> Self {
        let key = Keypair::ed25519_from_bytes([seed; 32]).unwrap();
        let first = begin(&key);
        let answer = ask(world, Method::GET, "/v1/auth", &[("authorization", &first)], None).await;
        let second =
            answer_challenge(&key, answer.expect(StatusCode::UNAUTHORIZED).headers.text("www-authenticate"), HOST);
        let answer =
            ask(world, Method::GET, "/v1/auth", &[("authorization", &second)], None).await.expect(StatusCode::OK);
        let info = answer.headers.text("authentication-info").to_owned();
        let bearer = Params::parse(&info).unwrap().bearer.unwrap().to_owned();
        Self { key, authorization: format!("{SCHEME} bearer=\"{bearer}\"") }
    }

    /// A node that is registered and offers these services.
    async fn registered(world: &World, seed: u8, services: &[&str]) -> Self {
        let client = Self::known(world, seed).await;
        let records: Vec<_> = services.iter().map(|name| encoded(&client.record(name))).collect();
        let body = json!({ "record": client.peer_record(), "region": "eu", "services": records });
        client.put(world, &client.own_path(), body).await.expect(StatusCode::CREATED);
        client
    }

    fn own_path(&self) -> String {
        format!("/v1/nodes/{}", self.peer())
    }

    async fn ask(&self, world: &World, method: Method, path: &str, body: Option<Value>) -> Answer {
        ask(world, method, path, &[("authorization", &self.authorization)], body).await
    }

    async fn put(&self, world: &World, path: &str, body: Value) -> Answer {
        self.ask(world, Method::PUT, path, Some(body)).await
    }

    async fn post(&self, world: &World, path: &str, body: Value) -> Answer {
        self.ask(world, Method::POST, path, Some(body)).await
    }

    fn record(&self, name: &str) -> SignedRecord {
        let mut record = Record::new(name.parse().unwrap(), self.peer(), clock::millis());
        record.endpoints = vec!["/ip4/192.0.2.7/tcp/4001/ws".parse().unwrap()];
        record.metadata = BTreeMap::from([("title".to_owned(), format!("The {name}"))]);
        record.sign(&self.key).unwrap()
    }

    fn peer_record(&self) -> String {
        let addresses = vec!["/ip4/192.0.2.7/tcp/4001/ws".parse().unwrap()];
        let record = PeerRecord { peer: self.peer(), sequence: clock::millis(), addresses };
        BASE64URL_NOPAD.encode(record.sign(&self.key).unwrap().envelope())
    }
}

fn encoded(record: &SignedRecord) -> String {
    BASE64URL_NOPAD.encode(record.envelope())
}

/// The first header of a handshake.
fn begin(key: &Keypair) -> String {
    let public = BASE64URL.encode(&key.public().encode_protobuf());
    format!("{SCHEME} challenge-server=\"{}\", public-key=\"{public}\"", "c".repeat(44))
}

/// The second one: the challenge, signed for `host`.
fn answer_challenge(key: &Keypair, header: &str, host: &str) -> String {
    let params = Params::parse(header).unwrap();
    let server = crate::directory::identity::params::decode(params.public_key.unwrap()).unwrap();
    let signed = signed_bytes(&[
        ("challenge-client", params.challenge_client.unwrap().as_bytes()),
        ("hostname", host.as_bytes()),
        ("server-public-key", &server),
    ]);
    let sig = BASE64URL.encode(&key.sign(&signed).unwrap());
    format!("{SCHEME} opaque=\"{}\", sig=\"{sig}\"", params.opaque.unwrap())
}
