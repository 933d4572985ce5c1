//! Between the node's types and plain JavaScript values. The names of the fields are the npm contract's.

use std::{collections::BTreeMap, time::Duration};

use openred_node::{
    PeerId, Stats,
    core::{
        Error, Explanation, PeerInfo,
        address::{MultiaddrError, parse_multiaddr},
        event::{Event, JoinStage, Status},
        find::{FindOptions, FindStory, Found, FoundRecord, Layer, LayerReport},
        name::ServiceTarget,
        open::Target,
        publish::{Offer, OfferPatch},
        record::Record,
    },
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Visitor},
};
use serde_wasm_bindgen::Serializer;
use wasm_bindgen::JsValue;

/// Reads a plain value; what does not fit is an `INVALID_OPTION`.
pub(crate) fn from_js<T: DeserializeOwned>(value: JsValue) -> Result<T, JsValue> {
    serde_wasm_bindgen::from_value(value)
        .map_err(|error| rejection(&Error::InvalidOption(format!("the options do not fit: {error}"))))
}

/// Makes a plain value: objects, no `Map`.
pub(crate) fn to_js<T: Serialize + ?Sized>(value: &T) -> Result<JsValue, JsValue> {
    value
        .serialize(&Serializer::new().serialize_maps_as_objects(true))
        .map_err(|error| rejection(&Error::Unsupported(format!("the answer cannot be expressed: {error}"))))
}

/// What every failing call rejects with.
pub(crate) fn rejection(error: &Error) -> JsValue {
    coded(error.code(), &error.to_string())
}

/// What reading and writing a broken stream rejects with.
pub(crate) fn reset_rejection(message: &str) -> JsValue {
    coded("STREAM_RESET", message)
}

fn coded(code: &str, message: &str) -> JsValue {
    #[derive(Serialize)]
    struct Rejection<'a> {
        code: &'a str,
        message: &'a str,
    }
    serde_wasm_bindgen::to_value(&Rejection { code, message }).unwrap_or_else(|_| JsValue::from_str(message))
}

