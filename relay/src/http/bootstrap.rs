//! `/bootstrap.json`: what a node needs to know to join through this relay.
//!
//! Readers ignore fields they do not know, so fields may be added but never change their meaning.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::header::CACHE_CONTROL,
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::Shared;

/// What a relay does for others, in the order a node needs it.
const SERVICES: [&str; 5] = ["bootstrap", "dht", "circuit-relay", "directory", "page"];

/// What stays the same while the relay runs.
#[derive(Clone, Debug)]
pub(crate) struct About {
    /// The relay's peer id.
    pub(crate) peer_id: String,
    /// The network's name.
    pub(crate) network: String,
    /// The region the relay serves.
    pub(crate) region: String,
    /// What it grants.
    pub(crate) limits: Limits,
}

/// What a relay grants to each and all; 0 means no limit.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Limits {
    /// Nodes reachable through the relay at a time.
    pub(crate) reservations: usize,
    /// Circuits at a time.
    pub(crate) circuits: usize,
    /// Bytes of one circuit.
    pub(crate) circuit_bytes: u64,
    /// Seconds of one circuit.
    pub(crate) circuit_seconds: u64,
    /// Bytes a second of all traffic with peers, in and out together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_bandwidth: Option<u64>,
}

/// What changes while the relay runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Introduction {
    /// Own addresses, each ending in `/p2p/<peer id>`, WebSocket first.
    pub(crate) addresses: Vec<String>,
    /// Other relays this one is connected to.
    pub(crate) peers: Vec<OtherRelay>,
    /// Where this relay answers STUN, URLs for the `iceServers` of browsers, the best first.
    pub(crate) stun: Vec<String>,
}

/// Another relay, for a node that looks for a second one.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OtherRelay {
    /// Its peer id.
    pub(crate) peer_id: String,
    /// Where it can be reached, each ending in `/p2p/<peer id>`.
    pub(crate) addresses: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bootstrap<'a> {
    peer_id: &'a str,
    network: &'a str,
    region: &'a str,
    addresses: Vec<String>,
    services: Vec<&'static str>,
    peers: Vec<OtherRelay>,
    version: &'static str,
    limits: &'a Limits,
    stun: Vec<String>,
}

/// `GET /bootstrap.json`.
pub(crate) async fn document(State(shared): State<Arc<Shared>>) -> Response {
    let Introduction { addresses, peers, stun } = shared.peering.introduce();
    let About { peer_id, network, region, limits } = &shared.about;
    let body = Bootstrap {
        peer_id,
        network,
        region,
        addresses,
        services: SERVICES.into_iter().chain((!stun.is_empty()).then_some("stun")).collect(),
        peers,
        version: env!("CARGO_PKG_VERSION"),
        limits,
        stun,
    };
    ([(CACHE_CONTROL, "no-cache")], Json(body)).into_response()
}