pub(crate) fn peer_id(text: &str) -> Result<PeerId, Error> {
    text.parse().map_err(|error| Error::InvalidOption(format!("{text:?} is not a peer id: {error}")))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JsOptions {
    pub(crate) relays: Vec<String>,
    #[serde(default)]
    pub(crate) lists: Vec<String>,
    pub(crate) network: Option<String>,
    pub(crate) identity: ByteBuf,
    pub(crate) memory: Option<ByteBuf>,
    #[serde(default)]
    pub(crate) secure: bool,
    #[serde(default)]
    pub(crate) public_page: bool,
}

/// A `Uint8Array` in the place of a sequence of numbers.
pub(crate) struct ByteBuf(pub(crate) Vec<u8>);

impl ByteBuf {
    pub(crate) fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl<'de> Deserialize<'de> for ByteBuf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = ByteBuf;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a Uint8Array")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<ByteBuf, E> {
                Ok(ByteBuf(bytes.to_vec()))
            }
            fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<ByteBuf, E> {
                Ok(ByteBuf(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}

#[derive(Deserialize)]
pub(crate) struct JsOffer {
    name: String,
    #[serde(flatten)]
    patch: JsPatch,
}

impl JsOffer {
    pub(crate) fn into_offer(self) -> Result<Offer, Error> {
        let patch = self.patch.into_patch();
        Ok(Offer {
            name: self.name.parse()?,
            kind: patch.kind.unwrap_or_default(),
            metadata: patch.metadata.unwrap_or_default(),
            ttl: patch.ttl,
            region: patch.region.unwrap_or_default(),
            clusters: patch.clusters.unwrap_or_default(),
        })
    }
}

#[derive(Deserialize)]
pub(crate) struct JsPatch {
    #[serde(rename = "type")]
    kind: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
    ttl: Option<f64>,
    region: Option<String>,
    clusters: Option<Vec<String>>,
}

impl JsPatch {
    pub(crate) fn into_patch(self) -> OfferPatch {
        OfferPatch {
            kind: self.kind,
            metadata: self.metadata,
            ttl: self.ttl.map(|ms| Duration::from_millis(ms.max(0.0) as u64)),
            region: self.region,
            clusters: self.clusters,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JsFind {
    limit: Option<usize>,
    timeout: Option<f64>,
    max_age: Option<f64>,
}

impl JsFind {
    pub(crate) fn into_options(self) -> FindOptions {
        let default = FindOptions::default();
        FindOptions {
            limit: self.limit.unwrap_or(default.limit),
            timeout: self.timeout.map_or(default.timeout, |ms| Duration::from_millis(ms.max(0.0) as u64)),
            max_age: self.max_age.map_or(default.max_age, |ms| Duration::from_millis(ms.max(0.0) as u64)),
        }
    }
}

/// A name, a peer with a name, or a record; the fields present say which.
#[derive(Deserialize)]
pub(crate) struct JsTarget {
    target: Option<String>,
    peer: Option<String>,
    name: Option<String>,
    record: Option<JsProvider>,
}

#[derive(Deserialize)]
struct JsProvider {
    name: String,
    provider: String,
    #[serde(default)]
    endpoints: Vec<String>,
}

impl JsTarget {
    pub(crate) fn into_target(self) -> Result<Target, Error> {
        match self {
            JsTarget { target: Some(target), .. } => Ok(Target::Name(target.parse::<ServiceTarget>()?)),
            JsTarget { peer: Some(peer), name: Some(name), .. } => {
                Ok(Target::Peer { peer: peer_id(&peer)?, name: name.parse()? })
            }
            JsTarget { record: Some(record), .. } => {
                let mut target = Record::new(record.name.parse()?, peer_id(&record.provider)?, 0);
                target.endpoints = record
                    .endpoints
                    .iter()
                    .filter_map(|text| match parse_multiaddr(text) {
                        // What is not known here could not be dialled either.
                        Err(MultiaddrError::Unknown { .. }) => None,
                        read => Some(read.map_err(|error| {
                            Error::InvalidOption(format!("record.endpoints: {text:?} is not a multiaddr: {error}"))
                        })),
                    })
                    .collect::<Result<_, _>>()?;
                Ok(Target::Record(Box::new(target)))
            }
            _ => Err(Error::InvalidOption("the target is a name, a record, or { peer, name }".to_owned())),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JsFound {
    records: Vec<JsRecord>,
    layer: Option<&'static str>,
    elapsed_ms: f64,
    layers: Vec<JsLayer>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsLayer {
    layer: &'static str,
    outcome: &'static str,
    started_ms: f64,
    took_ms: f64,
    records: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<&LayerReport> for JsLayer {
    fn from(report: &LayerReport) -> Self {
        Self {
            layer: report.layer.as_str(),
            outcome: report.outcome.as_str(),
            started_ms: ms(report.started),
            took_ms: ms(report.took),
            records: report.records,
            reason: report.outcome.reason().map(str::to_owned),
        }
    }
}

impl From<&Found> for JsFound {
    fn from(found: &Found) -> Self {
        Self {
            records: found.records.iter().map(JsRecord::from).collect(),
            layer: found.layer.map(|layer| layer.as_str()),
            elapsed_ms: ms(found.elapsed),
            layers: found.layers.iter().map(JsLayer::from).collect(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsRecord {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    provider: String,
    endpoints: Vec<String>,
    metadata: BTreeMap<String, String>,
    region: String,
    clusters: Vec<String>,
    sequence: f64,
    issued_at: f64,
    ttl: f64,
    layer: &'static str,
    age_ms: f64,
    verdict: &'static str,
}

impl From<&FoundRecord> for JsRecord {
    fn from(found: &FoundRecord) -> Self {
        let record = &found.record;
        Self {
            name: record.name.to_string(),
            kind: record.kind.clone(),
            provider: record.provider.to_string(),
            endpoints: record.endpoints.iter().map(ToString::to_string).collect(),
            metadata: record.metadata.clone(),
            region: record.region.clone(),
            clusters: record.clusters.clone(),
            sequence: record.sequence as f64,
            issued_at: record.issued_at as f64,
            ttl: record.ttl as f64,
            layer: found.layer.as_str(),
            age_ms: ms(found.age),
            verdict: found.verdict.as_str(),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct JsStatus<'a> {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

pub(crate) fn status(status: &Status) -> JsStatus<'_> {
    JsStatus { state: status.state.as_str(), reason: status.reason.as_deref() }
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JsEvent<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    relay: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_in_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missed: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<JsRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
}

pub(crate) fn event(event: &Event) -> JsEvent<'_> {
    let mut js = JsEvent::default();
    match event {
        Event::Status(status) => {
            js.kind = "status";
            js.state = Some(status.state.as_str());
            js.reason = status.reason.as_deref();
        }
        Event::Join(step) => {
            js.kind = "join";
            js.step = Some(step.stage.as_str());
            js.relay = Some(&step.relay);
            js.peer_id = step.peer.map(|peer| peer.to_string());
            if let JoinStage::Failed { code, reason, retry_in_ms } = &step.stage {
                js.code = Some(code);
                js.reason = Some(reason);
                js.retry_in_ms = Some(*retry_in_ms as f64);
            }
        }
        Event::PeerConnected { peer, path, address } => {
            js.kind = "peer:connect";
            js.peer_id = Some(peer.to_string());
            js.path = Some(path.as_str());
            js.address = Some(address.to_string());
        }
        Event::PeerDisconnected { peer } => {
            js.kind = "peer:disconnect";
            js.peer_id = Some(peer.to_string());
        }
        Event::PeerPath { peer, path } => {
            js.kind = "peer:path";
            js.peer_id = Some(peer.to_string());
            js.path = Some(path.as_str());
        }
        Event::RecordFound(found) => {
            js.kind = "record:found";
            js.record = Some(JsRecord::from(&**found));
        }
        Event::RecordGone { name, provider } => {
            js.kind = "record:gone";
            js.name = Some(name.as_str());
            js.provider = Some(provider.to_string());
        }
        Event::Warning { code, message } => {
            js.kind = "warning";
            js.code = Some(code);
            js.message = Some(message);
        }
        Event::Lagged { missed } => {
            js.kind = "lagged";
            js.missed = Some(*missed as f64);
        }
        _ => js.kind = "unknown",
    }
    js
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JsPeer {
    peer_id: String,
    roles: Vec<&'static str>,
    path: &'static str,
    transport: &'static str,
    address: String,
    rtt_ms: Option<f64>,
    since: f64,
}

pub(crate) fn peer(info: &PeerInfo) -> JsPeer {
    JsPeer {
        peer_id: info.peer.to_string(),
        roles: info.roles.clone(),
        path: info.path.as_str(),
        transport: info.transport(),
        address: info.address.to_string(),
        rtt_ms: info.rtt.map(ms),
        since: info.since as f64,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JsStats {
    uptime_ms: f64,
    peers: usize,
    relays: usize,
    reservations: usize,
    bytes_in: f64,
    bytes_out: f64,
    finds: f64,
    find_ms: f64,
    peer_connections: f64,
    finds_by_layer: BTreeMap<&'static str, f64>,
    cache_hits: f64,
    cached_services: usize,
    remembered_peers: usize,
    routing_table: usize,
}

pub(crate) fn stats(stats: &Stats) -> JsStats {
    JsStats {
        uptime_ms: ms(stats.uptime),
        peers: stats.peers,
        relays: stats.relays,
        reservations: stats.reservations,
        bytes_in: stats.bytes_in as f64,
        bytes_out: stats.bytes_out as f64,
        finds: stats.finds as f64,
        find_ms: ms(stats.find_time),
        peer_connections: stats.peer_connections as f64,
        finds_by_layer: Layer::ALL
            .iter()
            .zip(stats.finds_by_layer)
            .map(|(layer, n)| (layer.as_str(), n as f64))
            .collect(),
        cache_hits: stats.cache_hits as f64,
        cached_services: stats.cached_services,
        remembered_peers: stats.remembered_peers,
        routing_table: stats.routing_table,
    }
}

#[derive(Serialize)]
pub(crate) struct JsExplanation<'a> {
    code: &'static str,
    reason: &'a str,
}

pub(crate) fn explanation(explanation: &Explanation) -> JsExplanation<'_> {
    JsExplanation { code: explanation.code, reason: &explanation.reason }
}

#[derive(Serialize)]
pub(crate) struct JsStory {
    code: &'static str,
    reason: String,
    layers: Vec<JsLayer>,
}

pub(crate) fn story(story: Option<&FindStory>) -> JsStory {
    match story {
        Some(story) => JsStory {
            code: story.code,
            reason: story.reason(),
            layers: story.layers.iter().map(JsLayer::from).collect(),
        },
        None => {
            JsStory { code: "UNKNOWN", reason: "this node has not looked for it lately".to_owned(), layers: Vec::new() }
        }
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
